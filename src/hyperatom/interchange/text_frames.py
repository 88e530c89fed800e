"""Text trajectories: where each frame begins is found in one pass, and ASE parses the frames."""

import io
import mmap
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError

Offsets = NDArray[np.int64]


def _between(path: Path, start: int, stop: int) -> str:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(stop - start).decode("utf-8", errors="replace")


def _found(path: Path, mark: bytes) -> list[int]:
    """Where lines that hold `mark` begin."""
    if path.stat().st_size == 0:
        return []
    starts = []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        at = text.find(mark)
        while at >= 0:
            starts.append(text.rfind(b"\n", 0, at) + 1)
            at = text.find(mark, at + len(mark))
    return starts


def _truncated(path: Path, number: int, what: str) -> InputError:
    if number == 0:
        cure = "Write the file again."
    else:
        cure = f"Write the file again, or cut it off after its {number} whole frames."
    return InputError(f"{path} ends in the middle of frame {number}: {what}.", cure)


def _unreadable(path: Path, form: str, number: int, problem: BaseException) -> InputError:
    said = str(problem).strip().splitlines()
    return InputError(
        f"Frame {number} of {path} cannot be read as {form}"
        + (f" ({said[0].rstrip('.')})." if said else "."),
        "The file is damaged or of another format; name the format with --format.",
    )


PROBLEMS = (ValueError, KeyError, IndexError, TypeError, RuntimeError, OSError, StopIteration)


@dataclass(frozen=True, eq=False)
class ExtendedXyz:
    """Extended XYZ (and plain XYZ, whose configurations have no cell)."""

    path: Path
    offsets: Offsets = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Find the frames. Raises `InputError` where the last one is not whole."""
        offsets = [0]
        with path.open("rb") as file:
            while line := file.readline():
                if not line.strip():  # blank lines at the end
                    break
                if not line.strip().isdigit():
                    raise InputError(
                        f"Frame {len(offsets) - 1} of {path} should begin with a number of atoms, "
                        f"found '{line[:40].decode(errors='replace').strip()}'.",
                        "The file is damaged or of another format; name it with --format.",
                    )
                n_lines = int(line) + 1
                lengths = [len(one) for one in islice(file, n_lines)]
                if len(lengths) < n_lines:
                    raise _truncated(
                        path,
                        len(offsets) - 1,
                        f"{max(0, len(lengths) - 1)} of {n_lines - 1} atoms are there",
                    )
                offsets.append(offsets[-1] + len(line) + sum(lengths))
        return cls(path, np.array(offsets))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def atoms(self, number: int) -> Any:
        """One frame as ASE's Atoms."""
        from ase.io.extxyz import XYZError, read_xyz

        text = _between(self.path, self.offsets[number], self.offsets[number + 1])
        try:
            return next(iter(read_xyz(io.StringIO(text), index=slice(0, 1))))
        except (*PROBLEMS, XYZError) as problem:
            raise _unreadable(self.path, "extxyz", number, problem) from problem


@dataclass(frozen=True, eq=False)
class LammpsDump:
    """LAMMPS text dumps of units metal or real: positions in Å."""

    path: Path
    offsets: Offsets = field(repr=False)
    species: tuple[str, ...] | None
    units: str

    @classmethod
    def open(cls, path: Path, species: Sequence[str] | None) -> Self:
        """Find the frames.

        Raises `InputError` where the last one is not whole, or where nothing says which element an
        atom type is.
        """
        starts = [*_found(path, b"ITEM: TIMESTEP"), path.stat().st_size]
        head = _between(path, 0, min(400, starts[-1])).splitlines()
        units = head[head.index("ITEM: UNITS") + 1].strip() if "ITEM: UNITS" in head else ""
        dump = cls(path, np.array(starts), None if species is None else tuple(species), units)
        if len(dump) == 0:
            return dump
        last = len(dump) - 1
        header, rows = dump._parts(last)
        n_atoms = dump._n_atoms(header)
        if n_atoms is None or not rows:
            raise _truncated(path, last, "its header is cut")
        if len(rows) - 1 < n_atoms or len(rows[-1].split()) < len(rows[0].split()) - 2:
            raise _truncated(path, last, f"{len(rows) - 1} of {n_atoms} atoms are there")
        if "element" not in rows[0].split() and species is None:
            raise InputError(
                f"{path} numbers its atom types and does not name elements.",
                "Name them in the order of the types: --species Si,O.",
            )
        if units in ("lj", "si", "cgs", "electron", "micro", "nano"):
            raise InputError(
                f"{path} is in LAMMPS units '{units}'.", "Write it in units metal or real."
            )
        return dump

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def atoms(self, number: int) -> Any:
        """One frame as ASE's Atoms, its `time` in fs where the dump says it."""
        from ase.io.lammpsrun import read_lammps_dump_text

        header, rows = self._parts(number)
        keywords = {} if self.species is None else {"specorder": list(self.species)}
        if self.units:
            keywords["units"] = self.units  # type: ignore[assignment]
        try:
            text = "\n".join([*header, *rows[: (self._n_atoms(header) or 0) + 1], ""])
            atoms = read_lammps_dump_text(io.StringIO(text), index=0, **keywords)
        except PROBLEMS as problem:
            raise _unreadable(self.path, "dump", number, problem) from problem
        time = self._time(number)
        if time is not None:
            atoms.info["time"] = time
        return atoms

    def _parts(self, number: int) -> tuple[list[str], list[str]]:
        """Lines of the header, and those from `ITEM: ATOMS` on."""
        lines = _between(self.path, self.offsets[number], self.offsets[number + 1]).splitlines()
        begins = next((i for i, x in enumerate(lines) if x.startswith("ITEM: ATOMS")), len(lines))
        return lines[:begins], lines[begins:]

    @staticmethod
    def _n_atoms(header: list[str]) -> int | None:
        for title, line in pairwise(header):
            if title.startswith("ITEM: NUMBER OF ATOMS"):
                return int(line) if line.strip().isdigit() else None
        return None

    def _time(self, number: int) -> float | None:
        """LAMMPS writes the time before the step: fs, None where it is not written."""
        factor = {"metal": 1000.0, "real": 1.0}.get(self.units)
        start = int(self.offsets[number])
        before = _between(self.path, max(0, start - 100), start).splitlines()
        if factor is None or len(before) < 2 or before[-2] != "ITEM: TIME":
            return None
        return factor * float(before[-1])


@dataclass(frozen=True, eq=False)
class Xdatcar:
    """VASP's XDATCAR, with one cell or one for each frame."""

    path: Path
    offsets: Offsets = field(repr=False)
    n_atoms: int
    header: str = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Find the frames. Raises `InputError` where the header or the last frame is not whole."""
        starts = [*_found(path, b"irect configuration"), path.stat().st_size]
        header = _between(path, 0, starts[0] if len(starts) > 1 else 0)
        lines = header.splitlines()
        try:
            n_atoms = sum(int(count) for count in lines[6].split())
        except (IndexError, ValueError) as problem:
            raise _unreadable(path, "xdatcar", 0, problem) from problem
        file = cls(path, np.array(starts), n_atoms, header)
        there = len(_between(path, starts[-2], starts[-1]).rstrip().splitlines()) - 1
        if there < n_atoms:
            raise _truncated(path, len(file) - 1, f"{there} of {n_atoms} atoms are there")
        return file

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def atoms(self, number: int) -> Any:
        """One frame as ASE's Atoms."""
        from ase.io.vasp import read_vasp_xdatcar

        header = self.header
        if number > 0:
            before = _between(self.path, self.offsets[number - 1], self.offsets[number])
            rest = before.splitlines()[self.n_atoms + 1 :]
            if len([line for line in rest if line.strip()]) >= 6:
                header = "\n".join(rest) + "\n"
        text = _between(self.path, self.offsets[number], self.offsets[number + 1])
        block = "\n".join(text.splitlines()[: self.n_atoms + 1]) + "\n"
        try:
            atoms = read_vasp_xdatcar(io.StringIO(header + block), index=0)
            return atoms[0] if isinstance(atoms, list) else atoms
        except PROBLEMS as problem:
            raise _unreadable(self.path, "xdatcar", number, problem) from problem
