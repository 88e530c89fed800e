"""Wide neighbour lists: far beyond the cutoff, to take the lists that are needed out of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.geometry.cells import complete_cell
from hyperatom.geometry.neighbours import in_slots, inside_cell, pairs_inside, pairs_of_copies

LATTICE_BITS = 10
"""Of a whole number of lattice vectors, -511 to 511, in a packed translation."""

LATTICE_ORIGIN = 1 << (LATTICE_BITS - 1)
"""What zero lattice vectors are written as."""


@dataclass(frozen=True, eq=False)
class WideNeighbours:
    """All neighbours of all atoms far beyond the cutoff, in little memory, to be narrowed.

    Positions are taken relative to `translations`, those that lead out of the cell:
    r_ij = x_j + lattice - x_i with x = positions - translations @ box.

    | field          | shape              | meaning                                                |
    |----------------|--------------------|--------------------------------------------------------|
    | `index`        | (n_atoms, n_slots) | as in `Neighbours`                                     |
    | `lattice`      | (n_atoms, n_slots) | lattice translation, packed by `packed`                |
    | `reverse`      | (n_atoms, n_slots) | as in `Neighbours`                                     |
    | `translations` | (n_atoms, 3)       | whole numbers of lattice vectors                       |
    | `box`          | (3, 3)             | complete cell, Å                                       |
    | `slots`        | (n_species,)       | number of slots of each neighbour species              |

    A slot without a neighbour holds the atom itself, 511 lattice vectors away.
    """

    index: Any
    lattice: Any
    reverse: Any
    translations: Any
    box: Any
    slots: tuple[int, ...]


def packed(lattice: NDArray[np.int32]) -> NDArray[np.int32]:
    """Three whole numbers of lattice vectors in one: (n, 3) to (n,).

        sum over a of (lattice[a] + 512) 1024^a

    Raises `InputError` where one is beyond 511.
    """
    if lattice.size and max(lattice.max(), -lattice.min()) >= LATTICE_ORIGIN:
        raise InputError(
            f"Neighbours are up to {max(lattice.max(), -lattice.min())} lattice vectors apart.",
            "Repeat the cell along its short lattice vectors.",
        )
    weights = np.array([1 << (LATTICE_BITS * axis) for axis in range(3)], dtype=np.int32)
    code: NDArray[np.int32] = lattice @ weights + LATTICE_ORIGIN * weights.sum(dtype=np.int32)
    return code


def find_wide_neighbours(
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    periodic: NDArray[np.bool_],
    species: NDArray[np.int64],
    n_species: int,
    reach: float,
    capacity: tuple[int, ...] | None = None,
    n_copies: int = 1,
) -> WideNeighbours:
    """Neighbours of every atom within `reach`; arguments and errors as in `find_neighbours`."""
    inside, translations = inside_cell(positions, cell, periodic)
    i, j, lattice = pairs_of_copies(inside, cell, periodic, reach, n_copies, pairs_inside)
    found = in_slots(i, j, species, n_species, capacity)
    code = packed(lattice)
    zero, far = packed(np.array([[0, 0, 0], [LATTICE_ORIGIN - 1, 0, 0]], dtype=np.int32))
    codes = np.full(found.index.size, far, dtype=np.int32)
    codes[found.there] = code
    codes[found.back] = 2 * zero - code
    return WideNeighbours(
        found.index,
        codes.reshape(found.index.shape),
        found.reverse,
        translations.astype(np.int32),
        complete_cell(cell, periodic),
        found.slots,
    )
