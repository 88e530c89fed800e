"""Quasicrystals and their approximants."""
