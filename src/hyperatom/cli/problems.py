"""Problems in plain words: one sentence and its cure, an exit code, never a traceback.

| exit code | meaning                                                           |
|-----------|-------------------------------------------------------------------|
| 0         | done; `verify`: passed                                            |
| 1         | `verify`: failed                                                  |
| 2         | the input, the engine or the run directory needs attention        |
| 3         | `verify`: undecided                                               |
| 70        | a fault of hyperatom itself; the traceback is in a file           |
| 130       | stopped by Ctrl-C or SIGTERM                                      |
"""

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import typer

from hyperatom.errors import HyperatomError

NEEDS_ATTENTION: Final = 2
OWN_FAULT: Final = 70
STOPPED: Final = 130

_GRACE: Final = 5.0
"""Seconds that a path under way may take to notice that it was stopped."""

_OUTSIDE: Final = {
    errno.ENOSPC: "Make room on the disk and go on with 'hyperatom resume'; nothing is lost.",
    errno.EDQUOT: "Make room within your quota and go on with 'hyperatom resume'; nothing is lost.",
    errno.EROFS: "Choose a place that can be written.",
    errno.EACCES: "Ask for the permission, or choose another place.",
}


@contextmanager
def plainly(directory: Path | None = None) -> Iterator[None]:
    """Turn whatever goes wrong inside into a sentence on stderr and `typer.Exit`.

    `directory` is the run that is worked on, where there is one.
    """
    try:
        yield
    except typer.Exit:
        raise
    except HyperatomError as problem:
        say(problem.problem, problem.cure)
        raise typer.Exit(NEEDS_ATTENTION) from None
    except (KeyboardInterrupt, typer.Abort):
        say_stopped(directory)
        raise typer.Exit(STOPPED) from None
    except BrokenPipeError:  # the reader of our output has gone: 'hyperatom schema | head'
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except OSError as problem:
        cure = _OUTSIDE.get(problem.errno or 0)
        if cure is None:
            _report_fault(problem, directory)
        where = f" ({problem.filename})" if problem.filename else ""
        say(f"{problem.strerror}{where}.", cure)
        raise typer.Exit(NEEDS_ATTENTION) from None
    except Exception as problem:
        _report_fault(problem, directory)


@contextmanager
def stoppable(stop: Callable[[], None], directory: Path) -> Iterator[None]:
    """While inside, Ctrl-C and SIGTERM call `stop` at once and raise `KeyboardInterrupt`.

    `stop` runs in a thread of its own, so that threads which wait for an engine are freed. What
    has not ended soon after, or at a second signal, is ended the hard way: everything of value is
    on disk already.
    """
    threads: list[threading.Thread] = []
    over = threading.Event()

    def end() -> None:
        stop()
        if not over.wait(_GRACE):
            leave_at_once()

    def leave_at_once() -> None:
        say_stopped(directory)
        sys.stderr.flush()
        os._exit(STOPPED)

    def handle(*_: Any) -> None:
        if threads:
            leave_at_once()
        threads.append(threading.Thread(target=end, daemon=True))
        threads[0].start()
        raise KeyboardInterrupt

    with _signals(handle):
        try:
            yield
        except HyperatomError:
            if threads:  # the engine closed under a walker: a consequence, not the news
                raise KeyboardInterrupt from None
            raise
        finally:
            over.set()
            for thread in threads:
                thread.join(_GRACE)


@contextmanager
def terminable() -> Iterator[None]:
    """While inside, SIGTERM is a Ctrl-C."""

    def handle(*_: Any) -> None:
        raise KeyboardInterrupt

    with _signals(handle):
        yield


@contextmanager
def _signals(handle: Callable[..., None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say(problem: str, cure: str = "") -> None:
    """One sentence on stderr, and its cure."""
    typer.secho(problem, err=True, fg="red")
    if cure:
        typer.secho(cure, err=True)


def say_stopped(directory: Path | None) -> None:
    """What Ctrl-C has done: nothing bad."""
    if directory is not None and (directory / "header.json").is_file():
        say(f"Stopped. Nothing is lost; go on with '{_resuming(directory)}'.")
    else:
        say("Stopped. Nothing had been started.")


def _resuming(directory: Path) -> str:
    """The command that goes on with a run, a simulation or a study."""
    if not (directory / "start.npz").is_file():
        return f"hyperatom study heat-capacity --resume {directory}"
    moving = (directory / "motion.db").is_file()
    return f"hyperatom md --resume {directory}" if moving else f"hyperatom resume {directory}"


def _report_fault(problem: BaseException, directory: Path | None) -> NoReturn:
    import traceback

    text = "".join(traceback.format_exception(problem))
    kept = _keep(text, directory)
    name = type(problem).__name__
    sentence = str(problem).strip().splitlines()
    what = f"{name}: {sentence[0]}" if sentence else name
    cure = f"The details are in {kept}; please report them." if kept else ""
    if directory is not None and (directory / "header.json").is_file():
        cure += f" What was computed is kept: '{_resuming(directory)}'."
    say(f"Something went wrong inside hyperatom ({what.removesuffix('.')}).", cure.strip())
    raise typer.Exit(OWN_FAULT) from None


def _keep(text: str, directory: Path | None) -> Path | None:
    """Where the traceback was written: the run's log, or a temporary file."""
    import tempfile  # only now: it takes a while, and every command begins here

    if directory is not None and directory.is_dir():
        with suppress(OSError):
            log = directory / "log.txt"
            with log.open("a") as file:
                file.write(text)
            return log
    with suppress(OSError):
        handle, name = tempfile.mkstemp(prefix="hyperatom-", suffix=".txt")
        with os.fdopen(handle, "w") as file:
            file.write(text)
        return Path(name)
    return None
