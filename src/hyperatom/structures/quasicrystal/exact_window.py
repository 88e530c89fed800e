"""Windows of the cut and projection method, with exact membership."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.geometry.quadratic_integers import Integers, signs

_LARGEST: Final = 2**53
"""Whole numbers beyond this have no exact float; sums of products stay below it."""


@dataclass(frozen=True, eq=False)
class ExactWindow:
    """A convex window: lattice points n with lower < m.(n + offset) < upper for every m.

    A functional m of the perpendicular space has coefficients a + b sqrt(radicand), held as pairs
    of whole numbers; offsets are rational. A point on a facet belongs to the window if it does so
    after an infinitesimal move of the offset along `direction`: the tiling of a singular offset is
    then one of those that the regular ones tend to.

    | field         | shape                        | meaning                                    |
    |---------------|------------------------------|--------------------------------------------|
    | `functionals` | (n_functionals, dimension, 2)| pairs (a, b), normals of the facets        |
    | `lower`       | (n_functionals, 2)           | pairs (a, b)                               |
    | `upper`       | (n_functionals, 2)           | pairs (a, b)                               |
    | `offset`      | (dimension,)                 | rational point of the hyperspace           |
    | `direction`   | (dimension,)                 | whole numbers; on no facet                 |

    Raises `InputError` where the numbers are too large for whole-number arithmetic of 64 bits.
    """

    functionals: Integers
    lower: Integers
    upper: Integers
    radicand: int
    offset: tuple[Fraction, ...]
    direction: Integers

    def __post_init__(self) -> None:
        ties = np.einsum("fnp,n->fp", self.functionals, self.direction)
        if not signs(ties[:, 0], ties[:, 1], self.radicand).all():
            raise ValueError("the direction of ties lies in a facet of the window")

    def holds(self, points: Integers) -> NDArray[np.bool_]:
        """Whether each lattice point (n_points, dimension) lies in the window."""
        scale = lcm(*(part.denominator for part in self.offset))
        shift = np.array([int(part * scale) for part in self.offset], dtype=np.int64)
        largest = float(np.abs(points).max(initial=1)) * scale + float(np.abs(shift).max())
        if largest * float(np.abs(self.functionals).sum(axis=1).max()) > _LARGEST:
            raise InputError(
                "The cut is too fine for exact arithmetic.",
                "Use an offset with smaller denominators, or a lower order.",
            )
        moved = np.einsum("fnp,mn->mfp", self.functionals, points * scale + shift)
        tie = np.einsum("fnp,n->fp", self.functionals, self.direction)
        side = signs(tie[:, 0], tie[:, 1], self.radicand)
        above = moved - scale * self.lower
        below = scale * self.upper - moved
        over = signs(above[..., 0], above[..., 1], self.radicand)
        under = signs(below[..., 0], below[..., 1], self.radicand)
        inside = ((over > 0) | ((over == 0) & (side > 0))) & (
            (under > 0) | ((under == 0) & (side < 0))
        )
        result: NDArray[np.bool_] = inside.all(axis=1)
        return result


def cube_window(
    functionals: Integers, radicand: int, offset: tuple[Fraction, ...], direction: Integers
) -> ExactWindow:
    """The projection of the unit cube: the window of a canonical tiling (de Bruijn 1981).

    Its facets are parallel to projected faces of the cube; `functionals` are their normals. Along
    each normal the cube reaches from the sum of the negative coefficients to that of the positive.
    """
    distinct = _distinct(functionals, radicand)
    positive = signs(distinct[..., 0], distinct[..., 1], radicand)[..., None] > 0
    return ExactWindow(
        functionals=distinct,
        lower=np.where(positive, 0, distinct).sum(axis=1),
        upper=np.where(positive, distinct, 0).sum(axis=1),
        radicand=radicand,
        offset=offset,
        direction=direction,
    )


def _distinct(functionals: Integers, radicand: int) -> Integers:
    """Functionals without zeros, without those that differ by a sign alone."""
    kept: dict[bytes, Integers] = {}
    for functional in functionals:
        first = signs(functional[:, 0], functional[:, 1], radicand)
        if first.any():
            oriented = functional * first[np.flatnonzero(first)[0]]
            kept[oriented.tobytes()] = oriented
    return np.array(list(kept.values()), dtype=np.int64)


def rational_functionals(spanning: list[Integers], dimension: int) -> Integers:
    """The functional that vanishes on dimension - 1 vectors, as pairs (a, 0).

    Its k-th coefficient is the determinant of the vectors and the k-th unit vector, by whole-number
    elimination.
    """
    unit = np.eye(dimension, dtype=np.int64)
    coefficients = [determinant([*spanning, row]) for row in unit]
    return np.array([[value, 0] for value in coefficients], dtype=np.int64)


def determinant(rows: list[Integers]) -> int:
    """The determinant of a matrix of whole numbers, without rounding (Bareiss 1968)."""
    matrix = [[int(value) for value in row] for row in rows]
    size, sign, previous = len(matrix), 1, 1
    for k in range(size - 1):
        pivot = next((i for i in range(k, size) if matrix[i][k]), None)
        if pivot is None:
            return 0
        if pivot != k:
            matrix[k], matrix[pivot], sign = matrix[pivot], matrix[k], -sign
        for i in range(k + 1, size):
            for j in range(k + 1, size):
                product = matrix[i][j] * matrix[k][k] - matrix[i][k] * matrix[k][j]
                matrix[i][j] = product // previous
        previous = matrix[k][k]
    return sign * matrix[-1][-1]


def rational_offset(
    offset: Sequence[object] | None, default: tuple[Fraction, ...]
) -> tuple[Fraction, ...]:
    """An offset as fractions, of the right dimension.

    Raises `InputError` for another number of components, or one that is not a number.
    """
    if offset is None:
        return default
    found = fractions(offset)
    if len(found) != len(default):
        raise InputError(
            f"The offset has {len(found)} components.", f"This tiling needs {len(default)}."
        )
    return found


def fractions(components: Sequence[object]) -> tuple[Fraction, ...]:
    """Numbers, or texts such as 1/5 and 0.2, as fractions.

    Raises `InputError` for what is not a number.
    """
    try:
        return tuple(Fraction(str(part)).limit_denominator(10**6) for part in components)
    except (ValueError, ZeroDivisionError):
        raise InputError(
            f"The offset {', '.join(map(str, components))} is not a list of numbers.",
            "Give numbers such as 1/5 or 0.2.",
        ) from None
