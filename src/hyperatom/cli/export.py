"""Labels and the sampled chain as extended XYZ."""

from collections.abc import Iterator
from pathlib import Path

from hyperatom.campaign.counted import chain_labels, produced_steps
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.errors import RunDirectoryError
from hyperatom.references.label import Label
from hyperatom.references.label_export import write_extended_xyz
from hyperatom.references.label_store import LabelStore


def write_labels(directory: RunDirectory, target: Path) -> int:
    """Everything the reference has said, in the order in which it was said; returns how many."""
    with _store(directory) as store:
        return _write(store.labels(), target)


def write_chain(directory: RunDirectory, target: Path) -> int:
    """The states that count, walker after walker, repeated where a proposal was rejected.

    Raises `RunDirectoryError` where production has not begun.
    """
    with _store(directory) as store:
        keys = chain_labels(directory, produced_steps(directory))
        return _write(_found(store, keys), target)


def _found(store: LabelStore, keys: list[str]) -> Iterator[Label]:
    for key in keys:
        label = store.get(key)
        if label is None:
            raise RunDirectoryError(
                f"{store.path} lacks a label of the chain.", "Restore it from a copy."
            )
        yield label


def _write(labels: Iterator[Label], target: Path) -> int:
    part = target.with_name(target.name + ".part")
    try:
        count = write_extended_xyz(labels, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return count


def _store(directory: RunDirectory) -> LabelStore:
    path = directory.file("labels.db")
    if not path.exists():
        raise RunDirectoryError(
            f"{directory.path} holds no labels yet.",
            f"Go on with 'hyperatom resume {directory.path}'.",
        )
    return LabelStore(path)
