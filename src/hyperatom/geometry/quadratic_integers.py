"""Exact order in Z[sqrt(d)]: the sign of a + b sqrt(d), decided by whole-number arithmetic.

Points of quasiperiodic tilings are whole-number combinations of roots of unity; whether one lies
inside a window is a question about signs of such numbers, to which rounding has no answer.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

_SURE: Final = 1e-9
"""Relative size beyond which the sign of the rounded sum is the sign of the exact one."""


def signs(whole: Integers, root: Integers, radicand: int) -> Integers:
    """Signs (-1, 0, 1) of `whole + root * sqrt(radicand)`, exactly; any shape.

    A sum that rounding might decide is decided by comparing whole^2 with radicand * root^2.
    """
    whole, root = np.broadcast_arrays(np.asarray(whole), np.asarray(root))
    first = whole.astype(np.float64)
    second = root.astype(np.float64) * float(np.sqrt(radicand))
    found: Integers = np.sign(first + second).astype(np.int64)
    unsure = np.abs(first + second) <= _SURE * (np.abs(first) + np.abs(second))
    for place in zip(*np.nonzero(unsure), strict=True):
        found[place] = _sign(int(whole[place]), int(root[place]), radicand)
    return found


def _sign(whole: int, root: int, radicand: int) -> int:
    squares = whole * abs(whole) + radicand * root * abs(root)
    return (squares > 0) - (squares < 0)


def values(pairs: Integers, radicand: int) -> NDArray[np.float64]:
    """Numerical values of pairs (..., 2) of `a + b sqrt(radicand)`."""
    result: NDArray[np.float64] = pairs[..., 0] + pairs[..., 1] * np.sqrt(radicand)
    return result
