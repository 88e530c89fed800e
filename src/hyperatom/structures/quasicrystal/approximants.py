"""Approximants of icosahedral quasicrystals: atoms, and where they come from in six dimensions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations_with_replacement
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.geometry.cut_and_project import HyperCrystal, PeriodicCut, Sites
from hyperatom.interchange.ase_atoms import from_ase
from hyperatom.structures.quasicrystal.contacts import (
    best_offset,
    close_pairs,
    find_contacts,
    thin,
)
from hyperatom.structures.space_group import space_group

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

Shells = Sequence[tuple[float, str]]
"""Outer radius in a_R of each shell of a window, innermost first, and its species."""

Overlaps = Literal["refuse", "thin", "keep"]


@dataclass(frozen=True, eq=False)
class Approximant:
    """A periodic approximant, with the origin of each atom in six dimensions.

    | field           | shape        | unit | meaning                                              |
    |-----------------|--------------|------|------------------------------------------------------|
    | `configuration` | -            | -    | the atoms                                            |
    | `cut`           | -            | -    | crystal, periods, offset and strain it was cut by    |
    | `indices`       | (n_atoms, 6) | 1/2  | doubled six-dimensional indices                      |
    | `kinds`         | (n_atoms,)   | -    | number of the class of each atom                     |
    | `perpendicular` | (n_atoms, 3) | Å    | perpendicular coordinates, strained and with offset  |
    """

    configuration: Configuration
    cut: PeriodicCut
    indices: Integers
    kinds: Integers
    perpendicular: Array

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return self.configuration.n_atoms

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order that `kinds` counts them."""
        return tuple(kind.name for kind in self.cut.crystal.classes)

    @property
    def offset(self) -> Array:
        """t of the cut, (3,), Å."""
        return self.cut.offset

    @property
    def strain(self) -> Array:
        """Linear phason strain, (3, 3), dimensionless."""
        return self.cut.strain

    @property
    def periods(self) -> Integers:
        """Doubled period vectors, (6, 3)."""
        return self.cut.periods

    @property
    def point_density(self) -> float:
        """Atoms per Å^3."""
        return self.n_atoms / self.configuration.volume

    def stoichiometry(self) -> dict[str, float]:
        """Fraction of the atoms of each species."""
        from ase.data import chemical_symbols

        numbers = self.configuration.numbers
        return {
            str(chemical_symbols[z]): float((numbers == z).mean())
            for z in self.configuration.species
        }

    @cached_property
    def sites(self) -> Sites:
        """The atoms as sites of the cut."""
        return Sites(
            self.indices, self.kinds, np.array(self.configuration.positions), self.perpendicular
        )

    def shortest_distances(self, search: float = 5.0) -> dict[tuple[str, str], float]:
        """Shortest distance in Å between each two classes; infinite beyond `search`."""
        pairs, lengths = close_pairs(self.sites, self.cut.cell, search)
        kinds = np.sort(self.kinds[pairs], axis=1)
        return {
            (self.class_names[a], self.class_names[b]): float(
                lengths[(kinds == (a, b)).all(axis=1)].min(initial=np.inf)
            )
            for a, b in combinations_with_replacement(range(len(self.class_names)), 2)
        }

    @property
    def shortest_distance(self) -> float:
        """Shortest distance between any two atoms, in Å."""
        return min(self.shortest_distances().values())

    def space_group(
        self, tolerance: float = 1e-3, by: Literal["species", "class"] = "species"
    ) -> str:
        """Symbol and number of the space group, by spglib, within `tolerance` (Å).

        Atoms are told apart by `species` or by `class`.
        """
        if by == "species":
            return space_group(self.configuration, tolerance)
        return space_group(replace(self.configuration, numbers=self.kinds + 1), tolerance)


def build_approximant(
    crystal: HyperCrystal,
    periods: ArrayLike,
    decoration: Mapping[str, Shells],
    offset: ArrayLike | None = None,
    overlaps: Overlaps = "refuse",
    contact: float = 2.2,
) -> Approximant:
    """Cut an approximant out of a six-dimensional crystal.

    | argument     | shape  | unit | meaning                                                      |
    |--------------|--------|------|--------------------------------------------------------------|
    | `periods`    | (6, 3) | 1/2  | doubled; `cubic_periods(p, q)` and its relatives make them   |
    | `decoration` | -      | a_R  | for each class, its shells: (outer radius, species)          |
    | `offset`     | (3,)   | Å    | t; None: a clean one, on a threefold axis if possible        |
    | `overlaps`   | -      | -    | contacts are refused, thinned to one site each, or kept      |
    | `contact`    | -      | Å    | sites closer than this exclude each other                    |

    Raises `InputError` for periods that do not close, an empty window, a class without decoration,
    and contacts (which classes, and how to move the offset).
    """
    _check_windows(crystal, decoration)
    cut = PeriodicCut(crystal, np.asarray(periods), np.zeros(3))
    if offset is None:
        cut = replace(cut, offset=best_offset(cut, contact).offset)
    else:
        cut = replace(cut, offset=_as_offset(offset))
    sites = cut.sites()
    if not len(sites):
        raise InputError(
            "No site of six dimensions falls into a window: the cell is empty.",
            "Choose a larger cell, larger windows or another offset.",
        )
    if overlaps == "thin":
        sites = thin(cut, sites, contact)
    elif overlaps == "refuse":
        _refuse_contacts(cut, sites, contact)
    return _assemble(cut, sites, decoration)


def limit_stoichiometry(
    crystal: HyperCrystal, decoration: Mapping[str, Shells]
) -> dict[str, float]:
    """Fraction of each species in the quasicrystal, by the volumes of the window shells."""
    volumes: dict[str, float] = {}
    for kind in crystal.classes:
        inner = 0.0
        for radius, species in decoration[kind.name]:
            outer = kind.window.ball_volume(radius)
            volumes[species] = volumes.get(species, 0.0) + outer - inner
            inner = outer
    total = sum(volumes.values())
    return {species: volume / total for species, volume in volumes.items()}


def _assemble(cut: PeriodicCut, sites: Sites, decoration: Mapping[str, Shells]) -> Approximant:
    from ase import Atoms

    radii = np.linalg.norm(sites.perpendicular, axis=1) / cut.crystal.edge
    symbols = np.empty(len(sites), dtype="U2")
    for k, kind in enumerate(cut.crystal.classes):
        shells = decoration[kind.name]
        outer = np.array([radius for radius, _ in shells])
        members = np.flatnonzero(sites.kinds == k)
        shell = np.searchsorted(outer, radii[members] - 1e-9)
        if (shell == len(shells)).any():
            raise InputError(
                f"The decoration of {kind.name} ends at {outer[-1]:.3f} a_R, inside its window.",
                "Let the last shell reach to infinity: (float('inf'), species).",
            )
        symbols[members] = np.array([species for _, species in shells])[shell]
    atoms = Atoms(symbols.tolist(), positions=sites.parallel, cell=cut.cell, pbc=True)
    return Approximant(from_ase(atoms), cut, sites.indices, sites.kinds, sites.perpendicular)


def _check_windows(crystal: HyperCrystal, decoration: Mapping[str, Shells]) -> None:
    from ase.data import atomic_numbers

    for kind in crystal.classes:
        if kind.window.empty:
            raise InputError(
                f"The window of {kind.name} is empty: its half-spaces leave no volume.",
                "Correct the half-spaces, or leave the class out.",
            )
        if not decoration.get(kind.name):
            raise InputError(
                f"The class {kind.name} has no species.",
                f"Decorate every class: {', '.join(k.name for k in crystal.classes)}.",
            )
        radii = [radius for radius, _ in decoration[kind.name]]
        if radii != sorted(radii):
            raise InputError(
                f"The shells of {kind.name} do not grow outwards: {radii}.",
                "Order them by their outer radius.",
            )
        for _, species in decoration[kind.name]:
            if atomic_numbers.get(species, 0) == 0:
                raise InputError(f"{species!r} is no chemical symbol.", "Use symbols such as Al.")


def _as_offset(offset: ArrayLike) -> Array:
    values = np.asarray(offset, dtype=np.float64)
    if values.shape != (3,) or not np.isfinite(values).all():
        raise InputError(
            f"The offset {np.asarray(offset).tolist()} is not a vector of three numbers.",
            "Give t in Å, or none for a clean one.",
        )
    return values


def _refuse_contacts(cut: PeriodicCut, sites: Sites, contact: float) -> None:
    contacts = find_contacts(cut, sites, contact)
    if not contacts:
        return
    best = best_offset(cut, contact)
    place = ", ".join(f"{x:.4f}" for x in best.offset)
    advice = f"[{place}] Å is clean"
    if best.n_contacts:
        advice = f"none is clean; [{place}] Å has the fewest pairs, {best.n_contacts}"
    raise InputError(
        f"Sites overlap (alternative sites of a phason flip): "
        f"{'; '.join(c.describe() for c in contacts)}.",
        f"Move the offset ({advice}), or keep one site of each pair with overlaps='thin'.",
    )
