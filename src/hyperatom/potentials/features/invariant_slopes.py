"""Derivatives of the density's invariants with respect to the density, written out.

The invariants are products of two, three or four densities, and each derivative is a product of
one factor less: a hundred times cheaper than one automatic derivative for each component
of the density. They come in pieces: of most invariants all but a few components of the density are
no factor, and zeros are neither stored nor multiplied.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from hyperatom.potentials.features.bispectrum import channel_triples, coupling, degree_triples
from hyperatom.potentials.features.density import DensitySettings
from hyperatom.potentials.features.trispectrum import Pairs, coupled, pairs_of_degrees


@dataclass(frozen=True)
class Slopes:
    """dB/dA of some invariants; it is zero outside of what is here.

    | field    | shape                                         | meaning                        |
    |----------|-----------------------------------------------|--------------------------------|
    | `values` | (n_block, n_features, n_species, n_radial, n) | of the first n_radial channels |
    | `first`  | scalar                                        | place of the first of n (l, m) |
    """

    values: jax.Array
    first: int


def slopes_of_invariants(settings: DensitySettings, density: jax.Array) -> list[Slopes]:
    """dB/dA of `DensityFeatures.invariants`, in their order.

    `density` (n_block, n_channels, n_lm) is A.
    """
    n_block, n_channels, n_lm = density.shape
    n_species, n_radial = len(settings.species), settings.n_radial
    channels = density.reshape(n_block, n_species, n_radial, n_lm)

    def piece(slope: jax.Array, chosen: int, first: int = 0) -> Slopes:
        shape = (n_block, slope.shape[1], n_species, chosen, slope.shape[3])
        return Slopes(slope.reshape(shape), first)

    def first_channels(chosen: int) -> jax.Array:
        return channels[:, :, :chosen].reshape(n_block, n_species * chosen, n_lm)

    pieces = []
    if settings.radial:
        own = jnp.eye(n_channels, dtype=density.dtype)[:, :, None]
        each = jnp.broadcast_to(own, (n_block, *own.shape))
        pieces.append(piece(each, n_radial))
    if chosen := settings.power_spectrum_radial:
        part, diagonal = first_channels(chosen), settings.power_spectrum_diagonal
        for degree in range(settings.power_spectrum_degree + 1):
            slope = _of_power_spectrum(part, degree, diagonal)
            pieces.append(piece(slope, chosen, degree * degree))
    if chosen := settings.bispectrum_radial:
        slope = _of_bispectrum(first_channels(chosen), settings.bispectrum_degree)
        pieces.append(piece(slope, chosen))
    if chosen := settings.trispectrum_radial:
        slope = _of_trispectrum(first_channels(chosen), settings.trispectrum_degree)
        pieces.append(piece(slope, chosen))
    return pieces


def _of_power_spectrum(density: jax.Array, degree: int, diagonal: bool) -> jax.Array:
    # dp_abl / dA_clm = (2l + 1)^-1/2 (delta_ac A_blm + delta_bc A_alm)
    n_channels = density.shape[1]
    a, b = (np.arange(n_channels),) * 2 if diagonal else np.triu_indices(n_channels)
    part = density[:, :, degree * degree : (degree + 1) ** 2] * (2 * degree + 1) ** -0.5
    return _placed(part[:, b], a, n_channels) + _placed(part[:, a], b, n_channels)


def _of_bispectrum(density: jax.Array, max_degree: int) -> jax.Array:
    # dB / dA_alm = sum C A_b A_c, and the same for the other two factors
    n_channels = density.shape[1]
    n_lm = (max_degree + 1) ** 2
    rows = []
    for degrees in degree_triples(max_degree):
        triple = channel_triples(n_channels, degrees)
        coefficients = jnp.asarray(coupling(*degrees), dtype=density.dtype)
        parts = [density[:, :, degree * degree : (degree + 1) ** 2] for degree in degrees]
        total: jax.Array | None = None
        for place, others, contraction in (
            (0, (1, 2), "ibn,ick,mnk->ibcm"),
            (1, (0, 2), "iam,ick,mnk->iacn"),
            (2, (0, 1), "iam,ibn,mnk->iabk"),
        ):
            left, right = (parts[other] for other in others)
            product = jnp.einsum(contraction, left, right, coefficients)
            factor = product[:, triple[others[0]], triple[others[1]]]
            slope = _placed(factor, triple[place], n_channels)
            start, end = degrees[place] ** 2, (degrees[place] + 1) ** 2
            wide = jnp.pad(slope, ((0, 0),) * 3 + ((start, n_lm - end),))
            total = wide if total is None else total + wide
        assert total is not None
        rows.append(total)
    return jnp.concatenate(rows, axis=1)


def _of_trispectrum(density: jax.Array, max_degree: int) -> jax.Array:
    # dT_pq / dA = P_q dP_p / dA + P_p dP_q / dA
    rows = []
    for pairs in pairs_of_degrees(density.shape[1], max_degree):
        tensors = coupled(density, max_degree, pairs)
        slopes = _of_pairs(density, max_degree, pairs)
        left, right = pairs.products
        both = jnp.einsum("iqk,ipkcm->ipqcm", tensors, slopes)
        rows.append(both[:, left, right] + both[:, right, left])
    return jnp.concatenate(rows, axis=1)


def _of_pairs(density: jax.Array, max_degree: int, pairs: Pairs) -> jax.Array:
    # dP / dA of `coupled`: (n_block, n_pairs, 2 L + 1, n_channels, n_lm)
    n_channels, n_lm = density.shape[1], (max_degree + 1) ** 2
    found = []
    for first, second, a, b in pairs.blocks:
        coefficients = jnp.asarray(coupling(first, second, pairs.degree), dtype=density.dtype)
        total = jnp.zeros((), density.dtype)
        for mine, other, channel, factor, contraction in (
            (first, second, a, b, "ipn,mnk->ipkm"),
            (second, first, b, a, "ipm,mnk->ipkn"),
        ):
            there = density[:, factor, other * other : (other + 1) ** 2]
            slope = jnp.einsum(contraction, there, coefficients)
            start, end = mine * mine, (mine + 1) ** 2
            wide = jnp.pad(slope, ((0, 0),) * 3 + ((start, n_lm - end),))
            one = jnp.asarray(channel[:, None] == np.arange(n_channels), density.dtype)
            total = total + wide[:, :, :, None, :] * one[:, None, :, None]
        found.append(total)
    return jnp.concatenate(found, axis=1)


def _placed(factors: jax.Array, channel: np.ndarray, n_channels: int) -> jax.Array:
    # (n_block, n, n_m) -> (n_block, n, n_channels, n_m), zero but at the channel of each
    one = jnp.asarray(channel[:, None] == np.arange(n_channels), factors.dtype)
    return factors[:, :, None, :] * one[:, :, None]
