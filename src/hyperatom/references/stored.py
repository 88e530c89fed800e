"""A reference that remembers: looks up first, asks the engine second, stores before it answers."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from hyperatom.configuration import Configuration
from hyperatom.contracts import Reference
from hyperatom.errors import HyperatomError, ReferenceFailure
from hyperatom.evaluation import Evaluation
from hyperatom.references.bead_reference import answer_of_beads
from hyperatom.references.label import FailedAttempt
from hyperatom.references.label_store import LabelStore
from hyperatom.references.ring_label import key_of
from hyperatom.ring_polymer import RingPolymer


@dataclass(frozen=True)
class ReferenceCounts:
    """What a reference has cost so far.

    | field      | meaning                                                       |
    |------------|---------------------------------------------------------------|
    | `calls`    | evaluations paid for, failures included                       |
    | `hits`     | questions answered from the store, remembered failures too    |
    | `failures` | calls without a trustworthy answer                            |
    | `seconds`  | wall time of the calls, added up, s                           |
    """

    calls: int = 0
    hits: int = 0
    failures: int = 0
    seconds: float = 0.0


class Farm(Reference, Protocol):
    """A reference that can be asked for many labels at once: `farm.label_farm.LabelFarm`."""

    on_failed_attempt: Callable[[FailedAttempt], None]
    failed_attempts: Callable[[str], int]

    def submit(
        self, configuration: Configuration, *, provenance: str = "", speculative: bool = False
    ) -> "Future[Any]":
        """The future of an evaluation."""
        ...

    def hurry(self, key: str) -> None:
        """A speculative label is needed after all."""
        ...

    def withdraw(self, key: str) -> None:
        """Nobody wants this label any more."""
        ...

    def unclaimed(self) -> Iterable[Any]:
        """Outcomes that an earlier life of the run paid for."""
        ...

    def forget(self, key: str) -> None:
        """The label is in the store."""
        ...


@dataclass
class _Asked:
    """A label under way, and how many want it."""

    configuration: Configuration
    provenance: str
    speculative: bool
    future: "Future[Evaluation]" = field(default_factory=Future)
    wanted: int = 1
    start: float = field(default_factory=time.perf_counter)


class StoredReference:
    """A `Reference` over another one and a label store.

    Equal configurations get the same numbers, bit for bit, and are paid for once, even where
    several threads ask at the same time. A failure that is in the store is raised again without
    asking the engine, so that a replay meets the same rejections. Over a label farm, many labels
    are computed at once (`request`), attempts that came to nothing are noted, and what workers
    finished while nobody was listening is stored first of all. A label that one of the stores of
    `others` has is copied instead of computed.
    """

    def __init__(
        self,
        reference: Reference | Farm,
        store: LabelStore,
        provenance: str = "",
        others: Sequence[LabelStore] = (),
    ) -> None:
        self.reference = reference
        self.store = store
        self.provenance = provenance
        self._others = tuple(others)
        self._identity = reference.identity
        self._counts = ReferenceCounts()
        self._lock = threading.Lock()
        self._under_way: dict[str, tuple[threading.Lock, int]] = {}
        self._asked: dict[str, _Asked] = {}
        self._unsaved: dict[str, Evaluation] = {}
        self._farm: Farm | None = None
        if hasattr(reference, "submit"):
            self._farm = cast("Farm", reference)
            self._farm.on_failed_attempt = store.add_attempt
            self._farm.failed_attempts = store.count_attempts_at
            self._adopt(self._farm)

    @property
    def identity(self) -> str:
        """That of the reference behind."""
        return self._identity

    @property
    def counts(self) -> ReferenceCounts:
        """Calls, hits, failures and seconds so far."""
        return self._counts

    def key(self, configuration: Configuration) -> str:
        """The key of the configuration's label in the store."""
        return key_of(configuration, self._identity)

    def evaluate(self, configuration: Configuration, provenance: str | None = None) -> Evaluation:
        """Energy (eV), forces (eV/Å) and perhaps stress (eV/Å^3), from the store or the reference.

        Of a ring polymer the sums over its beads, each of which is a label of its own; over a farm
        they are computed at the same time.

        Raises `ReferenceFailure`, new or remembered, and `HyperatomError` where the answer cannot
        be stored; it is then kept in memory, and asking again stores it without another call.
        """
        if isinstance(configuration, RingPolymer):
            # All are asked for, also where one fails, so that a replay finds all of them.
            return answer_of_beads(
                [self.request(bead, provenance) for bead in configuration.beads()]
            )
        if self._farm is not None:
            return self.request(configuration, provenance).result()
        key = self.key(configuration)
        with self._alone(key):
            known = self._remembered(key)
            if known is not None:
                return known
            who = self.provenance if provenance is None else provenance
            return self._pay(key, configuration, who)

    def request(
        self,
        configuration: Configuration,
        provenance: str | None = None,
        *,
        speculative: bool = False,
    ) -> "Future[Evaluation]":
        """The future of what `evaluate` returns or raises; it is done once the label is stored.

        Equal configurations share one. Without a label farm the label is computed here and now; so
        are the labels of a ring polymer's beads.
        """
        key = self.key(configuration)
        who = self.provenance if provenance is None else provenance
        future: Future[Evaluation] = Future()
        if self._farm is None or isinstance(configuration, RingPolymer):
            _end(future, lambda: self.evaluate(configuration, provenance))
            return future
        with self._alone(key):
            with self._lock:
                asked = self._asked.get(key)
                if asked is not None:
                    asked.wanted += 1
                    hurry = asked.speculative and not speculative
                    asked.speculative = asked.speculative and speculative
            if asked is not None:
                self._count(hits=1)
                if hurry:
                    self._farm.hurry(key)
                return asked.future
            try:
                known = self._remembered(key)
                unsaved = None if known is not None else self._unsaved.pop(key, None)
                if unsaved is not None:
                    known = self._keep(key, configuration, unsaved, who)
                if known is None:
                    self.store.require_room()
            except HyperatomError as problem:
                future.set_exception(problem)
                return future
            if known is not None:
                future.set_result(known)
                return future
            asked = _Asked(configuration, who, speculative)
            asked.future.set_running_or_notify_cancel()
            with self._lock:
                self._asked[key] = asked
            try:
                label = self._farm.submit(configuration, provenance=who, speculative=speculative)
            except BaseException as problem:
                with self._lock:
                    del self._asked[key]
                asked.future.set_exception(problem)
                return asked.future
        label.add_done_callback(lambda done: self._settle(key, asked, done))
        return asked.future

    def withdraw(self, configuration: Configuration) -> None:
        """One asker less for a requested label; without any, its computation is stopped.

        The future then ends in a `HyperatomError`, unless the label was done before.
        """
        key = self.key(configuration)
        with self._alone(key):  # nobody may ask anew before the old question is gone
            with self._lock:
                asked = self._asked.get(key)
                if asked is None:
                    return
                asked.wanted -= 1
                if asked.wanted > 0:
                    return
                del self._asked[key]
            assert self._farm is not None
            self._farm.withdraw(key)

    def close(self) -> None:
        """Close the reference behind; the store belongs to whoever opened it."""
        self.reference.close()
        if self._farm is not None:
            with suppress(HyperatomError):  # the store may have been closed before
                self._adopt(self._farm)

    def _remembered(self, key: str) -> Evaluation | None:
        """The stored evaluation, None without; raises a stored failure."""
        label = self.store.get(key)
        if label is not None:
            self._count(hits=1)
            return label.evaluation
        failure = self.store.failure(key)
        if failure is not None:
            self._count(hits=1)
            raise ReferenceFailure(failure.problem, failure.cure)
        for other in self._others:
            label = other.get(key)
            if label is not None:
                self._count(hits=1)
                self.store.add_many([label], provenance=f"from {other.path}: {label.provenance}")
                return label.evaluation
        return None

    def _pay(self, key: str, configuration: Configuration, provenance: str) -> Evaluation:
        evaluation = self._unsaved.pop(key, None)
        if evaluation is None:
            self.store.require_room()
            start = time.perf_counter()
            try:
                evaluation = self.reference.evaluate(configuration)
            except ReferenceFailure as failure:
                self._keep_failure(configuration, failure, provenance, time.perf_counter() - start)
                raise
            self._count(calls=1, seconds=time.perf_counter() - start)
        return self._keep(key, configuration, evaluation, provenance)

    def _settle(self, key: str, asked: _Asked, done: "Future[Evaluation]") -> None:
        """A label has come from the farm: first to the disk, then to whoever asked."""

        def answer() -> Evaluation:
            seconds = time.perf_counter() - asked.start
            try:
                evaluation = done.result()
            except ReferenceFailure as failure:
                self._keep_failure(asked.configuration, failure, asked.provenance, seconds)
                raise
            self._count(calls=1, seconds=seconds)
            return self._keep(key, asked.configuration, evaluation, asked.provenance)

        result: Future[Evaluation] = Future()
        _end(result, answer)
        # Only now, so that whoever asks next finds it in the store.
        with self._lock:
            if self._asked.get(key) is asked:
                del self._asked[key]
        _end(asked.future, result.result)

    def _keep(
        self, key: str, configuration: Configuration, evaluation: Evaluation, provenance: str
    ) -> Evaluation:
        try:
            stored = self.store.add(
                configuration,
                evaluation,
                self._identity,
                attempts=getattr(evaluation, "attempts", 1),
                provenance=provenance,
                host=getattr(evaluation, "host", ""),
                notes=getattr(evaluation, "notes", None),
            ).evaluation
        except HyperatomError:
            self._unsaved[key] = evaluation
            raise
        if self._farm is not None:
            self._farm.forget(key)
        return stored

    def _keep_failure(
        self,
        configuration: Configuration,
        failure: ReferenceFailure,
        provenance: str,
        seconds: float,
    ) -> None:
        self._count(calls=1, failures=1, seconds=seconds)
        self.store.add_failure(
            configuration,
            failure.problem,
            failure.cure,
            self._identity,
            seconds=seconds,
            attempts=getattr(failure, "attempts", 1),
            provenance=provenance,
            host=getattr(failure, "host", ""),
        )
        if self._farm is not None:
            self._farm.forget(self.key(configuration))

    def _adopt(self, farm: Farm) -> None:
        """Store what workers finished while nobody was listening."""
        for outcome in farm.unclaimed():
            if isinstance(outcome.answer, Evaluation):
                who = "finished while nobody was listening"
                self._keep(outcome.key, outcome.configuration, outcome.answer, who)
            else:
                farm.forget(outcome.key)

    def _count(
        self, *, calls: int = 0, hits: int = 0, failures: int = 0, seconds: float = 0.0
    ) -> None:
        with self._lock:
            so_far = self._counts
            self._counts = ReferenceCounts(
                so_far.calls + calls,
                so_far.hits + hits,
                so_far.failures + failures,
                so_far.seconds + seconds,
            )

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """One thread at a time for each key."""
        with self._lock:
            turn, waiting = self._under_way.get(key, (threading.Lock(), 0))
            self._under_way[key] = turn, waiting + 1
        try:
            with turn:
                yield
        finally:
            with self._lock:
                turn, waiting = self._under_way.pop(key)
                if waiting > 1:
                    self._under_way[key] = turn, waiting - 1


def _end(future: "Future[Evaluation]", answer: Callable[[], Evaluation]) -> None:
    try:
        evaluation = answer()
    except BaseException as problem:
        future.set_exception(problem)
    else:
        future.set_result(evaluation)
