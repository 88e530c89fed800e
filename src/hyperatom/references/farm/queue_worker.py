"""A worker of the file queue: takes a task, computes it, returns the outcome, until it is told off.

It may be started anywhere, at any time, in any number, and killed at any moment. Told to end
(SIGTERM, SIGINT, SIGHUP, or SIGUSR1 as batch systems send it), it puts its task back.
"""

import json
import os
import platform
import re
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from hyperatom.errors import InputError
from hyperatom.references.ase_calculator import AseReference, EngineEvaluation
from hyperatom.references.engine_process import EngineCrash, EngineFailure, EngineInterrupted
from hyperatom.references.farm.file_queue import FileQueue, Lease, Patience
from hyperatom.references.farm.task import (
    Task,
    WorkerRefusal,
    outcome_text,
    task_from_text,
)

_ENGINES: Final = 3  # kept ready at the same time, for as many runs
_MARGIN: Final = 1.2  # of the time that a label is expected to take
_ENDINGS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


class _Told(BaseException):
    """Told to end."""


@dataclass
class QueueWorker:
    """One worker.

    | field      | unit | meaning                                                              |
    |------------|------|----------------------------------------------------------------------|
    | `queue`    | -    | the folder                                                           |
    | `walltime` | s    | ends after that, and takes no task that would not be done by then    |
    | `idle`     | s    | ends after so long without work                                      |
    | `labels`   | -    | ends after so many                                                   |
    | `cores`    | -    | processor cores that its engines may use (none: all)                 |
    | `beat`     | s    | between two signs of life                                            |
    | `say`      | -    | told what happens                                                    |
    """

    queue: FileQueue
    walltime: float | None = None
    idle: float | None = None
    labels: int | None = None
    cores: Sequence[int] = ()
    beat: float = 5.0
    say: Callable[[str], None] = lambda _sentence: None
    name: str = field(default_factory=lambda: _worker_name())

    def __post_init__(self) -> None:
        self._start = time.monotonic()
        self._since = self._start
        self._engines: dict[str, AseReference] = {}
        self._doing, self._busy = "waits for work", False
        self._done = self._failed = self._beats = 0
        self._longest: dict[str, float] = {}
        self._under_way: tuple[Lease, Task, AseReference] | None = None
        self._ended = threading.Event()
        self._lock = threading.Lock()

    def run(self) -> str:
        """Work until told to end, out of time or out of work; returns why it ended.

        Raises `WorkerRefusal` where the engine of a task is missing here or of another version.
        """
        heart = threading.Thread(target=self._beat, name="signs of life", daemon=True)
        try:
            with _told(_ENDINGS):
                self._show_life()
                heart.start()
                return self._work()
        except _Told:
            return "told to end"
        finally:
            self._ended.set()
            if heart.is_alive():
                heart.join()
            for engine in self._engines.values():
                engine.close()
            self.queue.bury(self.name)

    def _work(self) -> str:
        patience = Patience()
        while self.labels is None or self._done + self._failed < self.labels:
            start = time.monotonic()
            taken, too_long = self._take()
            if taken is not None:
                self._compute(*taken)
                patience.renew()
                continue
            waited = time.monotonic() - patience.start
            if too_long:
                return "no task fits into the time that is left"
            if self.walltime is not None and self._left() <= 0.0:
                return "out of time"
            if self.idle is not None and waited > self.idle:
                return f"no work for {self.idle:g} s"
            time.sleep(patience.pause(time.monotonic() - start))
        return f"{self._done + self._failed} labels done"

    def _take(self) -> tuple[tuple[Lease, str] | None, bool]:
        """A task, if there is one; and whether there were only such as take too long."""
        try:
            names = self.queue.waiting()
        except OSError:  # a network disk that is away for a moment
            return None, False
        refused = 0
        for name in names:
            lease = Lease(name, self.name)
            text = self.queue.take(name, self.name)
            if text is None:
                continue
            if self._fits(text):
                return (lease, text), False
            self.queue.give_back(lease)
            refused += 1
        return None, refused > 0 and refused == len(names)

    def _fits(self, text: str) -> bool:
        if self.walltime is None:
            return True
        with suppress(ValueError, KeyError):
            content = json.loads(text)
            expected = max(
                float(content["task"]["expected_seconds"]),
                self._longest.get(content["identity"], 0.0),
            )
            return _MARGIN * expected <= self._left()
        return True

    def _left(self) -> float:
        assert self.walltime is not None
        return self.walltime - (time.monotonic() - self._start)

    def _compute(self, lease: Lease, text: str) -> None:
        try:
            task, description, identity = task_from_text(text)
        except (ValueError, KeyError, TypeError):
            self.queue.declare_lost(lease)
            return
        try:
            engine = self._engine(description, identity)
            self._show(task.provenance or "computes", lease, task, engine)
            outcome = self._attempt(engine, task)
        except BaseException:
            self._show("ends", None, None, None)
            self.queue.give_back(lease)
            raise
        held = self.queue.holds(lease)
        self._show("waits for work", None, None, None)
        if isinstance(outcome, EngineEvaluation):
            self._done += 1
            longest = max(self._longest.get(identity, 0.0), outcome.seconds)
            self._longest[identity] = longest
        elif not held and outcome.kind == EngineCrash.kind:
            return  # its engine was stopped because nobody wants the label any more
        else:
            self._failed += 1
            self.say(f"{lease.name.key[:12]}: {outcome.problem}")
        answer = outcome_text(task.key, task.configuration, identity, outcome)
        self._deliver(lease, answer)

    def _attempt(self, engine: AseReference, task: Task) -> EngineEvaluation | EngineFailure:
        try:
            return engine.attempt(task.configuration, tightened=task.tightened)
        except EngineFailure as failure:
            return failure
        except EngineInterrupted:  # by whoever ends this worker, too
            raise _Told from None

    def _deliver(self, lease: Lease, answer: str) -> None:
        """Until it is on disk: it was paid for."""
        while True:
            try:
                return self.queue.finish(lease, answer)
            except OSError as problem:
                self.say(
                    f"The outcome cannot be written ({problem.strerror or problem}); the label is "
                    "kept and written as soon as there is room."
                )
                time.sleep(max(1.0, self.beat))

    def _engine(self, description: dict[str, Any], identity: str) -> AseReference:
        """The engine of a task, started where it is not running; the oldest makes room."""
        known = json.dumps(description, sort_keys=True)
        engine = self._engines.pop(known, None)
        if engine is None:
            if len(self._engines) >= _ENGINES:
                self._engines.pop(next(iter(self._engines))).close()
            logs = self.queue.folder("logs") / self.name
            try:
                engine = AseReference(**description, log_directory=logs)
            except InputError as problem:
                raise WorkerRefusal(
                    f"Worker {self.name} on {platform.node()}: {problem.problem}", problem.cure
                ) from problem
            if self.cores:
                engine.pin([self.cores])
        self._engines[known] = engine
        if engine.identity != identity:
            raise WorkerRefusal(
                f"Worker {self.name} on {platform.node()} has another engine than the run: "
                f"{engine.identity}, not {identity}.",
                "Install the same version here as where the run was started.",
            )
        return engine

    def _show(
        self, doing: str, lease: Lease | None, task: Task | None, engine: AseReference | None
    ) -> None:
        with self._lock:
            self._doing, self._busy, self._since = doing, lease is not None, time.monotonic()
            if lease is None or task is None or engine is None:
                self._under_way = None
            else:
                self._under_way = lease, task, engine
        self._show_life()

    def _show_life(self) -> None:
        with self._lock:
            self._beats += 1
            state = {
                "host": platform.node(),
                "process": os.getpid(),
                "beat": self._beats,
                "doing": self._doing,
                "busy": self._busy,
                "seconds": time.monotonic() - self._since,
                "done": self._done,
                "failed": self._failed,
            }
            with suppress(OSError):  # a full disk: the label matters more
                self.queue.show_life(self.name, state)

    def _beat(self) -> None:
        """Signs of life; and a look whether the label under way is still wanted."""
        while not self._ended.wait(self.beat):
            self._show_life()
            under_way = self._under_way
            if under_way is not None:
                lease, task, engine = under_way
                if not self.queue.holds(lease) and self._under_way is under_way:
                    engine.interrupt(task.configuration)


def _worker_name() -> str:
    host = re.sub(r"[^A-Za-z0-9-]", "-", platform.node())[:40]
    return f"{host}-{os.getpid()}-{uuid.uuid4().hex[:6]}"


@contextmanager
def _told(numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """While inside, these signals raise `_Told`."""

    def tell(*_: Any) -> None:
        raise _Told

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, tell) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
