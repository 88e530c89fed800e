"""Coordination numbers: how many neighbours each atom has, and how they are distributed."""

from dataclasses import dataclass

import numpy as np

from hyperatom.analysis.bonds import bonds_of
from hyperatom.analysis.observation import Axis, Observation
from hyperatom.analysis.weighted import Samples, as_trajectory, curve_of, mean_of


@dataclass(frozen=True)
class Coordination:
    """Neighbours of species `neighbour` within `cutoff` (Å) of atoms of species `centre`.

    The curve is the fraction of centres with n = 0, 1, 2, ... neighbours; `centre` and `neighbour`
    are symbols, or `all`.
    """

    centre: str = "all"
    neighbour: str = "all"
    cutoff: float = 3.0

    def compute(self, samples: Samples) -> Observation:
        """Mean coordination number and its distribution. Raises `InputError` without such atoms."""
        trajectory = as_trajectory(samples)
        centres = trajectory.members(self.centre)
        wanted = np.isin(np.arange(trajectory.n_atoms), trajectory.members(self.neighbour))
        series = []
        for _, bonds in bonds_of(trajectory, self.cutoff):
            counts = np.bincount(bonds.first[wanted[bonds.second]], minlength=trajectory.n_atoms)
            series.append(np.bincount(counts[centres]))
        most = max(len(row) for row in series)
        rows = np.stack([np.pad(row, (0, most - len(row))) for row in series]) / len(centres)
        n = np.arange(most, dtype=np.float64)
        name = f"{self.centre}-{self.neighbour}"
        return Observation(
            "coordination number",
            trajectory.kind,
            len(trajectory),
            Axis("neighbours"),
            Axis("fraction"),
            {name: curve_of(trajectory, n, rows)},
            {f"{name} within {self.cutoff:g} Å": mean_of(trajectory, rows @ n, "")},
        )
