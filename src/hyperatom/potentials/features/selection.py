"""Few rows of a matrix that stand for all of them, and few columns: inducing points, features.

Farthest points (Gonzalez, Theor. Comput. Sci. 38, 293 (1985); of environments of atoms: De, Bartók,
Csányi and Ceriotti, Phys. Chem. Chem. Phys. 18, 13754 (2016)): each new row is the one farthest
from all rows chosen before,

    i_k = argmax_i min_{j < k} |x_i - x_{i_j}|.

CUR (Mahoney and Drineas, Proc. Natl. Acad. Sci. 106, 697 (2009)) in the form of Imbalzano et al.,
J. Chem. Phys. 148, 241730 (2018): each new row is the one of the greatest leverage,

    i_k = argmax_i sum_{c <= r} u_ic^2,   X = U S V^T,   then   X <- X - X q q^T,   q = x_i / |x_i|,

so that what is chosen spans as much of all the rows as so few can.
"""

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, qr

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

Method = Literal["farthest_points", "cur"]

LEVERAGE_RANK: Final = 1
"""r: singular vectors that leverages are made of; one, where the rest is renewed at each step."""

NOTHING: Final = 1e-10
"""Rows of which this part is left, or less, are spanned by those chosen."""


def selected_rows(rows: Array, n: int, method: Method, seed: int = 0) -> Indices:
    """Positions of `n` rows that stand for all, (n,), in the order in which they were chosen.

    `rows` (n_rows, n_columns); all of them where there are no more than `n`. The seed says at which
    row farthest points begin. Equal arguments, equal choice.
    """
    if method == "cur":
        return rows_by_leverage(rows, n)
    return farthest_points(rows, n, seed)


def selected_columns(rows: Array, n: int, method: Method, seed: int = 0) -> Indices:
    """Positions of `n` columns that stand for all, (n,), ascending; arguments as for rows."""
    # The triangle of X = Q R has columns with the same products as those of X, and few rows.
    triangle = qr(rows, mode="r")[0][: rows.shape[1]]
    return np.sort(selected_rows(np.ascontiguousarray(triangle.T), n, method, seed))


def farthest_points(rows: Array, n: int, seed: int = 0) -> Indices:
    """The rows that `n` steps of farthest points choose, (n,), by Euclidean distance.

    The first is drawn; copies of a row that was chosen come last.
    """
    n = min(n, len(rows))
    chosen = np.zeros(n, dtype=np.int64)
    if n == 0:
        return chosen
    chosen[0] = np.random.default_rng(seed).integers(len(rows))
    square = np.einsum("ij,ij->i", rows, rows)
    nearest = np.full(len(rows), np.inf)
    for k in range(1, n):
        last = chosen[k - 1]
        apart = square - 2.0 * (rows @ rows[last]) + square[last]
        nearest = np.minimum(nearest, np.maximum(apart, 0.0))
        nearest[last] = -1.0  # of a row that is taken no copy of equal rounding is preferred
        chosen[k] = int(np.argmax(nearest))
    return chosen


def rows_by_leverage(rows: Array, n: int) -> Indices:
    """The rows that `n` steps of CUR choose, (n,).

    Where those chosen span all rows already, leverages begin again with the rows that are left.
    """
    n = min(n, len(rows))
    chosen: list[int] = []
    free = np.ones(len(rows), dtype=bool)
    while len(chosen) < n:
        found = _one_round(rows[free], n - len(chosen))
        places = np.flatnonzero(free)[found]
        chosen.extend(int(place) for place in places)
        free[places] = False
    return np.array(chosen, dtype=np.int64)


def _one_round(rows: Array, n: int) -> Indices:
    """CUR until `n` rows are chosen or nothing is left of the others, at least one."""
    left = np.array(rows, dtype=np.float64)
    size = np.einsum("ij,ij->i", left, left)
    moment = left.T @ left
    total, free = float(size.max(initial=0.0)), np.ones(len(left), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < n:
        last = moment.shape[0] - 1
        first = max(0, last - LEVERAGE_RANK + 1)
        values, vectors = eigh(moment, subset_by_index=[first, last])
        leverage = ((left @ vectors) ** 2 / np.maximum(values, np.finfo(float).tiny)).sum(axis=1)
        leverage[~free] = -1.0
        row = int(np.argmax(leverage))
        chosen.append(row)
        free[row] = False
        if size[row] <= NOTHING * total:
            break
        direction = left[row] / np.linalg.norm(left[row])
        along = left @ direction
        left -= along[:, None] * direction
        size = np.einsum("ij,ij->i", left, left)
        crossed = moment @ direction
        moment -= np.outer(crossed, direction) + np.outer(direction, crossed)
        moment += float(direction @ crossed) * np.outer(direction, direction)
        if size[free].max(initial=0.0) <= NOTHING * total:
            break
    return np.array(chosen, dtype=np.int64)
