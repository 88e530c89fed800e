"""Targets whose averages are known, guides that are wrong on purpose, and the loop that samples.

Every energy here is a JAX function `energy(parameters, positions)` in eV and Å. The reference takes
it with the right parameters, the guides with wrong ones. All guides are a little softer than the
truth: where a guide sees walls that are not there the chain is still exact, but visits are so rare
and so long that no short run has honest error bars.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import quad

from hyperatom.configuration import Configuration
from hyperatom.contracts import Dynamics, Guide, GuideTrajectory, Reference
from hyperatom.dynamics.compiled_dynamics import CompiledDynamics, at_rest
from hyperatom.evaluation import Evaluation
from hyperatom.potentials.compiled_potential import guide_trajectory
from hyperatom.sampling.canonical import Canonical
from hyperatom.sampling.metropolis import ChainState, Transition, metropolis

Energy = Callable[[Any, Any], Any]
Errors = Callable[[np.ndarray], np.ndarray]
"""waypoints (n_points, n_atoms, 3) in Å -> predictive standard deviations (n_points,) in eV"""


class AnalyticReference(Reference):
    """First principles on paper."""

    identity = "analytic"

    def __init__(self, energy: Energy, parameters: Any) -> None:
        slope = jax.value_and_grad(energy, argnums=1)
        self._compiled = jax.jit(lambda positions: slope(parameters, positions))

    def evaluate(self, configuration: Configuration) -> Evaluation:
        with jax.enable_x64(True):
            energy, gradient = self._compiled(configuration.positions)
            return Evaluation(float(energy), -np.asarray(gradient))

    def close(self) -> None:
        pass


class AnalyticGuide(Guide):
    """A guide with any energy; `swirl` (eV/Å^2) adds forces that are no gradient of anything."""

    def __init__(
        self, energy: Energy, parameters: Any, errors: Errors | None = None, swirl: float = 0.0
    ) -> None:
        slope = jax.value_and_grad(energy, argnums=1)
        turn = np.array([[0.0, swirl, 0.0], [-swirl, 0.0, 0.0], [0.0, 0.0, 0.0]])

        def forces(_: Any, positions: jax.Array, __: Any, ___: Any) -> Any:
            value, gradient = slope(parameters, positions)
            return value, positions @ turn - gradient, jnp.zeros((3, 3))

        self._dynamics = CompiledDynamics(forces)
        self._errors = errors

    def evaluate(self, configuration: Configuration) -> Evaluation:
        raise NotImplementedError("Exactness asks the guide for nothing but trajectories.")

    def trajectory(
        self,
        configuration: Configuration,
        momenta: np.ndarray,
        time_step: float,
        n_steps: int,
        check_every: int,
        dynamics: Dynamics | None = None,
    ) -> GuideTrajectory:
        assert dynamics is None, "The targets here have no cell and no thermostat."
        path = self._dynamics.run(
            (),
            at_rest(configuration.positions, momenta, configuration.cell),
            configuration.masses,
            time_step,
            n_steps,
            check_every,
        )
        errors = np.zeros(len(path.energies))
        if self._errors is not None:
            errors = self._errors(path.waypoints)
        return guide_trajectory(path, errors)

    def digest(self) -> str:
        return "analytic"


@dataclass(frozen=True)
class Chain:
    """Every state counted, in order, and every judgement."""

    positions: np.ndarray  # (n_samples, n_atoms, 3)
    energies: np.ndarray  # (n_samples,)
    transitions: list[Transition]

    @property
    def acceptance(self) -> float:
        return float(np.mean([t.accepted for t in self.transitions]))

    @property
    def vetoes(self) -> float:
        return float(np.mean([t.proposed.veto is not None for t in self.transitions]))

    @property
    def balance(self) -> np.ndarray:
        """min(1, exp(-beta dH)) - 2 [dH < 0] - [dH = 0] of each proposal judged; its mean is zero.

        Like Creutz's <exp(-beta dH)> = 1 it follows from p(-dH) = exp(-beta dH) p(dH), but it is
        bounded, so that a short run has an honest error bar.
        """
        log_acceptance = np.array([t.log_acceptance for t in self.transitions])
        judged = np.isfinite(log_acceptance)
        level = np.abs(log_acceptance) < 1e-9
        uphill = np.where(level, 1.0, 2.0 * (log_acceptance > 0.0))
        probability = np.exp(np.minimum(np.where(judged, log_acceptance, 0.0), 0.0))
        return np.where(judged, probability - uphill, 0.0)


def sample(
    proposal: Any,
    reference: Reference,
    ensemble: Canonical,
    start: Configuration,
    n_samples: int,
    seed: int,
) -> Chain:
    """Propose, judge, count: the state after each judgement counts, whether it is new or not."""
    rng = np.random.default_rng(seed)
    state = ChainState(start, reference.evaluate(start))
    positions, energies, transitions = [], [], []
    for _ in range(n_samples):
        proposed = proposal.propose(state.configuration, rng)
        state, transition = metropolis(state, proposed, reference, ensemble, rng)
        transitions.append(transition)
        positions.append(state.configuration.positions)
        energies.append(state.evaluation.energy)
    return Chain(np.array(positions), np.array(energies), transitions)


def isolated(positions: Any, masses: Any) -> Configuration:
    n_atoms = len(positions)
    return Configuration(
        np.full(n_atoms, 18), positions, np.zeros((3, 3)), np.zeros(3, dtype=bool), masses
    )


class HarmonicCrystal:
    """Eight atoms of different masses at the corners of a cube, springs along its twelve edges.

    U = sum_edges k/2 |x_i - x_j - d|^2 sees only differences, so that <U> = (3N - 3)/2 k_BT and the
    normal coordinates (mass-weighted, about fixed centre of mass) have <Q_k Q_l> = k_BT/omega_k^2.
    """

    ensemble = Canonical(300.0)
    masses = np.array([1.0, 2.0, 3.0, 5.0, 1.5, 8.0, 4.0, 2.5])
    sites = 2.5 * np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)

    def __init__(self) -> None:
        edges = [(i, j) for i in range(8) for j in range(i) if (i ^ j) in (1, 2, 4)]
        stiffness = np.linspace(0.3, 1.0, len(edges))
        self.laplacian = np.zeros((8, 8))
        for (i, j), k in zip(edges, stiffness, strict=True):
            self.laplacian[[i, j], [i, j]] += k
            self.laplacian[[i, j], [j, i]] -= k
        root = np.sqrt(self.masses)
        squares, vectors = np.linalg.eigh(self.laplacian / np.outer(root, root))
        self.frequencies = np.sqrt(squares[1:])
        self._modes = vectors[:, 1:] * root[:, None]
        self.reference = AnalyticReference(self.energy, self.right())

    @staticmethod
    def energy(parameters: Any, positions: Any) -> Any:
        scale, sites, laplacian = parameters
        moved = positions - sites
        return 0.5 * scale * jnp.sum(moved * (laplacian @ moved))

    def right(self) -> Any:
        return (1.0, self.sites, self.laplacian)

    def soft(self) -> Any:
        """Forces scaled by 0.7."""
        return (0.7, self.sites, self.laplacian)

    def displaced(self) -> Any:
        """A wrong minimum: every site off by up to 0.025 Å in a direction of its own."""
        off = 0.025 * np.sin(np.arange(24).reshape(8, 3) ** 2 + 1.0)
        return (0.85, self.sites + off, self.laplacian)

    def normal_coordinates(self, positions: np.ndarray) -> np.ndarray:
        """(n_samples, 7, 3), Å sqrt(amu)."""
        return np.einsum("ak,nax->nkx", self._modes, positions - self.sites)

    def start(self, seed: int) -> Configuration:
        """Drawn from the exact distribution."""
        rng = np.random.default_rng(10_000 + seed)
        width = np.sqrt(self.ensemble.thermal_energy) / self.frequencies
        normal = rng.standard_normal((7, 3)) * width[:, None]
        moved = (self._modes / self.masses[:, None]) @ normal
        return isolated(self.sites + moved, self.masses)


class DoubleWells:
    """Two particles in a skewed double well along x, in a trough along y and z, nothing held fixed.

    V(x) = k_BT [a ((x/w)^2 - 1)^2 + b x/w]; the particles do not see each other, so that the exact
    density of each coordinate is a quadrature.
    """

    ensemble = Canonical(300.0, fixed_centre_of_mass=False)
    masses = np.array([1.0, 3.0])
    right = (1.2, 0.5, 1.0, 0.0, 6.0)  # a, b, w (Å), shift (Å), trough (k_BT/Å^2)

    def __init__(self) -> None:
        self.thermal_energy = self.ensemble.thermal_energy
        self.reference = AnalyticReference(self.energy, self.right)
        self._norm = self._integral(lambda x: 1.0, -4.0, 4.0)

    def energy(self, parameters: Any, positions: Any) -> Any:
        a, b, w, shift, trough = parameters
        x = (positions[:, 0] - shift) / w
        across = positions[:, 1] ** 2 + positions[:, 2] ** 2
        reduced = a * (x**2 - 1.0) ** 2 + b * x + 0.5 * trough * across
        return self.ensemble.thermal_energy * jnp.sum(reduced)

    # Forces scaled by 0.7; then a wrong minimum: displaced, tilted the other way, another barrier.
    soft = (0.7 * 1.2, 0.35, 1.0, 0.0, 4.2)
    displaced = (0.9, -0.1, 1.05, 0.15, 5.0)

    def _boltzmann(self, x: float) -> float:
        a, b, w, _, _ = self.right
        return float(np.exp(-a * ((x / w) ** 2 - 1.0) ** 2 - b * x / w))

    def _integral(self, function: Callable[[float], float], low: float, high: float) -> float:
        return float(
            quad(lambda x: function(x) * self._boltzmann(x), low, high, epsabs=1e-12, limit=200)[0]
        )

    def average(self, function: Callable[[float], float]) -> float:
        return self._integral(function, -4.0, 4.0) / self._norm

    def mean_energy(self) -> float:
        """<U> in k_BT: of two particles along x, and half for each of four harmonic coordinates."""
        return 2.0 * self.average(lambda x: -np.log(self._boltzmann(x))) + 2.0

    def probabilities(self, edges: np.ndarray) -> np.ndarray:
        parts = [self._integral(lambda x: 1.0, a, b) for a, b in pairwise(edges)]
        return np.array(parts) / self._norm

    def start(self, seed: int) -> Configuration:
        """Drawn from the exact distribution, by rejection."""
        rng = np.random.default_rng(20_000 + seed)
        positions = rng.standard_normal((2, 3)) / np.sqrt(self.right[4])
        for i in range(2):
            while True:
                x = rng.uniform(-2.5, 2.5)
                if rng.uniform(0.0, 2.0) < self._boltzmann(x):
                    positions[i, 0] = x
                    break
        return isolated(positions, self.masses)


class LennardJonesCluster:
    """n atoms that attract each other, kept together by weak springs between all pairs.

    U = sum_{i<j} 4 e [(s/r)^12 - (s/r)^6] + k/2 r^2. Of two atoms, the distance has the density
    r^2 exp(-U/k_BT).
    """

    ensemble = Canonical(120.0)
    right = (0.0103, 3.4, 0.0015)  # argon: e (eV), s (Å); k (eV/Å^2)
    soft = (0.7 * 0.0103, 3.4, 0.7 * 0.0015)
    wide = (0.008, 3.45, 0.0012)

    def __init__(self, n_atoms: int) -> None:
        self.n_atoms = n_atoms
        self.masses = np.array([40.0, 20.0, 30.0, 84.0])[:n_atoms]
        self.first, self.second = np.triu_indices(n_atoms, 1)
        self.reference = AnalyticReference(self.energy, self.right)

    @staticmethod
    def pair_energy(parameters: Any, square: Any) -> Any:
        e, s, k = parameters
        inverse = (s * s / square) ** 3
        return 4.0 * e * (inverse * inverse - inverse) + 0.5 * k * square

    def squares(self, positions: Any) -> Any:
        """Squared distances (..., n_pairs) of positions (..., n_atoms, 3)."""
        return ((positions[..., self.first, :] - positions[..., self.second, :]) ** 2).sum(axis=-1)

    def energy(self, parameters: Any, positions: Any) -> Any:
        return self.pair_energy(parameters, self.squares(positions)).sum(axis=-1)

    # Of the dimer: outside these distances (Å) the density is below 1e-30 of its maximum.
    range = (2.6, 20.0)

    def dimer_integral(self, function: Callable[[float], float], low: float, high: float) -> float:
        beta = 1.0 / self.ensemble.thermal_energy

        def integrand(r: float) -> float:
            return function(r) * r * r * float(np.exp(-beta * self.pair_energy(self.right, r * r)))

        # The well and the tail apart, for the quadrature's sake.
        edges = np.unique(np.clip([low, 3.5, 4.5, 8.0, high], low, high))
        return float(sum(quad(integrand, a, b, epsabs=1e-12)[0] for a, b in pairwise(edges)))

    def dimer_average(self, function: Callable[[float], float]) -> float:
        norm = self.dimer_integral(lambda r: 1.0, *self.range)
        return self.dimer_integral(function, *self.range) / norm

    def dimer_probabilities(self, edges: np.ndarray) -> np.ndarray:
        parts = [self.dimer_integral(lambda r: 1.0, a, b) for a, b in pairwise(edges)]
        return np.array(parts) / self.dimer_integral(lambda r: 1.0, *self.range)

    def start(self, seed: int) -> Configuration:
        rng = np.random.default_rng(30_000 + seed)
        corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])[: self.n_atoms]
        return isolated(1.35 * corners + rng.uniform(-0.1, 0.1, corners.shape), self.masses)

    def plain_monte_carlo(
        self, n_walkers: int, n_sweeps: int, burn_in: int, seed: int
    ) -> np.ndarray:
        """Positions (n_sweeps, n_walkers, n_atoms, 3) by single-atom Metropolis of many walkers."""
        rng = np.random.default_rng(seed)
        x = np.repeat(self.start(seed).positions[None], n_walkers, axis=0)
        energy = self.energy(self.right, x)
        kept = []
        for sweep in range(burn_in + n_sweeps):
            for atom in range(self.n_atoms):
                trial = x.copy()
                trial[:, atom] += rng.uniform(-0.55, 0.55, (n_walkers, 3))
                found = self.energy(self.right, trial)
                accepted = rng.random(n_walkers) < np.exp(
                    np.minimum((energy - found) / self.ensemble.thermal_energy, 0.0)
                )
                x = np.where(accepted[:, None, None], trial, x)
                energy = np.where(accepted, found, energy)
            if sweep >= burn_in:
                kept.append(x)
        return np.array(kept)
