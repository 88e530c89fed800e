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
from functools import partial
from itertools import accumulate, pairwise

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.fence import fenced
from hyperatom.potentials.features.spherical_harmonics import real_spherical_harmonics

Array = NDArray[np.float64]

TAIL_DIGITS = 10.0
"""The radial basis ends where a Gaussian at the cutoff has fallen by so many digits."""

ROUND_OFF = 1e-13
"""Terms of the series below this part of the values are noise, and twice as many as the others."""


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

    @property
    def n_features(self) -> int:
        """Size of the power spectrum."""
        n_channels = len(self.species) * self.n_radial
        return n_channels * (n_channels + 1) // 2 * (self.max_degree + 1)

    def series(self) -> Array:
        """Coefficients of R_nl, (max_degree + 1, n_radial, n_terms), on [0, cutoff]."""
        n_nodes = 16 + int(12.0 * self.cutoff / self.width)
        angle = np.pi * (np.arange(n_nodes) + 0.5) / n_nodes
        values = self._radial(0.5 * self.cutoff * (1.0 + np.cos(angle)))
        cosines = np.cos(np.arange(n_nodes)[:, None] * angle) * (2.0 / n_nodes)
        cosines[0] *= 0.5
        series = values @ cosines.T
        large = np.abs(series).max(axis=(0, 1)) > ROUND_OFF * np.abs(values).max()
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
        return _invariants(self._densities(series, displacements, central_species, slots))

    def power_spectrum_slopes(
        self,
        series: jax.Array,
        displacements: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> tuple[jax.Array, jax.Array]:
        """The same, and dp/dr of each neighbour, (n_block, n_slots, 3, n_features)."""
        densities = self._densities(series, displacements, central_species, slots)
        ranges = list(pairwise(accumulate(slots, initial=0)))
        place = np.arange(displacements.shape[2])
        mine = np.array([(place >= ranges[k][0]) & (place < ranges[k][1]) for k in self.species])
        shares = jnp.asarray(mine.T[:, :, None, None], displacements.dtype)

        def push(*moved: jax.Array) -> jax.Array:
            return jnp.asarray(jax.jvp(_invariants, (densities,), (list(moved),))[1])

        unit, distance = _directions(displacements)
        radial, along = jax.jvp(
            lambda distance: self._values(series, distance), (distance,), (jnp.ones_like(distance),)
        )

        def along_axis(step: jax.Array, component: jax.Array) -> jax.Array:
            # Each neighbour moves its own share of the density, all of them at once.
            harmonics, turned = jax.jvp(self._harmonics, (displacements,), (step,))
            outward = along * component[:, None, None]
            moved = []
            for degree in range(self.max_degree + 1):
                own = slice(degree * degree, (degree + 1) ** 2)
                piece = jnp.einsum("ins,ims->isnm", outward[:, degree], harmonics[:, own])
                piece += jnp.einsum("ins,ims->isnm", radial[:, degree], turned[:, own])
                wide = piece[:, :, None] * shares
                moved.append(wide.reshape(*wide.shape[:2], -1, wide.shape[4]))
            return jnp.asarray(jax.vmap(push, in_axes=1, out_axes=1)(*moved))

        axes = jnp.eye(3, dtype=displacements.dtype)[:, :, None, None]
        steps = jnp.broadcast_to(axes, (3, *displacements.shape))
        slopes = jax.vmap(along_axis, out_axes=2)(steps, unit)
        return _invariants(densities), slopes

    def _harmonics(self, displacements: jax.Array) -> jax.Array:
        # Y_lm, (n_block, n_lm, n_slots).
        unit, _ = _directions(displacements)
        return real_spherical_harmonics(unit[0], unit[1], unit[2], self.max_degree)

    def _values(self, series: jax.Array, distance: jax.Array) -> jax.Array:
        # f_c R_nl, (n_block, n_degrees, n_radial, n_slots).
        window = transition(distance, self.cutoff, self.transition_width)
        x = jnp.minimum(distance, self.cutoff) * (2.0 / self.cutoff) - 1.0
        terms = fenced(partial(_chebyshev, series.shape[2]))(x) * window[:, None]
        return jnp.einsum("lnk,iks->ilns", series, terms)

    def _densities(
        self,
        series: jax.Array,
        displacements: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> list[jax.Array]:
        # A of each degree, (n_block, n_channels, 2 l + 1).
        radial = self._values(series, _directions(displacements)[1])
        harmonics = self._harmonics(displacements)
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
        return densities


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


def _chebyshev(n_terms: int, x: jax.Array) -> jax.Array:
    # T_k(x), (n_block, n_terms, n_slots), eight at a time: T_{k+8} = 2 T_8 T_k - T_{k-8}. A chain
    # of single terms would be computed again for each of them.
    terms = [jnp.ones_like(x), x]
    for _ in range(2, 9):
        terms.append(2.0 * x * terms[-1] - terms[-2])
    step, blocks = 2.0 * terms[8][:, None], [jnp.stack(terms[:8], axis=1)]
    before = jnp.stack(terms[8:0:-1], axis=1)
    for _ in range(1, -(-n_terms // 8)):
        before, block = blocks[-1], step * blocks[-1] - before
        blocks.append(block)
    return jnp.concatenate(blocks, axis=1)[:, :n_terms]


def _directions(displacements: jax.Array) -> tuple[jax.Array, jax.Array]:
    square = jnp.sum(displacements * displacements, axis=0)
    inverse = jax.lax.rsqrt(square)
    return displacements * inverse, square * inverse


def transition(distance: jax.Array, cutoff: float, width: float) -> jax.Array:
    """One up to cutoff - width, then half a cosine down to zero at the cutoff."""
    t = jnp.clip((distance - (cutoff - width)) * (1.0 / width), 0.0, 1.0)
    return jnp.where(distance < cutoff, 0.5 + 0.5 * jnp.cos(math.pi * t), 0.0)
