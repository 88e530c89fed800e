"""A bond-order potential whose parameters networks adapt to each atom's surroundings.

    E_i = 1/2 sum_j [ exp(A - alpha l_ij) - S_ij b_ij exp(B - beta l_ij) ] f(r_ij)
          - sigma sqrt(sum_j S_ij b_ij f(r_ij)) + c_s(i)
    b_ij = (1 + z_ij)^(-1/2),   z_ij = a^2 sum_{k != j} S_ik (cos theta_ijk - h)^2 f(r_ik)
    S_ij = prod_{k != j} [ 1 - f(r_ik) exp(-lambda (r_ik + r_jk - r_ij)) ]
    f(r) = x^4 / (w^4 + x^4),  x = r_c - r,   l_ij = r_ij - r_0

with A, alpha, B, beta of each pair of species and a, h, sigma, lambda of each species. To A, B, h
is added, and the others are multiplied by the exponential of,

    d = D tanh(y(x_i) / D),   x = (G - shift) whitening

with the outputs y of a network of the features G of atom i: where networks know nothing, bonds stay
bonds. r_0 is a length of each pair of species near which bonds are: alpha then says nothing of how
strong they are. Physically informed neural networks: Purja Pun, Batra, Ramprasad and Mishin, Nat.
Commun. 10, 2339 (2019); their second form, in which networks change given parameters: Purja Pun et
al., npj Comput. Mater. 6, 27 (2020). Here f(r_ik) in the screening lets no neighbour appear
suddenly.
"""

from collections.abc import Sequence
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np

from hyperatom.potentials.behler_parrinello import Features
from hyperatom.potentials.readouts.networks import ACTIVATIONS

PARAMETERS: Final = ("A", "alpha", "B", "beta", "a", "h", "sigma", "lambda")
OF_PAIRS: Final = 4
ADDED: Final = np.array([True, False, True, False, False, True, False, False])
"""Whether a network adds to a parameter, or multiplies it by its exponential."""

WINDOW: Final = 1.5
"""w in Å."""

FURTHEST: Final = 2.0
"""D: no parameter is changed by more."""

LEAST: Final = 1.0e-6
"""Under the square root, so that it has a slope where there is no neighbour."""


class BondOrderEnergy:
    """Atomic energies with adapted parameters (see above).

    | parameter  | shape                     | unit           | meaning             |
    |------------|---------------------------|----------------|---------------------|
    | `pairs`    | (n_species, n_species, 4) | -, 1/Å, -, 1/Å | A, alpha, B, beta   |
    | `lengths`  | (n_species, n_species)    | Å              | r_0                 |
    | `centres`  | (n_species, 4)            | -, -, eV, 1/Å  | a, h, sigma, lambda |
    | `offset`   | (n_species,)              | eV             | c                   |

    and `networks`, of each species: `shift` (n_features,) and `whitening` (n_features, n_features)
    of the features, `layers` of weights and biases with eight nodes at the end.
    """

    def __init__(
        self, features: Features, cutoff: float, activation: str, species: Sequence[int]
    ) -> None:
        self.features = features
        self.cutoff = cutoff
        self.activation = ACTIVATIONS[activation]
        self.species = tuple(species)

    def __call__(
        self,
        parameters: Any,
        displacements: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """Energies (n_block,) in eV; see `AtomicEnergy`."""
        changes = self._changes(
            parameters["networks"], self.features(displacements, slots), central_species
        )
        of_slot = np.repeat(np.arange(len(slots)), slots)
        pairs = parameters["pairs"][central_species][:, of_slot]  # (n_block, n_slots, 4)
        given = [pairs[..., k] for k in range(OF_PAIRS)]
        given += [parameters["centres"][central_species][:, k, None] for k in range(OF_PAIRS)]
        a_pair, alpha, b_pair, beta, a, h, sigma, screening = (
            value + changes[:, k, None] if ADDED[k] else value * jnp.exp(changes[:, k, None])
            for k, value in enumerate(given)
        )
        distance = jnp.sqrt(jnp.sum(displacements * displacements, axis=0))
        window = self._window(distance)
        unit = displacements / distance
        cosine = jnp.einsum("aij,aik->ijk", unit, unit)
        own = jnp.eye(len(of_slot), dtype=bool)
        screened = _screened(distance, cosine, window, screening, own)
        bend = (screened * window)[:, None, :] * (cosine - h[:, :, None]) ** 2
        z = a**2 * jnp.sum(jnp.where(own, 0.0, bend), axis=2)
        order = screened / jnp.sqrt(1.0 + z)
        length = distance - parameters["lengths"][central_species][:, of_slot]
        bonds = jnp.exp(a_pair - alpha * length) - order * jnp.exp(b_pair - beta * length)
        promoted = jnp.sqrt(jnp.sum(order * window, axis=1) + LEAST) - np.sqrt(LEAST)
        energies: jax.Array = 0.5 * jnp.sum(bonds * window, axis=1) - sigma[:, 0] * promoted
        constants: jax.Array = parameters["offset"][central_species]
        return energies + constants

    def _window(self, distance: jax.Array) -> jax.Array:
        inside = jnp.maximum(self.cutoff - distance, 0.0) ** 4
        return inside / (WINDOW**4 + inside)

    def _changes(self, networks: Any, features: jax.Array, central_species: jax.Array) -> jax.Array:
        found = jnp.zeros((features.shape[0], len(PARAMETERS)), dtype=features.dtype)
        for kind, own in enumerate(networks):
            chosen = (central_species == kind)[:, None]
            values = jnp.where(chosen, (features - own["shift"]) @ own["whitening"], 0.0)
            *hidden, (weights, biases) = own["layers"]
            for inner, shifts in hidden:
                values = self.activation(values @ inner + shifts)
            found = jnp.where(chosen, values @ weights + biases, found)
        return jnp.asarray(FURTHEST * jnp.tanh(found / FURTHEST))


def _screened(
    distance: jax.Array, cosine: jax.Array, window: jax.Array, rate: jax.Array, own: jax.Array
) -> jax.Array:
    one, other = distance[:, :, None], distance[:, None, :]
    square = one * one + other * other - 2.0 * one * other * cosine
    # The neighbour itself, and slots that nobody fills, which are all at one place.
    met = own | (square < LEAST)
    third = jnp.sqrt(jnp.where(met, 1.0, square))
    shadow = window[:, None, :] * jnp.exp(-rate[:, :, None] * (other + third - one))
    return jnp.exp(jnp.sum(jnp.log(jnp.where(met, 1.0, 1.0 - shadow)), axis=2))
