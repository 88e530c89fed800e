"""Narrow neighbour lists out of a wide one, compiled: much cheaper than a new search for pairs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.fence import fenced
from hyperatom.geometry.neighbours import Neighbours
from hyperatom.geometry.wide_neighbours import LATTICE_BITS, LATTICE_ORIGIN, WideNeighbours

jax.tree_util.register_dataclass(
    Neighbours, data_fields=["index", "shift", "reverse"], meta_fields=["slots"]
)
jax.tree_util.register_dataclass(
    WideNeighbours,
    data_fields=["index", "lattice", "reverse", "translations", "box"],
    meta_fields=["slots"],
)


def narrow(
    wide: WideNeighbours,
    positions: jax.Array,
    radii: jax.Array,
    slots: tuple[int, ...],
    deformation: jax.Array | None = None,
) -> tuple[Neighbours, jax.Array]:
    """The pairs of a wide list with r_ij < radii_i + radii_j, and how many slots they need.

    | array         | shape        | unit | meaning                                                |
    |---------------|--------------|------|--------------------------------------------------------|
    | `positions`   | (n_atoms, 3) | Å    | anywhere the wide list knows all of these pairs        |
    | `radii`       | (n_atoms,)   | Å    | half the cutoff and what the atom may move             |
    | `slots`       | (n_species,) | -    | slots of each species in the narrow list               |
    | `deformation` | (3, 3)       | -    | of the cell since the wide list: h = h_list deformation|
    | returns       | (n_species,) | -    | the most neighbours of each species that an atom has   |

    Shifts stay those of the cell of the wide list. Where more slots are needed than there are, the
    list is wrong.
    """
    n_atoms, n_wide = wide.index.shape
    n_slots = sum(slots)
    box = jnp.asarray(wide.box, dtype=positions.dtype)
    translations = jnp.asarray(wide.translations)
    box_now = box if deformation is None else box @ deformation
    inside = positions - translations.astype(positions.dtype) @ box_now
    index, lattice, reverse = (
        jnp.asarray(array).reshape(-1) for array in (wide.index, wide.lattice, wide.reverse)
    )
    near = _near(jnp.asarray(wide.index), jnp.asarray(wide.lattice), inside.T, radii, box_now)
    place, needed = fenced(partial(_places, wide_slots=wide.slots, slots=slots))(near)
    source = fenced(partial(_sources, n_slots=n_slots))(place)

    shape = (n_atoms, n_slots)
    own = jnp.arange(n_atoms, dtype=jnp.int32)[:, None]
    taken = source < n_atoms * n_wide
    source, taken = jnp.where(taken, source, 0), taken.reshape(shape)
    index = jnp.where(taken, index[source].reshape(shape), own)
    shift = fenced(_shifts)(index, lattice[source].reshape(shape), translations.T, box)
    beyond = jnp.array([4.0, 0.0, 0.0], dtype=positions.dtype) * radii.max()
    # A pair on the border that round-off left to one side only has no way back, and needs none.
    back = place.reshape(-1)[reverse[source]].reshape(shape).astype(jnp.int32)
    empty = n_slots * own + jnp.arange(n_slots, dtype=jnp.int32)
    return Neighbours(
        index,
        jnp.where(taken, jnp.stack(shift), beyond[:, None, None]),
        jnp.where(taken & (back < n_slots), n_slots * index + back, empty),
        slots,
    ), needed


def deformed(shift: jax.Array, deformation: jax.Array) -> jax.Array:
    """Shifts (3, n_atoms, n_slots) of a list, Å, after the cell has been deformed."""
    return jnp.einsum("aij,ab->bij", shift, deformation)


@fenced
def _near(
    index: jax.Array, lattice: jax.Array, planes: jax.Array, radii: jax.Array, box: jax.Array
) -> jax.Array:
    """Which slots hold a pair with r_ij < radii_i + radii_j, (n_atoms, n_wide).

    In this order of the sum the vector of a pair is exactly minus that of the same pair seen from
    its other end.
    """
    translation = [part.astype(planes.dtype) for part in _unpacked(lattice)]
    square = jnp.zeros(index.shape, dtype=planes.dtype)
    for axis, plane in enumerate(planes):
        along = (plane[index] - plane[:, None]) + _along(translation, box, axis)
        square += along * along
    reach = radii[index] + radii[:, None]
    return square < reach * reach


def _shifts(
    index: jax.Array, lattice: jax.Array, translations: jax.Array, box: jax.Array
) -> list[jax.Array]:
    """Shifts of pairs of positions that may lie outside the cell: three of (n_atoms, n_slots)."""
    moved = [
        (part + along[:, None] - along[index]).astype(box.dtype)
        for part, along in zip(_unpacked(lattice), translations, strict=True)
    ]
    return [_along(moved, box, axis) for axis in range(3)]


def _unpacked(lattice: jax.Array) -> list[jax.Array]:
    mask = (1 << LATTICE_BITS) - 1
    return [((lattice >> (LATTICE_BITS * axis)) & mask) - LATTICE_ORIGIN for axis in range(3)]


def _along(translation: list[jax.Array], box: jax.Array, axis: int) -> jax.Array:
    """One Cartesian component of lattice translations."""
    a, b, c = translation
    component: jax.Array = a * box[0, axis] + b * box[1, axis] + c * box[2, axis]
    return component


def _places(
    near: jax.Array, wide_slots: tuple[int, ...], slots: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """Narrow slot of each wide slot in its own row, `n_slots` where it has none; the slots needed.

    The place of a neighbour is the number of near ones up to it. They are counted without a sum
    along the row, which would run one number at a time: four flags are the bytes of one number, of
    which the product with 01010101 has the sums up to each; the fours are summed with a triangle.
    """
    n_atoms, n_slots = len(near), sum(slots)
    smallest = jnp.uint8 if n_slots < np.iinfo(np.uint8).max else jnp.uint16
    places, needed, start_wide, start = [], [], 0, 0
    for n_wide, n_narrow in zip(wide_slots, slots, strict=True):
        kept = near[:, start_wide : start_wide + n_wide]
        fours = kept.reshape(n_atoms, n_wide // 4, 4).astype(jnp.uint8)
        sums = jax.lax.bitcast_convert_type(fours, jnp.uint32) * jnp.uint32(0x01010101)
        before = (sums >> 24).astype(jnp.float32) @ _triangle(n_wide // 4)
        within = jax.lax.bitcast_convert_type(sums, jnp.uint8)
        count = within.astype(jnp.int32) + before.astype(jnp.int32)[:, :, None]
        count = count.reshape(n_atoms, n_wide)
        needed.append(count[:, -1:].max(initial=0))
        nowhere = jnp.full_like(count, n_slots)
        place = jax.lax.select(kept & (count <= n_narrow), count + (start - 1), nowhere)
        places.append(place.astype(smallest))
        start_wide, start = start_wide + n_wide, start + n_narrow
    return jnp.concatenate(places, axis=1), jnp.stack(needed)


def _sources(place: jax.Array, n_slots: int) -> jax.Array:
    """Flat wide slot of each flat narrow slot, as many as there are where it has none."""
    n_atoms, n_wide = place.shape
    row = n_slots * jnp.arange(n_atoms, dtype=jnp.int32)[:, None]
    flat = row + place.astype(jnp.int32)
    target = jax.lax.select(place < n_slots, flat, jnp.full_like(flat, n_atoms * n_slots))
    source = jnp.full(n_atoms * n_slots + 1, n_atoms * n_wide, dtype=jnp.int32)
    numbers = jnp.arange(n_atoms * n_wide, dtype=jnp.int32)
    return source.at[target.reshape(-1)].set(numbers, mode="promise_in_bounds")[:-1]


def _triangle(size: int) -> NDArray[np.float32]:
    return np.triu(np.ones((size, size), dtype=np.float32), 1)
