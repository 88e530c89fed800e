"""Studies: one question put to a series of configurations at several temperatures."""
