"""Fitting potentials: what a loss is made of, and trainers that make it small."""
