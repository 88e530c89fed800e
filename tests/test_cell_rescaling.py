"""Stochastic cell rescaling against exactly known isobaric ensembles, in every mode of the cell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase.build import bulk
from scipy import stats

from hyperatom.analysis.statistics import estimate_mean
from hyperatom.configuration import Configuration
from hyperatom.contracts import Dynamics
from hyperatom.dynamics.cell_rescaling import Barostat, CellRescaling, CellVariables
from hyperatom.dynamics.compiled_dynamics import CompiledDynamics, at_rest
from hyperatom.dynamics.langevin import Friction, Langevin
from hyperatom.dynamics.motion import Circumstances, Motion
from hyperatom.dynamics.thermal_bath import Ramp
from hyperatom.dynamics.velocity_rescaling import Rescaling, VelocityRescaling
from hyperatom.potentials.classical.lennard_jones import lennard_jones
from hyperatom.sampling.canonical import Canonical
from hyperatom.units import FEMTOSECOND, GIGAPASCAL

KT, PRESSURE, STEP = 0.3, 0.05, 0.1
KEY = np.array([5, 3], dtype=np.uint32)
STEADY = Ramp(KT, 0.0)


def elastic(stiffness, cell):
    # Depends on lengths and angles only, as every potential does.
    metric = cell @ cell.T
    return 0.5 * stiffness * jnp.sum((metric / metric_of_rest - jnp.eye(3)) ** 2)


metric_of_rest = 36.0


def forces(stiffness, positions, cell, neighbours):
    energy, slope = jax.value_and_grad(elastic, argnums=1)(stiffness, cell)
    return energy, jnp.zeros_like(positions), cell.T @ slope


GAS = CompiledDynamics(forces)


def barostat(freedom, time, pressure=PRESSURE):
    bath = Rescaling(STEADY, 5 * STEP, float(freedom), KEY)
    return Barostat(bath, pressure, 1.0 / (pressure * time))


def still(n_atoms, rng):
    p = rng.normal(size=(n_atoms, 3)) * np.sqrt(KT)
    return rng.uniform(0.0, 6.0, (n_atoms, 3)), p - p.mean(axis=0)


def run(integrator, around, stiffness, n_atoms, edge, n_steps, every, first_step=0, start=None):
    x, p = still(n_atoms, np.random.default_rng(1))
    start = start or at_rest(x, p, edge * np.eye(3), CellVariables.of((0.0,)))
    return GAS.run(np.float64(stiffness), start, np.ones(n_atoms), STEP, n_steps, every, None,
                   integrator, around, first_step)  # fmt: skip


def check_mean(series, expected):
    found = estimate_mean([series], "-", "as given")
    assert abs(found.value - expected) < 3.0 * found.error, (found, expected)
    return found


@pytest.mark.slow
def test_an_ideal_gas_obeys_its_law():
    n = 150
    edge = (n * KT / PRESSURE) ** (1 / 3)
    path = run(CellRescaling(), barostat(3 * n - 3, 50 * STEP), 0.0, n, edge, 30000, 25)
    volume = np.abs(np.linalg.det(path.cells))[20:]
    found = check_mean(volume, n * KT / PRESSURE)
    assert found.error < 0.006 * found.value
    # Euler's rule makes the variance of a step dt = 0.02 tau one per cent too large.
    check_mean((volume - n * KT / PRESSURE) ** 2, 1.01 * n * (KT / PRESSURE) ** 2)
    thin = volume[::16]
    assert stats.kstest(thin, stats.gamma(n, scale=KT / PRESSURE).cdf).pvalue > 0.01


def cells_by_monte_carlo(moves, n, stiffness, n_walkers=3000, n_moves=400):
    """exp[-(U + P V)/kT] V^(N-1) and the measure of each mode, by plain Metropolis."""
    rng = np.random.default_rng(8)
    cells = np.broadcast_to(6.0 * np.eye(3), (n_walkers, 3, 3)).copy()

    def log_density(cells):
        volume = np.linalg.det(cells)
        metric = np.einsum("wij,wkj->wik", cells, cells) / metric_of_rest - np.eye(3)
        power = n - 1 - (2 if moves == "triclinic" else 0)
        energy = 0.5 * stiffness * np.sum(metric**2, axis=(1, 2))
        return power * np.log(volume) - (energy + PRESSURE * volume) / KT

    here = log_density(cells)
    for _ in range(n_moves):
        move = 0.04 * rng.normal(size=cells.shape)
        if moves == "orthorhombic":
            move *= np.eye(3)
        if moves == "isotropic":
            # V is uniform in dV: propose it, then the edge.
            volume = np.linalg.det(cells) + 8.0 * rng.normal(size=n_walkers)
            move = np.cbrt(volume)[:, None, None] * np.eye(3) - cells
        there = log_density(cells + move)
        accepted = rng.uniform(size=n_walkers) < np.exp(np.minimum(there - here, 0.0))
        cells[accepted] += move[accepted]
        here[accepted] = there[accepted]
    return cells


def shape(cells):
    """Volume, squared length of a, squared cosine of an angle times lengths."""
    metric = np.einsum("wij,wkj->wik", cells, cells)
    return (
        np.abs(np.linalg.det(cells)),
        metric[:, 0, 0],
        metric[:, 0, 0] ** 2,
        metric[:, 0, 1] ** 2,
    )


@pytest.mark.parametrize(
    "moves",
    [
        *(pytest.param(m, marks=pytest.mark.slow) for m in ("isotropic", "orthorhombic")),
        "triclinic",
    ],
)
def test_cells_are_distributed_as_the_measure_says(moves):
    n, stiffness = 8, 100.0
    expected = shape(cells_by_monte_carlo(moves, n, stiffness))
    # Every mode relaxes by 1/50 in a step: dP/dlnV is 4/3 stiffness / V.
    around = barostat(3 * n - 3, 1.0)._replace(rate=0.02 * 216 * 3 / (4 * stiffness) / STEP)
    path = run(CellRescaling(moves), around, stiffness, n, 6.0, 16000, 20)
    found = shape(path.cells[20:])
    for name, series, samples in zip(("V", "aa", "aaaa", "abab"), found, expected, strict=True):
        if moves != "triclinic" and name == "abab":
            np.testing.assert_allclose(series, 0.0, atol=1e-20)
            continue
        mean = estimate_mean([series], "-", "as given")
        error = np.hypot(mean.error, samples.std() / np.sqrt(len(samples)))
        tolerance = 0.02 * samples.mean() if name == "abab" else 0.0
        assert abs(mean.value - samples.mean()) < 3.0 * error + tolerance, (moves, name)
    assert np.abs(path.checked_momenta.sum(axis=1)).max() < 1e-10


@pytest.mark.parametrize("bath", ["langevin", "rescaling"])
def test_what_is_given_is_booked(bath):
    n, stiffness = 8, 100.0
    around = barostat(3 * n - 3, 200 * STEP)
    integrator = CellRescaling("triclinic", VelocityRescaling())
    if bath == "langevin":
        integrator = CellRescaling("triclinic", Langevin())
        around = around._replace(bath=Friction(STEADY, 1.0, KEY))
    path = run(integrator, around, stiffness, n, 6.0, 3000, 50)
    circumstances = Circumstances(STEP, np.ones((n, 1)), around, 0)
    conserved, changing = [], []
    for p, cell, energy, noted in zip(
        path.checked_momenta, path.cells, path.energies, path.checked_variables, strict=True
    ):
        motion = Motion(None, p, cell, None, None, energy, noted)
        with jax.enable_x64(True):
            conserved.append(float(integrator.conserved_energy(motion, circumstances)))
        changing.append(energy + (p**2).sum() / 2.0 + PRESSURE * np.linalg.det(cell))
    assert np.std(conserved) < 0.03 * np.std(changing)


def test_restart_goes_on_bit_for_bit():
    n, around = 8, barostat(21, 100 * STEP)
    integrator = CellRescaling("triclinic")
    whole = run(integrator, around, 20.0, n, 6.0, 40, 20)
    half = run(integrator, around, 20.0, n, 6.0, 20, 20)
    start = at_rest(half.positions, half.momenta, half.cell, half.variables)
    rest = run(integrator, around, 20.0, n, 6.0, 20, 20, 20, start)
    np.testing.assert_array_equal(rest.cell, whole.cell)
    np.testing.assert_array_equal(rest.momenta, whole.momenta)
    jax.tree.map(np.testing.assert_array_equal, rest.variables, whole.variables)
    assert not np.array_equal(whole.cell, half.cell)


@pytest.mark.slow
def test_pressure_of_dense_argon():
    # By parts, int d/dV (V p) dV = 0: <V P_int> = P <V> - k_BT under dV, in any potential.
    crystal = bulk("Ar", "fcc", 5.25, cubic=True).repeat(2)
    start = Configuration(crystal.numbers, crystal.positions, crystal.cell.array, crystal.pbc,
                          crystal.get_masses())  # fmt: skip
    argon = lennard_jones((18,), 0.0104, 3.4, 5.0)
    argon.model.reserve(start)
    ensemble = Canonical(60.0)
    kt, pressure = ensemble.thermal_energy, 0.5 * GIGAPASCAL
    momenta = ensemble.draw_momenta(start.masses, np.random.default_rng(0))
    step = 5.0 * FEMTOSECOND
    around = Barostat(
        Rescaling(Ramp(kt, 0.0), 20 * step, 93.0, KEY), pressure, 1.0 / GIGAPASCAL / (150 * step)
    )
    dynamics = Dynamics(CellRescaling(), around, CellVariables.of((0.0,)))
    path = argon.model.run(argon.parameters, start, momenta, step, 3000, 10, dynamics)
    excess = []
    for x, cell, p in zip(path.waypoints, path.cells, path.checked_momenta, strict=True):
        here = argon.evaluate(start.with_cell(x, cell))
        volume = np.linalg.det(cell)
        twice_kinetic = (p**2 / start.masses[:, None]).sum()
        excess.append((twice_kinetic - here.stress[:3].sum() * volume) / 3.0 - pressure * volume)
    found = estimate_mean([np.array(excess[50:]) / kt], "-", "as given")
    assert abs(found.value + 1.0) < 3.0 * found.error
    assert found.error < 0.04 * pressure * np.linalg.det(path.cells[-1]) / kt
