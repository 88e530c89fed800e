"""Ensembles, dynamics, proposals and the one Metropolis."""
