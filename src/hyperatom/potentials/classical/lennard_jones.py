"""The Lennard-Jones potential (Lennard-Jones 1924, 1931)."""

from collections.abc import Mapping, Sequence

import jax
from numpy.typing import ArrayLike

from hyperatom.potentials.classical.pair_sum import Truncation, pair_potential
from hyperatom.potentials.compiled_potential import CompiledPotential


def lennard_jones(
    species: Sequence[int],
    epsilon: ArrayLike,
    sigma: ArrayLike,
    cutoff: ArrayLike,
    truncation: Truncation = "switched",
    switch_from: ArrayLike | None = None,
    precision: str = "float64",
    block: int | None = None,
) -> CompiledPotential:
    """phi(r) = 4 epsilon [(sigma/r)^12 - (sigma/r)^6].

    | argument      | shape                  | unit | meaning                                    |
    |---------------|------------------------|------|--------------------------------------------|
    | `species`     | (n_species,)           | -    | atomic numbers, in the order of the tables |
    | `epsilon`     | (n_species, n_species) | eV   | depth of the well, or one for all pairs    |
    | `sigma`       | (n_species, n_species) | Å    | where phi is zero                          |
    | `cutoff`      | (n_species, n_species) | Å    | where `truncation` ends it                 |
    | `switch_from` | (n_species, n_species) | Å    | where `switched` begins; 0.85 cutoff       |

    LAMMPS' lj/cut is `cut`, with `pair_modify shift yes` it is `shifted`; lj/smooth/linear is
    `force-shifted`.
    """
    return pair_potential(
        "Lennard-Jones",
        species,
        _energy,
        {"epsilon": epsilon, "sigma": sigma},
        cutoff,
        truncation,
        switch_from,
        precision=precision,
        block=block,
    )


def _energy(pair: Mapping[str, jax.Array], distance: jax.Array) -> jax.Array:
    squared = (pair["sigma"] / distance) ** 2
    sixth = squared * squared * squared
    return 4.0 * pair["epsilon"] * sixth * (sixth - 1.0)
