"""Labels from engines in processes of this machine, each on cores of its own where wanted."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Future

from hyperatom.errors import InputError
from hyperatom.references.ase_calculator import AseReference, EngineEvaluation
from hyperatom.references.farm.backend import Activity
from hyperatom.references.farm.dispatcher import Dispatcher
from hyperatom.references.farm.task import Outcome, Task


class LocalProcesses:
    """As many tasks at the same time as the engine has `workers`; a process each."""

    def __init__(self, engine: AseReference, workers: int) -> None:
        self._engine = engine
        self._dispatcher = Dispatcher(
            lambda task: engine.attempt(task.configuration, tightened=task.tightened),
            lambda task: engine.interrupt(task.configuration),
            workers,
        )

    @property
    def identity(self) -> str:
        """That of the engine."""
        return self._engine.identity

    def submit(self, task: Task) -> "Future[EngineEvaluation]":
        """Queue one attempt."""
        return self._dispatcher.submit(task)

    def hurry(self, key: str) -> None:
        """A speculative label is needed after all."""
        self._dispatcher.hurry(key)

    def withdraw(self, key: str) -> None:
        """Take a task from the queue, or kill its engine."""
        self._dispatcher.withdraw(key)

    def unclaimed(self) -> Iterable[Outcome]:
        """None: engines die with this process."""
        return ()

    def forget(self, key: str) -> None:
        """Nothing is kept."""

    def activity(self) -> Sequence[Activity]:
        """What every engine is doing."""
        return self._dispatcher.activity()

    def close(self) -> None:
        """Kill the engines; attempts under way end in a `HyperatomError`."""
        self._dispatcher.close()
        self._engine.close()


def shares_of_cores(workers: int, threads: int) -> list[tuple[int, ...]]:
    """`threads` cores for each of the workers, out of those that this process may use.

    Raises `InputError` where there are too few.
    """
    if not hasattr(os, "sched_getaffinity"):
        raise InputError(
            "This system cannot pin processes to cores.", "Leave 'pin' of the farm at false."
        )
    cores = sorted(os.sched_getaffinity(0))
    if workers * threads > len(cores):
        raise InputError(
            f"{workers} workers with {threads} threads each need {workers * threads} cores to be "
            f"pinned to, and this process may use {len(cores)}.",
            "Ask for fewer workers or threads, or leave 'pin' of the farm at false.",
        )
    return [tuple(cores[n * threads : (n + 1) * threads]) for n in range(workers)]
