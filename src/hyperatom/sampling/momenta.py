"""Momenta of atoms and, at constant pressure, of the cell."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Momenta:
    """What a guided trajectory draws.

    | field   | shape           | unit             | meaning                              |
    |---------|-----------------|------------------|--------------------------------------|
    | `atoms` | (n_atoms, 3)    | sqrt(amu eV)     |                                      |
    | `cell`  | (3, 3) or None  | Å sqrt(amu eV)   | p_g, symmetric; None in a fixed cell |
    """

    atoms: Array
    cell: Array | None = None

    def flipped(self) -> "Momenta":
        """All of them the other way."""
        return Momenta(-self.atoms, None if self.cell is None else -self.cell)

    @property
    def finite(self) -> bool:
        """False where a path left the numbers."""
        cell = self.cell is None or bool(np.isfinite(self.cell).all())
        return cell and bool(np.isfinite(self.atoms).all())


def draw_atoms(
    masses: Array, thermal_energy: float, rng: np.random.Generator, fixed_centre_of_mass: bool
) -> Array:
    """Maxwell momenta (n_atoms, 3), sqrt(amu eV), of `masses` (n_atoms,) in amu.

    Subtracting m_i P / M from independent draws gives the Maxwell distribution conditional on
    P = 0. No rescaling to the exact temperature follows: that would change the distribution.
    """
    momenta = rng.standard_normal((masses.size, 3)) * np.sqrt(masses[:, None] * thermal_energy)
    if fixed_centre_of_mass:
        momenta -= masses[:, None] * (momenta.sum(axis=0) / masses.sum())
    return np.asarray(momenta)


def kinetic_energy(momenta: Array, masses: Array) -> float:
    """sum p^2 / 2m in eV; `momenta` (n_atoms, 3) in sqrt(amu eV), `masses` (n_atoms,) in amu."""
    return float(0.5 * np.sum(momenta**2 / masses[:, None]))
