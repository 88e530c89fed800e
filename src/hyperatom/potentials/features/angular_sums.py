"""Sums over pairs of neighbours of an atom, directly or as products of sums over neighbours.

    G[r, a] = sum_{j<k} R_r(j) R_r(k) [R_r(jk)] 2 ((1 + lambda_a cos theta_jk) / 2)^zeta_a

All combinations of a radial factor r and an angular factor a are one matrix product over the pairs.

Without the factor in brackets and with integer zeta the angular factor is a polynomial of the
cosine, hence a finite sum of Legendre polynomials, and by their addition theorem

    sum_jk R(j) R(k) P_l(u_j . u_k) = sum_m A_lm^2,    A_lm = sum_j R(j) Y_lm(u_j):

linear in the number of neighbours, and exact.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.features.cutoff_functions import CutoffFunction
from hyperatom.potentials.features.spherical_harmonics import real_spherical_harmonics


@dataclass(frozen=True)
class Neighbourhood:
    """Unit vectors (3, n_block, n), distances (n_block, n) in Å and weights (n,) of neighbours."""

    unit: jax.Array
    distance: jax.Array
    weight: jax.Array | None


@dataclass(frozen=True)
class AngularGroup:
    """Angular functions of the same species and cutoff (Å).

    `radial` are the different (eta, shift), `angular` the different (lambda, zeta), `places` the
    number of each in `radial` and `angular` for every function.
    """

    cutoff: float
    narrow: bool
    radial: tuple[tuple[float, float], ...]
    angular: tuple[tuple[float, float], ...]
    places: tuple[tuple[int, int], ...]


def angular_sums(
    group: AngularGroup,
    first: Neighbourhood,
    second: Neighbourhood,
    same: bool,
    cutoff_function: CutoffFunction,
    factorise: bool,
) -> jax.Array:
    """The functions of a group, (n_block, n_functions).

    One neighbour is from `first`, the other from `second`, which are the `same` or apart.
    """
    tables = [_radial_table(group, side, cutoff_function) for side in (first, second)]
    if factorise and _factorises(group, first, second):
        sums = _factorised(group, first, second, tables, same)
    else:
        sums = _direct(group, first, second, tables, same, cutoff_function)
    rows, columns = np.array(group.places).T
    return sums[:, rows, columns]


def legendre_coefficients(sign: float, zeta: int) -> NDArray[np.float64]:
    """c_l in 2 ((1 + sign x) / 2)^zeta = sum_l c_l P_l(x), l = 0 ... zeta, (zeta + 1,)."""
    points, weights = np.polynomial.legendre.leggauss(zeta + 1)
    values = 2.0 * (0.5 * (1.0 + sign * points)) ** zeta
    legendre = np.polynomial.legendre.legvander(points, zeta)
    return np.asarray((np.arange(zeta + 1) + 0.5) * ((weights * values) @ legendre))


def _factorises(group: AngularGroup, first: Neighbourhood, second: Neighbourhood) -> bool:
    # Exact for wide functions of integer zeta; cheaper while there are fewer Y_lm than neighbours.
    if group.narrow or any(zeta != round(zeta) for _, zeta in group.angular):
        return False
    n_harmonics = (max(round(zeta) for _, zeta in group.angular) + 1) ** 2
    return n_harmonics <= max(first.distance.shape[1], second.distance.shape[1])


def _radial_table(
    group: AngularGroup, side: Neighbourhood, cutoff_function: CutoffFunction
) -> jax.Array:
    window = cutoff_function(side.distance, group.cutoff)
    if side.weight is not None:
        window = window * side.weight
    eta, shift = _exponents(group, side.distance.dtype)
    square = (side.distance[:, None, :] - shift[:, None]) ** 2
    return jnp.exp(-eta[:, None] * square) * window[:, None, :]


def _exponents(group: AngularGroup, dtype: Any) -> tuple[jax.Array, jax.Array]:
    eta, shift = np.array(group.radial).T
    return jnp.asarray(eta, dtype), jnp.asarray(shift, dtype)


def _factorised(
    group: AngularGroup,
    first: Neighbourhood,
    second: Neighbourhood,
    tables: list[jax.Array],
    same: bool,
) -> jax.Array:
    degree = max(round(zeta) for _, zeta in group.angular)
    degree_of = np.repeat(np.arange(degree + 1), 2 * np.arange(degree + 1) + 1)
    coefficients = np.zeros((len(group.angular), degree + 1))
    for row, (sign, zeta) in zip(coefficients, group.angular, strict=True):
        row[: round(zeta) + 1] = legendre_coefficients(sign, round(zeta))

    def density(side: Neighbourhood, table: jax.Array) -> jax.Array:
        x, y, z = side.unit
        harmonics = real_spherical_harmonics(x, y, z, degree)
        return jnp.einsum("brj,bhj->brh", table, harmonics)

    left = density(first, tables[0])
    right = left if same else density(second, tables[1])
    of_functions = jnp.asarray(coefficients[:, degree_of], left.dtype)
    sums = jnp.einsum("brh,ah->bra", left * right, of_functions)
    if not same:
        return sums
    at_itself = jnp.asarray(coefficients.sum(axis=1), left.dtype)
    own = jnp.sum(tables[0] ** 2, axis=2)
    return 0.5 * (sums - own[:, :, None] * at_itself)


def _direct(
    group: AngularGroup,
    first: Neighbourhood,
    second: Neighbourhood,
    tables: list[jax.Array],
    same: bool,
    cutoff_function: CutoffFunction,
) -> jax.Array:
    cosine = sum(
        a[:, :, None] * b[:, None, :] for a, b in zip(first.unit, second.unit, strict=True)
    )
    assert isinstance(cosine, jax.Array)
    n_block, n_first, n_second = cosine.shape
    dtype = cosine.dtype
    products = tables[0][:, :, :, None] * tables[1][:, :, None, :]
    if group.narrow:
        products = products * _between(group, first, second, cutoff_function)
    if same:
        products = products * jnp.asarray(0.5 * (1.0 - np.eye(n_first)), dtype)
    angular = jnp.stack([_angular(cosine, *factor) for factor in group.angular], axis=1)
    return jax.lax.dot_general(
        products.reshape(n_block, len(group.radial), n_first * n_second),
        angular.reshape(n_block, len(group.angular), n_first * n_second),
        (((2,), (2,)), ((0,), (0,))),
    )


def _between(
    group: AngularGroup,
    first: Neighbourhood,
    second: Neighbourhood,
    cutoff_function: CutoffFunction,
) -> jax.Array:
    # exp(-eta (r_jk - shift)^2) f_c(r_jk), (n_block, n_radial, n_first, n_second). Slots without
    # neighbours share one place, hence the distance of zero that must not meet the square root.
    square = sum(
        ((a * first.distance)[:, :, None] - (b * second.distance)[:, None, :]) ** 2
        for a, b in zip(first.unit, second.unit, strict=True)
    )
    assert isinstance(square, jax.Array)
    apart = square > 0.0
    distance = jnp.sqrt(jnp.where(apart, square, 1.0))
    window = jnp.where(apart, cutoff_function(distance, group.cutoff), 0.0)
    eta, shift = (column[:, None, None] for column in _exponents(group, square.dtype))
    return jnp.exp(-eta * (distance[:, None] - shift) ** 2) * window[:, None]


def _angular(cosine: jax.Array, sign: float, zeta: float) -> jax.Array:
    base = 0.5 * (1.0 + sign * cosine)
    if zeta == round(zeta):
        return 2.0 * jax.lax.integer_pow(base, round(zeta))
    return jnp.asarray(2.0 * jnp.maximum(base, 0.0) ** zeta)
