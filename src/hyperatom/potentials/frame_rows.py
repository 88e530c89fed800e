"""Fits in closed form: rows of one frame after another, and what the weights of all of them miss.

Whatever turns a configuration into rows (features of a linear model, kernels of a sparse Gaussian
process) is fitted so; a frame leaves Gram matrices behind and is never seen again. Rows of several
frames enter them together: each product passes over a whole matrix, and small ones would cost more
than all else.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.family import FitStep, FitTask, LabelledFrame
from hyperatom.potentials.feature_rows import Rows
from hyperatom.potentials.many_configurations import evaluate_many
from hyperatom.potentials.readouts.bayesian_linear import NormalEquations, Posterior
from hyperatom.potentials.readouts.misfit import misfits
from hyperatom.potentials.repulsion import repulsion

Array = NDArray[np.float64]

LARGE: Final = 3000
"""Unknowns from which on the learning curve has two points."""

TOGETHER: Final = 512
"""Rows of a kind that wait for a product, at the most, besides those of the latest frame."""


class Maker(Protocol):
    """What makes the rows of a configuration."""

    def make(self, configuration: Configuration) -> Rows:
        """Rows of energy, forces and virial; the last columns are constants of species."""
        ...


class EnergyRow(NamedTuple):
    """Features of an energy (n_unknowns,), what is to be learned of it in eV, atoms and weight."""

    row: Array
    target: float
    n_atoms: int
    weight: float


class FrameRows:
    """Rows and targets of frames: what constants and repulsion leave, energies per sqrt(atom)."""

    def __init__(
        self,
        species: tuple[int, ...],
        maker: Maker,
        n_unknowns: int,
        radii: Array,
        constants: Array,
    ) -> None:
        self.maker = maker
        self.n_unknowns = n_unknowns
        self._equations = NormalEquations(n_unknowns)
        self._waiting: dict[str, list[tuple[Array, Array]]] = {}
        self.given = (constants, radii)
        # What the weights do not change: compiled apart, and small.
        self.rest = CompiledModel(species, float(radii.max()), _constants_and_repulsion)
        self.energies: list[EnergyRow] = []

    @property
    def equations(self) -> NormalEquations:
        """Of all frames that were added."""
        for kind in self._waiting:
            self._enter(kind)
        return self._equations

    def add(self, frame: LabelledFrame) -> None:
        """Add a frame: an energy row, 3 n_atoms force rows, 6 virial rows, of what it has."""
        configuration, evaluation = frame.configuration, frame.evaluation
        rows = self.maker.make(configuration)
        rest = CompiledPotential(self.rest, self.given, "rest")
        given = evaluate_many(rest, [configuration])[0]
        root, weight = np.sqrt(configuration.n_atoms), np.sqrt(frame.weight)
        found = np.array([evaluation.energy - given.energy])
        self._put("energy", rows.energy * (weight / root), found * (weight / root))
        self.energies.append(
            EnergyRow(rows.energy[0], float(found[0]), configuration.n_atoms, frame.weight)
        )
        if frame.has_forces:
            target = (evaluation.forces - given.forces).ravel()
            self._put("forces", rows.forces * weight, target * weight)
        if evaluation.stress is not None and given.stress is not None:
            pull = (evaluation.stress - given.stress) * configuration.volume
            self._put("virial", rows.virial * (weight / root), pull * (weight / root))

    def _put(self, kind: str, rows: Array, targets: Array) -> None:
        waiting = self._waiting.setdefault(kind, [])
        waiting.append((rows, targets))
        if sum(len(one) for _, one in waiting) >= TOGETHER:
            self._enter(kind)

    def _enter(self, kind: str) -> None:
        waiting, self._waiting[kind] = self._waiting[kind], []
        if waiting:
            rows, targets = (np.concatenate(column) for column in zip(*waiting, strict=True))
            self._equations.add(kind, rows, targets)

    def missed(self, weights: Array) -> Array:
        """What `weights` make of the energies that were added, less what these are, eV, (n,)."""
        return np.array([one.row @ weights - one.target for one in self.energies])

    def of_energies(self) -> tuple[Array, NDArray[np.int64]]:
        """Rows (n, n_unknowns) of the energies that were added, and numbers of atoms (n,)."""
        rows = np.array([one.row for one in self.energies])
        return rows, np.array([one.n_atoms for one in self.energies])

    def misfits(self, solution: Posterior, noise: float) -> Array:
        """See `readouts.misfit`; `noise` in eV per sqrt(atom)."""
        rows, n_atoms = self.of_energies()
        variances = noise**2 * n_atoms / np.array([one.weight for one in self.energies])
        return misfits(solution, rows, self.missed(solution.weights), variances)

    def errors(self, weights: Array) -> tuple[float, float]:
        """Root mean square errors of energies, eV/atom, and forces, eV/Å, of what was added."""
        wrong = self.missed(weights) / [one.n_atoms for one in self.energies]
        of_forces = float("nan")
        equations = self.equations
        if count := equations.count.get("forces"):
            of_forces = float(np.sqrt(equations.residual("forces", weights) / count))
        return float(np.sqrt(np.mean(wrong**2))) if len(wrong) else float("nan"), of_forces


def closed_form(
    task: FitTask,
    rows: FrameRows,
    others: FrameRows,
    solve: Callable[[NormalEquations, bool], Posterior],
) -> tuple[Posterior, list[FitStep]]:
    """The solution of all training frames, and the learning curve on the way.

    `rows` takes the training frames, `others` those of validation. The curve is over the number of
    frames: what half of them would have given is known on the way. `solve` is told whether it is
    the last time.
    """
    order = np.random.default_rng(task.seed).permutation(len(task.training))
    marks = _marks(len(order), rows.n_unknowns)
    began = time.perf_counter()
    total = len(order) + len(task.validation)
    for count, frame in enumerate(task.validation, 1):
        others.add(frame)
        _tell(task, count, total, began)
    curve: list[FitStep] = []
    solution: Posterior | None = None
    for count, which in enumerate(order, 1):
        rows.add(task.training[int(which)])
        _tell(task, len(task.validation) + count, total, began)
        if count in marks:
            solution = solve(rows.equations, count == len(order))
            known = rows.errors(solution.weights)
            other = others.errors(solution.weights)
            left = (time.perf_counter() - began) * (len(order) - count) / count
            curve.append(FitStep(float(count), known, other, left))
            task.watch(curve[-1])
    assert solution is not None
    return solution, curve


def slots_of_frames(model: CompiledModel, frames: Sequence[LabelledFrame]) -> tuple[int, ...]:
    """The slots that suffice for nine tenths of the frames; denser ones are compiled apart.

    For all of them, where that takes few more.
    """
    needed = [
        model.lists(frame.configuration, skin=0.0).make(frame.configuration.positions).slots
        for frame in frames
    ]
    most, all_of_them = np.quantile(needed, (0.9, 1.0), axis=0, method="higher")
    chosen = all_of_them if sum(all_of_them) <= 1.3 * sum(most) else most
    return tuple(int(n) for n in chosen)


def emphasised(noise: dict[str, float], emphasis: float) -> dict[str, float]:
    """Noise levels with that of energies at the most that of forces over `emphasis` (1/Å).

    What no weights can mend is not noise: evidence would give the energies away for the forces.
    """
    if "forces" not in noise:
        return noise
    return {**noise, "energy": min(noise["energy"], noise["forces"] / emphasis)}


def _tell(task: FitTask, done: int, total: int, began: float) -> None:
    left = (time.perf_counter() - began) * (total - done) / done
    nothing = (float("nan"), float("nan"))
    task.watch(FitStep(done, nothing, nothing, left))


def _marks(n: int, n_unknowns: int) -> set[int]:
    # 1/16, 1/8, ... of all frames, and all of them; a quarter and all where a solution takes long.
    parts = (2, 4, 8, 16) if n_unknowns < LARGE else (4,)
    return {n} | {n // part for part in parts if n // part >= 4}


def _constants_and_repulsion(
    parameters: Any, displacements: jax.Array, central_species: jax.Array, slots: tuple[int, ...]
) -> jax.Array:
    constants, radii = parameters
    return jnp.asarray(constants)[central_species] + repulsion(
        radii, displacements, central_species, slots
    )
