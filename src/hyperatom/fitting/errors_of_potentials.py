"""How wrong a potential is on labelled frames: per element, per type of configuration, in time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperatom.evaluation import Evaluation
from hyperatom.fitting.extrapolation import Extrapolation, extrapolation
from hyperatom.fitting.far_off import far_off
from hyperatom.fitting.trust import Trust, trust
from hyperatom.potentials.family import LabelledFrame
from hyperatom.potentials.many_configurations import evaluate_many
from hyperatom.units import GIGAPASCAL, MILLI

Array = NDArray[np.float64]

TIMED_SECONDS = 0.5
"""Wall time over which the cost of an evaluation is measured, at the least."""


@dataclass(frozen=True)
class ErrorRow:
    """Errors over some frames or atoms.

    | field          | unit     | meaning                                                      |
    |----------------|----------|--------------------------------------------------------------|
    | `name`         | -        | which frames, or which element                               |
    | `frames`       | -        | number of frames                                             |
    | `energy`       | meV/atom | root mean square error; NaN where none is known              |
    | `energy_error` | meV/atom | its standard error, frames taken as independent              |
    | `forces`       | meV/Å    | root mean square error of components                         |
    | `forces_error` | meV/Å    | its standard error, frames taken as independent              |
    | `stress`       | GPa      | root mean square error of components                         |
    """

    name: str
    frames: int
    energy: float
    energy_error: float
    forces: float
    forces_error: float
    stress: float


@dataclass(frozen=True, eq=False)
class Assessment:
    """A potential on frames: both sides of every number, tables of errors, what it costs.

    | field          | shape        | unit     | meaning                                       |
    |----------------|--------------|----------|-----------------------------------------------|
    | `energies`     | (n_frames, 2)| eV/atom  | of the reference, of the potential            |
    | `forces`       | (n, 2)       | eV/Å     | components; of the reference, of the potential|
    | `elements`     | (n,)         | -        | atomic number of each component               |
    | `microseconds` | scalar       | µs/atom  | of one evaluation of energy and forces        |
    | `trust`        | -            | -        | of predicted errors; None: it predicts none   |
    | `extrapolation`| -            | -        | atoms unlike those learned; None: not known   |
    | `far_off`      | -            | -        | which energies are, in words; empty: none     |
    """

    total: ErrorRow
    by_group: tuple[ErrorRow, ...]
    by_element: tuple[ErrorRow, ...]
    energies: Array
    forces: Array
    elements: NDArray[np.int64]
    microseconds: float
    trust: Trust | None = None
    extrapolation: Extrapolation | None = None
    far_off: str = ""

    def numbers(self) -> dict[str, Any]:
        """For programs; units in the names, what is not known left out."""
        known = {
            "energy_rmse_meV_per_atom": self.total.energy,
            "energy_rmse_standard_error": self.total.energy_error,
            "force_rmse_meV_per_angstrom": self.total.forces,
            "force_rmse_standard_error": self.total.forces_error,
            "stress_rmse_GPa": self.total.stress,
            "microseconds_per_atom": self.microseconds,
            "frames": self.total.frames,
            **({} if self.trust is None else self.trust.numbers()),
            **({} if self.extrapolation is None else self.extrapolation.numbers()),
        }
        return {name: value for name, value in known.items() if np.isfinite(value)}


def assess(
    potential: Any,
    frames: Sequence[LabelledFrame],
    watch: Callable[[int], None] = lambda count: None,  # noqa: ARG005
    timed: bool = True,
    trusted: bool = True,
) -> Assessment:
    """Evaluate every frame and compare; `trusted`: what it knows of its own limits as well.

    Raises `InputError` for species that are not known.
    """
    configurations = [frame.configuration for frame in frames]
    found = evaluate_many(potential, configurations, watch)
    energies = (
        np.array(
            [
                [frame.evaluation.energy, one.energy]
                for frame, one in zip(frames, found, strict=True)
            ]
        )
        / np.array([one.n_atoms for one in configurations])[:, None]
    )
    with_forces = [pair for pair in zip(frames, found, strict=True) if pair[0].has_forces]
    forces = np.array(
        [
            pair
            for frame, one in with_forces
            for pair in zip(frame.evaluation.forces.ravel(), one.forces.ravel(), strict=True)
        ]
    ).reshape(-1, 2)
    elements = np.array(
        [z for frame, _ in with_forces for z in np.repeat(frame.configuration.numbers, 3)],
        dtype=np.int64,
    )
    pairs = list(zip(frames, found, strict=True))
    groups = sorted({frame.group for frame in frames})
    return Assessment(
        _row("all", pairs),
        tuple(_row(name, [p for p in pairs if p[0].group == name]) for name in groups),
        tuple(_element_row(int(z), with_forces) for z in np.unique(elements)),
        energies,
        forces,
        elements,
        cost(potential, frames) if timed else float("nan"),
        trust(potential, frames, energies) if trusted else None,
        extrapolation(potential, frames) if trusted else None,
        far_off(frames, energies[:, 1] - energies[:, 0]) if len(frames) else "",
    )


Pair = tuple[LabelledFrame, Evaluation]


def _row(name: str, pairs: Sequence[Pair]) -> ErrorRow:
    energy = np.array(
        [
            (one.energy - frame.evaluation.energy) / frame.configuration.n_atoms
            for frame, one in pairs
        ]
    )
    forces = [
        (float(np.sum((one.forces - frame.evaluation.forces) ** 2)), one.forces.size)
        for frame, one in pairs
        if frame.has_forces
    ]
    stress = [
        one.stress - frame.evaluation.stress
        for frame, one in pairs
        if frame.evaluation.stress is not None and one.stress is not None
    ]
    of_energy, energy_error = _root_mean_square(energy**2, np.ones(len(energy)))
    of_forces, forces_error = _root_mean_square(*np.array(forces, dtype=float).reshape(-1, 2).T)
    return ErrorRow(
        name,
        len(pairs),
        of_energy / MILLI,
        energy_error / MILLI,
        of_forces / MILLI,
        forces_error / MILLI,
        float(np.sqrt(np.mean(np.square(stress)))) / GIGAPASCAL if stress else float("nan"),
    )


def _element_row(number: int, pairs: Sequence[Pair]) -> ErrorRow:
    from ase.data import chemical_symbols

    squares = []
    for frame, one in pairs:
        own = frame.configuration.numbers == number
        if own.any():
            wrong = (one.forces - frame.evaluation.forces)[own]
            squares.append((float(np.sum(wrong**2)), wrong.size))
    value, error = _root_mean_square(*np.array(squares, dtype=float).reshape(-1, 2).T)
    nothing = float("nan")
    name = chemical_symbols[number]
    return ErrorRow(name, len(squares), nothing, nothing, value / MILLI, error / MILLI, nothing)


def _root_mean_square(sums: Array, counts: Array) -> tuple[float, float]:
    """sqrt(sum / count) over frames, and its standard error from how frames scatter."""
    if not len(sums):
        return float("nan"), float("nan")
    mean = float(sums.sum() / counts.sum())
    root = float(np.sqrt(mean))
    if len(sums) < 2 or root == 0.0:
        return root, float("nan")
    residual = sums - mean * counts
    variance = float(np.sum(residual**2)) / counts.sum() ** 2 * len(sums) / (len(sums) - 1)
    return root, float(0.5 * np.sqrt(variance) / root)


def cost(
    potential: Any,
    frames: Sequence[LabelledFrame],
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """µs per atom of an evaluation of energy, forces and stress, of the largest frame.

    `clock` tells seconds: of the wall, or those of the processor (`time.process_time`).
    """
    largest = max(frames, key=lambda frame: frame.configuration.n_atoms).configuration
    evaluate = potential.evaluate
    model = getattr(potential, "model", None)
    if model is not None:
        parameters = potential.parameters

        def evaluate(configuration: Any) -> Any:
            return model.evaluate(parameters, configuration)

    evaluate(largest)
    best, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < TIMED_SECONDS:
        start = clock()
        evaluate(largest)
        best = min(best, clock() - start)
    return 1e6 * best / largest.n_atoms
