"""Behler-Parrinello potentials: a network for each element, fed with features of each atom.

    E = sum_i [ offset + scale y(x_i) ],    x = (G - shift) * stretch

with the network y, the offsets and the statistics of the features G of the element of atom i
(Behler and Parrinello, Phys. Rev. Lett. 98, 146401 (2007)).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from hyperatom.errors import InputError
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.readouts.networks import ACTIVATIONS, evaluate_network

BLOCK = 8
"""Atoms at a time: sums over pairs of neighbours are large."""


class Features(Protocol):
    """Displacements of neighbours -> numbers that no symmetry changes."""

    species: tuple[int, ...]
    cutoff: float
    n_features: int

    def __call__(self, displacements: jax.Array, slots: tuple[int, ...]) -> jax.Array:
        """(3, n_block, n_slots) in Å -> (n_block, n_features)."""
        ...


class JoinedFeatures:
    """The features of several `parts` side by side; all for the same species in the same order."""

    def __init__(self, parts: Sequence[Features]) -> None:
        self.parts = tuple(parts)
        self.species = self.parts[0].species
        self.cutoff = max(part.cutoff for part in self.parts)
        self.n_features = sum(part.n_features for part in self.parts)

    def __call__(self, displacements: jax.Array, slots: tuple[int, ...]) -> jax.Array:
        """The features of each atom, (n_block, n_features); arguments as in `Features`."""
        return jnp.concatenate([part(displacements, slots) for part in self.parts], axis=1)


@dataclass(frozen=True)
class ElementNetwork:
    """The static part of an element's network.

    `columns` are the features it sees, in the order of its inputs; `activations` (names of
    `ACTIVATIONS`) has one name for each layer after the inputs.
    """

    columns: tuple[int, ...]
    activations: tuple[str, ...]

    def __post_init__(self) -> None:
        unknown = set(self.activations) - set(ACTIVATIONS)
        if unknown:
            raise InputError(
                f"There is no activation function called {', '.join(sorted(unknown))}.",
                f"Take one of {', '.join(ACTIVATIONS)}.",
            )


class BehlerParrinelloEnergy:
    """The atomic energy of networks, one of `networks` for each species of `features`, in order.

    Its parameters are a list with a dictionary for each species:

    | key       | shape                     | unit | meaning                                 |
    |-----------|---------------------------|------|-----------------------------------------|
    | `shift`   | (n_inputs,)               | -    | subtracted from the features            |
    | `stretch` | (n_inputs,)               | -    | multiplies what is left                 |
    | `layers`  | (n_in, n_out), (n_out,)   | -    | list of weights and biases              |
    | `scale`   | scalar                    | eV   | energy of one at the network's output   |
    | `offset`  | scalar                    | eV   | energy of the atom at an output of zero |
    """

    def __init__(self, features: Features, networks: Sequence[ElementNetwork]) -> None:
        self.features = features
        self.networks = tuple(networks)

    def __call__(
        self,
        parameters: Any,
        displacements: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """Energies (n_block,) in eV; see `AtomicEnergy`."""
        features = self.features(displacements, slots)
        return network_sums(self.networks, parameters, features, central_species)


def network_sums(
    networks: Sequence[ElementNetwork],
    parameters: Any,
    features: jax.Array,
    central_species: jax.Array,
    extra: jax.Array | None = None,
) -> jax.Array:
    """offset + scale y(x) of each atom, (n_block,); `extra` (n_block,) is one more, bare input."""
    total = jnp.zeros(features.shape[0], dtype=features.dtype)
    for species, (network, own) in enumerate(zip(networks, parameters, strict=True)):
        chosen = central_species == species
        inputs = (features[:, list(network.columns)] - own["shift"]) * own["stretch"]
        if extra is not None:
            inputs = jnp.concatenate([inputs, extra[:, None]], axis=1)
        # Atoms of other species are kept at zero, where no activation overflows.
        inputs = jnp.where(chosen[:, None], inputs, 0.0)
        output = evaluate_network(own["layers"], network.activations, inputs)
        total = jnp.where(chosen, own["offset"] + own["scale"] * output, total)
    return total


def behler_parrinello(
    features: Features,
    networks: Sequence[ElementNetwork],
    parameters: Any,
    name: str,
    precision: str = "float64",
) -> CompiledPotential:
    """A potential of networks; `parameters` as in `BehlerParrinelloEnergy`, `name` in words.

    Raises `InputError` where a network does not fit its features.
    """
    for number, network, own in zip(features.species, networks, parameters, strict=True):
        n_inputs = own["layers"][0][0].shape[0]
        if n_inputs != len(network.columns):
            raise InputError(
                f"The network of atomic number {number} has {n_inputs} inputs for"
                f" {len(network.columns)} features.",
                "Give as many inputs as features.",
            )
    model = CompiledModel(
        features.species,
        features.cutoff,
        BehlerParrinelloEnergy(features, networks),
        precision=precision,
        block=BLOCK,
    )
    return CompiledPotential(model, parameters, name)
