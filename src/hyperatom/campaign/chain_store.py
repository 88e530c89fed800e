"""The chain on disk: every step of every walker, in one SQLite file safe against kill -9.

A step is written in one transaction before the next begins, with every number its decision was made
of. Positions are not repeated: a step names labels, and the label store holds their atoms bit for
bit. Seconds live in a table of their own, so that two runs of one input have equal chains.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field, fields
from operator import add
from pathlib import Path
from typing import Any, Literal

from hyperatom.errors import RunDirectoryError
from hyperatom.references.read_only import connect_read_only

FORMAT = "2"

TABLES = """
CREATE TABLE IF NOT EXISTS steps (
    walker INTEGER, number INTEGER, phase TEXT, content TEXT, PRIMARY KEY (walker, number));
CREATE TABLE IF NOT EXISTS seconds (
    walker INTEGER, number INTEGER, content TEXT, PRIMARY KEY (walker, number));
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, content TEXT);
"""

Phase = Literal["start", "learn", "probe", "produce", "average"]


@dataclass(frozen=True)
class Step:
    """One step of one walker.

    | field            | unit | meaning                                                           |
    |------------------|------|-------------------------------------------------------------------|
    | `walker`         | -    | which chain, from 0                                               |
    | `number`         | -    | step of this chain, from 0 (its start)                            |
    | `phase`          | -    | start, learn, probe or produce                                    |
    | `guide`          | -    | digest of the guide that proposed                                 |
    | `record`         | eV.. | the proposal's own numbers: shape of the path, energies, errors   |
    | `log_ratio`      | -    | of the proposal                                                   |
    | `veto`           | -    | why the reference was not asked, or empty                         |
    | `failure`        | -    | why the reference had no answer, or empty                         |
    | `proposed_label` | -    | key of the proposed configuration's label, or empty               |
    | `proposed_energy`| eV   | its reference energy, None without one                            |
    | `uniform`        | -    | the random number of the decision                                 |
    | `log_acceptance` | -    | what it was compared with, None without an evaluation             |
    | `accepted`       | -    | the decision                                                      |
    | `state_label`    | -    | key of the label where the chain is after the step                |
    | `state_energy`   | eV   | its reference energy                                              |

    Of ring polymers, energies are means over the beads.
    """

    walker: int
    number: int
    phase: Phase
    guide: str
    record: dict[str, Any]
    log_ratio: float
    veto: str
    failure: str
    proposed_label: str
    proposed_energy: float | None
    uniform: float
    log_acceptance: float | None
    accepted: bool
    state_label: str
    state_energy: float

    @property
    def full(self) -> bool:
        """Did the path have its intended length?"""
        return bool(self.record.get("full", True))

    @property
    def asked(self) -> bool:
        """Was the reference asked?"""
        return self.proposed_energy is not None or bool(self.failure)

    def wrong(self, before: float) -> float | None:
        """(U_D - U_M)(x') - (U_D - U_M)(x) of the proposal, eV; None where it is not known.

        `before` is the reference's energy where the chain was, eV.
        """
        if self.proposed_energy is None or "guide_energy_after" not in self.record:
            return None
        guessed = self.record["guide_energy_after"] - self.record["guide_energy_before"]
        return float(self.proposed_energy - before - guessed)


@dataclass(frozen=True)
class Seconds:
    """Wall time of a step by what it was spent on, s."""

    guide: float = 0.0
    fit: float = 0.0
    reference: float = 0.0
    total: float = 0.0
    cheap: float = 0.0

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(*map(add, astuple(self), astuple(other)))


@dataclass
class ChainStore:
    """All steps of a run; safe from several threads of one process.

    With `read_only` nothing is written, not even where a step would be added.
    """

    path: Path
    read_only: bool = False
    _connection: sqlite3.Connection = field(init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        with self._plainly():
            self._connection = open_database(self.path, TABLES, "FULL", self.read_only)
            if not self.read_only:
                self._connection.execute(
                    "INSERT OR IGNORE INTO facts VALUES ('format', ?)", (FORMAT,)
                )
        if self.fact("format") != FORMAT:
            raise RunDirectoryError(
                f"{self.path} has format {self.fact('format')}, expected {FORMAT}.",
                "Use the version of hyperatom that wrote it.",
            )

    def add(
        self, steps: Sequence[tuple[Step, Seconds]], facts: dict[str, str] | None = None
    ) -> None:
        """Write steps and facts, all or none."""
        with self._lock, self._plainly():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for step, seconds in steps:
                    key = (step.walker, step.number)
                    self._connection.execute(
                        "INSERT INTO steps VALUES (?, ?, ?, ?)",
                        (*key, step.phase, json.dumps(_content(step))),
                    )
                    self._connection.execute(
                        "INSERT INTO seconds VALUES (?, ?, ?)",
                        (*key, json.dumps(_content(seconds))),
                    )
                for name, content in (facts or {}).items():
                    self._connection.execute(
                        "INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, content)
                    )
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def steps(self, walker: int | None = None, phase: Phase | None = None) -> list[Step]:
        """Steps by number, then walker."""
        return list(self._steps(walker, phase))

    def last(self, walker: int) -> Step | None:
        """The latest step of a walker."""
        rows = self._fetch(
            "SELECT content FROM steps WHERE walker = ? ORDER BY number DESC LIMIT 1", walker
        )
        return Step(**json.loads(rows[0][0])) if rows else None

    def seconds(self) -> dict[tuple[int, int], Seconds]:
        """Wall times by (walker, number)."""
        rows = self._fetch("SELECT walker, number, content FROM seconds")
        return {(row[0], row[1]): Seconds(**json.loads(row[2])) for row in rows}

    def fact(self, name: str) -> str | None:
        """A named fact of the run, None where it is not (yet) one."""
        rows = self._fetch("SELECT content FROM facts WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    def frozen(self) -> dict[str, Any] | None:
        """What was frozen: guide, time step, segments ...; None while learning."""
        content = self.fact("frozen")
        frozen: dict[str, Any] | None = json.loads(content) if content else None
        return frozen

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _steps(self, walker: int | None, phase: Phase | None) -> Iterator[Step]:
        query = "SELECT content FROM steps WHERE TRUE"
        values: list[object] = []
        if walker is not None:
            query, values = query + " AND walker = ?", [*values, walker]
        if phase is not None:
            query, values = query + " AND phase = ?", [*values, phase]
        for (content,) in self._fetch(query + " ORDER BY number, walker", *values):
            yield Step(**json.loads(content))

    def _fetch(self, query: str, *values: object) -> list[Any]:
        with self._lock, self._plainly():
            return self._connection.execute(query, values).fetchall()

    def _plainly(self) -> "Plainly":
        return Plainly(self.path)


def open_database(
    path: Path, tables: str, synchronous: str, read_only: bool = False
) -> sqlite3.Connection:
    """A database for several threads of one process, with its `tables` (SQL) made.

    `synchronous` FULL survives a loss of power to the last row, NORMAL a kill -9.
    """
    if read_only:
        return connect_read_only(path)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.executescript(tables)
    return connection


@dataclass
class Plainly:
    """Turns SQLite's errors about the file `path` into plain words."""

    path: Path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        code = getattr(problem, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise RunDirectoryError(
                f"{self.path} cannot grow: {problem}.",
                "Make room on the disk and resume; nothing that was paid for is lost.",
            ) from problem
        if isinstance(problem, sqlite3.Error):
            raise RunDirectoryError(
                f"{self.path} cannot be used: {problem}.",
                "If the file is damaged, restore it from a copy; the labels are in labels.db.",
            ) from problem


def _content(thing: object) -> dict[str, Any]:
    return {f.name: getattr(thing, f.name) for f in fields(thing)}  # type: ignore[arg-type]
