"""Replica exchange in a campaign: after every round, neighbouring rungs exchange what they hold.

A ladder has one chain at each rung; the chains of one ladder follow one another. A round is one
step of every chain, then exchanges: sampled is the product of the ensembles of all rungs, so at
each rung its own ensemble of the reference exactly (`sampling/replica_exchange.py`). An exchange
asks the reference for no energy. Its numbers are kept with the steps of both chains, in the
`exchange` of their records, and the state after these steps is that after the exchange.

Rungs between guide and reference (`sampling/guide_ladder.py`) lie there in production alone, when
the guide has stopped to change; until then they are further chains of the reference.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise

import numpy as np

from hyperatom.analysis.ladder import Gap, RoundTrips, count_round_trips, measure_gaps
from hyperatom.analysis.ladder import require_overlap as require_overlap_of
from hyperatom.campaign.chain_store import Step
from hyperatom.campaign.settings import Settings
from hyperatom.campaign.stepping import Moved, Stepper
from hyperatom.sampling.replica_exchange import Exchange, exchange, follow_walkers

STREAM = 2
"""Sets the random numbers of exchanges apart from those of steps and of the guide's own chain."""


@dataclass(frozen=True)
class Ladder:
    """The exchanges of all ladders of a campaign, whose steps the `stepper` makes."""

    stepper: Stepper

    def exchanged(self, moved: Sequence[Moved], number: int) -> list[Moved]:
        """What the chains hold after the exchanges of round `number`; unchanged for one rung."""
        size = len(self.stepper.ensembles)
        if size == 1:
            return list(moved)
        ladders = [moved[first : first + size] for first in range(0, len(moved), size)]
        return [one for k, own in enumerate(ladders) for one in self._exchanged(own, k, number)]

    def _exchanged(self, moved: Sequence[Moved], ladder: int, number: int) -> list[Moved]:
        rng = np.random.default_rng([self.stepper.settings.seed, ladder, number, STREAM])
        steps = [step for _, step, _ in moved]
        ensembles = self.stepper.sampled(steps[0].phase)
        before = [state for state, _, _ in moved]
        states, exchanges = exchange(before, ensembles, number % 2, rng)
        for one in exchanges:
            low, high = steps[one.gap : one.gap + 2]
            held = (high, low) if one.accepted else (low, high)
            steps[one.gap : one.gap + 2] = [
                replace(
                    step,
                    record={**step.record, "exchange": asdict(one)},
                    state_label=now.state_label,
                    state_energy=now.state_energy,
                )
                for step, now in zip((low, high), held, strict=True)
            ]
        spent = (seconds for _, _, seconds in moved)
        return list(zip(states, steps, spent, strict=True))


@dataclass(frozen=True)
class Travel:
    """How often neighbours exchanged, and how far configurations came, ladder by ladder."""

    gaps: list[Gap]
    trips: list[RoundTrips]

    @property
    def n_trips(self) -> int:
        """Round trips from the first rung to the last and back, in all ladders."""
        return sum(one.trips for one in self.trips)

    @property
    def warning(self) -> str:
        """In words, what is wrong; empty where nothing is."""
        return "" if self.n_trips else self.trips[0].warning


def travel(settings: Settings, steps: Sequence[Step]) -> Travel | None:
    """What the exchanges of some steps of all chains led to; None for one rung or no steps."""
    size = len(settings.rungs)
    if size == 1 or not steps:
        return None
    ladders = [
        exchanges_of([step for step in steps if step.walker // size == ladder])
        for ladder in range(settings.walkers)
    ]
    offered: list[list[float]] = [[] for _ in range(size - 1)]
    for rounds in ladders:
        for exchanges in rounds:
            for one in exchanges:
                offered[one.gap].append(one.log_acceptance)
    names = [str(rung) for rung in settings.rungs]
    trips = [count_round_trips(follow_walkers(rounds, size)) for rounds in ladders]
    return Travel(measure_gaps(names, offered), trips)


def exchanges_of(steps: Sequence[Step]) -> list[list[Exchange]]:
    """The exchanges of one ladder, round by round, from the steps of its chains."""
    rounds: dict[int, dict[int, Exchange]] = {}
    for step in sorted(steps, key=lambda step: step.number):
        own = rounds.setdefault(step.number, {})
        if "exchange" in step.record:
            one = Exchange(**step.record["exchange"])
            own[one.gap] = one
    return [list(own.values()) for own in rounds.values()]


def require_overlap(settings: Settings, n_atoms: int) -> None:
    """Raise `InputError` where neighbouring temperatures are too far apart for so many atoms.

    Judged for a harmonic crystal; a gap across which pressure or share change is judged by a run
    alone.
    """
    for number, (one, other) in enumerate(pairwise(settings.rungs), start=1):
        if (one.pressure, one.share) == (other.pressure, other.share):
            pair = [one.temperature, other.temperature]
            require_overlap_of(pair, 3.0 * n_atoms - 3.0, first=number)
