"""hyperatom: first-principles ensembles, exactly, at machine-learning speed."""

__version__ = "0.1.0"
