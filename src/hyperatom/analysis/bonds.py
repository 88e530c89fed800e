"""Who is a neighbour of whom within a cutoff, for observables of the surroundings of atoms."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.statistics import Array
from hyperatom.errors import InputError
from hyperatom.trajectory import Trajectory

Cutoffs = float | Mapping[str, float]
"""One distance for all pairs of species, Å, or one for each: `{"Si-O": 2.2}`; others are none."""


@dataclass(frozen=True, eq=False)
class Bonds:
    """Ordered pairs of one frame within their cutoffs.

    | field      | shape        | unit | meaning                                    |
    |------------|--------------|------|--------------------------------------------|
    | `first`    | (n_pairs,)   | -    | atom at the centre, ascending              |
    | `second`   | (n_pairs,)   | -    | its neighbour                              |
    | `vector`   | (n_pairs, 3) | Å    | from first to second                       |
    | `shift`    | (n_pairs, 3) | -    | cells between them                         |
    | `distance` | (n_pairs,)   | Å    |                                            |
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    vector: Array
    shift: NDArray[np.int64]
    distance: Array

    def slots(self, n_atoms: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Numbers of the pairs of each atom, (n_atoms, most), and which of them are real."""
        degree = np.bincount(self.first, minlength=n_atoms)
        most = int(degree.max(initial=0))
        start = np.cumsum(degree) - degree
        index = start[:, None] + np.arange(most)
        real = np.arange(most) < degree[:, None]
        return np.where(real, index, 0), real


def bonds_of(trajectory: Trajectory, cutoffs: Cutoffs) -> Iterator[tuple[int, Bonds]]:
    """The bonds of each frame, with its number.

    Raises `InputError` for an impossible cutoff or a pair of species that is not there.
    """
    from vesin import NeighborList

    limits = _limits(trajectory, cutoffs)
    longest = float(limits.max())
    _, kinds = np.unique(trajectory.numbers, return_inverse=True)
    neighbours = NeighborList(cutoff=longest, full_list=True, sorted=True)
    for window, frames in trajectory.chunks():
        for step, positions, cell in zip(
            range(window.start, window.stop), frames.positions, frames.cells, strict=True
        ):
            i, j, shift, vector, distance = neighbours.compute(
                positions, cell, trajectory.periodic, "ijSDd"
            )
            i, j = i.astype(np.int64), j.astype(np.int64)
            near = distance < limits[kinds[i], kinds[j]]
            yield step, Bonds(i[near], j[near], vector[near], shift[near], distance[near])


def _limits(trajectory: Trajectory, cutoffs: Cutoffs) -> Array:
    symbols = list(trajectory.symbols)
    n = len(symbols)
    if not isinstance(cutoffs, Mapping):
        limits = np.full((n, n), float(cutoffs))
    else:
        limits = np.zeros((n, n))
        for pair, limit in cutoffs.items():
            ends = pair.split("-")
            if len(ends) != 2 or not set(ends) <= set(symbols):
                raise InputError(
                    f"There is no pair of species '{pair}' in {trajectory.origin}.",
                    f"Its species are {', '.join(symbols)}.",
                )
            a, b = (symbols.index(end) for end in ends)
            limits[a, b] = limits[b, a] = limit
    if not (np.isfinite(limits).all() and limits.max() > 0.0 and limits.min() >= 0.0):
        raise InputError(
            f"Neighbours within {cutoffs} Å are impossible.", "Choose positive distances."
        )
    return limits


def histogram(values: Array, edges: Array, weights: Array | None = None) -> Array:
    """Counts of `values` between equidistant `edges`, those outside left out."""
    n = len(edges) - 1
    place = np.floor((values - edges[0]) * (n / (edges[-1] - edges[0]))).astype(np.int64)
    place = np.where(values == edges[-1], n - 1, place)
    inside = (place >= 0) & (place < n)
    some: Any = None if weights is None else weights[inside]
    return np.bincount(place[inside], some, minlength=n).astype(np.float64)
