"""Configurations and engines for the tests of the label farm."""

from collections import Counter

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.references.ase_calculator import AseReference


def place(number, x=None):
    """Two atoms in a cell that is another one for each number, as at constant pressure."""
    rng = np.random.default_rng(number)
    positions = rng.uniform(0.0, 0.9, (2, 3))
    if x is not None:
        positions[0, 0] = x
    return Configuration(
        [1, 8], positions, np.eye(3) * (5.0 + 0.01 * number), [True] * 3, [1.0, 16.0]
    )


def engine(name="Harmonic", retry=None, **keywords):
    settings = {"time_out": keywords.pop("time_out", 20.0), "workers": keywords.pop("workers", 1)}
    return AseReference(f"farm_engines.{name}", keywords, retry, **settings)


def energy(configuration):
    return 0.5 * np.sum(configuration.positions**2)


def lines(tally):
    return Counter(line.split()[0] for line in tally.read_text().splitlines())
