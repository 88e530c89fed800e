"""The sites that atoms may lie on: those in the windows and the ghost sites around them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.geometry.cells import heights
from hyperatom.geometry.cut_and_project import PeriodicCut, SiteClass, Sites

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CandidateSites:
    """Sites of one cell of an approximant, with their distances from the windows.

    | field      | shape      | unit | meaning                                                    |
    |------------|------------|------|------------------------------------------------------------|
    | `cut`      | -          | -    | the approximant's                                          |
    | `sites`    | (n_sites,) | -    | by class, ghost classes last                               |
    | `names`    | -          | -    | of the classes                                             |
    | `distance` | (n_sites,) | Å    | of x_perp from the window; zero inside, positive for ghosts |
    """

    cut: PeriodicCut
    sites: Sites
    names: tuple[str, ...]
    distance: Array

    @property
    def occupied(self) -> NDArray[np.bool_]:
        """Which sites lie in a window, (n_sites,)."""
        return np.asarray(self.distance <= 0.0)

    def nearest(
        self, positions: Array, reach: float, count: int
    ) -> tuple[Integers, Integers, Array]:
        """Up to `count` sites within `reach` (Å) of `positions` (n, 3), nearest first.

        | returned | shape          | unit | meaning                                |
        |----------|----------------|------|----------------------------------------|
        | first    | (n, count)     | -    | numbers of the sites, -1 where no more |
        | second   | (n, count, 3)  | -    | cells in which they lie                |
        | third    | (n, count)     | Å    | distances, infinite where no more      |
        """
        tree, numbers, images = self._tree
        cell = self.cut.cell
        home = np.floor(positions @ np.linalg.inv(cell)).astype(np.int64)
        lengths, found = tree.query(
            positions - home @ cell, k=np.arange(1, count + 1), distance_upper_bound=reach
        )
        there = np.isfinite(lengths)
        found = np.where(there, found, 0)
        return (
            np.where(there, numbers[found], -1),
            images[found] + home[:, None],
            np.asarray(lengths),
        )

    @cached_property
    def _tree(self) -> tuple[Any, Integers, Integers]:
        """A tree of the sites in and around the cell, with their numbers and cells."""
        from scipy.spatial import cKDTree

        margin = 2.0
        cell = self.cut.cell
        fractional = self.sites.parallel @ np.linalg.inv(cell)
        rims = margin / heights(cell, np.ones(3, dtype=bool))
        layers = int(np.ceil(rims.max()))
        numbers, images = [], []
        for image in np.ndindex(*[2 * layers + 1] * 3):
            shift = np.array(image) - layers
            near = ((fractional + shift > -rims) & (fractional + shift < 1.0 + rims)).all(axis=1)
            numbers.append(np.flatnonzero(near))
            images.append(np.broadcast_to(shift, (int(near.sum()), 3)))
        number, shift = np.concatenate(numbers), np.concatenate(images)
        return cKDTree(self.sites.parallel[number] + shift @ cell), number, shift


def candidate_sites(
    cut: PeriodicCut, dilation: float = 1.3, ghosts: Sequence[SiteClass] = ()
) -> CandidateSites:
    """All sites whose perpendicular image lies in a window dilated by a factor.

    Windows are dilated about their centres and have no holes, so every occupied site is among
    them; the others are ghost sites. `ghosts` are further classes without atoms of their own
    (other body centres): their distance is counted from the centre of their window.
    """
    if dilation < 1.0:
        raise InputError(
            f"Windows dilated by {dilation} would lose occupied sites.", "Dilate by at least 1."
        )
    crystal = cut.crystal
    parts = [cut.sites(dilation)]
    distance = np.empty(len(parts[0]))
    for k, kind in enumerate(crystal.classes):
        members = parts[0].kinds == k
        points = parts[0].perpendicular[members] / crystal.edge
        outside = crystal.edge * kind.window.excess(points)
        # Boundaries as the builder decides them: a site just outside is a ghost at distance zero.
        smallest = np.finfo(np.float64).tiny
        inside = kind.window.contains(points)
        distance[members] = np.where(inside, 0.0, np.maximum(outside, smallest))
    distances = [distance]
    if ghosts:
        empty = replace(cut, crystal=replace(crystal, classes=tuple(ghosts))).sites()
        parts.append(replace(empty, kinds=empty.kinds + len(crystal.classes)))
        distances.append(np.linalg.norm(empty.perpendicular, axis=1))
    sites = Sites(
        np.concatenate([p.indices for p in parts]),
        np.concatenate([p.kinds for p in parts]),
        np.concatenate([p.parallel for p in parts]),
        np.concatenate([p.perpendicular for p in parts]),
    )
    names = tuple(kind.name for kind in (*crystal.classes, *ghosts))
    return CandidateSites(cut, sites, names, np.concatenate(distances))
