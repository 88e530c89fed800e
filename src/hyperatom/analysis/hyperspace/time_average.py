"""Averages of positions over short times, in which vibrations cancel and jumps do not."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError

Array = NDArray[np.float64]


def time_average(frames: Iterable[Array], cell: Array, width: int) -> Iterator[Array]:
    """Means over successive blocks of `width` frames, each (n_atoms, 3) in Å, unwrapped.

    Frames may be wrapped: an atom is followed through the boundaries of `cell` (3, 3), Å. About a
    picosecond is enough to average vibrations out. Frames that do not fill a last block are left
    out. Raises `InputError` for a width below one.
    """
    if width < 1:
        raise InputError(f"Blocks of {width} frames are impossible.", "Average over at least one.")
    inverse = np.linalg.inv(cell)
    previous: Array | None = None
    crossed = np.zeros(3)
    total, count = np.zeros(3), 0
    for frame in frames:
        positions = np.asarray(frame, dtype=np.float64)
        if previous is not None:
            crossed = crossed + np.rint((positions - previous) @ inverse)
        previous = positions
        total, count = total + positions - crossed @ cell, count + 1
        if count == width:
            yield np.asarray(total / width)
            total, count = np.zeros(3), 0
