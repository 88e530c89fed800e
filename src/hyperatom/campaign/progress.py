"""How far a campaign is: everything displays and `hyperatom status` say, from its steps."""

import os
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import nan
from pathlib import Path

import numpy as np

from hyperatom.campaign.chain_store import ChainStore, Phase, Seconds, Step
from hyperatom.campaign.guide_chain import count_free_samples
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.settings import Settings, load_settings
from hyperatom.units import MILLI

WINDOW = 20
"""Judged proposals over which the guide's error is taken; its trend compares two windows."""

RECENT = 20
"""Latest steps whose wall time foretells the time left."""


@dataclass
class Progress:
    """Adds up the steps of a campaign, in the order in which they came.

    `n_atoms` is the number of atoms of the configuration.
    """

    settings: Settings
    n_atoms: int
    phase: Phase = "start"
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    steps: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    failures: int = 0
    spent: Seconds = field(default_factory=Seconds)
    free: int = 0
    _full: deque[bool] = field(default_factory=deque)
    _produced: dict[int, list[tuple[float, bool]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _errors: deque[float] = field(default_factory=lambda: deque(maxlen=2 * WINDOW))
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    _energies: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._full = deque(maxlen=self.settings.learn.window)

    @classmethod
    def of(
        cls,
        settings: Settings,
        n_atoms: int,
        steps: Iterable[Step],
        seconds: dict[tuple[int, int], Seconds],
        free: int = 0,
    ) -> "Progress":
        """The progress after some steps, and samples of the guide, already on disk."""
        progress = cls(settings, n_atoms, free=free)
        for step in steps:
            progress.take(step, seconds.get((step.walker, step.number), Seconds()))
        if progress.free_planned and 0 < progress.steps_planned <= progress.steps["produce"]:
            progress.phase = "average"
        return progress

    def take(self, step: Step, seconds: Seconds) -> None:
        """Count one more step."""
        self.phase = step.phase
        self.calls[step.phase] += step.asked
        self.steps[step.phase] += 1
        self.failures += bool(step.failure)
        self.spent += seconds
        self._recent.append(seconds.total)
        if step.phase == "learn" and step.full and "guide_drift" in step.record:
            self._full.append(step.accepted)
        if step.phase == "produce":
            self._produced[step.walker].append((step.state_energy, step.accepted))
        self._note_error(step)
        self._energies[step.walker] = step.state_energy

    def take_free(self, seconds: float) -> None:
        """Count one more sample of the guide alone."""
        self.phase = "average"
        self.free += 1
        self.spent += Seconds(guide=seconds)

    def _note_error(self, step: Step) -> None:
        before = self._energies.get(step.walker)
        wrong = None if before is None else step.wrong(before)
        if wrong is not None and np.isfinite(wrong):
            self._errors.append(wrong / self.n_atoms / MILLI)

    @property
    def calls_made(self) -> int:
        """Reference calls of all phases."""
        return sum(self.calls.values())

    @property
    def calls_planned(self) -> int:
        """Reference calls at the most, over the whole campaign."""
        learn = self.calls["start"] + self.calls["learn"] + self.calls["probe"]
        if not self.counting:
            learn = max(learn, self.settings.learn.calls)
        return learn + self.steps_planned

    @property
    def steps_planned(self) -> int:
        """Steps of the production phase, over all chains."""
        return self.settings.chains * self.settings.produce.proposals

    @property
    def finished(self) -> bool:
        """Is every step of the production phase there, and every sample of the guide?"""
        return self.steps["produce"] >= self.steps_planned and self.free >= self.free_planned

    @property
    def counting(self) -> bool:
        """Is learning over, so that production is what is looked at?"""
        return self.phase in ("produce", "average")

    @property
    def free_planned(self) -> int:
        """Samples of the guide alone, over all walkers."""
        return self.settings.walkers * self.settings.free_samples

    def acceptance(self) -> tuple[float, int]:
        """Acceptance and the number of proposals behind it.

        While learning, over the latest window of full paths; afterwards over all production.
        """
        if self.counting:
            accepted = [accepted for _, accepted in self._counted()]
        else:
            accepted = list(self._full)
        return (float(np.mean(accepted)) if accepted else nan), len(accepted)

    def guide_error(self) -> tuple[float, float]:
        """meV/atom; standard deviation of (U_D-U_M)(x') - (U_D-U_M)(x): latest window, and before.

        NaN where there are fewer than two proposals.
        """
        errors = np.array(self._errors)
        return _spread(errors[-WINDOW:]), _spread(errors[:-WINDOW])

    def independent_samples(self) -> float:
        """Effective sample size of the potential energy in production, at the first rung."""
        from hyperatom.analysis.statistics import estimate_mean

        rung = self.settings.chains_at(0)
        series = [self._produced[walker] for walker in rung if walker in self._produced]
        if not series:
            return 0.0
        return estimate_mean(
            [np.array([energy for energy, _ in walker]) for walker in series], "eV", "exact"
        ).n_effective

    def seconds_left(self) -> float:
        """Seconds to the end if all calls are spent; NaN while nothing is known."""
        if not self._recent:
            return nan
        left = self.steps_planned - self.steps["produce"]
        if not self.counting:
            left += max(0, self.settings.learn.calls - self.calls_made)
        side_by_side = min(self.settings.chains, os.cpu_count() or 1)
        # A sample of the guide takes what the guide takes in a step.
        guided = sum(self.steps.values()) - self.steps["start"] + self.free
        guide = self.spent.guide / max(1, guided)
        free = guide * max(0, self.free_planned - self.free)
        return (float(np.median(self._recent)) * left + free) / side_by_side

    def _counted(self) -> list[tuple[float, bool]]:
        return [step for walker in sorted(self._produced) for step in self._produced[walker]]


def _spread(values: np.ndarray) -> float:
    return float(values.std()) if len(values) > 1 else nan


def progress_of(path: Path) -> tuple[Settings, Progress]:
    """How far the run on disk is; nobody's lock is needed, and nothing is written."""
    directory = RunDirectory.open(path, lock=False)
    settings = load_settings(directory.input_text, str(directory.file("input.yaml")))
    with np.load(directory.file("start.npz"), allow_pickle=False) as start:
        n_atoms = len(start["numbers"])
    if not directory.file("chain.db").exists():
        return settings, Progress(settings, n_atoms)
    chain = ChainStore(directory.file("chain.db"), read_only=True)
    try:
        # Seconds first: a step that arrives in between lacks only its wall time.
        seconds = chain.seconds()
        free = count_free_samples(directory.file("guide_chain.db"), chain.frozen())
        return settings, Progress.of(settings, n_atoms, chain.steps(), seconds, free)
    finally:
        chain.close()
