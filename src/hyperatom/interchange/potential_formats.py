"""Every potential file that hyperatom reads or writes, found by the files of this folder.

A file of this folder that reads potentials has a list `FORMATS` of `PotentialFormat`; nothing else
needs to be told. `read_potential` recognises the format, or is told it.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import hyperatom.interchange
from hyperatom.errors import InputError
from hyperatom.potentials.compiled_potential import CompiledPotential


@dataclass(frozen=True)
class Source:
    """Where a potential lies, and what its files leave open.

    | field     | meaning                                                                  |
    |-----------|--------------------------------------------------------------------------|
    | `path`    | a file, or a folder of files                                             |
    | `species` | chemical symbols in the files' order, where the files do not name them   |
    | `units`   | name of the units of the files, where they do not say                    |
    """

    path: Path
    species: tuple[str, ...] = ()
    units: str | None = None


@dataclass(frozen=True)
class PotentialFormat:
    """A kind of potential file.

    | field        | meaning                                                                  |
    |--------------|--------------------------------------------------------------------------|
    | `name`       | one word, as typed: n2p2, aenet, ...                                     |
    | `content`    | in words: whose files, which kinds of potential                          |
    | `recognises` | does a file or folder look like one?                                     |
    | `read`       | the potential of a source; raises `InputError` naming file and line      |
    | `write`      | writes a potential to a path; None where we cannot; raises `InputError`  |
    | `units`      | units among which a reader must choose, the first is what `write` writes;|
    |              | empty where the files say                                                |
    | `species`    | must the user say which species the files are for?                       |
    """

    name: str
    content: str
    recognises: Callable[[Path], bool]
    read: Callable[[Source], CompiledPotential]
    write: Callable[[CompiledPotential, Path], None] | None = None
    units: tuple[str, ...] = ()
    species: bool = False


def head_of(path: Path) -> str:
    """How a file begins, as text, to recognise it by; empty for a folder."""
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(10_000)


@cache
def potential_formats() -> dict[str, PotentialFormat]:
    """All formats by name."""
    found: dict[str, PotentialFormat] = {}
    for module in pkgutil.iter_modules(hyperatom.interchange.__path__):
        content = importlib.import_module(f"hyperatom.interchange.{module.name}")
        for kind in getattr(content, "FORMATS", ()):
            found[kind.name] = kind
    return dict(sorted(found.items()))


def format_by_name(name: str) -> PotentialFormat:
    """The format of that name.

    Raises `InputError` for an unknown name, with the nearest right one.
    """
    formats = potential_formats()
    if name in formats:
        return formats[name]
    close = difflib.get_close_matches(name, formats, 1)
    raise InputError(
        f"There is no potential format '{name}'.",
        f"Did you mean '{close[0]}'?" if close else f"Known are {', '.join(formats)}.",
    )


def recognise(path: Path) -> PotentialFormat:
    """The format of a file or folder.

    Raises `InputError` where it is missing, or looks like none of ours or like several.
    """
    if not path.exists():
        raise InputError(f"There is no file or folder {path}.", "Check the path.")
    found = [kind for kind in potential_formats().values() if kind.recognises(path)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(kind.name for kind in found) or "none of the known formats"
    choices = ", ".join(kind.name for kind in found or potential_formats().values())
    raise InputError(f"{path} looks like {names}.", f"Say which it is: {choices}.")


def read_potential(
    path: str | Path,
    format: str | None = None,  # noqa: A002 (the word that people use)
    species: tuple[str, ...] = (),
    units: str | None = None,
) -> CompiledPotential:
    """The potential of a file or folder; `format` is recognised where it is not given.

    `species` and `units` as in `Source`. Raises `InputError` for whatever is wrong, saying where.
    """
    path = Path(path)
    kind = recognise(path) if format is None else format_by_name(format)
    if not path.exists():
        raise InputError(f"There is no file or folder {path}.", "Check the path.")
    if kind.units and units is None:
        raise InputError(
            f"The files of {kind.name} do not say in which units they are.",
            f"Say it: {', '.join(kind.units)}.",
        )
    if units is not None and units not in kind.units:
        choices = ", ".join(kind.units) or "none: its files say"
        raise InputError(
            f"'{units}' are no units that {kind.name} can have.", f"Choose from: {choices}."
        )
    if kind.species and not species:
        raise InputError(
            f"The files of {kind.name} do not say for which species they are used.",
            "Name the chemical symbols, in the order in which the files count them.",
        )
    return kind.read(Source(path, tuple(species), units))
