"""Nose-Hoover chains (Martyna, Klein and Tuckerman, J. Chem. Phys. 97, 2635 (1992)).

    dp = F - v_1 p,    Q_1 dv_1 = sum p^2/m - N_f k_BT - Q_1 v_1 v_2,
    Q_j dv_j = Q_(j-1) v_(j-1)^2 - k_BT - Q_j v_j v_(j+1)

Samples exp[-(U + K) / k_BT] for N_f degrees of freedom where the chain is ergodic, without a random
number: slow and fast modes of a stiff harmonic crystal may exchange energy poorly; Langevin
dynamics does not have this weakness. Conserved (and constant for exact motion):

    H' = U + K + sum_j Q_j v_j^2 / 2 + E,    dE/dt = N_f k_BT v_1 + k_BT sum_(j>1) v_j.

The chain acts in the middle of the drift, integrated by Suzuki's and Yoshida's fourth-order
product of three symmetric steps (Martyna et al., Mol. Phys. 87, 1117 (1996)). A step is of second
order, symmetric (flip p and v, and it runs backwards), and multiplies the volume of the phase space
(x, p, v) by exp(-dE / k_BT) exactly, if all N_f momenta are counted.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hyperatom.dynamics.motion import Circumstances, Motion
from hyperatom.dynamics.thermal_bath import Ramp, ThermalBath, kinetic_energy

_OUTER = 1.0 / (2.0 - 2.0 ** (1.0 / 3.0))
PORTIONS = (_OUTER, 1.0 - 2.0 * _OUTER, _OUTER)


class Chain(NamedTuple):
    """Parameters of `NoseHooverChain`.

    | field         | shape      | unit       | meaning                                         |
    |---------------|------------|------------|-------------------------------------------------|
    | `temperature` | -          | eV         | k_BT, a `Ramp` over the steps                   |
    | `masses`      | (n_links,) | amu Å^2    | Q_j                                             |
    | `freedom`     | scalar     | -          | N_f: 3N - 3, or 3N where the centre moves       |
    """

    temperature: Ramp
    masses: Any
    freedom: Any

    @classmethod
    def of(cls, temperature: Ramp, freedom: int, time: float, n_links: int = 3) -> "Chain":
        """Masses Q_1 = N_f k_BT time^2, Q_j = k_BT time^2; `time` in sqrt(amu Å^2 / eV)."""
        masses = np.full(n_links, temperature.start * time**2)
        masses[0] *= freedom
        return cls(temperature, masses, float(freedom))


@dataclass(frozen=True)
class NoseHooverChain(ThermalBath):
    """A chain of thermostats; the variables are (-E, v (n_links,)), zero at the start."""

    def bathe(self, motion: Motion, circumstances: Circumstances) -> Motion:
        """The chain for a whole time step."""
        bath: Chain = circumstances.parameters
        p = motion.momenta
        thermal_energy = bath.temperature.at(circumstances.step).astype(p.dtype)
        twice_kinetic = 2.0 * kinetic_energy(p, circumstances.inverse_masses)
        given, speeds = motion.variables
        v, factor = list(speeds), jnp.ones((), p.dtype)
        for portion in PORTIONS:
            step = portion * circumstances.time_step
            v, factor, gain = _move_chain(bath, thermal_energy, v, twice_kinetic, factor, step)
            given = given - gain
        return motion._replace(momenta=factor * p, variables=(given, jnp.stack(v)))

    def conserved_energy(self, motion: Motion, circumstances: Circumstances) -> Any:
        """H', eV."""
        speeds = motion.variables[1]
        chain = 0.5 * (circumstances.parameters.masses * speeds**2).sum()
        return super().conserved_energy(motion, circumstances) + chain


def _move_chain(
    bath: Chain, thermal_energy: Any, v: list[Any], twice_kinetic: Any, factor: Any, step: Any
) -> tuple[list[Any], Any, Any]:
    """v, the factor of the momenta and the gain of E after a symmetric step of the chain."""
    v, last = list(v), len(v) - 1

    def kick(j: int) -> None:
        """Half the force on link j, between two quarters of its friction."""
        drive = bath.masses[j - 1] * v[j - 1] ** 2 if j else twice_kinetic * factor**2
        force = drive - (thermal_energy if j else bath.freedom * thermal_energy)
        friction = jnp.exp(-0.25 * step * v[j + 1]) if j < last else 1.0
        v[j] = (v[j] * friction + 0.5 * step * force / bath.masses[j]) * friction

    for j in range(last, -1, -1):
        kick(j)
    factor = factor * jnp.exp(-step * v[0])
    gain: jax.Array = step * thermal_energy * (bath.freedom * v[0] + sum(v[1:]))
    for j in range(last + 1):
        kick(j)
    return v, factor, gain
