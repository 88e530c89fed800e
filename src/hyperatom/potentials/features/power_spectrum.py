"""Power spectrum: the invariants of second order in the density (three-body functions)."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.features.spherical_harmonics import split_by_degree


def power_spectrum(density: jax.Array, max_degree: int, diagonal: bool) -> jax.Array:
    """p_abl = (2l + 1)^-1/2 sum_m A_alm A_blm for channels a <= b, or for a = b only.

    Bartók, Kondor and Csányi, Phys. Rev. B 87, 184115 (2013), up to constants.

    | array     | shape                                      | meaning                        |
    |-----------|--------------------------------------------|--------------------------------|
    | `density` | (n_block, n_channels, >= (max_degree+1)^2) | A, position l^2 + l + m        |
    | returns   | (n_block, n_features)                      | degree slowest, then a, then b |
    """
    n_channels = density.shape[1]
    left, right = np.triu_indices(n_channels)
    products = []
    for degree, part in enumerate(split_by_degree(density, max_degree)):
        if diagonal:
            square = jnp.sum(part * part, axis=-1)
        else:
            square = jnp.einsum("iam,ibm->iab", part, part)[:, left, right]
        products.append((2 * degree + 1) ** -0.5 * square)
    return jnp.concatenate(products, axis=1)


def weighted_power_spectrum(
    density: jax.Array, max_degree: int, diagonal: bool, weights: jax.Array, mine: jax.Array
) -> jax.Array:
    """sum_p w_p p of each atom, (n_block,), without the features p of `power_spectrum` themselves.

    For each degree sum_m A_m . W A_m with a symmetric matrix W of weights. `weights`
    (n_species, n_features), in the order of the features; `mine` (n_block, n_species) is one where
    an atom is of the species, and else zero.
    """
    n_block, n_channels = density.shape[:2]
    each = n_power_spectrum(n_channels, 0, diagonal)
    left, right = (np.arange(n_channels),) * 2 if diagonal else np.triu_indices(n_channels)
    total = jnp.zeros(n_block, dtype=density.dtype)
    for degree, part in enumerate(split_by_degree(density, max_degree)):
        own = weights[:, degree * each : (degree + 1) * each] * (2 * degree + 1) ** -0.5
        total = total + quadratic_form(own, left, right, part, mine)
    return total


def quadratic_form(
    weights: jax.Array,
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    tensors: jax.Array,
    mine: jax.Array,
) -> jax.Array:
    """sum_k w_k T_left(k) . T_right(k) of each atom, (n_block,), with a dense symmetric matrix.

    `weights` (n_species, n_products); `left` <= `right` (n_products,) count the `tensors`
    (n_block, n_tensors, n_m); `mine` as in `weighted_power_spectrum`.
    """
    n_block, n_tensors = tensors.shape[:2]
    n_products = len(left)
    source = np.full((n_tensors, n_tensors), n_products)
    source[left, right] = source[right, left] = np.arange(n_products)
    own = jnp.pad(weights, ((0, 0), (0, 1)))
    # Off the diagonal each weight stands twice.
    share = np.where(np.eye(n_tensors, dtype=bool), 1.0, 0.5).ravel().astype(tensors.dtype)
    matrix = (mine @ (own[:, source.ravel()] * share)).reshape(n_block, n_tensors, n_tensors)
    return _quadratic(matrix, tensors)


@jax.custom_vjp
def _quadratic(matrix: jax.Array, part: jax.Array) -> jax.Array:
    """sum_abm W_ab A_am A_bm of each atom, W symmetric: its derivative is 2 W A."""
    return _quadratic_forward(matrix, part)[0]


def _quadratic_forward(
    matrix: jax.Array, part: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    turned = jnp.einsum("iab,ibm->iam", matrix, part)
    return jnp.sum(part * turned, axis=(1, 2)), (part, turned)


def _quadratic_backward(
    saved: tuple[jax.Array, jax.Array], slope: jax.Array
) -> tuple[jax.Array, jax.Array]:
    part, turned = saved
    slope = slope[:, None, None]
    return jnp.einsum("iam,ibm->iab", slope * part, part), 2.0 * slope * turned


_quadratic.defvjp(_quadratic_forward, _quadratic_backward)


def n_power_spectrum(n_channels: int, max_degree: int, diagonal: bool) -> int:
    """Number of features that `power_spectrum` returns."""
    each = n_channels if diagonal else n_channels * (n_channels + 1) // 2
    return each * (max_degree + 1)
