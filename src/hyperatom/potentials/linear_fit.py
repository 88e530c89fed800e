"""Fits a linear density potential to a whole data set: one pass over it, then closed form."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from hyperatom.configuration import Configuration
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.family import FitResult, FitStep, FitTask, LabelledFrame
from hyperatom.potentials.feature_rows import RowMaker
from hyperatom.potentials.features.density import DensitySettings
from hyperatom.potentials.fitted import FittedPotential, inflation_of
from hyperatom.potentials.linear_density import LinearDensityModel
from hyperatom.potentials.linear_learner import NOISE_FLOOR, START, feature_scales
from hyperatom.potentials.many_configurations import evaluate_many
from hyperatom.potentials.readouts.bayesian_linear import (
    Hyperparameters,
    NormalEquations,
    Posterior,
    maximise_evidence,
    posterior,
)
from hyperatom.potentials.repulsion import closest_radii, repulsion

Array = NDArray[np.float64]

SWEEPS: Final = 8
"""Of evidence maximisation at each point of the learning curve."""


def fit_linear_density(task: FitTask, density: DensitySettings) -> FitResult:
    """Weights of features, energies of atoms, noise levels and prior, of all frames at once.

    The learning curve is over the number of frames: what half of them would have given is known
    on the way.
    """
    model = LinearDensityModel(density, task.settings.precision)
    radii = closest_radii(
        [frame.configuration for frame in task.training], task.species, density.cutoff
    )
    rows = _FrameRows(model, radii, task.constants)
    others = _FrameRows(model, radii, task.constants)
    model.capacity = {0.0: _slots(model, [*task.training, *task.validation])}
    order = np.random.default_rng(task.seed).permutation(len(task.training))
    marks = _marks(len(order))
    equations, unseen = NormalEquations(model.n_unknowns), NormalEquations(model.n_unknowns)
    began = time.perf_counter()
    total = len(order) + len(task.validation)
    for count, frame in enumerate(task.validation, 1):
        others.add_to(unseen, frame)
        _tell(task, count, total, began)
    hyper = START
    curve: list[FitStep] = []
    solution: Posterior | None = None
    for count, which in enumerate(order, 1):
        rows.add_to(equations, task.training[int(which)])
        _tell(task, len(task.validation) + count, total, began)
        if count in marks:
            scales = feature_scales(equations, len(task.species))
            hyper = maximise_evidence(equations, scales, hyper, SWEEPS, NOISE_FLOOR)
            hyper = _emphasised(hyper, task.settings.energy_emphasis)
            solution = posterior(equations, scales, hyper)
            known = rows.errors(equations, solution.weights)
            other = others.errors(unseen, solution.weights)
            left = (time.perf_counter() - began) * (len(order) - count) / count
            curve.append(FitStep(float(count), known, other, left))
            task.watch(curve[-1])
    assert solution is not None
    inflation = others.surprise(solution, hyper.noise["energy"])
    potential = _frozen(task, density, model, radii, solution, hyper, inflation)
    return FitResult(potential, tuple(curve), "frames learned", _notes(equations, solution, hyper))


def _emphasised(hyper: Hyperparameters, emphasis: float) -> Hyperparameters:
    # What no weights can mend is not noise: evidence would give the energies away for the forces.
    if "forces" not in hyper.noise:
        return hyper
    noise = dict(hyper.noise)
    noise["energy"] = min(noise["energy"], noise["forces"] / emphasis)
    return replace(hyper, noise=noise)


def _tell(task: FitTask, done: int, total: int, began: float) -> None:
    left = (time.perf_counter() - began) * (total - done) / done
    nothing = (float("nan"), float("nan"))
    task.watch(FitStep(done, nothing, nothing, left))


def _marks(n: int) -> set[int]:
    # 1/16, 1/8, ... of all frames, and all of them
    return {n} | {n // part for part in (2, 4, 8, 16) if n // part >= 4}


def _slots(model: LinearDensityModel, frames: Sequence[LabelledFrame]) -> tuple[int, ...]:
    # The slots that suffice for nine tenths of the frames; denser ones are compiled apart.
    needed = [
        model.lists(frame.configuration, skin=0.0).make(frame.configuration.positions).slots
        for frame in frames
    ]
    return tuple(int(n) for n in np.quantile(needed, 0.9, axis=0, method="higher"))


class _FrameRows:
    """Rows and targets of frames, in the units of the linear learner."""

    def __init__(self, model: LinearDensityModel, radii: Array, constants: Array) -> None:
        self.model = model
        self.maker = RowMaker(model)
        self.given = (constants, radii)
        # What the weights do not change: compiled apart, and small.
        self.rest = CompiledModel(model.species, float(radii.max()), _constants_and_repulsion)
        self.energies: list[tuple[Array, float, int]] = []

    def add_to(self, equations: NormalEquations, frame: LabelledFrame) -> None:
        """Add a frame: an energy row, 3 n_atoms force rows, 6 virial rows, of what it has."""
        configuration, evaluation = frame.configuration, frame.evaluation
        rows = self.maker.make(configuration)
        rest = CompiledPotential(self.rest, self.given, "rest")
        given = evaluate_many(rest, [configuration])[0]
        root, weight = np.sqrt(configuration.n_atoms), np.sqrt(frame.weight)
        found = np.array([evaluation.energy - given.energy])
        equations.add("energy", rows.energy * (weight / root), found * (weight / root))
        self.energies.append((rows.energy[0], float(found[0]), configuration.n_atoms))
        if frame.has_forces:
            target = (evaluation.forces - given.forces).ravel()
            equations.add("forces", rows.forces * weight, target * weight)
        if evaluation.stress is not None and given.stress is not None:
            pull = (evaluation.stress - given.stress) * configuration.volume
            equations.add("virial", rows.virial * (weight / root), pull * (weight / root))

    def surprise(self, solution: Posterior, noise: float) -> float:
        """Root mean square of found over predicted errors of energies."""
        if not self.energies:
            return 1.0
        rows, found, n_atoms = (np.array(column) for column in zip(*self.energies, strict=True))
        predicted = solution.standard_deviation(rows) ** 2 + noise**2 * n_atoms
        return inflation_of(rows @ solution.weights - found, predicted)

    def errors(self, equations: NormalEquations, weights: Array) -> tuple[float, float]:
        """Root mean square errors of energies, eV/atom, and forces, eV/Å, of what was added."""
        wrong = [(row @ weights - found) / n_atoms for row, found, n_atoms in self.energies]
        of_forces = float("nan")
        if count := equations.count.get("forces"):
            of_forces = float(np.sqrt(equations.residual("forces", weights) / count))
        return float(np.sqrt(np.mean(np.square(wrong)))) if wrong else float("nan"), of_forces


def _constants_and_repulsion(
    parameters: Any, displacements: jax.Array, central_species: jax.Array, slots: tuple[int, ...]
) -> jax.Array:
    constants, radii = parameters
    return jnp.asarray(constants)[central_species] + repulsion(
        radii, displacements, central_species, slots
    )


def _frozen(
    task: FitTask,
    density: DensitySettings,
    model: LinearDensityModel,
    radii: Array,
    solution: Posterior,
    hyper: Hyperparameters,
    inflation: float,
) -> FittedPotential:
    n_species = len(task.species)
    parameters = model.parameters(
        solution.weights[:-n_species].reshape(n_species, -1).copy(),
        solution.weights[-n_species:] + task.constants,
        radii,
    )
    knowledge = {
        "scales": solution.scales,
        "factor": solution.factor,
        "noise": np.float64(hyper.noise["energy"]),
        "inflation": np.float64(inflation),
    }
    return assemble_linear_density(task.settings, density, parameters, knowledge, model)


def assemble_linear_density(
    settings: Any,
    density: DensitySettings,
    parameters: Any,
    knowledge: Any,
    model: LinearDensityModel | None = None,
) -> FittedPotential:
    """The potential of parameters (see `LinearDensityPotential`) and of what it knows of itself."""
    model = model or LinearDensityModel(density, settings.precision)
    # Another number of slots than during the fit: lists of one configuration, without a margin.
    model.capacity = {}
    return FittedPotential(
        model,
        parameters,
        "linear density potential",
        family="linear_density",
        settings=settings,
        knowledge=knowledge,
        known_errors=linear_errors,
    )


def linear_errors(
    potential: FittedPotential, configuration: Configuration, waypoints: Array, cells: Array
) -> Array:
    """sqrt(phi^T cov phi + n_atoms noise^2) of each waypoint, eV, (n_points,).

    Times the inflation that makes it right, on average, for the frames that were held out.
    """
    knowledge, model = potential.knowledge, potential.model
    assert isinstance(model, LinearDensityModel)
    features = model.totals(configuration, waypoints, cells) * knowledge["scales"]
    solved = solve_triangular(knowledge["factor"], features.T, trans="T", check_finite=False)
    noise = float(knowledge["noise"]) ** 2 * configuration.n_atoms
    predicted = np.sqrt((solved**2).sum(axis=0) + noise)
    return np.asarray(float(knowledge["inflation"]) * predicted)


def _notes(
    equations: NormalEquations, solution: Posterior, hyper: Hyperparameters
) -> tuple[str, ...]:
    n_rows, n_unknowns = sum(equations.count.values()), equations.n_features
    resting = solution.unseen
    notes = [
        f"{n_rows} rows, {n_unknowns} unknowns, of which {resting} rest on the prior alone.",
        f"Noise by evidence: energies {1e3 * hyper.noise['energy']:.3g} meV/sqrt(atom)"
        + (
            f", forces {1e3 * hyper.noise['forces']:.3g} meV/Å."
            if "forces" in equations.count
            else "."
        ),
    ]
    return tuple(notes)
