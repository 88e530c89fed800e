"""Paths of atoms without jumps across the cell, one group of atoms at a time, however long."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.statistics import Array
from hyperatom.errors import InputError
from hyperatom.trajectory import Trajectory

MEMORY: Final = 512 * 2**20
"""Bytes of positions or velocities above which they are laid out by atom in a temporary file."""


@contextmanager
def atom_series(
    trajectory: Trajectory, quantity: str, *, unwrap: bool, drift: bool = True
) -> Iterator[Any]:
    """`positions` (Å) or `velocities` (Å/fs) by atom: an array (n_atoms, 3, n_frames) of float64.

    With `unwrap`, each step is the shortest of all images (the cell must not change its shape by
    half of itself between frames); with `drift`, the motion of the centre of mass is taken away.
    What is larger than memory allows lies in a temporary file while it is used. Raises `InputError`
    where velocities are missing.
    """
    n_frames, n_atoms = len(trajectory), trajectory.n_atoms
    size = 24 * n_frames * n_atoms
    if size <= MEMORY:
        yield _fill(trajectory, quantity, np.empty((n_atoms, 3, n_frames)), unwrap, drift)
        return
    with tempfile.TemporaryFile() as file:
        table = np.memmap(file, np.float64, "w+", shape=(n_atoms, 3, n_frames))
        yield _fill(trajectory, quantity, table, unwrap, drift)


def _fill(trajectory: Trajectory, quantity: str, table: Any, unwrap: bool, drift: bool) -> Any:
    share = trajectory.masses / trajectory.masses.sum()
    before: Array | None = None
    walker: int | None = None
    image = np.zeros((trajectory.n_atoms, 3))
    moves = unwrap and trajectory.periodic.any()
    # Frames by the thousand, so that rows of the table are written in long stretches.
    for window, frames in trajectory.chunks():
        values = getattr(frames, quantity)
        if values is None:
            raise InputError(
                f"{trajectory.origin} does not hold velocities.",
                "Write the trajectory with velocities.",
            )
        if moves:
            scaled = values @ np.linalg.inv(_invertible(frames.cells, trajectory.periodic))
            walkers = trajectory.walkers[window]
            same = np.concatenate([[walker == walkers[0]], walkers[1:] == walkers[:-1]])
            first = scaled[:1] if before is None else before[None]
            steps = np.diff(scaled, axis=0, prepend=first)
            jumps = -np.round(steps) * trajectory.periodic
            jumps[~same] = 0.0
            images = image + np.cumsum(jumps, axis=0)
            before, image, walker = scaled[-1], images[-1], int(walkers[-1])
            if images.any():
                values = values + images @ frames.cells
        if drift:
            values = values - np.einsum("a,fac->fc", share, values)[:, None, :]
        table[:, :, window] = values.transpose(1, 2, 0)
    return table


def _invertible(cells: Array, periodic: NDArray[np.bool_]) -> Array:
    if periodic.all():
        return cells
    from hyperatom.geometry.cells import complete_cell

    return np.stack([complete_cell(cell, periodic) for cell in cells])
