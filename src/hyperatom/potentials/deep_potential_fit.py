"""Deep Potential as members of a committee: embeddings and networks trained together.

A member's features are made independent and of unit variance once, at its random start: they vary
together, mostly, and a network learns slowly along what hardly varies. Where training takes them
from there is left to the layers.
"""

from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.behler_parrinello import network_sums
from hyperatom.potentials.committee_fit import Stacks, each_member, members_of_start
from hyperatom.potentials.family import FitTask
from hyperatom.potentials.features.deep_embedding import DeepEmbedding
from hyperatom.potentials.network_fit import (
    at_rest,
    element_networks,
    network_tree,
    real_inputs,
)
from hyperatom.potentials.readouts.last_layer import solved
from hyperatom.potentials.readouts.networks import random_network
from hyperatom.potentials.training.local_terms import DirectTerms
from hyperatom.potentials.training.parameter_vector import ParameterVector
from hyperatom.potentials.training.problem import Noise, TrainingProblem

Array = NDArray[np.float64]

LEAST_VARIANCE: Final = 1.0e-4
"""Combinations of features that vary less, relative to the most, are stretched no further."""

ENOUGH: Final = 4096
"""So many atoms tell the spread of features."""


class DeepMembers:
    """Deep potentials (see `Architecture`).

    A member has an `embedding`, as `DeepEmbedding` takes it, a `scaling` of its features, `shift`
    (n_features,) and `whitening` (n_features, n_features), and `networks`, as
    `BehlerParrinelloEnergy` takes them.
    """

    title = "deep potential"

    def __init__(self, settings: Any, embedding: DeepEmbedding) -> None:
        self.embedding = embedding
        self.networks = element_networks(settings, embedding.n_features, len(embedding.species))
        self.terms = DirectTerms(embedding.species, embedding.cutoff, self._energies)

    def _energies(
        self,
        own: Any,
        displacements: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        found = self.embedding(own["embedding"], displacements, slots)
        features = (found - own["scaling"]["shift"]) @ own["scaling"]["whitening"]
        return network_sums(self.networks, own["networks"], features, central_species)

    def member_energies(
        self,
        members: Any,
        displacements: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """See `Architecture`."""
        return each_member(
            lambda own: self._energies(own, displacements, central_species, slots), members
        )

    def starts(self, task: FitTask, stacks: Stacks, noise: Noise) -> list[Any]:
        """Random embeddings and networks, or the members of the task's start."""
        if task.start is not None:
            return members_of_start(task.start, task.settings.members)
        seen = [real_inputs([stack])[0] for stack in stacks]
        inverse = np.concatenate([self._inverse_distances(vectors) for vectors in seen])
        scale = {
            "shift": inverse.mean(),
            "stretch": 1.0 / inverse.std() if inverse.std() > 0.0 else np.float64(1.0),
        }
        trees = []
        for member in range(task.settings.members):
            rng = np.random.default_rng([task.seed, member])
            embedding = {**scale, "layers": self.embedding.random_layers(rng)}
            features = np.concatenate(
                [
                    self._features(embedding, vectors, stack.slots, rng)
                    for vectors, stack in zip(seen, stacks, strict=True)
                ]
            )
            tree = {
                "embedding": embedding,
                "scaling": {"shift": features.mean(axis=0), "whitening": whitening_of(features)},
                "networks": self._networks(task, rng),
            }
            trees.append(self._last_layer(tree, stacks, noise))
        return trees

    def frozen(self, tree: Any) -> Any:
        """As it is."""
        return tree

    def rest(self, tree: Any, constants: Array) -> Any:
        """The embedding where it starts; atoms of constant energy."""
        return {**tree, "networks": at_rest(tree["networks"], constants)}

    def _features(
        self, embedding: Any, vectors: Array, slots: tuple[int, ...], rng: np.random.Generator
    ) -> Array:
        """Of some of the atoms whose neighbours are at `vectors` (n_atoms, 3, n_slots)."""
        chosen = rng.permutation(len(vectors))[:ENOUGH]
        with jax.enable_x64(True):
            planes = jnp.asarray(vectors[chosen].transpose(1, 0, 2))
            return np.asarray(self.embedding(embedding, planes, slots))

    def _networks(self, task: FitTask, rng: np.random.Generator) -> list[dict[str, Any]]:
        """Random networks of all species, on features that need no other scale."""
        n_features = self.embedding.n_features
        nodes = [n_features, *task.settings.hidden, 1]
        same = np.zeros(n_features), np.ones(n_features)
        return [
            network_tree(random_network(nodes, rng), *same, constant) for constant in task.constants
        ]

    def _last_layer(self, tree: Any, stacks: Stacks, noise: Noise) -> Any:
        """The tree with the last layers that fit best what is random before them."""
        last = len(tree["networks"][0]["layers"]) - 1
        parameters = ParameterVector(
            tree, trained=lambda way: way[0] == "networks" and way[2:4] == ("layers", last)
        )
        return solved(TrainingProblem(self.terms, parameters, noise), stacks, weighed=True).tree

    def _inverse_distances(self, vectors: Array) -> Array:
        """s of all neighbours within the cutoff, at `vectors` (n_atoms, 3, n_slots)."""
        distance = np.sqrt((vectors * vectors).sum(axis=1)).ravel()
        with jax.enable_x64(True):
            near = distance[distance < self.embedding.cutoff]
            return np.asarray(self.embedding.inverse_distance(near))


def whitening_of(rows: Array) -> Array:
    """W with (x - mean) W of unit covariance, (n_features, n_features), for rows x of features."""
    covariance = np.cov(rows.T, ddof=min(1, len(rows) - 1))
    values, vectors = np.linalg.eigh(np.atleast_2d(covariance))
    largest = values[-1] if values[-1] > 0.0 else 1.0
    return np.asarray(vectors / np.sqrt(np.maximum(values, LEAST_VARIANCE * largest)))
