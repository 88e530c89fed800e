"""The Penrose tiling by rhombs, five dimensions cut to two, and its rational approximants."""

from fractions import Fraction
from itertools import combinations
from typing import Final

import numpy as np

from hyperatom.errors import InputError
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

_ANGLES: Final = 2.0 * np.pi * np.arange(5) / 5.0
_UNIT: Final = np.eye(5, dtype=np.int64)
_DIRECTION: Final = np.array([1, 3, -7, 11, -8])
"""Of ties; its components add up to zero, which keeps the four windows as they are."""

_STARS: Final = np.stack([np.cos(2.0 * _ANGLES), np.sin(2.0 * _ANGLES)], axis=1)

PENROSE: Final = TilingRule(
    name="Penrose",
    directions=np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1),
    stars=_STARS,
    steps=np.array([_UNIT[k // 2] if k % 2 == 0 else -_UNIT[(k + 5) // 2 % 5] for k in range(10)]),
    shapes={"thick rhomb": (0, 2, 5, 7), "thin rhomb": (0, 1, 5, 6)},
    outlines={
        height: convex_outline(np.array([_STARS[list(c)].sum(axis=0) for c in chosen]))
        for height in range(1, 5)
        if (chosen := list(combinations(range(5), height)))
    },
)

_CROSS: Final = np.array([[0, 0], [-1, 1], [-2, 0], [2, 0], [1, -1]])
"""Twice sin(4 pi l / 5) / sin(2 pi / 5) in Z[sqrt 5] for l = 0...4: 0, 1/tau, -1, 1, -1/tau."""

_FIVEFOLD: Final = (Fraction(1, 5),) * 5


def penrose(radius: float, offset: tuple[object, ...] | None = None) -> Tiling:
    """The Penrose tiling within `radius` edges of the origin (de Bruijn 1981).

    A vertex is sum n_j zeta^j, zeta = exp(2 pi i/5); it counts where sum n_j zeta^2j, moved by the
    offset, is inside the slice of the projected five-dimensional cube at height sum n_j = 1, 2, 3
    or 4: pentagons P, -tau P, tau P, -P. Without an offset: a tiling with fivefold symmetry.

    Raises `InputError` where the offset's components do not add up to a whole number: such tilings
    have other windows, and other rules of matching.
    """
    functionals = [
        [_CROSS[(j - i) % 5] + _CROSS[(k - j) % 5] + _CROSS[(i - k) % 5] for k in range(5)]
        for i, j in combinations(range(5), 2)
    ]
    window = cube_window(np.array(functionals), 5, _offset(offset, _FIVEFOLD), _DIRECTION)
    return patch(PENROSE, window, radius)


def penrose_approximant(p: int, q: int, offset: tuple[object, ...] | None = None) -> Tiling:
    """One rectangular cell of the periodic tiling of order p/q (p/q = 1/1, 2/1, 3/2, 5/3, ...).

    The cut is turned so that it contains (p tau + q) w, with w = 2 - zeta^2 - zeta^3 and w = zeta -
    zeta^4: periods of (p tau + q)(2 + tau) and (p tau + q) 2 sin 72° edges. Raises `InputError`
    where p and q are not coprime, or the tiles of the strained cut overlap.
    """
    check_order(p, q)
    periods = np.array(
        [
            p * _times_tau(w) + q * w
            for w in (np.array([2, 0, -1, -1, 0]), np.array([0, 1, 0, 0, -1]))
        ]
    )
    functionals = [
        rational_functionals([*periods, _UNIT[i], _UNIT[j]], 5)
        for i, j in combinations(range(5), 2)
    ]
    window = cube_window(np.array(functionals), 5, _offset(offset, _FIVEFOLD), _DIRECTION)
    return periodic(PENROSE, window, periods)


def _times_tau(point: Integers) -> Integers:
    """The point times tau = 1 + zeta + 1/zeta."""
    product: Integers = point + np.roll(point, 1) + np.roll(point, -1)
    return product


def _offset(
    offset: tuple[object, ...] | None, default: tuple[Fraction, ...]
) -> tuple[Fraction, ...]:
    found = rational_offset(offset, default)
    total = sum(found)
    if total.denominator != 1:
        raise InputError(
            f"The five components of the offset add up to {total}, not to a whole number.",
            "Change one of them: other sums make generalised Penrose tilings.",
        )
    return found
