"""Exact arithmetic with lattices of whole numbers: triangular forms and short bases."""

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def triangulate(matrix: Integers) -> tuple[Integers, Integers]:
    """Unimodular U and upper triangular H with `matrix` = U [H; 0] (Hermite normal form).

    `matrix` (n, m) of rank m. Returns U (n, n), determinant +-1, and H (m, m), positive diagonal.
    Exact: whole numbers of any size inside.
    """
    work = [[int(x) for x in row] for row in matrix]
    n, m = matrix.shape
    inverse = [[int(i == j) for j in range(n)] for i in range(n)]  # columns of U, as rows

    def add(source: int, target: int, factor: int) -> None:
        """Row target += factor x row source; the columns of U change the other way round."""
        work[target] = [a + factor * b for a, b in zip(work[target], work[source], strict=True)]
        inverse[source] = [
            a - factor * b for a, b in zip(inverse[source], inverse[target], strict=True)
        ]

    for column in range(m):
        while True:
            rows = [r for r in range(column, n) if work[r][column]]
            if not rows:
                raise ValueError("columns are linearly dependent")
            pivot = min(rows, key=lambda r: abs(work[r][column]))
            work[column], work[pivot] = work[pivot], work[column]
            inverse[column], inverse[pivot] = inverse[pivot], inverse[column]
            rest = [r for r in range(column + 1, n) if work[r][column]]
            if not rest:
                break
            for r in rest:
                add(column, r, -(work[r][column] // work[column][column]))
        if work[column][column] < 0:
            work[column] = [-x for x in work[column]]
            inverse[column] = [-x for x in inverse[column]]
        for r in range(column):
            add(column, r, -(work[r][column] // work[column][column]))
    return np.array(inverse, dtype=np.int64).T, np.array(work[:m], dtype=np.int64)


def shorten(basis: NDArray[np.float64]) -> Integers:
    """Whole-number combinations that make the columns of `basis` short, almost perpendicular.

    Repeated pairwise reduction: (d, n) columns -> (n, n) unimodular T with `basis` T short.
    """
    n = basis.shape[1]
    combination = np.eye(n, dtype=np.int64)
    while True:
        changed = False
        for i in range(n):
            for j in range(n):
                if i != j:
                    vectors = basis @ combination
                    a, b = vectors[:, i], vectors[:, j]
                    factor = int(np.rint(a @ b / (b @ b)))
                    shorter = np.linalg.norm(a - factor * b)
                    if factor and shorter < np.linalg.norm(a) * (1.0 - 1e-12):
                        combination[:, i] -= factor * combination[:, j]
                        changed = True
        if not changed:
            return combination
