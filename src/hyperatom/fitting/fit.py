"""A fit from its input file to a saved potential: read, check, divide, fit, judge."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hyperatom.errors import InputError
from hyperatom.fitting.data_checks import (
    Finding,
    check_data,
    without_duplicates,
    without_large_forces,
)
from hyperatom.fitting.data_set import (
    divided,
    read_data,
    with_offsets,
)
from hyperatom.fitting.errors_of_potentials import Assessment, assess
from hyperatom.fitting.extrapolation import Ranges
from hyperatom.fitting.settings import DataSettings, FitSettings
from hyperatom.potentials.energies_of_atoms import energies_of_atoms, species_of
from hyperatom.potentials.family import FitResult, FitStep, FitTask, LabelledFrame
from hyperatom.potentials.family_catalogue import find_family

POTENTIAL = "potential.npz"
CHECKPOINT = "checkpoint.npz"


@dataclass(frozen=True, eq=False)
class Data:
    """Frames by purpose, and what was found out about them."""

    training: list[LabelledFrame]
    validation: list[LabelledFrame]
    test: list[LabelledFrame]
    findings: list[Finding]


@dataclass(frozen=True, eq=False)
class FitReport:
    """What came of a fit; `held_out` are the errors on frames that were not learned."""

    settings: FitSettings
    data: Data
    result: FitResult
    training: Assessment
    held_out: Assessment | None
    seconds: float


def read_all(settings: FitSettings, folder: Path) -> Data:
    """The frames that the settings name, files relative to `folder`, checked and divided.

    Raises `InputError` for whatever would spoil the fit, unless the checks are switched off.
    """
    frames = _read(settings.data, settings.data.files, folder)
    test = _read(settings.data, settings.data.test, folder)
    findings: list[Finding] = []
    largest = settings.data.largest_force
    if largest is not None:
        frames, count = without_large_forces(frames, largest)
        if count:
            said = f"{count} frames have forces above {largest:g} eV/Å and are left out."
            findings.append(Finding(said, "", serious=False))
    species = species_of(frames)
    family = find_family(settings.potential.kind)
    findings += check_data(frames, family.unknowns(settings.potential, species))
    serious = [finding for finding in findings if finding.serious]
    if serious and settings.data.checked:
        raise InputError(
            " ".join(finding.sentence for finding in serious),
            serious[0].cure + " ('checked: false' under 'data' learns in spite of it.)",
        )
    frames, _ = without_duplicates(frames)
    learned = {frame.configuration.digest() for frame in frames}
    again = [frame for frame in test if frame.configuration.digest() in learned]
    if again:
        raise InputError(
            f"{len(again)} frames of the test are among those learned, e.g. {again[0].source}.",
            "Take them out of one of the two: errors of what was learned say little.",
        )
    if settings.data.test_fraction:
        frames, apart = divided(frames, settings.data.test_fraction, settings.seed + 1)
        test = [*test, *apart]
    unseen = set(species_of(test)) - set(species)
    if unseen:
        from ase.data import chemical_symbols

        names = ", ".join(chemical_symbols[z] for z in sorted(unseen))
        raise InputError(
            f"The test holds {names}, which no frame to learn from holds.",
            "Learn from frames with all species, or take these frames out of the test.",
        )
    training, validation = divided(frames, settings.data.validation, settings.seed)
    return Data(training, validation, test, findings)


def _read(data: DataSettings, files: Sequence[Path], folder: Path) -> list[LabelledFrame]:
    frames = []
    for file in files:
        found = read_data(folder / file, data.group, data.weights)
        offsets = data.energy_offsets.get(str(file), data.energy_offsets.get(file.name))
        frames += with_offsets(found, offsets) if offsets else found
    unknown = set(data.weights) - {frame.group for frame in frames}
    if unknown and files is data.files:
        known = ", ".join(sorted({frame.group for frame in frames})[:12])
        raise InputError(
            f"There are weights for {', '.join(sorted(unknown))}, but no such frames.",
            f"Types of configuration are: {known}.",
        )
    if not data.stress:
        frames = [
            replace(frame, evaluation=replace(frame.evaluation, stress=None)) for frame in frames
        ]
    return frames


def fit(
    settings: FitSettings,
    folder: Path,
    output: Path,
    watch: Callable[[FitStep], None],
    say: Callable[[str], None] = lambda sentence: None,  # noqa: ARG005
) -> FitReport:
    """Fit, save and judge; training epoch by epoch goes on from its checkpoint in `output`.

    Raises `InputError` for data that cannot be learned from.
    """
    began = time.perf_counter()
    data = read_all(settings, folder)
    for finding in data.findings:
        say(f"{finding.sentence} {finding.cure}".strip())
    learned = [*data.training, *data.validation]
    species = species_of(learned)
    family = find_family(settings.potential.kind)
    task = FitTask(
        settings=settings.potential,
        species=species,
        training=data.training,
        validation=data.validation,
        constants=energies_of_atoms(data.training, species),
        seed=settings.seed,
        seconds=float("inf") if settings.minutes is None else 60.0 * settings.minutes,
        checkpoint=output / CHECKPOINT,
        watch=watch,
    )
    result = family.fit(task)
    ranges = Ranges.of(learned, species, settings.potential.cutoff)
    provenance = {**_provenance(settings, data), "ranges": ranges.to_json()}
    potential = replace(result.potential, provenance=provenance)
    result = replace(result, potential=potential)
    potential.save(output / POTENTIAL)
    (output / CHECKPOINT).unlink(missing_ok=True)
    seconds = time.perf_counter() - began
    say("judging")
    apart = data.test or data.validation
    report = FitReport(
        settings,
        data,
        result,
        assess(potential, data.training, trusted=False),
        assess(potential, apart) if apart else None,
        seconds,
    )
    (output / "fit.json").write_text(json.dumps(summary(report), indent=1) + "\n")
    return report


def _provenance(settings: FitSettings, data: Data) -> dict[str, Any]:
    return {
        "title": settings.title,
        "files": [str(file) for file in settings.data.files],
        "frames": len(data.training),
        "seed": settings.seed,
    }


def summary(report: FitReport) -> dict[str, Any]:
    """The numbers of a report for programs."""
    return {
        "potential": report.result.potential.name,
        "digest": report.result.potential.digest(),
        "training_frames": len(report.data.training),
        "validation_frames": len(report.data.validation),
        "test_frames": len(report.data.test),
        "seconds": report.seconds,
        "training": report.training.numbers(),
        "held_out": None if report.held_out is None else report.held_out.numbers(),
        "notes": list(report.result.notes),
        "curve": [asdict(step) for step in report.result.curve],
    }
