"""A heat bath in the middle of the drift: kick, half a drift, bath, half a drift, kick.

    p += dt/2 F(x);   x += dt/2 p/m;   p = bath(p, dt);   x += dt/2 p/m;   p += dt/2 F(x)

The "middle" scheme (Zhang et al., J. Chem. Phys. 147, 034109 (2017)) makes of any exact bath an
integrator that samples positions to second order in the time step, and those of a harmonic
potential without error if the bath is Langevin's. Momenta are seen after the last kick, where their
variance is m k_BT (1 - (omega dt / 2)^2): thermometers read a little low at long steps, positions
do not.

The first variable of each such integrator is the energy that the bath has given, eV. What is left,

    H - (energy given),

is constant for exact motion; its drift measures the error of the motion alone (Bussi, Donadio and
Parrinello, J. Chem. Phys. 126, 014101 (2007)).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hyperatom.dynamics.motion import Circumstances, Motion


class Ramp(NamedTuple):
    """A thermal energy k_BT = start + change x step, in eV: constant, heating or cooling."""

    start: Any
    change: Any

    def at(self, step: Any) -> Any:
        """k_BT in the step of that number, eV."""
        return self.start + self.change * step


class ThermalBath:
    """An integrator whose bath moves momenta and `variables` alone."""

    changes_cell = False

    def begin(self, motion: Motion, circumstances: Circumstances) -> Motion:
        """Kick, half a drift, bath, half a drift."""
        motion = half_drift(self.complete(motion, circumstances), circumstances)
        return half_drift(self.bathe(motion, circumstances), circumstances)

    def complete(self, motion: Motion, circumstances: Circumstances) -> Motion:
        """Kick."""
        half = 0.5 * circumstances.time_step
        return motion._replace(momenta=motion.momenta + half * motion.forces)

    def bathe(self, motion: Motion, circumstances: Circumstances) -> Motion:
        """New momenta and variables after a whole time step in the bath."""
        raise NotImplementedError

    def conserved_energy(self, motion: Motion, circumstances: Circumstances) -> Any:
        """What exact motion would keep constant, eV."""
        kinetic = kinetic_energy(motion.momenta, circumstances.inverse_masses)
        return motion.energy + kinetic - motion.variables[0]


def half_drift(motion: Motion, circumstances: Circumstances) -> Motion:
    """Positions after half a time step at these momenta."""
    velocities = motion.momenta * circumstances.inverse_masses
    half = 0.5 * circumstances.time_step
    return motion._replace(positions=motion.positions + half * velocities)


def kinetic_energy(momenta: Any, inverse_masses: Any) -> Any:
    """sum p^2 / 2m, eV; shapes as in `Motion` and `Circumstances`."""
    return 0.5 * (momenta**2 * inverse_masses).sum()


def random_key(key: Any, step: Any) -> jax.Array:
    """The random key of a step: a pure function of the run's key (2,) and the step's number."""
    words = jnp.stack([step >> 32, step & 0xFFFFFFFF]).astype(jnp.uint32)
    return jax.random.fold_in(jax.random.fold_in(key, words[0]), words[1])
