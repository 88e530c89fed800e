"""Ring statistics: shortest-path rings of a network of bonds."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.bonds import Bonds, Cutoffs, bonds_of
from hyperatom.analysis.observation import Axis, Observation
from hyperatom.analysis.weighted import Samples, as_trajectory, curve_of
from hyperatom.errors import InputError

Index = NDArray[np.int64]

TOO_MANY: Final = 20_000_000
"""Paths beyond which a network is too dense for its rings to be counted."""


@dataclass(frozen=True)
class Rings:
    """Shortest-path rings up to `largest` atoms: no two atoms of such a ring have a short cut.

    A ring counts where the distance in the network between any two of its atoms is the one along
    the ring, and where it closes without crossing the cell (D. S. Franzblau, Phys. Rev. B 44, 4925
    (1991)). With `through` only atoms of that species are counted (Si in silica: a ring of 12 atoms
    is a six-ring). In a cell that is smaller than the rings themselves the images take short cuts:
    use a larger one.
    """

    cutoffs: Cutoffs = 2.2
    largest: int = 12
    through: str = "all"

    def compute(self, samples: Samples) -> Observation:
        """Rings of each size an atom counted, with errors.

        Raises `InputError` for a network too dense, or a `largest` below three.
        """
        if self.largest < 3:
            raise InputError(f"A ring has at least three atoms, not {self.largest}.")
        trajectory = as_trajectory(samples)
        members = trajectory.members(self.through)
        counted = np.isin(np.arange(trajectory.n_atoms), members)
        rows = np.zeros((len(trajectory), self.largest + 1))
        for step, bonds in bonds_of(trajectory, self.cutoffs):
            for ring in rings_of(bonds, trajectory.n_atoms, self.largest):
                sizes = counted[ring].sum(axis=1)
                rows[step] += np.bincount(sizes, minlength=self.largest + 1)
        sizes = np.arange(self.largest + 1, dtype=np.float64)
        chosen = (sizes >= 2) & (rows.any(axis=0) | (sizes >= 3))
        name = self.through if self.through != "all" else "atoms"
        return Observation(
            "shortest-path rings",
            trajectory.kind,
            len(trajectory),
            Axis(f"ring size ({name})"),
            Axis("rings by atom"),
            {name: curve_of(trajectory, sizes[chosen], rows[:, chosen] / len(members))},
        )


def rings_of(bonds: Bonds, n_atoms: int, largest: int) -> list[Index]:
    """The rings of one frame, tables (n_rings, size) of atoms for each size that occurs.

    From each atom, all shortest paths of m bonds are listed. Two of them that end at one atom, or
    at two bonded ones, close a ring of 2m or 2m + 1 atoms; it counts if all its atoms are as far
    apart in the network as along the ring.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import shortest_path

    chosen = bonds.first != bonds.second
    first, second, shift = bonds.first[chosen], bonds.second[chosen], bonds.shift[chosen]
    graph = csr_array((np.ones(len(first)), (first, second)), shape=(n_atoms, n_atoms))
    graph.data[:] = 1.0
    apart = shortest_path(graph, unweighted=True, directed=False)
    start = np.searchsorted(first, np.arange(n_atoms + 1))
    paths = np.arange(n_atoms, dtype=np.int64)[:, None]
    crossed = np.zeros((n_atoms, 3), dtype=np.int64)
    found = []
    for length in range(1, largest // 2 + 1):
        # Extend each path by each bond of its last atom that leads away from its first.
        degree = np.diff(start)[paths[:, -1]]
        if degree.sum() > TOO_MANY:
            raise InputError(
                "The network has too many bonds for its rings to be counted.",
                "Choose smaller cutoffs or a smaller largest ring.",
            )
        parent = np.repeat(np.arange(len(paths)), degree)
        offset = np.arange(len(parent)) - np.repeat(np.cumsum(degree) - degree, degree)
        bond = start[paths[parent, -1]] + offset
        away = apart[paths[parent, 0], second[bond]] == length
        parent, bond = parent[away], bond[away]
        paths = np.concatenate([paths[parent], second[bond, None]], axis=1)
        crossed = crossed[parent] + shift[bond]
        if length >= 2:
            found.append(_closed(paths, crossed, apart, None))
        if 2 * length + 1 <= largest:
            found.append(_closed(paths, crossed, apart, (start, second, shift)))
    return [ring for ring in found if len(ring)]


def _closed(
    paths: Index,
    crossed: Index,
    apart: NDArray[np.float64],
    bonds: tuple[Index, Index, Index] | None,
) -> Index:
    """Rings from pairs of paths with one start: of equal end, or with `bonds` of bonded ends."""
    n_atoms = len(apart)
    key = paths[:, 0] * n_atoms + paths[:, -1]
    order = np.argsort(key, kind="stable")
    paths, crossed, key = paths[order], crossed[order], key[order]
    left = np.arange(len(paths))
    if bonds is None:
        target, bridge = key, np.zeros((len(paths), 3), dtype=np.int64)
    else:
        start, second, shift = bonds
        degree = np.diff(start)[paths[:, -1]]
        left = np.repeat(left, degree)
        offset = np.arange(len(left)) - np.repeat(np.cumsum(degree) - degree, degree)
        bond = start[paths[left, -1]] + offset
        target, bridge = paths[left, 0] * n_atoms + second[bond], shift[bond]
    begin, end = np.searchsorted(key, target, "left"), np.searchsorted(key, target, "right")
    several = end - begin
    if several.sum() > TOO_MANY:
        raise InputError(
            "The network has too many bonds for its rings to be counted.",
            "Choose smaller cutoffs or a smaller largest ring.",
        )
    left_all = np.repeat(left, several)
    offset = np.arange(len(left_all)) - np.repeat(np.cumsum(several) - several, several)
    right = np.repeat(begin, several) + offset
    home = crossed[left_all] + np.repeat(bridge, several, axis=0) - crossed[right]
    keep = (home == 0).all(axis=1) & (left_all < right if bonds is None else True)
    left_all, right = left_all[keep], right[keep]
    # One way around, then the other way back, without the shared atoms.
    back = paths[right][:, 1:-1] if bonds is None else paths[right][:, 1:]
    ring = np.concatenate([paths[left_all], back[:, ::-1]], axis=1)
    size = ring.shape[1]
    if len(ring) == 0:
        return ring
    good = np.ones(len(ring), dtype=bool)
    for i in range(size):
        for j in range(i + 1, size):
            good &= apart[ring[:, i], ring[:, j]] == min(j - i, size - j + i)
    ring = ring[good]
    # Each ring was found from several atoms and both ways: one canonical order of it.
    _, once = np.unique(_canonical(ring), axis=0, return_index=True)
    return ring[once]


def _canonical(ring: Index) -> Index:
    size = ring.shape[1]
    at = np.argmin(ring, axis=1)
    rows = np.arange(len(ring))[:, None]
    forth = ring[rows, (at[:, None] + np.arange(size)) % size]
    back = ring[rows, (at[:, None] - np.arange(size)) % size]
    chosen: Index = np.where((forth[:, 1] < back[:, 1])[:, None], forth, back)
    return chosen
