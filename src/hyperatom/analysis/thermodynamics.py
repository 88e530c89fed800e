"""Thermodynamics from fluctuations: energy, enthalpy, density, expansion, compressibility."""

from dataclasses import dataclass

import numpy as np

from hyperatom.analysis.observation import Observation
from hyperatom.analysis.statistics import Estimate
from hyperatom.analysis.weighted import Samples, as_trajectory, function_of, functions_of, mean_of
from hyperatom.errors import InputError
from hyperatom.trajectory import Trajectory
from hyperatom.units import BOLTZMANN, DALTON, GIGAPASCAL


@dataclass(frozen=True)
class Thermodynamics:
    """Means and response functions at `temperature` (K), and at `pressure` (GPa) where it was held.

        H = U + pV,    alpha = cov(V, H)/(k_B T^2 <V>),    kappa_T = var(V)/(k_B T <V>)

    (Allen and Tildesley, section 2.5). Energies are potential ones: momenta are independent of
    positions and add 3/2 k_B T (N-1)/N an atom to U, and nothing to the covariances. Where the cell
    never changes, neither expansion nor compressibility is given.
    """

    temperature: float
    pressure: float | None = None

    def __post_init__(self) -> None:
        if not (self.temperature > 0.0 and np.isfinite(self.temperature)):
            raise InputError(f"A temperature of {self.temperature} K is impossible.")

    def compute(self, samples: Samples) -> Observation:
        """All that the trajectory holds. Raises `InputError` where it has no energies."""
        trajectory = as_trajectory(samples)
        n, thermal = trajectory.n_atoms, BOLTZMANN * self.temperature
        energy = trajectory.energies
        kinetic = 1.5 * thermal * (n - 1) / n
        numbers: dict[str, Estimate] = {
            "potential energy": mean_of(trajectory, energy / n, "eV/atom"),
            "internal energy": mean_of(trajectory, energy / n + kinetic, "eV/atom"),
        }
        notes = []
        if trajectory.periodic.all():
            volume = trajectory.volumes
            mass = float(trajectory.masses.sum())
            moves = bool(np.ptp(volume) > 1e-9 * volume.mean())
            if not moves:
                density = mass / float(volume[0]) * DALTON
                notes.append(f"The cell is fixed: {density:.6g} g/cm^3.")
            else:
                numbers |= _of_volume(trajectory, self.temperature, volume, mass)
                if self.pressure is not None:
                    work = self.pressure * GIGAPASCAL
                    enthalpy = energy + work * volume
                    numbers["enthalpy"] = mean_of(trajectory, enthalpy / n + kinetic, "eV/atom")
                    scale = thermal * self.temperature
                    centred = enthalpy - enthalpy.mean()
                    numbers["thermal expansion"] = function_of(
                        trajectory,
                        lambda m: (m[0] - m[1] * m[2]) / (scale * m[1]) * 1e6,
                        [volume * centred, volume, centred],
                        "1e-6/K",
                    )
                else:
                    notes.append("Enthalpy and thermal expansion need the pressure that was held.")
        return Observation(
            "thermodynamics", trajectory.kind, len(trajectory), numbers=numbers, notes=tuple(notes)
        )


def _of_volume(
    trajectory: Trajectory, temperature: float, volume: np.ndarray, mass: float
) -> dict[str, Estimate]:
    thermal = BOLTZMANN * temperature
    centred = volume - volume.mean()
    pair = [centred**2, centred]
    mean = volume.mean()

    def compressibility(m: np.ndarray) -> float:
        return float((m[0] - m[1] ** 2) / (thermal * (mean + m[1])) * GIGAPASCAL)

    return {
        "volume": mean_of(trajectory, volume / trajectory.n_atoms, "Å^3/atom"),
        "density": mean_of(trajectory, mass / volume * DALTON, "g/cm^3"),
        "compressibility": function_of(trajectory, compressibility, pair, "1/GPa"),
        "bulk modulus": function_of(trajectory, lambda m: 1.0 / compressibility(m), pair, "GPa"),
    }


@dataclass(frozen=True)
class ElasticConstants:
    """Isothermal elastic constants from the fluctuations of a free cell at `temperature` (K).

        eps = (h0^-1 h h^T h0^-T - 1)/2,    (C^-1)_ij = <V>/(k_B T) cov(eps_i, eps_j)

    in Voigt order xx yy zz yz xz xy with engineering shears; h0 is the mean cell (M. Parrinello and
    A. Rahman, J. Chem. Phys. 76, 2662 (1982)). Lattice vectors are rows. The cell must have been
    free to change its shape; slow to converge.
    """

    temperature: float

    def compute(self, samples: Samples) -> Observation:
        """C_ij in GPa, and the averages of Voigt and Reuss.

        Raises `InputError` where a strain never fluctuates.
        """
        trajectory = as_trajectory(samples)
        cells = np.concatenate([frames.cells for _, frames in trajectory.chunks()])
        volume = float(trajectory.volumes.mean())
        inverse = np.linalg.inv(cells.mean(axis=0))
        # Rows are lattice vectors a_i: eps_kl b_k b_l is half the change of a_i a_j.
        frame = np.linalg.inv(inverse)
        strain = inverse @ (cells @ cells.transpose(0, 2, 1) - frame @ frame.T) @ inverse.T / 2.0
        voigt = np.stack(
            [strain[:, i, j] * (1 if i == j else 2)
             for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))],
            axis=1,
        )  # fmt: skip
        if (np.ptp(voigt, axis=0) < 1e-12).any():
            raise InputError(
                f"The cell of {trajectory.origin} does not fluctuate in all six strains.",
                "Elastic constants need a run at constant pressure with a free cell.",
            )
        upper = np.triu_indices(6)
        products = voigt[:, upper[0]] * voigt[:, upper[1]]
        columns = [*voigt.T, *products.T]
        factor = BOLTZMANN * self.temperature / volume / GIGAPASCAL

        def stiffness(m: np.ndarray) -> np.ndarray:
            covariance = np.zeros((6, 6))
            covariance[upper] = m[6:]
            covariance = covariance + covariance.T - np.diag(np.diag(covariance))
            covariance -= np.outer(m[:6], m[:6])
            return np.asarray(factor * np.linalg.inv(covariance))

        def all_numbers(m: np.ndarray) -> list[float]:
            c = stiffness(m)
            voigt_bulk = c[:3, :3].sum() / 9.0
            return [*c[upper], voigt_bulk, 1.0 / np.linalg.inv(c)[:3, :3].sum()]

        names = [f"C{i + 1}{j + 1}" for i, j in zip(*upper, strict=True)]
        names += ["bulk modulus (Voigt)", "bulk modulus (Reuss)"]
        numbers = functions_of(trajectory, all_numbers, columns, dict.fromkeys(names, "GPa"))
        return Observation("elastic constants", trajectory.kind, len(trajectory), numbers=numbers)
