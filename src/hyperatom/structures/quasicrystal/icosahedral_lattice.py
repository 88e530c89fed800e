"""Icosahedral lattices of P, F and I type, and periods of their approximants."""

from collections.abc import Sequence
from math import gcd
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperatom.errors import InputError
from hyperatom.geometry.icosahedral import operations

Integers = NDArray[np.int64]
LatticeType = Literal["P", "F", "I"]


def translations(lattice: LatticeType) -> Integers:
    """Doubled basis (6, 6), as columns, of a six-dimensional hypercubic lattice.

    P: all whole numbers. F: those with an even sum (its own face-centred constant is 2 A). I: all
    whole numbers, and all halves of odd numbers.
    """
    basis = 2 * np.eye(6, dtype=np.int64)
    if lattice == "F":
        basis[1:, :5] -= 2 * np.eye(5, dtype=np.int64)
        basis[4, 5] = 2
    elif lattice == "I":
        basis[:, 5] = 1
    elif lattice != "P":
        raise InputError(f"There is no icosahedral lattice of type {lattice!r}.", "Use P, F or I.")
    return basis


def cubic_periods(p: int, q: int) -> Integers:
    """Doubled periods (6, 3) of the cubic p/q approximant, a = 2 c A (p tau + q).

    1/0, 1/1, 2/1, 3/2, 5/3, 8/5 ... come ever closer to the quasicrystal, but any coprime pair is
    allowed. For a P lattice and odd p and q this is twice the smallest cell, which is
    body-centred. Raises `InputError` unless p and q are coprime.
    """
    return orthorhombic_periods([(p, q)] * 3)


def orthorhombic_periods(ratios: Sequence[tuple[int, int]]) -> Integers:
    """Doubled periods (6, 3) of an approximant with its own p/q along x, y and z.

    Along each twofold axis the Cahn indices (h, h') = 2 (q, p) are the shortest period: with p and
    q coprime, the parities h = k', h' = l, k = l' (mod 2) close for even multiples only.
    """
    if len(ratios) != 3:
        raise InputError(f"{len(ratios)} ratios p/q were given.", "Give one for each of x, y, z.")
    periods = np.zeros((6, 3), dtype=np.int64)
    for axis, (p, q) in enumerate(ratios):
        if gcd(p, q) != 1 or p < 0 or q < 0:
            divisor = gcd(p, q)
            cure = f"Use {p // divisor}/{q // divisor}." if divisor > 1 and p > 0 else ""
            raise InputError(
                f"p/q = {p}/{q} is not a ratio of coprime non-negative numbers.",
                cure or "The approximants are 1/0, 1/1, 2/1, 3/2, 5/3, 8/5 and so on.",
            )
        cahn = np.zeros((3, 2), dtype=np.int64)
        cahn[axis] = (2 * q, 2 * p)
        periods[:, axis] = from_cahn(cahn)
    return 2 * periods


def from_cahn(cahn: ArrayLike) -> Integers:
    """The six indices of a vector with Cahn indices ((h, h'), (k, k'), (l, l')).

    The vector is c A (h + tau h', k + tau k', l + tau l') in physical space (Cahn, Shechtman and
    Gratias 1986). Raises `InputError` unless h + k', h' + l and k + l' are even.
    """
    (h, h1), (k, k1), (m, m1) = np.asarray(cahn, dtype=np.int64).tolist()
    if (h + k1) % 2 or (h1 + m) % 2 or (k + m1) % 2:
        raise InputError(
            f"The parities of the Cahn indices {h}/{h1} {k}/{k1} {m}/{m1} do not close.",
            "h + k', h' + l and k + l' must be even; double the indices.",
        )
    doubled = [h + k1, h1 + m, h1 - m, k - m1, k1 - h, k + m1]
    return np.array(doubled, dtype=np.int64) // 2


def rhombohedral_periods(vector: Sequence[int]) -> Integers:
    """Doubled periods (6, 3): a lattice vector (6,) and its images by the threefold axis [111].

    Raises `InputError` if the vector lies on or across the axis, so that there is no cell.
    """
    signed, rotations, _ = operations()
    cycle = np.roll(np.eye(3), 1, axis=0)
    turn = signed[int(np.abs(rotations - cycle).sum(axis=(1, 2)).argmin())]
    first = 2 * np.asarray(vector, dtype=np.int64)
    periods = np.stack([first, turn @ first, turn @ turn @ first], axis=1)
    if np.linalg.matrix_rank(periods.astype(np.float64)) < 3:
        raise InputError(
            f"{list(vector)} and its threefold images span no cell.",
            "Choose a vector that is neither along [111] nor perpendicular to it.",
        )
    return periods
