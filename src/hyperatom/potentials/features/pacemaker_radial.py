"""The radial functions of pacemaker's atomic cluster expansion, and its inner and outer cutoffs.

Lysogorskiy et al., npj Computational Materials 7, 97 (2021), and Bochkarev et al., Phys. Rev.
Materials 6, 013804 (2022). pacemaker tabulates these functions at every 0.001 Å and interpolates;
here they are evaluated as they are.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hyperatom.potentials.features.spherical_harmonics import stack_rows


class Shape(NamedTuple):
    """Constants of radial functions; each broadcasts to (n_block, n_slots).

    | field       | unit | meaning                                |
    |-------------|------|----------------------------------------|
    | `cutoff`    | Å    | beyond it the functions are zero       |
    | `width`     | Å    | of the cutoff's last step              |
    | `parameter` | -    | what the basis makes of it             |
    """

    cutoff: jax.Array
    width: jax.Array
    parameter: jax.Array


RadialFunctions = Callable[[jax.Array, Shape, int], list[jax.Array]]
"""(distances below the cutoff, constants, number of functions) -> functions"""


def radial_functions(basis: str, distance: jax.Array, shape: Shape, n_functions: int) -> jax.Array:
    """g_k(r), k = 1 ... n_functions, of the basis with that name in `BASES`.

    `distance` (n_block, n_slots) in Å; returns (n_block, n_functions, n_slots), zero beyond the
    cutoff.
    """
    inside = distance < shape.cutoff
    safe = jnp.where(inside, distance, 0.5 * shape.cutoff)
    functions = BASES[basis](safe, shape, n_functions)
    return stack_rows([jnp.where(inside, function, 0.0) for function in functions])


def cosine_window(distance: jax.Array, cutoff: jax.Array) -> jax.Array:
    """(1 + cos(pi r / r_c)) / 2."""
    return 0.5 + 0.5 * cosine_of_half_turns(distance / cutoff)


def cosine_of_half_turns(fraction: jax.Array) -> jax.Array:
    """cos(pi t) for 0 <= t <= 1, a polynomial: a library's cosine is no vector instruction.

    - sin(pi (t - 1/2)) by its Taylor series up to the 21st power, to 2e-18.
    """
    return -_taylor(math.pi * (fraction - 0.5), 1)


def sine_of_half_turns(fraction: jax.Array) -> jax.Array:
    """sin(pi t) for 0 <= t <= 1: cos(pi (t - 1/2)) by its Taylor series up to the 22nd power."""
    return _taylor(math.pi * (fraction - 0.5), 0)


def _taylor(angle: jax.Array, first: int) -> jax.Array:
    # The alternating series of the sine (first = 1) or the cosine (first = 0).
    square = angle * angle
    total = jnp.zeros_like(angle)
    for power in range(first + 20 + 2 * (1 - first), -1, -2):
        total = total * square + (-1.0) ** (power // 2) / math.factorial(power)
    return total * angle if first else total


def inner_switch(distance: jax.Array, inner: jax.Array, width: jax.Array) -> jax.Array:
    """Rises from 0 at inner - width to 1 at inner: a fifth-order polynomial, smooth at both ends.

    1/2 - 15/4 (x/4 - x^3/6 + x^5/20) with x from 1 to -1. One everywhere where `width` is zero.
    """
    step = (inner - distance) / jnp.where(width > 0.0, width, 1.0)
    x = jnp.clip(2.0 * step - 1.0, -1.0, 1.0)
    square = x * x
    falling = 0.5 - 3.75 * x * (0.25 - square * (1.0 / 6.0 - 0.05 * square))
    return jnp.where(width > 0.0, falling, 1.0)


def _chebyshev_cosine(distance: jax.Array, shape: Shape, n_functions: int) -> list[jax.Array]:
    # g_1 = w, g_k = w (1 - T_{k-1}(x)) / 2 with x = 1 - 2 (e^{c (1 - r/r_c)} - 1) / (e^c - 1);
    # the recurrence of w T_k starts from the window w itself.
    cutoff, width, parameter = shape
    scale = 2.0 / jnp.expm1(parameter)
    x = (1.0 + scale) - scale * jnp.exp(parameter * (1.0 - distance / cutoff))
    window = cosine_window(distance, cutoff) * _last_step(distance, cutoff, width)
    products = [window, x * window]
    while len(products) < n_functions:
        products.append(2.0 * x * products[-1] - products[-2])
    return [window] + [0.5 * (window - product) for product in products[1:n_functions]]


def _last_step(distance: jax.Array, cutoff: jax.Array, width: jax.Array) -> jax.Array:
    # A cosine that falls from one to zero over the last `width` before the cutoff.
    start = cutoff - width
    fraction = jnp.clip((distance - start) / jnp.where(width > 0.0, width, 1.0), 0.0, 1.0)
    return jnp.where(width > 0.0, 0.5 + 0.5 * cosine_of_half_turns(fraction), 1.0)


def _chebyshev_power(distance: jax.Array, shape: Shape, n_functions: int) -> list[jax.Array]:
    # g_k = (1 - T_k(x)) / 2 with x = 1 - 2 (1 - r/r_c)^c.
    return _one_minus_chebyshev(
        1.0 - 2.0 * (1.0 - distance / shape.cutoff) ** shape.parameter, n_functions
    )


def _chebyshev_linear(distance: jax.Array, shape: Shape, n_functions: int) -> list[jax.Array]:
    # g_k = (1 - T_k(x)) / 2 with x = 1 - r/r_c: does not vanish at the cutoff, but jumps there.
    return _one_minus_chebyshev(1.0 - distance / shape.cutoff, n_functions)


def _one_minus_chebyshev(x: jax.Array, n_functions: int) -> list[jax.Array]:
    polynomials = [jnp.ones_like(x), x]
    while len(polynomials) <= n_functions:
        polynomials.append(2.0 * x * polynomials[-1] - polynomials[-2])
    return [0.5 - 0.5 * polynomial for polynomial in polynomials[1 : n_functions + 1]]


def _spherical_bessel(distance: jax.Array, shape: Shape, n_functions: int) -> list[jax.Array]:
    # Sums of two spherical Bessel functions j_0 that vanish at the cutoff with their slope, made
    # orthonormal: Kocer, Mason and Erturk, J. Chem. Phys. 150, 154102 (2019), equations 8 to 10.
    fraction = distance / shape.cutoff
    angle = math.pi * fraction
    twice_cosine = 2.0 * cosine_of_half_turns(fraction)
    sines = [jnp.zeros_like(angle), sine_of_half_turns(fraction)]
    while len(sines) < n_functions + 2:
        sines.append(twice_cosine * sines[-1] - sines[-2])
    bessel = [sine / angle * (1.0 / k) for k, sine in enumerate(sines) if k > 0]
    scale = math.sqrt(2.0) * math.pi / shape.cutoff**1.5
    functions: list[jax.Array] = []
    previous = 1.0
    for n in range(n_functions):
        weight = (-1) ** n * (n + 1) * (n + 2) / math.hypot(n + 1, n + 2)
        function = weight * scale * (bessel[n] + bessel[n + 1])
        if n > 0:
            ratio = n**2 * (n + 2) ** 2 / (4 * (n + 1) ** 4 + 1) / previous
            previous = 1.0 - ratio
            function = (function + math.sqrt(ratio) * functions[-1]) * (1.0 / math.sqrt(previous))
        functions.append(function)
    return functions


BASES: dict[str, RadialFunctions] = {
    "ChebExpCos": _chebyshev_cosine,
    "ChebPow": _chebyshev_power,
    "ChebLinear": _chebyshev_linear,
    "SBessel": _spherical_bessel,
}
"""Radial bases by the names that the files give them."""
