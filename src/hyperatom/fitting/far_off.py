"""Frames whose energies a potential misses by far: of another calculation than all others?

Errors of one kind lie within some five medians of their sizes. A few frames far beyond, learned or
not, are seldom the fault of the potential: a thin cell with too few k-points, other settings, a
calculation that did not converge, another zero of energy.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hyperatom.fitting.data_checks import listed
from hyperatom.potentials.family import LabelledFrame

FAR: Final = 10.0
"""Medians of the sizes of all errors, beyond which a frame is far off."""

MOST: Final = 0.1
"""Part of the frames; where more of them are far off, the potential is to blame."""

FEWEST: Final = 20
"""Frames of which it is told."""


def far_off(frames: Sequence[LabelledFrame], wrong: NDArray[np.float64]) -> str:
    """What is odd about errors `wrong` (n_frames,) of energies, eV/atom; empty where nothing is."""
    sizes = np.abs(wrong)
    if len(sizes) < FEWEST:
        return ""
    usual = float(np.median(sizes))
    order = np.argsort(-sizes)
    found = [int(k) for k in order if sizes[k] > FAR * usual]
    if not found or len(found) > MOST * len(sizes):
        return ""
    names = listed([f"{frames[k].source} {1e3 * wrong[k]:+.3g} meV/atom" for k in found])
    return (
        f"{len(found)} of {len(frames)} energies are far off, where half of all errors are below "
        f"{1e3 * usual:.2g} meV/atom: {names}. Are they of the same calculation as the "
        "others: settings, k-points of a thin cell, convergence?"
    )
