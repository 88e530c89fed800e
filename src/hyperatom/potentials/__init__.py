"""Anything cheap that gives energies: learned or classical."""
