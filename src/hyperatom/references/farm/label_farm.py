"""The label farm: configurations in, futures of labels out; attempts, and an end to them.

farm = LabelFarm(LocalProcesses(engine, workers=4))
future = farm.submit(configuration)
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from hyperatom.configuration import Configuration
from hyperatom.references.ase_calculator import EngineEvaluation
from hyperatom.references.engine_process import EngineFailure
from hyperatom.references.farm.backend import Activity, Backend
from hyperatom.references.farm.task import Outcome, Task, Withdrawn
from hyperatom.references.label import FailedAttempt, label_key

_TIGHTEN_AFTER = ("exception", "not finite")
"""A crash, a hang or a lost worker says nothing of convergence: the same keywords again."""

_REMEMBERED = 20
"""Labels from whose seconds the next one's are foretold."""


@dataclass
class _UnderWay:
    task: Task
    future: "Future[EngineEvaluation]"
    withdrawn: bool = False


class LabelFarm:
    """A `Reference` that can also be asked for many labels at once.

    A label is tried up to `attempts` times; then its configuration has no answer (`EngineFailure`).
    After an exception or a number that is not finite, the next attempt is made with the engine's
    retry keywords, where it has any. Whoever keeps the labels is told of each attempt that came to
    nothing (`on_failed_attempt`) and says how many there were before (`failed_attempts`).
    """

    def __init__(self, backend: Backend, *, attempts: int = 3) -> None:
        self.backend = backend
        self.attempts = attempts
        self.on_failed_attempt: Callable[[FailedAttempt], None] = lambda _attempt: None
        self.failed_attempts: Callable[[str], int] = lambda _key: 0
        self._identity = backend.identity
        self._lock = threading.Lock()
        self._under_way: dict[str, _UnderWay] = {}
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def identity(self) -> str:
        """That of the engine."""
        return self._identity

    def submit(
        self, configuration: Configuration, *, provenance: str = "", speculative: bool = False
    ) -> "Future[EngineEvaluation]":
        """Ask for a label.

        The future raises `EngineFailure` where there is no trustworthy answer. One configuration is
        not to be asked for again before its future is done (`StoredReference` sees to that).
        """
        key = label_key(configuration, self._identity)
        made = self.failed_attempts(key) % self.attempts
        task = Task(key, configuration, made + 1, False, speculative, provenance)
        future: Future[EngineEvaluation] = Future()
        future.set_running_or_notify_cancel()
        wanted = _UnderWay(task, future)
        with self._lock:
            self._under_way[key] = wanted
        self._begin(wanted)
        return future

    def evaluate(self, configuration: Configuration) -> EngineEvaluation:
        """Energy (eV), forces (eV/Å) and perhaps stress (eV/Å^3), waited for.

        Raises `EngineFailure` where there is no trustworthy answer.
        """
        try:
            return self.submit(configuration).result()
        finally:
            self.forget(label_key(configuration, self._identity))

    def hurry(self, key: str) -> None:
        """A speculative label has turned out to be needed."""
        with self._lock:
            wanted = self._under_way.get(key)
            if wanted is not None:  # further attempts, too
                wanted.task = replace(wanted.task, speculative=False)
        self.backend.hurry(key)

    def withdraw(self, key: str) -> None:
        """Nobody wants this label any more; its future ends in `Withdrawn`, unless it is done."""
        with self._lock:
            wanted = self._under_way.get(key)
            if wanted is not None:
                wanted.withdrawn = True
        self.backend.withdraw(key)

    def unclaimed(self) -> Iterable[Outcome]:
        """Outcomes that nobody waited for: an earlier life of the run paid for them."""
        for outcome in self.backend.unclaimed():
            if isinstance(outcome.answer, EngineFailure):
                self._note(outcome.key, self.failed_attempts(outcome.key) + 1, outcome.answer, "")
            yield outcome

    def forget(self, key: str) -> None:
        """The label is in the store."""
        self.backend.forget(key)

    def activity(self) -> Sequence[Activity]:
        """What every worker is doing."""
        return self.backend.activity()

    def close(self) -> None:
        """Stop; futures that are not done end in a `HyperatomError`."""
        self.backend.close()

    def _begin(self, wanted: _UnderWay) -> None:
        expected = max(self._seconds, default=0.0)
        attempt = self.backend.submit(replace(wanted.task, expected_seconds=expected))
        attempt.add_done_callback(lambda done: self._settle(wanted, done))

    def _settle(self, wanted: _UnderWay, done: "Future[EngineEvaluation]") -> None:
        task, failure = wanted.task, done.exception()
        try:
            again = self._next_attempt(task, failure) if not wanted.withdrawn else None
            if again is not None:
                wanted.task = again
                self._begin(wanted)
                return
        except BaseException as trouble:  # a future that never ends would stop the run in silence
            failure = trouble
        with self._lock:
            if self._under_way.get(task.key) is wanted:
                del self._under_way[task.key]
        if failure is None:
            self._seconds.append(done.result().seconds)
            wanted.future.set_result(replace(done.result(), attempts=task.attempt))
            return
        if isinstance(failure, EngineFailure):
            failure.attempts = task.attempt
            if wanted.withdrawn:
                failure = Withdrawn("The label is not wanted any more.")
        wanted.future.set_exception(failure)

    def _next_attempt(self, task: Task, failure: BaseException | None) -> Task | None:
        if not isinstance(failure, EngineFailure):
            return None
        self._note(task.key, task.attempt, failure, task.provenance)
        if task.attempt >= self.attempts:
            return None
        tightened = task.tightened or failure.kind in _TIGHTEN_AFTER
        return replace(task, attempt=task.attempt + 1, tightened=tightened)

    def _note(self, key: str, number: int, failure: EngineFailure, provenance: str) -> None:
        self.on_failed_attempt(
            FailedAttempt(
                key,
                number,
                failure.kind,
                failure.problem,
                failure.seconds,
                failure.host,
                provenance=provenance,
            )
        )
