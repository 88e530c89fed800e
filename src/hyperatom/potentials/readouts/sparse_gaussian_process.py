"""Sparse Gaussian process: an energy as a sum of kernels with few representative points.

    e(x) = delta^2 sum_s alpha_s k(x, x_s)
    var e(x) = k(x, x) - k_xs [K_ss^-1 - (K_ss + K_sf Lambda^-1 K_fs)^-1] k_sx

Quiñonero-Candela and Rasmussen, J. Mach. Learn. Res. 6, 1939 (2005); Bartók and Csányi, Int. J.
Quantum Chem. 115, 1051 (2015).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

Array = NDArray[np.float64]


def dot_product_kernel(x: jax.Array, points: jax.Array, exponent: float) -> jax.Array:
    """(x . x_s)^exponent, (..., n_points); `x` (..., n_features), `points` (n_points, n_features).

    Where the exponent is not a whole number, products below zero count as zero.
    """
    product = x @ points.T
    if float(exponent).is_integer():
        return product ** int(exponent)
    positive = product > 0.0
    return jnp.where(positive, jnp.where(positive, product, 1.0) ** exponent, 0.0)


def gaussian_kernel(x: jax.Array, points: jax.Array, widths: Any) -> jax.Array:
    """exp(-|(x - x_s) / widths|^2 / 2), (..., n_points); `widths` (n_features,)."""
    scaled, at = x / widths, points / widths
    exponent = scaled @ at.T - 0.5 * jnp.sum(at * at, axis=1)
    return jnp.exp(exponent - 0.5 * jnp.sum(scaled * scaled, axis=-1, keepdims=True))


def predictive_variance(
    row: Array, prior: Array, sparse_factor: Array, posterior_factor: Array
) -> Array:
    """Variance of the energy at n places, (n,).

    | array              | shape                | meaning                                          |
    |--------------------|----------------------|--------------------------------------------------|
    | `row`              | (n, n_points)        | k(x, x_s)                                        |
    | `prior`            | (n,)                 | k(x, x)                                          |
    | `sparse_factor`    | (n_points, n_points) | lower Cholesky factor of K_ss                    |
    | `posterior_factor` | (n_points, n_points) | the one of K_ss + K_sf Lambda^-1 K_fs            |
    """
    before = solve_triangular(sparse_factor, row.T, lower=True)
    after = solve_triangular(posterior_factor, row.T, lower=True)
    return np.asarray(prior - (before**2).sum(axis=0) + (after**2).sum(axis=0))
