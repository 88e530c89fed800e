"""H5MD: trajectories in HDF5 (de Buyl et al., Computer Physics Communications 185, 1546 (2014)).

Frames are read when they are needed. Lengths and times are converted by the file's `unit`
attributes; without one, Å and fs are taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from hyperatom.errors import InputError
from hyperatom.frames import Array, Frames
from hyperatom.trajectory import Kind, Trajectory
from hyperatom.units import BOHR

LENGTHS: Final = {
    "": 1.0,
    "angstrom": 1.0,
    "a": 1.0,
    "å": 1.0,
    "nm": 10.0,
    "pm": 0.01,
    "bohr": BOHR,
}
TIMES: Final = {"": 1.0, "fs": 1.0, "ps": 1e3, "ns": 1e6, "as": 1e-3}


def read_h5md(
    path: Path,
    *,
    time_step: float | None = None,
    species: Sequence[str] | None = None,
    kind: Kind = "as given",
) -> Trajectory:
    """Open an H5MD file; see `read_trajectory`.

    `species` are symbols of the whole numbers 1, 2, ... of the file's species; without it they are
    atomic numbers. Raises `InputError` where h5py is missing or the file is not H5MD.
    """
    h5py = _h5py()
    try:
        file = h5py.File(path, "r")
    except OSError as problem:
        raise InputError(
            f"{path} cannot be opened as HDF5: it was cut off or is of another format.",
            "Copy the file again, or name the format with --format.",
        ) from problem
    with file:
        groups = [] if "particles" not in file else list(file["particles"])
        if not groups or "position" not in file["particles"][groups[0]]:
            raise InputError(
                f"{path} holds no positions in 'particles': it is not H5MD.",
                "Write it with a program that follows the H5MD standard.",
            )
        group = file["particles"][groups[0]]
        position = group["position"]["value"]
        numbers = _numbers(path, group, position.shape[1], species)
        boundary = group["box"].attrs.get("boundary", ["none"] * 3) if "box" in group else []
        periodic = np.array([_text(one) == "periodic" for one in boundary] or [False] * 3)
        if periodic.any() and "edges" not in group["box"]:
            raise InputError(
                f"{path} is periodic but has no cell (box/edges).", "Write it with its box."
            )
        from ase.data import atomic_masses

        masses = atomic_masses[numbers]
        if "mass" in group:
            mass = group["mass"]
            masses = np.asarray(mass["value"][0] if hasattr(mass, "keys") else mass)
        times = _times(group["position"], len(position), time_step)
        source = H5mdFrames(
            path,
            groups[0],
            len(position),
            _factor(path, position, LENGTHS),
        )
    return Trajectory(numbers, masses, periodic, source, times, kind=kind, origin=str(path))


@dataclass(frozen=True, eq=False)
class H5mdFrames:
    """Frames of one particles group; the file is opened for each read."""

    path: Path
    group: str
    n_frames: int
    length: float

    def __len__(self) -> int:
        return self.n_frames

    def read(self, start: int, stop: int, step: int) -> Frames:
        """The frames start, start + step, ... before stop."""
        window = slice(start, stop, step)
        with _h5py().File(self.path, "r") as file:
            group = file["particles"][self.group]
            positions = self.length * np.asarray(group["position"]["value"][window], np.float64)
            velocities = forces = None
            if "velocity" in group:
                value = group["velocity"]["value"]
                unit = _text(value.attrs.get("unit", "")).replace(" ", "")
                length, _, time = unit.replace("-1", "").replace("^", "").partition("/")
                if not time:
                    for name in ("fs", "ps", "ns"):
                        if length.endswith(name):
                            length, time = length.removesuffix(name), name
                factor = LENGTHS.get(length.lower(), 1.0) / TIMES.get(time.lower(), 1.0)
                velocities = factor * np.asarray(value[window], np.float64)
            cells = self._cells(group, window, len(positions))
            energies = None
            if "observables/potential_energy/value" in file:
                value = file["observables/potential_energy/value"]
                if len(value) == self.n_frames and _text(value.attrs.get("unit", "")) == "eV":
                    energies = np.asarray(value[window], np.float64)
        return Frames(positions, cells, velocities, forces, energies)

    def _cells(self, group: Any, window: slice, n_frames: int) -> Array:
        if "box" not in group or "edges" not in group["box"]:
            return np.zeros((n_frames, 3, 3))
        edges = group["box"]["edges"]
        moving = hasattr(edges, "keys")
        value = np.asarray(edges["value"][window] if moving else edges[()], np.float64)
        if not moving:
            value = np.broadcast_to(value, (n_frames, *value.shape))
        if value.ndim == 2:
            cells = np.zeros((n_frames, 3, 3))
            cells[:, [0, 1, 2], [0, 1, 2]] = value
            return self.length * cells
        return self.length * value


def _numbers(path: Path, group: Any, n_atoms: int, symbols: Sequence[str] | None) -> Any:
    from ase.data import atomic_numbers

    if "species" not in group:
        if symbols is not None and len(symbols) == 1:
            return np.full(n_atoms, atomic_numbers[symbols[0]])
        raise InputError(
            f"{path} does not say which elements its atoms are.",
            "Write it with 'species' as atomic numbers.",
        )
    kinds = group["species"]
    found = np.asarray(kinds["value"][0] if hasattr(kinds, "keys") else kinds[()]).astype(int)
    if symbols is not None:
        if found.min() < 1 or found.max() > len(symbols):
            raise InputError(
                f"{path} has species {found.min()} to {found.max()}; {len(symbols)} were named.",
                "Name one element for each: --species Si,O.",
            )
        return np.array([atomic_numbers[s] for s in symbols])[found - 1]
    return found


def _times(position: Any, n_frames: int, time_step: float | None) -> Array | None:
    if time_step is not None:
        return np.arange(n_frames) * np.float64(time_step)
    if "time" not in position:
        return None
    time = position["time"]
    factor = TIMES.get(_text(time.attrs.get("unit", "")).strip().lower(), 1.0)
    if time.shape == ():
        offset = float(time.attrs.get("offset", 0.0))
        return np.asarray(factor * (offset + float(time[()]) * np.arange(n_frames)), np.float64)
    return factor * np.asarray(time[:n_frames], np.float64)


def _factor(path: Path, dataset: Any, known: dict[str, float]) -> float:
    unit = _text(dataset.attrs.get("unit", "")).strip().lower()
    if unit not in known:
        raise InputError(
            f"{path} has positions in the unknown unit '{unit}'.",
            f"Use one of {', '.join(name for name in known if name)}.",
        )
    return known[unit]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise InputError(
            "H5MD files need the package h5py, which is not installed.",
            "Install it with 'pip install hyperatom[h5md]'.",
        ) from None
    return h5py
