"""The canonical ensemble: fixed atoms, cell and temperature."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.contracts import Dynamics
from hyperatom.evaluation import Evaluation
from hyperatom.sampling.momenta import Momenta, draw_atoms, kinetic_energy
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
        """Maxwell momenta, shape (n_atoms, 3), sqrt(amu eV); see `draw_atoms`."""
        return draw_atoms(masses, self.thermal_energy, rng, self.fixed_centre_of_mass)

    # What a guided trajectory asks for; see `PathEnsemble`.

    def draw(self, configuration: Configuration, rng: np.random.Generator) -> Momenta:
        """Momenta of the atoms."""
        return Momenta(self.draw_momenta(configuration.masses, rng))

    def kinetic_energy(self, momenta: Momenta, configuration: Configuration) -> float:
        """sum p^2 / 2m, eV."""
        return kinetic_energy(momenta.atoms, configuration.masses)

    def dynamics(self, momenta: Momenta, configuration: Configuration) -> Dynamics | None:  # noqa: ARG002
        """Velocity Verlet."""
        return None

    def work(self, configuration: Configuration) -> float:  # noqa: ARG002
        """None is done on the surroundings, eV."""
        return 0.0

    def log_jacobian(self, before: Configuration, after: Configuration) -> float:  # noqa: ARG002
        """Velocity Verlet preserves volume."""
        return 0.0
