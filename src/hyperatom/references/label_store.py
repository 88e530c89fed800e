"""Label store: every evaluation that was paid for, on disk before it is used.

One SQLite file. A label's key is SHA-256 of the configuration's digest and the reference's
identity, so that another setting of the engine makes another label. Nothing is ever overwritten:
where two writers bring the same key, the first one's numbers stand, for both. Failures are kept
too: a configuration that had no trustworthy answer has none when the run is replayed (it is in
quarantine until `forget_failures`). Each single attempt that came to nothing is noted as well, so
that what an engine did on a bad day can be counted.

A write-ahead log and a full synchronisation for each label survive kill -9 and a loss of power.
Threads may share a store, processes may share its file; writers on several machines need a disk
whose locks hold between machines. A disk whose locks do not work is refused.
"""

import datetime as dt
import json
import os
import platform
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from hyperatom.configuration import Configuration
from hyperatom.errors import HyperatomError, RunDirectoryError
from hyperatom.evaluation import Evaluation
from hyperatom.references.file_locks import locks_work
from hyperatom.references.label import (
    DamagedRowError,
    FailedAttempt,
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
from hyperatom.references.label_schema import APPLICATION, FROM_VERSION_1, SCHEMA, SCHEMA_VERSION

Kind = TypeVar("Kind", Label, StoredFailure)

_BUSY_SECONDS: Final = 60.0
_PAGE: Final = 256  # rows read at a time while iterating
_ROOM: Final = 16_000_000  # bytes that must be free before an engine is started
_LOCK_TROUBLE: Final = {
    sqlite3.SQLITE_IOERR_LOCK,
    sqlite3.SQLITE_IOERR_RDLOCK,
    sqlite3.SQLITE_IOERR_UNLOCK,
    sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK,
    sqlite3.SQLITE_IOERR_SHMLOCK,
    sqlite3.SQLITE_IOERR_SHMMAP,
    sqlite3.SQLITE_IOERR_SHMOPEN,
}


class LabelStore:
    """The labels and failures of one project, in one file.

    Every method raises `RunDirectoryError` where the file is damaged or busy, and `HyperatomError`
    where the disk is full; opening also where the file is no label store or of another version.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        if not locks_work(self.path.absolute().parent):
            raise self._without_locks()
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
        host: str = "",
        notes: Mapping[str, Any] | None = None,
    ) -> Label:
        """Store an evaluation; returns the label that stands: this one, or an earlier writer's."""
        key = label_key(configuration, identity)
        row = label_row(key, configuration, evaluation)
        circumstances = _circumstances(
            identity, evaluation.origin, evaluation.seconds, attempts, provenance, host, notes
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
        host: str = "",
    ) -> StoredFailure:
        """Store a failure; returns the one that stands. `seconds` is the time it took."""
        key = label_key(configuration, identity)
        row = failure_row(key, configuration, problem, cure)
        circumstances = _circumstances(identity, "", seconds, attempts, provenance, host, None)
        self._insert("failures", row | circumstances)
        failure = self.failure(key)
        assert failure is not None
        return failure

    def add_attempt(self, attempt: FailedAttempt) -> None:
        """Note an attempt that came to nothing."""
        self._insert("attempts", {**asdict(attempt), "date": attempt.date or _now()})

    def attempts(self, key: str | None = None) -> Iterator[FailedAttempt]:
        """Attempts that came to nothing, of one key or all, in the order of arrival."""
        query = "SELECT * FROM attempts WHERE ?1 IS NULL OR key = ?1 ORDER BY id"
        with self._lock, self._plainly():
            rows = self._fetch(query, key)
        return (FailedAttempt(**{k: v for k, v in row.items() if k != "id"}) for row in rows)

    def count_attempts(self) -> dict[str, int]:
        """Attempts that came to nothing, by kind."""
        with self._lock, self._plainly():
            rows = self._fetch("SELECT kind, count(*) AS n FROM attempts GROUP BY kind")
        return {row["kind"]: row["n"] for row in rows}

    def count_attempts_at(self, key: str) -> int:
        """Attempts at one label that came to nothing."""
        with self._lock, self._plainly():
            return self._row_count("attempts", "key = ?1", key)

    def identities(self) -> list[str]:
        """Settings of all references that have said anything, in the order of arrival."""
        query = "SELECT identity FROM {} GROUP BY identity ORDER BY min(id)"
        with self._lock, self._plainly():
            found = [
                row["identity"]
                for table in ("labels", "failures")
                for row in self._fetch(query.format(table))
            ]
        return list(dict.fromkeys(found))

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

    def forget_failures(self, identity: str | None = None, key: str | None = None) -> int:
        """Forget failures, all or of one identity or key, so that they are tried again; how many.

        A replay of the run that met them is then no longer the same to the bit. `attempts` keeps
        what was tried.
        """
        with self._lock, self._plainly():
            return self._connection.execute(
                "DELETE FROM failures WHERE (?1 IS NULL OR identity = ?1) "
                "AND (?2 IS NULL OR key = ?2)",
                (identity, key),
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
        if application == APPLICATION and version == 1:
            version = self._convert_from_version_1()
        if application != APPLICATION:
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
                self._connection.executescript(SCHEMA)
            except sqlite3.OperationalError:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if self._row_count("sqlite_master") == 0:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)

    def _convert_from_version_1(self) -> int:
        with suppress(sqlite3.OperationalError):  # another process may have been faster
            self._connection.executescript(FROM_VERSION_1)
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        return int(version)

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
            extended = getattr(error, "sqlite_errorcode", 0)
            code = extended & 0xFF
            if extended in _LOCK_TROUBLE:
                raise self._without_locks() from error
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

    def _without_locks(self) -> RunDirectoryError:
        return RunDirectoryError(
            f"File locks do not work on the disk that holds {self.path}, so that two programs that "
            "write at the same time would damage the label store.",
            "Put the run on another disk (a local one, with --directory); workers on other "
            "machines need only share the folder of the queue, which uses no locks.",
        )

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
    identity: str,
    origin: str,
    seconds: float,
    attempts: int,
    provenance: str,
    host: str,
    notes: Mapping[str, Any] | None,
) -> Row:
    return {
        "identity": identity,
        "origin": origin,
        "seconds": float(seconds),
        "attempts": attempts,
        "provenance": provenance,
        "host": host or platform.node(),
        "date": _now(),
        "notes": json.dumps(dict(notes)) if notes else None,
    }


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
