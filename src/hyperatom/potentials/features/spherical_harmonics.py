"""Real spherical harmonics of any degree, as polynomials of the unit vector."""

import math

import jax
import jax.numpy as jnp


def real_spherical_harmonics(
    x: jax.Array, y: jax.Array, z: jax.Array, max_degree: int
) -> jax.Array:
    """Y_lm(x, y, z) for l = 0 ... max_degree, m = -l ... l, on the unit sphere.

    Normalised so that the addition theorem reads sum_m Y_lm(u) Y_lm(v) = P_l(u . v) (Racah's
    normalisation: Y_00 = 1), without the Condon-Shortley sign: Y_1 = (y, z, x). For m > 0

        Y_l,m  = N Q_lm(z) Re (x + iy)^m,   Y_l,-m = N Q_lm(z) Im (x + iy)^m,
        Q_mm = (2m - 1)!!,   (l - m) Q_lm = (2l - 1) z Q_{l-1,m} - (l + m - 1) Q_{l-2,m},

    N = sqrt(2 (l-m)!/(l+m)!), the associated Legendre functions divided by sin^m (Abramowitz and
    Stegun, 8.5.3). Polynomials, hence without a singularity at the poles.

    | array         | shape                                  | meaning                      |
    |---------------|----------------------------------------|------------------------------|
    | `x`, `y`, `z` | (n_block, n_slots)                     | planes of a unit vector      |
    | returns       | (n_block, (max_degree + 1)^2, n_slots) | Y_lm at position l^2 + l + m |
    """
    columns: dict[tuple[int, int], jax.Array] = {}
    real, imaginary = jnp.ones_like(x), jnp.zeros_like(x)
    for m in range(max_degree + 1):
        if m == 1:
            real, imaginary = x, y
        elif m > 1:
            real, imaginary = x * real - y * imaginary, x * imaginary + y * real
        # The recurrence in l for p_l = N_lm Q_lm, with the normalisation absorbed.
        start = math.prod(range(1, 2 * m, 2)) * _normalisation(m, m)
        before: jax.Array | None = None
        polynomial: jax.Array | None = None  # None stands for the constant `start`
        for degree in range(m, max_degree + 1):
            if degree == m + 1:
                polynomial = z * (start * (2 * m + 1) * _ratio(degree, m, 1))
            elif degree > m + 1:
                assert polynomial is not None
                first = (2 * degree - 1) / (degree - m) * _ratio(degree, m, 1)
                second = (degree + m - 1) / (degree - m) * _ratio(degree, m, 2)
                earlier = second * (start if before is None else before)
                before, polynomial = polynomial, first * z * polynomial - earlier
            factor = start if polynomial is None else polynomial
            columns[degree, m] = factor * real
            if m > 0:
                columns[degree, -m] = factor * imaginary
    return jnp.stack(
        [
            columns[degree, m]
            for degree in range(max_degree + 1)
            for m in range(-degree, degree + 1)
        ],
        axis=1,
    )


def _normalisation(degree: int, m: int) -> float:
    if m == 0:
        return 1.0
    return math.sqrt(2.0 * math.factorial(degree - m) / math.factorial(degree + m))


def _ratio(degree: int, m: int, steps: int) -> float:
    return _normalisation(degree, m) / _normalisation(degree - steps, m)
