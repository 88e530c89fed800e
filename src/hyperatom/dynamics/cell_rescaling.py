"""Stochastic cell rescaling: constant pressure of first order in time, without inertia of the cell.

Isotropic: Bernetti and Bussi, J. Chem. Phys. 153, 114107 (2020). Cells of changing shape: Del
Tatto, Raiteri, Bernetti and Bussi, Appl. Sci. 12, 1139 (2022). Cell, positions and momenta move as

    h = h exp(S),    x = x exp(S),    p = p exp(-S),
    S = beta/(3 tau) (P_int - P) dt + sqrt(2 k_BT beta dt / (3 tau V)) R,
    P_int = (sum p (x) p / m - virial) / V

(rows are vectors), of which `moves` keeps a part: the trace, the diagonal, or all of the symmetric
matrix R, so that the cell does not rotate. That is a Brownian motion on the group of deformations,
whose friction beta/tau (a compressibility over a relaxation time) decides how fast, never what is
sampled: exp[-(U + K + P V) / k_BT] dx dp with the measure

    dV (isotropic),    dL_1 dL_2 dL_3 (orthorhombic),    V^-2 d^9h (triclinic),

the first being the marginal of the last. With the centre of mass at rest the momenta and relative
positions leave V^(N-1) exp(-P V / k_BT) for an ideal gas, so that P <V> = N k_BT and
P^2 var(V) = N (k_BT)^2. Ito's drift of a noise that depends on V cancels that of the measure: why
no other term appears above.

A step is kick, cell, half a drift, heat bath, half a drift, kick; forces and virial belong to the
positions of the first two, so nothing is stale. The cell's own step is of first order in dt/tau.
What is constant for exact motion:

    U + K + P V - (energy given by bath and cell),

where the work of a cell's step is K's and P V's change and the virial, averaged over both ends of
the step, times S: its drift measures the error of the motion alone.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hyperatom.dynamics.motion import Circumstances, Motion
from hyperatom.dynamics.thermal_bath import ThermalBath, half_drift, kinetic_energy, random_key
from hyperatom.dynamics.velocity_rescaling import VelocityRescaling
from hyperatom.geometry.cell_moves import CellMoves, projected

CELL_STREAM = 1
"""Sets the random numbers of the cell apart from those of the bath."""


class Barostat(NamedTuple):
    """Parameters of `CellRescaling`.

    | field      | shape  | unit                                  | meaning                        |
    |------------|--------|---------------------------------------|--------------------------------|
    | `bath`     | -      | -                                     | parameters of the heat bath    |
    | `pressure` | scalar | eV/Å^3                                | P                              |
    | `rate`     | scalar | Å^3/eV / sqrt(amu Å^2 / eV)           | beta/tau                       |
    """

    bath: Any
    pressure: Any
    rate: Any


class CellVariables(NamedTuple):
    """Variables of `CellRescaling`; start with `CellVariables.of(variables of the bath)`.

    | field    | shape  | unit | meaning                                                      |
    |----------|--------|------|--------------------------------------------------------------|
    | `given`  | scalar | eV   | energy that the cell's steps have given                      |
    | `bath`   | -      | -    | variables of the heat bath                                   |
    | `virial` | (3, 3) | eV   | before the cell's latest step                                |
    | `strain` | (3, 3) | -    | S of the cell's latest step, while its work is not yet known |
    """

    given: Any
    bath: Any
    virial: Any
    strain: Any

    @classmethod
    def of(cls, bath: Any) -> "CellVariables":
        """At the start of a run."""
        nothing = [[0.0] * 3] * 3
        return cls(0.0, bath, jnp.array(nothing), jnp.array(nothing))


@dataclass(frozen=True)
class CellRescaling:
    """A cell that breathes (isotropic), stretches along x, y, z, or also shears (triclinic)."""

    moves: CellMoves = "isotropic"
    bath: ThermalBath = VelocityRescaling()  # noqa: RUF009 (has no fields)

    changes_cell = True

    def begin(self, motion: Motion, circumstances: Circumstances) -> Motion:
        """Kick, cell, half a drift, bath, half a drift."""
        motion = self._rescale(self._kick(motion, circumstances), circumstances)
        motion = half_drift(motion, circumstances)
        inner = circumstances._replace(parameters=circumstances.parameters.bath)
        variables: CellVariables = motion.variables
        bathed = self.bath.bathe(motion._replace(variables=variables.bath), inner)
        motion = bathed._replace(variables=variables._replace(bath=bathed.variables))
        return half_drift(motion, circumstances)

    def complete(self, motion: Motion, circumstances: Circumstances) -> Motion:
        """Kick; the virial at the end of the step completes the work of the cell."""
        variables: CellVariables = motion.variables
        work = 0.5 * jnp.sum((variables.virial + motion.virial) * variables.strain)
        settled = variables._replace(
            given=variables.given + work, strain=jnp.zeros_like(variables.strain)
        )
        return self._kick(motion._replace(variables=settled), circumstances)

    def conserved_energy(self, motion: Motion, circumstances: Circumstances) -> Any:
        """What exact motion would keep constant, eV."""
        inner = circumstances._replace(parameters=circumstances.parameters.bath)
        variables: CellVariables = motion.variables
        atoms = self.bath.conserved_energy(motion._replace(variables=variables.bath), inner)
        volume = abs(jnp.linalg.det(motion.cell))
        return atoms + circumstances.parameters.pressure * volume - variables.given

    def _kick(self, motion: Motion, circumstances: Circumstances) -> Motion:
        half = 0.5 * circumstances.time_step
        return motion._replace(momenta=motion.momenta + half * motion.forces)

    def _rescale(self, motion: Motion, circumstances: Circumstances) -> Motion:
        around: Barostat = circumstances.parameters
        p, inverse_masses = motion.momenta, circumstances.inverse_masses
        thermal_energy = around.bath.temperature.at(circumstances.step).astype(p.dtype)
        volume = jnp.abs(jnp.linalg.det(motion.cell))
        one = jnp.eye(3, dtype=p.dtype)
        key = jax.random.fold_in(random_key(around.bath.key, circumstances.step), CELL_STREAM)
        noise = jax.random.normal(key, (3, 3), p.dtype)
        mobility = around.rate * circumstances.time_step / 3.0
        internal = (p.T @ (p * inverse_masses) - motion.virial) / volume
        strain = projected(
            mobility * (internal - around.pressure * one)
            + jnp.sqrt(2.0 * thermal_energy * mobility / volume) * noise,
            self.moves,
        )
        stretch, shrink = self._exponentials(strain)
        after = p @ shrink
        kinetic = kinetic_energy(after, inverse_masses) - kinetic_energy(p, inverse_masses)
        work = around.pressure * volume * jnp.expm1(jnp.trace(strain))
        variables = motion.variables._replace(
            given=motion.variables.given + kinetic + work, virial=motion.virial, strain=strain
        )
        return motion._replace(
            positions=motion.positions @ stretch,
            momenta=after,
            cell=motion.cell @ stretch,
            variables=variables,
        )

    def _exponentials(self, strain: jax.Array) -> tuple[jax.Array, jax.Array]:
        """exp(S) and exp(-S)."""
        if self.moves != "triclinic":
            rates = jnp.diagonal(strain)
            return jnp.diag(jnp.exp(rates)), jnp.diag(jnp.exp(-rates))
        rates, axes = jnp.linalg.eigh(strain)
        return (axes * jnp.exp(rates)) @ axes.T, (axes * jnp.exp(-rates)) @ axes.T
