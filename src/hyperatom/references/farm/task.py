"""What travels to a worker and back: one attempt at one label, as text without loss."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hyperatom.configuration import Configuration
from hyperatom.errors import HyperatomError
from hyperatom.references.ase_calculator import EngineEvaluation, EngineNotFinite
from hyperatom.references.engine_message import pack, unpack
from hyperatom.references.engine_process import (
    EngineCrash,
    EngineException,
    EngineFailure,
    EngineTimeOut,
)

_ARRAYS = ("numbers", "positions", "cell", "periodic", "masses")


class WorkerLost(EngineFailure):
    """The worker that held the task is gone without a word."""

    kind = "worker lost"


class Withdrawn(HyperatomError):
    """Nobody wants the label any more."""


class WorkerRefusal(HyperatomError):
    """A worker cannot compute for this run at all: another version of the engine, none at all."""


_FAILURES: Mapping[str, type[EngineFailure]] = {
    one.kind: one
    for one in (
        EngineFailure,
        EngineException,
        EngineCrash,
        EngineTimeOut,
        EngineNotFinite,
        WorkerLost,
    )
}


@dataclass(frozen=True, eq=False)
class Task:
    """One attempt at a label.

    | field              | unit | meaning                                                       |
    |--------------------|------|---------------------------------------------------------------|
    | `key`              | -    | of the label                                                  |
    | `configuration`    | -    | what is to be evaluated                                       |
    | `attempt`          | -    | from 1                                                        |
    | `tightened`        | -    | with the engine's retry keywords?                             |
    | `speculative`      | -    | may never be needed: others go first                          |
    | `provenance`       | -    | who asks, and why                                             |
    | `expected_seconds` | s    | longest of the latest labels (0: unknown), for walltime limits|
    """

    key: str
    configuration: Configuration
    attempt: int = 1
    tightened: bool = False
    speculative: bool = False
    provenance: str = ""
    expected_seconds: float = 0.0


def task_text(task: Task, engine: Mapping[str, Any], identity: str) -> str:
    """A task, and the engine that is to compute it, as JSON; `engine` as `AseReference` takes it.

    `identity` is what a worker's engine must have.
    """
    content = {name: getattr(task, name) for name in Task.__dataclass_fields__}
    content["configuration"] = _configuration_message(task.configuration)
    return json.dumps({"task": content, "engine": dict(engine), "identity": identity})


def task_from_text(text: str) -> tuple[Task, dict[str, Any], str]:
    """Task, engine and identity; raises `ValueError` or `KeyError` where the text is damaged."""
    content = json.loads(text)
    task = dict(content["task"])
    task["configuration"] = _configuration(task["configuration"])
    return Task(**task), content["engine"], content["identity"]


def outcome_text(
    key: str, configuration: Configuration, identity: str, outcome: EngineEvaluation | EngineFailure
) -> str:
    """The outcome of a task as JSON; it repeats what was asked, so that it stands alone."""
    content: dict[str, Any] = {
        "key": key,
        "identity": identity,
        "configuration": _configuration_message(configuration),
        "host": outcome.host,
        "seconds": outcome.seconds,
    }
    if isinstance(outcome, EngineFailure):
        content |= {
            "failure": outcome.kind,
            "problem": outcome.problem,
            "cure": outcome.cure,
        }
        return json.dumps(content)
    for name in ("forces", "stress"):
        array = getattr(outcome, name)
        content[name] = None if array is None else pack(array)
    content |= {
        "energy": float(outcome.energy).hex(),
        "energy_error": None if outcome.energy_error is None else outcome.energy_error.hex(),
        "origin": outcome.origin,
        "notes": dict(outcome.notes),
    }
    return json.dumps(content)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a task: an evaluation of a configuration, or a failure (perhaps without)."""

    key: str
    identity: str
    configuration: Configuration | None
    answer: EngineEvaluation | EngineFailure


def outcome_from_text(text: str) -> Outcome:
    """The outcome; raises `ValueError` or `KeyError` where the text is damaged."""
    content = json.loads(text)
    configuration = _configuration(content["configuration"])
    answer: EngineEvaluation | EngineFailure
    if "failure" in content:
        kind = _FAILURES.get(content["failure"], EngineFailure)
        answer = kind(content["problem"], content["cure"])
        answer.host, answer.seconds = content["host"], content["seconds"]
    else:
        error = content["energy_error"]
        answer = EngineEvaluation(
            energy=float.fromhex(content["energy"]),
            forces=unpack(content["forces"]),
            stress=None if content["stress"] is None else unpack(content["stress"]),
            energy_error=None if error is None else float.fromhex(error),
            origin=content["origin"],
            seconds=content["seconds"],
            host=content["host"],
            notes=content["notes"],
        )
    return Outcome(content["key"], content["identity"], configuration, answer)


def _configuration_message(configuration: Configuration) -> dict[str, Any]:
    return {name: pack(getattr(configuration, name)) for name in _ARRAYS}


def _configuration(message: Mapping[str, Any]) -> Configuration:
    return Configuration(**{name: unpack(message[name]) for name in _ARRAYS})
