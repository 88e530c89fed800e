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
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from hyperatom.configuration import Configuration
from hyperatom.errors import RunDirectoryError
from hyperatom.evaluation import Evaluation
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
from hyperatom.references.label_database import LabelDatabase
from hyperatom.references.label_export import write_extended_xyz
from hyperatom.references.ring_label import keys_of_beads, label_of_ring

Kind = TypeVar("Kind", Label, StoredFailure)

_BATCH: Final = 256  # labels written together
_OF_IDENTITY: Final = "?1 IS NULL OR identity = ?1"


def _batched(labels: Iterable[Label], size: int) -> Iterator[list[Label]]:
    """`size` labels at a time."""
    stream = iter(labels)
    while batch := list(islice(stream, size)):
        yield batch


class LabelStore:
    """The labels and failures of one project, in one file; `read_only` writes nothing anywhere.

    Every method raises `RunDirectoryError` where the file is damaged or busy, and `HyperatomError`
    where the disk is full; opening also where the file is no label store or of another version.
    """

    def __init__(self, path: Path | str, *, read_only: bool = False) -> None:
        self.path = Path(path)
        self._database = LabelDatabase(self.path, read_only=read_only)

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
        circumstances = _circumstances(
            identity, evaluation.origin, evaluation.seconds, attempts, provenance, host, notes
        )
        row = label_row(key, configuration, evaluation) | circumstances
        (index,) = self._database.insert("labels", row)
        if index is not None:
            return self._read(label_from_row, {**row, "id": index})
        label = self.get(key)
        assert label is not None
        return label

    def add_many(self, labels: Iterable[Label], *, provenance: str | None = None) -> int:
        """Copy labels from elsewhere, with all that is known of them; returns how many were new.

        `provenance`, where it is given, replaces theirs. Faster than one by one.
        """
        before = self.count()
        for batch in _batched(labels, _BATCH):
            rows = []
            for label in batch:
                key = label_key(label.configuration, label.identity)
                circumstances = _circumstances(
                    label.identity,
                    label.evaluation.origin,
                    label.seconds,
                    label.attempts,
                    label.provenance if provenance is None else provenance,
                    label.host,
                    label.notes,
                )
                dated = {"date": label.date} if label.date else {}
                row = label_row(key, label.configuration, label.evaluation)
                rows.append(row | circumstances | dated)
            self._database.insert("labels", *rows)
        return self.count() - before

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
        self._database.insert("failures", row | circumstances)
        failure = self.failure(key)
        assert failure is not None
        return failure

    def add_attempt(self, attempt: FailedAttempt) -> None:
        """Note an attempt that came to nothing."""
        self._database.insert("attempts", {**asdict(attempt), "date": attempt.date or _now()})

    def attempts(self, key: str | None = None) -> Iterator[FailedAttempt]:
        """Attempts that came to nothing, of one key or all, in the order of arrival."""
        query = "SELECT * FROM attempts WHERE ?1 IS NULL OR key = ?1 ORDER BY id"
        rows = self._database.select(query, key)
        return (FailedAttempt(**{k: v for k, v in row.items() if k != "id"}) for row in rows)

    def count_attempts(self) -> dict[str, int]:
        """Attempts that came to nothing, by kind."""
        rows = self._database.select("SELECT kind, count(*) AS n FROM attempts GROUP BY kind")
        return {row["kind"]: row["n"] for row in rows}

    def count_attempts_at(self, key: str) -> int:
        """Attempts at one label that came to nothing."""
        return self._database.count("attempts", "key = ?1", key)

    def identities(self) -> list[str]:
        """Settings of all references that have said anything, in the order of arrival."""
        query = "SELECT identity FROM {} GROUP BY identity ORDER BY min(id)"
        found = [
            row["identity"]
            for table in ("labels", "failures")
            for row in self._database.select(query.format(table))
        ]
        return list(dict.fromkeys(found))

    def get(self, key: str) -> Label | None:
        """The label of a key, or None; that of a ring where all of its beads have theirs."""
        beads = keys_of_beads(key)
        if len(beads) > 1:
            found = {name: self.get(name) for name in dict.fromkeys(beads)}
            labels = [label for name in beads if (label := found[name]) is not None]
            return label_of_ring(labels) if len(labels) == len(beads) else None
        rows = self._database.select("SELECT * FROM labels WHERE key = ?", key)
        return self._read(label_from_row, rows[0]) if rows else None

    def failure(self, key: str) -> StoredFailure | None:
        """The failure of a key, or None."""
        rows = self._database.select("SELECT * FROM failures WHERE key = ?", key)
        return self._read(failure_from_row, rows[0]) if rows else None

    def labels(self, identity: str | None = None, after: int = 0) -> Iterator[Label]:
        """Labels in the order of arrival, of one identity or all, whose index exceeds `after`."""
        return (
            self._read(label_from_row, row)
            for row in self._database.rows("labels", identity, after)
        )

    def failures(self, identity: str | None = None, after: int = 0) -> Iterator[StoredFailure]:
        """Failures in the order of arrival."""
        return (
            self._read(failure_from_row, row)
            for row in self._database.rows("failures", identity, after)
        )

    def __iter__(self) -> Iterator[Label]:
        return self.labels()

    def __len__(self) -> int:
        return self.count()

    def count(self, identity: str | None = None) -> int:
        """Number of labels, of one identity or all."""
        return self._database.count("labels", _OF_IDENTITY, identity)

    def count_failures(self, identity: str | None = None) -> int:
        """Number of failures, of one identity or all."""
        return self._database.count("failures", _OF_IDENTITY, identity)

    def forget_failures(self, identity: str | None = None, key: str | None = None) -> int:
        """Forget failures, all or of one identity or key, so that they are tried again; how many.

        A replay of the run that met them is then no longer the same to the bit. `attempts` keeps
        what was tried.
        """
        return self._database.change(
            "DELETE FROM failures WHERE (?1 IS NULL OR identity = ?1) AND (?2 IS NULL OR key = ?2)",
            identity,
            key,
        )

    def check(self) -> None:
        """Read every byte; raises `RunDirectoryError` at the first sign of damage."""
        rows = self._database.select("PRAGMA integrity_check")
        if not rows or rows[0]["integrity_check"] != "ok":
            raise self._database.damaged()
        for stored in (self.labels(), self.failures()):
            for _ in stored:
                pass

    def require_room(self) -> None:
        """Raise `HyperatomError` where the disk is all but full, before an answer is paid for."""
        self._database.require_room()

    def export_extxyz(self, path: Path | str, identity: str | None = None) -> int:
        """Write labels as extended XYZ, floats in full; returns how many."""
        return write_extended_xyz(self.labels(identity), path)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, reader: Callable[[Row], Kind], row: Row) -> Kind:
        try:
            return reader(row)
        except (DamagedRowError, ValueError, TypeError) as error:
            raise self._database.damaged(f" (row {row['id']})") from error


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


def store_path(path: Path) -> Path:
    """The label store of a run directory, or the store itself.

    Raises `RunDirectoryError` where there is none.
    """
    found = path / "labels.db" if path.is_dir() else path
    if not found.is_file():
        raise RunDirectoryError(
            f"There is no label store {found}.",
            "Give a run directory or the path of its labels.db.",
        )
    return found
