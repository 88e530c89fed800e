"""Fits sparse Gaussian processes: inducing points chosen, then one pass over the frames.

    E = sum_i [ sum_terms sum_s alpha_s k(x_i, x_s) + c_{s(i)} ] + repulsion
    sigma_E^2 = c_1^2 v_1 + c_2^2 n_atoms noise^2 + c_3^2 v_3

with weights, signals, noise levels and var E = v_1 + v_3, what the data and what the points did not
say, as in `readouts/sparse_gaussian_process.py`, and c_k of the frames that were held out
(`predicted_errors`). The memory that a fit takes is that of the
Gram matrices and of the rows of one frame.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.potentials.compiled_potential import CompiledModel
from hyperatom.potentials.family import FitResult, FitTask, LabelledFrame
from hyperatom.potentials.fitted import FittedPotential
from hyperatom.potentials.frame_rows import FrameRows, closed_form, emphasised, slots_of_frames
from hyperatom.potentials.kernel_rows import KernelRows, Seen, Term, TermInputs, groups_of
from hyperatom.potentials.linear_learner import CONSTANT_SCALE, NOISE_FLOOR, START, from_above
from hyperatom.potentials.predicted_errors import deviation, inflations_of, parts_of
from hyperatom.potentials.readouts.bayesian_linear import (
    Hyperparameters,
    NormalEquations,
    Posterior,
    posterior,
)
from hyperatom.potentials.readouts.sparse_gaussian_process import (
    kernel_weights,
    maximise_evidence_of_terms,
    predictive_variance,
    prior_scales,
    whitened,
)
from hyperatom.potentials.repulsion import closest_radii, repulsion
from hyperatom.units import MILLI

Array = NDArray[np.float64]

SWEEPS: Final = 10
"""Of evidence maximisation."""

SWEEPS_ON_THE_WAY: Final = 4
"""The same, at earlier points of the learning curve."""

CANDIDATES: Final = 10_000
"""Atoms of a species, at the most, among which inducing points are chosen."""

BLOCK: Final = 16
"""Atoms worked on at a time."""


class Form(Protocol):
    """What a family of sparse Gaussian processes is made of.

    `owns` are the parameters of its terms, in order.
    """

    @property
    def name(self) -> str:
        """What it is, in words."""
        ...

    @property
    def species(self) -> tuple[int, ...]:
        """Atomic numbers."""
        ...

    @property
    def cutoff(self) -> float:
        """How far an atom sees, Å."""
        ...

    @property
    def terms(self) -> tuple[Term, ...]:
        """What energies are made of."""
        ...

    def energy(
        self,
        owns: Any,
        displacements: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """Energies (n_block,) of all terms; see `AtomicEnergy`."""
        ...

    def chosen(self, candidates: "Candidates", radii: Array, seed: int) -> list[Any]:
        """Parameters of the terms with inducing points; `radii` as in `repulsion`."""
        ...

    def weighted(self, owns: Sequence[Any], weights: Sequence[Array]) -> list[Any]:
        """Parameters as `energy` takes them, with the weights (n_points,) in eV of each term."""
        ...


class SparseModel(CompiledModel):
    """The compiled part: energies, and what predicted errors are made of."""

    def __init__(self, form: Form, precision: str) -> None:
        energy = partial(_atomic_energy, form)
        super().__init__(form.species, form.cutoff, energy, precision=precision, block=BLOCK)
        self.form = form
        self.inputs = TermInputs(self)

    def in_precision(self, precision: str) -> "SparseModel":
        """See `CompiledModel`."""
        return SparseModel(self.form, precision)


def _atomic_energy(
    form: Form,
    parameters: Any,
    displacements: jax.Array,
    central_species: jax.Array,
    slots: tuple[int, ...],
) -> jax.Array:
    rest = repulsion(parameters["radii"], displacements, central_species, slots)
    learned = form.energy(parameters["terms"], displacements, central_species, slots)
    return jnp.asarray(parameters["constants"])[central_species] + rest + learned


class Candidates:
    """Environments of the training frames, among which inducing points are chosen.

    At most `CANDIDATES` atoms of each species, drawn.
    """

    def __init__(self, model: SparseModel, frames: Sequence[LabelledFrame], seed: int) -> None:
        self.model = model
        self.configurations = [frame.configuration for frame in frames]
        self.seed = seed
        species = np.concatenate([model.species_of(one) for one in self.configurations])
        rng = np.random.default_rng([seed, 1])
        self.drawn = np.zeros(len(species), dtype=bool)
        for kind in range(len(model.species)):
            atoms = np.flatnonzero(species == kind)
            n = min(len(atoms), CANDIDATES)
            self.drawn[rng.choice(atoms, n, replace=False)] = True

    def inputs(self, terms: Sequence[Seen], owns: Sequence[Any]) -> list[Array]:
        """Inputs (n_candidates, n) of terms with one species of centres each."""
        found: list[list[Array]] = [[] for _ in terms]
        end = 0
        for here in self.configurations:
            start, end = end, end + here.n_atoms
            drawn = self.drawn[start:end]
            if not drawn.any():
                continue
            species = self.model.species_of(here)
            each = self.model.inputs.make(terms, owns, here, here.positions, here.cell)
            for number, (term, inputs) in enumerate(zip(terms, each, strict=True)):
                if len(inputs):
                    found[number].append(inputs[drawn[species == term.centres[0]]])
        return [np.concatenate(pieces) if pieces else np.zeros((0, 0)) for pieces in found]


def assemble_sparse(
    settings: Any, form: Form, parameters: Any, knowledge: Any, model: SparseModel | None = None
) -> FittedPotential:
    """The potential of parameters `constants`, `radii` and `terms`, and of what it knows."""
    return FittedPotential(
        model or SparseModel(form, settings.precision),
        parameters,
        form.name,
        family=settings.kind,
        settings=settings,
        knowledge=knowledge,
        known_errors=sparse_errors,
    )


def fit_sparse(task: FitTask, form: Form) -> FitResult:
    """Inducing points, weights, energies of atoms, signals and noise levels, of all frames."""
    settings = task.settings
    model = SparseModel(form, settings.precision)
    radii = closest_radii(
        [frame.configuration for frame in task.training], task.species, form.cutoff
    )
    model.capacity = {0.0: slots_of_frames(model, [*task.training, *task.validation])}
    owns = form.chosen(Candidates(model, task.training, task.seed), radii, task.seed)
    maker = KernelRows(model, form.terms, owns)
    rows, others = (
        FrameRows(task.species, maker, maker.n_unknowns, radii, task.constants) for _ in range(2)
    )
    stated = {
        kind: sigma * MILLI
        for kind, sigma in (
            ("energy", settings.energy_noise),
            ("forces", settings.force_noise),
            ("virial", settings.virial_noise),
        )
        if sigma is not None
    }
    signals, noise = np.ones(len(form.terms)), dict(START.noise)

    def solve(equations: NormalEquations, last: bool) -> Posterior:
        nonlocal signals, noise
        above = from_above(noise)
        signals, found = maximise_evidence_of_terms(
            equations, maker.groups, CONSTANT_SCALE, signals, above, stated,
            SWEEPS if last else SWEEPS_ON_THE_WAY, NOISE_FLOOR,
        )  # fmt: skip
        present = {kind: found[kind] for kind in equations.gram}
        noise = {**found, **emphasised(present, settings.energy_emphasis), **stated}
        scales = prior_scales(maker.groups, signals, equations.n_features, CONSTANT_SCALE)
        return posterior(equations, scales, Hyperparameters(1.0, noise))

    solution, curve = closed_form(task, rows, others, solve)
    weights = [
        kernel_weights(factor, solution.weights[group])
        for factor, group in zip(maker.factors, maker.groups, strict=True)
    ]
    parameters = {
        "constants": solution.weights[maker.n_unknowns - len(task.species) :] + task.constants,
        "radii": radii,
        "terms": form.weighted(owns, weights),
    }
    knowledge = {
        "factors": maker.factors,
        "signals": signals,
        "posterior": solution.factor,
        "misfits": rows.misfits(solution, noise["energy"]),
        "noise": np.float64(noise["energy"]),
        "inflation": np.ones(3),
    }
    potential = assemble_sparse(settings, form, parameters, knowledge, model)
    if task.validation:
        inflations = _inflations(potential, task.validation, others.missed(solution.weights))
        potential = replace(potential, knowledge={**knowledge, "inflation": inflations})
    # Another number of slots than during the fit: lists of one configuration, without a margin.
    model.capacity = {}
    notes = _notes(rows.equations, solution, noise, signals)
    return FitResult(potential, tuple(curve), "frames learned", notes)


def _inflations(
    potential: FittedPotential, frames: Sequence[LabelledFrame], missed: Array
) -> Array:
    parts = [
        _variances(potential, here, here.positions[None], here.cell[None])
        for here in (frame.configuration for frame in frames)
    ]
    return inflations_of(missed, np.concatenate(parts))


def sparse_errors(
    potential: FittedPotential, configuration: Configuration, waypoints: Array, cells: Array
) -> Array:
    """sigma_E of the equation above at each waypoint, eV, (n_points,)."""
    parts = _variances(potential, configuration, waypoints, cells)
    inflations = np.asarray(potential.knowledge["inflation"])
    if len(inflations) == 2:  # files of earlier versions have one for both parts of var E
        inflations = inflations[[0, 1, 0]]
    return deviation(inflations, parts)


def _variances(
    potential: FittedPotential, configuration: Configuration, waypoints: Array, cells: Array
) -> Array:
    """v_1, noise and v_3 of the equation above at each waypoint, eV^2, (n_points, 3)."""
    knowledge, model = potential.knowledge, potential.model
    assert isinstance(model, SparseModel)
    terms, owns = model.form.terms, potential.parameters["terms"]
    factors, signals = knowledge["factors"], np.asarray(knowledge["signals"])
    counts = np.bincount(model.species_of(configuration), minlength=len(model.species))
    rows, priors = [], []
    for positions, cell in zip(waypoints, cells, strict=True):
        inputs = model.inputs.make(terms, owns, configuration, positions, cell)
        parts, unsaid = [], 0.0
        for number, (term, own) in enumerate(zip(terms, owns, strict=True)):
            factor = np.asarray(factors[number])
            if not len(inputs[number]):
                parts.append(np.zeros(len(factor)))
                continue
            totals, prior = term.totals(own, inputs[number])
            parts.append(whitened(factor, totals))
            if prior is not None:
                unsaid += signals[number] ** 2 * (prior - float(parts[-1] @ parts[-1]))
        rows.append(np.concatenate([*parts, counts]))
        priors.append(unsaid)
    groups = groups_of(factors)
    scales = prior_scales(groups, signals, groups[-1].stop + len(counts), CONSTANT_SCALE)
    untold, unsaid = predictive_variance(
        np.array(rows), np.array(priors), scales, knowledge["posterior"], knowledge.get("misfits")
    ).T
    noise = float(knowledge["noise"]) ** 2 * configuration.n_atoms
    return parts_of(untold, noise, unsaid)


def _notes(
    equations: NormalEquations, solution: Posterior, noise: dict[str, float], signals: Array
) -> tuple[str, ...]:
    n_rows, n_unknowns = sum(equations.count.values()), equations.n_features
    levels = f"Noise: energies {noise['energy'] / MILLI:.3g} meV/sqrt(atom)"
    if "forces" in equations.count:
        levels += f", forces {noise['forces'] / MILLI:.3g} meV/Å"
    told = ", ".join(f"{signal:.3g}" for signal in signals)
    resting = solution.unseen
    return (
        f"{n_rows} rows, {n_unknowns} unknowns, of which {resting} rest on the prior alone.",
        f"{levels}; signals of the terms {told} eV, by evidence.",
    )
