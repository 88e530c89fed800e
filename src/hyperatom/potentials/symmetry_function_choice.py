"""Which symmetry functions: a regular pool, and the few of it that tell most about the data.

The pool follows Imbalzano et al., J. Chem. Phys. 148, 241730 (2018); with r_m = r_c / n^(m/n):

    centred   eta = 1 / r_m^2,  r_s = 0               m = 0 ... n
    shifted   eta = 1 / (r_m - r_(m+1))^2,  r_s = r_m  m = 1 ... n
    angular   as centred, zeta = 1, 4, 16, lambda = -1, 1

for each species of neighbours and each pair of them. Of the pool's values for the atoms of the
data, each function's in units of its own spread, CUR takes the columns that span most of the rest.
"""

from collections.abc import Sequence
from itertools import combinations_with_replacement, pairwise
from typing import Final

import jax
import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.geometry.neighbours import SlotsExceededError, find_neighbours, round_up
from hyperatom.potentials.features.cutoff_functions import CutoffFunction
from hyperatom.potentials.features.selection import selected_columns
from hyperatom.potentials.features.symmetry_functions import (
    AngularFunction,
    Function,
    RadialFunction,
    SymmetryFunctions,
)
from hyperatom.potentials.network_fit import scaling_of

Array = NDArray[np.float64]

LENGTHS: Final = 6
"""n: lengths between the cutoff and a n-th of it."""

EXPONENTS: Final = (1.0, 4.0, 16.0)
"""zeta of the angular functions."""

ENOUGH_ATOMS: Final = 2000
"""Atoms that the choice looks at, at most."""

BLOCK: Final = 32
"""Atoms whose functions are evaluated at a time."""


def pool(species: Sequence[int], cutoff: float, angular_cutoff: float) -> list[Function]:
    """Every function that may be chosen; species are atomic numbers, cutoffs in Å."""
    steps = np.arange(LENGTHS + 2) / LENGTHS
    radii = (cutoff / LENGTHS**steps).tolist()
    lengths = (angular_cutoff / LENGTHS ** steps[:-1]).tolist()
    centred = [(length**-2, 0.0) for length in radii[:-1]]
    shifted = [((far - near) ** -2, far) for far, near in pairwise(radii[1:])]
    return [
        *(
            RadialFunction(neighbour, eta, shift, cutoff)
            for neighbour in sorted(species)
            for eta, shift in (*centred, *shifted)
        ),
        *(
            AngularFunction(pair, length**-2, sign, zeta, angular_cutoff, narrow=False)
            for pair in combinations_with_replacement(sorted(species), 2)
            for length in lengths
            for zeta in EXPONENTS
            for sign in (-1.0, 1.0)
        ),
    ]


def chosen(
    functions: Sequence[Function],
    species: tuple[int, ...],
    configurations: Sequence[Configuration],
    n: int,
    seed: int,
) -> tuple[list[Function], int]:
    """`n` of the functions, in the order of the pool, and the number of atoms they were chosen by.

    Equal arguments, equal choice.
    """
    features = SymmetryFunctions(species, functions, CutoffFunction())
    order = np.random.default_rng(seed).permutation(len(configurations))
    seen: list[Configuration] = []
    for number in order:
        if sum(one.n_atoms for one in seen) >= ENOUGH_ATOMS:
            break
        seen.append(configurations[number])
    rows, kinds = values(features, seen)
    for kind, (shift, stretch) in enumerate(scaling_of(rows, kinds, len(species))):
        rows[kinds == kind] = (rows[kinds == kind] - shift) * stretch
    columns = selected_columns(rows, n, "cur")
    return [functions[column] for column in columns], len(rows)


def values(
    features: SymmetryFunctions, configurations: Sequence[Configuration]
) -> tuple[Array, NDArray[np.int64]]:
    """Functions of all atoms (n_atoms, n_features), and their species (n_atoms,) from zero."""
    of_number = {number: kind for kind, number in enumerate(features.species)}
    compiled = jax.jit(features, static_argnums=1)
    slots = (0,) * len(features.species)
    rows, kinds = [], []
    for here in configurations:
        species = np.array([of_number[number] for number in here.numbers.tolist()])
        cell = here.cell, here.periodic
        arguments = (here.positions, *cell, species, len(features.species), features.cutoff)
        try:
            neighbours = find_neighbours(*arguments, slots)
        except SlotsExceededError as exceeded:
            slots = tuple(
                max(room, round_up(need)) for room, need in zip(slots, exceeded.needed, strict=True)
            )
            neighbours = find_neighbours(*arguments, slots)
        planes = here.positions.T
        vectors = planes[:, neighbours.index] + neighbours.shift - planes[:, :, None]
        for start in range(0, here.n_atoms, BLOCK):
            part = vectors[:, start : start + BLOCK]
            block = np.zeros((3, BLOCK, part.shape[2]))
            block[0] = 2.0 * features.cutoff
            block[:, : part.shape[1]] = part
            with jax.enable_x64(True):
                rows.append(np.asarray(compiled(block, neighbours.slots))[: part.shape[1]])
        kinds.append(species)
    return np.concatenate(rows), np.concatenate(kinds)
