"""Invariants of fields on the sphere around an atom: products of up to four densities, cheaply.

A field is a mixture of the channels c of the density, with coefficients of its own for each degree:

    F_alm = sum_c V^l_ac A_clm,    f_a(u) = sum_lm F_alm Y_lm(u)

Its square, expanded again, N_aLM = (2 L + 1) mean_u [ f_a(u)^2 Y_LM(u) ], and the field make

    F_a00,   |F_al|^2,   F_aL . N_aL,   |N_aL|^2        (two, three, four and five bodies)

with norms and dot products of the 2 l + 1 components, over 2 l + 1. Polarisation makes every
product of different fields from such powers of sums of fields, so that all even invariants of the
atomic cluster expansion (Drautz, Phys. Rev. B 99, 014104 (2019)) are linear combinations of these
for enough fields; that few mixtures replace many products of channels and species is known from
Darby et al., Phys. Rev. Lett. 131, 028001 (2023). Products on points of the sphere replace
Clebsch-Gordan coefficients (Gaunt tensor products, Luo et al., ICLR 2024): a quadrature that is
exact for these polynomials, hence exactly invariant.

All of it is products of a few large matrices and multiplications of number by number, which is what
a processor does best; it can be differentiated any number of times, forward and backward.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FieldProducts:
    """Which invariants there are.

    | field            | meaning                                                               |
    |------------------|-----------------------------------------------------------------------|
    | `n_fields`       | fields of the two- and three-body functions                           |
    | `degree`         | their greatest l                                                      |
    | `n_products`     | the first so many fields are multiplied on the sphere                 |
    | `product_degree` | greatest l of these, and greatest L of their squares                  |

    Raises `InputError` where products ask for more fields or higher degrees than there are.
    """

    n_fields: int
    degree: int
    n_products: int
    product_degree: int

    def __post_init__(self) -> None:
        if self.n_products > self.n_fields or self.product_degree > self.degree:
            raise InputError(
                f"Products of {self.n_products} fields up to degree {self.product_degree}, of"
                f" {self.n_fields} fields up to degree {self.degree}.",
                "Give no fewer fields, and no lower degree, than their products need.",
            )

    @property
    def n_features(self) -> int:
        """Number of invariants."""
        return self.n_fields * (self.degree + 2) + self.n_products * 2 * (self.product_degree + 1)

    @cached_property
    def points(self) -> tuple[Array, Array]:
        """Y_lm at points of the sphere (n_points, n_lm), and weights times (2 L + 1) Y_LM, turned.

        Gauss and Legendre in z, equally spaced around it: exact up to three times the degree.
        """
        from hyperatom.potentials.features.spherical_harmonics import real_spherical_harmonics

        exact = 3 * self.product_degree
        z, weight = np.polynomial.legendre.leggauss(exact // 2 + 1)
        around = 2.0 * np.pi * (np.arange(exact + 1) + 0.5) / (exact + 1)
        sine = np.sqrt(1.0 - z * z)[:, None]
        grid = (sine * np.cos(around), sine * np.sin(around), z[:, None] + 0.0 * around)
        with jax.enable_x64(True), jax.ensure_compile_time_eval():
            x, y, plane = (jnp.asarray(axis.reshape(1, -1), jnp.float64) for axis in grid)
            values = np.asarray(real_spherical_harmonics(x, y, plane, self.product_degree))[0]
        weights = 0.5 * np.repeat(weight, len(around)) / len(around)
        widths = np.repeat(
            2.0 * np.arange(self.product_degree + 1) + 1.0, _sizes(self.product_degree)
        )
        return values.T.copy(), widths[:, None] * values * weights

    def __call__(self, fields: Sequence[jax.Array]) -> jax.Array:
        """The invariants of each atom, (n_features, n_block).

        `fields[l]` (2 l + 1, n_fields, n_block) are the F_alm, m from -l to l. Order: F_a00, then
        |F_al|^2 by l, then F_aL . N_aL and |N_aL|^2 by L, the field always fastest.
        """
        n_block = fields[0].shape[2]
        dtype = fields[0].dtype
        whole = jnp.concatenate(fields).reshape((self.degree + 1) ** 2, -1)
        norms = _over_degrees(self.degree, whole * whole)
        rows = [fields[0][0], norms.reshape(-1, n_block)]
        if self.n_products:
            n_lm = (self.product_degree + 1) ** 2
            own = jnp.concatenate(
                [part[:, : self.n_products] for part in fields[: self.product_degree + 1]]
            ).reshape(n_lm, -1)
            there, back = (jnp.asarray(table, dtype) for table in self.points)
            on_sphere = there @ own
            squares = back @ (on_sphere * on_sphere)
            rows += [
                _over_degrees(self.product_degree, product).reshape(-1, n_block)
                for product in (own * squares, squares * squares)
            ]
        return jnp.concatenate(rows)


def _sizes(degree: int) -> NDArray[np.int64]:
    return 2 * np.arange(degree + 1) + 1


def _over_degrees(degree: int, rows: jax.Array) -> jax.Array:
    # Means over the 2 l + 1 rows of each degree. A product with a matrix, although most of it is
    # zero: sums over an axis that is not the last run one number at a time.
    sizes = _sizes(degree)
    table = np.repeat(np.eye(degree + 1) / sizes[:, None], sizes, axis=1)
    return jnp.asarray(table, rows.dtype) @ rows
