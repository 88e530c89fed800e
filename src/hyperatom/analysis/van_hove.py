"""Van Hove's correlations: how far atoms have moved, and who is where they were."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, Final

import numpy as np

from hyperatom.analysis.observation import Axis, Curve, Observation
from hyperatom.analysis.statistics import Array
from hyperatom.analysis.unwrapped import atom_series
from hyperatom.analysis.weighted import Samples, as_trajectory
from hyperatom.errors import InputError
from hyperatom.trajectory import Trajectory

ORIGINS: Final = 200
"""Origins of time that are used at most."""

PAIR_ORIGINS: Final = 60
"""The same, where all pairs of atoms are looked at for each."""


@dataclass(frozen=True)
class VanHove:
    """4 pi r^2 G_s(r, t): the density of the distance that atoms of `species` have moved in t.

    L. Van Hove, Phys. Rev. 95, 249 (1954). One curve for each of `times` (fs), normalised to one;
    errors from the scatter among origins of time that do not overlap.
    """

    times: Sequence[float] | float = (100.0, 1000.0)
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
            for time in np.atleast_1d(self.times):
                lag = round(time / step)
                rows = []
                for start in _origins(trajectory, time, lag, ORIGINS):
                    moved = np.asarray(paths[members, :, start + lag])
                    moved = moved - np.asarray(paths[members, :, start])
                    far = np.linalg.norm(moved, axis=1)
                    counts, _ = np.histogram(far, edges)
                    rows.append(counts / (len(members) * edges[1]))
                curves[f"{lag * step:g} fs"] = _over_origins(edges, np.array(rows))
        return Observation(
            f"van Hove function of {self.species}",
            trajectory.kind,
            len(trajectory),
            Axis("displacement r", "Å"),
            Axis("4πr²G", "1/Å"),
            curves,
        )


@dataclass(frozen=True)
class DistinctVanHove:
    """G_d(r, t)/rho: atoms of `neighbour` around the places where those of `centre` were t before.

        G_d(r, t)/rho = < V n(r, t) > / (N_a N_b v(r)),  n = sum_{i!=j} [|r_j(t) - r_i(0)| = r]

    v(r) is the volume of a spherical shell and V that of the cell at the origin of time, as in the
    radial distribution function, which this is at t = 0; at long times it is 1, an atom's own
    images in other cells included (L. Van Hove, Phys. Rev. 95, 249 (1954); J.-P. Hansen and I. R.
    McDonald, Theory of Simple Liquids, section 7.2). One curve for each of `times` (fs), errors
    from the scatter among origins of time that do not overlap.
    """

    times: Sequence[float] | float = (0.0, 100.0, 1000.0)
    centre: str = "all"
    neighbour: str = "all"
    r_max: float = 6.0
    bins: int = 120

    def compute(self, samples: Samples) -> Observation:
        """Curves by time. Raises `InputError` for a Monte Carlo chain or times beyond the path."""
        from vesin import NeighborList

        trajectory = as_trajectory(samples)
        step = trajectory.time_step
        if not (trajectory.periodic.all() and self.r_max > 0.0):
            raise InputError(
                f"{trajectory.origin} is not periodic in all directions, or r_max is not positive.",
                "The distinct part needs a density: give a cell.",
            )
        ends = trajectory.members(self.centre), trajectory.members(self.neighbour)
        edges = np.linspace(0.0, self.r_max, self.bins + 1)
        shell = 4.0 / 3.0 * np.pi * np.diff(edges**3)
        near = NeighborList(cutoff=self.r_max, full_list=True)
        curves = {}
        with atom_series(trajectory, "positions", unwrap=True, drift=False) as paths:
            for time in np.atleast_1d(self.times):
                lag = round(time / step)
                rows = []
                for start in _origins(trajectory, time, lag, PAIR_ORIGINS, smallest=0):
                    cell = trajectory.frames(start, start + 1).cells[0]
                    before = np.asarray(paths[ends[0], :, start])
                    after = np.asarray(paths[:, :, start + lag])
                    far = _distances(near, before, after, ends, cell)
                    counts, _ = np.histogram(far, edges)
                    volume = abs(np.linalg.det(cell))
                    rows.append(counts * volume / (len(ends[0]) * len(ends[1]) * shell))
                curves[f"{lag * step:g} fs"] = _over_origins(edges, np.array(rows))
        return Observation(
            f"distinct van Hove function of {self.neighbour} around {self.centre}",
            trajectory.kind,
            len(trajectory),
            Axis("distance r", "Å"),
            Axis("G/ρ"),
            curves,
        )


def _distances(near: Any, before: Array, after: Array, ends: Any, cell: Array) -> Array:
    """From where each of the first `ends` was to where the second are, the atom itself left out."""
    n = len(before)
    both = np.concatenate([before, after[ends[1]]])
    i, j, vector, distance = near.compute(both, cell, True, "ijDd")
    i, j = i.astype(np.int64), j.astype(np.int64)
    across = (i < n) & (j >= n)
    first, second = ends[0][i[across]], ends[1][j[across] - n]
    own = after[first] - before[i[across]]
    itself = (first == second) & (np.abs(vector[across] - own).max(axis=1) < 1e-6)
    return np.asarray(distance[across][~itself])


def _origins(
    trajectory: Trajectory, time: float, lag: int, most: int, smallest: int = 1
) -> Iterator[int]:
    """Frames from which `lag` frames on are within the path of the same walker."""
    for window in trajectory.windows():
        first, n = window.start, window.stop - window.start
        if not smallest <= lag < n:
            raise InputError(
                f"A time of {time:g} fs is not within the path of {n * trajectory.time_step:g} fs.",
                "Choose times between one frame and the length of the run.",
            )
        yield from range(first, first + n - lag, max(lag, (n - lag) // most, 1))


def _over_origins(edges: Array, table: Array) -> Curve:
    """Mean over origins of time, and its error from their scatter."""
    error = np.full(table.shape[1], nan)
    if len(table) > 1:
        error = table.std(axis=0, ddof=1) / np.sqrt(len(table))
    middle = (edges[1:] + edges[:-1]) / 2.0
    return Curve(middle, table.mean(axis=0), np.where(error > 0.0, error, nan), float(len(table)))
