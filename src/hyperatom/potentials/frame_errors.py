"""How wrong a potential is on labelled frames, and what that says of frames to come."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hyperatom.evaluation import Evaluation
from hyperatom.potentials.compiled_potential import CompiledPotential
from hyperatom.potentials.family import LabelledFrame
from hyperatom.potentials.many_configurations import evaluate_many

Array = NDArray[np.float64]


def atoms_in(frames: Sequence[LabelledFrame]) -> Array:
    """Number of atoms of each frame, (n_frames,)."""
    return np.array([float(frame.configuration.n_atoms) for frame in frames])


def frame_errors(
    potential: CompiledPotential, frames: Sequence[LabelledFrame]
) -> tuple[tuple[float, float], Array]:
    """Root mean squares of energies (eV/atom) and forces (eV/Å), and every energy's error, eV."""
    if not frames:
        return (np.nan, np.nan), np.zeros(0)
    found = evaluate_many(potential, [frame.configuration for frame in frames])
    pairs = list(zip(found, frames, strict=True))
    wrong = np.array([one.energy - frame.evaluation.energy for one, frame in pairs])
    of_forces = [
        (one.forces - frame.evaluation.forces).ravel() for one, frame in pairs if frame.has_forces
    ]
    forces = float(np.sqrt(np.mean(np.concatenate(of_forces) ** 2))) if of_forces else np.nan
    return (float(np.sqrt(np.mean((wrong / atoms_in(frames)) ** 2))), forces), wrong


def without(
    frames: Sequence[LabelledFrame], evaluations: Sequence[Evaluation]
) -> list[LabelledFrame]:
    """The frames with what is left of their labels once `evaluations` are taken away."""
    left = []
    for frame, given in zip(frames, evaluations, strict=True):
        told = frame.evaluation
        stress = None
        if told.stress is not None and given.stress is not None:
            stress = told.stress - given.stress
        rest = Evaluation(
            told.energy - given.energy,
            told.forces - given.forces,
            stress,
            energy_error=told.energy_error,
        )
        left.append(replace(frame, evaluation=rest))
    return left


def left_by(potential: CompiledPotential, frames: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """The frames with what a potential leaves of their labels."""
    return without(frames, evaluate_many(potential, [frame.configuration for frame in frames]))
