"""The dodecagonal tiling by squares, triangles and shields, and its rational approximants."""

from fractions import Fraction
from typing import Final

import numpy as np

from hyperatom.errors import InputError
from hyperatom.structures.quasicrystal.exact_window import (
    ExactWindow,
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

_ANGLES: Final = np.pi * np.arange(4) / 6.0
_UNIT: Final = np.eye(4, dtype=np.int64)
_HALF_TURN: Final = np.concatenate([_UNIT, [[-1, 0, 1, 0], [0, -1, 0, 1]]])
"""1, zeta, ..., zeta^5 with zeta^4 = zeta^2 - 1."""

_STARS: Final = np.stack([np.cos(5.0 * _ANGLES), np.sin(5.0 * _ANGLES)], axis=1)
_STEPS: Final = np.concatenate([_HALF_TURN, -_HALF_TURN])

DODECAGONAL: Final = TilingRule(
    name="dodecagonal",
    directions=np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1),
    stars=_STARS,
    steps=_STEPS,
    shapes={
        "square": (0, 3, 6, 9),
        "triangle": (0, 4, 8),
        "shield": (0, 3, 4, 7, 8, 11),
    },
    outlines={1: convex_outline(_STEPS @ _STARS)},
)

_COSINES: Final = {15: (1, 1), 45: (2, 0), 75: (-1, 1), 105: (1, -1), 135: (-2, 0), 165: (-1, -1)}
"""2 sqrt 2 cos(angle) in Z[sqrt 3]."""

_DIRECTION: Final = np.array([1, 3, -7, 12])

_GENERIC: Final = (Fraction(1, 7), Fraction(2, 11), Fraction(-1, 13), Fraction(1, 5))


def dodecagonal(radius: float, offset: tuple[object, ...] | None = None) -> Tiling:
    """The dodecagonal tiling within `radius` edges of the origin (Gähler 1988).

    A vertex is sum n_j zeta^j, zeta = exp(pi i/6); it counts where sum n_j zeta^5j, moved by the
    offset, is inside the regular dodecagon whose corners are the twelve units zeta^k.
    """
    functionals = np.array(
        [[_cosine(150 * j - 15 - 30 * k) for j in range(4)] for k in range(6)], dtype=np.int64
    )
    inradius = np.array([_COSINES[15]] * 6)
    window = ExactWindow(
        functionals=functionals,
        lower=-inradius,
        upper=inradius,
        radicand=3,
        offset=rational_offset(offset, _GENERIC),
        direction=_DIRECTION,
    )
    return patch(DODECAGONAL, window, radius)


def dodecagonal_approximant(p: int, q: int, offset: tuple[object, ...] | None = None) -> Tiling:
    """One square cell of the periodic tiling of order p/q (p/q = 2/1, 5/3, 7/4, 19/11, ...).

    Its period is p + q sqrt 3 edges. The window is the hull of the strained images of the twelve
    units, whose corners stay in their order. Raises `InputError` where p and q are not coprime, or
    the tiles of the strained cut overlap.
    """
    check_order(p, q)
    periods = np.array([[p, 2 * q, 0, -q], [-q, 0, 2 * q, p]])
    # Images of zeta^k and zeta^(k+5) are neighbouring corners; a facet contains both.
    facets = [
        (rational_functionals([*periods, _STEPS[(k + 5) % 12] - _STEPS[k]], 4)[:, 0], _STEPS[k])
        for k in range(6)
    ]
    outward = np.array([normal * (1 if normal @ corner > 0 else -1) for normal, corner in facets])
    reach = np.array([abs(int(normal @ corner)) for normal, corner in facets])
    if (outward @ _STEPS.T > reach[:, None]).any() or not reach.all():
        raise InputError(
            f"The order {p}/{q} is too far from sqrt 3: its strained window is no dodecagon.",
            "Take 2/1, 3/2, 5/3, 7/4, 12/7, 19/11 or 26/15.",
        )
    window = ExactWindow(
        functionals=np.stack([outward, np.zeros_like(outward)], axis=-1),
        lower=np.stack([-reach, np.zeros_like(reach)], axis=-1),
        upper=np.stack([reach, np.zeros_like(reach)], axis=-1),
        radicand=3,
        offset=rational_offset(offset, _GENERIC),
        direction=_DIRECTION,
    )
    return periodic(DODECAGONAL, window, periods)


def _cosine(degrees: int) -> tuple[int, int]:
    """2 sqrt 2 cos(degrees) in Z[sqrt 3], for odd multiples of 15 degrees."""
    angle = degrees % 360
    return _COSINES[angle if angle < 180 else 360 - angle]
