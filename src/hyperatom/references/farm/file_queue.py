"""A queue made of files in a folder that several machines share: nothing but atomic renames.

    queue.json                 what this folder is
    waiting/TASK               tasks that nobody has taken
    taken/TASK@WORKER          tasks under way
    outcomes/RUN/KEY.ATTEMPT.json   what came of them, for the run that asked
    workers/WORKER.json        signs of life
    logs/                      what engines printed

A file appears whole or not at all (written beside, then renamed), and whoever renames a task first
has it. No locks, and no clocks of different machines compared: a worker is dead when its sign of
life has not changed for long enough on the watch of the one who looks.

TASK = SPECULATIVE.TIME.RUN.KEY.ATTEMPT, in the alphabetical order in which tasks are taken.
"""

import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from hyperatom.errors import RunDirectoryError

FORMAT: Final = 1
_FOLDERS: Final = ("waiting", "taken", "outcomes", "workers", "logs", "parts")


class TaskName(NamedTuple):
    """The name of a task says all that is needed to find, order and return it."""

    speculative: bool
    time: int
    run: str
    key: str
    attempt: int

    def __str__(self) -> str:
        return f"{self.speculative:d}.{self.time:016d}.{self.run}.{self.key}.{self.attempt}"

    @classmethod
    def parse(cls, text: str) -> "TaskName | None":
        """The name in a file's name, None where it is not one."""
        with suppress(ValueError):
            speculative, when, run, key, attempt = text.split(".")
            return cls(speculative == "1", int(when), run, key, int(attempt))
        return None


class Lease(NamedTuple):
    """A task that a worker has taken."""

    name: TaskName
    worker: str

    def __str__(self) -> str:
        return f"{self.name}@{self.worker}"


class Arrived(NamedTuple):
    """A file among the outcomes of a run."""

    path: Path
    key: str
    attempt: int
    lost: bool


class FileQueue:
    """The folder, made where it does not exist.

    Raises `RunDirectoryError` where the folder is something else or of another format.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).absolute()
        note = self.path / "queue.json"
        try:
            if not note.exists():
                if self.path.exists() and any(self.path.iterdir()) and not self._half_made():
                    raise RunDirectoryError(
                        f"{self.path} is not a queue.", "Give an empty or a new folder."
                    )
                for folder in _FOLDERS:
                    (self.path / folder).mkdir(parents=True, exist_ok=True)
                self.write(note, json.dumps({"format": FORMAT}))
            found = json.loads(note.read_text())["format"]
        except OSError as problem:
            raise RunDirectoryError(
                f"The queue {self.path} cannot be made: {problem.strerror or problem}.",
                "Choose a folder that every worker can write.",
            ) from problem
        except (ValueError, KeyError) as problem:
            raise RunDirectoryError(f"{note} is damaged.", "Choose a new folder.") from problem
        if found != FORMAT:
            raise RunDirectoryError(
                f"The queue {self.path} has format {found}, and this version of hyperatom "
                f"knows format {FORMAT}.",
                "Use one version of hyperatom for the run and its workers, or a new folder.",
            )

    def folder(self, name: str) -> Path:
        """One of the folders inside."""
        return self.path / name

    def write(self, path: Path, text: str, *, lasting: bool = False) -> None:
        """Write a file, whole or not at all; `lasting`: through to the disk."""
        part = self.path / "parts" / f"{path.name[:80]}.{uuid.uuid4().hex}"
        try:
            with part.open("w", encoding="utf-8") as file:
                file.write(text)
                if lasting:
                    file.flush()
                    os.fsync(file.fileno())
            part.replace(path)
        except OSError:
            with suppress(OSError):
                part.unlink()
            raise

    # -- tasks ---------------------------------------------------------------------------------

    def put(self, speculative: bool, run: str, key: str, attempt: int, text: str) -> TaskName:
        """Queue a task; returns its name."""
        name = TaskName(speculative, time.time_ns() // 1000, run, key, attempt)
        self.write(self.path / "waiting" / str(name), text)
        return name

    def waiting(self) -> list[TaskName]:
        """Tasks that nobody has taken, the most urgent first."""
        names = (TaskName.parse(one) for one in sorted(os.listdir(self.path / "waiting")))
        return [name for name in names if name is not None]

    def take(self, name: TaskName, worker: str) -> str | None:
        """The text of a task that is now this worker's, None where another was faster."""
        lease = self.path / "taken" / str(Lease(name, worker))
        # A network disk may carry out a rename and yet report that the file is gone.
        with suppress(FileNotFoundError):
            os.rename(self.path / "waiting" / str(name), lease)
        with suppress(FileNotFoundError):
            return lease.read_text(encoding="utf-8")
        return None

    def leases(self) -> Iterator[Lease]:
        """Tasks that have been taken."""
        for one in os.listdir(self.path / "taken"):
            text, at, worker = one.partition("@")
            name = TaskName.parse(text)
            if at and name is not None:
                yield Lease(name, worker)

    def holds(self, lease: Lease) -> bool:
        """Is the task still this worker's?"""
        return (self.path / "taken" / str(lease)).exists()

    def give_back(self, lease: Lease) -> None:
        """The task is anyone's again; unless it has been taken away meanwhile."""
        with suppress(FileNotFoundError):
            os.rename(self.path / "taken" / str(lease), self.path / "waiting" / str(lease.name))

    def finish(self, lease: Lease, text: str) -> None:
        """Keep the outcome, then drop the task. What is there already stands."""
        target = self.outcomes_of(lease.name.run) / f"{lease.name.key}.{lease.name.attempt}.json"
        if not target.exists():
            self.write(target, text, lasting=True)
        self.drop(lease)

    def declare_lost(self, lease: Lease) -> None:
        """The worker is dead: its task becomes an outcome of its own."""
        target = self.outcomes_of(lease.name.run) / f"{lease.name.key}.{lease.name.attempt}.lost"
        with suppress(FileNotFoundError):
            os.rename(self.path / "taken" / str(lease), target)

    def drop(self, lease: Lease) -> None:
        """Forget that a task was taken; a worker that still computes it notices and stops."""
        (self.path / "taken" / str(lease)).unlink(missing_ok=True)

    def remove(self, name: TaskName) -> bool:
        """Take back a task that nobody has taken yet; False where it is too late."""
        try:
            (self.path / "waiting" / str(name)).unlink()
        except FileNotFoundError:
            return False
        return True

    def hurry(self, name: TaskName) -> TaskName:
        """Let a task go before speculative ones; returns its new name, or the old: it is taken."""
        urgent = name._replace(speculative=False)
        folder = self.path / "waiting"
        try:
            os.rename(folder / str(name), folder / str(urgent))
        except FileNotFoundError:
            return name
        return urgent

    # -- outcomes ------------------------------------------------------------------------------

    def outcomes_of(self, run: str) -> Path:
        """The folder of a run's outcomes."""
        folder = self.path / "outcomes" / run
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def arrived(self, run: str) -> list[Arrived]:
        """What has come of a run's tasks."""
        folder, found = self.outcomes_of(run), []
        for one in os.listdir(folder):
            key, _, rest = one.partition(".")
            attempt, _, kind = rest.partition(".")
            if attempt.isdigit() and kind in ("json", "lost"):
                found.append(Arrived(folder / one, key, int(attempt), kind == "lost"))
        return found

    # -- signs of life -------------------------------------------------------------------------

    def show_life(self, worker: str, state: dict[str, Any]) -> None:
        """A sign of life, with what the worker is doing."""
        self.write(self.path / "workers" / f"{worker}.json", json.dumps(state))

    def sign_of_life(self, worker: str) -> str | None:
        """The latest sign of life, as it was written; None where there is none."""
        try:
            return (self.path / "workers" / f"{worker}.json").read_text(encoding="utf-8")
        except OSError:
            return None

    def bury(self, worker: str) -> None:
        """Remove the sign of life of a worker that has ended."""
        with suppress(OSError):
            (self.path / "workers" / f"{worker}.json").unlink(missing_ok=True)

    def workers(self) -> "list[WorkerState]":
        """Every worker that has shown life, and how long ago, all on the disk's own clock."""
        probe = self.path / "parts" / f"clock.{uuid.uuid4().hex}"
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink(missing_ok=True)
        found = []
        for path in sorted((self.path / "workers").glob("*.json")):
            with suppress(OSError, ValueError):
                silent = max(0.0, now - path.stat().st_mtime)
                found.append(WorkerState(path.stem, silent, json.loads(path.read_text())))
        return found

    def _half_made(self) -> bool:
        """Is another process making this queue at the same time?"""
        return {one.name for one in self.path.iterdir()} <= {*_FOLDERS, "queue.json"}


@dataclass(frozen=True)
class WorkerState:
    """What a worker last wrote of itself, `silent` seconds ago."""

    worker: str
    silent: float
    state: dict[str, Any]


class Patience:
    """How long to wait before looking again: often at first, and never a burden for the disk.

    A look that takes `cost` seconds is repeated after twenty times that, at least; who has waited
    for long looks at every five-hundredth of that time, at most every `_SELDOM` seconds.
    """

    _OFTEN = 0.002
    _SELDOM = 1.0

    def __init__(self) -> None:
        self.start = time.monotonic()

    def renew(self) -> None:
        """Something has happened: look often again."""
        self.start = time.monotonic()

    def pause(self, cost: float) -> float:
        """Seconds until the next look."""
        waited = time.monotonic() - self.start
        return min(self._SELDOM, max(self._OFTEN, 20.0 * cost, 0.002 * waited))
