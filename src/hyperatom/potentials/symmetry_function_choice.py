"""Which symmetry functions: a regular pool, and the few of it that tell most about the data.

The pool follows Imbalzano et al., J. Chem. Phys. 148, 241730 (2018); with r_m = r_c / n^(m/n):

    centred   eta = 1 / r_m^2,  r_s = 0               m = 0 ... n
    shifted   eta = 1 / (r_m - r_(m+1))^2,  r_s = r_m  m = 1 ... n
    angular   as centred, zeta = 1, 4, 16, lambda = -1, 1

for each species of neighbours and each pair of them. Of the pool's values for the atoms of the
data, each function's in units of its own spread, CUR takes the columns that span most of the rest.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations_with_replacement, pairwise
from typing import Final

import jax
import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.potentials.compiled_potential import CompiledModel
from hyperatom.potentials.features.cutoff_functions import CutoffFunction
from hyperatom.potentials.features.selection import selected_columns
from hyperatom.potentials.features.symmetry_functions import (
    AngularFunction,
    Function,
    RadialFunction,
    SymmetryFunctions,
)
from hyperatom.potentials.many_configurations import (
    BLOCK,
    displacements_of,
    filled_up,
    with_neighbours,
)
from hyperatom.potentials.network_fit import scaling_of

Array = NDArray[np.float64]

LENGTHS: Final = 6
"""n: lengths between the cutoff and a n-th of it."""

EXPONENTS: Final = (1.0, 4.0, 16.0)
"""zeta of the angular functions."""

ENOUGH_ATOMS: Final = 2000
"""Atoms that the choice looks at, at most."""


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
    features = _together(species, tuple(functions))
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
    model = CompiledModel(features.species, features.cutoff, None)
    rows, kinds = [], []
    for here, species, neighbours in with_neighbours(model, configurations):
        vectors = displacements_of(neighbours, here.positions)
        for start in range(0, here.n_atoms, BLOCK):
            part = vectors[:, start : start + BLOCK]
            block = filled_up(part, BLOCK, features.cutoff)
            with jax.enable_x64(True):
                found = _compiled(features, block, neighbours.slots)
            rows.append(np.asarray(found)[: part.shape[1]])
        kinds.append(species)
    return np.concatenate(rows), np.concatenate(kinds)


@lru_cache(maxsize=4)
def _together(species: tuple[int, ...], functions: tuple[Function, ...]) -> SymmetryFunctions:
    # One object for equal functions: what is compiled for it serves every choice of a guide.
    return SymmetryFunctions(species, functions, CutoffFunction())


_compiled = jax.jit(lambda features, block, slots: features(block, slots), static_argnums=(0, 2))
