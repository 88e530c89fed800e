"""Atoms and cell at constant pressure (Martyna, Tobias and Klein, J. Chem. Phys. 101, 4177 (1994)).

    dr = p/m + r v,   dh = h v,   v = p_g / W           (rows of h are lattice vectors)
    dp = F - p v - (Tr v / N_f) p
    dp_g = sum p (x) p / m - Xi - Pi + (1/N_f) sum p^2/m

Xi is the potential's virial (volume x stress, tension positive), Pi = P V + V_0 F^T t F the work of
the surroundings, F = h_0^-1 h, t minus the external stress beyond the pressure (a thermodynamic
tension: Ray and Rahman, J. Chem. Phys. 80, 4423 (1984)); of dp_g only the part that may move.
Positions are relative to the centre of mass, which rests; N_f = 3 N - 3. Conserved:

    H' = sum p^2/2m + U + P V + V_0 Tr(t e) + Tr p_g^2 / 2W,     e = (F F^T - 1)/2.

The step is symmetric, each part solved exactly (Tuckerman et al., J. Phys. A 39, 5629 (2006)):

    cell kick dt/2, atom kick dt/2 | drift of atoms and cell dt | atom kick dt/2, cell kick dt/2

so it runs backwards when all momenta are flipped. Within a step v is constant. Atom kicks shrink
the volume of momenta by exp(-N Tr v dt) in all, the drift stretches that of relative positions by
exp((N-1) Tr v dt) and that of cells by exp(n Tr v dt), n = 1, 1, 3 for dV, dL_1 dL_2 dL_3, d^9 h:
dr dp dV dp_g and dr dp dL_1 dL_2 dL_3 dp_g are preserved, dr dp d^9h dp_g grows by (V'/V)^2.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hyperatom.dynamics.motion import Circumstances, Motion
from hyperatom.geometry.cell_moves import CellMoves, projected


class Surroundings(NamedTuple):
    """What the cell feels; the integrator's parameters.

    | field        | shape  | unit         | meaning                                            |
    |--------------|--------|--------------|----------------------------------------------------|
    | `mass`       | scalar | amu Å^2      | W: inertia of the cell                             |
    | `freedom`    | scalar | -            | N_f = 3 n_atoms - 3                                |
    | `pressure`   | scalar | eV/Å^3       | P                                                  |
    | `tension`    | (3, 3) | eV/Å^3       | t                                                  |
    | `home`       | (3, 3) | Å            | h_0                                                |
    """

    mass: Any
    freedom: Any
    pressure: Any
    tension: Any
    home: Any


@dataclass(frozen=True)
class MartynaTobiasKlein:
    """Constant enthalpy, before anything is drawn anew; the variables are p_g (3, 3)."""

    moves: CellMoves

    changes_cell = True

    def begin(self, motion: Motion, circumstances: Circumstances) -> Motion:
        """Cell kick, atom kick, drift."""
        motion = self._kick_cell(motion, circumstances)
        rates, axes = self._rates(motion, circumstances.parameters)
        motion = _kick_atoms(motion, circumstances, rates, axes)
        return _drift(motion, circumstances, rates, axes)

    def complete(self, motion: Motion, circumstances: Circumstances) -> Motion:
        """Atom kick, cell kick."""
        rates, axes = self._rates(motion, circumstances.parameters)
        motion = _kick_atoms(motion, circumstances, rates, axes)
        return self._kick_cell(motion, circumstances)

    def _rates(self, motion: Motion, around: Surroundings) -> tuple[jax.Array, jax.Array]:
        """Eigenvalues of v and its axes, in columns."""
        velocity = motion.variables / around.mass
        if self.moves == "triclinic":
            rates, axes = jnp.linalg.eigh(velocity)
            return rates, axes
        return jnp.diagonal(velocity), jnp.eye(3, dtype=velocity.dtype)

    def _kick_cell(self, motion: Motion, circumstances: Circumstances) -> Motion:
        around: Surroundings = circumstances.parameters
        momenta = motion.momenta
        kinetic = momenta.T @ (momenta * circumstances.inverse_masses)
        volume = jnp.abs(jnp.linalg.det(motion.cell))
        deformation = jnp.linalg.solve(around.home, motion.cell)
        home_volume = jnp.abs(jnp.linalg.det(around.home))
        work = home_volume * deformation.T @ around.tension @ deformation
        isotropic = jnp.trace(kinetic) / around.freedom - around.pressure * volume
        one = jnp.eye(3, dtype=momenta.dtype)
        force = projected(kinetic - motion.virial - work + isotropic * one, self.moves)
        return motion._replace(variables=motion.variables + 0.5 * circumstances.time_step * force)


def _kick_atoms(
    motion: Motion, circumstances: Circumstances, rates: jax.Array, axes: jax.Array
) -> Motion:
    # dp = F - p (v + Tr v / N_f) for half a step, in the axes of v.
    half = 0.5 * circumstances.time_step
    slowing = rates + jnp.sum(rates) / circumstances.parameters.freedom
    decay = jnp.exp(-0.5 * half * slowing)
    kick = half * decay * _sinhc(0.5 * half * slowing)
    momenta = (motion.momenta @ axes) * decay**2 + (motion.forces @ axes) * kick
    return motion._replace(momenta=momenta @ axes.T)


def _drift(
    motion: Motion, circumstances: Circumstances, rates: jax.Array, axes: jax.Array
) -> Motion:
    time_step = circumstances.time_step
    masses = 1.0 / circumstances.inverse_masses
    centre = jnp.sum(masses * motion.positions, axis=0) / jnp.sum(masses)
    growth = jnp.exp(0.5 * time_step * rates)
    velocities = (motion.momenta * circumstances.inverse_masses) @ axes
    relative = ((motion.positions - centre) @ axes) * growth**2
    relative = relative + time_step * velocities * growth * _sinhc(0.5 * time_step * rates)
    cell = ((motion.cell @ axes) * growth**2) @ axes.T
    return motion._replace(positions=centre + relative @ axes.T, cell=cell)


def _sinhc(x: jax.Array) -> jax.Array:
    """sinh(x) / x."""
    series = 1.0 + x**2 / 6.0 * (1.0 + x**2 / 20.0 * (1.0 + x**2 / 42.0))
    safe = jnp.where(jnp.abs(x) < 0.1, 1.0, x)
    return jnp.where(jnp.abs(x) < 0.1, series, jnp.sinh(safe) / safe)
