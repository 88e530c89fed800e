"""Potentials of the neighbour density in training: the density stays, its slopes are not stored.

    u_i = A_i,    g_ij = q_i . dA_i / dr_ij

The density is computed once. Its slopes would be large: they are applied, backward to get forces
and forward to get the derivatives of forces with respect to parameters, a block of atoms at a time.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from hyperatom.potentials.features.density import RadialFunctions, neighbour_density
from hyperatom.potentials.training.local_terms import Readout, equal_blocks


@dataclass(frozen=True)
class DensityTerms:
    """A `readout` of the density, flattened to (n_block, n_channels x n_lm).

    `radial` and `max_degree` as in `neighbour_density`, `cutoff` in Å.
    """

    species: tuple[int, ...]
    cutoff: float
    radial: RadialFunctions
    max_degree: int
    readout: Readout
    # Rows of the readout are as long as a block: long enough for vector instructions, short enough
    # for the cache.
    block: int = 64

    def inputs(
        self, displacements: jax.Array, central_species: jax.Array, slots: tuple[int, ...]
    ) -> tuple[jax.Array, None]:
        """The density of each atom; see `LocalTerms`."""
        del central_species
        return self._flat_density(displacements, slots), None

    def energies(
        self,
        parameters: Any,
        inputs: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """See `LocalTerms`."""
        del slots
        return self.readout(parameters, inputs, central_species)

    def gradients(
        self,
        slopes: jax.Array,
        stored: jax.Array | None,
        displacements: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """See `LocalTerms`."""
        del stored
        n_atoms = displacements.shape[1]
        size = equal_blocks(n_atoms, self.block)

        def backward(slope: jax.Array, vectors: jax.Array) -> jax.Array:
            pull = jax.vjp(lambda r: self._flat_density(r, slots), vectors)[1]
            return jnp.asarray(pull(slope)[0])

        def forward(weights: jax.Array, vectors: jax.Array) -> jax.Array:
            # `backward` is linear: the derivative of its derivative is the way forward.
            nothing = jnp.zeros((size, slopes.shape[1]), slopes.dtype)
            return jnp.asarray(jax.vjp(lambda q: backward(q, vectors), nothing)[1](weights)[0])

        blocks = displacements.reshape(3, -1, size, displacements.shape[2]).swapaxes(0, 1)

        @jax.custom_vjp
        def pairs(slopes: jax.Array) -> jax.Array:
            given = (slopes.reshape(-1, size, slopes.shape[1]), blocks)
            found = jax.lax.map(lambda one: backward(*one), given)
            return jnp.asarray(found.swapaxes(0, 1).reshape(displacements.shape))

        def again(slopes: jax.Array) -> tuple[jax.Array, tuple[int, ...]]:
            return pairs(slopes), ()

        def turned(nothing: tuple[int, ...], weights: jax.Array) -> tuple[jax.Array]:
            del nothing
            given = (weights.reshape(blocks.shape[1], -1, *blocks.shape[2:]).swapaxes(0, 1), blocks)
            return (jax.lax.map(lambda one: forward(*one), given).reshape(slopes.shape),)

        pairs.defvjp(again, turned)
        result: jax.Array = pairs(slopes)
        return result

    def _flat_density(self, displacements: jax.Array, slots: tuple[int, ...]) -> jax.Array:
        density = neighbour_density(self.radial, self.max_degree, slots, displacements)
        return density.reshape(len(density), -1)
