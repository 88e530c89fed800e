"""One guide of the labels that several campaigns, each at its own temperature, have paid for."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from hyperatom.campaign.assembly import load_configuration
from hyperatom.campaign.learning import make_learner
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.settings import load_settings
from hyperatom.references.label_store import LabelStore

SURPRISED_EVERY = 5
"""Labels between two fits, whose predictions are compared with what the next labels say."""


def join_guides(campaigns: Sequence[Path], place: Path) -> None:
    """Fit one guide to the labels of finished `campaigns`, coldest first, and keep it in `place`.

    A guide that has seen one temperature alone is right about the shell of configurations there
    and extrapolates to the others. `place` holds the input and the start of the hottest campaign
    and the guide: what dynamics reads of a run directory.
    """
    hottest = RunDirectory.open(campaigns[-1], lock=False)
    text = hottest.input_text
    settings = load_settings(text, str(hottest.file("input.yaml")))
    start = load_configuration(hottest.file("start.npz"))
    coldest = load_settings(RunDirectory.open(campaigns[0], lock=False).input_text, "input.yaml")
    learner = make_learner(settings, start, hottest, coldest.temperature)
    for path in campaigns:
        store = LabelStore(path / "labels.db", read_only=True)
        try:
            for label in store.labels():
                learner.add(label.configuration, label.evaluation)
                if learner.n_labels % SURPRISED_EVERY == 0:
                    learner.fit()
        finally:
            store.close()
    directory = RunDirectory.create(place, text)
    try:
        shutil.copy(hottest.file("start.npz"), directory.file("start.npz"))
        if hottest.file("baseline").is_dir():
            shutil.copytree(hottest.file("baseline"), directory.file("baseline"))
        learner.fit().save(directory.file("guide.npz"))
        directory.log(f"a guide of {learner.n_labels} labels; {learner.knows()}")
        directory.seal()
    finally:
        directory.close()
