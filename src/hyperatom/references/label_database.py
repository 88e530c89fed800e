"""The file of a label store: opened, written durably, read, and its troubles in plain words."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hyperatom.errors import HyperatomError, RunDirectoryError
from hyperatom.references.file_locks import locks_work
from hyperatom.references.label import Row
from hyperatom.references.label_schema import APPLICATION, FROM_VERSION_1, SCHEMA, SCHEMA_VERSION
from hyperatom.references.read_only import connect_read_only

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


class LabelDatabase:
    """The tables of a label store, for several threads.

    Every method raises `RunDirectoryError` where the file is damaged or busy, and `HyperatomError`
    where the disk is full; opening also where the file is no label store or of another version.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._queue_lock = threading.Lock()
        self._queue: list[_Writing] = []
        self._led = False
        if read_only:
            with self._plainly():
                self.connection = connect_read_only(self.path)
                self._check_format()
            return
        if not locks_work(self.path.absolute().parent):
            raise self._without_locks()
        with self._plainly():
            self.connection = sqlite3.connect(
                self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            with self._plainly():
                self._open()
        except BaseException:
            self.connection.close()
            raise

    def insert(self, table: str, *rows: Row) -> list[int | None]:
        """Write rows, for good once this returns; their ids, None where the key was there before.

        One thread writes for all who wait, so that they share one synchronisation with the disk.
        """
        mine = _Writing(table, rows)
        with self._queue_lock:
            self._queue.append(mine)
            leads, self._led = not self._led, True
        if not leads:
            try:
                mine.over.wait()
            except BaseException:  # Ctrl-C: whoever leaves must not be the next to lead
                self._leave(mine)
                raise
        if not mine.done:  # first in the queue once the leader before has gone
            self._lead()
        if mine.problem is not None:
            raise mine.problem
        return mine.ids

    def _leave(self, mine: "_Writing") -> None:
        with self._queue_lock:
            leads = mine.over.is_set() and not mine.done
            if not leads and mine in self._queue:
                self._queue.remove(mine)
        if leads:
            self._lead()

    def _lead(self) -> None:
        batch: list[_Writing] = []
        problem: BaseException | None = None
        try:
            with self._lock, self._plainly():
                with self._queue_lock:
                    batch, self._queue = self._queue, []
                self._write(batch)
        except BaseException as trouble:
            problem = trouble
        with self._queue_lock:
            self._led = bool(self._queue)
            if self._queue:
                self._queue[0].over.set()
        for one in batch:
            one.done, one.problem = True, problem
            one.over.set()

    def select(self, query: str, *values: Any) -> list[Row]:
        """All rows of a query."""
        with self._lock, self._plainly():
            return self._fetch(query, *values)

    def change(self, query: str, *values: Any) -> int:
        """Change rows; returns how many."""
        with self._lock, self._plainly():
            return self.connection.execute(query, values).rowcount

    def rows(self, table: str, identity: str | None, after: int) -> Iterator[Row]:
        """Rows in the order of arrival, of one identity or all, whose id exceeds `after`."""
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

    def count(self, table: str, condition: str = "TRUE", *values: Any) -> int:
        """Number of rows of a table that fulfil a condition."""
        with self._lock, self._plainly():
            return self._count(table, condition, *values)

    def require_room(self) -> None:
        """Raise `HyperatomError` where the disk is all but full."""
        disk = os.statvfs(self.path.absolute().parent)
        if disk.f_bavail * disk.f_frsize < _ROOM:
            raise self._full("no space is left")

    def damaged(self, where: str = "") -> RunDirectoryError:
        """What to raise where a row is not what was written."""
        return RunDirectoryError(
            f"The label store {self.path} is damaged{where}.",
            f"Put a copy of it in its place; or save what is readable: sqlite3 '{self.path}' "
            ".recover | sqlite3 recovered.labels",
        )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self.connection.close()

    def _open(self) -> None:
        execute = self.connection.execute
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA fullfsync = ON")  # macOS: through the drive's own cache, too
        self._create_tables()
        (application,) = execute("PRAGMA application_id").fetchone()
        (version,) = execute("PRAGMA user_version").fetchone()
        if application == APPLICATION and version == 1:
            self._convert_from_version_1()
        self._check_format()

    def _check_format(self) -> None:
        (application,) = self.connection.execute("PRAGMA application_id").fetchone()
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
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
        while self._count("sqlite_master") == 0:
            try:
                # Where a network disk has no write-ahead log, SQLite keeps its older, safe journal.
                self.connection.execute("PRAGMA journal_mode = WAL")
                self.connection.executescript(SCHEMA)
            except sqlite3.OperationalError:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                if self._count("sqlite_master") == 0:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)

    def _convert_from_version_1(self) -> None:
        with suppress(sqlite3.OperationalError):  # another process may have been faster
            self.connection.executescript(FROM_VERSION_1)
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def _write(self, batch: "list[_Writing]") -> None:
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            for one in batch:
                one.ids = []
                for row in one.rows:
                    names, marks = ", ".join(row), ", ".join("?" * len(row))
                    query = f"INSERT OR IGNORE INTO {one.table} ({names}) VALUES ({marks})"  # noqa: S608
                    cursor = execute(query, tuple(row.values()))
                    one.ids.append(cursor.lastrowid if cursor.rowcount == 1 else None)
            execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                execute("ROLLBACK")
            raise

    def _fetch(self, query: str, *values: Any) -> list[Row]:
        cursor = self.connection.execute(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def _count(self, table: str, condition: str = "TRUE", *values: Any) -> int:
        query = f"SELECT count(*) FROM {table} WHERE {condition}"  # noqa: S608
        return int(self.connection.execute(query, values).fetchone()[0])

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
                raise self.damaged() from error
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


@dataclass(eq=False)
class _Writing:
    """Rows that a thread waits to see written."""

    table: str
    rows: tuple[Row, ...]
    ids: list[int | None] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    done: bool = False
    problem: BaseException | None = None
