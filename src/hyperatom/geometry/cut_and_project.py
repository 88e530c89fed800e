"""Periodic cuts through a six-dimensional icosahedral crystal: approximants, site by site.

A lattice point n of six dimensions becomes an atom at A `PARALLEL` n where its perpendicular
coordinate A (`PERPENDICULAR` + E `PARALLEL`) n + t falls into the window of its class (Duneau and
Katz 1985; Elser 1985). The phason strain E makes the cut periodic, the offset t chooses one of its
members. Indices are stored doubled, so that body centres are whole numbers too.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperatom.errors import InputError
from hyperatom.geometry.icosahedral import PARALLEL, PERPENDICULAR, phason_strain
from hyperatom.geometry.integer_lattices import shorten, triangulate
from hyperatom.geometry.polyhedra import Region

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SiteClass:
    """One orbit of sites under the translations, and the window in which they are occupied.

    | field      | shape | unit | meaning                                                       |
    |------------|-------|------|---------------------------------------------------------------|
    | `position` | (6,)  | 1/2  | doubled indices of one site                                   |
    | `window`   | -     | a_R  | perpendicular space, in edges of the rhombohedra, A / sqrt(2) |
    """

    name: str
    position: tuple[int, ...]
    window: Region


@dataclass(frozen=True, eq=False)
class HyperCrystal:
    """A six-dimensional crystal.

    | field              | shape  | unit | meaning                                            |
    |--------------------|--------|------|----------------------------------------------------|
    | `lattice_constant` | -      | Å    | A of the primitive hypercube, whatever the centring |
    | `translations`     | (6, 6) | 1/2  | doubled basis of the lattice, as columns           |
    """

    lattice_constant: float
    translations: Integers
    classes: tuple[SiteClass, ...]

    @property
    def edge(self) -> float:
        """a_R = A / sqrt(2), the edge of the rhombohedra, in Å."""
        return float(self.lattice_constant / 2.0**0.5)

    @property
    def cell_volume(self) -> float:
        """Six-dimensional volume per lattice point, Å^6."""
        doubled = abs(np.linalg.det(self.translations.astype(np.float64)))
        return float(doubled / 64.0 * self.lattice_constant**6)

    def class_densities(self) -> Array:
        """Sites of each class per volume of the quasicrystal: window over cell volume, Å^-3."""
        volumes = np.array([kind.window.volume for kind in self.classes])
        return np.asarray(volumes * self.edge**3 / self.cell_volume)


@dataclass(frozen=True, eq=False)
class Sites:
    """Sites of a cut, inside its cell.

    | field           | shape  | unit | meaning                                        |
    |-----------------|--------|------|------------------------------------------------|
    | `indices`       | (n, 6) | 1/2  | doubled; A/2 `PARALLEL` indices = `parallel`   |
    | `kinds`         | (n,)   | -    | number of the class                            |
    | `parallel`      | (n, 3) | Å    | physical space                                 |
    | `perpendicular` | (n, 3) | Å    | strained, with the offset: compare with window |
    """

    indices: Integers
    kinds: Integers
    parallel: Array
    perpendicular: Array

    def __len__(self) -> int:
        return len(self.kinds)

    def chosen(self, which: NDArray[np.bool_] | Integers) -> "Sites":
        """Some of the sites."""
        return Sites(
            self.indices[which],
            self.kinds[which],
            self.parallel[which],
            self.perpendicular[which],
        )


@dataclass(frozen=True, eq=False)
class PeriodicCut:
    """A crystal of six dimensions, cut such that three of its translations become periods.

    | field     | shape  | unit | meaning                                                       |
    |-----------|--------|------|---------------------------------------------------------------|
    | `periods` | (6, 3) | 1/2  | doubled lattice translations, as columns                      |
    | `offset`  | (3,)   | Å    | t; a point on a boundary counts as if t were slightly shifted |

    Raises `InputError` for periods that are no translations of the lattice, or coplanar.
    """

    crystal: HyperCrystal
    periods: Integers
    offset: Array

    def __post_init__(self) -> None:
        periods = np.array(self.periods, dtype=np.int64)
        if periods.shape != (6, 3):
            raise InputError(
                f"The periods have the shape {periods.shape}.",
                "Give three columns of six whole numbers each, doubled.",
            )
        lattice = self.crystal.translations
        multiples = np.rint(np.linalg.solve(lattice, periods)).astype(np.int64)
        wrong = np.flatnonzero((lattice @ multiples != periods).any(axis=0))
        if len(wrong):
            column = (periods[:, wrong[0]] / 2.0).tolist()
            raise InputError(
                f"The period {column} is not a translation of the six-dimensional lattice: its "
                "parities do not close.",
                "Double it, or choose a period of the lattice (F-type: the sum of the six indices "
                "is even).",
            )
        volume = np.linalg.det(PARALLEL @ periods)
        if abs(volume) < 1e-9 * np.prod(np.linalg.norm(PARALLEL @ periods, axis=0)):
            raise InputError(
                "The three periods lie in one plane of physical space.",
                "Choose three periods that span a cell.",
            )
        if volume < 0.0:
            periods = periods[:, [1, 0, 2]]
        object.__setattr__(self, "periods", periods)
        object.__setattr__(self, "offset", np.array(self.offset, dtype=np.float64).reshape(3))

    @cached_property
    def strain(self) -> Array:
        """The linear phason strain E, (3, 3), dimensionless."""
        return phason_strain(self.periods)

    @property
    def cell(self) -> Array:
        """Lattice vectors as rows, (3, 3), Å."""
        return self.parallel(self.periods.T)

    @property
    def volume(self) -> float:
        """Of the cell, Å^3."""
        return float(abs(np.linalg.det(self.cell)))

    def parallel(self, indices: NDArray[np.number]) -> Array:
        """Physical positions of doubled indices (n, 6), in Å; (n, 3)."""
        return np.asarray(0.5 * self.crystal.lattice_constant * (indices @ PARALLEL.T))

    def perpendicular(self, indices: NDArray[np.number]) -> Array:
        """Strained perpendicular coordinates of doubled indices (n, 6), without t, in Å."""
        projection = PERPENDICULAR + self.strain @ PARALLEL
        return np.asarray(0.5 * self.crystal.lattice_constant * (indices @ projection.T))

    @cached_property
    def _coordinates(self) -> tuple[Integers, Integers]:
        """A basis of the lattice whose first three vectors span the periods; their multiples."""
        lattice = self.crystal.translations
        multiples = np.rint(np.linalg.solve(lattice, self.periods)).astype(np.int64)
        unimodular, triangle = triangulate(multiples)
        along, across = lattice @ unimodular[:, :3], lattice @ unimodular[:, 3:]
        across = across @ shorten(self.perpendicular(across.T).T)
        # Periods may be added at will: keep the indices, and with them rounding errors, small.
        shifts = np.rint(np.linalg.solve(PARALLEL @ along, PARALLEL @ across)).astype(np.int64)
        return np.concatenate([along, across - along @ shifts], axis=1), triangle

    @property
    def multiplicity(self) -> int:
        """Number of lattice points, and of smallest cells, in one cell."""
        return int(np.prod(np.diagonal(self._coordinates[1])))

    @property
    def perpendicular_lattice(self) -> Array:
        """Basis (columns, Å) of the lattice that the translations make in perpendicular space.

        Offsets that differ by one of its vectors make the same structure, moved.
        """
        return self.perpendicular(self._coordinates[0][:, 3:].T).T

    def within(self, kind: int, window: Region) -> Sites:
        """All sites of class number `kind` in one cell whose perpendicular image is in `window`.

        Sites modulo the periods are a lattice in perpendicular space; its points are counted up
        in a box about the window, so the work grows as the number of sites found.
        """
        basis, triangle = self._coordinates
        position = np.array(self.crystal.classes[kind].position, dtype=np.int64)
        start = self.perpendicular(position[None])[0] + self.offset
        across = self.perpendicular_lattice
        reach = window.radius * self.crystal.edge * (1.0 + 1e-9) + 1e-9
        centre = -np.linalg.solve(across, start)
        reaches = reach * np.linalg.norm(np.linalg.inv(across), axis=1)
        ranges = [
            np.arange(np.ceil(c - r - 1e-9), np.floor(c + r + 1e-9) + 1.0)
            for c, r in zip(centre, reaches, strict=True)
        ]
        steps = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
        points = steps @ across.T + start
        near = np.linalg.norm(points, axis=1) <= reach
        steps, points = steps[near], points[near]
        inside = window.contains(points / self.crystal.edge)
        indices = position + steps[inside].astype(np.int64) @ basis[:, 3:].T
        corners = np.stack(
            np.meshgrid(*[np.arange(d) for d in np.diagonal(triangle)], indexing="ij"), axis=-1
        ).reshape(-1, 3)
        copies = corners @ basis[:, :3].T
        indices = (indices[:, None] + copies).reshape(-1, 6)
        return self.inside_cell(indices, np.full(len(indices), kind))

    def sites(self, dilation: float | None = None) -> Sites:
        """The occupied sites of one cell, class by class; or those in windows dilated by a factor.

        Dilated windows exclude nothing, and so contain the occupied sites and the ghost sites
        around them.
        """
        found = [
            self.within(k, kind.window if dilation is None else kind.window.dilated(dilation))
            for k, kind in enumerate(self.crystal.classes)
        ]
        return Sites(
            np.concatenate([s.indices for s in found]),
            np.concatenate([s.kinds for s in found]),
            np.concatenate([s.parallel for s in found]),
            np.concatenate([s.perpendicular for s in found]),
        )

    def inside_cell(self, indices: Integers, kinds: ArrayLike) -> Sites:
        """Sites of doubled indices (n, 6), moved into the cell by whole periods."""
        fractional = self.parallel(indices) @ np.linalg.inv(self.cell)
        indices = indices - np.floor(fractional + 1e-9).astype(np.int64) @ self.periods.T
        return Sites(
            indices,
            np.asarray(kinds, dtype=np.int64),
            self.parallel(indices),
            self.perpendicular(indices) + self.offset,
        )
