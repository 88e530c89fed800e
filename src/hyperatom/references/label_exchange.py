"""Labels to and from the files of other programs: extended XYZ and the database of ASE.

Both keep every float to the last bit, the cell of each label, and the label's key. ASE's database
keeps the identity too; for labels from extended XYZ it is found by trying: the key of a label is
the digest of its configuration and its identity, so that no other identity can be taken for it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.interchange.ase_atoms import from_ase, to_ase
from hyperatom.references.label import Label, label_key
from hyperatom.references.label_export import write_extended_xyz
from hyperatom.references.label_store import LabelStore

DATABASES = (".db", ".json")
"""Endings of the files that are databases of ASE; all others are extended XYZ."""


@dataclass(frozen=True)
class Imported:
    """How many labels were `new`, were `known` already, or could `not_be_placed`."""

    new: int
    known: int
    not_be_placed: int


def write_labels(labels: Iterable[Label], path: Path) -> int:
    """Write labels to a file whose ending names its format; returns how many."""
    if path.suffix not in DATABASES:
        return write_extended_xyz(labels, path)
    import ase.calculators.singlepoint
    import ase.db

    connect: Any = ase.db.connect
    point: Any = ase.calculators.singlepoint.SinglePointCalculator
    if path.exists():
        raise InputError(f"{path} exists already and is left alone.", "Give another name.")
    count = 0
    with connect(str(path)) as database:
        for label in labels:
            atoms = to_ase(label.configuration)
            atoms.set_masses(label.configuration.masses)
            evaluation = label.evaluation
            stress = {} if evaluation.stress is None else {"stress": evaluation.stress}
            atoms.calc = point(atoms, energy=evaluation.energy, forces=evaluation.forces, **stress)
            atoms.calc.name = "hyperatom"
            database.write(
                atoms,
                label_key=label.key,
                data={
                    "identity": label.identity,
                    "energy_error": evaluation.energy_error,
                    "origin": evaluation.origin,
                    "seconds": label.seconds,
                    "host": label.host,
                    "date": label.date,
                    "attempts": label.attempts,
                    "provenance": label.provenance,
                    "notes": dict(label.notes),
                },
            )
            count += 1
    return count


def import_labels(path: Path, store: LabelStore, identity: str | None = None) -> Imported:
    """Copy labels of a file, or of another store, into a store.

    `identity` is claimed for labels that carry no key of their own. Raises `InputError` where the
    file cannot be read.
    """
    unplaced = read = new = 0
    known = store.identities()
    if identity is not None:
        known = [identity, *known]

    def labels() -> Iterator[Label]:
        nonlocal unplaced, read
        for label in _read(path, known, identity):
            read += 1
            if label is None:
                unplaced += 1
            else:
                yield label

    new = store.add_many(labels())
    return Imported(new, read - unplaced - new, unplaced)


def _read(path: Path, known: Sequence[str], claimed: str | None) -> Iterator[Label | None]:
    try:
        with path.open("rb") as file:
            is_store = file.read(72)[68:72] == b"HYLS"
    except OSError as problem:
        raise InputError(
            f"{path} cannot be read: {problem.strerror}.", "Give the path of a file with labels."
        ) from problem
    if is_store:
        with LabelStore(path) as other:
            yield from other.labels()
        return
    try:
        frames = _database(path) if path.suffix in DATABASES else _extended_xyz(path)
        for atoms, data in frames:
            yield _label(atoms, data, known, claimed)
    except (OSError, ValueError, KeyError, IndexError, StopIteration) as problem:
        raise InputError(
            f"{path} holds no labels that can be read: {problem}.",
            "Give a label store, extended XYZ with energy and forces, or a database of ASE.",
        ) from problem


def _database(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    import ase.db

    connect: Any = ase.db.connect
    with connect(str(path)) as database:
        for row in database.select():
            yield row.toatoms(), {**row.data, "label_key": row.get("label_key")}


def _extended_xyz(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    from ase.io import iread

    for atoms in iread(str(path), format="extxyz"):
        yield atoms, dict(atoms.info)


def _label(
    atoms: Any, data: dict[str, Any], known: Sequence[str], claimed: str | None
) -> Label | None:
    if atoms.calc is None or not {"energy", "forces"} <= set(atoms.calc.results):
        raise ValueError("a configuration without energy or forces")
    configuration, results = from_ase(atoms), atoms.calc.results
    key = data.get("label_key")
    given = data.get("identity")
    candidates = [str(given)] if given is not None else list(known)
    fitting = [one for one in candidates if label_key(configuration, one) == key]
    if fitting:
        identity = fitting[0]
    elif key is None and claimed is not None:
        identity = claimed
    else:
        return None
    error = data.get("energy_error")
    stress = results.get("stress")
    evaluation = Evaluation(
        energy=float(results["energy"]),
        forces=np.asarray(results["forces"], float),
        stress=None if stress is None else np.asarray(stress, float).reshape(6),
        energy_error=None if error is None else float(error),
        origin=str(data.get("origin", "")),
        seconds=float(data.get("seconds", 0.0)),
    )
    return Label(
        index=0,
        key=label_key(configuration, identity),
        configuration=configuration,
        identity=identity,
        seconds=evaluation.seconds,
        host=str(data.get("host", "")),
        date=str(data.get("date", "")),
        attempts=int(data.get("attempts", 1)),
        provenance=str(data.get("provenance", "imported")),
        notes=dict(data.get("notes", {})),
        evaluation=evaluation,
    )
