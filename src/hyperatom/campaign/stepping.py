"""One step of one walker: propose, judge, and write down every number that was used."""

import time
from dataclasses import dataclass

import numpy as np

from hyperatom.campaign.chain_store import Phase, Seconds, Step
from hyperatom.campaign.ensemble import ensemble_of
from hyperatom.campaign.settings import Settings
from hyperatom.configuration import Configuration
from hyperatom.contracts import Proposal, Proposed
from hyperatom.errors import ReferenceFailure, RunDirectoryError
from hyperatom.evaluation import Evaluation
from hyperatom.references.stored import StoredReference
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

    def __post_init__(self) -> None:
        self.ensemble = ensemble_of(self.settings, self.start)

    def begin(self, walker: int) -> Moved:
        """A walker's step 0: the starting configuration, a little displaced, and its label.

        Raises `ReferenceFailure` where the reference has no answer for it.
        """
        rng = random_numbers(self.settings.seed, walker, 0)
        configuration = rattle(self.start, self.settings.learn.rattle, rng)
        clock = time.perf_counter()
        try:
            evaluation = self.reference.evaluate(configuration, f"walker {walker}, start")
        except ReferenceFailure as failure:
            raise ReferenceFailure(
                f"The reference has no answer for the starting configuration: {failure.problem}",
                failure.cure or "Start from a configuration that the engine converges for.",
            ) from failure
        seconds = time.perf_counter() - clock
        key = self.reference.key(configuration)
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
            proposed_energy=evaluation.energy,
            uniform=0.0,
            log_acceptance=0.0,
            accepted=True,
            state_label=key,
            state_energy=evaluation.energy,
        )
        state = ChainState(configuration, evaluation)
        return state, step, Seconds(reference=seconds, total=seconds)

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
        if ahead is None:
            rng = random_numbers(self.settings.seed, walker, number)
            proposed = proposal.propose(state.configuration, rng)
            spent_guide = time.perf_counter() - clock
        else:
            proposed, rng, spent_guide = ahead.propose(number, state.configuration)
        timed = _Timed(self.reference, f"walker {walker}, step {number}")
        after, transition = metropolis(state, proposed, timed, self.ensemble, rng)
        if ahead is not None:
            ahead.settle(transition)
        step = Step(
            walker=walker,
            number=number,
            phase=phase,
            guide=guide,
            record=proposed.record,
            log_ratio=proposed.log_ratio,
            veto=proposed.veto or "",
            failure=transition.failure or "",
            proposed_label="" if proposed.veto else self.reference.key(proposed.configuration),
            proposed_energy=_energy(transition.evaluation),
            uniform=transition.uniform,
            log_acceptance=_judged(transition),
            accepted=transition.accepted,
            state_label=self.reference.key(after.configuration),
            state_energy=after.evaluation.energy,
        )
        total = time.perf_counter() - clock
        return after, step, Seconds(guide=spent_guide, reference=timed.seconds, total=total)

    def prefetch(self, walker: int, proposal: Proposal, last: int) -> Prefetch | None:
        """What looks ahead along a walker's chain to step `last`; None where it is not wanted."""
        if self.settings.farm.ahead == 0:
            return None
        return Prefetch(
            proposal,
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
        label = self.reference.store.get(step.state_label)
        if label is None:
            raise RunDirectoryError(
                f"labels.db lacks the configuration of walker {step.walker}.",
                "Restore labels.db from a copy, or start a new run.",
            )
        # Masses are not part of a label's identity; those of the campaign move the atoms.
        there = label.configuration
        configuration = self.start.with_cell(there.positions, there.cell)
        return ChainState(configuration, label.evaluation)


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


def _energy(evaluation: Evaluation | None) -> float | None:
    return None if evaluation is None else evaluation.energy


def _judged(transition: Transition) -> float | None:
    return transition.log_acceptance if transition.evaluation is not None else None
