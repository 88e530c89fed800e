"""A reference asked bead by bead: what first principles say of a ring polymer."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.contracts import Reference
from hyperatom.errors import InputError, ReferenceFailure
from hyperatom.evaluation import Evaluation
from hyperatom.ring_polymer import RingPolymer


class BeadReference:
    """A `Reference` for ring polymers over one for the atoms themselves.

    Each bead is a question of its own: over a `StoredReference` each answer is on disk before it is
    used, and a bead that was asked for before costs nothing. `workers` beads are asked for at the
    same time; the answer does not depend on how many. A plain configuration goes straight through.

    Raises `InputError` for fewer than one worker.
    """

    def __init__(self, reference: Reference, workers: int = 1) -> None:
        if workers < 1:
            raise InputError(f"Beads cannot be evaluated by {workers} workers.", "Use at least 1.")
        self.reference = reference
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="bead")

    @property
    def identity(self) -> str:
        """That of the reference behind: a ring's digest knows that it is a ring."""
        return self.reference.identity

    def evaluate(self, configuration: Configuration) -> Evaluation:
        """Sums over the beads of energy (eV) and stress (eV/Å^3); forces (n_beads n_atoms, 3).

        Raises `ReferenceFailure` where a bead, named in the text, has no trustworthy answer. The
        other beads are still answered, so that a replay finds all of them.
        """
        if not isinstance(configuration, RingPolymer):
            return self.reference.evaluate(configuration)
        return answer_of_beads(
            [self._pool.submit(self.reference.evaluate, bead) for bead in configuration.beads()]
        )

    def close(self) -> None:
        """End the workers and close the reference behind."""
        self._pool.shutdown(cancel_futures=True)
        self.reference.close()


def answer_of_beads(tasks: Sequence["Future[Evaluation]"]) -> Evaluation:
    """The evaluation of a ring polymer, once all of its beads have theirs; errors as above."""
    answers: list[Evaluation] = []
    failure: ReferenceFailure | None = None
    for number, task in enumerate(tasks, start=1):
        try:
            answers.append(task.result())
        except ReferenceFailure as problem:
            failure = failure or ReferenceFailure(
                f"Bead {number} of {len(tasks)}: {problem.problem}", problem.cure
            )
    if failure is not None:
        raise failure
    return sum_over_beads(answers)


def sum_over_beads(answers: list[Evaluation]) -> Evaluation:
    """The evaluation of a ring polymer from those of its beads, in order."""
    stresses = [answer.stress for answer in answers if answer.stress is not None]
    # Summed in the order of the beads, so that the last bit does not depend on who was first.
    return Evaluation(
        energy=float(sum(answer.energy for answer in answers)),
        forces=np.concatenate([answer.forces for answer in answers]),
        stress=np.sum(stresses, axis=0) if len(stresses) == len(answers) else None,
        origin=answers[0].origin,
        seconds=float(sum(answer.seconds for answer in answers)),
    )
