"""SOAP: the power spectrum of a density of Gaussians, in the radial basis that GAP files use.

    A[s, n, lm] = sum_j f_c(r_ij) R_nl(r_ij) Y_lm(r_ij),   p = power spectrum of A, normalised

Bartók, Kondor and Csányi, Phys. Rev. B 87, 184115 (2013). Each atom is a Gaussian of width sigma;
with a = 1/(2 sigma^2), its spherical average at r_n is exp(-a (r^2 + r_n^2)) i_l(2 a r r_n). From
these values at equally spaced r_n the density is interpolated by Gaussians of the same width, and
these are orthonormalised by the Cholesky factor of their overlap. R_nl is stored as a series of
Chebyshev polynomials of the distance, exact to round-off.
"""

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.features.spherical_harmonics import (
    real_spherical_harmonics,
    stack_rows,
)

Array = NDArray[np.float64]

TAIL_DIGITS = 10.0
"""The radial basis ends where a Gaussian at the cutoff has fallen by so many digits."""


@dataclass(frozen=True)
class GaussianDensity:
    """Which density, and its power spectrum.

    | field              | unit | meaning                                                    |
    |--------------------|------|------------------------------------------------------------|
    | `species`          | -    | positions of the density's species among the potential's   |
    | `cutoff`           | Å    | beyond it the density is zero                              |
    | `transition_width` | Å    | f_c falls over this distance, as half a cosine             |
    | `n_radial`         | -    | radial functions per species                               |
    | `max_degree`       | -    | greatest l                                                 |
    | `width`            | Å    | sigma                                                      |
    | `central_weight`   | -    | of the central atom in its own density                     |
    """

    species: tuple[int, ...]
    cutoff: float
    transition_width: float
    n_radial: int
    max_degree: int
    width: float
    central_weight: float = 1.0

    def series(self) -> Array:
        """Coefficients of R_nl, (max_degree + 1, n_radial, n_terms), on [0, cutoff]."""
        n_nodes = 16 + int(12.0 * self.cutoff / self.width)
        angle = np.pi * (np.arange(n_nodes) + 0.5) / n_nodes
        values = self._radial(0.5 * self.cutoff * (1.0 + np.cos(angle)))
        cosines = np.cos(np.arange(n_nodes)[:, None] * angle) * (2.0 / n_nodes)
        cosines[0] *= 0.5
        series = values @ cosines.T
        large = np.abs(series).max(axis=(0, 1)) > 1e-15 * np.abs(values).max()
        return np.ascontiguousarray(series[:, :, : int(np.flatnonzero(large)[-1]) + 1])

    def _radial(self, distance: Array) -> Array:
        # R_nl at distances (n,): (max_degree + 1, n_radial, n).
        from scipy.special import ive

        centres, transform = self._basis()
        exponent = 0.5 / self.width**2
        argument = 2.0 * exponent * distance * centres[:, None]
        envelope = np.exp(-exponent * (distance - centres[:, None]) ** 2)
        small = argument < 1e-12
        safe = np.where(small, 1.0, argument)
        rows = []
        for degree in range(self.max_degree + 1):
            bessel = np.sqrt(0.5 * np.pi / safe) * ive(degree + 0.5, safe)
            bessel = np.where(small, 1.0 if degree == 0 else 0.0, bessel)
            rows.append(transform.T @ (envelope * bessel))
        return np.array(rows)

    def _basis(self) -> tuple[Array, Array]:
        from scipy.special import erf

        exponent = 0.5 / self.width**2
        reach = self.cutoff + self.width * math.sqrt(2.0 * TAIL_DIGITS * math.log(10.0))
        centres = np.arange(self.n_radial) * reach / self.n_radial
        apart = centres[:, None] - centres
        middle = 0.5 * (centres[:, None] + centres)
        covariance = np.exp(-exponent * apart**2)
        # The integral of r^2 times two Gaussians from zero to infinity.
        double = 2.0 * exponent
        overlap = np.exp(-0.5 * exponent * apart**2) * (
            (middle**2 + 0.5 / double)
            * 0.5
            * math.sqrt(math.pi / double)
            * (1.0 + erf(math.sqrt(double) * middle))
            + middle / (2.0 * double) * np.exp(-double * middle**2)
        )
        return centres, np.linalg.solve(covariance, np.linalg.cholesky(overlap))

    def power_spectrum(
        self,
        series: jax.Array,
        displacements: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """The normalised power spectrum, (n_block, n_features); see `_invariants` for the order.

        `series` is what `series` returns; the other arguments are those of an `AtomicEnergy`.
        """
        square = jnp.sum(displacements * displacements, axis=0)
        inverse = jax.lax.rsqrt(square)
        unit, distance = displacements * inverse, square * inverse
        harmonics = real_spherical_harmonics(unit[0], unit[1], unit[2], self.max_degree)
        window = transition(distance, self.cutoff, self.transition_width)
        x = jnp.minimum(distance, self.cutoff) * (2.0 / self.cutoff) - 1.0
        terms = [window, x * window]
        for _ in range(2, series.shape[2]):
            terms.append(2.0 * x * terms[-1] - terms[-2])
        chebyshev = stack_rows(terms[: series.shape[2]])
        radial = jnp.einsum("lnk,iks->ilns", series, chebyshev)

        ranges = list(pairwise(accumulate(slots, initial=0)))
        alternating = np.where(np.arange(series.shape[2]) % 2, -1.0, 1.0)
        own = self.central_weight * (series[0] @ alternating)
        densities = []
        for degree in range(self.max_degree + 1):
            per_species = []
            for species in self.species:
                start, end = ranges[species]
                part = jnp.einsum(
                    "ins,ims->inm",
                    radial[:, degree, :, start:end],
                    harmonics[:, degree * degree : (degree + 1) ** 2, start:end],
                )
                if degree == 0:
                    here = (central_species == species).astype(part.dtype)
                    part = part + here[:, None, None] * own[:, None]
                per_species.append(part)
            densities.append(jnp.concatenate(per_species, axis=1))
        return _invariants(densities)


def _invariants(densities: list[jax.Array]) -> jax.Array:
    # Channels i >= j, j fastest but for the degree; (2l + 1)^1/2 belongs to Racah's normalisation.
    rows, columns = np.tril_indices(densities[0].shape[1])
    factor = np.where(rows == columns, 1.0, math.sqrt(2.0))
    spectra = []
    for degree, density in enumerate(densities):
        square = jnp.einsum("iam,ibm->iab", density, density)
        spectra.append(square[:, rows, columns] * (factor * math.sqrt(2 * degree + 1)))
    spectrum = jnp.stack(spectra, axis=2).reshape(densities[0].shape[0], -1)
    norm = jnp.sum(spectrum * spectrum, axis=1, keepdims=True)
    return spectrum * jax.lax.rsqrt(norm)


def transition(distance: jax.Array, cutoff: float, width: float) -> jax.Array:
    """One up to cutoff - width, then half a cosine down to zero at the cutoff."""
    t = jnp.clip((distance - (cutoff - width)) * (1.0 / width), 0.0, 1.0)
    return jnp.where(distance < cutoff, 0.5 + 0.5 * jnp.cos(math.pi * t), 0.0)
