"""Threads that take tasks in the order of their urgency, started only as they are needed."""

import heapq
import itertools
import platform
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from hyperatom.errors import HyperatomError
from hyperatom.references.ase_calculator import EngineEvaluation
from hyperatom.references.farm.backend import Activity
from hyperatom.references.farm.task import Task, Withdrawn


@dataclass
class _Worker:
    task: Task | None = None
    since: float = field(default_factory=time.monotonic)
    done: int = 0
    failed: int = 0
    withdrawn: bool = False


class Dispatcher:
    """Up to `workers` tasks at the same time; `run` makes one attempt, in a thread of its own.

    `stop` ends the computation of a task that is under way, so that `run` raises soon.
    """

    def __init__(
        self,
        run: Callable[[Task], EngineEvaluation],
        stop: Callable[[Task], None],
        workers: int,
    ) -> None:
        self._run = run
        self._stop = stop
        self._limit = workers
        self._order = itertools.count()
        self._waiting: list[tuple[bool, int, Task, Future[EngineEvaluation]]] = []
        self._workers: list[_Worker] = []
        self._idle = 0
        self._closed = False
        self._changed = threading.Condition()

    def submit(self, task: Task) -> "Future[EngineEvaluation]":
        """Queue a task."""
        future: Future[EngineEvaluation] = Future()
        with self._changed:
            if self._closed:
                future.set_exception(_closed())
                return future
            heapq.heappush(self._waiting, (task.speculative, next(self._order), task, future))
            if self._idle < len(self._waiting) and len(self._workers) < self._limit:
                self._workers.append(_Worker())
                name = f"label worker {len(self._workers)}"
                threading.Thread(
                    target=self._work, args=(self._workers[-1],), name=name, daemon=True
                ).start()
            self._changed.notify()
        return future

    def hurry(self, key: str) -> None:
        """Let a task that waits go before speculative ones."""
        with self._changed:
            self._waiting = [
                (speculative and task.key != key, order, task, future)
                for speculative, order, task, future in self._waiting
            ]
            heapq.heapify(self._waiting)

    def withdraw(self, key: str) -> None:
        """Take a task from the queue, or stop it."""
        with self._changed:
            gone = [one for one in self._waiting if one[2].key == key]
            self._waiting = [one for one in self._waiting if one[2].key != key]
            heapq.heapify(self._waiting)
            for worker in self._workers:
                if worker.task is not None and worker.task.key == key:
                    worker.withdrawn = True
                    self._stop(worker.task)
        for _, _, _, future in gone:
            future.set_exception(Withdrawn("The label is not wanted any more."))

    def activity(self) -> Sequence[Activity]:
        """What every worker is doing."""
        now, host = time.monotonic(), platform.node()
        with self._changed:
            return [
                Activity(
                    str(number),
                    host,
                    worker.task.provenance if worker.task else "waits for work",
                    worker.task is not None,
                    now - worker.since,
                    worker.done,
                    worker.failed,
                )
                for number, worker in enumerate(self._workers, 1)
            ]

    def close(self) -> None:
        """End the threads; tasks that wait end in a `HyperatomError`."""
        with self._changed:
            self._closed = True
            waiting, self._waiting = self._waiting, []
            self._changed.notify_all()
        for _, _, _, future in waiting:
            future.set_exception(_closed())

    def _work(self, worker: _Worker) -> None:
        while True:
            with self._changed:
                self._idle += 1
                while not self._waiting and not self._closed:
                    self._changed.wait()
                self._idle -= 1
                if self._closed:
                    return
                _, _, task, future = heapq.heappop(self._waiting)
                worker.task, worker.since, worker.withdrawn = task, time.monotonic(), False
            answer: EngineEvaluation | None = None
            problem: BaseException | None = None
            try:
                answer = self._run(task)
            except BaseException as raised:
                problem = raised
            with self._changed:
                worker.task, worker.since = None, time.monotonic()
                worker.done += answer is not None
                worker.failed += answer is None
                if worker.withdrawn and problem is not None:
                    problem = Withdrawn("The label is not wanted any more.")
            if answer is not None:
                future.set_result(answer)
            else:
                future.set_exception(problem or _closed())


def _closed() -> HyperatomError:
    return HyperatomError("The reference has been closed.", "Open it anew to evaluate more.")
