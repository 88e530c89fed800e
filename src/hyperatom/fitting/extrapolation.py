"""Extrapolation: atoms whose surroundings are unlike any that a potential was fitted to.

What an atom sees of each species s is described by a few sums over neighbours within the cutoff,

    a_k = sum_j g_k(r_ij),    |sum_j g_k r^_ij|^2,    |sum_j g_k (r^_ij r^_ij - 1/3)|^2,

g_k bells of the distance under a smooth cutoff: how many there are, how far to one side, and how
stretched (degrees 0, 1 and 2 of a power spectrum). The frames that were learned give the least and
the greatest value of each sum for each central species. An atom beyond one of these by more than a
little extrapolates, as symmetry functions out of their range do (Behler, J. Chem. Phys. 134, 074106
(2011)). The description is the same for potentials of every family, and knows nothing of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.geometry.neighbours import pairs
from hyperatom.potentials.family import LabelledFrame

Array = NDArray[np.float64]

BELLS: Final = 4
"""Bells of the distance for each species of neighbours."""

MARGIN: Final = 0.05
"""Part of the width of a range by which an atom may leave it: the next sample often does."""

NARROWEST: Final = 1.0e-3
"""A range is no narrower than this: sums that symmetry makes zero are zero to round-off."""


class Outside(NamedTuple):
    """An atom that extrapolates, by so many widths of the range that it is farthest out of."""

    frame: int
    atom: int
    number: int
    widths: float


@dataclass(frozen=True, eq=False)
class Ranges:
    """What was seen while fitting.

    | field     | shape                   | unit | meaning                                     |
    |-----------|-------------------------|------|---------------------------------------------|
    | `species` | (n_species,)            | -    | atomic numbers                              |
    | `cutoff`  | scalar                  | Å    | of the neighbours that count                |
    | `lowest`  | (n_species, n_sums)     | -    | by species of the atom in the middle        |
    | `highest` | the same                | -    |                                             |
    """

    species: tuple[int, ...]
    cutoff: float
    lowest: Array
    highest: Array

    @classmethod
    def of(
        cls, frames: Sequence[LabelledFrame], species: tuple[int, ...], cutoff: float
    ) -> "Ranges":
        """The ranges of frames; a species that none of them holds has an empty one."""
        shape = len(species), 3 * BELLS * len(species)
        lowest, highest = np.full(shape, np.inf), np.full(shape, -np.inf)
        for frame in frames:
            here = frame.configuration
            sums = surroundings(here, species, cutoff)
            for k, z in enumerate(species):
                own = sums[here.numbers == z]
                if len(own):
                    lowest[k] = np.minimum(lowest[k], own.min(axis=0))
                    highest[k] = np.maximum(highest[k], own.max(axis=0))
        return cls(species, cutoff, lowest, highest)

    def widths_outside(self, configuration: Configuration) -> Array:
        """How far each atom is out of its ranges, in their widths, (n_atoms,); 0 inside."""
        sums = surroundings(configuration, self.species, self.cutoff)
        which = np.searchsorted(self.species, configuration.numbers)
        low, high = self.lowest[which], self.highest[which]
        width = np.maximum(high - low, NARROWEST)
        beyond = np.maximum(low - sums, sums - high) / width
        found: Array = np.maximum(beyond.max(axis=1, initial=0.0), 0.0)
        return found

    def to_json(self) -> dict[str, Any]:
        """As plain numbers."""
        return {
            "species": list(self.species),
            "cutoff": self.cutoff,
            "lowest": self.lowest.tolist(),
            "highest": self.highest.tolist(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Ranges":
        """Read what `to_json` wrote."""
        arrays = (np.array(content[name], dtype=np.float64) for name in ("lowest", "highest"))
        return cls(tuple(content["species"]), content["cutoff"], *arrays)


@dataclass(frozen=True)
class Extrapolation:
    """Atoms of some frames that extrapolate, the farthest first."""

    outside: tuple[Outside, ...]
    n_atoms: int
    n_frames: int
    sources: tuple[str, ...]

    def numbers(self) -> dict[str, float]:
        """For programs."""
        return {
            "extrapolating_atoms": len(self.outside),
            "extrapolating_frames": len({one.frame for one in self.outside}),
        }

    def sentence(self) -> str:
        """What it comes to, in words."""
        if not self.outside:
            return f"None of {self.n_atoms} atoms extrapolates: all surroundings are like learned."
        n_frames = len({one.frame for one in self.outside})
        return (
            f"{len(self.outside)} of {self.n_atoms} atoms, in {n_frames} of {self.n_frames} frames,"
            " extrapolate: their surroundings are unlike any that were learned. Farthest out: "
            f"{self.name_of(self.outside[0])}."
        )

    def name_of(self, one: Outside) -> str:
        """An atom, its frame, and how far out it is."""
        from ase.data import chemical_symbols

        return (
            f"{chemical_symbols[one.number]}, atom {one.atom} of {self.sources[one.frame]}, by "
            f"{one.widths:.2g} of the range"
        )


def extrapolation(potential: Any, frames: Sequence[LabelledFrame]) -> Extrapolation | None:
    """Which atoms extrapolate; None for a potential that does not know what it was fitted to."""
    known = getattr(potential, "provenance", {}).get("ranges")
    if known is None:
        return None
    ranges = Ranges.from_json(known)
    found = []
    for number, frame in enumerate(frames):
        here = frame.configuration
        widths = ranges.widths_outside(here)
        found += [
            Outside(number, int(atom), int(here.numbers[atom]), float(widths[atom]))
            for atom in np.flatnonzero(widths > MARGIN)
        ]
    return Extrapolation(
        tuple(sorted(found, key=lambda one: -one.widths)),
        sum(frame.configuration.n_atoms for frame in frames),
        len(frames),
        tuple(frame.source or f"frame {k}" for k, frame in enumerate(frames)),
    )


def surroundings(configuration: Configuration, species: tuple[int, ...], cutoff: float) -> Array:
    """The sums of the equation above, (n_atoms, 3 x BELLS x n_species).

    Rotations, translations and permutations of neighbours leave them alone; they go to zero
    smoothly at the cutoff.
    """
    here = configuration
    i, j, lattice = pairs(here.positions, here.cell, here.periodic, cutoff)
    vectors = here.positions[j] + lattice @ here.cell - here.positions[i]
    centres, others = np.concatenate([i, j]), np.concatenate([j, i])
    vectors = np.concatenate([vectors, -vectors])
    r = np.linalg.norm(vectors, axis=1)
    unit = vectors / r[:, None]
    spacing = cutoff / BELLS
    places = spacing * (np.arange(BELLS) + 0.5)
    window = 0.5 * (1.0 + np.cos(np.pi * np.minimum(r / cutoff, 1.0)))
    bells = window[:, None] * np.exp(-(((r[:, None] - places) / spacing) ** 2))
    moments = np.concatenate(
        [
            np.ones((len(r), 1)),
            unit,
            (unit[:, :, None] * unit[:, None, :] - np.eye(3) / 3.0).reshape(-1, 9),
        ],
        axis=1,
    )
    place = centres * len(species) + np.searchsorted(species, here.numbers[others])
    sums = np.zeros((here.n_atoms * len(species), BELLS, moments.shape[1]))
    np.add.at(sums, place, bells[:, :, None] * moments[:, None, :])
    squares = np.stack(
        [sums[..., 0], np.sum(sums[..., 1:4] ** 2, axis=2), np.sum(sums[..., 4:] ** 2, axis=2)]
    )
    return np.moveaxis(squares, 0, -1).reshape(here.n_atoms, -1)
