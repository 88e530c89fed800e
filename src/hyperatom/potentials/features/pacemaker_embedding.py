"""The embedding functions of pacemaker's atomic cluster expansion."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

STEEPNESS = 1e6
"""Up to about its inverse, the plain embedding is linear in the density."""


def finnis_sinclair(density: jax.Array, exponent: jax.Array) -> jax.Array:
    """F = sign(rho) |rho|^m, made linear at the origin with the slope 1e6^(1 - m).

    sign(rho) ((1 - e) |rho|^m + 1e6^(1 - m) e |rho|) with e = exp(-(1e6 |rho|)^3): Lysogorskiy et
    al. (2021), supplement.
    """
    sign = jnp.where(density < 0.0, -1.0, 1.0)
    size = sign * density
    safe = jnp.maximum(size, 1e-10)
    linear = STEEPNESS ** (1.0 - exponent) * size
    fading = jnp.exp(-jnp.minimum((STEEPNESS * safe) ** 3, 80.0))
    curve = (1.0 - fading) * safe**exponent + fading * linear
    return sign * jnp.where(size > 1e-10, curve, linear)


def finnis_sinclair_shifted_scaled(density: jax.Array, exponent: jax.Array) -> jax.Array:
    """F = sign(rho) ((|rho| + x e)^m - x^m e), e = exp(-|rho|), x = m^(1 / (1 - m)).

    The power starts at x, where its slope is one; the shift fades away with the density. F is rho
    itself for m = 1. Bochkarev et al., Phys. Rev. Materials 6, 013804 (2022).
    """
    sign = jnp.where(density < 0.0, -1.0, 1.0)
    size = sign * density
    linear = exponent == 1.0
    m = jnp.where(linear, 0.5, exponent)
    start = m ** (1.0 / (1.0 - m))
    fading = jnp.exp(-size)
    curve = (size + start * fading) ** m - start**m * fading
    return jnp.where(linear, density, sign * curve)


EMBEDDINGS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "FinnisSinclair": finnis_sinclair,
    "FinnisSinclairShiftedScaled": finnis_sinclair_shifted_scaled,
}
"""Embeddings by the names that the files give them."""
