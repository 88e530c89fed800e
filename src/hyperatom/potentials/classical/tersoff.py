"""The bond-order potential of Tersoff, Phys. Rev. B 39, 5566 (1989), for any number of species.

E_i = 1/2 sum_j f(r_ij) [A exp(-l1 r_ij) - b_ij B exp(-l2 r_ij)]
b_ij = (1 + (beta z_ij)^n)^(-1/2n)
z_ij = sum_{k != j} f(r_ik) g(cos theta_jik) exp[(l3 (r_ij - r_ik))^m],     m = 1 or 3
g(x) = gamma [1 + c^2/d^2 - c^2 / (d^2 + (x - h)^2)]
f(r) = 1, 1/2 - 1/2 sin(pi/2 (r - R)/D), 0     below, within and beyond R - D ... R + D
"""

from dataclasses import dataclass, fields
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential

Array = NDArray[np.float64]

EXPONENT = 69.0776
"""Exponents are kept within this: exp is then 10^(+-30)."""


@dataclass(frozen=True, eq=False)
class TersoffParameters:
    """Parameters of pairs (n_species, n_species) and triplets (n_species,) * 3.

    The first index is the atom whose bond it is, the second the other end, the third the neighbour
    that weakens it.

    | field          | shape   | unit | meaning                                   |
    |----------------|---------|------|-------------------------------------------|
    | `repulsion`    | pair    | eV   | A                                         |
    | `repulsion_rate` | pair  | 1/Å  | l1                                        |
    | `attraction`   | pair    | eV   | B                                         |
    | `attraction_rate` | pair | 1/Å  | l2                                        |
    | `beta`         | pair    | -    | beta                                      |
    | `power`        | pair    | -    | n                                         |
    | `radius`       | triplet | Å    | R; for the bond itself that of (i, j, j)  |
    | `width`        | triplet | Å    | D, likewise                               |
    | `gamma`        | triplet | -    | gamma                                     |
    | `rate`         | triplet | 1/Å  | l3                                        |
    | `cubic`        | triplet | -    | 1 where m = 3, 0 where m = 1              |
    | `c`, `d`, `h`  | triplet | -    | c, d, h                                   |
    """

    repulsion: Array
    repulsion_rate: Array
    attraction: Array
    attraction_rate: Array
    beta: Array
    power: Array
    radius: Array
    width: Array
    gamma: Array
    rate: Array
    cubic: Array
    c: Array
    d: Array
    h: Array


def tersoff(
    species: tuple[int, ...], parameters: TersoffParameters, name: str
) -> CompiledPotential:
    """The potential of `species` (atomic numbers, in the order of the parameters)."""
    arrays = {
        field.name: np.asarray(getattr(parameters, field.name)) for field in fields(parameters)
    }
    cutoff = float((parameters.radius + parameters.width).max())
    return CompiledPotential(CompiledModel(species, cutoff, _atomic_energy), arrays, name)


def _atomic_energy(
    parameters: Any,
    displacements: jax.Array,
    central_species: jax.Array,
    slots: tuple[int, ...],
) -> jax.Array:
    of_slot = np.repeat(np.arange(len(slots)), slots)
    n_slots = len(of_slot)

    def of_bond(table: jax.Array) -> jax.Array:
        if table.ndim == 3:
            table = jnp.diagonal(table, axis1=1, axis2=2)
        return table[:, of_slot][central_species]

    def of_triplet(key: str) -> jax.Array:
        table: jax.Array = parameters[key]
        return table[:, of_slot][:, :, of_slot][central_species]

    square = jnp.sum(displacements * displacements, axis=0)
    farthest = (parameters["radius"] + parameters["width"]).max()
    inside = square < farthest**2
    distance = jnp.sqrt(jnp.where(inside, square, farthest**2))
    unit = displacements / distance

    bond = _switch(distance, of_bond(parameters["radius"]), of_bond(parameters["width"]))
    bond = jnp.where(inside, bond, 0.0)
    cosine = jnp.einsum("aij,aik->ijk", unit, unit)
    third = distance[:, None, :]
    switch = _switch(third, of_triplet("radius"), of_triplet("width"))
    different = ~np.eye(n_slots, dtype=bool) & inside[:, None, :] & (bond > 0.0)[:, :, None]
    argument = of_triplet("rate") * (distance[:, :, None] - third)
    argument = jnp.where(of_triplet("cubic") > 0.5, argument**3, argument)
    stretch = jnp.exp(jnp.clip(argument, -EXPONENT, EXPONENT))
    c_square, d_square = of_triplet("c") ** 2, of_triplet("d") ** 2
    angular = of_triplet("gamma") * (
        1.0 + c_square / d_square - c_square / (d_square + (cosine - of_triplet("h")) ** 2)
    )
    others = jnp.sum(jnp.where(different, switch * angular * stretch, 0.0), axis=2)

    order = _bond_order(of_bond(parameters["beta"]) * others, of_bond(parameters["power"]))
    repulsion = of_bond(parameters["repulsion"]) * jnp.exp(
        -of_bond(parameters["repulsion_rate"]) * distance
    )
    attraction = of_bond(parameters["attraction"]) * jnp.exp(
        -of_bond(parameters["attraction_rate"]) * distance
    )
    return 0.5 * jnp.sum(bond * (repulsion - order * attraction), axis=1)


def _switch(distance: jax.Array, radius: jax.Array, width: jax.Array) -> jax.Array:
    place = jnp.clip((distance - radius) / width, -1.0, 1.0)
    return 0.5 - 0.5 * jnp.sin(0.5 * jnp.pi * place)


def _bond_order(crowd: jax.Array, power: jax.Array) -> jax.Array:
    # (1 + x^n)^(-1/2n). Where x^n is below the rounding it is 1, with the derivative zero, which
    # x^(n-1) would not be.
    power = jnp.where(power > 0.0, power, 1.0)
    crowded = crowd > (2.0 * power * 1e-16) ** (1.0 / power)
    logarithm = power * jnp.log(jnp.where(crowded, crowd, 1.0))
    return jnp.where(crowded, jnp.exp(-jnp.logaddexp(0.0, logarithm) / (2.0 * power)), 1.0)
