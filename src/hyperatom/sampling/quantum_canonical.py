"""The canonical ensemble of quantum nuclei, through ring polymers of a finite number of beads.

The distribution is that of `hyperatom.ring_polymer`: exp{-beta [S + (1/P) sum_j U(r_j)]} dr, of the
reference's energy U. For P -> infinity the beads have the quantum Boltzmann distribution, with an
error that falls as 1/P^2; for P = 1 it is the classical one.

Momenta are auxiliary, so their masses are free. In the normal modes of the ring

    H = sum_k sum_i [p_ik^2 / 2 mu_ik + 1/2 m_i omega_P^2 lambda_k q_ik^2] + (1/P) sum_j U(r_j),
    mu_ik = (m_i / P) [1 + P lambda_k omega_P^2 / Omega^2],      lambda_k = 4 sin^2(pi k / P)

With these masses an atom held by a potential m Omega^2 r^2 / 2 moves in *every* mode with the
frequency Omega, the centroid with its physical mass among them, and no mode of any atom moves
faster on account of its springs: the time step does not shrink as beads are added.

This is all that a `GuidedTrajectory` needs to propose ring polymers (self-learning path-integral
hybrid Monte Carlo). Why that is exact: a step of `dynamics/ring_polymer.py` preserves volume and,
flipped, runs backwards for any guide whatsoever, so that, as for classical atoms, Metropolis
accepts with

    exp{-beta [S(x') - S(x) + (1/P) sum_j (U(r_j') - U(r_j)) + sum_k (K_k' - K_k)]}

The density contributes springs and reference, the path's log ratio -sum_k (K_k' - K_k) / k_B T with
the kinetic energy of the *modes* at both ends of every segment. A perfect guide and a short step
conserve S + U/P + K; a wrong guide costs acceptance alone. With one bead this is the classical
guided trajectory, number by number.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.contracts import Dynamics
from hyperatom.dynamics.ring_polymer import RingModes, RingPolymerDynamics
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.ring_polymer import RingPolymer, normal_modes, ring_frequency
from hyperatom.sampling.momenta import Momenta
from hyperatom.units import BOLTZMANN, FEMTOSECOND

Array = NDArray[np.float64]


@dataclass(frozen=True)
class QuantumCanonical:
    """exp{-[S(r) + E(r) / P] / k_B T} dr, E the sum of the reference's energies of the P beads.

    `temperature` in K. `mode_period` is 2 pi / Omega in fs; it decides how well the ring is
    sampled, never what. With the centre of mass of the *centroid* held fixed, dr is the measure on
    the other 3NP - 3 coordinates; the ring of the centre of mass is free about it, so that averages
    of relative coordinates and of the springs do not depend on it.

    Raises `InputError` where nothing is left to move, or the numbers are impossible.
    """

    temperature: float
    fixed_centre_of_mass: bool = True
    mode_period: float = 10.0

    def __post_init__(self) -> None:
        for name, value, unit in (
            ("temperature", self.temperature, "K"),
            ("period of the modes", self.mode_period, "fs"),
        ):
            if not (np.isfinite(value) and value > 0.0):
                raise InputError(
                    f"A ring polymer was given a {name} of {value} {unit}.",
                    f"Choose a positive {name}.",
                )

    @property
    def thermal_energy(self) -> float:
        """k_B T in eV."""
        return BOLTZMANN * self.temperature

    def log_density(self, configuration: Configuration, evaluation: Evaluation) -> float:
        """-(S + E / P) / k_B T, dimensionless; the classical one for a plain configuration."""
        ring = as_ring(configuration)
        springs = ring.spring_energy(self.temperature)
        return -(springs + evaluation.energy / ring.n_beads) / self.thermal_energy

    def degrees_of_freedom(self, ring: RingPolymer) -> int:
        """Number of momenta that are drawn.

        Raises `InputError` for a single atom whose centre of mass is held fixed.
        """
        if self.fixed_centre_of_mass and ring.atoms_per_bead == 1:
            raise InputError(
                "The centre of mass of a single atom was to be held fixed: its centroid could not "
                "move at all.",
                "Let the centre of mass move, or give more atoms.",
            )
        return 3 * ring.n_atoms - (3 if self.fixed_centre_of_mass else 0)

    def mode_masses(self, ring: RingPolymer) -> Array:
        """mu, (n_modes, n_atoms), amu."""
        n_beads = ring.n_beads
        _, eigenvalues = normal_modes(n_beads)
        stiffness = n_beads * eigenvalues * ring_frequency(n_beads, self.temperature) ** 2
        pace = 2.0 * np.pi / (self.mode_period * FEMTOSECOND)
        return np.asarray((1.0 + stiffness[:, None] / pace**2) * ring.bead_masses / n_beads)

    def mode_frequencies(self, ring: RingPolymer, masses: Array) -> Array:
        """Of the free ring with such masses of the modes, in internal units; 0 first.

        Both of shape (n_modes, n_atoms), amu.
        """
        _, eigenvalues = normal_modes(ring.n_beads)
        stiffness = eigenvalues * ring_frequency(ring.n_beads, self.temperature) ** 2
        return np.asarray(np.sqrt(stiffness[:, None] * ring.bead_masses / masses))

    # What a guided trajectory asks for; see `PathEnsemble`.

    def draw(self, configuration: Configuration, rng: np.random.Generator) -> Momenta:
        """Maxwell momenta of the modes, as momenta of the beads, (n_beads n_atoms, 3).

        Drawn from N(0, mu k_B T) in each mode. Where the centre of mass of the centroid is fixed,
        its momentum is taken out as in the classical ensemble: a distribution conditional on it.
        """
        ring = as_ring(configuration)
        self.degrees_of_freedom(ring)
        masses = self.mode_masses(ring)
        shape = (*masses.shape, 3)
        momenta = rng.standard_normal(shape) * np.sqrt(masses[:, :, None] * self.thermal_energy)
        if self.fixed_centre_of_mass:
            share = masses[0] / masses[0].sum()
            momenta[0] -= share[:, None] * momenta[0].sum(axis=0)
        modes, _ = normal_modes(ring.n_beads)
        return Momenta(np.tensordot(modes.T, momenta, axes=1).reshape(-1, 3))

    def kinetic_energy(self, momenta: Momenta, configuration: Configuration) -> float:
        """sum p_ik^2 / 2 mu_ik, eV."""
        ring = as_ring(configuration)
        modes, _ = normal_modes(ring.n_beads)
        of_modes = np.tensordot(modes, momenta.atoms.reshape(ring.n_beads, -1, 3), axes=1)
        return float(0.5 * np.sum(of_modes**2 / self.mode_masses(ring)[:, :, None]))

    def dynamics(self, momenta: Momenta, configuration: Configuration) -> Dynamics:  # noqa: ARG002
        """The guide's forces and the free ring."""
        ring = as_ring(configuration)
        modes, _ = normal_modes(ring.n_beads)
        masses = self.mode_masses(ring)
        parameters = RingModes(modes, masses, self.mode_frequencies(ring, masses))
        return Dynamics(RingPolymerDynamics(), parameters)

    def work(self, configuration: Configuration) -> float:
        """Energy of the springs, eV: with K and the guide's mean over the beads it is conserved."""
        return as_ring(configuration).spring_energy(self.temperature)

    def log_jacobian(self, before: Configuration, after: Configuration) -> float:  # noqa: ARG002
        """Kicks are shears, the free ring rotates: volume is preserved."""
        return 0.0


def as_ring(configuration: Configuration) -> RingPolymer:
    """The ring polymer that it is, or one of a single bead."""
    if isinstance(configuration, RingPolymer):
        return configuration
    return RingPolymer.collapsed(configuration, 1)
