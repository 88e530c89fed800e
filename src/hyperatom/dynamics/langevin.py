"""Langevin dynamics, split as BAOAB (Leimkuhler and Matthews, J. Chem. Phys. 138, 174102 (2013)).

    dx = p/m dt,    dp = F dt - gamma p dt + sqrt(2 gamma m k_BT) dW

Samples exp[-(U + sum p^2/2m) / k_BT], all 3N momenta. Friction and noise act in the middle of the
drift and are solved exactly: p = c p + sqrt((1 - c^2) m k_BT) R, c = exp(-gamma dt). Weakly of
second order; positions in a harmonic potential are sampled without error at every stable time
step, those in another one with an error whose leading term vanishes at high friction. Every step
multiplies the volume of phase space by exp(-3N gamma dt). A free particle diffuses with
D = k_BT / (m gamma).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hyperatom.dynamics.motion import Circumstances, Motion
from hyperatom.dynamics.thermal_bath import Ramp, ThermalBath, kinetic_energy, random_key


class Friction(NamedTuple):
    """Parameters of `Langevin`.

    | field         | shape  | unit                   | meaning                                   |
    |---------------|--------|------------------------|-------------------------------------------|
    | `temperature` | -      | eV                     | k_BT, a `Ramp` over the steps             |
    | `rate`        | scalar | 1/sqrt(amu Å^2 / eV)   | gamma                                     |
    | `key`         | (2,)   | -                      | random key of the run, unsigned integers  |
    """

    temperature: Ramp
    rate: Any
    key: Any


@dataclass(frozen=True)
class Langevin(ThermalBath):
    """Friction and noise; the variables are (energy given,), 0 at the start.

    With a fixed centre, the noise is drawn conditional on no total force, so that the ensemble is
    that of the 3N - 3 relative momenta; the centre, if it moves, comes to rest.
    """

    fixed_centre: bool = True

    def bathe(self, motion: Motion, circumstances: Circumstances) -> Motion:
        """Exact Ornstein-Uhlenbeck step of the momenta."""
        bath: Friction = circumstances.parameters
        inverse_masses, p = circumstances.inverse_masses, motion.momenta
        thermal_energy = bath.temperature.at(circumstances.step).astype(p.dtype)
        exponent = bath.rate * circumstances.time_step
        key = random_key(bath.key, circumstances.step)
        noise = jax.random.normal(key, p.shape, p.dtype) / jnp.sqrt(inverse_masses)
        if self.fixed_centre:
            masses = 1.0 / inverse_masses
            noise = noise - masses * (noise.sum(axis=0) / masses.sum())
        strength = jnp.sqrt(-jnp.expm1(-2.0 * exponent) * thermal_energy)
        after = jnp.exp(-exponent) * p + strength * noise
        gain = kinetic_energy(after, inverse_masses) - kinetic_energy(p, inverse_masses)
        return motion._replace(momenta=after, variables=(motion.variables[0] + gain,))
