"""Fits a linear density potential to a whole data set: one pass over it, then closed form."""

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.potentials.family import FitResult, FitTask
from hyperatom.potentials.feature_rows import RowMaker
from hyperatom.potentials.features.density import DensitySettings
from hyperatom.potentials.fitted import FittedPotential
from hyperatom.potentials.frame_rows import FrameRows, closed_form, emphasised, slots_of_frames
from hyperatom.potentials.linear_density import LinearDensityModel
from hyperatom.potentials.linear_learner import NOISE_FLOOR, START, feature_scales, from_above
from hyperatom.potentials.predicted_errors import deviation, inflations_of, parts_of
from hyperatom.potentials.readouts.bayesian_linear import (
    Hyperparameters,
    NormalEquations,
    Posterior,
    maximise_evidence,
    posterior,
)
from hyperatom.potentials.readouts.misfit import parameter_variance
from hyperatom.potentials.repulsion import closest_radii

Array = NDArray[np.float64]

SWEEPS: Final = 8
"""Of evidence maximisation, at the most."""

TOLERANCE: Final = 0.02
"""Part of themselves by which a sweep changes noise levels and prior where the next is spared."""

SWEEPS_ON_THE_WAY: Final = 3
"""The same, at earlier points of the learning curve."""


def fit_linear_density(task: FitTask, density: DensitySettings) -> FitResult:
    """Weights of features, energies of atoms, noise levels and prior, of all frames at once."""
    model = LinearDensityModel(density, task.settings.precision)
    radii = closest_radii(
        [frame.configuration for frame in task.training], task.species, density.cutoff
    )
    maker = RowMaker(model)
    rows, others = (
        FrameRows(task.species, maker, model.n_unknowns, radii, task.constants) for _ in range(2)
    )
    model.capacity = {0.0: slots_of_frames(model, [*task.training, *task.validation])}
    hyper = START

    def solve(equations: NormalEquations, last: bool) -> Posterior:
        nonlocal hyper
        scales = feature_scales(equations, len(task.species))
        start = replace(hyper, noise=from_above(hyper.noise))
        sweeps = SWEEPS if last else SWEEPS_ON_THE_WAY
        hyper = maximise_evidence(equations, scales, start, sweeps, NOISE_FLOOR, TOLERANCE)
        noise = emphasised(dict(hyper.noise), task.settings.energy_emphasis)
        hyper = replace(hyper, noise=noise)
        return posterior(equations, scales, hyper)

    solution, curve = closed_form(task, rows, others, solve)
    knowledge = {
        "scales": solution.scales,
        "factor": solution.factor,
        "misfits": rows.misfits(solution, hyper.noise["energy"]),
        "noise": np.float64(hyper.noise["energy"]),
        "inflation": np.ones(2),
    }
    if others.energies:
        parts = _variances(knowledge, *others.of_energies())
        knowledge["inflation"] = inflations_of(others.missed(solution.weights), parts)
    n_species = len(task.species)
    parameters = model.parameters(
        solution.weights[:-n_species].reshape(n_species, -1).copy(),
        solution.weights[-n_species:] + task.constants,
        radii,
    )
    potential = assemble_linear_density(task.settings, density, parameters, knowledge, model)
    return FitResult(
        potential, tuple(curve), "frames learned", _notes(rows.equations, solution, hyper)
    )


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
    """sqrt(c_1^2 v + c_2^2 n_atoms noise^2) of each waypoint, eV, (n_points,), v by `misfit`."""
    knowledge, model = potential.knowledge, potential.model
    assert isinstance(model, LinearDensityModel)
    totals = model.totals(configuration, waypoints, cells)
    return deviation(knowledge["inflation"], _variances(knowledge, totals, configuration.n_atoms))


def _variances(knowledge: Any, totals: Array, n_atoms: Any) -> Array:
    """Of the parameters, and noise, eV^2, (n, 2), of summed features (n, n_unknowns)."""
    scaled = totals * knowledge["scales"]
    variance = parameter_variance(knowledge["factor"], knowledge.get("misfits"), scaled)
    return parts_of(variance, float(knowledge["noise"]) ** 2 * n_atoms)


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
