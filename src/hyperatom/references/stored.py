"""A reference that remembers: looks up first, asks the engine second, stores before it answers."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hyperatom.configuration import Configuration
from hyperatom.contracts import Reference
from hyperatom.errors import HyperatomError, ReferenceFailure
from hyperatom.evaluation import Evaluation
from hyperatom.references.label import label_key
from hyperatom.references.label_store import LabelStore


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


class StoredReference:
    """A `Reference` over another one and a label store.

    Equal configurations get the same numbers, bit for bit, and are paid for once, even where
    several threads ask at the same time. A failure that is in the store is raised again without
    asking the engine, so that a replay meets the same rejections.
    """

    def __init__(self, reference: Reference, store: LabelStore, provenance: str = "") -> None:
        self.reference = reference
        self.store = store
        self.provenance = provenance
        self._identity = reference.identity
        self._counts = ReferenceCounts()
        self._lock = threading.Lock()
        self._under_way: dict[str, tuple[threading.Lock, int]] = {}
        self._unsaved: dict[str, Evaluation] = {}

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
        return label_key(configuration, self._identity)

    def evaluate(self, configuration: Configuration, provenance: str | None = None) -> Evaluation:
        """Energy (eV), forces (eV/Å) and perhaps stress (eV/Å^3), from the store or the reference.

        Raises `ReferenceFailure`, new or remembered, and `HyperatomError` where the answer cannot
        be stored; it is then kept in memory, and asking again stores it without another call.
        """
        key = self.key(configuration)
        with self._alone(key):
            label = self.store.get(key)
            if label is not None:
                self._count(hits=1)
                return label.evaluation
            failure = self.store.failure(key)
            if failure is not None:
                self._count(hits=1)
                raise ReferenceFailure(failure.problem, failure.cure)
            who = self.provenance if provenance is None else provenance
            return self._pay(key, configuration, who)

    def close(self) -> None:
        """Close the reference behind; the store belongs to whoever opened it."""
        self.reference.close()

    def _pay(self, key: str, configuration: Configuration, provenance: str) -> Evaluation:
        evaluation = self._unsaved.pop(key, None)
        if evaluation is None:
            self.store.require_room()
            start = time.perf_counter()
            try:
                evaluation = self.reference.evaluate(configuration)
            except ReferenceFailure as failure:
                seconds = time.perf_counter() - start
                self._count(calls=1, failures=1, seconds=seconds)
                self.store.add_failure(
                    configuration,
                    failure.problem,
                    failure.cure,
                    self._identity,
                    seconds=seconds,
                    attempts=getattr(failure, "attempts", 1),
                    provenance=provenance,
                )
                raise
            self._count(calls=1, seconds=time.perf_counter() - start)
        try:
            return self.store.add(
                configuration,
                evaluation,
                self._identity,
                attempts=getattr(evaluation, "attempts", 1),
                provenance=provenance,
            ).evaluation
        except HyperatomError:
            self._unsaved[key] = evaluation
            raise

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
