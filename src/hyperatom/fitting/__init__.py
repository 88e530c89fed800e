"""Fits a potential to data, and says how good a potential is."""
