"""The screened nuclear repulsion of Ziegler, Biersack and Littmark (1985), switched off smoothly.

    phi(r) = K Z_a Z_b / r * sum_k A_k exp(-B_k r / s) * f(r)

with K = e^2 / (4 pi epsilon_0), and f falling from one at an inner to zero at an outer distance as
half a cosine. Universal: s = 0.46848 Å / (Z_a^0.23 + Z_b^0.23), and four terms.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

COULOMB = 14.399645
"""e^2 / (4 pi epsilon_0) in eV Å."""

INVERSE_LENGTH = 2.134563
"""1 / 0.46848 Å, rounded as in GPUMD."""

AMPLITUDES = (0.18175, 0.50986, 0.28022, 0.02817)
EXPONENTS = (3.1998, 0.94229, 0.4029, 0.20162)

Array = NDArray[np.float64]


def universal_parameters(species: tuple[int, ...], inner: Array, outer: Array) -> dict[str, Array]:
    """Parameters of the universal screening; `inner` and `outer` (n_species, n_species) in Å."""
    charge = np.asarray(species, dtype=float)
    power = charge**0.23
    decay = (power[:, None] + power) * INVERSE_LENGTH
    ones = np.ones((*decay.shape, 4))
    return {
        "strength": COULOMB * charge[:, None] * charge,
        "amplitudes": ones * np.array(AMPLITUDES),
        "decays": decay[:, :, None] * np.array(EXPONENTS),
        "inner": np.asarray(inner, dtype=float),
        "outer": np.asarray(outer, dtype=float),
    }


def ziegler_repulsion(
    parameters: dict[str, jax.Array],
    displacements: jax.Array,
    central_species: jax.Array,
    slots: tuple[int, ...],
) -> jax.Array:
    """Half of sum_j phi(r_ij) for each atom, eV, (n_block,).

    | parameter    | shape     | unit | meaning                       |
    |--------------|-----------|------|-------------------------------|
    | `strength`   | (S, S)    | eV Å | K Z_a Z_b                     |
    | `amplitudes` | (S, S, 4) | -    | A_k                           |
    | `decays`     | (S, S, 4) | 1/Å  | B_k / s                       |
    | `inner`      | (S, S)    | Å    | up to here f is one           |
    | `outer`      | (S, S)    | Å    | from here on f is zero        |
    """
    of_slot = np.repeat(np.arange(len(slots)), slots)

    def of_pair(name: str) -> jax.Array:
        return parameters[name][central_species][:, of_slot]

    distance = jnp.sqrt(jnp.sum(displacements * displacements, axis=0))
    inner, outer = of_pair("inner"), of_pair("outer")
    t = jnp.clip((distance - inner) / (outer - inner), 0.0, 1.0)
    switch = 0.5 + 0.5 * jnp.cos(math.pi * t)
    amplitudes, decays = of_pair("amplitudes"), of_pair("decays")
    screening = jnp.sum(amplitudes * jnp.exp(-decays * distance[:, :, None]), axis=2)
    energy = of_pair("strength") / distance * screening * switch
    return 0.5 * jnp.sum(jnp.where(distance < outer, energy, 0.0), axis=1)
