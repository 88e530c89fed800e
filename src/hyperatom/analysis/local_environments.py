"""Local environments: which neighbours each atom has, and how these neighbours are connected."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from hyperatom.analysis.bonds import Bonds, Cutoffs, bonds_of
from hyperatom.analysis.observation import Axis, Observation
from hyperatom.analysis.statistics import Array
from hyperatom.analysis.weighted import Samples, as_trajectory, curve_of, mean_of
from hyperatom.trajectory import Trajectory

SHOWN: Final = 12
"""Environments that are told apart, the most frequent; the rest is one, `other`."""

OTHER: Final = "other"

# Signatures (common neighbours, bonds among them, longest chain of these) of all bonds of an atom.
CRYSTALS: Final[Mapping[str, Mapping[str, int]]] = {
    "fcc": {"421": 12},
    "hcp": {"421": 6, "422": 6},
    "bcc": {"444": 6, "666": 8},
    "icosahedral": {"555": 12},
}


@dataclass(frozen=True)
class LocalEnvironments:
    """Fractions of atoms by the neighbours that they have within `cutoffs` (Å): `Si with O4`.

    Of each species the environments add up to one. The most frequent twelve have names of their
    own, the others are `other`. The curve numbers them in the order of the numbers.
    """

    cutoffs: Cutoffs = 3.0

    def compute(self, samples: Samples) -> Observation:
        """Fractions with errors. Raises `InputError` for a pair of species that is not there."""
        trajectory = as_trajectory(samples)
        return _fractions(
            trajectory, list(_fingerprints(trajectory, self.cutoffs)), "local environments"
        )


@dataclass(frozen=True)
class CommonNeighbours:
    """Fractions of atoms that are surrounded as in a crystal, by common-neighbour analysis.

    A bond within `cutoffs` (Å) has the signature: neighbours that both ends share, bonds among
    these, bonds in their longest chain. Twelve 421 are fcc; six 421 and six 422 hcp; six 444 and
    eight 666 bcc; twelve 555 icosahedral (J. D. Honeycutt and H. C. Andersen, J. Phys. Chem. 91,
    4950 (1987); D. Faken and H. Jonsson, Computational Materials Science 2, 279 (1994)). A good
    cutoff lies between the first two shells for fcc and hcp, between the second and the third for
    bcc.
    """

    cutoffs: Cutoffs = 3.5

    def compute(self, samples: Samples) -> Observation:
        """Fractions with errors. Raises `InputError` for an impossible cutoff."""
        trajectory = as_trajectory(samples)
        names = np.array(trajectory.symbols)[np.unique(trajectory.numbers, return_inverse=True)[1]]
        frames = [
            [
                f"{symbol} {kind}"
                for symbol, kind in zip(names, crystal_of(bonds, len(names)), strict=True)
            ]
            for _, bonds in bonds_of(trajectory, self.cutoffs)
        ]
        return _fractions(trajectory, frames, "common neighbours")


def crystal_of(bonds: Bonds, n_atoms: int) -> list[str]:
    """The crystal whose signatures the bonds of each atom have, or `other`."""
    around: list[list[tuple[int, tuple[int, ...]]]] = [[] for _ in range(n_atoms)]
    for i, j, shift in zip(bonds.first, bonds.second, bonds.shift, strict=True):
        around[i].append((int(j), tuple(int(x) for x in shift)))
    found = []
    for atom in range(n_atoms):
        own = set(around[atom])
        signatures = Counter(_signature(own, around, end) for end in own)
        match = (name for name, wanted in CRYSTALS.items() if signatures == Counter(wanted))
        found.append(next(match, OTHER))
    return found


Place = tuple[int, tuple[int, ...]]


def _signature(own: set[Place], around: list[list[Place]], end: Place) -> str:
    """Of the bond from an atom with neighbours `own` to `end`, cells counted from the atom's."""
    common = own.intersection(_seen_from(around, end))
    links = {
        place: [other for other in _seen_from(around, place) if other in common] for place in common
    }
    n_bonds = sum(map(len, links.values())) // 2
    return f"{len(common)}{n_bonds}{_longest(links)}"


def _seen_from(around: list[list[Place]], place: Place) -> Iterator[Place]:
    atom, (a, b, c) = place
    for other, (x, y, z) in around[atom]:
        yield other, (a + x, b + y, c + z)


def _longest(links: dict[Place, list[Place]]) -> int:
    """Bonds of the longest connected piece."""
    left, longest = set(links), 0
    while left:
        piece = [left.pop()]
        ends = 0
        while piece:
            place = piece.pop()
            ends += len(links[place])
            for other in links[place]:
                if other in left:
                    left.remove(other)
                    piece.append(other)
        longest = max(longest, ends // 2)
    return longest


def _fingerprints(trajectory: Trajectory, cutoffs: Cutoffs) -> Iterator[list[str]]:
    """Of each frame, the environment of each atom in words."""
    symbols = trajectory.symbols
    _, kind = np.unique(trajectory.numbers, return_inverse=True)
    n, k = trajectory.n_atoms, len(symbols)
    for _, bonds in bonds_of(trajectory, cutoffs):
        counts = np.bincount(bonds.first * k + kind[bonds.second], minlength=n * k).reshape(n, k)
        distinct, which = np.unique(np.column_stack([kind, counts]), axis=0, return_inverse=True)
        words = []
        for row in distinct:
            near = " ".join(f"{s}{c}" for s, c in zip(symbols, row[1:], strict=True) if c)
            words.append(f"{symbols[row[0]]} with {near or 'nobody'}")
        yield [words[index] for index in which.ravel()]


def _fractions(trajectory: Trajectory, frames: list[list[str]], quantity: str) -> Observation:
    """What part of the atoms of each species is in each environment, whose names begin with it."""
    total = Counter(word for words in frames for word in words)
    shown = {word for word, _ in total.most_common(SHOWN)}
    sizes = Counter(word.split()[0] for word in frames[0])

    def name(word: str) -> str:
        return word if word in shown else f"{word.split()[0]} {OTHER}"

    names = sorted({name(word) for word in total}, key=lambda one: (one.split()[0], -total[one]))
    place = {one: index for index, one in enumerate(names)}
    rows: Array = np.zeros((len(frames), len(names)))
    for row, words in zip(rows, frames, strict=True):
        for word, count in Counter(words).items():
            row[place[name(word)]] += count / sizes[word.split()[0]]
    order = np.arange(1, len(names) + 1, dtype=np.float64)
    return Observation(
        quantity,
        trajectory.kind,
        len(trajectory),
        Axis("environment, in the order of the numbers"),
        Axis("fraction of the species"),
        {"all": curve_of(trajectory, order, rows)},
        {one: mean_of(trajectory, rows[:, index], "") for one, index in place.items()},
    )
