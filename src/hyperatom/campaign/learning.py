"""The learner of a campaign's guide: that of the family which the input names."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hyperatom.campaign.baseline import load_baseline
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.settings import Settings
from hyperatom.campaign.states import ring_of
from hyperatom.configuration import Configuration
from hyperatom.evaluation import Evaluation
from hyperatom.potentials.combined_potentials import with_species
from hyperatom.potentials.families.linear_density import LinearDensitySettings, density_settings
from hyperatom.potentials.family import Family
from hyperatom.potentials.family_catalogue import checked_settings, find_family
from hyperatom.units import BOLTZMANN

if TYPE_CHECKING:
    from pathlib import Path


class Learner(Protocol):
    """Labels in, frozen guides out; the same labels in the same order, the same guide.

    `forgotten` labels are used no more, and `unseen` directions are told by no label.
    """

    @property
    def n_labels(self) -> int:
        """Labels that the next fit will use."""
        ...

    @property
    def forgotten(self) -> int:
        """Labels that are used no more."""
        ...

    @property
    def unseen(self) -> int:
        """Directions of feature space that no label says anything of."""
        ...

    def add(self, configuration: Configuration, evaluation: Evaluation) -> None:
        """Learn one label."""
        ...

    def add_many(self, labels: Iterable[tuple[Configuration, Evaluation]]) -> None:
        """Learn labels by which nobody is surprised, in less time."""
        ...

    def fit(self, *, anew: bool = False) -> Any:
        """The frozen guide of the labels so far, or of most of them, unless it is made `anew`."""
        ...

    def floor(self, guide: Any) -> float:
        """The smallest error of a total energy that a guide can be expected to predict, eV."""
        ...

    def load(self, path: "Path") -> Any:
        """A guide that was saved."""
        ...

    def knows(self) -> str:
        """How well determined the guide is, in words."""
        ...


def make_learner(
    settings: Settings,
    start: Configuration,
    directory: RunDirectory,
    coldest: float | None = None,
) -> Learner:
    """The learner of the guide that the settings describe, for atoms as in `start`.

    `coldest` (K) where labels of lower temperatures than that of the settings are learned as well.
    """
    guide: Any = settings.guide
    if isinstance(guide, LinearDensitySettings):
        from hyperatom.potentials.linear_density import LinearDensityModel
        from hyperatom.potentials.linear_learner import LinearDensityLearner

        model = LinearDensityModel(
            density_settings(guide, start.species),
            guide.precision,
            load_baseline(settings, directory),
        )
        model.reserve(ring_of(start, settings.beads))
        freedom = 1.5 * start.n_atoms
        temperatures = [rung.temperature for rung in settings.rungs]
        spread = np.sqrt(freedom) * BOLTZMANN * max(temperatures)
        below = freedom * BOLTZMANN * (max(temperatures) - min(coldest or np.inf, *temperatures))
        # Zero-point energy is no sign of a label that is far off.
        window = np.inf if settings.beads > 1 else float(12.0 * spread + below)
        return LinearDensityLearner(model, start, energy_window=window)
    from hyperatom.potentials.family_learner import FamilyLearner

    family, own = _family_of(guide)
    baseline = load_baseline(settings, directory)
    if baseline is not None:
        baseline = with_species(baseline, start.species)
    return FamilyLearner(family, own, start, settings.seed, baseline)


def check_guide(settings: Settings, start: Configuration) -> None:
    """Raises `InputError` where the guide that the settings describe is none for these atoms."""
    if isinstance(settings.guide, LinearDensitySettings):
        return
    family, own = _family_of(settings.guide)
    if family.unknowns is not None:
        family.unknowns(own, start.species)


def _family_of(guide: Any) -> tuple[Family, Any]:
    """The family of a guide, and what of the guide's settings belongs to it."""
    family = find_family(guide.kind)
    content = guide.model_dump(include=set(family.settings.model_fields))
    return family, checked_settings(family, content)
