"""Configurations and densities in space, drawn in the browser by 3Dmol.js (BSD-3-Clause)."""
