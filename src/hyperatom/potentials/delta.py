"""Fits and adds up a baseline and a correction of any two families (see `families/delta.py`)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from hyperatom.potentials.corrected import corrected
from hyperatom.potentials.energies_of_atoms import energies_of_atoms
from hyperatom.potentials.family import FitResult, FitTask, family_of
from hyperatom.potentials.fitted import FittedPotential
from hyperatom.potentials.frame_errors import left_by


def fit_delta(task: FitTask) -> FitResult:
    """The baseline of the task, then the correction of what it leaves, whose curve it tells."""
    settings = task.settings
    starts: Any = (None, None)
    if task.start is not None:
        starts = _parts(settings, task.species, task.start.parameters, task.start.knowledge)
    base = family_of(settings.baseline_potential).fit(
        replace(
            task,
            settings=settings.baseline_potential,
            start=starts[0],
            checkpoint=_beside(task.checkpoint, "baseline"),
            watch=lambda step: None,  # noqa: ARG005
        )
    )
    training, validation = (
        left_by(base.potential, frames) for frames in (task.training, task.validation)
    )
    correction = family_of(settings.correction).fit(
        replace(
            task,
            settings=settings.correction,
            training=training,
            validation=validation,
            constants=energies_of_atoms(training, task.species),
            start=starts[1],
            checkpoint=_beside(task.checkpoint, "correction"),
        )
    )
    both = _added(settings, base.potential, correction.potential)
    notes = (
        *(f"Baseline: {note}" for note in base.notes),
        *(f"Correction: {note}" for note in correction.notes),
    )
    return replace(correction, potential=both, notes=notes)


def assemble_delta(
    settings: Any, species: tuple[int, ...], parameters: Any, knowledge: Any
) -> FittedPotential:
    """The sum of two potentials, of the pairs of their parameters and of what they know."""
    return _added(settings, *_parts(settings, species, parameters, knowledge))


def _parts(
    settings: Any, species: tuple[int, ...], parameters: Any, knowledge: Any
) -> tuple[FittedPotential, FittedPotential]:
    base, correction = (
        family_of(part).assemble(part, species, own, known)
        for part, own, known in zip(
            (settings.baseline_potential, settings.correction), parameters, knowledge, strict=True
        )
    )
    return base, correction


def _added(settings: Any, base: FittedPotential, correction: FittedPotential) -> FittedPotential:
    both = corrected(base, correction)
    return FittedPotential(
        both.model.in_precision(settings.precision),
        both.parameters,
        both.name,
        family="delta",
        settings=settings,
        knowledge=(base.knowledge, correction.knowledge),
        known_errors=both.known_errors,
    )


def _beside(checkpoint: Path | None, part: str) -> Path | None:
    return checkpoint and checkpoint.with_name(f"{part}-{checkpoint.name}")
