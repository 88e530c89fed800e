"""Neighbour lists: for every atom the atoms within a cutoff, sorted by species, in fixed slots."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.geometry.cells import complete_cell, lattice_translations

Pairs = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]

SLOT_MULTIPLE = 8
"""Slots come in multiples of this: a vector register is filled, and few shapes are compiled."""

CAPACITY_MARGIN = 1.15
"""Slots grow to this multiple of the need, so that a fluctuation does not compile again."""


PAIR_BYTES = 200
"""Memory for each neighbour of an atom, with all that is computed on the way, roughly."""


class SlotsExceededError(Exception):
    """More neighbours than slots: make the list again with room for `needed` of each species."""

    def __init__(self, needed: tuple[int, ...], capacity: tuple[int, ...]) -> None:
        super().__init__(f"{needed} neighbours of each species in {capacity} slots")
        self.needed = needed
        self.capacity = capacity


@dataclass(frozen=True, eq=False)
class Neighbours:
    """All neighbours of all atoms, in fixed slots.

    The slots of an atom are divided by neighbour species: the first `slots[0]` belong to species 0,
    the next `slots[1]` to species 1, and so on, so that the density of one species is a sum over
    one contiguous range. A slot without a neighbour holds the atom itself, shifted beyond the
    cutoff: whatever vanishes smoothly at the cutoff needs no mask.

    | field     | shape                 | unit | meaning                                        |
    |-----------|-----------------------|------|------------------------------------------------|
    | `index`   | (n_atoms, n_slots)    | -    | atom j in each slot of atom i                  |
    | `shift`   | (3, n_atoms, n_slots) | Å    | r_ij = positions[j] + shift - positions[i]     |
    | `reverse` | (n_atoms, n_slots)    | -    | flat slot that holds the same pair seen from j |
    | `slots`   | (n_species,)          | -    | number of slots of each neighbour species      |
    """

    index: Any
    shift: Any
    reverse: Any
    slots: tuple[int, ...]


def pairs(
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    periodic: NDArray[np.bool_],
    cutoff: float,
) -> Pairs:
    """Every pair within the cutoff once: atoms i and j, and the lattice translation of j.

    The vector of a pair is `positions[j] + translation @ cell - positions[i]`, for the positions
    given, inside the cell or not. An atom and its own image are a pair too. Returns (n_pairs,),
    (n_pairs,) and (n_pairs, 3), the last in whole numbers of lattice vectors.
    """
    from vesin import NeighborList

    positions = np.asarray(positions, dtype=np.float64)
    periodic = np.asarray(periodic, dtype=bool)
    if not np.isfinite(positions).all():
        raise InputError(
            "A neighbour list was asked for positions that are not finite.",
            "Look for overlapping atoms or too long a time step.",
        )
    box = complete_cell(cell, periodic)
    translations = lattice_translations(positions, cell, periodic)
    inside = positions - translations @ box
    finder = NeighborList(cutoff=cutoff, full_list=False, n_threads=1)
    i, j, lattice = finder.compute(inside, box, periodic, quantities="ijS")
    i, j = i.astype(np.int32), j.astype(np.int32)
    if translations.any():
        lattice = lattice + translations[i] - translations[j]
    return i, j, lattice.astype(np.float64)


def pairs_of_copies(
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    periodic: NDArray[np.bool_],
    cutoff: float,
    n_copies: int,
) -> Pairs:
    """The pairs of stacked copies of the atoms that do not see each other; as `pairs` otherwise.

    Raises `InputError` where so many copies would not fit into memory.
    """
    if n_copies == 1:
        return pairs(positions, cell, periodic, cutoff)
    copies = np.reshape(positions, (n_copies, -1, 3))
    first_found = pairs(copies[0], cell, periodic, cutoff)
    needed, memory = 2.0 * PAIR_BYTES * n_copies * len(first_found[0]), physical_memory()
    if needed > memory:
        raise InputError(
            f"{n_copies} copies of {copies.shape[1]} atoms need about {needed / 1e9:.0f} GB for "
            f"their neighbours; this machine has {memory / 1e9:.0f} GB.",
            f"Use at most {int(n_copies * memory / needed)} beads.",
        )
    found = [first_found, *(pairs(copy, cell, periodic, cutoff) for copy in copies[1:])]
    first = copies.shape[1] * np.arange(n_copies, dtype=np.int32)
    return (
        np.concatenate([offset + one[0] for offset, one in zip(first, found, strict=True)]),
        np.concatenate([offset + one[1] for offset, one in zip(first, found, strict=True)]),
        np.concatenate([one[2] for one in found]),
    )


def find_neighbours(
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    periodic: NDArray[np.bool_],
    species: NDArray[np.int64],
    n_species: int,
    cutoff: float,
    capacity: tuple[int, ...] | None = None,
    n_copies: int = 1,
) -> Neighbours:
    """Neighbours of every atom within the cutoff, by species.

    | array       | shape        | unit | meaning                                                  |
    |-------------|--------------|------|----------------------------------------------------------|
    | `positions` | (n_atoms, 3) | Å    | inside the cell or not                                   |
    | `cell`      | (3, 3)       | Å    | lattice vectors as rows                                  |
    | `periodic`  | (3,)         | -    | periodic along each lattice vector?                      |
    | `species`   | (n_atoms,)   | -    | species of each atom, counted from zero                  |
    | `capacity`  | (n_species,) | -    | slots of each species; the least that suffices if absent |
    | `n_copies`  | scalar       | -    | stacked copies of the atoms that do not see each other   |

    Raises `SlotsExceededError` when an atom has more neighbours of a species than slots.
    """
    species = np.asarray(species, dtype=np.int32)
    n_atoms = len(species)
    i, j, lattice = pairs_of_copies(positions, cell, periodic, cutoff, n_copies)
    n_pairs = len(i)
    centre = np.concatenate([i, j])
    neighbour = np.concatenate([j, i])

    # Pairs grouped by centre and species of the neighbour, with a counting sort.
    group = centre * np.int32(n_species) + species[neighbour]
    counts = np.bincount(group, minlength=n_atoms * n_species)
    needed = tuple(int(n) for n in counts.reshape(n_atoms, n_species).max(axis=0, initial=0))
    if capacity is None:
        capacity = tuple(_round_up(n) for n in needed)
    if any(n > room for n, room in zip(needed, capacity, strict=True)):
        raise SlotsExceededError(needed, capacity)

    # The slot of the first pair of each group, and of every pair behind it.
    n_slots = sum(capacity)
    offset = np.cumsum(capacity) - np.asarray(capacity)
    first_slot = (np.arange(n_atoms)[:, None] * n_slots + offset).ravel()
    first_pair = np.cumsum(counts) - counts
    slot_in_order = np.arange(2 * n_pairs) + np.repeat(first_slot - first_pair, counts)
    slot = np.empty(2 * n_pairs, dtype=np.int32)
    slot[_counting_sort(group, len(counts))] = slot_in_order
    there, back = slot[:n_pairs], slot[n_pairs:]

    index = np.repeat(np.arange(n_atoms, dtype=np.int32), n_slots)
    index[slot] = neighbour
    reverse = np.arange(n_atoms * n_slots, dtype=np.int32)
    reverse[there] = back
    reverse[back] = there
    shift = np.zeros((3, n_atoms * n_slots))
    shift[0] = 2.0 * cutoff
    for plane, components in zip(shift, complete_cell(cell, periodic).T, strict=True):
        part = lattice @ components
        plane[there] = part
        plane[back] = -part
    return Neighbours(
        index=index.reshape(n_atoms, n_slots),
        shift=shift.reshape(3, n_atoms, n_slots),
        reverse=reverse.reshape(n_atoms, n_slots),
        slots=tuple(capacity),
    )


class NeighbourLists:
    """Makes neighbour lists of one set of atoms in one cell, all with the same number of slots.

    Lists reach `skin` beyond the cutoff: one stays right until an atom has moved by skin/2. Wide
    lists reach `margin` further, to be narrowed on the way while no atom has moved by margin/2. The
    slots grow when they no longer suffice, by 15 % and to a multiple of 8, and never shrink.
    """

    def __init__(
        self,
        cell: NDArray[np.float64],
        periodic: NDArray[np.bool_],
        species: NDArray[np.int64],
        n_species: int,
        cutoff: float,
        skin: float,
        capacity: tuple[int, ...] | None = None,
        margin: float = 3.0,
        n_copies: int = 1,
    ) -> None:
        self.cell = np.array(cell, dtype=np.float64)
        self.periodic = np.array(periodic, dtype=bool)
        self.species = np.array(species)
        self.n_species = n_species
        self.cutoff = cutoff
        self.skin = skin
        self.capacity = capacity
        self.margin = margin
        self.n_copies = n_copies
        self.wide_capacity: tuple[int, ...] | None = None

    def make(
        self, positions: NDArray[np.float64], cell: NDArray[np.float64] | None = None
    ) -> Neighbours:
        """The list for `positions` (n_atoms, 3), in Å, inside the cell or not.

        `cell` (3, 3), in Å, where it is no longer that of the beginning.
        """
        neighbours = self._find(positions, cell, self.cutoff + self.skin, self.capacity)
        self.capacity = neighbours.slots
        return neighbours

    def make_wide(
        self, positions: NDArray[np.float64], cell: NDArray[np.float64] | None = None
    ) -> Neighbours:
        """A list that reaches cutoff + skin + margin; arguments as in `make`."""
        reach = self.cutoff + self.skin + self.margin
        if self.wide_capacity is None and self.capacity is not None:
            # As many more as there is more volume: a rule, so that equal runs have equal shapes.
            ratio = (reach / (self.cutoff + self.skin)) ** 3
            self.wide_capacity = tuple(_round_up(round(ratio * n)) for n in self.capacity)
        neighbours = self._find(positions, cell, reach, self.wide_capacity)
        self.wide_capacity = neighbours.slots
        return neighbours

    def _find(
        self,
        positions: NDArray[np.float64],
        cell: NDArray[np.float64] | None,
        reach: float,
        capacity: tuple[int, ...] | None,
    ) -> Neighbours:
        cell = self.cell if cell is None else cell
        arguments = (positions, cell, self.periodic, self.species, self.n_species, reach)
        try:
            return find_neighbours(*arguments, capacity, self.n_copies)
        except SlotsExceededError as exceeded:
            grown = tuple(
                _round_up(round(CAPACITY_MARGIN * n)) if n > room else room
                for n, room in zip(exceeded.needed, exceeded.capacity, strict=True)
            )
            return find_neighbours(*arguments, grown, self.n_copies)


def physical_memory() -> float:
    """Bytes of memory of this machine; infinite where it does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return float("inf")


def _round_up(count: int) -> int:
    return -(-count // SLOT_MULTIPLE) * SLOT_MULTIPLE


def _counting_sort(group: NDArray[np.int32], n_groups: int) -> NDArray[np.int32]:
    # Building a sparse matrix by rows is a counting sort, several times faster than argsort.
    from scipy.sparse import coo_array

    n = len(group)
    columns = np.arange(n, dtype=np.int32)
    rows = coo_array((np.ones(n, dtype=np.int8), (group, columns)), shape=(n_groups, max(n, 1)))
    return np.asarray(rows.tocsr().indices, dtype=np.int32)


def minimum_distance(
    positions: NDArray[np.float64], cell: NDArray[np.float64], periodic: NDArray[np.bool_]
) -> float:
    """Shortest distance between two atoms or an atom and an image of itself, in Å.

    Infinite for a single isolated atom.
    """
    n_atoms = len(positions)
    periodic = np.asarray(periodic, dtype=bool)
    if n_atoms < 2 and not periodic.any():
        return float("inf")
    # A radius that must hold a pair: the extent of the atoms or the shortest lattice vector.
    bounds = [float(np.linalg.norm(vector)) for vector in np.asarray(cell)[periodic]]
    if n_atoms > 1:
        bounds.append(float(np.linalg.norm(positions[1:] - positions[:1], axis=1).min()))
    bound = min(bounds)
    if bound == 0.0:
        return 0.0
    radius = min(bound, 3.0)
    while True:
        centre, neighbour, lattice = pairs(positions, cell, periodic, radius)
        if centre.size:
            vectors = positions[neighbour] + lattice @ np.asarray(cell) - positions[centre]
            return float(np.linalg.norm(vectors, axis=1).min())
        radius = min(2.0 * radius, bound * (1.0 + 1e-9)) if radius < bound else radius * 1.01
