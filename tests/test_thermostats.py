"""Heat baths: canonical moments, kinetic energies, what is conserved, order, restart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from hyperatom.analysis.statistics import estimate_mean
from hyperatom.dynamics.compiled_dynamics import CompiledDynamics, at_rest
from hyperatom.dynamics.langevin import Friction, Langevin
from hyperatom.dynamics.motion import Circumstances, Motion
from hyperatom.dynamics.nose_hoover_chain import Chain, NoseHooverChain
from hyperatom.dynamics.thermal_bath import Ramp
from hyperatom.dynamics.velocity_rescaling import Rescaling, VelocityRescaling

KT = 0.3
KEY = np.array([7, 11], dtype=np.uint32)
STEADY = Ramp(KT, 0.0)


def crystal_energy(matrix, positions):
    # Independent crystals of four atoms each, all with the same force constants (12, 12).
    x = positions.reshape(-1, 12)
    return 0.5 * jnp.sum((x @ matrix) * x)


def well_energy(_, positions):
    return jnp.sum((positions**2 - 1.0) ** 2 + 0.3 * positions)


def quartic_energy(_, positions):
    # Atoms on springs, their neighbours coupled strongly and anharmonically.
    bonds = positions - jnp.roll(positions, 1, axis=0)
    return 0.5 * jnp.sum(positions**2) + 0.5 * jnp.sum(bonds**2 + bonds**4)


def free_energy(_, positions):
    return 0.0 * jnp.sum(positions)


def dynamics_of(energy, precision=np.float64):
    def forces(parameters, positions, cell, neighbours):
        value, slope = jax.value_and_grad(energy, argnums=1)(parameters, positions)
        return value, -slope, jnp.zeros((3, 3), positions.dtype)

    return CompiledDynamics(forces, precision)


CRYSTAL, WELL, QUARTIC, FREE = (
    dynamics_of(energy) for energy in (crystal_energy, well_energy, quartic_energy, free_energy)
)


def run(dynamics, integrator, bath, variables, n_steps, check_every, n_atoms, time_step,
        masses=None, parameters=(), seed=0, first_step=0, at=None):  # fmt: skip
    rng = np.random.default_rng(seed)
    masses = np.ones(n_atoms) if masses is None else masses
    if at is None:
        positions = 0.1 * rng.normal(size=(n_atoms, 3))
        momenta = rng.normal(size=(n_atoms, 3)) * np.sqrt(KT * masses[:, None])
    else:
        positions, momenta = at
    return dynamics.run(
        parameters, at_rest(positions, momenta, np.eye(3), variables), masses, time_step,
        n_steps, check_every, None, integrator, bath, first_step,
    )  # fmt: skip


def friction(rate=1.0, temperature=STEADY):
    return Friction(temperature, rate, KEY)


def rescaling(n, time=0.5):
    return Rescaling(STEADY, time, float(n), KEY)


def z_scores(samples, expected):
    """Of means over independent rows, each a time average."""
    return (samples.mean(0) - expected) * np.sqrt(len(samples)) / samples.std(0, ddof=1)


def test_langevin_samples_a_harmonic_crystal_without_error_at_long_steps():
    rng = np.random.default_rng(3)
    root = rng.normal(size=(12, 12))
    matrix = root @ root.T / 12.0 + 0.3 * np.eye(12)
    stiffness, modes = np.linalg.eigh(matrix)
    time_step = 1.4 / np.sqrt(stiffness[-1])  # velocity Verlet would stretch <x^2> to 1 / 0.51
    n_atoms = 4 * 150
    path = run(CRYSTAL, Langevin(fixed_centre=False), friction(), (0.0,), 1500, 15, n_atoms,
               time_step, parameters=matrix)  # fmt: skip
    x = path.waypoints[30:].reshape(-1, 150, 12) @ modes
    p = path.checked_momenta[30:].reshape(-1, 150, 12) @ modes
    z = z_scores((stiffness * x**2).mean(axis=0) / KT, 1.0)
    assert np.abs(z).max() < 3.5
    assert abs(z.mean() * np.sqrt(12)) < 3.0
    # Momenta read low by what the docstring says.
    low = 1.0 - stiffness * time_step**2 / 4.0
    z = z_scores((p**2).mean(axis=0) / KT, low)
    assert np.abs(z).max() < 3.5


def test_langevin_samples_a_skewed_double_well():
    path = run(WELL, Langevin(fixed_centre=False), friction(2.0), (0.0,), 3000, 20, 300, 0.08)
    x = path.waypoints[40:].reshape(-1, 900)

    def weight(x):
        return np.exp(-((x**2 - 1.0) ** 2 + 0.3 * x) / KT)

    norm = integrate.quad(weight, -4, 4)[0]
    for power in (1, 2, 3):
        exact = integrate.quad(lambda x, n=power: x**n * weight(x), -4, 4)[0] / norm
        assert abs(z_scores((x**power).mean(axis=0), exact)) < 3.0


def test_free_langevin_particles_diffuse_as_einstein_says():
    masses = np.repeat([1.0, 4.0], 500)
    time = 60.0
    path = run(FREE, Langevin(fixed_centre=False), friction(), (0.0,), 600, 300, 1000, 0.1, masses)
    moved = ((path.waypoints[2] - path.waypoints[1]) ** 2).sum(axis=1) / 6.0
    # Velocities decorrelate within 1 / gamma; the finite path lacks (1 - exp(-t)) of it.
    lag = time / 2
    expected = KT / masses * (lag - (1.0 - np.exp(-lag)))
    for part in (slice(0, 500), slice(500, 1000)):
        assert abs(z_scores(moved[part] / expected[part], 1.0)) < 3.0


def test_a_fixed_centre_stays_and_takes_three_degrees_of_freedom():
    masses = np.array([1.0, 3.0, 8.0])
    rng = np.random.default_rng(1)
    p = rng.normal(size=(3, 3))
    p -= masses[:, None] * p.sum(axis=0) / masses.sum()
    path = run(FREE, Langevin(), friction(), (0.0,), 16000, 20, 3, 0.2, masses,
               at=(np.zeros((3, 3)), p))  # fmt: skip
    np.testing.assert_allclose(path.checked_momenta.sum(axis=1), 0.0, atol=1e-12)
    kinetic = (path.checked_momenta**2 / masses[:, None]).sum(axis=(1, 2)) / 2.0
    assert stats.kstest(kinetic[1:], stats.gamma(3.0, scale=KT).cdf).pvalue > 0.01
    centre = masses @ path.waypoints[-1]
    np.testing.assert_allclose(centre, 0.0, atol=1e-9)


@pytest.mark.parametrize("n_atoms", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_velocity_rescaling_draws_kinetic_energies_of_the_canonical_ensemble(n_atoms):
    n = 3 * n_atoms
    path = run(FREE, VelocityRescaling(), rescaling(n), (0.0,), 10000, 10, n_atoms, 0.25)
    kinetic = (path.checked_momenta[1:] ** 2).sum(axis=(1, 2)) / 2.0
    assert stats.kstest(kinetic, stats.gamma(0.5 * n, scale=KT).cdf).pvalue > 0.01


BATHS = {
    "langevin": (Langevin(fixed_centre=False), friction(0.3), (0.0,)),
    "rescaling": (VelocityRescaling(), rescaling(30), (0.0,)),
    "chain": (NoseHooverChain(), Chain.of(STEADY, 30, 0.7), (0.0, np.zeros(3))),
}


@pytest.mark.parametrize("name", BATHS)
def test_temperatures_of_momenta_and_of_positions(name):
    # <sum x dU/dx> = N_f k_BT holds in any potential.
    integrator, bath, variables = BATHS[name]
    path = run(QUARTIC, integrator, bath, variables, 30000, 25, 10, 0.05)
    slope = jax.vmap(jax.grad(lambda x: quartic_energy((), x)))
    with jax.enable_x64(True):
        virial = (path.waypoints * np.asarray(slope(path.waypoints))).sum(axis=(1, 2))[100:]
    kinetic = (path.checked_momenta**2).sum(axis=(1, 2))[100:] / 2.0
    for series, expected in (
        (virial, 30 * KT),
        (kinetic, 15 * KT),
        ((kinetic - 15 * KT) ** 2, 15 * KT**2),
    ):
        found = estimate_mean([series], "eV", "as given")
        assert abs(found.value - expected) < 3.0 * found.error + 2e-3 * expected
    # What is conserved wanders far less than the energy that the bath exchanges.
    circumstances = Circumstances(0.05, np.ones((10, 1)), bath, 0)
    conserved, energies = [], []
    for i, noted in enumerate(path.checked_variables):
        motion = Motion(path.waypoints[i], path.checked_momenta[i], np.eye(3), None, None,
                        path.energies[i], noted)  # fmt: skip
        conserved.append(float(integrator.conserved_energy(motion, circumstances)))
        energies.append(path.energies[i] + (path.checked_momenta[i] ** 2).sum() / 2.0)
    assert np.std(conserved) < 0.03 * np.std(energies)


@pytest.mark.parametrize("name", BATHS)
def test_what_is_conserved_is_conserved_to_second_order(name):
    integrator, bath, variables = BATHS[name]
    spread = []
    for refinement in (1, 2):
        step = 0.06 / refinement
        path = run(QUARTIC, integrator, bath, variables, 2400 * refinement, 4, 10, step)
        circumstances = Circumstances(step, np.ones((10, 1)), bath, 0)
        spread.append(
            np.std(
                [
                    integrator.conserved_energy(
                        Motion(None, p, None, None, None, energy, noted), circumstances
                    )
                    for p, energy, noted in zip(
                        path.checked_momenta, path.energies, path.checked_variables, strict=True
                    )
                ]
            )
        )
    assert 2.5 < spread[0] / spread[1] < 6.0


def one_step(integrator, bath, n_atoms=2, time_step=0.3):
    inverse_masses = jnp.array([[1.0], [0.4]])[:n_atoms]
    circumstances = Circumstances(
        time_step, inverse_masses, jax.tree.map(jnp.asarray, bath), jnp.int64(5)
    )

    def step(x, p, variables):
        value, slope = jax.value_and_grad(lambda x: quartic_energy((), x))(x)
        motion = integrator.begin(
            Motion(x, p, jnp.eye(3), -slope, None, value, variables), circumstances
        )
        slope = jax.grad(lambda x: quartic_energy((), x))(motion.positions)
        motion = integrator.complete(motion._replace(forces=-slope), circumstances)
        return motion.positions, motion.momenta, motion.variables

    return step


def test_jacobian_of_langevin():
    with jax.enable_x64(True):
        step = one_step(Langevin(fixed_centre=False), friction(0.8))
        start = np.random.default_rng(2).normal(size=12)

        def flat(y):
            x, p, _ = step(y[:6].reshape(2, 3), y[6:].reshape(2, 3), (0.0,))
            return jnp.concatenate([x.ravel(), p.ravel()])

        found = np.linalg.det(jax.jacfwd(flat)(start))
    assert found == pytest.approx(np.exp(-6 * 0.8 * 0.3), rel=1e-10)


def test_jacobian_and_reversal_of_the_chain():
    with jax.enable_x64(True):
        step = one_step(NoseHooverChain(), Chain.of(STEADY, 6, 0.7), time_step=0.1)
        start = 0.6 * np.random.default_rng(2).normal(size=15)

        def flat(y):
            x, p, (given, v) = step(y[:6].reshape(2, 3), y[6:12].reshape(2, 3), (0.0, y[12:]))
            return jnp.concatenate([x.ravel(), p.ravel(), v]), given

        end, given = flat(start)
        found = np.linalg.det(jax.jacfwd(lambda y: flat(y)[0])(start))
        flip = np.repeat([1.0, -1.0], [6, 9])
        back, returned = flat(end * flip)
    assert abs(float(given)) > 0.01
    assert found == pytest.approx(np.exp(float(given) / KT), rel=1e-10)
    np.testing.assert_allclose(back * flip, start, atol=1e-12)
    assert float(given + returned) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    "precision", [np.float64, pytest.param(np.float32, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", BATHS)
def test_restart_goes_on_bit_for_bit(name, precision):
    integrator, bath, variables = BATHS[name]
    dynamics = dynamics_of(quartic_energy, precision)
    whole = run(dynamics, integrator, bath, variables, 40, 20, 10, 0.05)
    half = run(dynamics, integrator, bath, variables, 20, 20, 10, 0.05)
    rest = run(dynamics, integrator, bath, half.variables, 20, 20, 10, 0.05, first_step=20,
               at=(half.positions, half.momenta))  # fmt: skip
    np.testing.assert_array_equal(rest.positions, whole.positions)
    np.testing.assert_array_equal(rest.momenta, whole.momenta)
    jax.tree.map(np.testing.assert_array_equal, rest.variables, whole.variables)
    assert np.abs(whole.positions - half.positions).max() > 1e-3


def test_single_precision_follows_double_for_a_while():
    for integrator, bath, variables in (BATHS["chain"],):
        fine, rough = (
            run(dynamics_of(quartic_energy, kind), integrator, bath, variables, 100, 100, 10, 0.05)
            for kind in (np.float64, np.float32)
        )
        np.testing.assert_allclose(rough.positions, fine.positions, atol=1e-4)


def test_a_ramp_cools():
    cooling = Ramp(KT, -KT / 1000)
    path = run(CRYSTAL, Langevin(fixed_centre=False), friction(1.0, cooling), (0.0,), 1000, 500,
               400, 0.1, parameters=np.eye(12))  # fmt: skip
    kinetic = (path.checked_momenta**2).mean(axis=(1, 2)) / KT
    assert kinetic[1] == pytest.approx(0.5, abs=0.08)
    assert kinetic[2] < 0.02
