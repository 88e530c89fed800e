"""Energy, forces and stress of any potential that is a sum of local atomic energies.

    E = sum_i e_i({r_ij}),   g_ij = d e_i / d r_ij,   F_i = sum_j g_ij - sum_j g_ji,
    V stress = sum_ij r_ij (x) g_ij

An atomic energy sees an atom through the vectors to its neighbours and nothing else, so it is
differentiated with respect to these vectors, a block of atoms at a time: the intermediates of a
block stay in the cache, and the cost per atom does not grow with the number of atoms. The forces
then gather each pair's gradient from both of its ends.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import hyperatom.geometry.narrow_neighbours  # noqa: F401 (makes Neighbours a tree of arrays)
from hyperatom.evaluation import VOIGT, VOIGT_MATRIX
from hyperatom.fence import fenced
from hyperatom.geometry.neighbours import Neighbours

AtomicEnergy = Callable[[Any, jax.Array, jax.Array, tuple[int, ...]], jax.Array]
"""(parameters, displacements (3, n_block, n_slots), central_species (n_block,), slots) -> energies

Energies (n_block,) in eV, displacements in Å. It must not feel a neighbour at or beyond the cutoff
for which the neighbour lists are made.
"""

BLOCK = 24
"""Atoms differentiated at a time on a CPU."""


class LocalEnergy(NamedTuple):
    """What `energy_forces_virial` returns.

    | field      | shape        | unit | meaning                                              |
    |------------|--------------|------|------------------------------------------------------|
    | `energy`   | scalar       | eV   | sum of the atomic energies                           |
    | `energies` | (n_atoms,)   | eV   | atomic energies                                      |
    | `forces`   | (n_atoms, 3) | eV/Å | minus the gradient of `energy`                       |
    | `virial`   | (6,)         | eV   | volume x stress: tension positive, xx yy zz yz xz xy |
    """

    energy: jax.Array
    energies: jax.Array
    forces: jax.Array
    virial: jax.Array

    def of_dynamics(self) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Energy, forces and the virial as a matrix (3, 3), as the compiled loop takes them."""
        return self.energy, self.forces, self.virial[VOIGT_MATRIX]


def energy_and_forces(
    atomic_energy: AtomicEnergy,
    parameters: Any,
    positions: jax.Array,
    central_species: jax.Array,
    neighbours: Neighbours,
    block: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Energy (eV) and forces (n_atoms, 3) in eV/Å, in the precision of `positions`.

    `positions` (n_atoms, 3) in Å are those the neighbours were found for, or moved a little since.
    `central_species` (n_atoms,) counts from zero. `block` is the number of atoms at a time.
    """
    planes = positions.T
    energies, gradients, _ = _pair_gradients(
        atomic_energy, parameters, planes, central_species, neighbours, block
    )
    return energies.sum(), _forces(gradients, neighbours).T


def energy_forces_virial(
    atomic_energy: AtomicEnergy,
    parameters: Any,
    positions: jax.Array,
    central_species: jax.Array,
    neighbours: Neighbours,
    block: int | None = None,
) -> LocalEnergy:
    """Energy, forces and virial; arguments as in `energy_and_forces`."""
    planes = positions.T
    energies, gradients, virial = _pair_gradients(
        atomic_energy, parameters, planes, central_species, neighbours, block
    )
    voigt = 0.5 * (virial + virial.T)[VOIGT]
    return LocalEnergy(energies.sum(), energies, _forces(gradients, neighbours).T, voigt)


def _pair_gradients(
    atomic_energy: AtomicEnergy,
    parameters: Any,
    planes: jax.Array,
    central_species: jax.Array,
    neighbours: Neighbours,
    block: int | None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    # Atomic energies (n_atoms,), their gradients (3, n_atoms, n_slots) with respect to r_ij, and
    # sum_ij r_ij (x) g_ij (3, 3), which is summed while a block's displacements are at hand.
    n_atoms, n_slots = neighbours.index.shape
    index = jnp.asarray(neighbours.index)
    shift = jnp.asarray(neighbours.shift, dtype=planes.dtype)
    size = _block_size(n_atoms, block)
    n_blocks = -(-n_atoms // size)

    def of_block(start: Any, first: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        own = jax.lax.dynamic_slice(planes, (0, start), (3, size))
        others = planes[:, jax.lax.dynamic_slice(index, (start, 0), (size, n_slots))]
        displacements = (
            others
            + jax.lax.dynamic_slice(shift, (0, start, 0), (3, size, n_slots))
            - own[:, :, None]
        )
        species = jax.lax.dynamic_slice(central_species, (start,), (size,))
        energies, gradients = differentiate(displacements, species)
        fresh = jnp.arange(size)[:, None] >= first - start
        virial = jnp.einsum("aij,bij->ab", displacements, jnp.where(fresh, gradients, 0.0))
        return energies, gradients, virial

    @fenced
    def differentiate(displacements: jax.Array, species: jax.Array) -> tuple[jax.Array, jax.Array]:
        def total(vectors: jax.Array) -> tuple[jax.Array, jax.Array]:
            energies = atomic_energy(parameters, vectors, species, neighbours.slots)
            return energies.sum(), energies

        gradients, energies = jax.grad(total, has_aux=True)(displacements)
        return energies, gradients

    if n_blocks == 1:
        return of_block(0, 0)

    Results = tuple[jax.Array, jax.Array, jax.Array]

    def step(number: jax.Array, results: Results) -> Results:
        # The last block begins early where the blocks do not fill up: its first rows are computed
        # twice and come out the same; the virial alone must not count them twice.
        start = jnp.minimum(number * size, n_atoms - size)
        energies, gradients, virial = of_block(start, number * size)
        return (
            jax.lax.dynamic_update_slice(results[0], energies, (start,)),
            jax.lax.dynamic_update_slice(results[1], gradients, (0, start, 0)),
            results[2] + virial,
        )

    zeros = (
        jnp.zeros(n_atoms, dtype=planes.dtype),
        jnp.zeros((3, n_atoms, n_slots), dtype=planes.dtype),
        jnp.zeros((3, 3), dtype=planes.dtype),
    )
    results: Results = jax.lax.fori_loop(0, n_blocks, step, zeros)
    return results


def _forces(gradients: jax.Array, neighbours: Neighbours) -> jax.Array:
    # F_i = sum_j g_ij - sum_j g_ji, (3, n_atoms); g_ji is found through the reverse slot.
    reverse = jnp.asarray(neighbours.reverse)
    returned = gradients.reshape(3, -1)[:, reverse]
    return (gradients - returned).sum(axis=2)


def _block_size(n_atoms: int, block: int | None) -> int:
    # Blocks as equal as possible, so that little is computed twice.
    if block is None:
        # A GPU has no use for blocks: one launch for all atoms.
        block = BLOCK if jax.default_backend() == "cpu" else n_atoms
    n_blocks = max(1, -(-n_atoms // max(1, block)))
    return -(-n_atoms // n_blocks)
