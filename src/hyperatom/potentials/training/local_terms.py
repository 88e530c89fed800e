"""Atomic energies and their slopes while parameters change: what every loss is made of.

    e_i = e(theta, u_i),    q_i = d e_i / d u_i,    g_ij = q_i . d u_i / d r_ij

The inputs u_i of atom i are its displacements themselves (`DirectTerms`: any potential), features
that do not change while the potential is trained (`FeatureTerms`: they and their slopes
d u_i / d r_ij are computed once, and the triple sums over neighbours are never differentiated
twice), or the density of its neighbours (`DensityTerms`, in a file of its own).

Forces inside a loss need the derivative of q with respect to theta. For weights a_i of e_i and b_i
of q_i it is

    d/dtheta sum_i [ a_i e_i + b_i . q_i ] = d/dtheta sum_i [ a_i e_i + d/dt e(theta, u_i + t b_i) ]

one derivative forward and one backward, a block of atoms at a time: nothing outlives a block, where
two derivatives backward would store all intermediates of all atoms.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from hyperatom.potentials.local_energy import BLOCK, AtomicEnergy

Readout = Callable[[Any, jax.Array, jax.Array], jax.Array]
"""(parameters, features (n_block, n_features), central_species (n_block,)) -> energies, eV."""


class LocalTerms(Protocol):
    """A potential that is being trained."""

    @property
    def species(self) -> tuple[int, ...]:
        """Atomic numbers, in the order in which slots and `central_species` count them."""
        ...

    @property
    def cutoff(self) -> float:
        """How far an atom sees, Å."""
        ...

    @property
    def block(self) -> int:
        """Atoms that are differentiated at a time."""
        ...

    def inputs(
        self, displacements: jax.Array, central_species: jax.Array, slots: tuple[int, ...]
    ) -> tuple[jax.Array, jax.Array | None]:
        """u of each atom (n_block, ...), and du/dr (n_block, n_features, 3 n_slots) or None.

        `displacements` (3, n_block, n_slots) in Å. None: u are the displacements, and du/dr is one.
        """
        ...

    def energies(
        self,
        parameters: Any,
        inputs: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """e of each atom, (n_block,), eV."""
        ...

    def gradients(
        self,
        slopes: jax.Array,
        stored: jax.Array | None,
        displacements: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """g of each pair, (3, n_atoms, n_slots), eV/Å, differentiable once in `slopes`.

        `slopes` (n_atoms, ...) are q, and `stored` is du/dr as `inputs` gave it.
        """
        ...


@dataclass(frozen=True)
class DirectTerms:
    """Any atomic energy whose parameters may sit anywhere in it."""

    species: tuple[int, ...]
    cutoff: float
    atomic_energy: AtomicEnergy
    block: int = BLOCK

    def inputs(
        self, displacements: jax.Array, central_species: jax.Array, slots: tuple[int, ...]
    ) -> tuple[jax.Array, None]:
        """The displacements, (n_block, 3, n_slots)."""
        del central_species, slots
        return displacements.transpose(1, 0, 2), None

    def energies(
        self,
        parameters: Any,
        inputs: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """See `LocalTerms`."""
        return self.atomic_energy(parameters, inputs.transpose(1, 0, 2), central_species, slots)

    def gradients(
        self,
        slopes: jax.Array,
        stored: jax.Array | None,
        displacements: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """q itself."""
        del stored, displacements, slots
        return slopes.transpose(1, 0, 2)


@dataclass(frozen=True)
class FeatureTerms:
    """Features that do not change, and a `readout` that does.

    `features` takes (displacements, slots) as in `Features`, or (displacements, central_species,
    slots) where `of_centre`. Memory: 24 n_features n_slots bytes an atom in double precision; look
    at `slope_bytes` before a large set, and take `DirectTerms` where they do not fit.
    """

    species: tuple[int, ...]
    cutoff: float
    n_features: int
    features: Callable[..., jax.Array]
    readout: Readout
    of_centre: bool = False
    # A network is a product of small matrices: the more atoms at a time, the better.
    block: int = 1024

    def inputs(
        self, displacements: jax.Array, central_species: jax.Array, slots: tuple[int, ...]
    ) -> tuple[jax.Array, jax.Array]:
        """Features (n_block, n_features) and their slopes (n_block, n_features, 3 n_slots).

        One derivative backward for each feature, a few atoms at a time.
        """
        n_atoms, n_slots = displacements.shape[1:]

        def of_block(vectors: jax.Array, central: jax.Array) -> jax.Array:
            given = (vectors, central, slots) if self.of_centre else (vectors, slots)
            values: jax.Array = self.features(*given)
            return values

        def of_atoms(given: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            vectors, central = given
            values, pull = jax.vjp(lambda v: of_block(v, central), vectors)
            # All atoms at once: no feature of an atom sees the displacements of another.
            seeds = jnp.eye(self.n_features, dtype=values.dtype)

            def row(seed: jax.Array) -> jax.Array:
                slope: jax.Array = pull(jnp.broadcast_to(seed, values.shape))[0]
                return slope

            slopes: jax.Array = jax.lax.map(row, seeds)
            return values, slopes.transpose(2, 0, 1, 3)

        size = min(SLOPE_BLOCK, n_atoms)
        n_blocks = -(-n_atoms // size)
        # Equal blocks; the last begins early, so that some atoms are computed twice, the same.
        starts = [min(number * size, n_atoms - size) for number in range(n_blocks)]
        blocks = jnp.stack([displacements[:, start : start + size] for start in starts])
        central = jnp.stack([central_species[start : start + size] for start in starts])
        values, slopes = jax.lax.map(of_atoms, (blocks, central))
        joined, gradients = values[0], slopes[0]
        if n_blocks > 1:
            fresh = size - (n_blocks * size - n_atoms)
            joined = jnp.concatenate([*values[:-1], values[-1][size - fresh :]])
            gradients = jnp.concatenate([*slopes[:-1], slopes[-1][size - fresh :]])
        return joined, gradients.reshape(n_atoms, self.n_features, 3 * n_slots)

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
        """One product of matrices."""
        del slots
        assert stored is not None
        found = jnp.einsum("if,ifs->is", slopes, stored)
        return found.reshape(len(slopes), 3, displacements.shape[2]).transpose(1, 0, 2)

    def slope_bytes(self, n_atoms: int, n_slots: int, precision: str = "float64") -> int:
        """Memory of the slopes of so many atoms with so many neighbour slots, bytes."""
        return n_atoms * self.n_features * 3 * n_slots * jnp.dtype(precision).itemsize


def equal_blocks(n_atoms: int, block: int) -> int:
    """Size of blocks of at most `block` atoms, as equal as possible, so that little is padded."""
    return -(-n_atoms // max(1, -(-n_atoms // block)))


SLOPE_BLOCK = 16
"""Atoms whose features are differentiated at a time."""


def energies_and_slopes(
    terms: LocalTerms,
    parameters: Any,
    inputs: jax.Array,
    central_species: jax.Array,
    slots: tuple[int, ...],
) -> tuple[jax.Array, jax.Array]:
    """e (n_blocks, n_block) and q of blocks of atoms, differentiable once in the parameters.

    `inputs` (n_blocks, n_block, ...) and `central_species` (n_blocks, n_block); q as `inputs`.
    """

    def energies(tree: Any, block: jax.Array, central: jax.Array) -> jax.Array:
        return terms.energies(tree, block, central, slots)

    @jax.custom_vjp
    def both(tree: Any, blocks: jax.Array, central: jax.Array) -> tuple[jax.Array, jax.Array]:
        def of_block(given: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            def total(block: jax.Array) -> tuple[jax.Array, jax.Array]:
                values = energies(tree, block, given[1])
                return values.sum(), values

            slopes, values = jax.grad(total, has_aux=True)(given[0])
            return values, slopes

        result: tuple[jax.Array, jax.Array] = _over_blocks(of_block, (blocks, central))
        return result

    def forward(tree: Any, blocks: jax.Array, central: jax.Array) -> tuple[Any, Any]:
        return both(tree, blocks, central), (tree, blocks, central)

    def backward(saved: Any, weights: tuple[jax.Array, jax.Array]) -> tuple[Any, None, None]:
        tree, blocks, central = saved

        def of_block(given: Any) -> Any:
            block, own, of_energies, of_slopes = given

            def weighted(changed: Any) -> jax.Array:
                values, along = jax.jvp(lambda u: energies(changed, u, own), (block,), (of_slopes,))
                return jnp.asarray(jnp.vdot(of_energies, values) + along.sum())

            return jax.grad(weighted)(tree)

        given = (blocks, central, *weights)
        if len(blocks) == 1:
            return of_block(jax.tree.map(lambda a: a[0], given)), None, None

        def add(total: Any, one: Any) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, of_block(one)), None

        total, _ = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, tree), given)
        return total, None, None

    both.defvjp(forward, backward)
    result: tuple[jax.Array, jax.Array] = both(parameters, inputs, central_species)
    return result


def _over_blocks(function: Any, blocks: Any) -> Any:
    if len(blocks[0]) == 1:
        return jax.tree.map(lambda a: a[None], function(jax.tree.map(lambda a: a[0], blocks)))
    return jax.lax.map(function, blocks)


@jax.custom_vjp
def seen_from_the_other_side(gradients: jax.Array, reverse: jax.Array) -> jax.Array:
    """g_ji in the slot of g_ij; `gradients` (3, n_atoms, n_slots), `reverse` (n_atoms, n_slots).

    The pairs change places two by two, so the transpose of this map is the map itself: a gather,
    where the transpose of a gather in general is a scatter, which runs one number at a time.
    """
    other: jax.Array = gradients.reshape(3, -1)[:, reverse]
    return other


def _forward(gradients: jax.Array, reverse: jax.Array) -> tuple[jax.Array, jax.Array]:
    return seen_from_the_other_side(gradients, reverse), reverse


def _backward(reverse: jax.Array, weights: jax.Array) -> tuple[jax.Array, None]:
    return seen_from_the_other_side(weights, reverse), None


seen_from_the_other_side.defvjp(_forward, _backward)
