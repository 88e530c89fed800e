"""The embedding of Deep Potential: weights of neighbours are networks of their distance.

    s(r) = w(r) / r,    R_j = s(r_j) (1, x_j / r_j, y_j / r_j, z_j / r_j)
    T_a = sum_j G_a(s(r_j)) R_j,    D_ab = T_a . T_b    (a <= M, b <= M')

and the sums T_a0 themselves, without which a sum over pairs would have to be drawn as a root. w
falls from one to zero between the onset and the cutoff with two continuous derivatives; the network
G is one for each species of the neighbour j. Smooth edition: Zhang, Han, Wang, Saidi, Car and E,
Adv. Neural Inf. Process. Syst. 31 (2018), where D is divided by a constant that the scaling of
features has here. Sums over neighbours are all there is, so the cost grows with their number and
not with its square: D is the power spectrum, l <= 1, of a density whose radial functions are
learned.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.features.cutoff_functions import CutoffFunction


class DeepEmbedding:
    """Features of atoms that depend on parameters (see above).

    `nodes` of G, the last of which is M; `axis` is M'; `onset` and `cutoff` in Å. Parameters:

    | key       | shape                   | unit | meaning                                      |
    |-----------|-------------------------|------|----------------------------------------------|
    | `shift`   | scalar                  | 1/Å  | subtracted from s before the networks        |
    | `stretch` | scalar                  | Å    | multiplies what is left, and R               |
    | `layers`  | (n_in, n_out), (n_out,) | -    | for each species of neighbours, G's layers   |
    """

    def __init__(
        self, species: Sequence[int], cutoff: float, onset: float, nodes: Sequence[int], axis: int
    ) -> None:
        self.species = tuple(species)
        self.cutoff = cutoff
        self.nodes = tuple(nodes)
        self.axis = axis
        self.n_features = self.nodes[-1] * (axis + 1)
        self._window = CutoffFunction("polynomial 2", onset / cutoff)

    def __call__(
        self, parameters: Any, displacements: jax.Array, slots: tuple[int, ...]
    ) -> jax.Array:
        """T_a0 and D (n_block, n_features); other arguments as in `Features`."""
        distance = jnp.sqrt(jnp.sum(displacements * displacements, axis=0))
        inverse = self.inverse_distance(distance)
        seen = (inverse - parameters["shift"]) * parameters["stretch"]
        weight = inverse * parameters["stretch"]
        rows = jnp.stack([weight, *(weight * displacements / distance)])  # (4, n_block, n_slots)
        ends = [0, *accumulate(slots)]
        total = jnp.zeros((4, distance.shape[0], self.nodes[-1]), dtype=distance.dtype)
        for layers, (start, end) in zip(parameters["layers"], pairwise(ends), strict=True):
            weights = _network(layers, seen[:, start:end])
            total = total + jnp.einsum("cij,ija->cia", rows[:, :, start:end], weights)
        products = jnp.einsum("cia,cib->iab", total, total[:, :, : self.axis])
        return jnp.concatenate([total[0], products.reshape(len(products), -1)], axis=1)

    def inverse_distance(self, distance: jax.Array) -> jax.Array:
        """s(r) in 1/Å of distances in Å, any shape."""
        return self._window(distance, self.cutoff) / distance

    def random_layers(
        self, rng: np.random.Generator
    ) -> list[list[tuple[NDArray[np.float64], NDArray[np.float64]]]]:
        """Layers of each species: weights and biases that spread the nodes over all distances."""
        return [
            [
                (rng.normal(size=(a, b)) / np.sqrt(a), rng.normal(size=b))
                for a, b in pairwise((1, *self.nodes))
            ]
            for _ in self.species
        ]


def _network(layers: Sequence[tuple[jax.Array, jax.Array]], inputs: jax.Array) -> jax.Array:
    """G of each number, (..., M): tanh, and what came in where a layer keeps or doubles it."""
    values = inputs[..., None]
    for weights, biases in layers:
        n_in, n_out = weights.shape
        moved = jnp.tanh(values @ weights + biases)
        if n_in > 1 and n_out in (n_in, 2 * n_in):
            moved = moved + jnp.concatenate([values] * (n_out // n_in), axis=-1)
        values = moved
    return values
