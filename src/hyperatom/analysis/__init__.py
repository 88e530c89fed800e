"""Observables, one file each, and their error bars."""
