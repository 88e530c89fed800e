"""Van Hove's self-correlation: how far atoms have moved after given times."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np

from hyperatom.analysis.observation import Axis, Curve, Observation
from hyperatom.analysis.unwrapped import atom_series
from hyperatom.analysis.weighted import Samples, as_trajectory
from hyperatom.errors import InputError

ORIGINS: Final = 200
"""Origins of time that are used at most."""


@dataclass(frozen=True)
class VanHove:
    """4 pi r^2 G_s(r, t): the density of the distance that atoms of `species` have moved in t.

    L. Van Hove, Phys. Rev. 95, 249 (1954). One curve for each of `times` (fs), normalised to one;
    errors from the scatter among origins of time that do not overlap.
    """

    times: Sequence[float] = (100.0, 1000.0)
    species: str = "all"
    r_max: float = 6.0
    bins: int = 120

    def compute(self, samples: Samples) -> Observation:
        """Curves by time. Raises `InputError` for a Monte Carlo chain or times beyond the path."""
        trajectory = as_trajectory(samples)
        step = trajectory.time_step
        members = trajectory.members(self.species)
        edges = np.linspace(0.0, self.r_max, self.bins + 1)
        curves = {}
        with atom_series(trajectory, "positions", unwrap=True) as paths:
            for time in self.times:
                lag = round(time / step)
                rows = []
                for window in trajectory.windows():
                    first, n = window.start, window.stop - window.start
                    if not 0 < lag < n:
                        raise InputError(
                            f"A time of {time:g} fs is not within the path of {n * step:g} fs.",
                            "Choose times between one frame and the length of the run.",
                        )
                    stride = max(lag, (n - lag) // ORIGINS, 1)
                    for start in range(first, first + n - lag, stride):
                        moved = np.asarray(paths[members, :, start + lag])
                        moved = moved - np.asarray(paths[members, :, start])
                        far = np.linalg.norm(moved, axis=1)
                        counts, _ = np.histogram(far, edges)
                        rows.append(counts / (len(members) * edges[1]))
                table = np.array(rows)
                error = np.full(self.bins, nan)
                if len(table) > 1:
                    error = table.std(axis=0, ddof=1) / np.sqrt(len(table))
                curves[f"{lag * step:g} fs"] = Curve(
                    (edges[1:] + edges[:-1]) / 2.0,
                    table.mean(axis=0),
                    np.where(error > 0.0, error, nan),
                    float(len(table)),
                )
        return Observation(
            f"van Hove function of {self.species}",
            trajectory.kind,
            len(trajectory),
            Axis("displacement r", "Å"),
            Axis("4πr²G", "1/Å"),
            curves,
        )
