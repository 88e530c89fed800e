"""Element networks as members of a committee: random starts, features in a common scale."""

from collections.abc import Sequence
from typing import Any, Final

import jax
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.behler_parrinello import ElementNetwork, Features, network_sums
from hyperatom.potentials.committee_fit import Stacks, each_member
from hyperatom.potentials.family import FitTask
from hyperatom.potentials.member_spread import member_of
from hyperatom.potentials.readouts.networks import random_network
from hyperatom.potentials.training.batches import Batch
from hyperatom.potentials.training.local_terms import FeatureTerms
from hyperatom.potentials.training.problem import Noise

Array = NDArray[np.float64]

LEAST_SPREAD: Final = 0.02
"""Features that hardly vary are stretched no further than this part of their size allows."""


class NetworkMembers:
    """Behler-Parrinello networks on `features` (see `Architecture`).

    A member is what `BehlerParrinelloEnergy` takes.
    """

    title = "Behler-Parrinello networks"

    def __init__(self, settings: Any, features: Features) -> None:
        self.features = features
        self.networks = element_networks(settings, features.n_features, len(features.species))
        self.terms = FeatureTerms(
            features.species, features.cutoff, features.n_features, features, self._readout
        )

    def _readout(self, own: Any, inputs: jax.Array, central_species: jax.Array) -> jax.Array:
        return network_sums(self.networks, own, inputs, central_species)

    def member_energies(
        self,
        members: Any,
        displacements: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """See `Architecture`; the features are common to all members."""
        features = self.features(displacements, slots)
        return each_member(lambda own: self._readout(own, features, central_species), members)

    def starts(self, task: FitTask, stacks: Stacks, noise: Noise) -> list[Any]:
        """Random networks, or those of the task's start in the new scaling."""
        del noise
        scaling = feature_scaling(stacks, len(task.species))
        return _starts(task, self.features.n_features, scaling)

    def frozen(self, tree: Any) -> Any:
        """As it is."""
        return tree

    def rest(self, tree: Any, constants: Array) -> Any:
        """Atoms of constant energy."""
        return at_rest(tree, constants)


def element_networks(settings: Any, n_features: int, n_species: int) -> tuple[ElementNetwork, ...]:
    """Networks of all species, of the same form: `hidden` layers on all features, one node out."""
    activations = (*(settings.activation for _ in settings.hidden), "linear")
    return (ElementNetwork(tuple(range(n_features)), activations),) * n_species


def network_tree(
    layers: Sequence[tuple[Array, Array]], shift: Array, stretch: Array, offset: float
) -> dict[str, Any]:
    """The parameters of a network, as `BehlerParrinelloEnergy` takes them."""
    return {
        "shift": shift,
        "stretch": stretch,
        "layers": layers,
        "scale": np.float64(1.0),
        "offset": np.float64(offset),
    }


def at_rest(networks: Sequence[Any], constants: Array) -> list[Any]:
    """The networks, silent: atoms of constant energy, `constants` (n_species,) in eV."""
    return [
        {**own, "offset": constant}
        for own, constant in zip(silenced(networks), constants, strict=True)
    ]


def silenced(networks: Sequence[Any]) -> list[Any]:
    """The networks with all weights and biases zero."""
    return [{**own, "layers": [(0.0 * w, 0.0 * b) for w, b in own["layers"]]} for own in networks]


def real_inputs(stacks: Sequence[Batch]) -> tuple[Array, NDArray[np.int64]]:
    """Inputs of all atoms that are no padding, (n_atoms, ...), and their species (n_atoms,)."""
    inputs, kinds = [], []
    for stack in stacks:
        for number in range(stack.n_batches):
            real = np.asarray(stack.member[number]).sum(axis=0) > 0.0
            given = np.asarray(stack.inputs[number])
            inputs.append(given.reshape(-1, *given.shape[2:])[real])
            kinds.append(np.asarray(stack.species[number]).reshape(-1)[real])
    return np.concatenate(inputs), np.concatenate(kinds)


def feature_scaling(stacks: Sequence[Batch], n_species: int) -> list[tuple[Array, Array]]:
    """Mean and inverse standard deviation of the features of each species' atoms."""
    return scaling_of(*real_inputs(stacks), n_species)


def scaling_of(
    rows: Array, species: NDArray[np.int64], n_species: int
) -> list[tuple[Array, Array]]:
    """The same of features (n_atoms, n_features); all atoms stand for a species without atoms."""
    scaling = []
    for kind in range(n_species):
        own = rows[species == kind]
        own = own if len(own) else rows
        mean = own.mean(axis=0)
        spread = np.maximum(own.std(axis=0), LEAST_SPREAD * (1.0 + np.abs(mean)))
        scaling.append((mean, 1.0 / spread))
    return scaling


def _starts(
    task: FitTask, n_features: int, scaling: Sequence[tuple[Array, Array]]
) -> list[list[dict[str, Any]]]:
    """A tree for each member: random networks, or those of `start` in the new scaling."""
    trees = []
    for member in range(task.settings.members):
        rng = np.random.default_rng([task.seed, member])
        tree = []
        for number, (shift, stretch) in enumerate(scaling):
            layers = random_network([n_features, *task.settings.hidden, 1], rng)
            offset = np.float64(task.constants[number])
            if task.start is not None:
                own = member_of(task.start.parameters["members"][number], member)
                layers, offset = _rescaled(own, shift, stretch), own["offset"]
            tree.append(network_tree(layers, shift, stretch, offset))
        trees.append(tree)
    return trees


def _rescaled(own: Any, shift: Array, stretch: Array) -> list[tuple[Array, Array]]:
    """The same function of the features with another shift and stretch before it."""
    (weights, biases), *others = own["layers"]
    moved = biases + ((shift - own["shift"]) * own["stretch"]) @ weights
    return [(weights * (own["stretch"] / stretch)[:, None], moved), *others]
