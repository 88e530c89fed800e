"""Trajectories of approximants seen from six dimensions."""
