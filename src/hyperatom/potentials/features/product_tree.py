"""Sums of products of many complex numbers, each sub-product computed once.

    s_c = sum_k C_ck Re prod_t Z_{t(k)}

The products of the atomic cluster expansion (Drautz, Phys. Rev. B 99, 014104 (2019)); sub-products
are shared as in the "recursive evaluator" of Lysogorskiy et al., npj Computational Materials 7, 97
(2021). Here a product of r factors is that of two nodes of a tree, of about r/2 factors each. Rows
are factors, nodes or products, columns the atoms of a block: a gather of rows is then a run of
vector instructions, and the compiler sees a handful of operations, not one for each product. The
derivative by hand is a sweep back over the levels; what a row receives is summed in groups of
equal width, so that nothing is scattered.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.fence import fenced

Indices = NDArray[np.int32]
Tree = dict[str, Any]
Factor = tuple[int, int]
"""Channel c and order m of Z_cm, with Z_c,-m the complex conjugate of Z_cm."""
Product = tuple[Factor, ...]
Nodes = dict[int, dict[Product, tuple[Product, Product]]]
Complex = tuple[jax.Array, jax.Array]

WIDTHS = (2, 3, 4, 6, 8)
"""Numbers of rows that are summed at a time."""


def conjugate(product: Iterable[Factor]) -> Product:
    """The complex conjugate of a product, its factors in order."""
    return tuple(sorted((channel, -order) for channel, order in product))


def canonical(product: Iterable[Factor]) -> Product:
    """One form for a product and its conjugate, whose real parts are equal."""
    there = tuple(sorted(product))
    return max(there, conjugate(there))


def build_tree(products: Sequence[Product], channels: NDArray[np.int64], n_values: int) -> Tree:
    """The arrays that `sums_of_products` needs, for products of two and more factors.

    `channels` (n_channels, 2) says in which two of the `n_values` values the real and the imaginary
    part of Z_cm for m >= 0 are found; -1 where the imaginary part is zero.

    | entry           | meaning                                                              |
    |-----------------|----------------------------------------------------------------------|
    | `factors`       | values of the first rows, which are factors: real, imaginary part    |
    | `signs`         | of these parts: -1 for the imaginary part of a conjugate, or zero    |
    | `from_factors`  | for each value, two of these parts and their signs                   |
    | `levels`        | for nodes of 2, 3, ... factors: rows of both parts, (2, n_nodes)     |
    | `products`      | rows of both parts of each product, (2, n_products)                  |
    | `from_products` | groups in which a row sums its slopes from the products              |
    | `from_levels`   | groups in which earlier rows sum their slopes from a level           |
    """
    nodes: Nodes = {1: {}}
    parts = [_divide(product, nodes) for product in products]
    rows: dict[Product, int] = {}
    for size in sorted(nodes):
        rows.update(zip(nodes[size], range(len(rows), len(rows) + len(nodes[size])), strict=True))
    levels = [_rows_of(nodes[size].values(), rows) for size in sorted(nodes)[1:]]
    ends = _rows_of(parts, rows)
    starts = [0, *np.cumsum([len(nodes[size]) for size in sorted(nodes)]).tolist()]

    def sums(ends: Indices, n_levels: int) -> list[list[Indices]]:
        # Rows of one level receive about as much: each level has groups of its own.
        received = _received(ends, starts[n_levels])
        return [
            _grouped(received[start:end], ends.shape[1])
            for start, end in pairwise(starts[: n_levels + 1])
        ]

    return {
        **_factors([node[0] for node in nodes[1]], channels, n_values),
        "levels": levels,
        "products": ends,
        "from_products": sums(ends, len(levels) + 1),
        "from_levels": [sums(level, number + 1) for number, level in enumerate(levels)],
    }


def _factors(factors: list[Factor], channels: NDArray[np.int64], n_values: int) -> Tree:
    values = np.zeros((2, len(factors)), np.int32)
    signs = np.zeros((2, len(factors)))
    received: list[list[tuple[int, float]]] = [[] for _ in range(n_values)]
    for row, (channel, order) in enumerate(factors):
        for part, value in enumerate(channels[channel]):
            if value >= 0:
                sign = -1.0 if part == 1 and order < 0 else 1.0
                values[part, row], signs[part, row] = value, sign
                received[value].append((part * len(factors) + row, sign))
    pairs = [[*parts, (0, 0.0), (0, 0.0)][:2] for parts in received]
    return {
        "factors": values,
        "signs": signs,
        "from_factors": np.array([[row for row, _ in pair] for pair in pairs], np.int32).T,
        "from_signs": np.array([[sign for _, sign in pair] for pair in pairs]).T,
    }


def _divide(product: Product, nodes: Nodes) -> tuple[Product, Product]:
    # The division, of the product or its conjugate, that needs the fewest new nodes.
    return _with_parts(_divisions(product) | _divisions(conjugate(product)), nodes)


def _with_parts(divisions: set[tuple[Product, Product]], nodes: Nodes) -> tuple[Product, Product]:
    def cost(pair: tuple[Product, Product]) -> tuple[int, tuple[Product, Product]]:
        return sum(part not in nodes.get(len(part), {}) for part in set(pair)), pair

    best = min(divisions, key=cost)
    for part in best:
        known = nodes.setdefault(len(part), {})
        if part not in known:
            alone = len(part) == 1
            known[part] = (part, part) if alone else _with_parts(_divisions(part), nodes)
    return best


def _divisions(product: Product) -> set[tuple[Product, Product]]:
    numbers = range(len(product))
    return {
        (
            tuple(product[i] for i in numbers if i not in chosen),
            tuple(product[i] for i in chosen),
        )
        for chosen in combinations(numbers, len(product) // 2)
    }


def _rows_of(parts: Iterable[tuple[Product, Product]], rows: dict[Product, int]) -> Indices:
    found = [(rows[left], rows[right]) for left, right in parts]
    return np.ascontiguousarray(np.array(found, np.int32).reshape(-1, 2).T)


def _received(ends: Indices, n_rows: int) -> list[list[tuple[int, int]]]:
    # For each row the products that it is a part of, and their other part.
    received: list[list[tuple[int, int]]] = [[] for _ in range(n_rows)]
    for number, (left, right) in enumerate(ends.T.tolist()):
        received[left].append((number, right))
        received[right].append((number, left))
    return received


def _grouped(received: list[list[tuple[int, int]]], n_slopes: int) -> list[Indices]:
    """Steps of the sums that rows make over the products that they are a part of.

    Index arrays (2, width, n_groups). In the first step the indices are those of a product and of
    its other part, later twice that of a sum of the step before; one beyond the last stands for
    zero. The last step has one group for each row, in order. Widths are those of least work.
    """
    steps = []
    while True:
        counts = np.array([len(pairs) for pairs in received])
        most = max(1, int(counts.max(initial=0)))
        work = {
            width: int((-(-counts // width) * width).sum()) + len(counts) * -(-most // width)
            for width in WIDTHS
            if width < most
        }
        if most <= WIDTHS[-1]:
            work[most] = len(counts) * most
        width = min(work, key=lambda width: work[width])
        last = width == most
        groups, owners = [], []
        for owner, pairs in enumerate(received):
            for start in range(0, max(len(pairs), int(last)), width):
                group = pairs[start : start + width]
                groups.append(group + [(n_slopes, 0)] * (width - len(group)))
                owners.append(owner)
        steps.append(np.ascontiguousarray(np.array(groups, np.int32).transpose(2, 1, 0)))
        if last:
            return steps
        received = [[] for _ in received]
        for row, owner in enumerate(owners):
            received[owner].append((row, row))
        n_slopes = len(owners)


@jax.custom_vjp
def sums_of_products(tree: Tree, coefficients: jax.Array, values: jax.Array) -> jax.Array:
    """The sums s_c for each atom of a block.

    | array          | shape                | meaning                                  |
    |----------------|----------------------|------------------------------------------|
    | `tree`         | -                    | arrays of `build_tree`                   |
    | `coefficients` | (n_sums, n_products) | C_ck                                     |
    | `values`       | (n_values, n_block)  | real and imaginary parts of the factors  |
    | returns        | (n_sums, n_block)    |                                          |
    """
    return _forward(tree, coefficients, values)[0]


def _forward(
    tree: Tree, coefficients: jax.Array, values: jax.Array
) -> tuple[jax.Array, tuple[Tree, jax.Array, Complex, jax.Array]]:
    table = _leaves(tree, values)
    for level in tree["levels"]:
        real, imaginary = fenced(_real_parts)(level, table), fenced(_imaginary_parts)(level, table)
        table = jnp.concatenate([table[0], real]), jnp.concatenate([table[1], imaginary])
    products = fenced(_real_parts)(tree["products"], table)
    return coefficients @ products, (tree, coefficients, table, products)


def _backward(
    saved: tuple[Tree, jax.Array, Complex, jax.Array], slope: jax.Array
) -> tuple[None, jax.Array, jax.Array]:
    tree, coefficients, table, products = saved
    weights = jnp.pad(coefficients.T, ((0, 1), (0, 0))) @ slope
    slopes = [_from_products(steps, weights, table) for steps in tree["from_products"]]
    for steps_of_levels in reversed(tree["from_levels"]):
        own = _padded(slopes.pop())
        for number, steps in enumerate(steps_of_levels):
            received = _from_level(steps, own, table)
            slopes[number] = _add(slopes[number], received)
    return None, slope @ products.T, fenced(_to_values)(tree, slopes[0])


sums_of_products.defvjp(_forward, _backward)


def _take(table: jax.Array, rows: jax.Array) -> jax.Array:
    return jnp.asarray(table.at[rows].get(mode="promise_in_bounds"))


def _padded(rows: Complex) -> Complex:
    return jnp.pad(rows[0], ((0, 1), (0, 0))), jnp.pad(rows[1], ((0, 1), (0, 0)))


def _add(left: Complex, right: Complex) -> Complex:
    return left[0] + right[0], left[1] + right[1]


def _leaves(tree: Tree, values: jax.Array) -> Complex:
    signs = tree["signs"].astype(values.dtype)
    real, imaginary = (_take(values, rows) for rows in tree["factors"])
    return real * signs[0][:, None], imaginary * signs[1][:, None]


def _to_values(tree: Tree, slopes: Complex) -> jax.Array:
    signs = tree["from_signs"].astype(slopes[0].dtype)
    parts = jnp.concatenate(slopes)
    first, second = (_take(parts, rows) for rows in tree["from_factors"])
    return jnp.asarray(first * signs[0][:, None] + second * signs[1][:, None])


def _real_parts(ends: jax.Array, table: Complex) -> jax.Array:
    a, c = (_take(table[0], rows) for rows in ends)
    b, d = (_take(table[1], rows) for rows in ends)
    return a * c - b * d


def _imaginary_parts(ends: jax.Array, table: Complex) -> jax.Array:
    a, c = (_take(table[0], rows) for rows in ends)
    b, d = (_take(table[1], rows) for rows in ends)
    return a * d + b * c


def _from_products(steps: Any, weights: jax.Array, table: Complex) -> Complex:
    # Weight of a product times the conjugate of its other part.
    real = fenced(_weighted)(steps[0], weights, table[0])
    imaginary = fenced(_weighted)(steps[0], -weights, table[1])
    return _continued(steps, real), _continued(steps, imaginary)


def _from_level(steps: Any, slopes: Complex, table: Complex) -> Complex:
    # Slope of a node times the conjugate of its other part.
    a, b = slopes
    c, d = table
    real = fenced(_weighted_twice)(steps[0], a, c, b, d)
    imaginary = fenced(_weighted_twice)(steps[0], b, c, -a, d)
    return _continued(steps, real), _continued(steps, imaginary)


def _continued(steps: Any, sums: jax.Array) -> jax.Array:
    for indices in steps[1:]:
        sums = fenced(_sum_rows)(indices, jnp.pad(sums, ((0, 1), (0, 0))))
    return sums


# Each of these is one pass over its groups. The compiler makes vector instructions of them only
# while they have a single result: real and imaginary parts are therefore computed apart.


def _weighted(indices: jax.Array, weights: jax.Array, rows: jax.Array) -> jax.Array:
    total = jnp.zeros((), rows.dtype)
    for number, row in zip(*indices, strict=True):
        total = total + _take(weights, number) * _take(rows, row)
    return total


def _weighted_twice(
    indices: jax.Array, a: jax.Array, c: jax.Array, b: jax.Array, d: jax.Array
) -> jax.Array:
    total = jnp.zeros((), c.dtype)
    for number, row in zip(*indices, strict=True):
        total = total + _take(a, number) * _take(c, row) + _take(b, number) * _take(d, row)
    return total


def _sum_rows(indices: jax.Array, sums: jax.Array) -> jax.Array:
    total = jnp.zeros((), sums.dtype)
    for row in indices[0]:
        total = total + _take(sums, row)
    return total
