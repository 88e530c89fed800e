"""Chebyshev descriptors of aenet (Artrith, Urban and Ceder, Phys. Rev. B 96, 014112 (2017)).

    radial   G_n = sum_j w_j T_n(2 r_ij / r_c - 1) f_c(r_ij)
    angular  G_n = sum_{j<k} w_j w_k T_n(cos theta_ijk) f_c(r_ij) f_c(r_ik)

with Chebyshev polynomials T_n and the cosine cutoff, once with w = 1 and, where there are several
species, once more with a weight for each species.

The angular ones are polynomials of a cosine, so that the addition theorem of Legendre polynomials
makes the sum over pairs a sum over neighbours: exact, and linear in their number.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.potentials.features.cutoff_functions import CutoffFunction
from hyperatom.potentials.features.spherical_harmonics import real_spherical_harmonics

COSINE = CutoffFunction("cosine")


class ChebyshevFeatures:
    """Displacements of neighbours -> Chebyshev descriptors in aenet's order.

    | argument         | unit | meaning                                                 |
    |------------------|------|---------------------------------------------------------|
    | `species`        | -    | atomic numbers, in the order of the slots               |
    | `weights`        | -    | weight of each species; none: no weighted features      |
    | `radial_cutoff`  | Å    | r_c of the radial features                              |
    | `radial_order`   | -    | their greatest n                                        |
    | `angular_cutoff` | Å    | r_c of the angular features                             |
    | `angular_order`  | -    | their greatest n                                        |

    The order is radial, angular, weighted radial, weighted angular, n ascending.
    """

    def __init__(
        self,
        species: Sequence[int],
        weights: Sequence[float] | None,
        radial_cutoff: float,
        radial_order: int,
        angular_cutoff: float,
        angular_order: int,
    ) -> None:
        if min(radial_cutoff, angular_cutoff) <= 0.0 or min(radial_order, angular_order) < 0:
            raise InputError(
                f"Chebyshev features with cutoffs of {radial_cutoff:g} and {angular_cutoff:g} Å and"
                f" orders {radial_order} and {angular_order}.",
                "Give positive cutoffs and orders of at least zero.",
            )
        self.species = tuple(species)
        self.weights = None if weights is None else tuple(float(weight) for weight in weights)
        self.radial_cutoff, self.radial_order = radial_cutoff, radial_order
        self.angular_cutoff, self.angular_order = angular_cutoff, angular_order
        self.cutoff = max(radial_cutoff, angular_cutoff)
        self.n_features = (radial_order + angular_order + 2) * (1 if weights is None else 2)

    def __call__(self, displacements: jax.Array, slots: tuple[int, ...]) -> jax.Array:
        """The features of each atom, (n_block, n_features).

        `displacements` (3, n_block, n_slots) in Å; `slots` are those of each species, in order.
        """
        distance = jnp.sqrt(jnp.sum(displacements * displacements, axis=0))
        unit = displacements / distance
        window = COSINE(distance, self.angular_cutoff)
        radial = self._radial_table(distance)
        angular = real_spherical_harmonics(unit[0], unit[1], unit[2], self.angular_order)
        angular = angular * window[:, None, :]
        own = window * window

        # Sums over the neighbours of each species, (n_block, n, n_species).
        tables = jnp.concatenate([radial, angular, own[:, None, :]], axis=1)
        ends = pairwise(accumulate(slots, initial=0))
        sums = jnp.stack([jnp.sum(tables[:, :, start:end], axis=2) for start, end in ends], axis=2)
        n_radial = self.radial_order + 1

        weightings = [np.ones(len(slots))]
        if self.weights is not None:
            weightings.append(np.array(self.weights))
        columns = []
        for weights in weightings:
            total = sums @ jnp.asarray(weights, sums.dtype)
            itself = sums[:, -1] @ jnp.asarray(weights**2, sums.dtype)
            squares = total[:, n_radial:-1] ** 2
            pairs = squares @ jnp.asarray(_expansion(self.angular_order), sums.dtype)
            # T_n(1) = 1: every neighbour makes a pair with itself, which is taken away again.
            columns += [total[:, :n_radial], 0.5 * (pairs - itself[:, None])]
        return jnp.concatenate(columns, axis=1)

    def _radial_table(self, distance: jax.Array) -> jax.Array:
        x = 2.0 / self.radial_cutoff * distance - 1.0
        x = jnp.minimum(x, 1.0)
        rows = [jnp.ones_like(x), x]
        for _ in range(self.radial_order - 1):
            rows.append(2.0 * x * rows[-1] - rows[-2])
        window = COSINE(distance, self.radial_cutoff)
        return jnp.stack(rows[: self.radial_order + 1], axis=1) * window[:, None, :]


def chebyshev_of(
    species: Sequence[int],
    radial_cutoff: float,
    radial_order: int,
    angular_cutoff: float,
    angular_order: int,
) -> ChebyshevFeatures:
    """The features with aenet's weights of species: -1, 1; -1, 0, 1; without zero where even."""
    half = len(species) // 2
    weights = [float(k) for k in range(-half, half + 1) if k or len(species) % 2]
    return ChebyshevFeatures(
        species,
        weights if len(species) > 1 else None,
        radial_cutoff,
        radial_order,
        angular_cutoff,
        angular_order,
    )


def _expansion(order: int) -> NDArray[np.float64]:
    # T_n = sum_l c_ln P_l, repeated for each m: (n_lm, order + 1).
    points, weights = np.polynomial.legendre.leggauss(order + 1)
    legendre = np.polynomial.legendre.legvander(points, order)
    chebyshev = np.polynomial.chebyshev.chebvander(points, order)
    degrees = np.arange(order + 1)
    coefficients = (degrees[:, None] + 0.5) * (legendre.T * weights) @ chebyshev
    return np.asarray(np.repeat(coefficients, 2 * degrees + 1, axis=0))
