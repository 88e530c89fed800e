"""Atoms too close to each other: alternative sites of a phason flip, both inside their windows."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hyperatom.geometry.cut_and_project import PeriodicCut, Sites
from hyperatom.geometry.polyhedra import Region

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

OUTSIDE = 1e-3
"""How far in a_R a suggested shift carries a site beyond the boundary of its window."""


@dataclass(frozen=True, eq=False)
class Contact:
    """All pairs of one kind that are closer than allowed.

    | field      | shape  | unit | meaning                                                       |
    |------------|--------|------|---------------------------------------------------------------|
    | `classes`  | -      | -    | names of the two classes                                      |
    | `distance` | -      | Å    | between the two sites                                         |
    | `pairs`    | (n, 2) | -    | numbers of the sites                                          |
    | `shift`    | (3,)   | Å    | smallest change of the offset by which one of the pairs opens |
    """

    classes: tuple[str, str]
    distance: float
    pairs: Integers
    shift: Array

    def describe(self) -> str:
        """One line for people."""
        shift = ", ".join(f"{x:+.3f}" for x in self.shift)
        return (
            f"{len(self.pairs)} {'pairs' if len(self.pairs) > 1 else 'pair'} "
            f"{self.classes[0]}-{self.classes[1]} at {self.distance:.2f} Å "
            f"(one opens when the offset moves by [{shift}] Å)"
        )


def close_pairs(sites: Sites, cell: Array, distance: float) -> tuple[Integers, Array]:
    """Pairs of sites closer than `distance` (Å), each once: numbers (n, 2), distances (n,)."""
    from vesin import NeighborList

    neighbours = NeighborList(cutoff=distance, full_list=False, n_threads=1)
    i, j, d = neighbours.compute(sites.parallel, cell, np.ones(3, dtype=bool), "ijd")
    return np.stack([i, j], axis=1).astype(np.int64), np.asarray(d)


def find_contacts(cut: PeriodicCut, sites: Sites, distance: float) -> list[Contact]:
    """Pairs closer than `distance` (Å), grouped by classes and length, shortest first."""
    pairs, lengths = close_pairs(sites, cut.cell, distance)
    groups: dict[tuple[float, int, int], list[Integers]] = defaultdict(list)
    for pair, length in zip(pairs, lengths, strict=True):
        first, second = sorted(sites.kinds[pair].tolist())
        groups[round(float(length), 3), first, second].append(pair)
    names = [kind.name for kind in cut.crystal.classes]
    found = []
    for (length, first, second), members in sorted(groups.items()):
        numbers = np.array(members)
        shifts = [_opening(cut, sites, int(site)) for site in np.unique(numbers)]
        shift = min(shifts, key=lambda s: float(np.linalg.norm(s)))
        found.append(Contact((names[first], names[second]), length, numbers, shift))
    return found


def thin(cut: PeriodicCut, sites: Sites, distance: float) -> Sites:
    """Leave out sites until no two are closer than `distance` (Å).

    First goes the site in most pairs; among equals the one nearest to the boundary of its window.
    """
    pairs, _ = close_pairs(sites, cut.cell, distance)
    margins = {
        int(s): float(np.linalg.norm(_opening(cut, sites, int(s)))) for s in np.unique(pairs)
    }
    kept = np.ones(len(sites), dtype=bool)
    while len(pairs):
        counts = np.bincount(pairs.ravel())
        site = max(np.flatnonzero(counts).tolist(), key=lambda s: (counts[s], -margins[s], -s))
        kept[site] = False
        pairs = pairs[(pairs != site).all(axis=1)]
    return sites.chosen(kept)


def _opening(cut: PeriodicCut, sites: Sites, site: int) -> Array:
    """Shift in Å that carries one site out of its window across the nearest face."""
    edge = cut.crystal.edge
    window = cut.crystal.classes[int(sites.kinds[site])].window
    point = sites.perpendicular[site] / edge
    for normal, depth in sorted(_faces(window, point), key=lambda face: face[1]):
        step = normal * (depth + OUTSIDE)
        if not window.contains((point + step)[None])[0]:
            return np.asarray(edge * step)
    # Every face leads into another part of the window: carry the site beyond all of them.
    return np.array([2.0 * window.radius * edge, 0.0, 0.0])


def _faces(window: Region, point: Array) -> Iterator[tuple[Array, float]]:
    """Directions that may lead out of a window, and how far its boundary lies that way."""
    for polyhedron in window.included:
        yield from zip(
            polyhedron.normals, polyhedron.distances - polyhedron.normals @ point, strict=True
        )
    for polyhedron in window.excluded:
        inward = polyhedron.innermost[0] - point
        inward = inward / np.linalg.norm(inward)
        slopes = polyhedron.normals @ inward
        entered = (polyhedron.normals @ point - polyhedron.distances)[slopes < 0] / -slopes[
            slopes < 0
        ]
        yield inward, max(float(entered.max()), 0.0)


@dataclass(frozen=True, eq=False)
class OffsetTrial:
    """What an offset t (3,) in Å leads to: atoms, too close pairs, their shortest distance (Å)."""

    offset: Array
    n_atoms: int
    n_contacts: int
    shortest: float


def try_offset(cut: PeriodicCut, offset: Array, distance: float) -> OffsetTrial:
    """Number of atoms, and of pairs closer than `distance` (Å), at another offset (3,), Å."""
    moved = replace(cut, offset=offset)
    sites = moved.sites()
    _, lengths = close_pairs(sites, moved.cell, distance)
    return OffsetTrial(moved.offset, len(sites), len(lengths), float(lengths.min(initial=np.inf)))


def threefold_offsets(cut: PeriodicCut, steps: int = 16) -> Array:
    """Offsets (steps, 3) in Å along [111], from zero: those that keep a threefold axis."""
    length = abs(np.linalg.det(cut.perpendicular_lattice)) ** (1.0 / 3.0)
    return np.outer(np.arange(steps) * length / steps, np.ones(3))


def scan_offsets(
    cut: PeriodicCut, distance: float, n_offsets: int = 100, seed: int = 0
) -> list[OffsetTrial]:
    """Offsets drawn evenly over all different structures, cleanest first.

    Offsets that differ by a vector of the perpendicular lattice make the same structure, so they
    are drawn from one of its cells. Pairs closer than `distance` (Å) count as contacts.
    """
    fractions = np.random.default_rng(seed).random((n_offsets, 3))
    offsets = fractions @ cut.perpendicular_lattice.T
    trials = [try_offset(cut, offset, distance) for offset in offsets]
    return sorted(trials, key=lambda trial: trial.n_contacts)


def best_offset(cut: PeriodicCut, distance: float) -> OffsetTrial:
    """The first offset without contacts along a threefold axis, else the best of a scan."""
    for offset in threefold_offsets(cut):
        trial = try_offset(cut, np.asarray(offset), distance)
        if not trial.n_contacts:
            return trial
    return scan_offsets(cut, distance)[0]
