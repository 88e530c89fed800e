"""Averages of a cell that moves: volume, density, edges and angles."""

from collections.abc import Sequence

import numpy as np

from hyperatom.analysis.statistics import Estimate, Kind, estimate_mean
from hyperatom.configuration import Configuration
from hyperatom.units import DALTON


def cell_averages(
    walkers: Sequence[Sequence[Configuration]], kind: Kind = "exact"
) -> dict[str, Estimate]:
    """Means by name with their errors: Å^3, g/cm^3, Å and degrees.

    Density is the mean of mass / V, not mass / mean of V.
    """
    cells = [np.array([one.cell for one in walker]) for walker in walkers if len(walker)]
    if not cells:
        return {}
    mass = DALTON * float(walkers[0][0].masses.sum())
    volumes = [np.abs(np.linalg.det(one)) for one in cells]
    found = {
        "volume": estimate_mean(volumes, "Å³", kind),
        "density": estimate_mean([mass / one for one in volumes], "g/cm³", kind),
    }
    lengths = [np.linalg.norm(one, axis=2) for one in cells]
    for k, name in enumerate("abc"):
        found[name] = estimate_mean([one[:, k] for one in lengths], "Å", kind)
    for k, name in enumerate(("alpha", "beta", "gamma")):
        i, j = (k + 1) % 3, (k + 2) % 3
        angles = [
            np.degrees(np.arccos(np.sum(one[:, i] * one[:, j], axis=1) / (size[:, i] * size[:, j])))
            for one, size in zip(cells, lengths, strict=True)
        ]
        if any(np.ptp(one) > 1e-6 for one in angles):
            found[name] = estimate_mean(angles, "°", kind)
    return found
