"""Ring polymers in a heat bath: Langevin's friction and noise on every mode of the ring.

    kick, half of the free ring, p_k = c_k p_k + sqrt((1 - c_k^2) mu_k k_BT) R, the other half, kick

with c_k = exp(-gamma_k dt) (path-integral Langevin equation, M. Ceriotti, M. Parrinello, T. E.
Markland and D. E. Manolopoulos, J. Chem. Phys. 133, 124104 (2010); the bath in the middle as in J.
Liu, D. Li and X. Liu, J. Chem. Phys. 145, 024103 (2016)). Modes of the free ring are damped
critically, gamma_k = 2 w_k, the centroid at a rate of its own. Samples, for exact motion,
exp[-(S + mean of U over the beads) / k_BT], and momenta of the modes with variance mu_k k_BT.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hyperatom.dynamics.motion import Circumstances, Motion
from hyperatom.dynamics.ring_polymer import (
    RingModes,
    kick,
    move_freely,
    of_beads,
    of_modes,
    ring_energy,
)
from hyperatom.dynamics.thermal_bath import random_key


class RingFriction(NamedTuple):
    """Parameters of `RingPolymerLangevin`.

    | field            | shape      | unit                 | meaning                           |
    |------------------|------------|----------------------|-----------------------------------|
    | `ring`           | -          | -                    | `RingModes`                       |
    | `thermal_energy` | scalar     | eV                   | k_BT, at the physical temperature |
    | `rates`          | (n_modes,) | 1/sqrt(amu Å^2 / eV) | gamma_k                           |
    | `key`            | (2,)       | -                    | random key of the run, unsigned   |
    """

    ring: RingModes
    thermal_energy: Any
    rates: Any
    key: Any


@dataclass(frozen=True)
class RingPolymerLangevin:
    """Friction and noise on the modes; the variables are (energy given,), 0 at the start.

    The noise of the centroids is drawn conditional on no total force, so that their centre rests.
    """

    changes_cell = False

    def begin(self, motion: Motion, circumstances: Circumstances) -> Motion:
        """Kick, half of the free ring, bath, the other half."""
        bath: RingFriction = circumstances.parameters
        motion = self.complete(motion, circumstances)
        half = 0.5 * circumstances.time_step
        positions, momenta = move_freely(bath.ring, motion.positions, motion.momenta, half)
        momenta, given = _bathe(bath, momenta, circumstances)
        positions, momenta = move_freely(bath.ring, positions, momenta, half)
        variables = (motion.variables[0] + given,)
        return motion._replace(positions=positions, momenta=momenta, variables=variables)

    def complete(self, motion: Motion, circumstances: Circumstances) -> Motion:
        """Kick by 1/P of the forces of the sum."""
        return kick(circumstances.parameters.ring, motion, circumstances.time_step)

    def conserved_energy(self, motion: Motion, circumstances: Circumstances) -> Any:
        """Energy of the ring less what the bath has given, eV."""
        return ring_energy(circumstances.parameters.ring, motion) - motion.variables[0]


def _bathe(
    bath: RingFriction, momenta: jax.Array, circumstances: Circumstances
) -> tuple[jax.Array, jax.Array]:
    """Momenta after an exact Ornstein-Uhlenbeck step, and the energy that it gave."""
    p = of_modes(bath.ring, momenta)
    masses = bath.ring.masses[:, :, None]
    exponent = bath.rates[:, None, None] * circumstances.time_step
    key = random_key(bath.key, circumstances.step)
    noise = jax.random.normal(key, p.shape, p.dtype) * jnp.sqrt(masses)
    share = masses[0] / masses[0].sum()
    noise = noise.at[0].add(-share * noise[0].sum(axis=0))
    strength = jnp.sqrt(-jnp.expm1(-2.0 * exponent) * bath.thermal_energy)
    after = jnp.exp(-exponent) * p + strength * noise
    given = 0.5 * ((after**2 - p**2) / masses).sum()
    return of_beads(bath.ring, after), given
