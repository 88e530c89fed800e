"""A guarded process around an engine: nothing that an engine does can hurt the run.

The engine may hang (time-out, then its whole process group is killed), crash, print whatever it
likes (to a log file), raise or exit; each becomes a `ReferenceFailure`, and the next evaluation
finds a fresh process. The process dies with its parent, even on kill -9, and lives in a session of
its own, so that Ctrl-C reaches only the parent.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hyperatom
from hyperatom.configuration import Configuration
from hyperatom.errors import HyperatomError, InputError, ReferenceFailure
from hyperatom.references.engine_message import Message, pack, receive, send
from hyperatom.references.installation import find_python

_START_TIME_OUT = 600.0  # s: importing a large package from a slow network disk
_LARGEST_LOG = 10_000_000  # bytes: between evaluations a longer log starts anew
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
# How a batch system or a person ends a job: says nothing about the configuration.
_FROM_OUTSIDE = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_WORKER = "hyperatom.references.engine_worker"
# Another environment sees this package, and nothing else of ours: its own libraries are the point.
_ELSEWHERE = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("hyperatom", {file!r}, submodule_search_locations=[{folder!r}])
sys.modules["hyperatom"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["hyperatom"])
from hyperatom.references.engine_worker import main
main()
"""


class EngineFailure(ReferenceFailure):
    """An engine gave no trustworthy answer, in as many `attempts`, the last of them on `host`."""

    kind = "wrong answer"
    attempts = 1
    host = ""
    seconds = 0.0


class EngineException(EngineFailure):
    """The engine raised an exception."""

    kind = "exception"


class EngineCrash(EngineFailure):
    """The engine's process ended without an answer."""

    kind = "crash"


class EngineTimeOut(EngineFailure):
    """The engine gave no answer in time and was killed."""

    kind = "time-out"


class EngineInterrupted(HyperatomError):
    """The engine's process was ended from outside: nothing is known of the configuration."""


class EngineProcess:
    """One engine in a process of its own; one evaluation at a time.

    `time_out` is in s, None waits for ever; `log` receives all that the engine prints. `python` is
    that of the environment where the engine is installed, None: this one. The engine works in a
    scratch folder of its own, so relative paths in keywords mean nothing to it.
    """

    def __init__(
        self,
        calculator: str,
        keywords: Mapping[str, Any],
        *,
        time_out: float | None,
        threads: int,
        log: Path | None = None,
        python: str | None = None,
    ) -> None:
        self._calculator = calculator
        self._command = _command(python)
        self._keywords = dict(keywords)
        self._time_out = time_out
        self._environment = {
            **os.environ,
            **dict.fromkeys(_THREAD_VARIABLES, str(threads)),
            "OMP_DYNAMIC": "FALSE",
            "MKL_DYNAMIC": "FALSE",
        }
        self._scratch = tempfile.TemporaryDirectory(prefix="hyperatom-", ignore_cleanup_errors=True)
        self.log = log if log is not None else Path(self._scratch.name, "engine.log")
        self._log = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._lifeline = -1
        self._cores: list[int] = []
        self._closed = False
        self.version: str | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the engine, None while it is not running."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process and load the engine, unless it is there already.

        Raises `InputError` where the engine is not installed or does not accept its keywords.
        """
        if self._closed:
            raise HyperatomError("The reference has been closed.", "Open it anew to evaluate more.")
        if self._process is not None:
            return
        ours, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        try:
            self._process = subprocess.Popen(
                [*self._command, str(theirs.fileno()), str(lifeline)],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=self._environment,
                pass_fds=(theirs.fileno(), lifeline),
                start_new_session=True,
            )
        finally:
            theirs.close()
            os.close(lifeline)
        self._channel = ours
        hello = {
            "calculator": self._calculator,
            "keywords": self._keywords,
            "scratch": self._scratch.name,
            "cores": self._cores,
        }
        try:
            answer = self._exchange(hello, _START_TIME_OUT)
        except (EOFError, TimeoutError, OSError) as error:
            self.kill()
            raise HyperatomError(
                f"The process of the engine {self._calculator} does not start{self._last_words()}.",
                f"Read {self.log} and repair the installation of the engine.",
            ) from error
        except BaseException:  # Ctrl-C: its greeting would be taken for the first answer
            self.kill()
            raise
        if "problem" in answer:
            self.kill()
            raise InputError(answer["problem"], answer["cure"])
        if self.version is not None and answer["version"] != self.version:
            self.kill()
            raise HyperatomError(
                f"The engine changed under the run from {self.version} to {answer['version']}.",
                "Start the run again, so that its labels are told apart.",
            )
        self.version = answer["version"]

    def confine(self, cores: Sequence[int]) -> None:
        """Let the engine use these processor cores alone, where the system can do that."""
        self._cores = list(cores)
        self.kill()  # its libraries have counted their cores already

    def compute(self, configuration: Configuration, keywords: Mapping[str, Any]) -> Message:
        """The engine's own answer, unchecked.

        Raises `EngineException`, `EngineCrash` or `EngineTimeOut`.
        """
        self.start()
        if os.fstat(self._log).st_size > _LARGEST_LOG:
            os.ftruncate(self._log, 0)
        request = {
            name: pack(getattr(configuration, name))
            for name in ("numbers", "positions", "cell", "periodic", "masses")
        }
        request["keywords"] = dict(keywords)
        try:
            answer = self._exchange(request, self._time_out)
        except TimeoutError as error:
            self.kill()
            raise EngineTimeOut(
                f"The engine gave no answer within {self._time_out:g} s and was stopped"
                f"{self._last_words()}.",
                "If it needs longer than that, raise time_out.",
            ) from error
        except (EOFError, OSError) as error:
            raise self._death() from error
        except BaseException:  # Ctrl-C: an answer that comes later would be taken for the next one
            self.kill()
            raise
        if "exception" in answer:
            raise EngineException(
                f"The engine failed: {answer['exception']}.".replace("..", "."),
                f"Its output is in {self.log}.",
            )
        return answer

    def kill(self) -> int | None:
        """End the process and whatever it has started; returns its exit status."""
        process, self._process = self._process, None
        channel, self._channel = self._channel, None
        lifeline, self._lifeline = self._lifeline, -1  # twice closed, it could be another's
        status = None
        if process is not None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                process.kill()
            status = process.wait()
        if channel is not None:
            channel.close()
        if lifeline >= 0:
            os.close(lifeline)
        return status

    def close(self) -> None:
        """End the process for good and remove its scratch folder."""
        if not self._closed:
            self._closed = True
            self.kill()
            os.close(self._log)
            self._scratch.cleanup()

    def _exchange(self, message: Message, time_out: float | None) -> Message:
        if self._channel is None:
            raise EOFError
        deadline = None if time_out is None else time.monotonic() + time_out
        self._channel.settimeout(time_out)
        send(self._channel, message)
        return receive(self._channel, deadline)

    def _death(self) -> HyperatomError:
        if self._closed:
            return HyperatomError("The reference was closed during an evaluation.")
        words = self._last_words()
        status = self.kill()
        if status is not None and -status in _FROM_OUTSIDE:
            return EngineInterrupted(
                f"The engine's process was ended from outside ({signal.Signals(-status).name}).",
                "Start the run again; nothing is lost.",
            )
        end = "ended" if status is None else f"ended with status {status}"
        if status is not None and status < 0:
            end = f"was killed by {signal.Signals(-status).name}"
        return EngineCrash(
            f"The engine crashed: its process {end}{words}.",
            f"Its output is in {self.log}; the memory of the machine may be too small.",
        )

    def _last_words(self) -> str:
        """The last line that the engine printed, for the message."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - 2000))
                lines = log.read().decode(errors="replace").split("\n")
        except OSError:
            return ""
        spoken = [line.strip() for line in lines if line.strip()]
        return f"; the last it printed was: {spoken[-1][-200:]}" if spoken else ""


def _command(python: str | None) -> list[str]:
    """What starts the other side; raises `InputError` where that Python cannot."""
    if python is None:
        return [sys.executable, "-m", _WORKER]
    package = Path(hyperatom.__file__)
    code = _ELSEWHERE.format(file=str(package), folder=str(package.parent))
    return [find_python(python), "-c", code]
