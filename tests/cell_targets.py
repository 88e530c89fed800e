"""Targets at constant pressure whose averages are known, in every kind of cell.

    U(r, h) = spring/2 sum_i |r_i - c - s_i h|^2 + elastic energy of h

The elastic energy sees the triangle L of h = L Q (Q a rotation): sum_ij K_ij/2 (L_ij - M_ij)^2.
Integrated over the relative coordinates the springs leave a constant, free atoms V^(N-1), so that
cells have the density exp[-(elastic + P V) / k_BT] V^p, V = L_11 L_22 L_33, with respect to dV,
dL_1 dL_2 dL_3, or L_11^2 L_22 dL (what d^9h leaves after rotations): moments by quadrature.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.contracts import Dynamics, Guide, GuideTrajectory, Reference
from hyperatom.dynamics.compiled_dynamics import CompiledDynamics, at_rest
from hyperatom.dynamics.velocity_verlet import VelocityVerlet
from hyperatom.evaluation import Evaluation
from hyperatom.geometry.cell_moves import CellMoves
from hyperatom.potentials.compiled_potential import guide_trajectory
from hyperatom.sampling.isobaric import Isobaric

N_ATOMS = 5
MASSES = np.array([1.0, 2.0, 3.0, 1.5, 4.0])
SITES = np.random.default_rng(7).random((N_ATOMS, 3)) - 0.4
CENTRED = SITES - MASSES @ SITES / MASSES.sum()
MEAN = np.array([[3.0, 0.0, 0.0], [0.4, 2.6, 0.0], [-0.3, 0.5, 3.3]])
STIFF = np.array([[1.2, 1.0, 1.0], [0.9, 2.0, 1.0], [1.5, 0.8, 0.7]])
TEMPERATURE, PRESSURE = 300.0, 0.01


def lower(cell: Any) -> Any:
    return jnp.linalg.cholesky(cell @ cell.T)


def energy(parameters: Any, positions: Any, cell: Any) -> Any:
    spring, stiff, mean, wave = parameters
    centre = MASSES @ positions / MASSES.sum()
    moved = positions - centre - CENTRED @ cell
    springs = 0.5 * spring * jnp.sum(moved**2)
    waves = wave * jnp.sum(1.0 - jnp.cos(2.0 * jnp.pi * moved @ jnp.linalg.inv(cell)))
    return springs + waves + 0.5 * jnp.sum(stiff * (lower(cell) - mean) ** 2)


def forces(parameters: Any, positions: Any, cell: Any, _: Any) -> Any:
    def strained(positions: Any, strain: Any) -> Any:
        stretch = jnp.eye(3) + 0.5 * (strain + strain.T)
        return energy(parameters, positions @ stretch, cell @ stretch)

    value, (slope, virial) = jax.value_and_grad(strained, argnums=(0, 1))(
        positions, jnp.zeros((3, 3))
    )
    return value, -slope, virial


DYNAMICS = CompiledDynamics(forces)
ENERGY = jax.jit(energy)


@dataclass(frozen=True)
class CellReference(Reference):
    parameters: Any
    identity = "analytic"

    def evaluate(self, configuration: Configuration) -> Evaluation:
        with jax.enable_x64(True):
            value = ENERGY(self.parameters, configuration.positions, configuration.cell)
        return Evaluation(float(value), np.zeros((N_ATOMS, 3)))

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class CellGuide(Guide):
    parameters: Any

    def evaluate(self, configuration: Configuration) -> Evaluation:
        return CellReference(self.parameters).evaluate(configuration)

    def trajectory(
        self,
        configuration: Configuration,
        momenta: np.ndarray,
        time_step: float,
        n_steps: int,
        check_every: int,
        dynamics: Dynamics | None = None,
    ) -> GuideTrajectory:
        dynamics = dynamics or Dynamics(VelocityVerlet())
        path = DYNAMICS.run(
            self.parameters,
            at_rest(configuration.positions, momenta, configuration.cell, dynamics.variables),
            configuration.masses,
            time_step,
            n_steps,
            check_every,
            None,
            dynamics.integrator,
            dynamics.parameters,
        )
        return guide_trajectory(path, np.zeros(len(path.energies)))

    def digest(self) -> str:
        return "analytic"


@dataclass(frozen=True)
class CellTarget:
    """Springs, or free atoms in the same cell; `moves` says how the cell moves."""

    moves: CellMoves
    spring: float

    @property
    def mean(self) -> np.ndarray:
        return MEAN if self.moves == "triclinic" else np.diag(np.diag(MEAN))

    @property
    def right(self) -> Any:
        return self.spring, STIFF, self.mean, 0.0

    @property
    def wrong(self) -> Any:
        """Softer, about other sites' distances and another cell, with waves that are not there."""
        return 0.7 * self.spring, 0.75 * STIFF, 1.03 * self.mean, 0.01

    def ensemble(self, **others: Any) -> Isobaric:
        defaults = {"temperature": TEMPERATURE, "pressure": PRESSURE, "barostat_time": 15.0}
        return Isobaric(moves=self.moves, **(defaults | others))

    def start(self, seed: int) -> Configuration:
        rng = np.random.default_rng(seed)
        cell = self.mean * (1.0 + 0.02 * rng.standard_normal())
        positions = CENTRED @ cell + 0.05 * rng.standard_normal((N_ATOMS, 3))
        return Configuration(np.full(N_ATOMS, 18), positions, cell, np.ones(3, bool), MASSES)

    def moments(self, power: int) -> dict[str, float]:
        """Exact <V>, <V^2>, <L_ii>; `power` of V beside those of measure and free atoms."""
        power += 0 if self.spring else N_ATOMS - 1
        beta = 1.0 / self.ensemble().thermal_energy
        mean, stiff = np.diag(self.mean), np.diag(STIFF)
        if self.moves == "isotropic":
            # L = x mean: dV ~ x^2 dx; off-diagonal elements of the triangle are zero throughout.
            x = np.linspace(0.4, 2.2, 20001)[None]
            sides = mean[:, None] * x
            weight = x[0] ** 2
        else:
            grids = [
                np.linspace(m - 8 / np.sqrt(beta * k), m + 16 / np.sqrt(beta * k), 140)
                for m, k in zip(mean, stiff, strict=True)
            ]
            sides = np.array([g.ravel() for g in np.meshgrid(*grids, indexing="ij")])
            weight = sides[0] ** 2 * sides[1] if self.moves == "triclinic" else 1.0
        volume = np.prod(sides, axis=0)
        elastic = 0.5 * stiff @ (sides - mean[:, None]) ** 2
        log = -beta * (elastic + PRESSURE * volume) + power * np.log(np.maximum(volume, 1e-9))
        density = weight * np.exp(log - log.max()) * (volume > 0)
        density /= density.sum()
        found = {"V": volume @ density, "V^2": volume**2 @ density}
        return found | {f"L_{k + 1}": sides[k] @ density for k in range(3)}


def measured(cells: np.ndarray) -> dict[str, np.ndarray]:
    """The same of sampled cells (n, 3, 3)."""
    triangles = np.linalg.cholesky(cells @ cells.transpose(0, 2, 1))
    volume = np.prod(np.diagonal(triangles, axis1=1, axis2=2), axis=1)
    found = {"V": volume, "V^2": volume**2}
    return found | {f"L_{k + 1}": triangles[:, k, k] for k in range(3)}
