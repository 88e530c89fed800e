"""What of an engine is on this machine: Python packages, programs, data files."""

import importlib.util
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path

from hyperatom.errors import InputError

Missing = Callable[[], str | None]

AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
"""Open MPI does not start for root unless told so; in a container everybody is root."""


def missing_package(*names: str) -> Missing:
    """A question: which of these Python packages is not installed?"""

    def missing() -> str | None:
        absent = [name for name in names if importlib.util.find_spec(name) is None]
        return f"the Python package {' and '.join(absent)}" if absent else None

    return missing


def missing_program(command: Callable[[], str]) -> Missing:
    """A question: is the program that a command line begins with to be found?"""

    def missing() -> str | None:
        program = shlex.split(command())[0]
        return None if shutil.which(program) else f"the program {program}"

    return missing


def either(*questions: Missing) -> Missing:
    """The first thing that is missing."""

    def missing() -> str | None:
        return next((answer for ask in questions if (answer := ask())), None)

    return missing


def configured(engine: str, key: str, default: str, *variables: str) -> str:
    """A path or command: of an environment variable, else ASE's configuration, else `default`."""
    for variable in variables:
        if os.environ.get(variable):
            return os.environ[variable]
    from ase.config import cfg

    return str(cfg.parser.get(engine, key, fallback=default))


def existing_folder(engine: str, key: str, folder: str) -> Path:
    """The folder, absolute; raises `InputError` where there is none."""
    path = Path(folder).expanduser().absolute()
    if not path.is_dir():
        raise InputError(
            f"{engine} looks for its {key} in {path}, and there is no such folder.",
            f"Correct '{key}' under reference.keywords, or install the files.",
        )
    return path


def spoken_version(command: str, *arguments: str, expect: str) -> str:
    """The first word after `expect` in what a program says of itself; 'unknown' where it does not.

    Many engines have no option for it and must be started on an empty input.
    """
    return _spoken_version(command, arguments, expect)


@cache
def _spoken_version(command: str, arguments: tuple[str, ...], expect: str) -> str:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        try:
            spoken = subprocess.run(
                [*shlex.split(command), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **AS_ROOT},
                timeout=60,
                check=False,
            ).stdout.decode(errors="replace")
        except (OSError, subprocess.TimeoutExpired):
            return "unknown"
    after = spoken.partition(expect)[2] if expect else spoken
    return after.split()[0].strip(",;:") if after.split() else "unknown"


def digest_of(path: Path) -> str:
    """Name and the first digits of the SHA-256 of a file: another file is another identity."""
    return f"{path.name} sha256:{sha256(path.read_bytes()).hexdigest()[:16]}"
