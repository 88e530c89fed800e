"""Reweighting in place of a chain: the guide samples itself, the reference weighs its samples.

    <a>_D = <w a>_M / <w>_M,    w = exp[-(U_D - U_M) / k_B T]

First the frozen guide's own chain runs, free of calls and without a veto. Then evenly spaced
samples of it are labelled, as many at a time as there are engines: none has to wait for another.
What is sampled is the guide's ensemble; weighed averages are the reference's in the limit of many
samples, and `analysis.reweighting` says how far away that is. A sample for which the reference has
no answer has no weight, so that the ensemble is then conditioned on convergence.

Of a weighed sample the chain on disk keeps a step: `record` has the sample's number, the guide's
energy and the logarithm of the weight, and `accepted` says whether there is one.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hyperatom.campaign.chain_store import Seconds, Step
from hyperatom.campaign.guide_chain import BURN_IN, GuideChain
from hyperatom.campaign.stepping import Stepper
from hyperatom.configuration import Configuration
from hyperatom.errors import ReferenceFailure
from hyperatom.evaluation import Evaluation

Array = NDArray[np.float64]
Answer = tuple[Evaluation | None, str, float]
"""What the reference said, or why it said nothing; and the seconds it took."""


@dataclass(frozen=True)
class Question:
    """A sample on its way to the reference; `guide_energy` in eV."""

    configuration: Configuration
    guide_energy: float
    answer: "Future[Answer]"


@dataclass(frozen=True)
class Weighing:
    """Weighs `n_samples` of the `n_free` samples that each walker's guide chain has."""

    stepper: Stepper
    guide_chain: GuideChain
    n_samples: int
    n_free: int

    def number_in_chain(self, sample: int) -> int:
        """Which sample of the guide's chain is the `sample`-th to be weighed, both from 0."""
        stride = (self.n_free - BURN_IN) // self.n_samples
        return BURN_IN + stride * (sample + 1) - 1

    def run(
        self, latest: Sequence[Step], first: int, workers: int
    ) -> Iterator[tuple[Step, Seconds]]:
        """Steps `first` and on of each walker, in order, after the `latest` of each.

        `workers` samples are answered at a time.
        """
        before = {step.walker: step for step in latest}
        asked: deque[tuple[int, int, Question]] = deque()
        with ThreadPoolExecutor(workers, thread_name_prefix="weigh") as pool:
            try:
                for sample in range(self.n_samples):
                    for walker, step in before.items():
                        if first + sample > step.number:
                            asked.append((walker, sample, self.ask(pool, walker, sample)))
                while asked:
                    walker, sample, question = asked.popleft()
                    before[walker], spent = self.step(before[walker], sample, question)
                    yield before[walker], spent
            finally:
                for _, _, question in asked:
                    question.answer.cancel()

    def ask(self, pool: Executor, walker: int, sample: int) -> Question:
        """Ask for the label of a walker's `sample`-th sample."""
        energy, positions, cell = self.guide_chain.sample(walker, self.number_in_chain(sample))
        configuration = self.stepper.start.with_cell(positions, cell)
        answer = pool.submit(self._evaluate, configuration, walker, sample)
        return Question(configuration, energy, answer)

    def _evaluate(self, configuration: Configuration, walker: int, sample: int) -> Answer:
        clock = time.perf_counter()
        evaluation, failure = None, ""
        try:
            evaluation = self.stepper.reference.evaluate(
                configuration, f"walker {walker}, sample {sample} of the guide"
            )
        except ReferenceFailure as problem:
            failure = str(problem)
        return evaluation, failure, time.perf_counter() - clock

    def step(self, before: Step, sample: int, question: Question) -> tuple[Step, Seconds]:
        """The step of a sample, once it is answered, after the step `before` of its walker."""
        evaluation, failure, seconds = question.answer.result()
        key = self.stepper.reference.key(question.configuration)
        energy = question.guide_energy
        record = {"sample": self.number_in_chain(sample), "guide_energy": energy}
        if evaluation is not None:
            thermal_energy = self.stepper.ensemble.thermal_energy
            record["log_weight"] = -(evaluation.energy - energy) / thermal_energy
        found = evaluation is not None
        step = Step(
            walker=before.walker,
            number=before.number + 1,
            phase="produce",
            guide=self.guide_chain.digest,
            record=record,
            log_ratio=0.0,
            veto="",
            failure=failure,
            proposed_label=key,
            proposed_energy=None if evaluation is None else evaluation.energy,
            uniform=0.0,
            log_acceptance=None,
            accepted=found,
            state_label=key if found else before.state_label,
            state_energy=evaluation.energy if evaluation is not None else before.state_energy,
        )
        return step, Seconds(reference=seconds, total=seconds)


def log_weights(walkers: Sequence[Sequence[Step]]) -> list[Array] | None:
    """Of the steps that count, by walker, -inf where the reference had no answer.

    None where they are those of a chain, which all count alike.
    """
    if not any("sample" in step.record for walker in walkers for step in walker):
        return None
    return [
        np.array([step.record.get("log_weight", -np.inf) for step in walker]) for walker in walkers
    ]


def weights_follow(steps: Sequence[Step], thermal_energy: float) -> str:
    """Which weight does not follow from the stored energies, in a sentence; empty: all do."""
    for before, step in pairwise(steps):
        if "sample" not in step.record:
            continue
        where = f"step {step.number} of walker {step.walker}"
        if step.number != before.number + 1:
            return f"Steps before {where} are missing."
        if step.proposed_energy is None:
            wanted, after = None, (before.state_label, before.state_energy)
        else:
            wanted = -(step.proposed_energy - step.record["guide_energy"]) / thermal_energy
            after = step.proposed_label, step.proposed_energy
        if step.record.get("log_weight") != wanted:
            return f"The weight of {where} does not follow."
        if (step.state_label, step.state_energy) != after:
            return f"The state after {where} does not follow."
    return ""
