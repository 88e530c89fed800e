"""One guide of the labels of several campaigns, and of places where it was found to be unsure."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperatom.campaign.assembly import load_configuration
from hyperatom.campaign.learning import Learner, make_learner
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.settings import Settings, load_settings
from hyperatom.configuration import Configuration
from hyperatom.evaluation import Evaluation
from hyperatom.references.label import Label
from hyperatom.references.label_store import LabelStore
from hyperatom.studies.labelling import asked

SURPRISED_EVERY = 5
"""Labels of campaigns between two fits, whose predictions are compared with the next labels."""

SURPRISED_BY = 20
"""So many labels, the last ones: how surprising earlier ones were is forgotten anyway."""


@dataclass
class JointGuide:
    """A guide fitted to the labels of finished `campaigns`, coldest first, and to `further` ones.

    A guide that has seen one temperature alone is right about the shell of configurations there
    and extrapolates to the others. `place` holds the input and the start of the hottest campaign
    and the guide: what dynamics reads of a run directory. `further` is the store of labels that
    were paid for afterwards. The same labels in the same order make the same guide, whether or not
    the learner is made anew in between.
    """

    campaigns: Sequence[Path]
    place: Path
    further: Path
    _learner: Learner | None = field(default=None, repr=False)
    _learned: int = field(default=0, repr=False)

    @property
    def n_further(self) -> int:
        """Further labels that are paid for."""
        return len(self._further())

    def fit(self) -> None:
        """Make `place` and the guide in it."""
        hottest = self._hottest
        learner, guide = self._taught()
        directory = RunDirectory.create(self.place, hottest.input_text)
        try:
            shutil.copy(hottest.file("start.npz"), directory.file("start.npz"))
            if hottest.file("baseline").is_dir():
                shutil.copytree(hottest.file("baseline"), directory.file("baseline"))
            guide.save(directory.file("guide.npz"))
            directory.log(f"a guide of {learner.n_labels} labels; {learner.knows()}")
            directory.seal()
        finally:
            directory.close()

    def label(
        self, configurations: Sequence[Configuration], kept: Path, provenance: str
    ) -> list[Evaluation]:
        """Ask the reference; each answer is in the store `kept` before it is used.

        Raises `ReferenceFailure` where it has none.
        """
        hottest = self._hottest
        settings = _settings(hottest)
        with asked(settings, configurations[0], hottest, self.place, kept, provenance) as reference:
            answers = [reference.request(configuration) for configuration in configurations]
            return [answer.result() for answer in answers]

    def fit_again(self) -> None:
        """Replace the guide by that of all labels."""
        learner, guide = self._taught()
        guide.save(self.place / "guide.npz")
        directory = RunDirectory.open(self.place, lock=False)
        directory.log(f"a guide of {learner.n_labels} labels; {learner.knows()}")

    @property
    def _hottest(self) -> RunDirectory:
        return RunDirectory.open(self.campaigns[-1], lock=False)

    def _taught(self) -> tuple[Learner, Any]:
        learner = self._learner or self._of_campaigns()
        guide = learner.fit(anew=self._learner is None)
        for label in self._further()[self._learned :]:
            learner.add(label.configuration, label.evaluation)
            guide = learner.fit(anew=True)
            self._learned += 1
        self._learner = learner
        return learner, guide

    def _of_campaigns(self) -> Learner:
        hottest = self._hottest
        coldest = _settings(RunDirectory.open(self.campaigns[0], lock=False)).temperature
        start = load_configuration(hottest.file("start.npz"))
        learner = make_learner(_settings(hottest), start, hottest, coldest)
        labels = [
            (label.configuration, label.evaluation)
            for path in self.campaigns
            for label in _labels(path / "labels.db")
        ]
        learner.add_many(labels[:-SURPRISED_BY])
        for number, label in enumerate(labels[-SURPRISED_BY:]):
            if number % SURPRISED_EVERY == 0 and learner.n_labels:
                learner.fit()
            learner.add(*label)
        return learner

    def _further(self) -> list[Label]:
        return _labels(self.further) if self.further.is_file() else []


def _settings(directory: RunDirectory) -> Settings:
    return load_settings(directory.input_text, str(directory.file("input.yaml")))


def _labels(path: Path) -> list[Label]:
    with LabelStore(path, read_only=True) as store:
        return list(store.labels())
