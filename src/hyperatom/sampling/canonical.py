"""The canonical ensemble: fixed atoms, cell and temperature."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.evaluation import Evaluation
from hyperatom.units import BOLTZMANN


@dataclass(frozen=True)
class Canonical:
    """The distribution exp[-U(x) / k_B T] dx of the reference's energy U, temperature in K.

    With the centre of mass held fixed, dx is the Lebesgue measure on the 3N - 3 relative
    coordinates and the momenta carry 3N - 3 degrees of freedom.
    """

    temperature: float
    fixed_centre_of_mass: bool = True

    @property
    def thermal_energy(self) -> float:
        """k_B T in eV."""
        return BOLTZMANN * self.temperature

    def log_density(self, configuration: Configuration, evaluation: Evaluation) -> float:  # noqa: ARG002
        """-U / k_B T, dimensionless."""
        return -evaluation.energy / self.thermal_energy

    def degrees_of_freedom(self, n_atoms: int) -> int:
        """Number of momenta that are drawn."""
        return 3 * n_atoms - 3 if self.fixed_centre_of_mass else 3 * n_atoms

    def draw_momenta(
        self, masses: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Maxwell momenta, shape (n_atoms, 3), sqrt(amu eV).

        Subtracting m_i P / M from independent draws gives the Maxwell distribution conditional on
        P = 0. No rescaling to the exact temperature follows: that would change the distribution.
        """
        momenta = rng.standard_normal((masses.size, 3)) * np.sqrt(
            masses[:, None] * self.thermal_energy
        )
        if self.fixed_centre_of_mass:
            momenta -= masses[:, None] * (momenta.sum(axis=0) / masses.sum())
        return momenta


def kinetic_energy(momenta: NDArray[np.float64], masses: NDArray[np.float64]) -> float:
    """sum p^2 / 2m in eV; `momenta` (n_atoms, 3) in sqrt(amu eV), `masses` (n_atoms,) in amu."""
    return float(0.5 * np.sum(momenta**2 / masses[:, None]))
