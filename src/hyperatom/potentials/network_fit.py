"""Fits committees of element networks to labels; their spread is the predicted error.

    E = mean_m E_m + repulsion,    sigma^2 = c^2 [ sum_m (E_m - mean)^2 / (M - 1) + n_atoms s^2 ]

All members are trained in one run, from networks of their own. s is the error per sqrt(atom) of the
training energies, and c the one number that makes sigma right, on average, for the frames held out
(Behler, J. Phys. Condens. Matter 26, 183001 (2014), for the spread as a measure of error).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import jax
import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.potentials.behler_parrinello import ElementNetwork, Features, network_sums
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.family import FitResult, FitStep, FitTask, LabelledFrame
from hyperatom.potentials.fitted import FittedPotential, inflation_of
from hyperatom.potentials.frame_errors import atoms_in, frame_errors, without
from hyperatom.potentials.many_configurations import evaluate_many
from hyperatom.potentials.readouts.networks import random_network
from hyperatom.potentials.repulsion import closest_radii, repulsion
from hyperatom.potentials.training.adam import Adam
from hyperatom.potentials.training.batches import Batch, TrainingLabel, pack
from hyperatom.potentials.training.extended_kalman import ExtendedKalmanFilter
from hyperatom.potentials.training.lbfgs import LimitedMemoryBFGS
from hyperatom.potentials.training.levenberg_marquardt import LevenbergMarquardt
from hyperatom.potentials.training.local_terms import FeatureTerms
from hyperatom.potentials.training.parameter_vector import FIXED, ParameterVector
from hyperatom.potentials.training.problem import Errors, Noise, TrainingProblem
from hyperatom.potentials.training.training import (
    Schedule,
    Trained,
    Trainer,
    TrainingProgress,
    train,
)
from hyperatom.units import MILLI

Array = NDArray[np.float64]

PRIOR: Final = 1.0e-2
"""Precision of every weight around zero: of no weight where labels speak."""

LEAST_SPREAD: Final = 0.02
"""Features that hardly vary are stretched no further than this part of their size allows."""

TRAINERS: Final[dict[str, Trainer]] = {
    "kalman": ExtendedKalmanFilter(),
    "levenberg_marquardt": LevenbergMarquardt(),
    "lbfgs": LimitedMemoryBFGS(),
    "adam": Adam(),
}


class CommitteeEnergy:
    """Mean of the members' atomic energies, and the repulsion.

    Parameters: `members`, those of `BehlerParrinelloEnergy` with an axis of members in front, and
    `radii` (n_species, n_species) in Å of the repulsion.
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

        def of_member(own: Any) -> jax.Array:
            return network_sums(self.networks, own, features, central_species)

        mean = jax.vmap(of_member)(parameters["members"]).mean(axis=0)
        return mean + repulsion(parameters["radii"], displacements, central_species, slots)


def assemble_networks(
    settings: Any, features: Features, parameters: Any, knowledge: Any
) -> FittedPotential:
    """The potential of `CommitteeEnergy`'s parameters and of what it knows of its errors."""
    energy = CommitteeEnergy(features, _networks(settings, features))
    model = CompiledModel(features.species, features.cutoff, energy, precision=settings.precision)
    return FittedPotential(
        model,
        parameters,
        "Behler-Parrinello networks",
        family=settings.kind,
        settings=settings,
        knowledge=knowledge,
        known_errors=committee_errors if settings.members > 1 else None,
    )


def fit_networks(task: FitTask, features: Features) -> FitResult:
    """Networks of the settings, trained on all frames of the task; the curve is over epochs."""
    settings = task.settings
    radii = closest_radii(
        [frame.configuration for frame in task.training], task.species, features.cutoff
    )
    networks = _networks(settings, features)

    def readout(own: Any, inputs: jax.Array, central_species: jax.Array) -> jax.Array:
        return network_sums(networks, own, inputs, central_species)

    terms = FeatureTerms(task.species, features.cutoff, features.n_features, features, readout)
    training = pack(_labels(task.training, task.species, radii), terms, task.seed)
    validation = None
    if task.validation:
        validation = pack(_labels(task.validation, task.species, radii), terms, task.seed)
    scaling = _scaling(training, len(task.species))
    trees = _starts(task, features.n_features, scaling)
    unknowns = ParameterVector(trees[0], fixed=(*FIXED, "scale"))
    rest = [
        {**own, "layers": [(0.0 * w, 0.0 * b) for w, b in own["layers"]], "offset": constant}
        for own, constant in zip(trees[0], task.constants, strict=True)
    ]
    problem = TrainingProblem(
        terms,
        unknowns,
        Noise(
            settings.energy_noise * MILLI,
            settings.force_noise * MILLI,
            settings.stress_noise * MILLI,
        ),
        prior_precision=PRIOR,
        prior_mean=unknowns.vector(rest),
    )
    curve: list[FitStep] = []

    def told(progress: TrainingProgress) -> None:
        curve.append(
            FitStep(
                float(progress.epoch),
                _pair(progress.training),
                _pair(progress.validation) if task.validation else (np.nan, np.nan),
                progress.seconds_left,
            )
        )
        task.watch(curve[-1])

    trained = train(
        problem,
        TRAINERS[settings.trainer],
        problem.start(trees),
        training,
        validation,
        Schedule(settings.epochs, settings.patience, task.seconds, report=1),
        task.seed,
        task.checkpoint,
        told,
    )
    members = _stacked([unknowns.arrays(vector) for vector in trained.vectors])
    potential = assemble_networks(settings, features, {"members": members, "radii": radii}, None)
    known, wrong = frame_errors(potential, task.training)
    unseen, wrong_unseen = frame_errors(potential, task.validation)
    noise = float(np.sqrt(np.mean(wrong**2 / atoms_in(task.training))))
    inflation = 1.0
    if settings.members > 1 and task.validation:
        variance = _spread(potential, [frame.configuration for frame in task.validation])
        inflation = inflation_of(wrong_unseen, variance + noise**2 * atoms_in(task.validation))
    potential = replace(
        potential, knowledge={"noise": np.float64(noise), "inflation": np.float64(inflation)}
    )
    curve.append(FitStep(float(trained.epochs.max()), known, unseen))
    task.watch(curve[-1])
    return FitResult(potential, tuple(curve), "epochs", _notes(trained, unknowns.n_parameters))


def committee_errors(
    potential: FittedPotential, configuration: Configuration, waypoints: Array, cells: Array
) -> Array:
    """sigma of the equation above at each waypoint, eV, (n_points,)."""
    places = [
        configuration.with_cell(positions, cell)
        for positions, cell in zip(waypoints, cells, strict=True)
    ]
    knowledge = potential.knowledge
    noise = float(knowledge["noise"]) ** 2 * configuration.n_atoms
    return np.asarray(float(knowledge["inflation"]) * np.sqrt(_spread(potential, places) + noise))


def _spread(potential: FittedPotential, places: Sequence[Configuration]) -> Array:
    """Variance of the total energy among the members, eV^2, (n_places,)."""
    members = potential.parameters["members"]
    found = []
    for number in range(len(jax.tree.leaves(members)[0])):
        one = jax.tree.map(
            lambda leaf, number=number: np.asarray(leaf)[number : number + 1], members
        )
        alone = CompiledPotential(
            potential.model, {**potential.parameters, "members": one}, potential.name
        )
        found.append([evaluation.energy for evaluation in evaluate_many(alone, places)])
    return np.asarray(np.var(found, axis=0, ddof=1))


def _networks(settings: Any, features: Features) -> tuple[ElementNetwork, ...]:
    activations = (*(settings.activation for _ in settings.hidden), "linear")
    one = ElementNetwork(tuple(range(features.n_features)), activations)
    return (one,) * len(features.species)


def _labels(
    frames: Sequence[LabelledFrame], species: tuple[int, ...], radii: Array
) -> list[TrainingLabel]:
    # What networks learn is what the repulsion leaves.
    alone = CompiledPotential(
        CompiledModel(species, float(radii.max()), repulsion), radii, "repulsion"
    )
    given = evaluate_many(alone, [frame.configuration for frame in frames])
    return [
        TrainingLabel(frame.configuration, frame.evaluation, frame.weight)
        for frame in without(frames, given)
    ]


def _scaling(stacks: Sequence[Batch], n_species: int) -> list[tuple[Array, Array]]:
    """Mean and inverse standard deviation of the features of each species' atoms."""
    features, kinds = [], []
    for stack in stacks:
        for number in range(stack.n_batches):
            real = np.asarray(stack.member[number]).sum(axis=0) > 0.0
            inputs = np.asarray(stack.inputs[number])
            rows = inputs.reshape(-1, inputs.shape[-1])[: len(real)]
            features.append(rows[real])
            kinds.append(np.asarray(stack.species[number]).reshape(-1)[: len(real)][real])
    rows, species = np.concatenate(features), np.concatenate(kinds)
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
                own = jax.tree.map(
                    lambda leaf, member=member: np.asarray(leaf)[member],
                    task.start.parameters["members"][number],
                )
                layers, offset = _rescaled(own, shift, stretch), own["offset"]
            tree.append(
                {
                    "shift": shift,
                    "stretch": stretch,
                    "layers": layers,
                    "scale": np.float64(1.0),
                    "offset": offset,
                }
            )
        trees.append(tree)
    return trees


def _rescaled(own: Any, shift: Array, stretch: Array) -> list[tuple[Array, Array]]:
    """The same function of the features with another shift and stretch before it."""
    (weights, biases), *others = own["layers"]
    moved = biases + ((shift - own["shift"]) * own["stretch"]) @ weights
    return [(weights * (own["stretch"] / stretch)[:, None], moved), *others]


def _stacked(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def _pair(errors: Errors) -> tuple[float, float]:
    return float(np.median(errors.energy)), float(np.median(errors.forces))


def _notes(trained: Trained, n_unknowns: int) -> tuple[str, ...]:
    ended = ", ".join(str(epoch) for epoch in trained.epochs)
    return (
        f"{len(trained.vectors)} members of {n_unknowns} unknowns; best after {ended} epochs.",
        *(() if trained.finished else ("Training ended because its time was over.",)),
    )
