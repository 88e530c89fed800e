"""Ring polymers: kicks from the potential, exact motion of the free ring in between.

    p += dt/2 F / P,    (q, p) -> exact flow of sum_k [p_k^2 / 2 mu_k + 1/2 mu_k w_k^2 q_k^2],
    p += dt/2 F / P

in the normal modes of the ring: each mode rotates in its phase space, the centroid moves freely.
Kicks are shears, the flow a rotation: with any position-only forces whatsoever every step preserves
the volume of phase space and, momenta flipped, runs backwards. No time step is too long for the
springs (Ceriotti, Parrinello, Markland and Manolopoulos, J. Chem. Phys. 133, 124104 (2010)). With
one bead this is velocity Verlet.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hyperatom.dynamics.motion import Circumstances, Motion


class RingModes(NamedTuple):
    """The free ring, as data.

    | field         | shape               | unit                  | meaning                       |
    |---------------|---------------------|-----------------------|-------------------------------|
    | `modes`       | (n_modes, n_beads)  | -                     | orthonormal, centroid first   |
    | `masses`      | (n_modes, n_atoms)  | amu                   | mu, by which momenta move     |
    | `frequencies` | (n_modes, n_atoms)  | 1/sqrt(amu Å^2 / eV)  | w; 0 where a mode moves freely |
    """

    modes: Any
    masses: Any
    frequencies: Any


@dataclass(frozen=True)
class RingPolymerDynamics:
    """A ring polymer under the forces of the sum over its beads; `RingModes` are its parameters."""

    changes_cell = False

    def begin(self, motion: Motion, circumstances: Circumstances) -> Motion:
        """Kick, then the free ring."""
        motion = self.complete(motion, circumstances)
        positions, momenta = move_freely(
            circumstances.parameters, motion.positions, motion.momenta, circumstances.time_step
        )
        return motion._replace(positions=positions, momenta=momenta)

    def complete(self, motion: Motion, circumstances: Circumstances) -> Motion:
        """Kick by 1/P of the forces of the sum."""
        return kick(circumstances.parameters, motion, circumstances.time_step)

    def conserved_energy(self, motion: Motion, circumstances: Circumstances) -> Any:
        """Energy of the ring, eV."""
        return ring_energy(circumstances.parameters, motion)


def kick(ring: RingModes, motion: Motion, time_step: Any) -> Motion:
    """Momenta after half a time step under 1/P of the forces of the sum over the beads."""
    half = 0.5 * time_step / ring.modes.shape[0]
    return motion._replace(momenta=motion.momenta + half * motion.forces)


def ring_energy(ring: RingModes, motion: Motion) -> Any:
    """sum_k [p_k^2 / 2 mu_k + 1/2 mu_k w_k^2 q_k^2] + U/P, eV."""
    q, p = of_modes(ring, motion.positions), of_modes(ring, motion.momenta)
    masses, frequencies = ring.masses[:, :, None], ring.frequencies[:, :, None]
    free = 0.5 * (p**2 / masses + masses * (frequencies * q) ** 2).sum()
    return free + motion.energy / ring.modes.shape[0]


def of_modes(ring: RingModes, beads: Any) -> jax.Array:
    """Coordinates of the modes, (n_modes, n_atoms, 3), from those of beads, stacked."""
    return jnp.tensordot(ring.modes, beads.reshape(ring.modes.shape[0], -1, 3), axes=1)


def of_beads(ring: RingModes, modes: jax.Array) -> jax.Array:
    """The way back, (n_beads n_atoms, 3)."""
    return jnp.tensordot(ring.modes.T, modes, axes=1).reshape(-1, 3)


def move_freely(
    ring: RingModes, positions: jax.Array, momenta: jax.Array, time: Any
) -> tuple[jax.Array, jax.Array]:
    """Positions and momenta (n_beads n_atoms, 3) after the free ring moved for `time`."""
    q, p = of_modes(ring, positions), of_modes(ring, momenta)
    masses, frequencies = ring.masses[:, :, None], ring.frequencies[:, :, None]
    angle = frequencies * time
    cosine = jnp.cos(angle)
    # sin(w t) / w, which is t for the centroid.
    sine = time * jnp.sinc(angle / np.pi)
    q, p = (
        cosine * q + (sine / masses) * p,
        cosine * p - (masses * frequencies**2 * sine) * q,
    )
    return of_beads(ring, q), of_beads(ring, p)
