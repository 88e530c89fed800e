"""Ring polymers whose averages are known for every number of beads, wrong guides, and chains."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ase.units import J, _hbar, s
from scipy.special import ive

from exact_rows import SEEDS, Row, rows_of
from hyperatom.analysis.statistics import estimate_mean
from hyperatom.configuration import Configuration
from hyperatom.contracts import Dynamics, GuideTrajectory
from hyperatom.dynamics.motion import Circumstances, Motion
from hyperatom.dynamics.ring_polymer import RingPolymerDynamics
from hyperatom.evaluation import Evaluation
from hyperatom.ring_polymer import RingPolymer
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from hyperatom.sampling.metropolis import ChainState, metropolis
from hyperatom.sampling.quantum_canonical import QuantumCanonical
from hyperatom.units import BOLTZMANN
from targets import DoubleWells, HarmonicCrystal

# From another source than the package's: eV times sqrt(amu Å^2 / eV).
REDUCED_PLANCK = _hbar * J * s


def link_stiffness(mass: float, temperature: float, n_beads: int) -> float:
    """m P / (beta hbar)^2, eV/Å^2: of the springs that the short-time propagator gives."""
    return mass * n_beads * (BOLTZMANN * temperature / REDUCED_PLANCK) ** 2


def oscillator(frequency: float, mass: float, temperature: float, n_beads: int) -> dict[str, float]:
    """Exact means of a one-dimensional harmonic oscillator with P beads, eV and Å^2.

    Each mode of the ring is a Gaussian of variance k_BT / (m omega_P^2 lambda_k + m omega^2 / P).
    """
    thermal_energy = BOLTZMANN * temperature
    eigenvalues = 4.0 * np.sin(np.pi * np.arange(n_beads) / n_beads) ** 2
    springs = link_stiffness(mass, temperature, n_beads) * eigenvalues
    variance = thermal_energy / (springs + mass * frequency**2 / n_beads)
    potential = 0.5 * mass * frequency**2 * variance.sum() / n_beads
    spring_energy = 0.5 * np.sum(springs * variance)
    return {
        "U": float(potential),
        "S": float(spring_energy),
        "E": float(0.5 * n_beads * thermal_energy - spring_energy + potential),
        "gyration": float(variance[1:].sum() / n_beads),
    }


def quantum_oscillator(frequency: float, temperature: float) -> float:
    """hbar omega / 2 coth(beta hbar omega / 2), eV."""
    quantum = REDUCED_PLANCK * frequency
    return float(0.5 * quantum / np.tanh(0.5 * quantum / (BOLTZMANN * temperature)))


class LineOfBeads:
    """One particle on a line with P beads, by multiplying matrices on a grid.

    K(x, x') = exp[-beta m omega_P^2 (x - x')^2 / 2 - beta (V(x) + V(x')) / 2P]; the trace of its
    P-th power is the ring polymer's partition function, exactly, but for the grid.
    """

    def __init__(
        self,
        potential: Callable[[Any], Any],
        mass: float,
        temperature: float,
        n_beads: int,
        grid: np.ndarray,
    ) -> None:
        self.grid = grid
        thermal_energy = BOLTZMANN * temperature
        stiffness = link_stiffness(mass, temperature, n_beads) / thermal_energy
        half = np.exp(-potential(grid) / (2.0 * n_beads * thermal_energy))
        kernel = np.exp(-0.5 * stiffness * (grid[:, None] - grid) ** 2) * half[:, None] * half
        values, vectors = np.linalg.eigh(kernel)
        weights = (np.abs(values) / np.abs(values).max()) ** n_beads
        self.density = (vectors**2 @ weights) / weights.sum()

    def average(self, function: Callable[[Any], Any]) -> float:
        """Mean over the beads of a function of the place."""
        return float(self.density @ function(self.grid))


class DimerOfBeads:
    """Two atoms that feel their distance alone, with P beads, by partial waves on a radial grid.

    The free kernel in three dimensions is a sum over l of (2l + 1) k_l(r, r') P_l(cos), with
    k_l = (a / pi)^(3/2) 4 pi r r' exp[-a (r^2 + r'^2)] i_l(2 a r r'), a = P mu / (2 beta hbar^2)
    and i_l the modified spherical Bessel function.
    """

    def __init__(
        self,
        potential: Callable[[Any], Any],
        reduced_mass: float,
        temperature: float,
        n_beads: int,
        grid: np.ndarray,
        largest_l: int = 60,
    ) -> None:
        thermal_energy = BOLTZMANN * temperature
        a = 0.5 * link_stiffness(reduced_mass, temperature, n_beads) / thermal_energy
        self.grid = grid
        self.potential = potential
        half = np.exp(-(potential(grid) - potential(grid).min()) / (2.0 * n_beads * thermal_energy))
        argument = 2.0 * a * grid[:, None] * grid
        gauss = np.exp(-a * (grid[:, None] - grid) ** 2) * half[:, None] * half
        scale = (a / np.pi) ** 1.5 * 4.0 * np.pi * grid[:, None] * grid * (grid[1] - grid[0])
        self.density = np.zeros_like(grid)
        self.partition = 0.0
        for angular in range(largest_l + 1):
            bessel = np.sqrt(np.pi / (2.0 * argument)) * ive(angular + 0.5, argument)
            values, vectors = np.linalg.eigh(scale * gauss * bessel)
            weights = (2 * angular + 1) * np.abs(values) ** n_beads
            self.density += vectors**2 @ weights
            self.partition += float(weights.sum())
            if weights.sum() < 1e-9 * self.partition:
                break
        self.density /= self.partition
        self.log_partition = float(np.log(self.partition) - potential(grid).min() / thermal_energy)

    def average(self, function: Callable[[Any], Any]) -> float:
        """Mean over the beads of a function of the distance."""
        return float(self.density @ function(self.grid))


def dimer_energy(
    potential: Callable[[Any], Any],
    reduced_mass: float,
    temperature: float,
    n_beads: int,
    grid: np.ndarray,
) -> float:
    """-d ln Z / d beta of the relative motion, eV, by a central difference."""
    step = 1e-3
    betas = np.array([1.0 - step, 1.0 + step]) / (BOLTZMANN * temperature)
    logs = [
        DimerOfBeads(potential, reduced_mass, 1.0 / (BOLTZMANN * beta), n_beads, grid).log_partition
        for beta in betas
    ]
    return float(-(logs[1] - logs[0]) / (betas[1] - betas[0]))


class Beads:
    """An energy on every bead of a ring; reference and guide at once."""

    identity = "analytic"

    def __init__(self, energy: Any, swirl: float = 0.0, errors: Any = None) -> None:
        slope = jax.vmap(jax.value_and_grad(energy))
        turn = np.array([[0.0, swirl, 0.0], [-swirl, 0.0, 0.0], [0.0, 0.0, 0.0]])

        def evaluate(positions: jax.Array) -> tuple[jax.Array, jax.Array]:
            energies, gradients = slope(positions)
            return energies.sum(), (positions @ turn - gradients).reshape(-1, 3)

        def run(x: Any, p: Any, dynamics: Any, dt: Any, n_checks: int, every: int) -> Any:
            shape = (dynamics.parameters.modes.shape[0], -1, 3)
            now = Circumstances(dt, None, dynamics.parameters, 0)

            def forced(motion: Motion) -> Motion:
                energy, forces = evaluate(motion.positions.reshape(shape))
                return motion._replace(energy=energy, forces=forces)

            def step(_: Any, motion: Motion) -> Motion:
                begun = dynamics.integrator.begin(motion, now)
                return dynamics.integrator.complete(forced(begun), now)

            def check(motion: Motion, _: Any) -> Any:
                motion = jax.lax.fori_loop(0, every, step, motion)
                return motion, (motion.positions, motion.energy)

            start = forced(Motion(x, p, None, x, None, 0.0, None))
            end, (way, energies) = jax.lax.scan(check, start, None, length=n_checks)
            return (
                end.positions, end.momenta,
                jnp.concatenate([start.energy[None], energies]), jnp.concatenate([x[None], way]),
            )  # fmt: skip

        # Lighter than the compiled loop of the package for so few atoms; they are compared below.
        self._run = jax.jit(
            lambda x, p, parameters, dt, every, n_checks: run(
                x, p, Dynamics(RingPolymerDynamics(), parameters), dt, n_checks, every
            ),
            static_argnames="n_checks",
        )
        self._evaluate = jax.jit(evaluate)
        self._errors = errors

    def evaluate(self, configuration: Configuration) -> Evaluation:
        positions = configuration.positions.reshape(configuration.n_copies, -1, 3)
        with jax.enable_x64(True):
            energy, forces = self._evaluate(positions)
            return Evaluation(float(energy), np.asarray(forces))

    def close(self) -> None:
        pass

    def trajectory(
        self, ring: Any, momenta: Any, time_step: float, n_steps: int, check_every: int,
        dynamics: Dynamics | None = None,
    ) -> GuideTrajectory:  # fmt: skip
        assert dynamics is not None
        with jax.enable_x64(True):
            found = self._run(
                ring.positions, momenta, dynamics.parameters, time_step, check_every,
                n_checks=n_steps // check_every,
            )  # fmt: skip
            x, p, energies, way = (np.asarray(one) for one in found)
        errors = np.zeros(len(energies)) if self._errors is None else self._errors(way)
        cells = np.zeros((len(energies), 3, 3))
        return GuideTrajectory(x, p, energies, errors, way, cells)

    def digest(self) -> str:
        return "analytic"


def deviations(series: list[np.ndarray], exact: float) -> np.ndarray:
    """(mean - exact) in standard errors: all seeds together, then each seed."""
    estimates = [estimate_mean(series, "", "exact")]
    estimates += [estimate_mean(one, "", "exact") for one in series]
    return np.array([(e.value - exact) / e.error for e in estimates])


def assert_exact(found: dict[str, np.ndarray]) -> None:
    # All seeds together within three standard errors; a single one may lie beyond by chance.
    def is_exact(z: np.ndarray) -> bool:
        return bool(abs(z[0]) < 3.0 and np.all(np.abs(z) < 3.5))

    beyond = {name: z.round(1) for name, z in found.items() if not is_exact(z)}
    assert not beyond, f"standard errors off (all seeds, then each): {beyond}"


def all_rows(known: dict[str, tuple[list[np.ndarray], float]]) -> list[Row]:
    """Of averages by name: one series for each seed, and the exact value."""
    return [row for name, (series, exact) in known.items() for row in rows_of(name, series, exact)]


class Rings:
    """Chains of ring polymers, one for each seed."""

    def __init__(self, proposal, reference, ensemble, start, n_samples, seeds=SEEDS, burn_in=50):
        self.chains = []
        self.acceptance = []
        for seed in seeds:
            rng = np.random.default_rng([seed, 77])
            ring = start(seed)
            state = ChainState(ring, reference.evaluate(ring))
            states, accepted = [], 0
            for number in range(burn_in + n_samples):
                proposed = proposal.propose(state.configuration, rng)
                state, transition = metropolis(state, proposed, reference, ensemble, rng)
                if number >= burn_in:
                    accepted += transition.accepted
                    states.append(state)
            self.chains.append(states)
            self.acceptance.append(accepted / n_samples)

    def series(self, function):
        """function(ring, evaluation) of every state, one array for each seed."""
        found = []
        for states in self.chains:
            values, last = [], None
            for state in states:
                if last is None or state is not last:
                    value = function(state.configuration, state.evaluation)
                last = state
                values.append(value)
            found.append(np.array(values))
        return found


def steps(time_step: float, n_steps: int, **others: Any) -> dict[str, Any]:
    return {
        "time_step": time_step, "length": time_step * n_steps, "check_every": n_steps, **others
    }  # fmt: skip


def assert_sharp(rings: Rings) -> None:
    """Neither so good nor so bad a guide that a mistake would pass unseen."""
    assert 0.15 < np.mean(rings.acceptance) < 0.85, rings.acceptance


CRYSTAL, WELLS = HarmonicCrystal(), DoubleWells()


def crystal_rings(n_beads, temperature, parameters, n_samples, settings, effort=1.0, seeds=SEEDS):
    ensemble = QuantumCanonical(temperature, mode_period=40.0)
    right = CRYSTAL.right()
    reference = Beads(lambda x: CRYSTAL.energy(right, x))
    guide = Beads(lambda x: CRYSTAL.energy(parameters, x))
    proposal = GuidedTrajectory(guide, ensemble, **settings)

    def start(seed):
        return RingPolymer.collapsed(CRYSTAL.start(seed), n_beads)

    return Rings(proposal, reference, ensemble, start, int(effort * n_samples), seeds)
