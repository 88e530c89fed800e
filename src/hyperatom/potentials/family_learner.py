"""Learns any family of potentials label by label, for a campaign's guide."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.corrected import corrected
from hyperatom.potentials.energies_of_atoms import energies_of_atoms
from hyperatom.potentials.family import Family, FitTask, LabelledFrame
from hyperatom.potentials.fitted import FittedPotential
from hyperatom.potentials.fitted_files import load_fitted
from hyperatom.potentials.frame_errors import without

GROWTH: Final = 1.25
"""A new fit is made whenever the labels have grown by this factor."""

HELD_OUT: Final = 5
"""Every so many labels one is kept to validate, once there are twice as many."""

RECENT: Final = 5
"""Latest labels that tell how small a predicted error can be."""


@dataclass
class FamilyLearner:
    """`add` labels, `fit` a frozen potential at any time; fits begin where the last one ended.

    The same labels, with fits in between at the same places, give the same potential bit for bit.
    The compiled part is that of the first fit, or of the last one that settled open settings. Where
    there is a `baseline`, what is learned is the difference to it.
    """

    family: Family
    settings: Any
    start: Configuration
    seed: int = 0
    baseline: CompiledPotential | None = None
    forgotten: int = 0
    unseen: int = 0
    _frames: list[LabelledFrame] = field(default_factory=list)
    _latest: FittedPotential | None = None
    _model: CompiledModel | None = None
    _settings: Any = None
    _sum: CompiledModel | None = None
    _next: float = 0.0

    @property
    def n_labels(self) -> int:
        """Labels that the next fit will use."""
        return len(self._frames)

    def add(self, configuration: Configuration, evaluation: Evaluation) -> None:
        """Learn one label."""
        frame = LabelledFrame(configuration, evaluation, source="label")
        if self.baseline is not None:
            frame = without([frame], [self.baseline.evaluate(configuration)])[0]
        self._frames.append(frame)

    def add_many(self, labels: Iterable[tuple[Configuration, Evaluation]]) -> None:
        """Learn several labels."""
        for configuration, evaluation in labels:
            self.add(configuration, evaluation)

    def fit(self, *, anew: bool = False) -> FittedPotential:
        """The frozen potential of the labels so far, or, but `anew`, of a fifth fewer.

        Raises `InputError` before the first label.
        """
        if not self._frames:
            raise InputError("There is no label to learn from.", "Add one.")
        if anew or self._latest is None or len(self._frames) >= self._next:
            self._next = max(len(self._frames) + 1.0, GROWTH * len(self._frames))
            self._latest = self._fitted()
        return self._on_baseline(self._latest)

    def floor(self, guide: FittedPotential) -> float:
        """The smallest error of a total energy that a guide can be expected to predict, eV."""
        predicted = [guide.error(frame.configuration) for frame in self._frames[-RECENT:]]
        return float(np.median(predicted))

    def load(self, path: Path) -> FittedPotential:
        """What `FittedPotential.save` wrote, with the compiled part that is here already."""
        return self._on_baseline(self._on_one_model(load_fitted(path)))

    def knows(self) -> str:
        """How well determined the guide is, in words."""
        return f"{self.family.name} fitted to {self.n_labels} labels"

    def _fitted(self) -> FittedPotential:
        enough = len(self._frames) >= 2 * HELD_OUT
        held = [k for k in range(len(self._frames)) if enough and k % HELD_OUT == HELD_OUT - 1]
        training = [frame for k, frame in enumerate(self._frames) if k not in held]
        species = self.start.species
        result = self.family.fit(
            FitTask(
                settings=self.settings,
                species=species,
                training=training,
                validation=[self._frames[k] for k in held],
                constants=energies_of_atoms(training, species),
                seed=self.seed,
                start=self._latest,
            )
        )
        return self._on_one_model(result.potential)

    def _on_one_model(self, potential: FittedPotential) -> FittedPotential:
        if self._model is None or potential.settings != self._settings:
            self._model, self._settings = potential.model, potential.settings
            self._model.reserve(self.start)
            self._sum = None
        return replace(potential, model=self._model)

    def _on_baseline(self, potential: FittedPotential) -> FittedPotential:
        if self.baseline is None:
            return potential
        both = corrected(self.baseline, potential, self._sum)
        if self._sum is None:
            self._sum = both.model
            self._sum.reserve(self.start)
        return both
