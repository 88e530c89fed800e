"""How a cell may move: as a whole, axis by axis, or freely.

The motion of a cell is a symmetric matrix v with dh = h v (rows of h are lattice vectors): a
multiple of one, a diagonal, or any symmetric matrix. Symmetric, so that the cell does not rotate.
"""

from typing import Any, Final, Literal

import numpy as np

CellMoves = Literal["isotropic", "orthorhombic", "triclinic"]

FREEDOM: Final[dict[CellMoves, int]] = {"isotropic": 1, "orthorhombic": 3, "triclinic": 6}
"""Independent components of v."""

MEASURE: Final[dict[CellMoves, int]] = {"isotropic": 1, "orthorhombic": 1, "triclinic": 3}
"""Under h -> h exp(v) the volume element of cells grows by (V'/V) to this power.

The elements are dV, dL_1 dL_2 dL_3 (stretches of the three axes), and d^9 h.
"""


def projected(matrix: Any, moves: CellMoves) -> Any:
    """The part of a matrix (3, 3), NumPy's or JAX's, that moves the cell as `moves` says."""
    diagonal = np.eye(3, dtype=matrix.dtype) * matrix
    if moves == "isotropic":
        return np.eye(3, dtype=matrix.dtype) * diagonal.sum() / 3.0
    return diagonal if moves == "orthorhombic" else 0.5 * (matrix + matrix.T)
