"""Energies with a long and a short range: near neighbours gathered into few slots.

Where some terms of an atomic energy reach less far than others, most slots are empty to them. The
near neighbours are gathered into few slots of their own where they fit; else all slots are used.
Value and gradient are computed together in either case, so that nothing is stored for the case
that did not occur.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Slots = tuple[int, ...]
TwoRangeEnergy = Callable[[Any, jax.Array, jax.Array, Slots, jax.Array, Slots], jax.Array]
"""(parameters, displacements, central_species, slots, near displacements, near slots) -> energies

The near displacements must not be felt at or beyond the near distance.
"""

MARGIN = 1.2
"""Few slots are this times what an even density asks for, and a multiple of 8."""

WORTH = 32
"""So many slots must be spared, or all are used."""

Saved = tuple[Any, jax.Array, jax.Array, jax.Array]


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3))
def two_range_energy(
    energy: TwoRangeEnergy,
    near: float,
    reach: float,
    slots: Slots,
    parameters: Any,
    displacements: jax.Array,
    central_species: jax.Array,
) -> jax.Array:
    """The atomic energies (n_block,) that `energy` gives, whatever the number of near neighbours.

    `near` and `reach` in Å: up to where there are near neighbours, and any neighbours. `energy` is
    hashable; the other arguments are those of an `AtomicEnergy`.
    """
    return _forward(energy, near, reach, slots, parameters, displacements, central_species)[0]


def _forward(
    energy: TwoRangeEnergy,
    near: float,
    reach: float,
    slots: Slots,
    parameters: Any,
    displacements: jax.Array,
    central_species: jax.Array,
) -> tuple[jax.Array, Saved]:
    fraction = MARGIN * (near / reach) ** 3
    few = tuple(min(count, 8 * math.ceil(fraction * count / 8)) for count in slots)
    kept, places, needed = _places(near, slots, displacements)

    def on(gather: Callable[[jax.Array], jax.Array], own: Slots) -> tuple[jax.Array, jax.Array]:
        def total(vectors: jax.Array) -> tuple[jax.Array, jax.Array]:
            energies = energy(parameters, vectors, central_species, slots, gather(vectors), own)
            return energies.sum(), energies

        gradients, energies = jax.grad(total, has_aux=True)(displacements)
        return energies, gradients

    def on_all() -> tuple[jax.Array, jax.Array]:
        return on(lambda vectors: vectors, slots)

    def on_few() -> tuple[jax.Array, jax.Array]:
        return on(partial(_gather, near, slots, few, kept, places, needed), few)

    if sum(slots) - sum(few) < WORTH:
        energies, gradients = on_all()
    else:
        fits = [jnp.all(number <= room) for number, room in zip(needed, few, strict=True)]
        energies, gradients = jax.lax.cond(jnp.all(jnp.stack(fits)), on_few, on_all)
    return energies, (parameters, displacements, central_species, gradients)


def _backward(
    energy: TwoRangeEnergy, _: float, __: float, slots: Slots, saved: Saved, slope: jax.Array
) -> tuple[Any, jax.Array, None]:
    parameters, displacements, central_species, gradients = saved

    def on_all(parameters: Any) -> jax.Array:
        return energy(parameters, displacements, central_species, slots, displacements, slots)

    # Where nobody asks for the slope of the parameters, the compiler drops it.
    (of_parameters,) = jax.vjp(on_all, parameters)[1](slope)
    return of_parameters, slope[:, None] * gradients, None


two_range_energy.defvjp(_forward, _backward)


def _places(
    near: float, slots: Slots, displacements: jax.Array
) -> tuple[list[jax.Array], list[jax.Array], list[jax.Array]]:
    # For each species: which slots are near, the how-manieth of the near ones, and their number.
    square = jax.lax.stop_gradient(jnp.sum(displacements * displacements, axis=0))
    is_near = (square < near * near).astype(jnp.float32)
    kept = [is_near[:, start:end] for start, end in pairwise(accumulate(slots, initial=0))]
    # Counting up to each slot is a product with a triangle.
    places = [ones @ np.triu(np.ones((ones.shape[1],) * 2, dtype=np.float32)) for ones in kept]
    return kept, places, [ones.sum(axis=1) for ones in kept]


def _gather(
    near: float,
    slots: Slots,
    few: Slots,
    kept: list[jax.Array],
    places: list[jax.Array],
    needed: list[jax.Array],
    displacements: jax.Array,
) -> jax.Array:
    dtype = displacements.dtype
    gathered = []
    ranges = pairwise(accumulate(slots, initial=0))
    for (start, end), room, ones, place, number in zip(
        ranges, few, kept, places, needed, strict=True
    ):
        # A product with zeros and ones gathers, and its transpose returns the gradient.
        wanted = np.arange(1, room + 1, dtype=np.float32)
        choice = jnp.where(place[:, None, :] == wanted[:, None], ones[:, None, :], 0.0)
        taken = jnp.einsum("iks,ais->aik", choice.astype(dtype), displacements[:, :, start:end])
        beyond = 2.0 * near * (wanted > number[:, None]).astype(dtype)
        gathered.append(taken + jnp.stack([beyond, 0.0 * beyond, 0.0 * beyond]))
    return jnp.concatenate(gathered, axis=2)
