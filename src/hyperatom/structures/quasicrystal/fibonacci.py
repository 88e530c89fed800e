"""The Fibonacci chain, two dimensions cut to one, and its rational approximants."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.geometry.quadratic_integers import Integers
from hyperatom.structures.quasicrystal.exact_window import (
    ExactWindow,
    cube_window,
    rational_functionals,
    rational_offset,
)
from hyperatom.structures.quasicrystal.orders import check_order

GOLDEN: Final = (1.0 + np.sqrt(5.0)) / 2.0

_DIRECTION: Final = np.array([1, 3])
_GENERIC: Final = (Fraction(2, 7), Fraction(3, 11))


@dataclass(frozen=True, eq=False)
class Chain:
    """Points n1 tau + n2 of a line: intervals long (tau) and short (1).

    | field           | shape         | unit          | meaning                                |
    |-----------------|---------------|---------------|----------------------------------------|
    | `vertices`      | (n_points, 2) | -             | whole numbers (n1, n2), left to right  |
    | `perpendicular` | (n_points,)   | short interval| positions in the window                |
    | `period`        | (2,) or None  | -             | whole numbers of the approximant       |
    """

    vertices: Integers
    perpendicular: NDArray[np.float64]
    period: Integers | None

    @property
    def positions(self) -> NDArray[np.float64]:
        """Points on the line, in short intervals."""
        result: NDArray[np.float64] = self.vertices @ np.array([GOLDEN, 1.0])
        return result

    @property
    def word(self) -> str:
        """Intervals from left to right, L or S; around the period where there is one."""
        ends = self.vertices
        if self.period is not None:
            ends = np.concatenate([ends, ends[:1] + self.period])
        return "".join("LS"[int(step)] for step in np.diff(ends[:, 1]))


def fibonacci_chain(half_length: float, offset: tuple[object, ...] | None = None) -> Chain:
    """The Fibonacci chain within `half_length` short intervals of the origin.

    The lattice point (n1, n2) is at n1 tau + n2 on the line and at n1 (1 - tau) + n2 across it; it
    counts where the latter, moved by the offset, is inside the projected unit square. Raises
    `InputError` for lengths or offsets that make no sense.
    """
    if not 1.0 <= half_length <= 1e6:
        raise InputError(f"A length of {half_length:g} is out of range.", "Choose 1 to 1e6.")
    functionals = np.array([[[1, -1], [2, 0]]])
    window = cube_window(functionals, 5, rational_offset(offset, _GENERIC), _DIRECTION)
    numbers = np.arange(-int(half_length) - 2, int(half_length) + 3)
    vertices = _one_per_number(window, numbers, 1.0 / GOLDEN)
    vertices = vertices[np.abs(vertices @ np.array([GOLDEN, 1.0])) <= half_length]
    return _chain(vertices, window, None)


def fibonacci_approximant(p: int, q: int, offset: tuple[object, ...] | None = None) -> Chain:
    """The periodic chain of p long and q short intervals that is nearest to the Fibonacci chain.

    The cut runs along the lattice vector (p, q). Raises `InputError` where p and q are not coprime.
    """
    check_order(p, q)
    period = np.array([p, q])
    functionals = rational_functionals([period], 2)[None]
    window = cube_window(functionals, 5, rational_offset(offset, (Fraction(0),) * 2), _DIRECTION)
    vertices = _one_per_number(window, np.arange(p + q), p / (p + q))
    return _chain(vertices, window, period)


def _one_per_number(window: ExactWindow, numbers: Integers, slope: float) -> Integers:
    """The point with n1 + n2 = k for each k: there is exactly one, near n1 = slope k."""
    near = np.floor(slope * numbers).astype(np.int64)
    first = (near[:, None] + np.arange(-3, 4)).ravel()
    points = np.stack([first, np.repeat(numbers, 7) - first], axis=1)
    return points[window.holds(points)]


def _chain(vertices: Integers, window: ExactWindow, period: Integers | None) -> Chain:
    offset = np.array([float(part) for part in window.offset])
    perpendicular = (vertices + offset) @ np.array([1.0 - GOLDEN, 1.0])
    return Chain(vertices, perpendicular, period)
