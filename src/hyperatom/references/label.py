"""A label: one stored answer of the reference, or its refusal, and how they become rows and back.

Arrays are the bytes of little-endian float64 (numbers int64, periodic uint8), so that they return
bit for bit, under a SHA-256 checksum, so that a decaying disk is noticed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.evaluation import Evaluation

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Stored:
    """What labels and failures have in common.

    | field           | meaning                                                      |
    |-----------------|--------------------------------------------------------------|
    | `index`         | ascending in the order of arrival                            |
    | `key`           | `label_key` of configuration and identity                    |
    | `configuration` | what was evaluated                                           |
    | `identity`      | settings of the reference                                    |
    | `seconds`       | wall time of the evaluation, s                               |
    | `host`          | machine that computed it                                     |
    | `date`          | when, UTC, ISO 8601                                          |
    | `attempts`      | how often the engine was asked                               |
    | `provenance`    | who asked, and why                                           |
    | `notes`         | what the engine said beside: `scf_cycles`, `warnings`, ...   |
    """

    index: int
    key: str
    configuration: Configuration
    identity: str
    seconds: float
    host: str
    date: str
    attempts: int
    provenance: str
    notes: Mapping[str, Any] = field(kw_only=True, default_factory=dict)


@dataclass(frozen=True, eq=False)
class Label(Stored):
    """A stored evaluation."""

    evaluation: Evaluation


@dataclass(frozen=True, eq=False)
class StoredFailure(Stored):
    """A stored refusal: what the reference said instead of an answer."""

    problem: str
    cure: str


@dataclass(frozen=True)
class FailedAttempt:
    """One attempt at a label that came to nothing, whether or not a later one succeeded.

    | field        | unit | meaning                                                          |
    |--------------|------|------------------------------------------------------------------|
    | `key`        | -    | `label_key` of configuration and identity                        |
    | `number`     | -    | of the attempt, from 1                                           |
    | `kind`       | -    | exception, not finite, wrong answer, crash, time-out, worker lost|
    | `problem`    | -    | what was said                                                    |
    | `seconds`    | s    | wall time it took                                                |
    | `host`       | -    | machine on which it happened                                     |
    | `date`       | -    | when it was noted, UTC, ISO 8601                                 |
    | `provenance` | -    | who asked, and why                                               |
    """

    key: str
    number: int
    kind: str
    problem: str
    seconds: float = 0.0
    host: str = ""
    date: str = ""
    provenance: str = ""


class DamagedRowError(Exception):
    """A row is not what was written."""


def label_key(configuration: Configuration, identity: str) -> str:
    """SHA-256, as hex, of the configuration's digest and the reference's identity."""
    return hashlib.sha256(f"{configuration.digest()}\n{identity}".encode()).hexdigest()


def label_row(key: str, configuration: Configuration, evaluation: Evaluation) -> Row:
    """The columns of an evaluation, checksum included."""
    answer = {
        name: None if value is None else _bytes(value)
        for name, value in (
            ("energy", evaluation.energy),
            ("forces", evaluation.forces),
            ("stress", evaluation.stress),
            ("energy_error", evaluation.energy_error),
        )
    }
    return _with_checksum({"key": key, **_configuration_row(configuration), **answer})


def failure_row(key: str, configuration: Configuration, problem: str, cure: str) -> Row:
    """The columns of a failure, checksum included."""
    answer = {"problem": problem, "cure": cure}
    return _with_checksum({"key": key, **_configuration_row(configuration), **answer})


def label_from_row(row: Row) -> Label:
    """The label of a row; raises `DamagedRowError`."""
    names = ("energy", "forces", "stress", "energy_error")
    stored = _stored(row, *names)
    energy, forces, stress, energy_error = (_floats(row[name]) for name in names)
    if energy is None or forces is None:
        raise DamagedRowError
    evaluation = Evaluation(
        energy=float(energy[0]),
        forces=forces.reshape(-1, 3),
        stress=stress,
        energy_error=None if energy_error is None else float(energy_error[0]),
        origin=row["origin"],
        seconds=row["seconds"],
    )
    return Label(**stored, evaluation=evaluation)


def failure_from_row(row: Row) -> StoredFailure:
    """The failure of a row; raises `DamagedRowError`."""
    return StoredFailure(
        **_stored(row, "problem", "cure"), problem=row["problem"], cure=row["cure"]
    )


_CONFIGURATION = ("numbers", "positions", "cell", "periodic", "masses")


def _stored(row: Row, *answer: str) -> Row:
    content = {name: row[name] for name in ("key", *_CONFIGURATION, *answer)}
    if _with_checksum(content)["checksum"] != row["checksum"]:
        raise DamagedRowError
    configuration = Configuration(
        numbers=np.frombuffer(row["numbers"], "<i8"),
        positions=np.frombuffer(row["positions"], "<f8"),
        cell=np.frombuffer(row["cell"], "<f8"),
        periodic=np.frombuffer(row["periodic"], "u1"),
        masses=np.frombuffer(row["masses"], "<f8"),
    )
    if label_key(configuration, row["identity"]) != row["key"]:
        raise DamagedRowError
    names = ("key", "identity", "seconds", "host", "date", "attempts", "provenance")
    return {
        "index": row["id"],
        "configuration": configuration,
        "notes": json.loads(row["notes"] or "{}"),
        **{name: row[name] for name in names},
    }


def _configuration_row(configuration: Configuration) -> Row:
    return {
        "numbers": configuration.numbers.astype("<i8").tobytes(),
        "positions": _bytes(configuration.positions),
        "cell": _bytes(configuration.cell),
        "periodic": configuration.periodic.astype("u1").tobytes(),
        "masses": _bytes(configuration.masses),
    }


def _with_checksum(content: Mapping[str, Any]) -> Row:
    digest = hashlib.sha256()
    for name, value in content.items():
        part = value.encode() if isinstance(value, str) else value
        # Lengths are part of it, so that no byte can move from one column to the next unseen.
        digest.update(f"{name} {'none' if part is None else len(part)}\n".encode())
        digest.update(part or b"")
    return {**content, "checksum": digest.digest()}


def _bytes(values: object) -> bytes:
    return np.asarray(values, "<f8").tobytes()


def _floats(content: bytes | None) -> NDArray[np.float64] | None:
    return None if content is None else np.frombuffer(content, "<f8")
