"""What LAMMPS' text files of potentials have in common: comments, units, entries, plain errors."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hyperatom.errors import InputError


class Line(NamedTuple):
    """The words of a line that is neither empty nor a comment, and where they are."""

    path: Path
    number: int
    words: list[str]

    def fault(self, found: str, cure: str) -> InputError:
        """An error that names file and line."""
        return InputError(f"{self.path}, line {self.number}: {found}", cure)

    def real(self, position: int, name: str) -> float:
        """The finite number at a position.

        Raises `InputError` where there is none.
        """
        if position >= len(self.words):
            raise self.fault(f"{name} is missing.", "The file is cut off or misses a number.")
        word = self.words[position]
        try:
            value = float(word)
        except ValueError:
            value = float("nan")
        if not np.isfinite(value):
            raise self.fault(f"'{word}' stands where the number {name} should be.", "Repair it.")
        return value

    def whole(self, position: int, name: str) -> int:
        """The whole number at a position.

        Raises `InputError` where there is none.
        """
        value = self.real(position, name)
        if value != int(value):
            raise self.fault(f"{name} is {value}, not a whole number.", "Repair it.")
        return int(value)


def read_text(path: Path) -> str:
    """The text of a file in metal units, line ends of any kind.

    Raises `InputError` where it is missing or in other units.
    """
    if not path.is_file():
        raise InputError(f"The potential file {path} does not exist.", "Check the path.")
    text = path.read_text(encoding="utf-8", errors="replace")
    units = re.search(r"UNITS:\s*(\S+)", text.partition("\n")[0])
    if units and units.group(1) != "metal":
        raise InputError(
            f"{path}, line 1: the file is in {units.group(1)} units.",
            "Convert it to LAMMPS' metal units (eV, Å).",
        )
    return text


def read_lines(path: Path) -> list[Line]:
    """The lines of a file without comments (`#`) and empty lines.

    Raises `InputError` as `read_text`, and where nothing is left.
    """
    lines = [
        Line(path, number, words)
        for number, line in enumerate(read_text(path).splitlines(), start=1)
        if (words := line.partition("#")[0].split())
    ]
    if not lines:
        raise InputError(f"{path} has no entries.", "The file is empty; get a complete one.")
    return lines


def read_entries(path: Path, names: Sequence[str]) -> dict[tuple[str, str, str], Line]:
    """Entries of three elements and the numbers called `names`, on as many lines as they like.

    Raises `InputError` where the last is cut off or an entry comes twice.
    """
    n_words = 3 + len(names)
    entries: dict[tuple[str, str, str], Line] = {}
    words: list[str] = []
    number = 0
    for line in read_lines(path):
        number = number if words else line.number
        words = words + line.words
        if len(words) < n_words:
            continue
        entry = Line(path, number, words)
        if len(words) > n_words:
            raise entry.fault(
                f"an entry of {len(words)} words instead of {n_words}.",
                f"An entry is three elements and {len(names)} numbers: {' '.join(names)}.",
            )
        triple = (words[0], words[1], words[2])
        if triple in entries:
            raise entry.fault(f"a second entry for {' '.join(triple)}.", "Keep one of them.")
        for position, name in enumerate(names, start=3):
            entry.real(position, name)
        entries[triple] = entry
        words = []
    if words:
        raise Line(path, number, words).fault(
            f"the last entry has {len(words)} of {n_words} words.",
            "The file is cut off or misses a number; get a complete one.",
        )
    return entries


def entry_of(
    entries: dict[tuple[str, str, str], Line], path: Path, triple: tuple[str, str, str]
) -> Line:
    """The entry of three elements.

    Raises `InputError` where there is none, with the elements that the file knows.
    """
    if triple not in entries:
        known = ", ".join(sorted({name for entry in entries for name in entry}))
        raise InputError(
            f"{path} has no entry for {' '.join(triple)}.", f"Add it; the file knows {known}."
        )
    return entries[triple]


def element_names(species: Sequence[int], elements: Sequence[str] | None) -> list[str]:
    """The names that a file has for `species` (atomic numbers): chemical symbols if not given."""
    from ase.data import chemical_symbols

    return list(elements) if elements else [str(chemical_symbols[z]) for z in species]
