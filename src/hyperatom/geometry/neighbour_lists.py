"""Makers of neighbour lists: all lists of one set of atoms have the same number of slots."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hyperatom.geometry.neighbours import (
    Neighbours,
    SlotsExceededError,
    find_neighbours,
    round_up,
)
from hyperatom.geometry.wide_neighbours import WideNeighbours, find_wide_neighbours

Found = TypeVar("Found")

CAPACITY_MARGIN = 1.15
"""Slots grow to this multiple of the need, so that a fluctuation does not compile again."""


class NeighbourLists:
    """Makes neighbour lists of one set of atoms in one cell, all with the same number of slots.

    Lists reach `skin` beyond the cutoff: one stays right until an atom has moved by skin/2. Wide
    lists reach `margin` further; `narrow` takes lists out of them on the way, which reach further
    where atoms are fast and less far where they are slow.
    The slots grow when they no longer suffice, by 15 % and to a multiple of 8, and never shrink.
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
        neighbours = self._find(
            find_neighbours, positions, cell, self.cutoff + self.skin, self.capacity
        )
        self.capacity = neighbours.slots
        return neighbours

    def make_wide(
        self, positions: NDArray[np.float64], cell: NDArray[np.float64] | None = None
    ) -> WideNeighbours:
        """A list that reaches cutoff + skin + margin; arguments as in `make`."""
        reach = self.cutoff + self.skin + self.margin
        if self.wide_capacity is None and self.capacity is not None:
            # As many more as there is more volume: a rule, so that equal runs have equal shapes.
            ratio = (reach / (self.cutoff + self.skin)) ** 3
            self.wide_capacity = tuple(round_up(round(ratio * n)) for n in self.capacity)
        wide = self._find(find_wide_neighbours, positions, cell, reach, self.wide_capacity)
        self.wide_capacity = wide.slots
        return wide

    def grow(self, needed: tuple[int, ...]) -> None:
        """Make room for as many neighbours of each species, where there is too little."""
        capacity = self.capacity or (0,) * self.n_species
        self.capacity = _grown(needed, capacity)

    def _find(
        self,
        find: Callable[..., Found],
        positions: NDArray[np.float64],
        cell: NDArray[np.float64] | None,
        reach: float,
        capacity: tuple[int, ...] | None,
    ) -> Found:
        cell = self.cell if cell is None else cell
        arguments = (positions, cell, self.periodic, self.species, self.n_species, reach)
        try:
            return find(*arguments, capacity, self.n_copies)
        except SlotsExceededError as exceeded:
            grown = _grown(exceeded.needed, exceeded.capacity)
            return find(*arguments, grown, self.n_copies)


def _grown(needed: tuple[int, ...], capacity: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(
        round_up(round(CAPACITY_MARGIN * n)) if n > room else room
        for n, room in zip(needed, capacity, strict=True)
    )
