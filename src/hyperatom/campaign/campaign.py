"""A campaign: learn -> freeze -> probe -> produce -> average, or -> average -> weigh.

While learning, a walker's every judgement teaches the guide, so its chain samples nothing exactly.
Then the guide, the time step and the distribution of path lengths are frozen. A probation follows
that counts for nothing: if the frozen guide does much worse in it than it did while learning, the
campaign goes back to learning. Only what the frozen guide proposes after its probation counts as
exact; nothing seen from there on changes what is proposed, or whether it counts. At the end the
guide samples itself, free of calls, to sharpen the averages. Where weighing the guide's own samples
costs less than judging its proposals, and the input asks for that, it samples itself first and the
reference weighs what it sampled (see `weighing`); that is decided on probation alone.

Random numbers are drawn from (seed, walker, step), labels are stored before they are used, and a
step is stored before the next begins: killed at any moment and resumed, a campaign makes the chain
it would have made.
"""

import json
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hyperatom.campaign.advice import compare_strategies, decide
from hyperatom.campaign.chain_store import ChainStore, Phase, Step
from hyperatom.campaign.farming import labels_at_a_time
from hyperatom.campaign.guide_chain import BURN_IN, GuideChain, GuideChainStore
from hyperatom.campaign.ladder import Ladder
from hyperatom.campaign.learning import Learner
from hyperatom.campaign.monitor import Monitor
from hyperatom.campaign.moves import at_rung, frozen_move, with_swaps
from hyperatom.campaign.own_pace import at_own_pace
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.schedule import Schedule
from hyperatom.campaign.settings import Settings
from hyperatom.campaign.stepping import Moved, Stepper, TrainingDisplacement
from hyperatom.campaign.weighing import Weighing
from hyperatom.configuration import Configuration
from hyperatom.contracts import Guide, Proposal
from hyperatom.errors import RunDirectoryError
from hyperatom.references.ring_label import keys_of_beads
from hyperatom.references.stored import StoredReference
from hyperatom.sampling.exploring_trajectory import ExploringTrajectory
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from hyperatom.sampling.metropolis import ChainState

CHECK_EVERY = 10
"""Steps between two points of a path at which its error is looked at."""


@dataclass
class Campaign:
    """Everything a campaign needs, put together by `assembly`."""

    settings: Settings
    directory: RunDirectory
    chain: ChainStore
    guide_chain: GuideChainStore
    reference: StoredReference
    learner: Learner
    start: Configuration
    monitor: Monitor
    workers: int = 1
    cheap: StoredReference | None = None

    def __post_init__(self) -> None:
        self.stepper = Stepper(self.settings, self.start, self.reference, self.cheap)
        self.ensemble = self.stepper.ensemble
        self.ladder = Ladder(self.stepper)
        self.walkers = range(self.settings.chains)
        self.schedule = Schedule(self.settings, self.start.n_atoms)
        self._taught = -1

    def run(self) -> None:
        """Go on from wherever the chain on disk ends, to the end."""
        self._name_engines()
        for step in self.chain.steps():
            self.schedule.take_note(step)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="walker") as pool:
            while True:
                if self.chain.frozen() is None:
                    self._learn(pool)
                    self._freeze()
                self._probe(pool)
                if self._passed():
                    break
                self._thaw()
            self._decide()
            if self.reweighting:
                self._average(pool)
                self._weigh()
            else:
                self._produce(pool)
                self._average(pool)

    def close_engines(self) -> None:
        """End what they are computing, so that the campaign stops at once."""
        self.reference.close()
        if self.cheap is not None:
            self.cheap.close()

    def _name_engines(self) -> None:
        """Whose labels are whose, for those who read the run without starting an engine."""
        engines = {"reference": self.reference.identity}
        if self.cheap is not None:
            engines["cheap"] = self.cheap.identity
        self.chain.add([], {"engines": json.dumps(engines)})

    # -- learn ---------------------------------------------------------------------------------

    def _learn(self, pool: Executor) -> None:
        self.monitor.phase("learn", self.schedule)
        if not self.chain.steps():
            self._keep(list(pool.map(self.stepper.begin, self.walkers)))
        states = self._states()
        while not self.schedule.finished:
            clock = time.perf_counter()
            self._catch_up()
            guide = self.learner.fit()
            spent = time.perf_counter() - clock
            moves = self._explorations(guide)
            if self.schedule.stranded:
                moves = [TrainingDisplacement()] * len(moves)
            moved = self._round(pool, "learn", states, moves, guide.digest())
            states = [state for state, _, _ in moved]
            self._keep(moved, fit=spent / len(moved))

    def _catch_up(self) -> None:
        """Teach the guide all that it has not been taught, in the order in which it was found.

        The fit between rounds is part of what a learner is: its surprises are measured against it.
        """
        for step in self.chain.steps():
            if step.number <= self._taught:
                continue
            if step.number > self._taught + 1:
                self._taught = step.number - 1
                self.learner.fit()
            if step.proposed_energy is None:
                continue
            for key in keys_of_beads(step.proposed_label):
                label = self.reference.store.get(key)
                if label is None:
                    raise RunDirectoryError(
                        f"labels.db lacks the label of step {step.number}.",
                        "Restore labels.db from a copy, or start a new run.",
                    )
                self.learner.add(label.configuration, label.evaluation)
        self._taught = self._latest()

    def _explorations(self, guide: Guide) -> list[Proposal]:
        """How the chains of each rung move while learning."""
        limit = self._limit(guide, self.settings.learn.ask_beyond)
        path = self._guided(guide, self.schedule.time_step, self.schedule.segments, limit)
        paths = [at_rung(path, ensemble) for ensemble in self.stepper.ensembles]
        return [
            with_swaps(
                ExploringTrajectory(replace(path, largest_error=np.inf), path.largest_error),
                self.settings.sampling.swaps,
            )
            for path in paths
        ]

    def _limit(self, guide: Guide, wanted: float) -> float:
        """`wanted` k_BT in eV, but no tighter than the guide's own noise can pass.

        Noise of beads is independent, and their mean counts.
        """
        floor = self.learner.floor(guide) / np.sqrt(self.settings.beads)
        return float(max(wanted * self.ensemble.thermal_energy, 2.0 * floor))

    # -- freeze, probe, thaw -------------------------------------------------------------------

    def _freeze(self) -> None:
        self._catch_up()
        guide = self.learner.fit()
        guide.save(self.directory.file("guide.npz"))
        frozen = {
            "guide": guide.digest(),
            "time_step": self.schedule.time_step,
            "segments": self.schedule.segments,
            "largest_error": self._limit(guide, self.settings.sampling.veto),
            "number": self._latest(),
            "labels": self.learner.n_labels,
            "forgotten": self.learner.forgotten,
            "unseen": self.learner.unseen,
        }
        frozen["strategies"] = compare_strategies(self.chain.steps(), self.settings)
        self.chain.add([], {"frozen": json.dumps(frozen)})
        self.directory.log(
            f"frozen after {self.schedule.calls} calls, acceptance {self.schedule.acceptance:.2f} "
            f"over the last {len(self.schedule.window)} full paths; " + self.learner.knows()
        )

    def _probe(self, pool: Executor) -> None:
        frozen = self.frozen()
        end = frozen["number"] + self.settings.learn.probation
        if self._latest() >= end:
            return
        self.monitor.phase("probe", self.schedule)
        self._go_on(pool, "probe", end)

    def _passed(self) -> bool:
        """Decided on probation steps alone, which count for nothing: production is not selected."""
        end = self.frozen()["number"] + self.settings.learn.probation
        if self._latest() > end or self.schedule.spent:
            return True
        return self.schedule.acceptance >= 0.75 * self.settings.learn.acceptance

    def _thaw(self) -> None:
        self.chain.add([], {"frozen": "null"})
        self.directory.log(
            f"thawed: acceptance fell to {self.schedule.acceptance:.2f} in probation; learning on"
        )

    def _decide(self) -> None:
        """Judge or weigh? Once, before anything counts, and kept: resumed, it stays so."""
        frozen = self.frozen()
        if "strategy" in frozen:
            return
        frozen["strategy"] = self.settings.produce.strategy
        if frozen["strategy"] == "auto":
            steps = [step for step in self.chain.steps() if step.number >= frozen["number"]]
            spent = self.chain.seconds()
            each = [spent[s.walker, s.number].reference for s in steps if s.phase == "probe"]
            seconds = float(np.median(each)) if each else 0.0
            workers = labels_at_a_time(self.settings)
            frozen["strategy"], reason = decide(steps, self.settings, workers, seconds)
            frozen["strategies"] = reason
            self.directory.log(reason)
        self.chain.add([], {"frozen": json.dumps(frozen)})

    @property
    def reweighting(self) -> bool:
        """Are samples of the guide weighed, instead of its proposals judged?"""
        return bool(self.frozen().get("strategy") == "reweighting")

    def frozen(self) -> dict[str, Any]:
        """What was frozen.

        Raises `RunDirectoryError` while the campaign is still learning.
        """
        frozen = self.chain.frozen()
        if frozen is None:
            raise RunDirectoryError(
                f"{self.directory.path} has not finished learning.",
                f"Go on with 'hyperatom resume {self.directory.path}'.",
            )
        return frozen

    def frozen_moves(self) -> list[Proposal]:
        """What is proposed at each rung from the freeze on; errors as for `frozen_path`."""
        return [frozen_move(path, self.settings.sampling) for path in self.frozen_paths()]

    def production_moves(self) -> list[Proposal]:
        """The same, as the cheap engine of a pair lets it pass; errors as for `frozen_path`."""
        return [self.stepper.screened(move, "replay") for move in self.frozen_moves()]

    def frozen_paths(self) -> list[GuidedTrajectory]:
        """Those of each rung; errors as for `frozen_path`."""
        path = self.frozen_path()
        return [at_rung(path, ensemble) for ensemble in self.stepper.ensembles]

    def frozen_path(self) -> GuidedTrajectory:
        """The guided trajectories as they were frozen; of a ladder those of the first rung.

        Raises `RunDirectoryError` where the guide on disk is not the one that was frozen.
        """
        frozen = self.frozen()
        guide = self.learner.load(self.directory.file("guide.npz"))
        if guide.digest() != frozen["guide"]:
            raise RunDirectoryError(
                "guide.npz is not the guide that was frozen.", "Restore it from a copy."
            )
        return self._guided(guide, frozen["time_step"], frozen["segments"], frozen["largest_error"])

    # -- produce -------------------------------------------------------------------------------

    def _produce(self, pool: Executor) -> None:
        self.monitor.phase("produce", self.schedule)
        frozen = self.frozen()
        first = frozen["number"] + self.settings.learn.probation
        end = first + self.settings.produce.proposals
        if len(self.settings.rungs) > 1:
            # Who exchanges waits for the others.
            self.stepper.freeze(lambda: self.frozen_path().guide)
            self._go_on(pool, "produce", end)
            return
        (move,) = self.frozen_moves()
        latest = {step.walker: step for step in self._last_steps()}
        with closing(at_own_pace(self.stepper, pool, latest, move, frozen["guide"], end)) as steps:
            for moved in steps:
                self._keep([moved])

    # -- average -------------------------------------------------------------------------------

    def own_chain(self) -> GuideChain:
        """The guide's own chain; what is to be weighed knows no veto."""
        path = self.frozen_path()
        if self.reweighting:
            path = replace(path, largest_error=np.inf)
        return GuideChain(
            self.guide_chain,
            self.reference.store,
            path,
            self.ensemble,
            self.start,
            self.settings.seed,
            self.settings.sampling.swaps,
        )

    @property
    def _last_free(self) -> int:
        """Samples that each walker's guide chain is to have."""
        planned = self.settings.free_samples
        if self.reweighting:
            planned = max(planned, BURN_IN + self.settings.produce.proposals)
        return planned

    def _average(self, pool: Executor) -> None:
        n_samples = self._last_free
        if n_samples == 0:
            return
        self.monitor.phase("average", self.schedule)
        chain = self.own_chain()
        first = self.frozen()["number"] + self.settings.learn.probation
        produced = []
        for walker in self.walkers:
            # The step before the first that counts says where the walker was.
            counted = [step for step in self.chain.steps(walker) if step.number >= first]
            chain.hear(step.state_label for step in counted)
            chain.hear(step.proposed_label for step in counted[1:])
            produced.append(counted[:1] if self.reweighting else counted[1:])
        tasks = [
            pool.submit(chain.run, walker, n_samples, steps, self.monitor.free_sample)
            for walker, steps in zip(self.walkers, produced, strict=True)
        ]
        try:
            done, _ = wait(tasks, return_when=FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            chain.stopped.set()

    def _weigh(self) -> None:
        self.monitor.phase("produce", self.schedule)
        n_samples = self.settings.produce.proposals
        weighing = Weighing(self.stepper, self.own_chain(), n_samples, self._last_free)
        first = self.frozen()["number"] + self.settings.learn.probation + 1
        for step, spent in weighing.run(self._last_steps(), first, labels_at_a_time(self.settings)):
            self._keep([(self.stepper.state_after(step), step, spent)])

    # -- all -----------------------------------------------------------------------------------

    def _go_on(self, pool: Executor, phase: Phase, end: int) -> None:
        """Rounds of the frozen guide, up to that of number `end`."""
        moves, guide = self.frozen_moves(), self.frozen()["guide"]
        states = self._states()
        while self._latest() < end:
            moved = self._round(pool, phase, states, moves, guide)
            states = [state for state, _, _ in moved]
            self._keep(moved)

    def _round(
        self,
        pool: Executor,
        phase: Phase,
        states: list[ChainState],
        moves: Sequence[Proposal],
        guide: str,
    ) -> list[Moved]:
        """The next step of every walker, at the same time; `moves` are those of each rung."""
        number = self._latest() + 1

        def move(walker: int) -> Moved:
            own = moves[walker % len(moves)]
            return self.stepper.step(walker, number, phase, states[walker], own, guide)

        return self.ladder.exchanged(list(pool.map(move, self.walkers)), number)

    def _guided(
        self,
        guide: Guide,
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

    def _states(self) -> list[ChainState]:
        """Where every walker is."""
        return [self.stepper.state_after(step) for step in self._last_steps()]

    def _latest(self) -> int:
        """Number of the latest step of any walker, -1 before the first."""
        return max((step.number for step in self._last_steps()), default=-1)

    def _last_steps(self) -> list[Step]:
        """The latest step of each walker that has one."""
        last = [self.chain.last(walker) for walker in self.walkers]
        return [step for step in last if step is not None]

    def _keep(self, moved: list[Moved], fit: float = 0.0) -> None:
        steps = [
            (step, replace(spent, fit=fit, total=spent.total + fit)) for _, step, spent in moved
        ]
        self.chain.add(steps)
        for step, seconds in steps:
            self.schedule.take_note(step)
            self.monitor.step(step, seconds)
