"""The run's side of the file queue: labels computed by workers that share nothing but a folder.

Workers (`hyperatom worker FOLDER`) come and go as they please. What they finish while the run is
not listening waits for it; a worker without a sign of life for `silence` seconds is dead, and its
task is lost to it.
"""

import hashlib
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hyperatom.errors import HyperatomError
from hyperatom.references.ase_calculator import EngineEvaluation
from hyperatom.references.engine_process import EngineFailure
from hyperatom.references.farm.backend import Activity
from hyperatom.references.farm.file_queue import Arrived, FileQueue, Lease, Patience, TaskName
from hyperatom.references.farm.task import (
    Outcome,
    Task,
    Withdrawn,
    WorkerLost,
    outcome_from_text,
    task_text,
)

_DELIVERIES: Final = 8  # at a time


@dataclass
class _Awaited:
    task: Task
    future: "Future[EngineEvaluation]"
    name: TaskName | None
    """None: a worker has had it since an earlier life of the run."""


class QueueFarm:
    """Tasks go to the folder `queue`, outcomes come from there.

    `engine` is what `AseReference` takes, `identity` what every worker's engine must have. `run`
    names the run, the same in every life of it (`run_name`), so that it finds what it has paid for.
    """

    def __init__(
        self,
        queue: FileQueue,
        engine: dict[str, Any],
        identity: str,
        run: str,
        *,
        silence: float = 120.0,
    ) -> None:
        self.queue = queue
        self._engine = engine
        self._identity = identity
        self._run = run
        self._silence = silence
        self._awaited: dict[str, _Awaited] = {}
        self._unclaimed: dict[str, Path] = {}
        self._kept: dict[str, list[Path]] = {}
        self._seen: dict[str, tuple[str | None, float]] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._delivery = ThreadPoolExecutor(_DELIVERIES, thread_name_prefix="outcomes")
        # Nobody knows yet whether an earlier life's questions will be asked again.
        for name in queue.waiting():
            if name.run == run:
                queue.remove(name)
        self._inherited = {lease.name.key for lease in queue.leases() if lease.name.run == run}
        self._thread = threading.Thread(target=self._watch, name="queue", daemon=True)
        self._thread.start()

    @property
    def identity(self) -> str:
        """That of the engine."""
        return self._identity

    def submit(self, task: Task) -> "Future[EngineEvaluation]":
        """Put one attempt into the queue, unless a worker has had it since an earlier life."""
        future: Future[EngineEvaluation] = Future()
        with self._changed:
            if self._closed:
                future.set_exception(_closed())
                return future
            awaited = _Awaited(task, future, None)
            self._awaited[task.key] = awaited
            if task.key not in self._inherited:
                text = task_text(task, self._engine, self._identity)
                try:
                    awaited.name = self.queue.put(
                        task.speculative, self._run, task.key, task.attempt, text
                    )
                except OSError as problem:
                    del self._awaited[task.key]
                    future.set_exception(_cannot_write(self.queue.path, problem))
                    return future
            self._changed.notify()
        return future

    def hurry(self, key: str) -> None:
        """Let a task that waits go before speculative ones."""
        with self._changed:
            awaited = self._awaited.get(key)
            if awaited is not None and awaited.name is not None and awaited.name.speculative:
                with suppress(OSError):
                    awaited.name = self.queue.hurry(awaited.name)

    def withdraw(self, key: str) -> None:
        """Take a task from the queue, or from its worker, which then stops its engine."""
        with self._changed:
            awaited = self._awaited.pop(key, None)
        if awaited is not None:
            self._take_back(awaited)
            awaited.future.set_exception(Withdrawn("The label is not wanted any more."))

    def unclaimed(self) -> Iterable[Outcome]:
        """What workers finished, or failed at, while nobody was waiting for it."""
        for arrived in self.queue.arrived(self._run):
            with self._changed:
                if arrived.key in self._awaited:
                    continue
            outcome = None if arrived.lost else _read(arrived.path)
            if outcome is None or outcome.identity == self._identity:
                self._kept.setdefault(arrived.key, []).append(arrived.path)
                yield outcome or Outcome(arrived.key, self._identity, None, _lost(arrived))

    def forget(self, key: str) -> None:
        """Delete the files of outcomes that are in the store now."""
        with self._changed:
            self._inherited.discard(key)
        for path in self._kept.pop(key, []):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def activity(self) -> Sequence[Activity]:
        """What every worker of the queue is doing, for whichever run."""
        return activity(self.queue)

    def close(self) -> None:
        """Take back what nobody has begun. What workers are computing waits for the next life."""
        with self._changed:
            self._closed = True
            awaited, self._awaited = list(self._awaited.values()), {}
            self._changed.notify()
        self._thread.join()
        self._delivery.shutdown(wait=True)
        for one in awaited:
            if one.name is not None:
                with suppress(OSError):
                    self.queue.remove(one.name)
            one.future.set_exception(_closed())

    def _watch(self) -> None:
        patience, looked_for_the_dead = Patience(), time.monotonic()
        while True:
            with self._changed:
                if not self._awaited and not self._closed:
                    self._changed.wait()
                    patience.renew()
                if self._closed:
                    return
            start = time.monotonic()
            # A network disk that is away for a moment: look again.
            with suppress(OSError):
                for arrived in self.queue.arrived(self._run):
                    if self._receive(arrived):
                        patience.renew()
                if start - looked_for_the_dead > self._silence / 20.0:
                    looked_for_the_dead = start
                    self._look_for_the_dead(start)
            pause = patience.pause(time.monotonic() - start)
            with self._changed:
                self._changed.wait_for(lambda: self._closed, pause)

    def _receive(self, arrived: Arrived) -> bool:
        """Hand an outcome to whoever waits for it; False where nobody does."""
        with self._changed:
            awaited = self._awaited.get(arrived.key)
            if awaited is None:
                return False
            this_attempt = arrived.attempt == awaited.task.attempt or awaited.name is None
        outcome = None if arrived.lost else _read(arrived.path)
        answer = outcome.answer if outcome is not None else _lost(arrived)
        if isinstance(answer, EngineFailure) and not this_attempt:
            arrived.path.unlink(missing_ok=True)  # of an attempt that was given up already
            return False
        with self._changed:
            if self._awaited.get(arrived.key) is not awaited:
                return False
            del self._awaited[arrived.key]
            self._inherited.discard(arrived.key)
        if isinstance(answer, EngineEvaluation):
            # The file goes once the label is in the store (`forget`).
            self._kept.setdefault(arrived.key, []).append(arrived.path)
        # Several at once, because each is written to the disk before this returns.
        self._delivery.submit(self._deliver, arrived, awaited, answer)
        return True

    def _deliver(
        self, arrived: Arrived, awaited: _Awaited, answer: EngineEvaluation | EngineFailure
    ) -> None:
        if isinstance(answer, EngineEvaluation):
            awaited.future.set_result(answer)
            if arrived.attempt != awaited.task.attempt:
                self._take_back(awaited)
            return
        # Where the failure is an earlier life's, the same attempt has just been queued again.
        self._take_back(awaited)
        awaited.future.set_exception(answer)
        with suppress(OSError):  # only now that the attempt has been noted
            arrived.path.unlink(missing_ok=True)

    def _look_for_the_dead(self, now: float) -> None:
        for lease in list(self.queue.leases()):
            if lease.name.run != self._run:
                continue
            sign = self.queue.sign_of_life(lease.worker)
            before, since = self._seen.get(lease.worker, (None, now))
            if lease.worker not in self._seen or sign != before:
                self._seen[lease.worker] = (sign, now)
            elif now - since > self._silence:
                self._recover(lease)

    def _recover(self, lease: Lease) -> None:
        with self._changed:
            awaited = self._awaited.get(lease.name.key)
            self._inherited.discard(lease.name.key)
            wanted = awaited is not None and (
                awaited.name is None or awaited.task.attempt == lease.name.attempt
            )
        if wanted:
            self.queue.declare_lost(lease)
        else:
            self.queue.drop(lease)
        self.queue.bury(lease.worker)

    def _take_back(self, awaited: _Awaited) -> None:
        with suppress(OSError):
            if awaited.name is not None and self.queue.remove(awaited.name):
                return
            for lease in self.queue.leases():
                if lease.name.run == self._run and lease.name.key == awaited.task.key:
                    self.queue.drop(lease)


def run_name(path: Path) -> str:
    """The name under which a run asks: that of its folder, and a digest of where it is."""
    where = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:12]
    word = "".join(c if c.isalnum() else "-" for c in path.absolute().name)[:24]
    return f"{word}-{where}"


def activity(queue: FileQueue) -> list[Activity]:
    """What every worker of a queue is doing."""
    return [
        Activity(
            one.worker,
            str(one.state.get("host", "?")),
            str(one.state.get("doing", "?")),
            bool(one.state.get("busy")),
            float(one.state.get("seconds", 0.0)) + one.silent,
            int(one.state.get("done", 0)),
            int(one.state.get("failed", 0)),
            one.silent,
        )
        for one in queue.workers()
    ]


def _read(path: Path) -> Outcome | None:
    """The outcome in a file, None where it cannot be read."""
    try:
        return outcome_from_text(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _lost(arrived: Arrived) -> WorkerLost:
    if arrived.lost:
        return WorkerLost(
            "The worker that computed the label has given no sign of life and is taken for dead.",
            "Look at the batch system's own log: time or memory may have run out.",
        )
    return WorkerLost(
        f"The outcome {arrived.path} cannot be read.", "Look at the disk that holds the queue."
    )


def _cannot_write(path: Path, problem: OSError) -> HyperatomError:
    return HyperatomError(
        f"The queue {path} cannot be written: {problem.strerror or problem}.",
        "Make room or mend the disk and resume; nothing that was paid for is lost.",
    )


def _closed() -> HyperatomError:
    return HyperatomError("The reference has been closed.", "Open it anew to evaluate more.")
