"""Reads labelled frames from files, label stores and run directories."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.interchange.ase_atoms import from_ase
from hyperatom.potentials.family import LabelledFrame

GROUPS = ("config_type", "group", "Tag", "tag", "type")
"""Entries in which files name the type of a configuration, where the wanted one is missing."""


def read_data(
    path: Path, group: str = "config_type", weights: Mapping[str, float] | None = None
) -> list[LabelledFrame]:
    """Every labelled frame of a file that ASE reads, of a label store, or of a run directory.

    `group` is the entry of a frame that names its type of configuration, `weights` are by type.
    Raises `InputError` where there is no such file, or frames have no energies.
    """
    if not path.exists():
        raise InputError(f"There is no file {path}.", "Check the path.")
    if path.is_dir() or _is_label_store(path):
        frames = list(_labels(path))
    else:
        frames = list(_frames(path, group))
    if not frames:
        raise InputError(f"{path} holds no frames.", "Give a file with labelled configurations.")
    weights = weights or {}
    return [replace(frame, weight=weights.get(frame.group, 1.0)) for frame in frames]


def _is_label_store(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(72)[68:72] == b"HYLS"


def _labels(path: Path) -> Iterator[LabelledFrame]:
    from hyperatom.references.label_store import LabelStore, store_path

    place = store_path(path)
    with LabelStore(place) as store:
        for label in store.labels():
            yield LabelledFrame(
                label.configuration,
                label.evaluation,
                source=f"{place}, label {label.index}",
                group=str(dict(label.notes).get("phase", "")),
            )


def _frames(path: Path, group: str) -> Iterator[LabelledFrame]:
    import ase.io

    try:
        for number, atoms in enumerate(ase.io.iread(str(path), index=":")):
            yield _frame(atoms, path, number, group)
    except InputError:
        raise
    except Exception as problem:
        raise InputError(
            f"{path} cannot be read as labelled configurations: {problem}.",
            "Give extended XYZ with energy and forces, or another file that ASE reads.",
        ) from problem


def _frame(atoms: Any, path: Path, number: int, group: str) -> LabelledFrame:
    results = {} if atoms.calc is None else atoms.calc.results
    energy = results.get("energy", results.get("free_energy"))
    where = f"frame {number} of {path.name}"
    if energy is None or not np.isfinite(energy):
        told = ", ".join(sorted({*results, *atoms.info})) or "nothing"
        raise InputError(
            f"{where} has no energy (found: {told}).",
            "Name it 'energy', in eV, in the comment line of extended XYZ.",
        )
    forces = np.asarray(results.get("forces", np.full((len(atoms), 3), np.nan)), dtype=float)
    stress = atoms.get_stress() if "stress" in results and atoms.pbc.all() else None
    names = [key for key in (group, *GROUPS) if key in atoms.info]
    return LabelledFrame(
        from_ase(atoms),
        Evaluation(float(energy), forces, stress),
        source=where,
        group=str(atoms.info[names[0]]) if names else path.stem,
    )


def with_offsets(
    frames: Sequence[LabelledFrame], offsets: Mapping[str, float]
) -> list[LabelledFrame]:
    """Energies plus so many eV for each atom of an element (chemical symbols)."""
    from ase.data import atomic_numbers

    by_number = {atomic_numbers[symbol]: value for symbol, value in offsets.items()}
    return [
        replace(
            frame,
            evaluation=replace(
                frame.evaluation,
                energy=frame.evaluation.energy
                + sum(by_number.get(int(z), 0.0) for z in frame.configuration.numbers),
            ),
        )
        for frame in frames
    ]


def divided(
    frames: Sequence[LabelledFrame], fraction: float, seed: int
) -> tuple[list[LabelledFrame], list[LabelledFrame]]:
    """The larger part, and a `fraction` drawn by `seed`: none of fewer than two frames."""
    count = round(fraction * len(frames))
    if fraction > 0.0 and len(frames) > 1:
        count = min(max(count, 1), len(frames) - 1)
    order = np.random.default_rng(seed).permutation(len(frames))
    chosen = set(order[:count].tolist()) if len(frames) > 1 else set()
    return (
        [frame for k, frame in enumerate(frames) if k not in chosen],
        [frames[k] for k in sorted(chosen)],
    )
