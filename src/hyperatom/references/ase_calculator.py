"""Any ASE calculator as the reference: guarded, checked, retried once.

reference = AseReference("tblite.ase.TBLite", {"method": "GFN1-xTB", "accuracy": 0.1})
evaluation = reference.evaluate(configuration)
"""

import json
import platform
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.errors import HyperatomError, InputError
from hyperatom.evaluation import Evaluation
from hyperatom.references.engine_message import Message, unpack
from hyperatom.references.engine_preset import EnginePreset, merged
from hyperatom.references.engine_process import (
    EngineCrash,
    EngineException,
    EngineFailure,
    EngineProcess,
)

_LOOK_AT_OUTPUT = "Look at the engine's own output and at the configuration."


@dataclass(frozen=True, eq=False)
class EngineEvaluation(Evaluation):
    """An evaluation by an engine, the attempts it took, on which `host`, and what was said beside.

    `notes` may hold `scf_cycles` and `warnings`.
    """

    attempts: int = 1
    host: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)


class AseReference:
    """A `Reference` made of any ASE calculator.

    `calculator` is the import path of a calculator class, or of a function that returns a
    calculator, where its keywords are more than JSON can say. The energy is the force-consistent
    (free) energy wherever the engine offers one: its gradient are the forces, and a smeared
    engine's ensemble is that of its Mermin free energy. The stress is asked for only where all
    three directions are periodic and the engine has it.

    A calculator is made new for each evaluation in a process of its own (`engine_process`). An
    engine that raises, or answers with numbers that are not finite, is asked once more with
    `retry_keywords` on top of `keywords`; one that crashes is asked once more in any case.
    `time_out` in s (None: wait for ever). With more than one of `threads` most engines sum in an
    order of their own and are no longer reproducible to the bit. Up to `workers` evaluations run
    at the same time, asked for from as many threads. The engines' output goes to `log_directory`.
    An engine that is installed in another environment is started by that one's `python`; ASE must
    be there too.

    `description` holds what makes an equal engine elsewhere: `AseReference(**description)`.

    `identity` knows the version of the Python package. Where that only drives another program,
    name the program's version in `note`.

    Raises `InputError` where the engine is not installed, misspelt, or refuses its keywords.
    """

    def __init__(
        self,
        calculator: str,
        keywords: Mapping[str, Any] | None = None,
        retry_keywords: Mapping[str, Any] | None = None,
        *,
        time_out: float | None = 3600.0,
        threads: int = 1,
        workers: int = 1,
        log_directory: Path | None = None,
        python: str | None = None,
        note: str = "",
    ) -> None:
        self.calculator = calculator.removeprefix("ase:")
        self.keywords = dict(keywords or {})
        self.retry_keywords = dict(retry_keywords or {})
        self._tightened = merged(self.keywords, self.retry_keywords)
        settings: dict[str, Any] = {
            "calculator": self.calculator,
            "keywords": self.keywords,
            "retry_keywords": self.retry_keywords,
            **({"note": note} if note else {}),
        }
        _canonical(settings)
        self.description: dict[str, Any] = {
            **settings,
            "time_out": time_out,
            "threads": threads,
            **({"python": python} if python else {}),
        }
        if log_directory is not None:
            log_directory.mkdir(parents=True, exist_ok=True)
        self._processes = [
            EngineProcess(
                self.calculator,
                self.keywords,
                time_out=time_out,
                threads=threads,
                log=log_directory / f"engine-{number}.log" if log_directory else None,
                python=python,
            )
            for number in range(1, workers + 1)
        ]
        # Last in, first out: with few threads asking, few processes are ever started.
        self._idle: queue.LifoQueue[EngineProcess] = queue.LifoQueue()
        for process in reversed(self._processes):
            self._idle.put(process)
        self._closed = threading.Event()
        self._attempts: dict[int, EngineProcess] = {}
        self._lock = threading.Lock()
        try:
            self._processes[0].start()
        except BaseException:
            self.close()
            raise
        self._version = self._processes[0].version
        self._identity = _canonical({**settings, "version": self._version})

    @classmethod
    def from_preset(cls, preset: EnginePreset, **settings: Any) -> Self:
        """The reference of a preset; `settings` are those of the constructor."""
        return cls(preset.calculator, preset.keywords, preset.retry_keywords, **settings)

    @property
    def identity(self) -> str:
        """Canonical JSON of import path, keywords, retry keywords and version of the engine.

        Retry keywords are part of it: a label may stem from a second attempt.
        """
        return self._identity

    def evaluate(self, configuration: Configuration) -> EngineEvaluation:
        """Energy (eV), forces (eV/Å) and, where three directions are periodic, stress (eV/Å^3).

        Raises `ReferenceFailure` where there is no trustworthy answer.
        """
        process = self._check_out()
        try:
            try:
                return self._attempt(process, configuration, self.keywords, 1)
            except (EngineException, EngineCrash, EngineNotFinite) as failure:
                if not self.retry_keywords and not isinstance(failure, EngineCrash):
                    raise  # a new calculator with the same settings would only say the same
            return self._attempt(process, configuration, self._tightened, 2)
        finally:
            self._idle.put(process)

    def attempt(self, configuration: Configuration, *, tightened: bool) -> EngineEvaluation:
        """One attempt, `tightened` with the retry keywords.

        Raises `EngineFailure` where there is no trustworthy answer.
        """
        process = self._check_out()
        with self._lock:
            self._attempts[id(configuration)] = process
        try:
            keywords = self._tightened if tightened else self.keywords
            return self._attempt(process, configuration, keywords, 1)
        finally:
            with self._lock:
                del self._attempts[id(configuration)]
            self._idle.put(process)

    def pin(self, cores: Sequence[Sequence[int]]) -> None:
        """Confine each worker to processor cores of its own."""
        for process, own in zip(self._processes, cores, strict=True):
            process.confine(own)

    def interrupt(self, configuration: Configuration) -> None:
        """End the process that makes an `attempt` at a configuration; the attempt then fails."""
        with self._lock:
            process = self._attempts.get(id(configuration))
            if process is not None:
                process.kill()

    def close(self) -> None:
        """End all processes; evaluations under way raise `HyperatomError`."""
        self._closed.set()
        for process in self._processes:
            process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_out(self) -> EngineProcess:
        while not self._closed.is_set():
            with suppress(queue.Empty):
                return self._idle.get(timeout=1.0)
        raise HyperatomError("The reference has been closed.", "Open it anew to evaluate more.")

    def _attempt(
        self,
        process: EngineProcess,
        configuration: Configuration,
        keywords: Mapping[str, Any],
        number: int,
    ) -> EngineEvaluation:
        start = time.perf_counter()
        try:
            answer = process.compute(configuration, keywords)
            energy, forces, stress, noise = _checked(answer, configuration)
        except EngineFailure as failure:
            failure.attempts = number
            failure.host = platform.node()
            failure.seconds = time.perf_counter() - start
            raise
        return EngineEvaluation(
            energy=energy,
            forces=forces,
            stress=stress,
            energy_error=noise,
            origin=f"{self.calculator} ({self._version})",
            seconds=time.perf_counter() - start,
            attempts=number,
            host=platform.node(),
            notes=answer.get("notes", {}),
        )


class EngineNotFinite(EngineFailure):
    """The engine answered with NaN or infinity."""

    kind = "not finite"


def _checked(
    answer: Message, configuration: Configuration
) -> tuple[float, NDArray[np.float64], NDArray[np.float64] | None, float | None]:
    for name in ("numbers", "positions", "cell"):
        if not np.array_equal(unpack(answer[name]), getattr(configuration, name)):
            raise EngineFailure(
                f"The engine changed the {name}: it answered for another configuration.",
                "Switch off relaxation and dynamics in the engine's keywords.",
            )
    energy, forces = unpack(answer["energy"]), unpack(answer["forces"])
    stress = unpack(answer["stress"]) if "stress" in answer else None
    noise = unpack(answer["energy_error"]) if "energy_error" in answer else None
    if stress is not None and stress.shape == (3, 3):
        stress = ((stress + stress.T) / 2.0).flat[[0, 4, 8, 5, 2, 1]]
    for name, array, shape in (
        ("energy", energy, ()),
        ("forces", forces, (configuration.n_atoms, 3)),
        ("stress", stress, (6,)),
        ("energy_error", noise, ()),
    ):
        if array is None:
            continue
        if array.shape != shape:
            raise EngineFailure(
                f"The engine's {name} has shape {array.shape} instead of {shape}.", _LOOK_AT_OUTPUT
            )
        if not np.all(np.isfinite(array)):
            raise EngineNotFinite(f"The engine's {name} is not finite.", _LOOK_AT_OUTPUT)
    return float(energy), forces, stress, None if noise is None else float(noise)


def _canonical(settings: Mapping[str, Any]) -> str:
    try:
        return json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"The engine's keywords cannot be written as JSON: {error}.",
            "Use numbers, texts, lists and dictionaries, or give the import path of a function "
            "that returns the calculator.",
        ) from error
