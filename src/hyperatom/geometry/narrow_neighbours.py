"""Narrow neighbour lists out of a wide one, compiled: much cheaper than a new search for pairs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.fence import fenced
from hyperatom.geometry.neighbours import SLOT_MULTIPLE, Neighbours

jax.tree_util.register_dataclass(
    Neighbours, data_fields=["index", "shift", "reverse"], meta_fields=["slots"]
)


def narrow(
    wide: Neighbours,
    positions: jax.Array,
    reach: jax.Array,
    slots: tuple[int, ...],
    deformation: jax.Array | None = None,
) -> tuple[Neighbours, jax.Array]:
    """The pairs of a wide list that are within `reach`, in fewer slots, and whether they fit.

    | array         | shape        | unit | meaning                                                |
    |---------------|--------------|------|--------------------------------------------------------|
    | `positions`   | (n_atoms, 3) | Å    | anywhere the wide list is complete up to `reach`       |
    | `reach`       | scalar       | Å    | cutoff and skin of the narrow list                     |
    | `slots`       | (n_species,) | -    | slots of each species in the narrow list               |
    | `deformation` | (3, 3)       | -    | of the cell since the wide list: h = h_list deformation|

    Shifts stay those of the cell of the wide list. The second value is false where an atom has more
    neighbours than slots: the list is then wrong.
    """
    n_atoms, n_wide = wide.index.shape
    n_slots = sum(slots)
    shift = jnp.asarray(wide.shift, dtype=positions.dtype)
    now = shift if deformation is None else deformed(shift, deformation)
    near = _both_ways(_near(wide.index, now, positions.T, reach), wide.reverse)
    target, fits = fenced(partial(_targets, wide_slots=wide.slots, slots=slots))(near)
    source = fenced(partial(_sources, n_flat=n_atoms * n_slots))(target)

    taken = source < n_atoms * n_wide
    source = jnp.where(taken, source, 0)
    own = jnp.repeat(jnp.arange(n_atoms, dtype=jnp.int32), n_slots)
    empty = jnp.arange(n_atoms * n_slots, dtype=jnp.int32)
    beyond = jnp.array([2.0, 0.0, 0.0], dtype=positions.dtype)[:, None] * reach
    index = jnp.where(taken, wide.index.reshape(-1)[source], own)
    shift = jnp.where(taken, shift.reshape(3, -1)[:, source], beyond)
    reverse = jnp.where(taken, target[wide.reverse.reshape(-1)[source]], empty)
    shape = (n_atoms, n_slots)
    return Neighbours(
        index.reshape(shape), shift.reshape(3, *shape), reverse.reshape(shape), slots
    ), fits


def deformed(shift: jax.Array, deformation: jax.Array) -> jax.Array:
    """Shifts (3, n_atoms, n_slots) of a list, Å, after the cell has been deformed."""
    return jnp.einsum("aij,ab->bij", shift, deformation)


@fenced
def _near(index: jax.Array, shift: jax.Array, planes: jax.Array, reach: jax.Array) -> jax.Array:
    """Which slots hold a pair within reach, (n_atoms, n_wide)."""
    x, y, z = (planes[k][index] + shift[k] - planes[k][:, None] for k in range(3))
    return x * x + y * y + z * z < reach * reach


@fenced
def _both_ways(near: jax.Array, reverse: jax.Array) -> jax.Array:
    # Round-off must not keep a pair on one side and drop it on the other.
    return near & near.reshape(-1)[reverse]


def _targets(
    near: jax.Array, wide_slots: tuple[int, ...], slots: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """Flat narrow slot of each wide slot, one beyond the last where it has none; do all fit?

    The place of a neighbour is the number of near ones up to it. Counting is a product with a
    triangle, in eights: a sum along a row would run one number at a time.
    """
    n_atoms = len(near)
    n_slots = sum(slots)
    row = n_slots * jnp.arange(n_atoms, dtype=jnp.int32)[:, None]
    targets, fits, start_wide, start = [], jnp.bool_(True), 0, 0
    for n_wide, n_narrow in zip(wide_slots, slots, strict=True):
        kept = near[:, start_wide : start_wide + n_wide]
        eights = kept.reshape(n_atoms, n_wide // SLOT_MULTIPLE, SLOT_MULTIPLE)
        within = eights.astype(jnp.float32) @ _triangle(SLOT_MULTIPLE, 0)
        before = within[:, :, -1] @ _triangle(n_wide // SLOT_MULTIPLE, 1)
        count = (within + before[:, :, None]).reshape(n_atoms, n_wide).astype(jnp.int32)
        fits = fits & jnp.all(count[:, -1:] <= n_narrow)
        inside = kept & (count <= n_narrow)
        targets.append(jnp.where(inside, row + (start - 1) + count, n_atoms * n_slots))
        start_wide, start = start_wide + n_wide, start + n_narrow
    return jnp.concatenate(targets, axis=1).reshape(-1), fits


def _sources(target: jax.Array, n_flat: int) -> jax.Array:
    """Flat wide slot of each narrow slot, as many as there are where it has none."""
    n_wide = len(target)
    source = jnp.full(n_flat + 1, n_wide, dtype=jnp.int32)
    numbers = jnp.arange(n_wide, dtype=jnp.int32)
    return source.at[target].set(numbers, mode="promise_in_bounds")[:-1]


def _triangle(size: int, diagonal: int) -> NDArray[np.float32]:
    return np.triu(np.ones((size, size), dtype=np.float32), diagonal)
