"""Builders of configurations."""
