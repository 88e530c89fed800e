"""Label store: every evaluation that was paid for, on disk before it is used.

One SQLite file. A label's key is SHA-256 of the configuration's digest and the reference's
identity, so that another setting of the engine makes another label. Nothing is ever overwritten:
where two writers bring the same key, the first one's numbers stand, for both. Failures are kept
too: a configuration that had no trustworthy answer has none when the run is replayed.

A write-ahead log and a full synchronisation for each label survive kill -9 and a loss of power.
Threads may share a store, processes may share its file; writers on several machines need a disk
whose locks hold between machines.
"""

import datetime as dt
import os
import platform
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from hyperatom.configuration import Configuration
from hyperatom.errors import HyperatomError, RunDirectoryError
from hyperatom.evaluation import Evaluation
from hyperatom.references.label import (
    DamagedRowError,
    Label,
    Row,
    StoredFailure,
    failure_from_row,
    failure_row,
    label_from_row,
    label_key,
    label_row,
)
from hyperatom.references.label_export import write_extended_xyz

Kind = TypeVar("Kind", Label, StoredFailure)

SCHEMA_VERSION: Final = 1
_APPLICATION: Final = 0x48594C53  # "HYLS", in the file's header
_BUSY_SECONDS: Final = 60.0
_PAGE: Final = 256  # rows read at a time while iterating
_ROOM: Final = 16_000_000  # bytes that must be free before an engine is started

_CONFIGURATION = "numbers BLOB, positions BLOB, cell BLOB, periodic BLOB, masses BLOB"
_CIRCUMSTANCES = (
    "checksum BLOB, identity TEXT, origin TEXT, seconds REAL, host TEXT, date TEXT, "
    "attempts INTEGER, provenance TEXT"
)
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE labels (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL,
    {_CONFIGURATION}, energy BLOB, forces BLOB, stress BLOB, energy_error BLOB, {_CIRCUMSTANCES});
CREATE TABLE failures (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL,
    {_CONFIGURATION}, problem TEXT, cure TEXT, {_CIRCUMSTANCES});
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


class LabelStore:
    """The labels and failures of one project, in one file.

    Every method raises `RunDirectoryError` where the file is damaged or busy, and `HyperatomError`
    where the disk is full; opening also where the file is no label store or of another version.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        with self._plainly():
            self._connection = sqlite3.connect(
                self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            with self._plainly():
                self._open()
        except BaseException:
            self._connection.close()
            raise

    def add(
        self,
        configuration: Configuration,
        evaluation: Evaluation,
        identity: str,
        *,
        attempts: int = 1,
        provenance: str = "",
    ) -> Label:
        """Store an evaluation; returns the label that stands: this one, or an earlier writer's."""
        key = label_key(configuration, identity)
        row = label_row(key, configuration, evaluation)
        circumstances = _circumstances(
            identity, evaluation.origin, evaluation.seconds, attempts, provenance
        )
        self._insert("labels", row | circumstances)
        label = self.get(key)
        assert label is not None
        return label

    def add_failure(
        self,
        configuration: Configuration,
        problem: str,
        cure: str,
        identity: str,
        *,
        seconds: float = 0.0,
        attempts: int = 1,
        provenance: str = "",
    ) -> StoredFailure:
        """Store a failure; returns the one that stands. `seconds` is the time it took."""
        key = label_key(configuration, identity)
        row = failure_row(key, configuration, problem, cure)
        self._insert("failures", row | _circumstances(identity, "", seconds, attempts, provenance))
        failure = self.failure(key)
        assert failure is not None
        return failure

    def get(self, key: str) -> Label | None:
        """The label of a key, or None."""
        row = self._row("SELECT * FROM labels WHERE key = ?", key)
        return None if row is None else self._read(label_from_row, row)

    def failure(self, key: str) -> StoredFailure | None:
        """The failure of a key, or None."""
        row = self._row("SELECT * FROM failures WHERE key = ?", key)
        return None if row is None else self._read(failure_from_row, row)

    def labels(self, identity: str | None = None, after: int = 0) -> Iterator[Label]:
        """Labels in the order of arrival, of one identity or all, whose index exceeds `after`."""
        return (self._read(label_from_row, row) for row in self._rows("labels", identity, after))

    def failures(self, identity: str | None = None, after: int = 0) -> Iterator[StoredFailure]:
        """Failures in the order of arrival."""
        return (
            self._read(failure_from_row, row) for row in self._rows("failures", identity, after)
        )

    def __iter__(self) -> Iterator[Label]:
        return self.labels()

    def __len__(self) -> int:
        return self.count()

    def count(self, identity: str | None = None) -> int:
        """Number of labels, of one identity or all."""
        return self._count("labels", identity)

    def count_failures(self, identity: str | None = None) -> int:
        """Number of failures, of one identity or all."""
        return self._count("failures", identity)

    def forget_failures(self, identity: str | None = None) -> int:
        """Forget failures, so that they are tried again; returns how many.

        A replay of the run that met them is then no longer the same to the bit.
        """
        with self._lock, self._plainly():
            return self._connection.execute(
                "DELETE FROM failures WHERE ?1 IS NULL OR identity = ?1", (identity,)
            ).rowcount

    def check(self) -> None:
        """Read every byte; raises `RunDirectoryError` at the first sign of damage."""
        row = self._row("PRAGMA integrity_check")
        if row is None or row["integrity_check"] != "ok":
            raise self._damaged()
        for stored in (self.labels(), self.failures()):
            for _ in stored:
                pass

    def require_room(self) -> None:
        """Raise `HyperatomError` where the disk is all but full, before an answer is paid for."""
        disk = os.statvfs(self.path.absolute().parent)
        if disk.f_bavail * disk.f_frsize < _ROOM:
            raise self._full("no space is left")

    def export_extxyz(self, path: Path | str, identity: str | None = None) -> int:
        """Write labels as extended XYZ, floats in full; returns how many."""
        return write_extended_xyz(self.labels(identity), path)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA fullfsync = ON")  # macOS: through the drive's own cache, too
        self._create_tables()
        (application,) = execute("PRAGMA application_id").fetchone()
        (version,) = execute("PRAGMA user_version").fetchone()
        if application != _APPLICATION:
            raise RunDirectoryError(
                f"{self.path} is not a label store.",
                "Give the path of a label store, or of a file that does not exist yet.",
            )
        if version != SCHEMA_VERSION:
            raise RunDirectoryError(
                f"The label store {self.path} has format {version}, and this version of hyperatom "
                f"reads format {SCHEMA_VERSION}.",
                "Use the version of hyperatom that wrote it.",
            )

    def _create_tables(self) -> None:
        """Unless they are there; several processes may open a new store at the same time."""
        deadline = time.monotonic() + _BUSY_SECONDS
        while self._row_count("sqlite_master") == 0:
            try:
                # Where a network disk has no write-ahead log, SQLite keeps its older, safe journal.
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.executescript(_SCHEMA)
            except sqlite3.OperationalError:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if self._row_count("sqlite_master") == 0:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)

    def _insert(self, table: str, row: Row) -> None:
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        with self._lock, self._plainly():
            self._connection.execute(
                f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})",  # noqa: S608
                tuple(row.values()),
            )

    def _row(self, query: str, *values: Any) -> Row | None:
        with self._lock, self._plainly():
            rows = self._fetch(query, *values)
        return rows[0] if rows else None

    def _rows(self, table: str, identity: str | None, after: int) -> Iterator[Row]:
        query = (
            f"SELECT * FROM {table} WHERE id > ?1 AND (?2 IS NULL OR identity = ?2) "  # noqa: S608
            f"ORDER BY id LIMIT {_PAGE}"
        )
        while True:
            with self._lock, self._plainly():
                page = self._fetch(query, after, identity)
            if not page:
                return
            yield from page
            after = page[-1]["id"]

    def _fetch(self, query: str, *values: Any) -> list[Row]:
        cursor = self._connection.execute(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def _count(self, table: str, identity: str | None) -> int:
        with self._lock, self._plainly():
            return self._row_count(table, "?1 IS NULL OR identity = ?1", identity)

    def _row_count(self, table: str, condition: str = "TRUE", *values: Any) -> int:
        query = f"SELECT count(*) FROM {table} WHERE {condition}"  # noqa: S608
        return int(self._connection.execute(query, values).fetchone()[0])

    def _read(self, reader: Callable[[Row], Kind], row: Row) -> Kind:
        try:
            return reader(row)
        except (DamagedRowError, ValueError, TypeError) as error:
            raise self._damaged(f" (row {row['id']})") from error

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """SQLite's errors in plain words."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise self._full(str(error)) from error
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise self._damaged() from error
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise RunDirectoryError(
                    f"The label store {self.path} was busy for {_BUSY_SECONDS:g} s.",
                    "End the other program that holds it, and start again.",
                ) from error
            raise RunDirectoryError(
                f"The label store {self.path} cannot be used: {error}.",
                "See whether it exists, may be written, and has not been closed.",
            ) from error

    def _full(self, reason: str) -> HyperatomError:
        return HyperatomError(
            f"The label store {self.path} cannot grow: {reason}.",
            "Make room on the disk and resume; every label stored so far is safe.",
        )

    def _damaged(self, where: str = "") -> RunDirectoryError:
        return RunDirectoryError(
            f"The label store {self.path} is damaged{where}.",
            f"Put a copy of it in its place; or save what is readable: sqlite3 '{self.path}' "
            ".recover | sqlite3 recovered.labels",
        )


def _circumstances(
    identity: str, origin: str, seconds: float, attempts: int, provenance: str
) -> Row:
    return {
        "identity": identity,
        "origin": origin,
        "seconds": float(seconds),
        "attempts": attempts,
        "provenance": provenance,
        "host": platform.node(),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
    }
