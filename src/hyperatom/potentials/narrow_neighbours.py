"""Narrow neighbour lists out of a wide one, compiled: much cheaper than a new search for pairs."""

import jax
import jax.numpy as jnp
import numpy as np

from hyperatom.geometry.neighbours import Neighbours

jax.tree_util.register_dataclass(
    Neighbours, data_fields=["index", "shift", "reverse"], meta_fields=["slots"]
)


def narrow(
    wide: Neighbours, positions: jax.Array, reach: jax.Array, slots: tuple[int, ...]
) -> tuple[Neighbours, jax.Array]:
    """The pairs of a wide list that are within `reach`, in fewer slots, and whether they fit.

    | array       | shape        | unit | meaning                                          |
    |-------------|--------------|------|--------------------------------------------------|
    | `positions` | (n_atoms, 3) | Å    | anywhere the wide list is complete up to `reach` |
    | `reach`     | scalar       | Å    | cutoff and skin of the narrow list               |
    | `slots`     | (n_species,) | -    | slots of each species in the narrow list         |

    The second value is false where an atom has more neighbours than slots: the list is then wrong.
    """
    n_atoms, n_wide = wide.index.shape
    n_slots = sum(slots)
    planes = positions.T
    shift = jnp.asarray(wide.shift, dtype=planes.dtype)
    x, y, z = planes[:, wide.index] + shift - planes[:, :, None]
    near = x * x + y * y + z * z < reach * reach
    # Round-off must not keep a pair on one side and drop it on the other.
    near = near & near.reshape(-1)[wide.reverse]

    # The place of a neighbour is the number of near ones up to it: a product with a triangle.
    targets, fits, start_wide, start = [], jnp.bool_(True), 0, 0
    row = n_slots * jnp.arange(n_atoms, dtype=jnp.int32)[:, None]
    nowhere = n_atoms * n_slots
    for n_of_wide, n_of_species in zip(wide.slots, slots, strict=True):
        kept = near[:, start_wide : start_wide + n_of_wide]
        triangle = np.triu(np.ones((n_of_wide, n_of_wide), dtype=np.float32))
        count = (kept.astype(jnp.float32) @ triangle).astype(jnp.int32)
        fits = fits & jnp.all(count <= n_of_species)
        inside = kept & (count <= n_of_species)
        targets.append(jnp.where(inside, row + (start - 1) + count, nowhere))
        start_wide, start = start_wide + n_of_wide, start + n_of_species
    target = jnp.concatenate(targets, axis=1).reshape(-1)

    n_flat = n_atoms * n_wide
    source = jnp.full(nowhere, n_flat, dtype=jnp.int32)
    source = source.at[target].set(jnp.arange(n_flat, dtype=jnp.int32), mode="drop")
    taken = source < n_flat
    source = jnp.where(taken, source, 0)
    own = jnp.repeat(jnp.arange(n_atoms, dtype=jnp.int32), n_slots)
    beyond = jnp.array([2.0, 0.0, 0.0], dtype=planes.dtype)[:, None] * reach
    narrow_list = Neighbours(
        index=jnp.where(taken, wide.index.reshape(-1)[source], own).reshape(n_atoms, n_slots),
        shift=jnp.where(taken, shift.reshape(3, -1)[:, source], beyond).reshape(
            3, n_atoms, n_slots
        ),
        reverse=jnp.where(
            taken, target[wide.reverse.reshape(-1)[source]], jnp.arange(nowhere, dtype=jnp.int32)
        ).reshape(n_atoms, n_slots),
        slots=slots,
    )
    return narrow_list, fits
