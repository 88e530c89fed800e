"""Averages of a cell that moves: volume, density, edges and angles."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.statistics import Estimate, Kind, estimate_mean
from hyperatom.analysis.weighted import linearised
from hyperatom.configuration import Configuration
from hyperatom.units import DALTON


def cell_averages(
    walkers: Sequence[Sequence[Configuration]],
    kind: Kind = "exact",
    weights: NDArray[np.float64] | None = None,
) -> dict[str, Estimate]:
    """Means by name with their errors: Å^3, g/cm^3, Å and degrees.

    Density is the mean of mass / V, not mass / mean of V. `weights` (n_configurations,) are those
    of all walkers in order.
    """
    cuts = np.cumsum([0, *map(len, walkers)])

    def mean(series: Sequence[NDArray[np.float64]], unit: str) -> Estimate:
        if weights is not None:
            linear = linearised(np.concatenate(series), weights)
            series = [linear[a:b] for a, b in pairwise(cuts) if b > a]
        return estimate_mean(series, unit, kind)

    cells = [np.array([one.cell for one in walker]) for walker in walkers if len(walker)]
    if not cells:
        return {}
    mass = DALTON * float(walkers[0][0].masses.sum())
    volumes = [np.abs(np.linalg.det(one)) for one in cells]
    found = {
        "volume": mean(volumes, "Å³"),
        "density": mean([mass / one for one in volumes], "g/cm³"),
    }
    lengths = [np.linalg.norm(one, axis=2) for one in cells]
    for k, name in enumerate("abc"):
        found[name] = mean([one[:, k] for one in lengths], "Å")
    for k, name in enumerate(("alpha", "beta", "gamma")):
        i, j = (k + 1) % 3, (k + 2) % 3
        angles = [
            np.degrees(np.arccos(np.sum(one[:, i] * one[:, j], axis=1) / (size[:, i] * size[:, j])))
            for one, size in zip(cells, lengths, strict=True)
        ]
        if any(np.ptp(one) > 1e-6 for one in angles):
            found[name] = mean(angles, "°")
    return found
