"""Labels from any reference, asked in threads of this process: potentials, tests, engines apart."""

import platform
from collections.abc import Iterable, Sequence
from concurrent.futures import Future

from hyperatom.contracts import Reference
from hyperatom.references.ase_calculator import EngineEvaluation
from hyperatom.references.farm.backend import Activity
from hyperatom.references.farm.dispatcher import Dispatcher
from hyperatom.references.farm.task import Outcome, Task


class InProcess:
    """Up to `workers` calls of a thread-safe reference at the same time.

    A call that is under way cannot be stopped: a label that is withdrawn then is paid for.
    """

    def __init__(self, reference: Reference, workers: int = 1) -> None:
        self._reference = reference
        self._dispatcher = Dispatcher(self._run, lambda _task: None, workers)

    @property
    def identity(self) -> str:
        """That of the reference."""
        return self._reference.identity

    def submit(self, task: Task) -> "Future[EngineEvaluation]":
        """Queue one call."""
        return self._dispatcher.submit(task)

    def hurry(self, key: str) -> None:
        """A speculative label is needed after all."""
        self._dispatcher.hurry(key)

    def withdraw(self, key: str) -> None:
        """Take a task from the queue."""
        self._dispatcher.withdraw(key)

    def unclaimed(self) -> Iterable[Outcome]:
        """None: what ends with this process leaves nothing behind."""
        return ()

    def forget(self, key: str) -> None:
        """Nothing is kept."""

    def activity(self) -> Sequence[Activity]:
        """What every thread is doing."""
        return self._dispatcher.activity()

    def close(self) -> None:
        """End the threads and close the reference."""
        self._dispatcher.close()
        self._reference.close()

    def _run(self, task: Task) -> EngineEvaluation:
        evaluation = self._reference.evaluate(task.configuration)
        if isinstance(evaluation, EngineEvaluation):
            return evaluation
        return EngineEvaluation(
            energy=evaluation.energy,
            forces=evaluation.forces,
            stress=evaluation.stress,
            energy_error=evaluation.energy_error,
            origin=evaluation.origin,
            seconds=evaluation.seconds,
            host=platform.node(),
        )
