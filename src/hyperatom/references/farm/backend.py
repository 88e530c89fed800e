"""What every backend of the label farm promises."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from hyperatom.references.ase_calculator import EngineEvaluation
from hyperatom.references.farm.task import Outcome, Task


@dataclass(frozen=True)
class Activity:
    """What one worker is doing.

    | field     | unit | meaning                                              |
    |-----------|------|------------------------------------------------------|
    | `worker`  | -    | its name                                             |
    | `host`    | -    | its machine                                          |
    | `doing`   | -    | who asked for what it computes, or why it is idle    |
    | `busy`    | -    | is it computing?                                     |
    | `seconds` | s    | since when it has been doing so                      |
    | `done`    | -    | labels computed so far                               |
    | `failed`  | -    | attempts that came to nothing so far                 |
    | `silent`  | s    | since its last sign of life                          |
    """

    worker: str
    host: str
    doing: str
    busy: bool
    seconds: float
    done: int = 0
    failed: int = 0
    silent: float = 0.0


class Backend(Protocol):
    """Makes single attempts at labels, several at the same time."""

    @property
    def identity(self) -> str:
        """That of the engine, as of a `Reference`."""
        ...

    def submit(self, task: Task) -> "Future[EngineEvaluation]":
        """Begin, or queue, one attempt.

        The future ends in an evaluation, an `EngineFailure` (the attempt came to nothing),
        `Withdrawn`, or another `HyperatomError` (nobody can compute anything).
        """
        ...

    def hurry(self, key: str) -> None:
        """A speculative label has turned out to be needed: let it wait no longer than others."""
        ...

    def withdraw(self, key: str) -> None:
        """Nobody wants this label any more: take it from the queue, or stop its computation."""
        ...

    def unclaimed(self) -> Iterable[Outcome]:
        """Outcomes of an earlier life of the run that were paid for and that nobody waits for."""
        ...

    def forget(self, key: str) -> None:
        """The label is in the store: copies of it may go."""
        ...

    def activity(self) -> Sequence[Activity]:
        """What every worker is doing."""
        ...

    def close(self) -> None:
        """Stop; futures that are not done end in a `HyperatomError`."""
        ...
