"""The schedule of a learning campaign: how long paths are, and when learning has done its work.

A pure function of the steps so far, so that a resumed campaign decides as the first one did.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from hyperatom.campaign.chain_store import Step
from hyperatom.campaign.path_length import JudgedPath, best_segments
from hyperatom.campaign.settings import Settings
from hyperatom.units import BOLTZMANN

DRIFT_WANTED = (0.03, 0.3)
"""k_BT; mean |dH| of the guide over a segment: the time step grows below, shrinks above."""

JUDGE_AFTER = 4
"""Full paths of one number of segments before that number changes, by one."""

JUDGED = 30
"""Latest full paths that speak of it."""


@dataclass
class Schedule:
    """Time step (fs) and segments of the next path; acceptance over the latest full paths.

    Paths grow and shrink with what gives most effective samples per reference call (see
    `path_length`), up to the segments that the input allows; of a ladder, its first rung decides.
    `n_atoms` is that of the configuration. Probation judges a frozen guide by its own proposals:
    what was accepted while learning does not count there.
    """

    settings: Settings
    n_atoms: int
    time_step: float = 0.0
    segments: int = 1
    wanted: int = 1
    calls: int = 0
    unasked: int = 0
    window: deque[bool] = field(default_factory=deque)
    _since_change: int = 0
    _paths: deque[JudgedPath] = field(default_factory=lambda: deque(maxlen=JUDGED))
    _energies: dict[int, float] = field(default_factory=dict)
    _probing: bool = False

    def __post_init__(self) -> None:
        self.time_step = self.settings.sampling.time_step
        self.window = deque(maxlen=self.settings.learn.window)

    @property
    def acceptance(self) -> float:
        """Acceptance over the window, NaN before the first full path."""
        return float(np.mean(self.window)) if self.window else float("nan")

    @property
    def finished(self) -> bool:
        """Has learning done its work, or spent its calls?"""
        learn = self.settings.learn
        good = (
            len(self.window) == learn.window
            and self.acceptance >= learn.acceptance
            and self.segments == self.wanted
        )
        return good or self.spent

    @property
    def spent(self) -> bool:
        """Have all calls of learning been made?"""
        return self.calls >= self.settings.learn.calls

    @property
    def stranded(self) -> bool:
        """Have the latest two steps of every walker led nowhere that is worth a label?"""
        return self.unasked >= 2 * self.settings.chains

    def take_note(self, step: Step) -> None:
        """Adapt to one more step; production changes nothing any more."""
        if step.phase == "produce":
            return
        before = self._energies.get(step.walker, step.state_energy)
        self._energies[step.walker] = step.state_energy
        self.calls += step.asked
        self.unasked = 0 if step.asked else self.unasked + 1
        if step.phase == "probe":
            if not self._probing:
                self.window.clear()
            self.window.append(step.accepted)
        self._probing = step.phase == "probe"
        if step.phase != "learn" or "guide_drift" not in step.record:
            return
        self._adapt_time_step(step)
        if not step.full:
            return
        self.window.append(step.accepted)
        if step.walker in self.settings.chains_at(0):
            self._adapt_segments(step, before)

    def _adapt_segments(self, step: Step, before: float) -> None:
        self._since_change += 1
        wrong = step.wrong(before)
        if wrong is not None and step.proposed_energy is not None:
            change = step.proposed_energy - before
            self._paths.append(JudgedPath(len(step.record["checks"]), change, wrong))
        if self._since_change < JUDGE_AFTER or not self._paths:
            return
        self.wanted = best_segments(
            list(self._paths),
            self.settings.temperature,
            self.n_atoms,
            self.settings.sampling.segments,
        )
        if self.wanted != self.segments:
            self.segments += 1 if self.wanted > self.segments else -1
            self._since_change = 0

    def _adapt_time_step(self, step: Step) -> None:
        temperature = self.settings.rung_of(step.walker).temperature
        drift = step.record["guide_drift"] / (BOLTZMANN * temperature)
        low, high = DRIFT_WANTED
        given = self.settings.sampling.time_step
        if not np.isfinite(drift) or drift > high:
            self.time_step = max(0.8 * self.time_step, given / 8.0)
        elif drift < low:
            self.time_step = min(1.1 * self.time_step, 2.0 * given)
