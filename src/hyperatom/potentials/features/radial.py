"""Radial functions: Chebyshev polynomials of a mapped distance, times a smooth cutoff."""

import math

import jax
import jax.numpy as jnp

from hyperatom.potentials.features.spherical_harmonics import stack_rows


def smooth_cutoff(distance: jax.Array, cutoff: float) -> jax.Array:
    """A function that falls from one to zero with continuous first and second derivative.

    f(t) = (1 - t)^3 (1 + 3 t + 6 t^2) with t = r / cutoff: f' and f'' vanish at t = 0 and t = 1.
    Exactly zero, with zero derivatives, beyond the cutoff.
    """
    t = jnp.minimum(distance * (1.0 / cutoff), 1.0)
    rest = 1.0 - t
    return rest * rest * rest * (1.0 + t * (3.0 + 6.0 * t))


def radial_map(distance: jax.Array, cutoff: float, crowding: float) -> jax.Array:
    """The distance mapped to [-1, 1], the interval of the Chebyshev polynomials.

    With t = r / cutoff: x = 2 t - 1 without crowding, x = 1 - 2 (e^{c (1-t)} - 1) / (e^c - 1) with
    crowding c (after Drautz, Phys. Rev. B 99, 014104 (2019)): the functions then change faster at
    short distance, where energies do.
    """
    t = jnp.minimum(distance * (1.0 / cutoff), 1.0)
    if crowding == 0.0:
        return 2.0 * t - 1.0
    return 1.0 - 2.0 / math.expm1(crowding) * jnp.expm1(crowding * (1.0 - t))


def radial_functions(
    distance: jax.Array, cutoff: float, n_radial: int, crowding: float = 0.0
) -> jax.Array:
    """R_n(r) = T_n(x(r)) f(r), n = 0 ... n_radial - 1.

    | array      | shape                        | unit | meaning                |
    |------------|------------------------------|------|------------------------|
    | `distance` | (n_block, n_slots)           | Å    | distances              |
    | returns    | (n_block, n_radial, n_slots) | -    | zero beyond the cutoff |
    """
    # The recurrence T_n = 2 x T_{n-1} - T_{n-2} is linear, so it may start from the cutoff itself.
    x = radial_map(distance, cutoff, crowding)
    functions = [smooth_cutoff(distance, cutoff)]
    if n_radial > 1:
        functions.append(x * functions[0])
    for _ in range(2, n_radial):
        functions.append(2.0 * x * functions[-1] - functions[-2])
    return stack_rows(functions)
