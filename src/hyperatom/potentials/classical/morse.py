"""The Morse potential (Morse 1929)."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from hyperatom.potentials.classical.pair_sum import Truncation, pair_potential
from hyperatom.potentials.compiled_potential import CompiledPotential


def morse(
    species: Sequence[int],
    depth: ArrayLike,
    stiffness: ArrayLike,
    minimum: ArrayLike,
    cutoff: ArrayLike,
    truncation: Truncation = "switched",
    switch_from: ArrayLike | None = None,
    precision: str = "float64",
    block: int | None = None,
) -> CompiledPotential:
    """phi(r) = D [exp(-2 a (r - r0)) - 2 exp(-a (r - r0))].

    | argument      | shape                  | unit | meaning                                    |
    |---------------|------------------------|------|--------------------------------------------|
    | `species`     | (n_species,)           | -    | atomic numbers, in the order of the tables |
    | `depth`       | (n_species, n_species) | eV   | D, or one for all pairs                    |
    | `stiffness`   | (n_species, n_species) | 1/Å  | a                                          |
    | `minimum`     | (n_species, n_species) | Å    | r0                                         |
    | `cutoff`      | (n_species, n_species) | Å    | where `truncation` ends it                 |
    | `switch_from` | (n_species, n_species) | Å    | where `switched` begins; 0.85 cutoff       |

    LAMMPS' morse (D0, alpha, r0) is `cut`, with `pair_modify shift yes` it is `shifted`.
    """
    return pair_potential(
        "Morse",
        species,
        _energy,
        {"depth": depth, "stiffness": stiffness, "minimum": minimum},
        cutoff,
        truncation,
        switch_from,
        precision=precision,
        block=block,
    )


def _energy(pair: Mapping[str, jax.Array], distance: jax.Array) -> jax.Array:
    decay = jnp.exp(-pair["stiffness"] * (distance - pair["minimum"]))
    return pair["depth"] * decay * (decay - 2.0)
