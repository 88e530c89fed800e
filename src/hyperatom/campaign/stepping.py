"""One step of one walker: propose, judge, and write down every number that was used."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperatom.campaign.chain_store import Phase, Seconds, Step
from hyperatom.campaign.ensemble import ensemble_of
from hyperatom.campaign.noise import penalty_of, require_agreement
from hyperatom.campaign.settings import Settings
from hyperatom.campaign.states import States, mean_over_copies, ring_of
from hyperatom.configuration import Configuration
from hyperatom.contracts import Ensemble, Guide, Proposal, Proposed
from hyperatom.errors import ReferenceFailure
from hyperatom.evaluation import Evaluation
from hyperatom.references.stored import StoredReference
from hyperatom.sampling.delayed_acceptance import Screened
from hyperatom.sampling.guide_ladder import Between
from hyperatom.sampling.guided_trajectory import PathEnsemble
from hyperatom.sampling.metropolis import ChainState, Transition, metropolis
from hyperatom.sampling.prefetch import Prefetch
from hyperatom.structures.crystals import rattle

TRAINING_RATTLE = 0.03
"""Å; displacement of a training label where trajectories lead nowhere."""

Moved = tuple[ChainState, Step, Seconds]


def random_numbers(seed: int, walker: int, number: int) -> np.random.Generator:
    """The generator of one step: a function of its place in the campaign alone."""
    return np.random.default_rng([seed, walker, number])


@dataclass
class Stepper:
    """Makes steps of any walker; safe from several threads."""

    settings: Settings
    start: Configuration
    reference: StoredReference
    cheap: StoredReference | None = None

    def __post_init__(self) -> None:
        rungs = range(len(self.settings.rungs))
        self.ensembles = [ensemble_of(self.settings, self.start, rung) for rung in rungs]
        self._between = any(rung.share < 1.0 for rung in self.settings.rungs)
        self._produced: Sequence[Ensemble] | None = None
        self.penalty = penalty_of(self.settings)
        self.states = States(self.reference.store, self.start)

    def begin(self, walker: int) -> Moved:
        """A walker's step 0: the starting configuration, a little displaced, and its label.

        Raises `ReferenceFailure` where the reference has no answer for it, and `InputError` where
        it gives no standard error that the input asks for, or one that it does not.
        """
        rng = random_numbers(self.settings.seed, walker, 0)
        configuration = rattle(
            ring_of(self.start, self.settings.beads), self.settings.learn.rattle, rng
        )
        clock = time.perf_counter()
        try:
            evaluation = self.reference.evaluate(configuration, f"walker {walker}, start")
        except ReferenceFailure as failure:
            raise ReferenceFailure(
                f"The reference has no answer for the starting configuration: {failure.problem}",
                failure.cure or "Start from a configuration that the engine converges for.",
            ) from failure
        require_agreement(self.settings, evaluation)
        seconds = time.perf_counter() - clock
        key = self.reference.key(configuration)
        energy = mean_over_copies(configuration, evaluation)
        step = Step(
            walker=walker,
            number=0,
            phase="start",
            guide="",
            record={},
            log_ratio=0.0,
            veto="",
            failure="",
            proposed_label=key,
            proposed_energy=energy,
            uniform=0.0,
            log_acceptance=0.0,
            accepted=True,
            state_label=key,
            state_energy=energy,
        )
        return (
            ChainState(configuration, evaluation),
            step,
            Seconds(reference=seconds, total=seconds),
        )

    def step(
        self,
        walker: int,
        number: int,
        phase: Phase,
        state: ChainState,
        proposal: Proposal,
        guide: str,
        ahead: Prefetch | None = None,
    ) -> Moved:
        """Step `number` of a walker; `guide` is the digest of the guide inside the proposal.

        With `ahead`, labels of steps that may follow are asked for meanwhile.
        """
        clock = time.perf_counter()
        who = f"walker {walker}, step {number}"
        if ahead is None:
            rng = random_numbers(self.settings.seed, walker, number)
            move = self.screened(proposal, who) if phase == "produce" else proposal
            proposed = move.propose(state.configuration, rng)
            spent_guide = time.perf_counter() - clock
        else:
            proposed, rng, spent_guide = ahead.propose(number, state.configuration)
        timed = _Timed(self.reference, who)
        ensemble = self.sampled_by(walker, phase)
        after, transition = metropolis(state, proposed, timed, ensemble, rng, self.penalty)
        if ahead is not None:
            ahead.settle(transition)
        record, spent_cheap = self._with_cheap_label(proposed)
        step = Step(
            walker=walker,
            number=number,
            phase=phase,
            guide=guide,
            record=record,
            log_ratio=proposed.log_ratio,
            veto=proposed.veto or "",
            failure=transition.failure or "",
            proposed_label="" if proposed.veto else self.reference.key(proposed.configuration),
            proposed_energy=_energy(transition),
            uniform=transition.uniform,
            log_acceptance=_judged(transition),
            accepted=transition.accepted,
            state_label=self.reference.key(after.configuration),
            state_energy=mean_over_copies(after.configuration, after.evaluation),
        )
        total = time.perf_counter() - clock
        spent_guide = max(0.0, spent_guide - spent_cheap)
        seconds = Seconds(spent_guide, 0.0, timed.seconds, total, spent_cheap)
        return after, step, seconds

    def prefetch(self, walker: int, proposal: Proposal, last: int) -> Prefetch | None:
        """What looks ahead along a walker's chain to step `last`; None where it is not wanted."""
        if self.settings.farm.ahead == 0:
            return None
        return Prefetch(
            self.screened(proposal, f"walker {walker}, on the way"),
            self.reference,
            lambda number: random_numbers(self.settings.seed, walker, number),
            self.settings.farm.ahead,
            last,
            expect=self._expected,
            provenance=f"walker {walker}, ",
        )

    def _expected(self, proposed: Proposed) -> float | None:
        """The log acceptance if the guide were right; None where the record does not tell."""
        if "guide_energy_after" not in proposed.record:
            return None
        rise = proposed.record["guide_energy_after"] - proposed.record["guide_energy_before"]
        return float(proposed.log_ratio - rise / self.ensemble.thermal_energy)

    def state_after(self, step: Step) -> ChainState:
        """Where a walker was after a step, bit for bit.

        Raises `RunDirectoryError` where its label is missing.
        """
        return self.states[step.state_label]

    @property
    def ensemble(self) -> PathEnsemble:
        """What is sampled; of a ladder, what its first rung samples."""
        return self.ensembles[0]

    def ensemble_of(self, walker: int) -> PathEnsemble:
        """What a chain's trajectories move in: the reference's ensemble at its rung."""
        return self.ensembles[walker % len(self.ensembles)]

    def freeze(self, load: Callable[[], Guide]) -> None:
        """Rungs between guide and reference lie, from now on, between what `load` brings and it."""
        if self._between:
            guide = load()
            self._produced = [
                ensemble if rung.share == 1.0 else Between(ensemble, rung.share, guide)
                for ensemble, rung in zip(self.ensembles, self.settings.rungs, strict=True)
            ]

    def sampled(self, phase: Phase) -> Sequence[Ensemble]:
        """What each rung samples: before production, while the guide changes, the reference's."""
        if phase != "produce" or not self._between:
            return self.ensembles
        assert self._produced is not None, "the guide is not frozen"
        return self._produced

    def sampled_by(self, walker: int, phase: Phase) -> Ensemble:
        """The same, at the rung of a chain."""
        return self.sampled(phase)[walker % len(self.ensembles)]

    # -- the cheap engine of a pair ------------------------------------------------------------

    def screened(self, proposal: Proposal, who: str) -> Proposal:
        """What of a proposal the cheap engine lets pass; all of it without one."""
        if self.cheap is None:
            return proposal
        return Screened(proposal, _Timed(self.cheap, who), self.ensemble)

    def require_cheap_word(self, state: ChainState, walker: int) -> None:
        """Raise `ReferenceFailure` where the cheap engine has no energy for the present state.

        No move could ever pass its screen.
        """
        if self.cheap is None:
            return
        try:
            self.cheap.evaluate(state.configuration, f"walker {walker}, begin of production")
        except ReferenceFailure as failure:
            raise ReferenceFailure(
                f"The cheap engine has no answer where walker {walker} is to begin producing: "
                f"{failure.problem}",
                "Give it settings that converge, or take 'reference.cheap' away, in a new run that "
                "shares the labels of this one.",
            ) from failure

    def _with_cheap_label(self, proposed: Proposed) -> tuple[dict[str, Any], float]:
        """The record with the key of the cheap engine's label, and the seconds that it took."""
        screens = proposed.record.get("screens")
        if self.cheap is None or not screens or screens[0]["energy_after"] is None:
            return proposed.record, 0.0
        key = self.cheap.key(proposed.configuration)
        label = self.cheap.store.get(key)
        seconds = 0.0 if label is None else label.seconds
        return {**proposed.record, "cheap_label": key}, seconds


@dataclass(frozen=True)
class TrainingDisplacement:
    """A proposal that is never accepted: a label to learn from where trajectories lead nowhere."""

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        """Log ratio: minus infinity."""
        displaced = rattle(configuration, TRAINING_RATTLE, rng)
        return Proposed(displaced, -np.inf, None, {"full": False})


@dataclass
class _Timed:
    """The reference with a stop-watch and a note of who asks."""

    reference: StoredReference
    provenance: str
    seconds: float = 0.0

    @property
    def identity(self) -> str:
        return self.reference.identity

    def evaluate(self, configuration: Configuration) -> Evaluation:
        clock = time.perf_counter()
        try:
            return self.reference.evaluate(configuration, self.provenance)
        finally:
            self.seconds = time.perf_counter() - clock

    def close(self) -> None:
        self.reference.close()


def _energy(transition: Transition) -> float | None:
    if transition.evaluation is None:
        return None
    return mean_over_copies(transition.proposed.configuration, transition.evaluation)


def _judged(transition: Transition) -> float | None:
    return transition.log_acceptance if transition.evaluation is not None else None
