"""The Ammann-Beenker tiling, four dimensions cut to two, and its rational approximants."""

from fractions import Fraction
from itertools import product
from typing import Final

import numpy as np

from hyperatom.geometry.quadratic_integers import Integers
from hyperatom.structures.quasicrystal.exact_window import (
    cube_window,
    rational_functionals,
    rational_offset,
)
from hyperatom.structures.quasicrystal.orders import check_order
from hyperatom.structures.quasicrystal.tiling import (
    Tiling,
    TilingRule,
    convex_outline,
    patch,
    periodic,
)

_ANGLES: Final = np.pi * np.arange(4) / 4.0
_UNIT: Final = np.eye(4, dtype=np.int64)
_DIRECTION: Final = np.array([1, 3, -7, 12])

_STARS: Final = np.stack([np.cos(3.0 * _ANGLES), np.sin(3.0 * _ANGLES)], axis=1)

AMMANN_BEENKER: Final = TilingRule(
    name="Ammann-Beenker",
    directions=np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1),
    stars=_STARS,
    steps=np.concatenate([_UNIT, -_UNIT]),
    shapes={"square": (0, 2, 4, 6), "rhomb": (0, 1, 4, 5)},
    outlines={1: convex_outline(np.array(list(product((0, 1), repeat=4))) @ _STARS)},
)

_CROSS: Final = np.array([[0, 0], [1, 0], [0, -1], [1, 0]])
"""sqrt 2 sin(3 pi l / 4) in Z[sqrt 2] for l = 0...3."""

_EIGHTFOLD: Final = (Fraction(1, 2),) * 4


def ammann_beenker(radius: float, offset: tuple[object, ...] | None = None) -> Tiling:
    """The Ammann-Beenker tiling within `radius` edges of the origin (Beenker 1982).

    A vertex is sum n_j zeta^j, zeta = exp(pi i/4); it counts where sum n_j zeta^3j, moved by the
    offset, is inside the projected unit cube: a regular octagon of edge 1. Without an offset: a
    tiling with eightfold symmetry.
    """
    functionals = [[_cross(k - i) for k in range(4)] for i in range(4)]
    window = cube_window(np.array(functionals), 2, rational_offset(offset, _EIGHTFOLD), _DIRECTION)
    return patch(AMMANN_BEENKER, window, radius)


def ammann_beenker_approximant(p: int, q: int, offset: tuple[object, ...] | None = None) -> Tiling:
    """One square cell of the periodic tiling of order p/q (p/q = 1/1, 3/2, 7/5, 17/12, ...).

    Its period is p + q sqrt 2 edges. Raises `InputError` where p and q are not coprime, or the
    tiles of the strained cut overlap.
    """
    check_order(p, q)
    periods = np.array([[p, q, 0, -q], [0, q, p, q]])
    functionals = [rational_functionals([*periods, row], 4) for row in _UNIT]
    window = cube_window(np.array(functionals), 2, rational_offset(offset, _EIGHTFOLD), _DIRECTION)
    return periodic(AMMANN_BEENKER, window, periods)


def _cross(number: int) -> Integers:
    """sqrt 2 sin(3 pi l / 4), an odd function of l."""
    value: Integers = np.sign(number) * _CROSS[abs(number)]
    return value
