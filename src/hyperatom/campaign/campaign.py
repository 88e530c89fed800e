"""A campaign: learn -> freeze -> produce.

While learning, a walker's every judgement teaches the guide, so its chain samples nothing exactly.
Then the guide, the time step and the distribution of path lengths are frozen, and only what the
frozen guide proposes counts as exact. Random numbers are drawn from (seed, walker, step), labels
are stored before they are used, and a step is stored before the next begins: killed at any moment
and resumed, a campaign makes the chain it would have made.
"""

import json
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hyperatom.campaign.chain_store import ChainStore, Phase, Seconds, Step
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.schedule import Schedule
from hyperatom.campaign.settings import Settings
from hyperatom.configuration import Configuration
from hyperatom.contracts import Guide, Proposal, Proposed
from hyperatom.errors import ReferenceFailure, RunDirectoryError
from hyperatom.evaluation import Evaluation
from hyperatom.potentials.linear_density import LinearDensityPotential
from hyperatom.potentials.linear_learner import LinearDensityLearner
from hyperatom.references.stored import StoredReference
from hyperatom.sampling.canonical import Canonical
from hyperatom.sampling.exploring_trajectory import ExploringTrajectory
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from hyperatom.sampling.metropolis import ChainState, Transition, metropolis
from hyperatom.structures.crystals import rattle

CHECK_EVERY = 10
"""Steps between two points of a path at which its error is looked at."""

TRAINING_RATTLE = 0.03
"""Å; displacement of a training label where trajectories lead nowhere."""


class Monitor(Protocol):
    """Whoever watches a campaign."""

    def phase(self, phase: Phase, schedule: Schedule) -> None:
        """A phase begins."""
        ...

    def step(self, step: Step, seconds: Seconds) -> None:
        """A step is on disk."""
        ...


def random_numbers(seed: int, walker: int, number: int) -> np.random.Generator:
    """The generator of one step: a function of its place in the campaign alone."""
    return np.random.default_rng([seed, walker, number])


@dataclass
class Campaign:
    """Everything a campaign needs, put together by `assembly`."""

    settings: Settings
    directory: RunDirectory
    chain: ChainStore
    reference: StoredReference
    learner: LinearDensityLearner
    start: Configuration
    monitor: Monitor
    workers: int = 1

    def __post_init__(self) -> None:
        self.ensemble = Canonical(self.settings.temperature)
        self.schedule = Schedule(self.settings)
        self.walkers = range(self.settings.walkers)

    def run(self) -> None:
        """Go on from wherever the chain on disk ends, to the end."""
        with ThreadPoolExecutor(self.workers, thread_name_prefix="walker") as pool:
            if self.chain.fact("frozen") is None:
                self._learn(pool)
                self._freeze()
            self._produce(pool)

    # -- learn ---------------------------------------------------------------------------------

    def _learn(self, pool: ThreadPoolExecutor) -> None:
        states = self._replay()
        self.monitor.phase("learn", self.schedule)
        if not states:
            states = self._begin(pool)
        number = 1 + max(step.number for step in self.chain.steps())
        while not self.schedule.finished:
            clock = time.perf_counter()
            guide = self.learner.fit()
            fit = time.perf_counter() - clock
            proposal = self._exploration(guide)

            def move(
                walker: int,
                number: int = number,
                proposal: Proposal = proposal,
                guide: Guide = guide,
                training: bool = self.schedule.stranded,
            ) -> tuple[ChainState, Step, Seconds]:
                return self._step(
                    walker, number, "learn", states[walker], proposal, guide, training
                )

            moves = list(pool.map(move, self.walkers))
            steps = []
            for walker, (state, step, seconds) in enumerate(moves):
                states[walker] = state
                clock = time.perf_counter()
                self._teach(step)
                spent = fit / len(moves) + time.perf_counter() - clock
                steps.append(
                    (step, Seconds(seconds.guide, spent, seconds.reference, seconds.total + spent))
                )
            self._keep(steps)
            number += 1

    def _begin(self, pool: ThreadPoolExecutor) -> list[ChainState]:
        """Every walker's first label: the starting configuration, a little displaced."""

        def first(walker: int) -> tuple[ChainState, Step, Seconds]:
            rng = random_numbers(self.settings.seed, walker, 0)
            configuration = rattle(self.start, self.settings.learn.rattle, rng)
            clock = time.perf_counter()
            evaluation = self.reference.evaluate(configuration, f"walker {walker}, start")
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

        try:
            begun = list(pool.map(first, self.walkers))
        except ReferenceFailure as failure:
            raise ReferenceFailure(
                f"The reference has no answer for the starting configuration: {failure.problem}",
                failure.cure or "Start from a configuration that the engine converges for.",
            ) from failure
        for _, step, _ in begun:
            self._teach(step)
        self._keep([(step, seconds) for _, step, seconds in begun])
        return [state for state, _, _ in begun]

    def _replay(self) -> list[ChainState]:
        """Teach the guide again what it was taught, in the same order; return where walkers are."""
        number = 0
        for step in self.chain.steps():
            if step.number > number:
                self.learner.fit()
                number = step.number
            self._teach(step)
            self.schedule.take_note(step)
        last = [self.chain.last(walker) for walker in self.walkers]
        return [self._state(step) for step in last if step is not None]

    def _exploration(self, guide: LinearDensityPotential) -> ExploringTrajectory:
        path = self._guided(guide, self.schedule.time_step, self.schedule.segments, np.inf)
        return ExploringTrajectory(path, self._error_limit(guide))

    def _error_limit(self, guide: LinearDensityPotential) -> float:
        """eV; the given multiple of k_BT, but no tighter than the guide's own noise can pass."""
        noise = guide.inflation * guide.noise * np.sqrt(self.start.n_atoms)
        return float(max(self.settings.sampling.veto * self.ensemble.thermal_energy, 2.0 * noise))

    def _teach(self, step: Step) -> None:
        if step.proposed_label and not step.failure:
            label = self.reference.store.get(step.proposed_label)
            if label is None:
                raise RunDirectoryError(
                    f"labels.db lacks the label of step {step.number} of walker {step.walker}.",
                    "Restore labels.db from a copy, or start a new run.",
                )
            self.learner.add(label.configuration, label.evaluation)

    # -- freeze --------------------------------------------------------------------------------

    def _freeze(self) -> None:
        guide = self.learner.fit()
        guide.save(self.directory.file("guide.npz"))
        frozen = {
            "guide": guide.digest(),
            "time_step": self.schedule.time_step,
            "segments": self.schedule.segments,
            "largest_error": self._error_limit(guide),
            "number": max(step.number for step in self.chain.steps()),
            "labels": self.learner.n_labels,
            "forgotten": self.learner.forgotten,
            "unseen": self.learner.unseen,
        }
        self.chain.add([], {"frozen": json.dumps(frozen)})
        self.directory.log(
            f"frozen after {self.schedule.calls} calls, acceptance {self.schedule.acceptance:.2f} "
            f"over the last {len(self.schedule.window)} full paths; {self.learner.unseen} of "
            f"{self.learner.model.n_unknowns} directions rest on the prior alone"
        )

    # -- produce -------------------------------------------------------------------------------

    def _produce(self, pool: ThreadPoolExecutor) -> None:
        proposal = self.frozen_proposal()
        self.monitor.phase("produce", self.schedule)
        last = json.loads(self.chain.fact("frozen") or "")["number"]
        end = last + self.settings.produce.discard + self.settings.produce.proposals
        states: dict[int, ChainState] = {}
        waiting: dict[Future[tuple[ChainState, Step, Seconds]], int] = {}

        def submit(walker: int, number: int) -> None:
            if number <= end:
                task = pool.submit(
                    self._step, walker, number, "produce", states[walker], proposal, proposal.guide
                )
                waiting[task] = walker

        for walker in self.walkers:
            step = self.chain.last(walker)
            assert step is not None
            states[walker] = self._state(step)
            submit(walker, step.number + 1)
        try:
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for task in done:
                    walker = waiting.pop(task)
                    states[walker], step, seconds = task.result()
                    self._keep([(step, seconds)])
                    submit(walker, step.number + 1)
        finally:
            for task in waiting:
                task.cancel()

    def frozen_proposal(self) -> GuidedTrajectory:
        """The proposal as it was frozen.

        Raises `RunDirectoryError` where the guide on disk is not the one that was frozen.
        """
        frozen = json.loads(self.chain.fact("frozen") or "null")
        if frozen is None:
            raise RunDirectoryError(
                f"{self.directory.path} has not finished learning.",
                f"Go on with 'hyperatom resume {self.directory.path}'.",
            )
        guide = LinearDensityPotential.load(self.directory.file("guide.npz"))
        if guide.digest() != frozen["guide"]:
            raise RunDirectoryError(
                "guide.npz is not the guide that was frozen.", "Restore it from a copy."
            )
        return self._guided(guide, frozen["time_step"], frozen["segments"], frozen["largest_error"])

    # -- both ----------------------------------------------------------------------------------

    def _guided(
        self,
        guide: LinearDensityPotential,
        time_step: float,
        segments: int,
        largest_error: float,
    ) -> GuidedTrajectory:
        return GuidedTrajectory(
            guide=guide,
            ensemble=self.ensemble,
            time_step=time_step,
            length=self.settings.sampling.length,
            segments=segments,
            check_every=CHECK_EVERY,
            largest_error=largest_error,
        )

    def _state(self, step: Step) -> ChainState:
        label = self.reference.store.get(step.state_label)
        if label is None:
            raise RunDirectoryError(
                f"labels.db lacks the configuration of walker {step.walker}.",
                "Restore labels.db from a copy, or start a new run.",
            )
        # Masses are not part of a label's identity; those of the campaign move the atoms.
        configuration = self.start.with_positions(label.configuration.positions)
        return ChainState(configuration, label.evaluation)

    def _step(
        self,
        walker: int,
        number: int,
        phase: Phase,
        state: ChainState,
        proposal: Proposal,
        guide: Guide,
        training: bool = False,
    ) -> tuple[ChainState, Step, Seconds]:
        clock = time.perf_counter()
        rng = random_numbers(self.settings.seed, walker, number)
        if training:
            proposed = Proposed(
                rattle(state.configuration, TRAINING_RATTLE, rng), -np.inf, None, {"full": False}
            )
        else:
            proposed = proposal.propose(state.configuration, rng)
        spent_guide = time.perf_counter() - clock
        timed = _Timed(self.reference, f"walker {walker}, step {number}")
        after, transition = metropolis(state, proposed, timed, self.ensemble, rng)
        key = "" if proposed.veto else self.reference.key(proposed.configuration)
        before = state if not transition.accepted else after
        step = Step(
            walker=walker,
            number=number,
            phase=phase,
            guide=guide.digest(),
            record=proposed.record,
            log_ratio=proposed.log_ratio,
            veto=proposed.veto or "",
            failure=transition.failure or "",
            proposed_label=key,
            proposed_energy=_energy(transition.evaluation),
            uniform=transition.uniform,
            log_acceptance=_judged(transition),
            accepted=transition.accepted,
            state_label=self.reference.key(before.configuration),
            state_energy=before.evaluation.energy,
        )
        total = time.perf_counter() - clock
        return after, step, Seconds(guide=spent_guide, reference=timed.seconds, total=total)

    def _keep(self, steps: list[tuple[Step, Seconds]]) -> None:
        self.chain.add(steps)
        for step, seconds in steps:
            if step.phase != "produce":
                self.schedule.take_note(step)
            self.monitor.step(step, seconds)


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
