"""Potentials of Vashishta and co-workers: pairs with screened charges, and bond angles.

    phi2(r) = H/r^eta + C z_i z_j/r exp(-r/l1) - D/r^4 exp(-r/l4) - W/r^6
    phi3    = B (cos t - cos t0)^2 / [1 + G (cos t - cos t0)^2] exp[g/(r_ij - r0) + g/(r_ik - r0)]

(Vashishta, Kalia, Rino and Ebbsjö, Phys. Rev. B 41, 12197 (1990); with G in J. Appl. Phys. 101,
103515 (2007).) Pairs are shifted and tilted to end smoothly at their cutoff. Where G is zero the
sum over angles is that of a polynomial in cos t, hence a product of sums over single neighbours:

    sum_jk f_j f_k (n_j.n_k - c0)^2 = Q:Q - 2 c0 p.p + c0^2 m^2,   m, p, Q = sum_j f_j (1, n, n n)
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperatom.errors import InputError
from hyperatom.potentials.classical.pair_sum import pair_table, summed_over_neighbours
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.ewald import COULOMB_CONSTANT

NEAREST = 16
"""Neighbours within r0 for which angles are worked out one by one; with more of them all are."""


def vashishta(
    species: Sequence[int],
    strength: ArrayLike,
    exponent: ArrayLike,
    charge_product: ArrayLike,
    screening: ArrayLike,
    dipole: ArrayLike,
    dipole_screening: ArrayLike,
    dispersion: ArrayLike,
    cutoff: ArrayLike,
    angle_strength: ArrayLike,
    angle_cosine: ArrayLike,
    angle_saturation: ArrayLike,
    angle_decay: ArrayLike,
    angle_reach: ArrayLike,
    coulomb_constant: float = COULOMB_CONSTANT,
    precision: str = "float64",
    block: int | None = None,
    name: str = "Vashishta",
) -> CompiledPotential:
    """A Vashishta potential from the tables of its formula.

    Tables of pairs have the shape (n_species, n_species), those of angles (n_species, n_species,
    n_species) with the species at the vertex first, then the two others in either order.

    | argument           | of     | unit     | meaning                                            |
    |--------------------|--------|----------|----------------------------------------------------|
    | `strength`         | pairs  | eV Å^eta | H, steric repulsion                                |
    | `exponent`         | pairs  | -        | eta                                                |
    | `charge_product`   | pairs  | e^2      | z_i z_j                                            |
    | `screening`        | pairs  | Å        | l1                                                 |
    | `dipole`           | pairs  | eV Å^4   | D, charge and induced dipole (LAMMPS' D)           |
    | `dipole_screening` | pairs  | Å        | l4                                                 |
    | `dispersion`       | pairs  | eV Å^6   | W                                                  |
    | `cutoff`           | pairs  | Å        | of the pairs; no pair energy where it is zero      |
    | `angle_strength`   | angles | eV       | B                                                  |
    | `angle_cosine`     | angles | -        | cos t0                                             |
    | `angle_saturation` | angles | -        | G                                                  |
    | `angle_decay`      | bonds  | Å        | g, (n_species, n_species), vertex first            |
    | `angle_reach`      | bonds  | Å        | r0, (n_species, n_species), vertex first           |
    | `coulomb_constant` | scalar | eV Å     | C = e^2 / (4 pi epsilon_0)                         |

    Raises `InputError` for tables of the wrong shape or not symmetric where they must be.
    """
    n = len(species)
    pairs = {
        key: pair_table(key, table, n)
        for key, table in {
            "strength": strength,
            "exponent": exponent,
            "product": coulomb_constant * np.asarray(charge_product),
            "screening": screening,
            "dipole": dipole,
            "dipole_screening": dipole_screening,
            "dispersion": dispersion,
            "cutoff": cutoff,
        }.items()
    }
    present = pairs["cutoff"] > 0.0
    for key in ("screening", "dipole_screening", "cutoff"):
        if not (pairs[key][present] > 0.0).all():
            raise InputError(f"A length `{key}` is not positive.", "Give lengths in Å.")
        pairs[key] = np.where(present, pairs[key], 1.0)
    pairs["present"] = present.astype(np.float64)
    with jax.enable_x64(True):
        ends = jnp.asarray(pairs["cutoff"])
        value, slope = jax.jvp(lambda r: _pair(pairs, r), (ends,), (jnp.ones_like(ends),))
    pairs |= {"offset": np.array(value), "slope": np.array(slope)}

    shapes = {"angle_strength": 3, "angle_cosine": 3, "angle_saturation": 3}
    shapes |= {"angle_decay": 2, "angle_reach": 2}
    given = (angle_strength, angle_cosine, angle_saturation, angle_decay, angle_reach)
    angles = {
        key: np.array(np.broadcast_to(np.asarray(table, dtype=np.float64), (n,) * rank))
        for (key, rank), table in zip(shapes.items(), given, strict=True)
    }
    _check_angles(angles)
    # Bonds that belong to no angle reach nowhere.
    used = np.any(angles["angle_strength"] != 0.0, axis=2)
    angles["angle_reach"] = np.where(used, angles["angle_reach"], 0.0)
    saturating = bool(np.any(angles["angle_saturation"] * angles["angle_strength"] != 0.0))
    pair_sum = summed_over_neighbours(_shifted_pair)

    def atomic_energy(
        parameters: Any, displacements: jax.Array, kinds: jax.Array, slots: tuple[int, ...]
    ) -> jax.Array:
        energy = pair_sum(parameters["pairs"], displacements, kinds, slots)
        if not used.any():
            return energy
        sum_of_angles = _angles_one_by_one if saturating else _angles_by_moments
        return energy + sum_of_angles(parameters["angles"], displacements, kinds, slots)

    reach = max(float((pairs["cutoff"] * present).max()), float(angles["angle_reach"].max()))
    model = CompiledModel(species, reach, atomic_energy, precision=precision, block=block)
    return CompiledPotential(model, {"pairs": pairs, "angles": angles}, name)


def _check_angles(angles: Mapping[str, NDArray[np.float64]]) -> None:
    for key in ("angle_strength", "angle_cosine", "angle_saturation"):
        relevant = angles[key] * (angles["angle_strength"] != 0.0)
        if not np.array_equal(relevant, relevant.transpose(0, 2, 1)):
            raise InputError(
                f"The table `{key}` depends on the order of the two ends of an angle.",
                "Give both orders the same value.",
            )
    if (angles["angle_saturation"] < 0.0).any():
        raise InputError("The saturation of an angle is negative.", "Give C as zero or positive.")


def _pair(pair: Mapping[str, Any], distance: jax.Array) -> jax.Array:
    inverse = 1.0 / distance
    squared = inverse * inverse
    value: jax.Array = pair["present"] * (
        pair["strength"] * jnp.exp(-pair["exponent"] * jnp.log(distance))
        + pair["product"] * inverse * jnp.exp(-distance / pair["screening"])
        - pair["dipole"] * squared * squared * jnp.exp(-distance / pair["dipole_screening"])
        - pair["dispersion"] * squared * squared * squared
    )
    return value


def _shifted_pair(own: Mapping[str, jax.Array], distance: jax.Array) -> jax.Array:
    value = _pair(own, distance) - own["offset"] - own["slope"] * (distance - own["cutoff"])
    return jnp.where(distance < own["cutoff"], value, 0.0)


def _bonds(
    angles: Mapping[str, jax.Array], displacements: jax.Array, kinds: jax.Array, kind: int
) -> tuple[jax.Array, jax.Array]:
    # Unit vectors (3, n_block, n) and f = exp[g/(r - r0)], zero beyond r0 with all derivatives.
    distance = jnp.sqrt(jnp.sum(displacements * displacements, axis=0))
    reach = angles["angle_reach"][kinds, kind][:, None]
    inside = distance < reach
    gap = jnp.where(inside, distance - reach, -1.0)
    decay = jnp.exp(angles["angle_decay"][kinds, kind][:, None] / gap)
    return displacements / distance, jnp.where(inside, decay, 0.0)


def _angles_by_moments(
    angles: Mapping[str, jax.Array],
    displacements: jax.Array,
    kinds: jax.Array,
    slots: tuple[int, ...],
) -> jax.Array:
    start, moments = 0, []
    for kind, count in enumerate(slots):
        unit, decay = _bonds(angles, displacements[:, :, start : start + count], kinds, kind)
        start += count
        weighted = decay * unit
        x, y, z = unit
        wx, wy, wz = weighted
        quadrupole = [
            factor * jnp.sum(a * b, axis=1)
            for factor, a, b in (
                (1.0, wx, x),
                (1.0, wy, y),
                (1.0, wz, z),
                (2.0**0.5, wx, y),
                (2.0**0.5, wy, z),
                (2.0**0.5, wz, x),
            )
        ]
        moments.append(
            (
                jnp.sum(decay, axis=1),
                jnp.sum(weighted, axis=2),
                jnp.stack(quadrupole),
                jnp.sum(decay * decay, axis=1),
            )
        )
    energy = jnp.zeros(len(kinds), dtype=displacements.dtype)
    for first, (m, p, q, itself) in enumerate(moments):
        for second, (m2, p2, q2, _) in enumerate(moments):
            strength = angles["angle_strength"][kinds, first, second]
            cosine = angles["angle_cosine"][kinds, first, second]
            total = jnp.sum(q * q2, axis=0) - 2.0 * cosine * jnp.sum(p * p2, axis=0)
            total = total + cosine**2 * m * m2
            if first == second:
                # An angle of a neighbour with itself is none.
                total = total - (1.0 - cosine) ** 2 * itself
            energy = energy + 0.5 * strength * total
    return energy


def _angles_one_by_one(
    angles: Mapping[str, jax.Array],
    displacements: jax.Array,
    kinds: jax.Array,
    slots: tuple[int, ...],
) -> jax.Array:
    ends = np.cumsum((0, *slots))
    parts = [
        _bonds(angles, displacements[:, :, a:b], kinds, kind)
        for kind, (a, b) in enumerate(pairwise(ends))
    ]
    unit = jnp.concatenate([part[0] for part in parts], axis=2)
    decay = jnp.concatenate([part[1] for part in parts], axis=1)
    of_slot = jnp.broadcast_to(np.repeat(np.arange(len(slots)), slots), decay.shape)

    def all_angles(unit: jax.Array, decay: jax.Array, ends: jax.Array) -> jax.Array:
        where = (kinds[:, None, None], ends[:, :, None], ends[:, None, :])
        strength, cosine, saturation = (
            angles[key][where] for key in ("angle_strength", "angle_cosine", "angle_saturation")
        )
        misfit = (jnp.einsum("anj,ank->njk", unit, unit) - cosine) ** 2
        two = strength * misfit / (1.0 + saturation * misfit) * decay[:, :, None]
        two = two * decay[:, None] * (1.0 - jnp.eye(decay.shape[1], dtype=decay.dtype))
        return 0.5 * jnp.sum(two, axis=(1, 2))

    if decay.shape[1] <= NEAREST:
        return all_angles(unit, decay, of_slot)

    def nearest_angles(unit: jax.Array, decay: jax.Array, ends: jax.Array) -> jax.Array:
        order = jax.lax.top_k(jax.lax.stop_gradient(decay), NEAREST)[1]
        return all_angles(
            jnp.take_along_axis(unit, order[None], axis=2),
            jnp.take_along_axis(decay, order, axis=1),
            jnp.take_along_axis(ends, order, axis=1),
        )

    few = jnp.all(jnp.sum(decay > 0.0, axis=1) <= NEAREST)
    total: jax.Array = jax.lax.cond(few, nearest_angles, all_angles, unit, decay, of_slot)
    return total
