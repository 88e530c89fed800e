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
        n_beads = circumstances.parameters.modes.shape[0]
        half = 0.5 * circumstances.time_step / n_beads
        return motion._replace(momenta=motion.momenta + half * motion.forces)


def move_freely(
    ring: RingModes, positions: jax.Array, momenta: jax.Array, time: Any
) -> tuple[jax.Array, jax.Array]:
    """Positions and momenta (n_beads n_atoms, 3) after the free ring moved for `time`."""
    n_beads = ring.modes.shape[0]
    q = jnp.tensordot(ring.modes, positions.reshape(n_beads, -1, 3), axes=1)
    p = jnp.tensordot(ring.modes, momenta.reshape(n_beads, -1, 3), axes=1)
    masses, frequencies = ring.masses[:, :, None], ring.frequencies[:, :, None]
    angle = frequencies * time
    cosine = jnp.cos(angle)
    # sin(w t) / w, which is t for the centroid.
    sine = time * jnp.sinc(angle / np.pi)
    q, p = (
        cosine * q + (sine / masses) * p,
        cosine * p - (masses * frequencies**2 * sine) * q,
    )
    back = ring.modes.T
    return (
        jnp.tensordot(back, q, axes=1).reshape(positions.shape),
        jnp.tensordot(back, p, axes=1).reshape(momenta.shape),
    )
