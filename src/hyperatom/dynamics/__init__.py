"""Equations of motion: integrators, one file each, and the compiled loop that runs them."""
