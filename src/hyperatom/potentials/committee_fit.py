"""Fits committees of potentials to labels by training; their spread is the predicted error.

    E = mean_m E_m + repulsion,    sigma as in `member_spread`

All members are trained in one run, each from a start of its own. What a member is, an
`Architecture` says.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.family import FitResult, FitStep, FitTask, LabelledFrame
from hyperatom.potentials.fitted import FittedPotential
from hyperatom.potentials.frame_errors import frame_errors, left_by
from hyperatom.potentials.member_spread import (
    member_of,
    number_of,
    spread_errors,
    spread_knowledge,
    stacked,
)
from hyperatom.potentials.repulsion import closest_radii, repulsion
from hyperatom.potentials.training.adam import Adam
from hyperatom.potentials.training.batches import Batch, TrainingLabel, pack
from hyperatom.potentials.training.extended_kalman import ExtendedKalmanFilter
from hyperatom.potentials.training.lbfgs import LimitedMemoryBFGS
from hyperatom.potentials.training.levenberg_marquardt import LevenbergMarquardt
from hyperatom.potentials.training.local_terms import LocalTerms
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
Stacks = tuple[Batch, ...]

PRIOR: Final = 1.0e-2
"""Precision of every parameter around where it rests: of no weight where labels speak."""

REPORTS: Final = 20
"""Points of a learning curve: training errors cost a pass through the labels."""

SOONER: Final = 4
"""A fit that starts from another one has this part of the patience..."""

WORTHWHILE: Final = 0.02
"""...which is renewed only by a loss that is lower by this part of itself."""

TRAINERS: Final[dict[str, Trainer]] = {
    "kalman": ExtendedKalmanFilter(),
    "levenberg_marquardt": LevenbergMarquardt(),
    "lbfgs": LimitedMemoryBFGS(),
    "adam": Adam(),
}


class Architecture(Protocol):
    """What the members of a committee are.

    `title` is what a potential of this kind is called. Make one only for settings and species that
    had none before: a fit finds programs compiled that were compiled for the same object.
    """

    title: str

    @property
    def terms(self) -> LocalTerms:
        """One member, as it is trained."""
        ...

    def member_energies(
        self,
        members: Any,
        displacements: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """Energies (n_members, n_block) in eV; `members` is a tree with them in front."""
        ...

    def starts(self, task: FitTask, stacks: Stacks, noise: Noise) -> list[Any]:
        """A tree of parameters for each member, from which it is trained on the `stacks`."""
        ...

    def frozen(self, tree: Any) -> Any:
        """The parameters of a trained member without what only training needs."""
        ...

    def rest(self, tree: Any, constants: Array) -> Any:
        """Where the prior holds the parameters of a member that starts from `tree`."""
        ...


def members_of_start(start: FittedPotential, n_members: int) -> list[Any]:
    """The trees of the first `n_members` of a committee, from which a fit starts."""
    members = start.parameters["members"]
    return [member_of(members, number) for number in range(n_members)]


class CommitteeEnergy:
    """Mean of the members' atomic energies, and the repulsion.

    Parameters: `members`, those of the architecture with an axis of members in front, and `radii`
    (n_species, n_species) in Å of the repulsion.
    """

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture

    # Equal ones share compiled programs.

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CommitteeEnergy) and self.architecture is other.architecture

    def __hash__(self) -> int:
        return hash((CommitteeEnergy, id(self.architecture)))

    def __call__(
        self,
        parameters: Any,
        displacements: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """Energies (n_block,) in eV; see `AtomicEnergy`."""
        energies = self.architecture.member_energies(
            parameters["members"], displacements, central_species, slots
        )
        given = repulsion(parameters["radii"], displacements, central_species, slots)
        return jnp.asarray(energies.mean(axis=0) + given)


def each_member(function: Any, members: Any) -> jax.Array:
    """`function` of each member of a tree with members in front, stacked; of one alone as it is."""
    if number_of(members) == 1:
        alone: jax.Array = function(jax.tree.map(lambda leaf: leaf[0], members))[None]
        return alone
    together: jax.Array = jax.vmap(function)(members)
    return together


def assemble_committee(
    settings: Any, architecture: Architecture, parameters: Any, knowledge: Any
) -> FittedPotential:
    """The potential of `CommitteeEnergy`'s parameters and of what it knows of its errors."""
    terms = architecture.terms
    model = CompiledModel(
        terms.species,
        terms.cutoff,
        CommitteeEnergy(architecture),
        precision=settings.precision,
    )
    several = number_of(parameters["members"]) > 1
    return FittedPotential(
        model,
        parameters,
        architecture.title,
        family=settings.kind,
        settings=settings,
        knowledge=knowledge,
        known_errors=spread_errors if several else None,
    )


def fit_committee(task: FitTask, architecture: Architecture, epochs: int) -> FitResult:
    """Members trained on all frames of the task for at most `epochs`, over which the curve is.

    The settings are those of `TrainedSettings`.
    """
    settings, terms = task.settings, architecture.terms
    radii = closest_radii(
        [frame.configuration for frame in task.training], task.species, terms.cutoff
    )
    learned = _labels(task.training, task.species, radii)
    unseen = _labels(task.validation, task.species, radii)
    training = pack(learned, terms, task.seed, others=unseen)
    validation = pack(unseen, terms, task.seed, others=learned) if unseen else None
    noise = Noise(
        settings.energy_noise * MILLI, settings.force_noise * MILLI, settings.stress_noise * MILLI
    )
    trees = architecture.starts(task, training, noise)
    unknowns = ParameterVector(trees[0], fixed=(*FIXED, "scale"))
    problem = TrainingProblem(
        terms,
        unknowns,
        noise,
        prior_precision=PRIOR,
        prior_mean=unknowns.vector(architecture.rest(trees[0], task.constants)),
    )
    schedule = Schedule(epochs, settings.patience, task.seconds, report=max(1, epochs // REPORTS))
    if task.start is not None:
        # What was learned before needs a few passes, not many that gain a little each.
        patience = max(1, settings.patience // SOONER)
        schedule = replace(schedule, patience=patience, improvement=WORTHWHILE)
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
        schedule,
        task.seed,
        task.checkpoint,
        told,
    )
    members = stacked([architecture.frozen(unknowns.arrays(one)) for one in trained.vectors])
    potential = assemble_committee(
        settings, architecture, {"members": members, "radii": radii}, None
    )
    known, wrong = frame_errors(potential, task.training)
    apart, wrong_apart = frame_errors(potential, task.validation)
    knowledge = spread_knowledge(potential, wrong, task.training, wrong_apart, task.validation)
    potential = replace(potential, knowledge=knowledge)
    curve.append(FitStep(float(trained.epochs.max()), known, apart))
    task.watch(curve[-1])
    return FitResult(potential, tuple(curve), "epochs", _notes(trained, unknowns.n_parameters))


def _labels(
    frames: Sequence[LabelledFrame], species: tuple[int, ...], radii: Array
) -> list[TrainingLabel]:
    # What networks learn is what the repulsion leaves.
    alone = CompiledPotential(
        CompiledModel(species, float(radii.max()), repulsion), radii, "repulsion"
    )
    return [
        TrainingLabel(frame.configuration, frame.evaluation, frame.weight)
        for frame in left_by(alone, frames)
    ]


def _pair(errors: Errors) -> tuple[float, float]:
    return float(np.median(errors.energy)), float(np.median(errors.forces))


def _notes(trained: Trained, n_unknowns: int) -> tuple[str, ...]:
    ended = ", ".join(str(epoch) for epoch in trained.epochs)
    return (
        f"{len(trained.vectors)} members of {n_unknowns} unknowns; best after {ended} epochs.",
        *(() if trained.finished else ("Training ended because its time was over.",)),
    )
