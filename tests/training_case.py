"""A small problem for trainers: a Morse crystal and clusters, radial features, one network."""

from functools import partial

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.evaluation import Evaluation
from hyperatom.potentials.behler_parrinello import ElementNetwork, network_sums
from hyperatom.potentials.classical.morse import morse
from hyperatom.potentials.features.cutoff_functions import CutoffFunction
from hyperatom.potentials.features.symmetry_functions import RadialFunction, SymmetryFunctions
from hyperatom.potentials.readouts.networks import random_network
from hyperatom.potentials.training.batches import TrainingLabel
from hyperatom.potentials.training.local_terms import FeatureTerms

CUTOFF = 4.5
SPECIES = (18, 36)
FUNCTIONS = tuple(
    RadialFunction(neighbour, 1.5, shift, CUTOFF)
    for neighbour in SPECIES
    for shift in (2.0, 2.7, 3.4, 4.1)
)
FEATURES = SymmetryFunctions(SPECIES, FUNCTIONS, CutoffFunction("polynomial 2"))
NETWORK = ElementNetwork(tuple(range(len(FUNCTIONS))), ("tanh", "linear"))


def morse_labels(count=12, seed=0, noise=0.0):
    """Rattled cells of 8 atoms and clusters of 5, of two species."""
    rng = np.random.default_rng(seed)
    truth = morse_potential()
    labels = []
    for number in range(count):
        periodic = number % 3 > 0
        cell = 4.5 * (np.eye(3) + 0.02 * rng.normal(size=(3, 3)))
        corners = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1]), axis=-1).reshape(-1, 3)
        fractional = 0.5 * corners + 0.02 * rng.normal(size=(8, 3))
        n_atoms = 8 if periodic else 5
        here = Configuration(
            np.array(SPECIES)[rng.permutation(8) % 2][:n_atoms],
            (fractional @ cell)[:n_atoms] * (1.0 if periodic else 1.1),
            cell,
            [periodic] * 3,
            np.ones(n_atoms),
        )
        found = truth.evaluate(here)
        energy = found.energy + noise * rng.normal()
        labels.append(
            TrainingLabel(here, Evaluation(energy, found.forces, found.stress), group=int(periodic))
        )
    return labels


def morse_potential():
    """What the labels are computed with, smooth at the cutoff."""
    return morse(
        SPECIES,
        depth=np.array([[0.20, 0.25], [0.25, 0.30]]),
        stiffness=1.4,
        minimum=np.array([[2.2, 2.3], [2.3, 2.4]]),
        cutoff=CUTOFF,
    )


def network_terms():
    return FeatureTerms(
        SPECIES, CUTOFF, len(FUNCTIONS), FEATURES, partial(network_sums, [NETWORK] * 2)
    )


def network_tree(seed, hidden=6):
    rng = np.random.default_rng(seed)
    return [
        {
            "shift": np.full(len(FUNCTIONS), 0.5),
            "stretch": np.full(len(FUNCTIONS), 1.0),
            "layers": random_network([len(FUNCTIONS), hidden, 1], rng),
            "scale": np.float64(1.0),
            "offset": np.float64(-0.5),
        }
        for _ in SPECIES
    ]


def linear_readout(parameters, features, central_species):
    """w_s . x + c_s."""
    weights, constants = parameters["weights"], parameters["constants"]
    return (features * weights[central_species]).sum(axis=1) + constants[central_species]


def linear_terms():
    return FeatureTerms(SPECIES, CUTOFF, len(FUNCTIONS), FEATURES, linear_readout)


def linear_tree():
    return {"weights": np.zeros((2, len(FUNCTIONS))), "constants": np.zeros(2)}
