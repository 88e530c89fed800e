"""Evaluation: what a potential or a reference says of a configuration."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

VOIGT_MATRIX: Final = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])
"""`stress[VOIGT_MATRIX]` is the symmetric matrix (3, 3) of xx yy zz yz xz xy."""

VOIGT: Final = (np.array([0, 1, 2, 1, 0, 0]), np.array([0, 1, 2, 2, 2, 1]))
"""`matrix[VOIGT]` of a symmetric matrix (3, 3) is xx yy zz yz xz xy."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Energy, forces and stress of one configuration.

    | field          | shape        | unit   | meaning                                             |
    |----------------|--------------|--------|-----------------------------------------------------|
    | `energy`       | scalar       | eV     | potential energy (force-consistent where smeared)   |
    | `forces`       | (n_atoms, 3) | eV/Å   | minus the gradient of `energy`                      |
    | `stress`       | (6,) or None | eV/Å^3 | ASE's sign (tension positive), xx yy zz yz xz xy    |
    | `energy_error` | scalar       | eV     | standard deviation of `energy`, None where exact    |
    | `origin`       | text         | -      | who computed it                                     |
    | `seconds`      | scalar       | s      | wall time it took                                   |
    """

    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64] | None = None
    energy_error: float | None = None
    origin: str = ""
    seconds: float = 0.0
