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

from hyperatom.potentials.behler_parrinello import ElementNetwork, network_sums
from hyperatom.potentials.committee_fit import Stacks, each_member
from hyperatom.potentials.family import FitTask
from hyperatom.potentials.features.deep_embedding import DeepEmbedding
from hyperatom.potentials.member_spread import member_of
from hyperatom.potentials.network_fit import real_inputs
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
        activations = (*(settings.activation for _ in settings.hidden), "linear")
        one = ElementNetwork(tuple(range(embedding.n_features)), activations)
        self.embedding = embedding
        self.networks = (one,) * len(embedding.species)
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
            members = task.start.parameters["members"]
            return [member_of(members, number) for number in range(task.settings.members)]
        return [
            self._start(task, stacks, noise, np.random.default_rng([task.seed, member]))
            for member in range(task.settings.members)
        ]

    def frozen(self, tree: Any) -> Any:
        """As it is."""
        return tree

    def rest(self, tree: Any, constants: Array) -> Any:
        """The embedding where it starts; atoms of constant energy."""
        networks = [
            {**own, "layers": jax.tree.map(np.zeros_like, own["layers"]), "offset": constant}
            for own, constant in zip(tree["networks"], constants, strict=True)
        ]
        return {**tree, "networks": networks}

    def _start(self, task: FitTask, stacks: Stacks, noise: Noise, rng: np.random.Generator) -> Any:
        inverse = np.concatenate([self._inverse_distances(stack) for stack in stacks])
        embedding = {
            "shift": inverse.mean(),
            "stretch": 1.0 / inverse.std() if inverse.std() > 0.0 else np.float64(1.0),
            "layers": self.embedding.random_layers(rng),
        }
        rows = []
        for stack in stacks:
            vectors, _ = real_inputs([stack])
            chosen = rng.permutation(len(vectors))[:ENOUGH]
            with jax.enable_x64(True):
                planes = jnp.asarray(vectors[chosen].transpose(1, 0, 2))
                rows.append(np.asarray(self.embedding(embedding, planes, stack.slots)))
        features = np.concatenate(rows)
        scaling = {"shift": features.mean(axis=0), "whitening": whitening_of(features)}
        unscaled = np.zeros(features.shape[1]), np.ones(features.shape[1])
        nodes = [self.embedding.n_features, *task.settings.hidden, 1]
        networks = [
            {
                "shift": unscaled[0],
                "stretch": unscaled[1],
                "layers": random_network(nodes, rng),
                "scale": np.float64(1.0),
                "offset": np.float64(constant),
            }
            for constant in task.constants
        ]
        tree = {"embedding": embedding, "scaling": scaling, "networks": networks}
        return self._last_layer(tree, stacks, noise)

    def _last_layer(self, tree: Any, stacks: Stacks, noise: Noise) -> Any:
        """The tree with the last layers that fit best what is random before them."""
        last = len(tree["networks"][0]["layers"]) - 1
        parameters = ParameterVector(
            tree, trained=lambda way: way[0] == "networks" and way[2:4] == ("layers", last)
        )
        return solved(TrainingProblem(self.terms, parameters, noise), stacks, weighed=True).tree

    def _inverse_distances(self, stack: Any) -> Array:
        """s of all neighbours in a batch that are within the cutoff."""
        vectors, _ = real_inputs([stack])
        distance = np.sqrt((vectors * vectors).sum(axis=1)).ravel()
        with jax.enable_x64(True):
            near = distance[distance < self.embedding.cutoff]
            return np.asarray(self.embedding.inverse_distance(near))


def whitening_of(rows: Array) -> Array:
    """W with (x - mean) W of unit covariance, (n_features, n_features), for rows x of features."""
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(rows.T)))
    largest = values[-1] if values[-1] > 0.0 else 1.0
    return np.asarray(vectors / np.sqrt(np.maximum(values, LEAST_VARIANCE * largest)))
