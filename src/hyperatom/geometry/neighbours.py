"""Neighbour lists: for every atom the atoms within a cutoff, sorted by species, in fixed slots."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.geometry.cells import complete_cell, lattice_translations

Pairs = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]

SLOT_MULTIPLE = 8
"""Slots come in multiples of this: a vector register is filled, and few shapes are compiled."""

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
    positions = np.asarray(positions, dtype=np.float64)
    inside, translations = inside_cell(positions, cell, periodic)
    i, j, lattice = pairs_inside(inside, cell, periodic, cutoff)
    if translations.any():
        translations = translations.astype(np.int32)
        lattice = lattice + translations[i] - translations[j]
    return i, j, lattice


def pairs_inside(
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    periodic: NDArray[np.bool_],
    cutoff: float,
) -> Pairs:
    """As `pairs`, for positions inside the cell: atoms that left it cost a pass over all pairs."""
    from vesin import NeighborList

    periodic = np.asarray(periodic, dtype=bool)
    finder = NeighborList(cutoff=cutoff, full_list=False, n_threads=1)
    i, j, lattice = finder.compute(
        positions, complete_cell(cell, periodic), periodic, quantities="ijS"
    )
    return i.astype(np.int32), j.astype(np.int32), lattice.astype(np.int32, copy=False)


def inside_cell(
    positions: NDArray[np.float64], cell: NDArray[np.float64], periodic: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Positions inside the cell, (n_atoms, 3) in Å, and the translations taken off them.

    Raises `InputError` for positions that are not finite.
    """
    if not np.isfinite(positions).all():
        raise InputError(
            "A neighbour list was asked for positions that are not finite.",
            "Look for overlapping atoms or too long a time step.",
        )
    translations = lattice_translations(positions, cell, periodic)
    return positions - translations @ complete_cell(cell, periodic), translations


def pairs_of_copies(
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    periodic: NDArray[np.bool_],
    cutoff: float,
    n_copies: int,
    find: Callable[..., Pairs] = pairs,
) -> Pairs:
    """The pairs of stacked copies of the atoms that do not see each other; as `find` otherwise.

    Raises `InputError` where so many copies would not fit into memory.
    """
    if n_copies == 1:
        return find(positions, cell, periodic, cutoff)
    copies = np.reshape(positions, (n_copies, -1, 3))
    first_found = find(copies[0], cell, periodic, cutoff)
    needed, memory = 2.0 * PAIR_BYTES * n_copies * len(first_found[0]), physical_memory()
    if needed > memory:
        raise InputError(
            f"{n_copies} copies of {copies.shape[1]} atoms need about {needed / 1e9:.0f} GB for "
            f"their neighbours; this machine has {memory / 1e9:.0f} GB.",
            f"Use at most {int(n_copies * memory / needed)} beads.",
        )
    found = [first_found, *(find(copy, cell, periodic, cutoff) for copy in copies[1:])]
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
    i, j, lattice = pairs_of_copies(positions, cell, periodic, cutoff, n_copies)
    found = in_slots(i, j, species, n_species, capacity)
    shift = np.zeros((3, found.index.size))
    shift[0] = 2.0 * cutoff
    for plane, components in zip(shift, complete_cell(cell, periodic).T, strict=True):
        part = lattice @ components
        plane[found.there] = part
        plane[found.back] = -part
    return Neighbours(found.index, shift.reshape(3, *found.index.shape), found.reverse, found.slots)


@dataclass(frozen=True, eq=False)
class Slotted:
    """Pairs, each seen from both of its ends, in the slots of their atoms.

    | field     | shape              | meaning                                                     |
    |-----------|--------------------|-------------------------------------------------------------|
    | `index`   | (n_atoms, n_slots) | as in `Neighbours`                                          |
    | `reverse` | (n_atoms, n_slots) | as in `Neighbours`                                          |
    | `there`   | (n_pairs,)         | flat slot of each pair seen from i                          |
    | `back`    | (n_pairs,)         | flat slot of each pair seen from j                          |
    | `slots`   | (n_species,)       | number of slots of each neighbour species                   |
    """

    index: NDArray[np.int32]
    reverse: NDArray[np.int32]
    there: NDArray[np.int32]
    back: NDArray[np.int32]
    slots: tuple[int, ...]


def in_slots(
    i: NDArray[np.int32],
    j: NDArray[np.int32],
    species: NDArray[np.int64],
    n_species: int,
    capacity: tuple[int, ...] | None,
) -> Slotted:
    """Pairs i, j (n_pairs,) in slots; other arguments and errors as in `find_neighbours`."""
    species = np.asarray(species, dtype=np.int32)
    n_atoms, n_pairs = len(species), len(i)
    centre = np.concatenate([i, j])
    neighbour = np.concatenate([j, i])

    # Pairs grouped by centre and species of the neighbour, with a counting sort.
    group = centre * np.int32(n_species) + species[neighbour]
    counts = np.bincount(group, minlength=n_atoms * n_species).astype(np.int32)
    needed = tuple(int(n) for n in counts.reshape(n_atoms, n_species).max(axis=0, initial=0))
    if capacity is None:
        capacity = tuple(round_up(n) for n in needed)
    if any(n > room for n, room in zip(needed, capacity, strict=True)):
        raise SlotsExceededError(needed, capacity)

    # The slot of the first pair of each group, and of every pair behind it.
    n_slots = sum(capacity)
    offset = np.cumsum(capacity, dtype=np.int32) - np.asarray(capacity, dtype=np.int32)
    first_slot = (np.arange(n_atoms, dtype=np.int32)[:, None] * np.int32(n_slots) + offset).ravel()
    first_pair = np.cumsum(counts, dtype=np.int32) - counts
    slot_in_order = np.repeat(first_slot - first_pair, counts)
    slot_in_order += np.arange(2 * n_pairs, dtype=np.int32)
    slot = np.empty(2 * n_pairs, dtype=np.int32)
    slot[_counting_sort(group, len(counts))] = slot_in_order
    there, back = slot[:n_pairs], slot[n_pairs:]

    index = np.repeat(np.arange(n_atoms, dtype=np.int32), n_slots)
    index[slot] = neighbour
    reverse = np.arange(n_atoms * n_slots, dtype=np.int32)
    reverse[there] = back
    reverse[back] = there
    shape = (n_atoms, n_slots)
    return Slotted(index.reshape(shape), reverse.reshape(shape), there, back, tuple(capacity))


def physical_memory() -> float:
    """Bytes of memory of this machine; infinite where it does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return float("inf")


def round_up(count: int) -> int:
    """The next multiple of `SLOT_MULTIPLE`."""
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
