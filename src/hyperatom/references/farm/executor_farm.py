"""Labels from any `concurrent.futures.Executor`: those of executorlib, Parsl and Dask, thinly.

| backend       | library     | good for                                 | file                  |
|---------------|-------------|------------------------------------------|-----------------------|
| `executorlib` | executorlib | Slurm and Flux, a job or an allocation   | `with_executorlib.py` |
| `parsl`       | parsl       | pilot jobs on most batch systems         | `with_parsl.py`       |
| `dask`        | distributed | a Dask cluster that is there already     | `with_dask.py`        |

These libraries bring workers to life and messages to them. Attempts, time-outs and what counts as
a failure stay ours; what a library loses (a worker, a pool) is an attempt that came to nothing, and
a broken pool is made anew.
"""

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass, field
from typing import Any

from hyperatom.errors import HyperatomError
from hyperatom.references.ase_calculator import EngineEvaluation
from hyperatom.references.farm.backend import Activity
from hyperatom.references.farm.remote_task import compute
from hyperatom.references.farm.task import (
    Outcome,
    Task,
    Withdrawn,
    WorkerLost,
    WorkerRefusal,
    outcome_from_text,
    task_text,
)


@dataclass(frozen=True)
class ExecutorKind:
    """How to make an executor, and what goes with each of its tasks."""

    make: Callable[[], Executor]
    options: Mapping[str, Any] = field(default_factory=dict)


class ExecutorFarm:
    """Tasks go to an executor as text. Its queue knows no urgency: first come, first served."""

    def __init__(self, kind: ExecutorKind, engine: dict[str, Any], identity: str) -> None:
        self._kind = kind
        self._engine = engine
        self._identity = identity
        self._lock = threading.Lock()
        self._executor = kind.make()
        self._under_way: dict[str, tuple[Task, Future[str]]] = {}
        self._done = self._failed = 0
        self._closed = False

    @property
    def identity(self) -> str:
        """That of the engine."""
        return self._identity

    def submit(self, task: Task) -> "Future[EngineEvaluation]":
        """Hand one attempt to the executor, to a new one where the old one broke."""
        future: Future[EngineEvaluation] = Future()
        text = task_text(task, self._engine, self._identity)
        with self._lock:
            if self._closed:
                future.set_exception(_closed())
                return future
            try:
                remote = self._hand_over(text)
            except Exception:  # each library has errors of its own for a pool that broke
                self._executor.shutdown(wait=False)
                self._executor = self._kind.make()
                remote = self._hand_over(text)
            self._under_way[task.key] = task, remote
        remote.add_done_callback(lambda done: self._settle(task, done, future))
        return future

    def hurry(self, key: str) -> None:
        """An executor's queue knows no urgency."""

    def withdraw(self, key: str) -> None:
        """Cancel a task; one that is under way is paid for."""
        with self._lock:
            _, remote = self._under_way.get(key, (None, None))
        if remote is not None:
            remote.cancel()

    def unclaimed(self) -> Iterable[Outcome]:
        """None: what an executor finishes for a run that has ended is not kept."""
        return ()

    def forget(self, key: str) -> None:
        """Nothing is kept."""

    def activity(self) -> Sequence[Activity]:
        """One line for the whole executor: which worker does what is the library's own business."""
        with self._lock:
            running = sum(remote.running() for _, remote in self._under_way.values())
            waiting = len(self._under_way) - running
            name = type(self._executor).__name__
        doing = f"{running} labels under way, {waiting} waiting"
        return [Activity(name, "", doing, running > 0, 0.0, self._done, self._failed)]

    def close(self) -> None:
        """Cancel what waits and shut the executor down."""
        with self._lock:
            self._closed = True
            executor = self._executor
            under_way = list(self._under_way.values())
        for _, remote in under_way:
            remote.cancel()
        executor.shutdown(wait=False)

    def _hand_over(self, text: str) -> "Future[str]":
        return self._executor.submit(compute, text, **self._kind.options)

    def _settle(self, task: Task, done: "Future[str]", future: "Future[EngineEvaluation]") -> None:
        with self._lock:
            if self._under_way.get(task.key, (None, None))[1] is done:
                del self._under_way[task.key]
        try:
            answer = _answer(done)
        except HyperatomError as problem:
            self._failed += 1
            future.set_exception(_closed() if self._closed else problem)
        else:
            self._done += 1
            future.set_result(answer)


def _answer(done: "Future[str]") -> EngineEvaluation:
    try:
        text = done.result()
    except CancelledError:
        raise Withdrawn("The label is not wanted any more.") from None
    except Exception as problem:
        raise WorkerLost(
            f"The executor lost the label: {type(problem).__name__}: {problem}.",
            "Look at the log of the executor and of the batch system.",
        ) from problem
    content = json.loads(text)
    if "refusal" in content:
        raise WorkerRefusal(content["refusal"], content["cure"])
    answer = outcome_from_text(text).answer
    if isinstance(answer, EngineEvaluation):
        return answer
    raise answer


def _closed() -> HyperatomError:
    return HyperatomError("The reference has been closed.", "Open it anew to evaluate more.")
