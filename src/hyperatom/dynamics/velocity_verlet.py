"""Velocity Verlet: constant energy, volume-preserving, reversible (Swope et al. 1982).

p += dt/2 F(x);   x += dt p / m;   p += dt/2 F(x)
"""

from dataclasses import dataclass
from typing import Any

from hyperatom.dynamics.motion import Circumstances, Motion


@dataclass(frozen=True)
class VelocityVerlet:
    """Hamiltonian dynamics of the atoms in a fixed cell; no parameters, no variables."""

    changes_cell = False

    def begin(self, motion: Motion, circumstances: Circumstances) -> Motion:
        """Kick, then drift."""
        motion = self.complete(motion, circumstances)
        velocities = motion.momenta * circumstances.inverse_masses
        return motion._replace(positions=motion.positions + circumstances.time_step * velocities)

    def complete(self, motion: Motion, circumstances: Circumstances) -> Motion:
        """Kick."""
        half = 0.5 * circumstances.time_step
        return motion._replace(momenta=motion.momenta + half * motion.forces)

    def conserved_energy(self, motion: Motion, circumstances: Circumstances) -> Any:
        """U + K, eV."""
        return motion.energy + 0.5 * (motion.momenta**2 * circumstances.inverse_masses).sum()
