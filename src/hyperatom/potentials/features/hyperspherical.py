"""The density of neighbours on the unit sphere in four dimensions, and its bispectrum.

A neighbour at distance r in direction n becomes the point q = (cos theta, sin theta n), theta a
function of r. With Chebyshev's polynomials of the second kind U_n, the part of degree n = 2j is

    f_n(p) = sum_k w_k U_n(p . q_k) + w_0 U_n(p . (1, 0, 0, 0))

and its bispectrum (Bartók et al., Phys. Rev. Lett. 104, 136403 (2010); Thompson et al., J. Comput.
Phys. 285, 316 (2015)), usually a contraction with two Clebsch-Gordan coefficients, is a mean over
the sphere,

    B_abc = (c + 1) < f_a f_b f_c >,       a + b + c even, c <= a + b,

since U_n is the character of the representation j, and the mean of three rotation matrices is a
product of two Clebsch-Gordan coefficients divided by 2j + 1. The mean is computed as such, with a
quadrature that is exact for these polynomials: no coupling coefficients, no complex numbers, large
matrix products only.

The sum over neighbours is taken once, in the basis Z_nlm = R_nl(theta) Y_lm(n) with R_nl =
N_nl sin^l C^(l+1)_{n-l}(cos theta) (Gegenbauer's polynomials) and sum_lm Z(p) Z(q) = U_n(p . q).
"""

import math
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.fence import fenced
from hyperatom.potentials.features.spherical_harmonics import (
    gradient_of_expansion,
    real_spherical_harmonics,
    stack_rows,
)

Array = NDArray[np.float64]


class HypersphericalBispectrum:
    """Density and bispectrum up to degree `max_degree` (2J, LAMMPS's twojmax).

    `triples` (a, b, c), b <= a <= c, are the components in the order of the files of LAMMPS.
    """

    def __init__(self, max_degree: int) -> None:
        self.max_degree = max_degree
        self.triples = tuple(
            (a, b, c)
            for a in range(max_degree + 1)
            for b in range(a + 1)
            for c in range(a - b, min(max_degree, a + b) + 1, 2)
            if c >= a
        )
        self.n_density = sum((n + 1) ** 2 for n in range(max_degree + 1))

    def density(self, unit: jax.Array, angle: jax.Array, weight: jax.Array) -> jax.Array:
        """Coefficients of the neighbours' density in the basis Z_nlm, without the central atom.

        | array    | shape                 | meaning                                            |
        |----------|-----------------------|----------------------------------------------------|
        | `unit`   | (3, n_block, n_slots) | unit vectors to the neighbours                     |
        | `angle`  | (n_block, n_slots)    | theta, radian                                      |
        | `weight` | (n_block, n_slots)    | w_k                                                |
        | returns  | (n_block, n_density)  | by n, then l, then m                               |
        """
        sums = _sums(self.max_degree, unit, angle, weight)
        return jnp.take(sums, jnp.asarray(self._order), axis=1)

    def with_centre(self, density: jax.Array, weight: float) -> jax.Array:
        """The density with the central atom, `weight` at theta = 0, added."""
        own = np.zeros(self.n_density)
        for n, start in enumerate(self._starts):
            own[start] = weight * math.sqrt(n + 1)
        return density + jnp.asarray(own, dtype=density.dtype)

    def components(self, density: jax.Array) -> jax.Array:
        """B without its factor c + 1, (n_block, n_triples), for each of `triples`."""
        return _components(self, density)

    def expansion(self, density: jax.Array, coefficients: jax.Array) -> jax.Array:
        """sum_t coefficients_t components_t, (n_block,), faster than through the components.

        `coefficients` (n_block, n_triples) may differ from atom to atom.
        """
        return _expansion(self, density, coefficients)

    @cached_property
    def _starts(self) -> list[int]:
        return [sum((k + 1) ** 2 for k in range(n)) for n in range(self.max_degree + 1)]

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        # From l, m, n (as the sums come) to n, l, m.
        top = self.max_degree
        labels = [
            (n, degree, m)
            for degree in range(top + 1)
            for m in range(-degree, degree + 1)
            for n in range(degree, top + 1)
        ]
        place = {label: position for position, label in enumerate(labels)}
        return np.array([place[label] for label in sorted(labels)])

    @cached_property
    def _quadrature(self) -> tuple[list[Array], Array]:
        # Z_nlm at the points, ((n + 1)^2, n_points) for each n, and the weights of the points.
        points, weights = sphere_quadrature(3 * self.max_degree)
        length = np.linalg.norm(points[1:], axis=0)
        direction = np.where(length > 0.0, points[1:] / np.maximum(length, 1e-300), 0.0)
        with jax.enable_x64(True), jax.ensure_compile_time_eval():
            planes = jnp.asarray(direction[:, None, :])
            harmonics = np.asarray(
                real_spherical_harmonics(planes[0], planes[1], planes[2], self.max_degree)
            )[0]
            angles = jnp.asarray(np.arctan2(length, points[0])[None])
            radial = np.asarray(_radial(self.max_degree, angles, jnp.ones_like(angles)))[0]
        rows = dict(zip(_radial_labels(self.max_degree), radial, strict=True))
        basis = [
            np.concatenate(
                [
                    rows[n, degree] * harmonics[degree * degree : (degree + 1) ** 2]
                    for degree in range(n + 1)
                ]
            )
            for n in range(self.max_degree + 1)
        ]
        return basis, weights

    @cached_property
    def _products(self) -> list[dict[int, list[tuple[int, int, int]]]]:
        # d(f_a f_b f_c)/df_n: for each n, {b: [(c, position of the triple, multiplicity), ...]}.
        table: list[dict[int, list[tuple[int, int, int]]]] = []
        for n in range(self.max_degree + 1):
            of_degree: dict[int, list[tuple[int, int, int]]] = {}
            for position, triple in enumerate(self.triples):
                if n in triple:
                    others = list(triple)
                    others.remove(n)
                    first, second = sorted(others)
                    of_degree.setdefault(first, []).append((second, position, triple.count(n)))
            table.append(of_degree)
        return table

    def _at_points(self, density: jax.Array) -> list[jax.Array]:
        # f_n at the points, (n_block, n_points) for each n.
        basis, _ = self._quadrature
        return [
            density[:, start : start + (n + 1) ** 2] @ jnp.asarray(basis[n], dtype=density.dtype)
            for n, start in enumerate(self._starts)
        ]

    def _slope(self, density: jax.Array, coefficients: jax.Array) -> jax.Array:
        # d/d density of sum_t coefficients_t components_t, (n_block, n_density).
        basis, weights = self._quadrature
        parts = []
        for n, slope in enumerate(fenced(self._slope_at_points)(density, coefficients)):
            back = jnp.asarray((basis[n] * weights).T, dtype=density.dtype)
            parts.append(slope @ back)
        return jnp.concatenate(parts, axis=1)

    def _slope_at_points(self, density: jax.Array, coefficients: jax.Array) -> list[jax.Array]:
        values = jax.lax.optimization_barrier(self._at_points(density))
        slopes = []
        for of_degree in self._products:
            total = jnp.zeros_like(values[0])
            for first, others in of_degree.items():
                inner = jnp.zeros_like(total)
                for second, position, count in others:
                    inner = inner + count * coefficients[:, position, None] * values[second]
                total = total + values[first] * inner
            slopes.append(total)
        return slopes


def sphere_quadrature(degree: int) -> tuple[Array, Array]:
    """Points (4, n_points) and weights (n_points,) that average even polynomials on the 3-sphere.

    Exact up to `degree`. In the angles (a, b, c) of w + iz = cos(b/2) e^{i(a+c)/2}, x + iy =
    sin(b/2) e^{i(a-c)/2} these are polynomials in cos b times whole frequencies of a and c, up to
    half the degree: Gauss-Legendre in cos b, equal spacing in a and c. One of each pair of opposite
    points is enough.
    """
    half = degree // 2
    cosine, weight = np.polynomial.legendre.leggauss(half // 2 + 1)
    azimuth = 2.0 * np.pi * np.arange(half + 1) / (half + 1)
    polar, a, c = (grid.ravel() for grid in np.meshgrid(np.arccos(cosine), azimuth, azimuth))
    weights = np.broadcast_to(0.5 * weight[None, :, None], (half + 1, len(weight), half + 1))
    near, far = np.cos(0.5 * polar), np.sin(0.5 * polar)
    points = np.stack(
        [
            near * np.cos(0.5 * (a + c)),
            far * np.cos(0.5 * (a - c)),
            far * np.sin(0.5 * (a - c)),
            near * np.sin(0.5 * (a + c)),
        ]
    )
    return points, weights.ravel() / (half + 1) ** 2


def _radial_labels(max_degree: int) -> list[tuple[int, int]]:
    return [(n, degree) for degree in range(max_degree + 1) for n in range(degree, max_degree + 1)]


def _radial(max_degree: int, angle: jax.Array, weight: jax.Array) -> jax.Array:
    # weight R_nl(angle), (n_block, n_radial, n_slots), in the order of the labels.
    x, sine = jnp.cos(angle), jnp.sin(angle)
    rows = []
    power = weight
    for degree in range(max_degree + 1):
        previous, current = jnp.zeros_like(power), power
        for n in range(degree, max_degree + 1):
            if n > degree:
                k = n - degree
                previous, current = (
                    current,
                    (2.0 * (k + degree) * x * current - (k + 2.0 * degree) * previous) / k,
                )
            rows.append(_normalisation(n, degree) * current)
        power = power * sine
    return stack_rows(rows)


def _normalisation(n: int, degree: int) -> float:
    square = 4**degree * math.factorial(degree) ** 2 * math.factorial(n - degree) * (2 * degree + 1)
    return math.sqrt(square / math.factorial(n + degree + 1))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _sums(max_degree: int, unit: jax.Array, angle: jax.Array, weight: jax.Array) -> jax.Array:
    return _sums_forward(max_degree, unit, angle, weight)[0]


Saved = tuple[jax.Array, ...]


def _sums_forward(
    max_degree: int, unit: jax.Array, angle: jax.Array, weight: jax.Array
) -> tuple[jax.Array, Saved]:
    # sum_k Y_lm R_nl, by l, m, n: (n_block, n_density).
    radial = fenced(partial(_radial, max_degree))(angle, weight)
    harmonics = fenced(partial(_harmonics, max_degree))(unit)
    parts = []
    for degree, own in enumerate(_radial_ranges(max_degree)):
        product = _product(harmonics[:, degree * degree : (degree + 1) ** 2], radial[:, own], 2)
        parts.append(product.reshape(len(product), -1))
    return jnp.concatenate(parts, axis=1), (unit, angle, weight, radial, harmonics)


def _sums_backward(
    max_degree: int, saved: Saved, slope: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    unit, angle, weight, radial, harmonics = saved
    of_harmonics, of_radial = [], []
    start = 0
    for degree, own in enumerate(_radial_ranges(max_degree)):
        n_radial = own.stop - own.start
        end = start + (2 * degree + 1) * n_radial
        matrix = slope[:, start:end].reshape(-1, 2 * degree + 1, n_radial)
        start = end
        of_harmonics.append(_product(matrix, radial[:, own], 1))
        turned = jnp.swapaxes(matrix, 1, 2)
        of_radial.append(_product(turned, harmonics[:, degree * degree : (degree + 1) ** 2], 1))
    across = fenced(partial(_angular_slope, max_degree))(
        unit, jnp.concatenate(of_harmonics, axis=1)
    )
    along = fenced(partial(_radial_slope, max_degree))(
        angle, weight, jnp.concatenate(of_radial, axis=1)
    )
    return across, *along


_sums.defvjp(_sums_forward, _sums_backward)


def _radial_ranges(max_degree: int) -> list[slice]:
    sizes = [max_degree + 1 - degree for degree in range(max_degree + 1)]
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]


def _radial_slope(
    max_degree: int, angle: jax.Array, weight: jax.Array, slope: jax.Array
) -> tuple[jax.Array, jax.Array]:
    of_angle, of_weight = jax.vjp(partial(_radial, max_degree), angle, weight)[1](slope)
    return of_angle, of_weight


def _harmonics(max_degree: int, unit: jax.Array) -> jax.Array:
    return real_spherical_harmonics(unit[0], unit[1], unit[2], max_degree)


def _angular_slope(max_degree: int, unit: jax.Array, slope: jax.Array) -> jax.Array:
    return gradient_of_expansion(unit[0], unit[1], unit[2], slope, max_degree)


def _product(left: jax.Array, right: jax.Array, axis: int) -> jax.Array:
    # Matrix product for each atom: the last axis of `left` with `axis` of `right`.
    return jax.lax.dot_general(left, right, (((2,), (axis,)), ((0,), (0,))))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _components(kind: HypersphericalBispectrum, density: jax.Array) -> jax.Array:
    values = kind._at_points(density)
    weights = jnp.asarray(kind._quadrature[1], dtype=density.dtype)
    pairs: dict[tuple[int, int], list[int]] = {}
    for a, b, c in kind.triples:
        pairs.setdefault((a, b), []).append(c)
    means = {
        (a, b, c): (weights * values[a] * values[b] * values[c]).sum(axis=1)
        for (a, b), others in pairs.items()
        for c in others
    }
    return jnp.stack([means[triple] for triple in kind.triples], axis=1)


def _components_forward(
    kind: HypersphericalBispectrum, density: jax.Array
) -> tuple[jax.Array, jax.Array]:
    return _components(kind, density), density


def _components_backward(
    kind: HypersphericalBispectrum, density: jax.Array, slope: jax.Array
) -> tuple[jax.Array]:
    return (kind._slope(density, slope),)


_components.defvjp(_components_forward, _components_backward)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _expansion(
    kind: HypersphericalBispectrum, density: jax.Array, coefficients: jax.Array
) -> jax.Array:
    return _expansion_forward(kind, density, coefficients)[0]


def _expansion_forward(
    kind: HypersphericalBispectrum, density: jax.Array, coefficients: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    # The components are homogeneous of degree three: a third of density times slope is the sum.
    slope = kind._slope(density, coefficients)
    return (density * slope).sum(axis=1) / 3.0, (density, slope)


def _expansion_backward(
    kind: HypersphericalBispectrum, saved: tuple[jax.Array, jax.Array], above: jax.Array
) -> tuple[jax.Array, jax.Array]:
    density, slope = saved
    return above[:, None] * slope, above[:, None] * _components(kind, density)


_expansion.defvjp(_expansion_forward, _expansion_backward)
