"""Trajectories in files of other programs, read frame by frame, however long they are.

| format  | files                      | times                              | read through |
|---------|----------------------------|------------------------------------|--------------|
| extxyz  | .extxyz .xyz               | `time` of each frame, fs           | ASE          |
| traj    | .traj                      | `time` of each frame, fs           | ASE          |
| dump    | .dump .lammpstrj, LAMMPS   | `ITEM: TIME`                       | ASE          |
| xdatcar | XDATCAR, VASP              | none                               | ASE          |
| h5md    | .h5 .hdf5 .h5md            | of its position group, with unit   | h5py         |

Text files are scanned once for where their frames begin and never held in memory. Velocities come
from momenta (ASE), or from columns `velocities`, `velo` or `vel` in Å/fs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, Self

import numpy as np

from hyperatom.errors import InputError
from hyperatom.evaluation import VOIGT
from hyperatom.frames import Array, Frames, FrameSource
from hyperatom.trajectory import Kind, Trajectory, check_composition
from hyperatom.units import FEMTOSECOND

ENDINGS: Final = {
    ".extxyz": "extxyz",
    ".xyz": "extxyz",
    ".traj": "traj",
    ".dump": "dump",
    ".lammpstrj": "dump",
    ".h5": "h5md",
    ".hdf5": "h5md",
    ".h5md": "h5md",
}

TRAJECTORY_FORMATS: Final = ("extxyz", "traj", "dump", "xdatcar", "h5md")


class AtomsFile(Protocol):
    """A file that gives ASE's Atoms by number."""

    def __len__(self) -> int:
        """How many frames there are."""
        ...

    def atoms(self, number: int) -> Any:
        """One frame as ASE's Atoms."""
        ...


def read_trajectory(
    path: Path | str,
    *,
    form: str | None = None,
    time_step: float | None = None,
    species: Sequence[str] | None = None,
    kind: Kind = "as given",
) -> Trajectory:
    """Open a trajectory; frames are read when they are needed.

    `form` is one of `TRAJECTORY_FORMATS`, by default what name and first line say; `time_step` (fs)
    between frames overrides the file's own times; `species` are the symbols of the types 1, 2, ...
    of a LAMMPS dump without element names; `kind` is how the samples came about.

    Raises `InputError` where the file is missing, empty, truncated or of another format, or where
    the composition changes.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no trajectory {path}.", "Check the name of the file.")
    form = form or recognise(path)
    if form not in TRAJECTORY_FORMATS:
        raise InputError(
            f"Unknown trajectory format '{form}'.", "Use one of: " + ", ".join(TRAJECTORY_FORMATS)
        )
    if form == "h5md":
        from hyperatom.interchange.h5md import read_h5md

        return read_h5md(path, time_step=time_step, species=species, kind=kind)
    file = _opened(path, form, species)
    if len(file) == 0:
        raise InputError(f"{path} holds no frame.", "It was cut off, or is of another format.")
    first = file.atoms(0)
    source = AtomsFrames(str(path), file, np.asarray(first.numbers), np.asarray(first.pbc))
    times = _times(file, first) if time_step is None else _regular(time_step, len(file))
    return Trajectory(
        first.numbers, first.get_masses(), first.pbc, source, times, kind=kind, origin=str(path)
    )


def recognise(path: Path) -> str:
    """The format of a file by its name, or by its first line.

    Raises `InputError` for a file of neither.
    """
    if path.name.upper().startswith("XDATCAR"):
        return "xdatcar"
    if path.suffix.lower() in ENDINGS:
        return ENDINGS[path.suffix.lower()]
    with path.open("rb") as file:
        line = file.readline(200)
    if line.startswith(b"ITEM:"):
        return "dump"
    if line.startswith(b"\x89HDF"):
        return "h5md"
    if line.startswith(b"- of Ulm"):
        return "traj"
    if line.strip().isdigit():
        return "extxyz"
    raise InputError(
        f"{path} is of no known trajectory format.",
        f"Name the format with --format: {', '.join(TRAJECTORY_FORMATS)}.",
    )


@dataclass(frozen=True, eq=False)
class AtomsFrames:
    """Frames from a file that gives ASE's Atoms."""

    origin: str
    file: AtomsFile = field(repr=False)
    numbers: Any = field(repr=False)
    periodic: Any = field(repr=False)

    def __len__(self) -> int:
        return len(self.file)

    def read(self, start: int, stop: int, step: int) -> Frames:
        """The frames start, start + step, ... before stop."""
        rows: list[Mapping[str, Any]] = []
        for number in range(start, stop, step):
            atoms = self.file.atoms(number)
            check_composition(self.numbers, np.asarray(atoms.numbers), number, self.origin)
            if not np.array_equal(atoms.pbc, self.periodic):
                raise InputError(
                    f"Frame {number} of {self.origin} is periodic in other directions than the "
                    "first.",
                    "Write each frame with its cell.",
                )
            rows.append(_row(atoms))

        def together(name: str) -> Array | None:
            if any(row[name] is None for row in rows):
                return None
            return np.array([row[name] for row in rows], dtype=np.float64)

        positions, cells = together("positions"), together("cell")
        assert positions is not None
        assert cells is not None
        return Frames(
            positions, cells, together("velocities"), together("forces"), together("energy"),
            together("stress"),
        )  # fmt: skip


def _row(atoms: Any) -> Mapping[str, Any]:
    found = atoms.calc.results if atoms.calc is not None else {}
    velocities = None
    if atoms.has("momenta"):
        velocities = atoms.get_velocities() * FEMTOSECOND
    else:
        for name in ("velocities", "velo", "vel"):
            if name in atoms.arrays:
                velocities = atoms.arrays[name]
    stress = found.get("stress")
    if stress is not None and np.shape(stress) == (3, 3):
        stress = np.asarray(stress)[VOIGT]
    return {
        "positions": atoms.positions,
        "cell": atoms.cell.array,
        "velocities": velocities,
        "forces": found.get("forces"),
        "energy": found.get("energy", atoms.info.get("energy")),
        "stress": stress,
    }


def _times(file: AtomsFile, first: Any) -> Array | None:
    """`time` of the first two frames and of the last tell of all; irregular ones are all read."""
    if "time" not in first.info:
        return None
    n = len(file)
    told = [file.atoms(i).info.get("time") for i in sorted({0, min(1, n - 1), n - 1})]
    if any(time is None for time in told):
        return None
    if n < 3:
        return np.array(told, dtype=np.float64)
    regular = float(told[0]) + np.arange(n) * np.float64(told[1] - told[0])
    if abs(regular[-1] - float(told[-1])) <= 1e-3 * abs(float(told[1]) - float(told[0])):
        return regular
    return np.array([file.atoms(i).info.get("time", np.nan) for i in range(n)], dtype=np.float64)


def _regular(time_step: float, n_frames: int) -> Array:
    if not (time_step > 0.0 and np.isfinite(time_step)):
        raise InputError(
            f"A time step of {time_step} fs is impossible.", "Give a positive number of fs."
        )
    return np.arange(n_frames) * np.float64(time_step)


def _opened(path: Path, form: str, species: Sequence[str] | None) -> AtomsFile:
    from hyperatom.interchange import text_frames

    if form == "traj":
        return UlmFile.open(path)
    if form == "dump":
        return text_frames.LammpsDump.open(path, species)
    if form == "xdatcar":
        return text_frames.Xdatcar.open(path)
    return text_frames.ExtendedXyz.open(path)


@dataclass(frozen=True, eq=False)
class UlmFile:
    """ASE's own trajectory format, which is random access already."""

    path: Path
    reader: Any = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file. Raises `InputError` where ASE cannot."""
        from ase.io.trajectory import TrajectoryReader
        from ase.io.ulm import InvalidULMFileError

        try:
            reader: Any = TrajectoryReader
            return cls(path, reader(str(path)))
        except (InvalidULMFileError, OSError, ValueError, KeyError, IndexError) as problem:
            raise damaged(path, "traj", problem) from problem

    def __len__(self) -> int:
        return len(self.reader)

    def atoms(self, number: int) -> Any:
        """One frame as ASE's Atoms."""
        try:
            return self.reader[number]
        except (OSError, ValueError, KeyError, IndexError) as problem:
            raise damaged(self.path, "traj", problem, number) from problem


def damaged(path: Path, form: str, problem: BaseException, number: int | None = None) -> InputError:
    """The words for a file that is cut off or of another format."""
    where = f"Frame {number} of {path}" if number is not None else str(path)
    said = str(problem).strip().splitlines()
    return InputError(
        f"{where} cannot be read as {form}" + (f" ({said[0].rstrip('.')})." if said else "."),
        "The file was cut off or is of another format; name the format with --format.",
    )


@dataclass(frozen=True, eq=False)
class Watched:
    """A source that tells how far it has been read: a fraction of its frames."""

    source: FrameSource
    told: Callable[[float], None]

    def __len__(self) -> int:
        return len(self.source)

    def read(self, start: int, stop: int, step: int) -> Frames:
        """The frames start, start + step, ... before stop."""
        frames = self.source.read(start, stop, step)
        self.told(stop / len(self.source))
        return frames
