"""Stochastic velocity rescaling (Bussi, Donadio and Parrinello, J. Chem. Phys. 126, 014101 (2007)).

    dK = (K_0 - K) dt/tau + 2 sqrt(K K_0 / N_f) dW / sqrt(tau),    K_0 = N_f k_BT / 2

for the kinetic energy K of N_f degrees of freedom; all momenta are multiplied by the same number.
Samples exp[-(U + K) / k_BT] and disturbs the motion little: diffusion and spectra change as
1/N_f. The kinetic energy after a step is drawn exactly, whatever the time step (their appendix):

    alpha^2 = c + (1 - c) K_0 / (N_f K) (R_1^2 + S) + 2 R_1 sqrt(c (1 - c) K_0 / (N_f K)),

c = exp(-dt/tau), R_1 a normal number and S a sum of N_f - 1 squares of such, which is twice a
gamma-distributed number of shape (N_f - 1)/2; alpha has the sign of R_1 + sqrt(c N_f K/(1-c)/K_0).
Weakly of second order. A centre of mass at rest stays at rest: then N_f = 3N - 3.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hyperatom.dynamics.motion import Circumstances, Motion
from hyperatom.dynamics.thermal_bath import Ramp, ThermalBath, kinetic_energy, random_key


class Rescaling(NamedTuple):
    """Parameters of `VelocityRescaling`.

    | field         | shape  | unit                 | meaning                                     |
    |---------------|--------|----------------------|---------------------------------------------|
    | `temperature` | -      | eV                   | k_BT, a `Ramp` over the steps               |
    | `time`        | scalar | sqrt(amu Å^2 / eV)   | tau: how slowly the kinetic energy relaxes  |
    | `freedom`     | scalar | -                    | N_f: 3N - 3, or 3N where the centre moves   |
    | `key`         | (2,)   | -                    | random key of the run, unsigned integers    |
    """

    temperature: Ramp
    time: Any
    freedom: Any
    key: Any


@dataclass(frozen=True)
class VelocityRescaling(ThermalBath):
    """One random factor for all momenta; the variables are (energy given,), 0 at the start."""

    def bathe(self, motion: Motion, circumstances: Circumstances) -> Motion:
        """Exact step of the kinetic energy."""
        bath: Rescaling = circumstances.parameters
        p = motion.momenta
        thermal_energy = bath.temperature.at(circumstances.step).astype(p.dtype)
        kinetic = kinetic_energy(p, circumstances.inverse_masses)
        factor = draw_factor(
            kinetic,
            thermal_energy,
            bath.freedom,
            circumstances.time_step / bath.time,
            random_key(bath.key, circumstances.step),
        )
        gain = (factor**2 - 1.0) * kinetic
        return motion._replace(momenta=factor * p, variables=(motion.variables[0] + gain,))


def draw_factor(
    kinetic: jax.Array, thermal_energy: Any, freedom: Any, elapsed: Any, key: Any
) -> jax.Array:
    """alpha, for a kinetic energy and k_BT in eV, N_f, and dt/tau; all scalars."""
    first, rest = jax.random.split(key)
    normal = jax.random.normal(first, (), kinetic.dtype)
    shape = jnp.maximum(0.5 * (freedom - 1.0), 0.5)
    squares = jnp.where(freedom > 1.0, 2.0 * jax.random.gamma(rest, shape, (), kinetic.dtype), 0.0)
    kept = jnp.exp(-elapsed)
    # K_0 / (N_f K) = k_BT / 2K; atoms at rest have no direction to be rescaled along.
    share = -jnp.expm1(-elapsed) * 0.5 * thermal_energy / kinetic
    square = kept + share * (normal**2 + squares) + 2.0 * normal * jnp.sqrt(kept * share)
    sign = jnp.where(normal + jnp.sqrt(kept / share) < 0.0, -1.0, 1.0)
    factor: jax.Array = sign * jnp.sqrt(jnp.maximum(square, 0.0))
    return jnp.where(kinetic > 0.0, factor, 1.0)
