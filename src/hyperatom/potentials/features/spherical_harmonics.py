"""Real spherical harmonics of any degree, as polynomials of the unit vector."""

import math

import jax
import jax.numpy as jnp

Rows = dict[tuple[int, int], jax.Array]

STACKED_AT_ONCE = 8
"""XLA computes a stack of up to eight arrays in one pass; a longer one it collects by copying."""


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
    legendre, _ = _legendre(z, max_degree)
    real, imaginary = _azimuthal(x, y, max_degree)
    rows = [
        legendre[degree, abs(m)] * (real[m] if m >= 0 else imaginary[-m])
        for degree in range(max_degree + 1)
        for m in range(-degree, degree + 1)
    ]
    return stack_rows(rows)


def gradient_of_expansion(
    x: jax.Array, y: jax.Array, z: jax.Array, coefficients: jax.Array, max_degree: int
) -> jax.Array:
    """Gradient of sum_lm coefficients_lm Y_lm with respect to x, y and z as if independent.

    `coefficients` (n_block, (max_degree + 1)^2, n_slots) differ from slot to slot; returns
    (3, n_block, n_slots). The sums over l are collected for each m before they meet the azimuthal
    factors, whose derivatives are d/dx Re, Im = m (Re, Im) and d/dy Re, Im = m (-Im, Re) of the
    power m - 1.
    """
    legendre, slopes = _legendre(z, max_degree)
    real, imaginary = _azimuthal(x, y, max_degree)
    along_x = along_y = along_z = jnp.zeros_like(x)

    def collect(rows: Rows, m: int, sign: int) -> jax.Array:
        total = jnp.zeros_like(x)
        for degree in range(m, max_degree + 1):
            position = degree * degree + degree + sign * m
            total = total + rows[degree, m] * coefficients[:, position]
        return total

    for m in range(max_degree + 1):
        along_z = along_z + collect(slopes, m, 1) * real[m]
        if m > 0:
            along_z = along_z + collect(slopes, m, -1) * imaginary[m]
            cosine, sine = collect(legendre, m, 1), collect(legendre, m, -1)
            along_x = along_x + m * (cosine * real[m - 1] + sine * imaginary[m - 1])
            along_y = along_y + m * (sine * real[m - 1] - cosine * imaginary[m - 1])
    return jnp.stack([along_x, along_y, along_z])


def split_by_degree(coefficients: jax.Array, max_degree: int) -> list[jax.Array]:
    """Coefficients (n_block, n_rows, >= (max_degree + 1)^2) -> (n_block, n_rows, 2l + 1) of each l.

    One operation, whose derivative is one array put together; that of slices is a sum of as many.
    """
    sizes = [2 * degree + 1 for degree in range(max_degree + 1)]
    rest = coefficients.shape[2] - sum(sizes)
    return list(jax.lax.split(coefficients, [*sizes, rest], axis=2)[: len(sizes)])


def stack_rows(rows: list[jax.Array]) -> jax.Array:
    """Arrays (n_block, n_slots) stacked to (n_block, n_rows, n_slots) in short groups."""
    groups = [
        jnp.stack(rows[start : start + STACKED_AT_ONCE], axis=1)
        for start in range(0, len(rows), STACKED_AT_ONCE)
    ]
    if len(groups) == 1:
        return groups[0]
    # The barrier keeps the compiler from joining the groups to one long stack again.
    apart = jax.lax.optimization_barrier(groups)
    return jnp.concatenate(apart, axis=1)


def _azimuthal(
    x: jax.Array, y: jax.Array, max_degree: int
) -> tuple[list[jax.Array], list[jax.Array]]:
    # Real and imaginary part of (x + iy)^m.
    real, imaginary = [jnp.ones_like(x)], [jnp.zeros_like(x)]
    for m in range(max_degree):
        real.append(x * real[m] - y * imaginary[m])
        imaginary.append(x * imaginary[m] + y * real[m])
    return real, imaginary


def _legendre(z: jax.Array, max_degree: int) -> tuple[Rows, Rows]:
    # N_lm Q_lm(z) and its derivative, with the normalisation absorbed in the recurrence.
    values: Rows = {}
    slopes: Rows = {}
    for m in range(max_degree + 1):
        values[m, m] = jnp.full_like(z, math.prod(range(1, 2 * m, 2)) * _normalisation(m, m))
        slopes[m, m] = jnp.zeros_like(z)
        for degree in range(m + 1, max_degree + 1):
            first = (2 * degree - 1) / (degree - m) * _ratio(degree, m, 1)
            value = first * z * values[degree - 1, m]
            slope = first * (values[degree - 1, m] + z * slopes[degree - 1, m])
            if degree > m + 1:
                second = (degree + m - 1) / (degree - m) * _ratio(degree, m, 2)
                value = value - second * values[degree - 2, m]
                slope = slope - second * slopes[degree - 2, m]
            values[degree, m], slopes[degree, m] = value, slope
    return values, slopes


def _normalisation(degree: int, m: int) -> float:
    if m == 0:
        return 1.0
    return math.sqrt(2.0 * math.factorial(degree - m) / math.factorial(degree + m))


def _ratio(degree: int, m: int, steps: int) -> float:
    return _normalisation(degree, m) / _normalisation(degree - steps, m)
