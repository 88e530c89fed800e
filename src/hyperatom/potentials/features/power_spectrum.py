"""Power spectrum: the invariants of second order in the density (three-body functions)."""

import jax
import jax.numpy as jnp
import numpy as np

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


def n_power_spectrum(n_channels: int, max_degree: int, diagonal: bool) -> int:
    """Number of features that `power_spectrum` returns."""
    each = n_channels if diagonal else n_channels * (n_channels + 1) // 2
    return each * (max_degree + 1)
