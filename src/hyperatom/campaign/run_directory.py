"""The run directory: self-describing, locked while in use, never half believed.

input.yaml      the input as it was given, with paths made absolute
header.json     format, versions and digest of the input; written last: a directory without it is
                half made
start.npz       the configuration that the campaign starts from
baseline/       the files of the potential on top of which the guide learns, if any
labels.db       everything the reference has ever said
chain.db        every step of every walker
guide.npz       the frozen guide
guide_chain.db  samples of the guide alone, which sharpen the averages
chain.extxyz    production configurations, for other programs
engines/        what the engine printed
log.txt         what happened when
certificate.json, report.html
"""

import fcntl
import hashlib
import json
import platform
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import IO, Any, Self

import hyperatom
from hyperatom.errors import RunDirectoryError

FORMAT = 1

LOOKS = 4
"""Times that a lock which seems to be taken is looked at again."""

PACKAGES = ("jax", "jaxlib", "numpy", "scipy", "ase", "tblite", "vesin", "pydantic")


@dataclass
class RunDirectory:
    """An open run directory."""

    path: Path
    header: dict[str, Any]
    _lock: IO[str] | None = field(default=None, repr=False)

    @classmethod
    def create(cls, path: Path, input_text: str) -> Self:
        """Make a new run directory and lock it.

        Raises `RunDirectoryError` where something is there already.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunDirectoryError(cls._occupied(path, input_text), cls._cure(path))
        try:
            path.mkdir(parents=True, exist_ok=True)
            run = cls(path, _header(input_text))
            run.lock()
            (path / "input.yaml").write_text(input_text)
        except OSError as problem:
            raise RunDirectoryError(
                f"{path} cannot be written: {problem.strerror or problem}.",
                "Choose another place with --directory, or make room.",
            ) from problem
        return run

    def seal(self) -> None:
        """Declare the directory complete: from here on it can be resumed."""
        write_atomically(self.path / "header.json", json.dumps(self.header, indent=2))

    @classmethod
    def open(cls, path: Path, *, lock: bool) -> Self:
        """Open an existing run; `lock` it to write.

        Raises `RunDirectoryError` where it is missing, half made, of another version, or busy.
        """
        if not path.is_dir():
            raise RunDirectoryError(
                f"There is no run directory {path}.", "Start one with 'hyperatom run INPUT.yaml'."
            )
        try:
            header = json.loads((path / "header.json").read_text())
            text = (path / "input.yaml").read_text()
        except FileNotFoundError:
            raise RunDirectoryError(
                f"{path} is not a run directory, or was left half made: it has no header.json.",
                "Nothing was computed in it; delete it and start again with 'hyperatom run'.",
            ) from None
        except (OSError, ValueError) as problem:
            raise RunDirectoryError(
                f"{path}/header.json is damaged ({problem}).",
                "Restore it from a copy; the labels are safe in labels.db.",
            ) from problem
        cls._recognise(path)
        if header.get("format") != FORMAT:
            raise RunDirectoryError(
                f"{path} was written in format {header.get('format')} by hyperatom "
                f"{header.get('versions', {}).get('hyperatom')}; this is format {FORMAT}.",
                "Use the version of hyperatom that wrote it.",
            )
        if _digest(text) not in (header["input"], *header.get("amended", ())):
            raise RunDirectoryError(
                f"{path}/input.yaml was changed after the run began.",
                "Restore it, or start a new run with the changed input.",
            )
        run = cls(path, header)
        if lock:
            run.lock()
        return run

    def amend(self, input_text: str) -> None:
        """Replace the input by one under which all that was computed is the same.

        Killed at any moment, the directory has one of the two.
        """
        self.header["amended"] = [*self.header.get("amended", ()), _digest(input_text)]
        self.seal()
        write_atomically(self.path / "input.yaml", input_text)

    @property
    def input_text(self) -> str:
        """The input file's text."""
        return (self.path / "input.yaml").read_text()

    def file(self, name: str) -> Path:
        """A file of the run."""
        return self.path / name

    def log(self, sentence: str) -> None:
        """Add a line to log.txt; a full disk does not stop the run for that."""
        with suppress(OSError), self.file("log.txt").open("a") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {sentence}\n")

    def lock(self) -> None:
        """Keep other processes out until `close` or death."""
        self._lock = self.file("lock").open("w")
        for attempt in range(LOOKS + 1):
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if attempt < LOOKS:  # whoever asks `is_busy` holds the lock for a moment
                    time.sleep(0.05)
                    continue
            else:
                return
            self._lock.close()
            raise RunDirectoryError(
                f"Another process is working in {self.path}.",
                "Wait for it, or stop it; 'hyperatom status' shows how far it is.",
            ) from None

    def close(self) -> None:
        """Let other processes in."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @staticmethod
    def _recognise(path: Path) -> None:
        """Raise `RunDirectoryError` where the directory is of another kind."""
        if (path / "motion.db").is_file():
            raise RunDirectoryError(
                f"{path} is a simulation of 'hyperatom md', not a run of 'hyperatom run'.",
                f"Look at it with 'hyperatom analyse {path}', or go on with 'hyperatom md --resume "
                f"{path}'.",
            )

    @staticmethod
    def _occupied(path: Path, input_text: str) -> str:
        try:
            same = (path / "input.yaml").read_text() == input_text
        except OSError:
            return f"{path} exists and is not a run directory."
        whose = "this very input" if same else "another input"
        return f"{path} exists and belongs to a run of {whose}."

    @staticmethod
    def _cure(path: Path) -> str:
        return f"Continue it with 'hyperatom resume {path}', or choose another with --directory."


def is_busy(path: Path) -> bool:
    """Does a process hold the lock of the run directory `path`?"""
    try:
        with (path / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that it is either the old one or the new one, never a part."""
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.replace(path)


def _header(input_text: str) -> dict[str, Any]:
    versions = {"hyperatom": hyperatom.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "format": FORMAT,
        "input": _digest(input_text),
        "versions": versions,
        "machine": {"system": platform.platform(), "processor": platform.machine()},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv[:],
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
