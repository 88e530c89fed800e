"""Trispectrum: invariants of fourth order in the density (five-body functions).

Two channels are coupled to a tensor of degree L, and two such pairs to an invariant:

    P^LM_{al1,bl2} = sum_{m1 m2} C^{l1 l2 L}_{m1 m2 M} A_al1m1 A_bl2m2
    T_pq = sum_M P_pLM P_qLM

with the couplings C of `bispectrum.py`. Four factors can be paired in three ways and coupled over
several L, so that many T_pq are sums of others: of each four factors as many are kept as are
independent. (Drautz, Phys. Rev. B 99, 014104 (2019); the same counting in Dusson et al., J. Comput.
Phys. 454, 110946 (2022).)
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.features.bispectrum import coupling
from hyperatom.potentials.features.power_spectrum import quadratic_form
from hyperatom.potentials.features.spherical_harmonics import split_by_degree

TRIALS = 24
"""Random densities that tell which invariants of the same factors are independent."""

SMALL = 1e-9
"""A part of an invariant that others of the same factors leave, and that is nothing."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of factors that are coupled to one degree L, and products of two pairs.

    | field       | meaning                                                              |
    |-------------|----------------------------------------------------------------------|
    | `degree`    | L                                                                    |
    | `blocks`    | (l1, l2, channels a, channels b): pairs of these degrees, in order   |
    | `products`  | (2, n): the pairs p <= q whose product is an invariant that is kept   |
    """

    degree: int
    blocks: tuple[tuple[int, int, NDArray[np.int64], NDArray[np.int64]], ...]
    products: NDArray[np.int64]


@cache
def pairs_of_degrees(n_channels: int, max_degree: int) -> tuple[Pairs, ...]:
    """All pairs by L, and which of their products are independent invariants."""
    found = []
    for total in range(2 * max_degree + 1):
        blocks = []
        for first in range(max_degree + 1):
            for second in range(first, max_degree + 1):
                if second - first <= total <= first + second and not (first + second + total) % 2:
                    a, b = (grid.ravel() for grid in np.indices((n_channels,) * 2))
                    keep = a <= b if first == second else a >= 0
                    blocks.append((first, second, a[keep], b[keep]))
        found.append(Pairs(total, tuple(blocks), np.empty((2, 0), dtype=np.int64)))
    return _independent(found, n_channels, max_degree)


def _independent(found: list[Pairs], n_channels: int, max_degree: int) -> tuple[Pairs, ...]:
    rng = np.random.default_rng(0)
    density = rng.normal(size=(TRIALS, n_channels, (max_degree + 1) ** 2))
    candidates: dict[tuple[int, ...], list[tuple[int, int, int]]] = defaultdict(list)
    values = {}
    for pairs in found:
        with jax.enable_x64(True), jax.ensure_compile_time_eval():
            values[pairs.degree] = np.asarray(coupled(jnp.asarray(density), max_degree, pairs))
        factors = [
            (c * (max_degree + 1) + first, d * (max_degree + 1) + second)
            for first, second, a, b in pairs.blocks
            for c, d in zip(a.tolist(), b.tolist(), strict=True)
        ]
        for p, left in enumerate(factors):
            for q in range(p, len(factors)):
                candidates[tuple(sorted((*left, *factors[q])))].append((pairs.degree, p, q))
    kept: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for same in candidates.values():
        basis: list[NDArray[np.float64]] = []
        for total, p, q in same:
            row = (values[total][:, p] * values[total][:, q]).sum(axis=1)
            row /= np.linalg.norm(row)
            for _ in range(2):
                for other in basis:
                    row = row - (row @ other) * other
            if (left_over := np.linalg.norm(row)) > SMALL:
                basis.append(row / left_over)
                kept[total].append((p, q))
    return tuple(
        replace(pairs, products=np.array(kept[pairs.degree], dtype=np.int64).reshape(-1, 2).T)
        for pairs in found
    )


def trispectrum(density: jax.Array, max_degree: int) -> jax.Array:
    """T_pq of the kept products.

    | array     | shape                                      | meaning                    |
    |-----------|--------------------------------------------|----------------------------|
    | `density` | (n_block, n_channels, >= (max_degree+1)^2) | A, position l^2 + l + m    |
    | returns   | (n_block, n_features)                      | by L, then the kept (p, q) |
    """
    features = []
    for pairs in pairs_of_degrees(density.shape[1], max_degree):
        tensors = coupled(density, max_degree, pairs)
        left, right = pairs.products
        features.append(jnp.sum(tensors[:, left] * tensors[:, right], axis=-1))
    return jnp.concatenate(features, axis=1)


def weighted_trispectrum(
    density: jax.Array, max_degree: int, weights: jax.Array, mine: jax.Array
) -> jax.Array:
    """sum_T w_T T of each atom, (n_block,): for each L a quadratic form in its pairs.

    `weights` (n_species, n_features), in the order of the features; `mine` (n_block, n_species) is
    one where an atom is of the species, and else zero.
    """
    n_block = density.shape[0]
    total = jnp.zeros(n_block, dtype=density.dtype)
    start = 0
    for pairs in pairs_of_degrees(density.shape[1], max_degree):
        tensors = coupled(density, max_degree, pairs)
        left, right = pairs.products
        own = weights[:, start : start + len(left)]
        start += len(left)
        total = total + quadratic_form(own, left, right, tensors, mine)
    return total


def coupled(density: jax.Array, max_degree: int, pairs: Pairs) -> jax.Array:
    """P^LM of all pairs of one degree L, (n_block, n_pairs, 2 L + 1)."""
    parts = split_by_degree(density, max_degree)
    found = []
    for first, second, a, b in pairs.blocks:
        coefficients = jnp.asarray(coupling(first, second, pairs.degree), dtype=density.dtype)
        turned = jnp.einsum("iam,mnk->iakn", parts[first], coefficients)
        product = jnp.swapaxes(jnp.einsum("iakn,ibn->iakb", turned, parts[second]), 2, 3)
        found.append(product[:, a, b])
    return jnp.concatenate(found, axis=1)


def n_trispectrum(n_channels: int, max_degree: int) -> int:
    """Number of features that `trispectrum` returns."""
    if not n_channels:
        return 0
    return sum(pairs.products.shape[1] for pairs in pairs_of_degrees(n_channels, max_degree))
