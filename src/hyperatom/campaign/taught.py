"""Labels of other runs that a guide knows from the start: copied once, they travel with the run.

A guide may know anything: what is sampled is the reference's ensemble all the same.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hyperatom.campaign.learning import Learner
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.references.label import Label
from hyperatom.references.label_store import LabelStore, store_path

FILE = "taught.db"


def known_labels(
    sources: Sequence[Path], folder: Path, identity: str, start: Configuration
) -> list[Label]:
    """Labels of the engine `identity` for as many atoms of each species as in `start`, in order.

    Raises `InputError` for a source that has none, `RunDirectoryError` where it is no store.
    """
    found = []
    atoms = Counter(start.numbers.tolist())
    for source in sources:
        with LabelStore(store_path(folder / source), read_only=True) as store:
            of_engine = list(store.labels(identity))
            others = [one for one in store.identities() if one != identity]
        usable = [
            label for label in of_engine if Counter(label.configuration.numbers.tolist()) == atoms
        ]
        if not usable:
            why = (
                "its labels are of other atoms"
                if of_engine
                else f"its labels are of {', '.join(others) or 'nobody'}, not of {identity}"
            )
            raise InputError(
                f"The guide cannot learn from {source}: {why}.",
                "Take it out of 'learn.labels', or name a run of this engine and of these atoms.",
            )
        found += usable
    return found


def keep_taught(labels: Sequence[Label], directory: RunDirectory) -> None:
    """Copy labels into a new run directory."""
    if labels:
        with LabelStore(directory.file(FILE)) as store:
            store.add_many(labels)


def teach(learner: Learner, directory: RunDirectory) -> None:
    """What a run was given, before anything that it found itself."""
    path = directory.file(FILE)
    if path.is_file():
        with LabelStore(path, read_only=True) as store:
            learner.add_many((label.configuration, label.evaluation) for label in store.labels())
