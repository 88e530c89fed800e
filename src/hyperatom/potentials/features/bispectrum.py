"""Bispectrum: the invariants of third order in the density (four-body functions)."""

from functools import cache
from itertools import combinations_with_replacement

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.features.spherical_harmonics import (
    real_spherical_harmonics,
    split_by_degree,
)


def degree_triples(max_degree: int) -> list[tuple[int, int, int]]:
    """Degrees l1 <= l2 <= l3 that couple to an invariant with even parity.

    The triangle inequality l3 <= l1 + l2 makes it invariant under rotation, an even sum under
    inversion.
    """
    return [
        (first, second, third)
        for first, second, third in combinations_with_replacement(range(max_degree + 1), 3)
        if third <= first + second and (first + second + third) % 2 == 0
    ]


@cache
def coupling(first: int, second: int, third: int) -> NDArray[np.float64]:
    """Real Gaunt coefficients: the mean of Y_l1m1 Y_l2m2 Y_l3m3 over the sphere, scaled.

    Exact quadrature: Gauss-Legendre in z, equal spacing in the azimuth. Scaled so that the squares
    sum to one, which makes the coupling an isometric invariant. The coefficients are symmetric
    under any permutation of the three (l, m). Shape (2 l1 + 1, 2 l2 + 1, 2 l3 + 1).
    """
    total = first + second + third
    z, weight = np.polynomial.legendre.leggauss(total // 2 + 1)
    azimuth = 2.0 * np.pi * np.arange(total + 1) / (total + 1)
    sine = np.sqrt(1.0 - z * z)[:, None]
    grid = (sine * np.cos(azimuth), sine * np.sin(azimuth), z[:, None] + 0.0 * azimuth)
    with jax.enable_x64(True), jax.ensure_compile_time_eval():
        x, y, plane = (jnp.asarray(axis.reshape(1, -1), dtype=jnp.float64) for axis in grid)
        harmonics = np.asarray(real_spherical_harmonics(x, y, plane, max(first, second, third)))[0]
    weights = np.repeat(weight, total + 1)
    parts = [harmonics[n * n : (n + 1) ** 2] for n in (first, second, third)]
    integral = np.einsum("ag,bg,cg,g->abc", *parts, weights)
    integral[np.abs(integral) < 1e-12 * np.abs(integral).max()] = 0.0
    return np.asarray(integral / np.linalg.norm(integral))


@cache
def channel_triples(
    n_channels: int, degrees: tuple[int, int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Channels (a, b, c) such that no product A_al1 A_bl2 A_cl3 appears twice.

    Where two degrees are equal the product is symmetric in their channels: these are ordered.
    """
    a, b, c = (grid.ravel() for grid in np.indices((n_channels,) * 3))
    keep = np.ones(len(a), dtype=bool)
    if degrees[0] == degrees[1]:
        keep &= a <= b
    if degrees[1] == degrees[2]:
        keep &= b <= c
    return a[keep], b[keep], c[keep]


def bispectrum(density: jax.Array, max_degree: int) -> jax.Array:
    """B_{al1,bl2,cl3} = sum_{m1 m2 m3} C^{l1l2l3}_{m1m2m3} A_al1m1 A_bl2m2 A_cl3m3.

    The four-body functions of the atomic cluster expansion (Drautz, Phys. Rev. B 99, 014104 (2019),
    section III) and of Bartók et al. (2010). Only even l1 + l2 + l3, every product once. The
    products of two channels are coupled to degree l3 first, then contracted with the third.

    | array     | shape                                      | meaning                            |
    |-----------|--------------------------------------------|------------------------------------|
    | `density` | (n_block, n_channels, >= (max_degree+1)^2) | A, position l^2 + l + m            |
    | returns   | (n_block, n_features)                      | by `degree_triples`, then channels |
    """
    n_channels = density.shape[1]
    parts = split_by_degree(density, max_degree)
    features = []
    for degrees in degree_triples(max_degree):
        a, b, c = channel_triples(n_channels, degrees)
        pair_keys, pair_of = np.unique(a * n_channels + b, return_inverse=True)
        left, right = pair_keys // n_channels, pair_keys % n_channels
        coefficients = jnp.asarray(coupling(*degrees), dtype=density.dtype)
        # Few large products, although most coefficients are zero: a loop over the others runs
        # slower and takes ten times longer to compile.
        turned = jnp.einsum("iam,mnk->iank", parts[degrees[0]], coefficients)
        pairs = jnp.einsum("iank,ibn->iabk", turned, parts[degrees[1]])[:, left, right]
        triples = jnp.einsum("ipk,ick->ipc", pairs, parts[degrees[2]])
        features.append(triples[:, pair_of, c])
    return jnp.concatenate(features, axis=1)


def weighted_bispectrum(
    density: jax.Array, max_degree: int, weights: jax.Array, mine: jax.Array
) -> jax.Array:
    """sum_B w_B B of each atom, (n_block,), without the features B of `bispectrum` themselves.

    With dense weights, zero for the products that are not features, nothing is gathered and nothing
    is scattered in the derivative:

        sum_ck A_cl3k [ sum_{l1 l2 ab} w_abc sum_mn C_mnk A_al1m A_bl2n ]

    `weights` (n_species, n_features), in the order of the features; `mine` (n_block, n_species) is
    one where an atom is of the species, and else zero.
    """
    n_block, n_channels = density.shape[:2]
    parts = split_by_degree(density, max_degree)
    padded = jnp.pad(weights, ((0, 0), (0, 1)))
    pairs_of: dict[int, list[jax.Array]] = {}
    source_of: dict[int, list[NDArray[np.int64]]] = {}
    start = 0
    for degrees in degree_triples(max_degree):
        first, second, third = degrees
        a, b, c = channel_triples(n_channels, degrees)
        source = np.full((n_channels,) * 3, weights.shape[1])
        source[a, b, c] = start + np.arange(len(a))
        start += len(a)
        coefficients = jnp.asarray(coupling(*degrees), dtype=density.dtype)
        turned = jnp.einsum("iam,mnk->iakn", parts[first], coefficients)
        pairs = jnp.swapaxes(jnp.einsum("iakn,ibn->iakb", turned, parts[second]), 2, 3)
        pairs_of.setdefault(third, []).append(pairs.reshape(n_block, -1, 2 * third + 1))
        source_of.setdefault(third, []).append(source.reshape(-1, n_channels))
    total = jnp.zeros(n_block, dtype=density.dtype)
    for third, sources in source_of.items():
        source = np.concatenate(sources)
        pairs = jnp.concatenate(pairs_of[third], axis=1)
        matrices = [
            (mine @ padded[:, one.ravel()]).reshape(n_block, *one.shape)
            for one in (source, np.ascontiguousarray(source.T))
        ]
        total = total + _bilinear(*matrices, pairs, parts[third])
    return total


@jax.custom_vjp
def _bilinear(
    matrix: jax.Array, transposed: jax.Array, left: jax.Array, right: jax.Array
) -> jax.Array:
    """sum_pck M_pc left_pk right_ck of each atom; the matrix comes in both orders.

    A product over the first axes of two matrices is ten times slower than the others.
    """
    return _bilinear_forward(matrix, transposed, left, right)[0]


def _bilinear_forward(
    matrix: jax.Array, transposed: jax.Array, left: jax.Array, right: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    inner = jnp.einsum("ipc,ick->ipk", matrix, right)
    return jnp.sum(left * inner, axis=(1, 2)), (transposed, left, right, inner)


def _bilinear_backward(
    saved: tuple[jax.Array, ...], slope: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    transposed, left, right, inner = saved
    slope = slope[:, None, None]
    of_matrix = jnp.einsum("ipk,ick->ipc", slope * left, right)
    of_right = jnp.einsum("icp,ipk->ick", transposed, slope * left)
    return of_matrix, jnp.zeros_like(transposed), slope * inner, of_right


_bilinear.defvjp(_bilinear_forward, _bilinear_backward)


def n_bispectrum(n_channels: int, max_degree: int) -> int:
    """Number of features that `bispectrum` returns."""
    return sum(
        len(channel_triples(n_channels, degrees)[0]) for degrees in degree_triples(max_degree)
    )
