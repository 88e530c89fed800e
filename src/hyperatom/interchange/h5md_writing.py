"""Writes H5MD (de Buyl et al., Computer Physics Communications 185, 1546 (2014))."""

from pathlib import Path
from typing import Any

import numpy as np

from hyperatom import __version__
from hyperatom.errors import InputError
from hyperatom.trajectory import Trajectory

CHUNK = 64
"""Frames written at a time."""


def write_h5md(trajectory: Trajectory, path: Path, time_step: float) -> int:
    """Positions (Å), velocities (Å/fs), cells (Å) and potential energies (eV), in double precision.

    `time_step` is the time between frames, fs. The file appears whole or not at all; returns the
    number of frames. Raises `InputError` where h5py is missing.
    """
    try:
        import h5py
    except ImportError:
        raise InputError(
            "H5MD files need the package h5py, which is not installed.",
            "Install it with 'pip install hyperatom[h5md]'.",
        ) from None
    part = path.with_name(path.name + ".part")
    count = len(trajectory)
    with h5py.File(part, "w") as file:
        about = file.create_group("h5md")
        about.attrs["version"] = np.array([1, 1])
        about.create_group("author").attrs["name"] = "hyperatom"
        creator = about.create_group("creator")
        creator.attrs["name"], creator.attrs["version"] = "hyperatom", __version__
        atoms = file.create_group("particles/all")
        atoms["species"] = trajectory.numbers
        atoms["mass"] = trajectory.masses
        atoms["mass"].attrs["unit"] = "u"
        box = atoms.create_group("box")
        box.attrs["dimension"] = 3
        box.attrs["boundary"] = ["periodic" if one else "none" for one in trajectory.periodic]
        first = trajectory.frames(0, 1)
        shape = (trajectory.n_atoms, 3)
        wanted: list[tuple[Any, str, tuple[int, ...], str, str]] = [
            (atoms, "position", shape, "Angstrom", "positions"),
            (box, "edges", (3, 3), "Angstrom", "cells"),
        ]
        if first.velocities is not None:
            wanted.append((atoms, "velocity", shape, "Angstrom fs-1", "velocities"))
        if first.energies is not None:
            place = file.create_group("observables")
            wanted.append((place, "potential_energy", (), "eV", "energies"))
        values = {}
        for place, name, size, unit, field in wanted:
            group = place.create_group(name)
            group["step"] = 1
            group["time"] = float(time_step)
            group["time"].attrs["unit"] = "fs"
            values[field] = group.create_dataset("value", (count, *size), np.float64)
            values[field].attrs["unit"] = unit
        for start in range(0, count, CHUNK):
            stop = min(start + CHUNK, count)
            frames = trajectory.frames(start, stop)
            for field, target in values.items():
                target[start:stop] = getattr(frames, field)
    part.replace(path)
    return count
