"""What of an engine is on this machine: Python packages, programs, data files."""

import importlib.util
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from hyperatom.errors import InputError


class Missing(Protocol):
    """A question: what of an engine is not here, None: nothing?"""

    def __call__(self, python: str | None = None) -> str | None:
        """Packages are looked for in the environment of `python`, None: in this one."""
        ...


AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
"""Open MPI does not start for root unless told so; in a container everybody is root."""


def missing_package(*names: str) -> Missing:
    """A question: which of these Python packages is not installed?"""

    def missing(python: str | None = None) -> str | None:
        absent = _absent(names) if python is None else _absent_in(_path_of(python), names)
        return f"the Python package {' and '.join(absent)}" if absent else None

    return missing


def find_python(python: str) -> str:
    """The path of an interpreter that can run an engine.

    Raises `InputError` where there is none, or where ASE is not installed.
    """
    path = _path_of(python)
    absent = _absent_in(path, ("ase", "numpy"))
    if absent:
        raise InputError(
            f"The environment of {path} lacks {' and '.join(absent)}, by which hyperatom talks to "
            "engines.",
            f"Install it: {path} -m pip install {' '.join(absent)}.",
        )
    return path


def _path_of(python: str) -> str:
    """Links are not followed: the link is what makes an interpreter that of an environment."""
    found = shutil.which(os.path.expanduser(python))
    if found is None:
        raise InputError(
            f"There is no Python called {python}.",
            "Name the interpreter of the environment where the engine is installed: python: "
            "/path/to/environment/bin/python.",
        )
    return os.path.abspath(found)


def _absent(names: Sequence[str]) -> list[str]:
    return [name for name in names if importlib.util.find_spec(name) is None]


@cache
def _absent_in(python: str, names: tuple[str, ...]) -> list[str]:
    search = (
        "import sys, importlib.util as u; print(*(n for n in sys.argv[1:] if not u.find_spec(n)))"
    )
    found = subprocess.run(
        [python, "-c", search, *names], capture_output=True, text=True, timeout=60, check=False
    )
    if found.returncode != 0:
        raise InputError(
            f"{python} does not run Python: {found.stderr.strip()[-200:] or 'it says nothing'}.",
            "Name the interpreter of an environment: /path/to/environment/bin/python.",
        )
    return found.stdout.split()


def missing_program(command: Callable[[], str]) -> Missing:
    """A question: is the program that a command line begins with to be found?"""

    def missing(python: str | None = None) -> str | None:  # noqa: ARG001
        program = shlex.split(command())[0]
        return None if shutil.which(program) else f"the program {program}"

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
