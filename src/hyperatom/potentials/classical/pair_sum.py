"""Sums over pairs, with and without charges: what all pair potentials share, truncation included.

E = 1/2 sum_ij phi(r_ij),   r_ij < cutoff
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from numpy.typing import ArrayLike, NDArray

from hyperatom.errors import InputError
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.ewald import (
    COULOMB_CONSTANT,
    Ewald,
    screened_pair,
    splitting_parameter,
)
from hyperatom.potentials.local_energy import AtomicEnergy

Truncation = Literal["cut", "shifted", "force-shifted", "switched"]
"""How a pair energy ends at its cutoff r_c.

| word            | phi(r) below r_c                                | continuous at r_c           |
|-----------------|-------------------------------------------------|-----------------------------|
| `cut`           | u(r)                                            | nothing                     |
| `shifted`       | u(r) - u(r_c)                                   | the energy                  |
| `force-shifted` | u(r) - u(r_c) - (r - r_c) u'(r_c)               | energy and force            |
| `switched`      | u(r) (1 - 10 x^3 + 15 x^4 - 6 x^5), x = 0 ... 1 | energy, force and its slope |
"""

SWITCHED_PART = 0.15
"""The last part of the way to the cutoff over which x goes from 0 to 1, where nothing is said."""

PairEnergy = Callable[[Mapping[str, jax.Array], jax.Array], jax.Array]
"""(parameters of the pair, distance Å) -> energy u in eV, all of shapes that broadcast."""


def pair_potential(
    name: str,
    species: Sequence[int],
    energy: PairEnergy,
    tables: Mapping[str, ArrayLike],
    cutoff: ArrayLike,
    truncation: Truncation = "switched",
    switch_from: ArrayLike | None = None,
    charges: ArrayLike | None = None,
    coulomb_cutoff: float | None = None,
    accuracy: float = 1.0e-10,
    splitting: float | None = None,
    coulomb_constant: float = COULOMB_CONSTANT,
    precision: str = "float64",
    block: int | None = None,
) -> CompiledPotential:
    """A potential that is a sum over pairs, and over charges where there are any.

    | argument           | shape                  | unit | meaning                               |
    |--------------------|------------------------|------|---------------------------------------|
    | `tables`           | (n_species, n_species) | any  | parameters of each pair, or one for all |
    | `cutoff`           | (n_species, n_species) | Å    | of each pair, or one for all          |
    | `switch_from`      | (n_species, n_species) | Å    | where `switched` begins               |
    | `charges`          | (n_species,)           | e    | none: no Coulomb energy               |
    | `coulomb_cutoff`   | scalar                 | Å    | of the screened pairs; the longest other|
    | `accuracy`         | scalar                 | -    | of the Coulomb energy                 |
    | `splitting`        | scalar                 | 1/Å  | chosen from cutoff and accuracy if none |
    | `coulomb_constant` | scalar                 | eV Å | e^2 / (4 pi epsilon_0)                |

    Truncation applies to `energy`; the Coulomb energy has no end. Raises `InputError` for tables of
    the wrong shape or not symmetric, and for cutoffs that are not positive.
    """
    n_species = len(species)
    arrays = {key: pair_table(key, table, n_species) for key, table in tables.items()}
    ends = pair_table("cutoff", cutoff, n_species)
    begins = (1.0 - SWITCHED_PART) * ends if switch_from is None else switch_from
    begins = pair_table("switch_from", begins, n_species)
    if not (ends > 0.0).all() or (truncation == "switched" and not (begins < ends).all()):
        raise InputError(
            f"The cutoffs of {name} are not positive, or switching begins beyond them.",
            "Choose positive cutoffs in Å, and a smaller distance for the beginning.",
        )
    if truncation not in get_args(Truncation):
        raise InputError(
            f"There is no truncation called {truncation!r}.",
            f"Choose from {', '.join(get_args(Truncation))}.",
        )
    offset, slope = _at_cutoff(energy, arrays, ends, truncation)
    reach = float(ends.max())
    parameters: dict[str, Any] = {
        "pair": {**arrays, "cutoff": ends, "begin": begins, "offset": offset, "slope": slope}
    }
    long_range = None
    if charges is not None:
        charges = np.asarray(charges, dtype=np.float64)
        if charges.shape != (n_species,):
            raise InputError(
                f"{n_species} species have {charges.size} charges.", "Give one for each species."
            )
        coulomb_reach = reach if coulomb_cutoff is None else float(coulomb_cutoff)
        reach = max(reach, coulomb_reach)
        if splitting is None:
            splitting = splitting_parameter(coulomb_reach, accuracy)
        parameters |= {
            "charges": charges,
            "splitting": np.float64(splitting),
            "coulomb_constant": np.float64(coulomb_constant),
        }
        long_range = Ewald(
            tuple(map(int, species)), tuple(map(float, charges)), float(splitting), accuracy
        )

    def of_pair(own: Mapping[str, jax.Array], distance: jax.Array) -> jax.Array:
        value = energy(own, distance)
        if truncation == "switched":
            x = jnp.clip((distance - own["begin"]) / (own["cutoff"] - own["begin"]), 0.0, 1.0)
            value = value * (1.0 - x * x * x * (10.0 - x * (15.0 - 6.0 * x)))
        else:
            value = value - own["offset"] - own["slope"] * (distance - own["cutoff"])
        value = jnp.where(distance < own["cutoff"], value, 0.0)
        if charges is not None:
            near = screened_pair(own["product"], own["splitting"], distance, coulomb_reach)
            value = value + jnp.where(distance < coulomb_reach, near, 0.0)
        return value

    def tables_of(parameters: Any) -> Mapping[str, jax.Array]:
        known: Mapping[str, jax.Array] = parameters["pair"]
        if charges is None:
            return known
        each = parameters["charges"]
        product = parameters["coulomb_constant"] * each[:, None] * each
        splitting = jnp.broadcast_to(parameters["splitting"], product.shape)
        return {**known, "product": product, "splitting": splitting}

    sum_of_pairs = summed_over_neighbours(of_pair)

    def atomic_energy(
        parameters: Any, displacements: jax.Array, kinds: jax.Array, slots: tuple[int, ...]
    ) -> jax.Array:
        return sum_of_pairs(tables_of(parameters), displacements, kinds, slots)

    model = CompiledModel(species, reach, atomic_energy, long_range, precision, block)
    return CompiledPotential(model, parameters, name)


def summed_over_neighbours(of_pair: PairEnergy) -> AtomicEnergy:
    """The atomic energy 1/2 sum_j phi(r_ij) of a pair energy phi that ends by itself.

    Its parameters are tables (n_species, n_species). Value and slope of phi are worked out in one
    go, which takes half the time of differentiating their sum.
    """

    @jax.custom_jvp
    def value(own: Mapping[str, jax.Array], distance: jax.Array) -> jax.Array:
        return of_pair(own, distance)

    def tangent(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
        own, distance = primals
        of_tables, of_distance = tangents
        phi, slope = jax.jvp(partial(of_pair, own), (distance,), (jnp.ones_like(distance),))
        total = jnp.zeros_like(distance)
        if not isinstance(of_distance, SymbolicZero):
            total = slope * of_distance
        if not all(isinstance(part, SymbolicZero) for part in of_tables.values()):
            changes = {
                key: jnp.zeros_like(own[key]) if isinstance(part, SymbolicZero) else part
                for key, part in of_tables.items()
            }
            total = total + jax.jvp(lambda all_: of_pair(all_, distance), (own,), (changes,))[1]
        return phi, total

    value.defjvp(tangent, symbolic_zeros=True)

    def atomic_energy(
        tables: Any, displacements: jax.Array, species: jax.Array, slots: tuple[int, ...]
    ) -> jax.Array:
        distance = jnp.sqrt(jnp.sum(displacements * displacements, axis=0))
        total = jnp.zeros(len(species), dtype=displacements.dtype)
        start = 0
        for kind, count in enumerate(slots):
            if count:
                own = {key: table[species, kind][:, None] for key, table in tables.items()}
                phi = value(own, distance[:, start : start + count])
                total = total + 0.5 * jnp.sum(phi, axis=1)
            start += count
        return total

    return atomic_energy


def pair_table(name: str, table: ArrayLike, n_species: int) -> NDArray[np.float64]:
    """A symmetric table (n_species, n_species) of one parameter, from such a table or one number.

    Raises `InputError` for another shape, and where the order of a pair makes a difference.
    """
    given = np.asarray(table, dtype=np.float64)
    if given.shape not in ((), (n_species, n_species)):
        raise InputError(
            f"The table of {name} has the shape {given.shape} for {n_species} species.",
            f"Give one number, or a table of {n_species} by {n_species}.",
        )
    full = np.array(np.broadcast_to(given, (n_species, n_species)))
    if not np.array_equal(full, full.T) or not np.isfinite(full).all():
        raise InputError(
            f"The table of {name} is not symmetric or not finite.",
            "A pair has one value, whichever of its atoms comes first.",
        )
    return full


def _at_cutoff(
    energy: PairEnergy,
    tables: Mapping[str, NDArray[np.float64]],
    cutoff: NDArray[np.float64],
    truncation: Truncation,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # Value and slope that are taken off.
    if truncation not in ("shifted", "force-shifted"):
        return np.zeros_like(cutoff), np.zeros_like(cutoff)
    with jax.enable_x64(True):
        known = {key: jnp.asarray(table) for key, table in tables.items()}
        value, slope = jax.jvp(
            lambda r: energy(known, r), (jnp.asarray(cutoff),), (jnp.ones_like(cutoff),)
        )
    keeps_slope = 1.0 if truncation == "force-shifted" else 0.0
    return np.array(value), keeps_slope * np.array(slope)
