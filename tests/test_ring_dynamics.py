"""What exactness rests on: reversible steps of unit Jacobian, momenta, estimators, limits."""

import jax.numpy as jnp
import numpy as np
import pytest

from hyperatom.analysis.path_integrals import PathIntegrals, bead_radial_distribution
from hyperatom.analysis.radial_distribution import RadialDistribution
from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.ring_polymer import RingPolymer, normal_modes, ring_frequency
from hyperatom.sampling.guided_trajectory import GuidedTrajectory, PathShape
from hyperatom.sampling.momenta import Momenta
from hyperatom.sampling.quantum_canonical import QuantumCanonical
from hyperatom.sampling.staging import StagingMove
from hyperatom.units import BOLTZMANN
from ring_targets import (
    CRYSTAL,
    WELLS,
    Beads,
    assert_exact,
    crystal_rings,
    deviations,
    oscillator,
    quantum_oscillator,
    steps,
)
from targets import AnalyticGuide, isolated, sample


def swirling_pair(x):
    return 0.3 * jnp.sum(x[0] ** 4) + jnp.sum((x[0] - x[1]) ** 2) + 0.2 * jnp.sum(x[1] ** 2) ** 2


def ring_at(seed, n_beads=5, n_atoms=2):
    rng = np.random.default_rng(seed)
    masses = np.array([1.0, 5.0, 2.5])[:n_atoms]
    ring = RingPolymer.collapsed(isolated(np.zeros((n_atoms, 3)), masses), n_beads)
    return ring.with_positions(0.3 * rng.standard_normal((n_beads * n_atoms, 3)))


def test_the_path_run_backwards_returns_to_its_start() -> None:
    ensemble = QuantumCanonical(200.0, fixed_centre_of_mass=False)
    guide = Beads(swirling_pair, swirl=0.2)
    proposal = GuidedTrajectory(guide, ensemble, time_step=1.0, length=1.0)
    ring, shape = ring_at(3), PathShape(1.5, 4, (3, 1, 2))
    there = proposal.follow(ring, shape, np.random.default_rng(4))
    back = proposal.follow(
        there.end, shape.reversed(), [p.flipped() for p in reversed(there.ended)]
    )
    assert np.abs(there.end.positions - ring.positions).max() > 0.1
    np.testing.assert_allclose(back.end.positions, ring.positions, atol=1e-12)
    for ended, started in zip(back.ended, reversed(there.started), strict=True):
        np.testing.assert_allclose(-ended.atoms, started.atoms, atol=1e-12)
    proposed = proposal.judge_path(ring, shape, there, exempt=False)
    returned = proposal.judge_path(there.end, shape.reversed(), back, exempt=False)
    assert abs(proposed.log_ratio) > 1e-2
    assert returned.log_ratio == pytest.approx(-proposed.log_ratio, abs=1e-9)
    assert returned.record["guide_drift"] == pytest.approx(proposed.record["guide_drift"], abs=1e-9)


@pytest.mark.parametrize("swirl", [0.0, 0.3])
def test_a_step_preserves_volume_and_with_a_gradient_the_symplectic_form(swirl: float) -> None:
    ensemble = QuantumCanonical(200.0, fixed_centre_of_mass=False)
    ring = ring_at(5, n_beads=3)
    guide = Beads(swirling_pair, swirl=swirl)
    free = ensemble.dynamics(Momenta(ring.positions), ring)
    momenta = ensemble.draw(ring, np.random.default_rng(6)).atoms
    n = ring.positions.size

    def step(point):
        moved = ring.with_positions(point[:n].reshape(-1, 3))
        end = guide.trajectory(moved, point[n:].reshape(-1, 3), 0.2, 2, 2, free)
        return np.concatenate([end.positions.ravel(), end.momenta.ravel()])

    point = np.concatenate([ring.positions.ravel(), momenta.ravel()])
    h = 1e-5
    jacobian = np.array(
        [(step(point + h * e) - step(point - h * e)) / (2.0 * h) for e in np.eye(2 * n)]
    ).T
    assert abs(np.linalg.det(jacobian)) == pytest.approx(1.0, abs=1e-7)
    form = np.block([[np.zeros((n, n)), np.eye(n)], [-np.eye(n), np.zeros((n, n))]])
    violation = np.abs(jacobian.T @ form @ jacobian - form).max()
    assert violation < 1e-6 if swirl == 0.0 else violation > 1e-3


def test_the_free_ring_moves_exactly_at_any_time_step() -> None:
    ensemble = QuantumCanonical(300.0, fixed_centre_of_mass=False)
    ring = ring_at(7, n_beads=6)
    guide = Beads(lambda x: 0.0 * jnp.sum(x))
    free = ensemble.dynamics(Momenta(ring.positions), ring)
    p = ensemble.draw(ring, np.random.default_rng(8)).atoms
    one = guide.trajectory(ring, p, 40.0, 1, 1, free)
    many = guide.trajectory(ring, p, 40.0 / 64, 64, 64, free)
    np.testing.assert_allclose(one.positions, many.positions, atol=1e-10)
    end = ring.with_positions(one.positions)
    before = ring.spring_energy(300.0) + ensemble.kinetic_energy(Momenta(p), ring)
    after = end.spring_energy(300.0) + ensemble.kinetic_energy(Momenta(one.momenta), ring)
    assert abs(end.spring_energy(300.0) - ring.spring_energy(300.0)) > 1e-3
    assert after == pytest.approx(before, rel=1e-12)


def test_one_bead_is_the_classical_chain() -> None:
    classical = WELLS.ensemble
    quantum = QuantumCanonical(classical.temperature, fixed_centre_of_mass=False)
    guide = AnalyticGuide(WELLS.energy, WELLS.displaced)
    beads = Beads(lambda x: WELLS.energy(WELLS.displaced, x))
    reference = Beads(lambda x: WELLS.energy(WELLS.right, x))
    settings = steps(25.0, 4, segments=2, spread=0.3)
    start = WELLS.start(3)
    one = sample(GuidedTrajectory(guide, classical, **settings), reference, classical, start, 60, 5)
    ring = RingPolymer.collapsed(start, 1)
    other = sample(GuidedTrajectory(beads, quantum, **settings), reference, quantum, ring, 60, 5)
    assert 0.3 < one.acceptance < 0.9
    np.testing.assert_allclose(one.positions, other.positions, atol=1e-8)
    assert [t.accepted for t in one.transitions] == [t.accepted for t in other.transitions]


def test_momenta_of_the_modes_are_maxwellian() -> None:
    ring = ring_at(9, n_beads=4, n_atoms=3)
    for fixed in (True, False):
        ensemble = QuantumCanonical(400.0, fixed_centre_of_mass=fixed)
        rng = np.random.default_rng(10)
        momenta = np.array([ensemble.draw(ring, rng).atoms for _ in range(8000)])
        kinetic = np.array([ensemble.kinetic_energy(Momenta(p), ring) for p in momenta])
        kinetic /= ensemble.thermal_energy
        degrees = ensemble.degrees_of_freedom(ring)
        assert degrees == 36 - 3 * fixed
        assert_exact(
            {
                "mean": deviations([kinetic], 0.5 * degrees),
                "variance": deviations([(kinetic - 0.5 * degrees) ** 2], 0.5 * degrees),
            }
        )
        total = momenta.sum(axis=1)
        assert (np.abs(total).max() < 1e-10) == fixed


def test_the_centre_of_mass_of_the_centroid_stays_where_it_is() -> None:
    rings = crystal_rings(3, 150.0, CRYSTAL.displaced(), 60, steps(7.0, 5, segments=2))
    for states in rings.chains:
        centres = (
            np.array([CRYSTAL.masses @ s.configuration.centroid().positions for s in states])
            / CRYSTAL.masses.sum()
        )
        np.testing.assert_allclose(centres, np.broadcast_to(centres[0], centres.shape), atol=1e-10)
        # The beads' own centres of mass do move.
        beads = np.array([CRYSTAL.masses @ s.configuration.bead_positions[0] for s in states])
        assert np.ptp(beads, axis=0).min() > 1e-3


def gaussian_rings(n_rings, frequency, mass, temperature, n_beads, rng):
    """Exact samples of one particle in a harmonic well, and their evaluations."""
    modes, eigenvalues = normal_modes(n_beads)
    springs = mass * ring_frequency(n_beads, temperature) ** 2 * eigenvalues
    width = np.sqrt(BOLTZMANN * temperature / (springs + mass * frequency**2 / n_beads))
    normal = rng.standard_normal((n_rings, n_beads, 3)) * width[:, None]
    positions = np.einsum("kj,nkx->njx", modes, normal)
    atom = isolated(np.zeros((1, 3)), [mass])
    rings = [RingPolymer.of_beads(atom, x[:, None, :]) for x in positions]
    stiffness = mass * frequency**2
    evaluations = [
        Evaluation(0.5 * stiffness * float(np.sum(x**2)), -stiffness * x) for x in positions
    ]
    return rings, evaluations


def test_estimators_on_exact_samples_of_an_oscillator() -> None:
    frequency, mass, temperature, n_beads = 1.2, 1.5, 250.0, 8
    rng = np.random.default_rng(11)
    rings, evaluations = gaussian_rings(6000, frequency, mass, temperature, n_beads, rng)
    found = PathIntegrals(temperature).compute(rings, evaluations)
    exact = oscillator(frequency, mass, temperature, n_beads)
    step = 1.0
    slope = sum(
        sign * 3.0 * oscillator(frequency, mass, temperature + sign * step, n_beads)["E"]
        for sign in (1, -1)
    ) / (2.0 * step)
    (radius,) = found.radius_of_gyration.values()
    for estimate, value in (
        (found.energy, 3.0 * exact["E"]),
        (found.energy_primitive, 3.0 * exact["E"]),
        (found.potential_energy, 3.0 * exact["U"]),
        (found.kinetic_energy, 3.0 * (exact["E"] - exact["U"])),
        (found.heat_capacity, slope / BOLTZMANN),
        (radius, np.sqrt(3.0 * exact["gyration"])),
    ):
        assert abs(estimate.value - value) < 3.0 * estimate.error, (estimate, value)
        assert estimate.error < 0.08 * value
        assert estimate.kind == "exact"
    assert found.energy.error < 0.7 * found.energy_primitive.error


def test_many_beads_approach_the_quantum_oscillator() -> None:
    exact = quantum_oscillator(1.2, 100.0)
    errors = [exact - oscillator(1.2, 1.0, 100.0, n)["E"] for n in (32, 64, 128)]
    assert 0.0 < errors[2] < 2e-3 * exact
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.02)
    assert oscillator(1.2, 1.0, 100.0, 1)["E"] == pytest.approx(BOLTZMANN * 100.0)


def test_radial_distribution_of_beads_has_one_sample_for_each_ring() -> None:
    rng = np.random.default_rng(12)
    pair = Configuration(
        np.array([8, 1]), np.zeros((2, 3)), 6.0 * np.eye(3), np.ones(3, dtype=bool), [16.0, 1.0]
    )
    rings = [RingPolymer.of_beads(pair, rng.uniform(0.0, 6.0, (3, 2, 3))) for _ in range(40)]
    found = bead_radial_distribution(rings, r_max=3.0, bins=6)
    every = RadialDistribution(3.0, 6).compute([bead for ring in rings for bead in ring.beads()])
    np.testing.assert_allclose(found.g["O-H"], every.g["O-H"], rtol=1e-12)
    assert found.n_configurations == 40
    whole = found.coordination("O-H", 3.0)
    assert whole.value == pytest.approx(every.coordination("O-H", 3.0).value)


def test_impossible_ensembles_are_refused_in_words() -> None:
    with pytest.raises(InputError, match=r"temperature of 0\.0 K"):
        QuantumCanonical(0.0)
    with pytest.raises(InputError, match="period of the modes of -1"):
        QuantumCanonical(300.0, mode_period=-1.0)
    with pytest.raises(InputError, match="centre of mass of a single atom"):
        QuantumCanonical(300.0).draw(ring_at(1, 4, 1), np.random.default_rng(1))
    with pytest.raises(InputError, match="5 beads does not fit into a ring of 5"):
        StagingMove(300.0, 5, 0.1).propose(ring_at(1), np.random.default_rng(1))
    with pytest.raises(InputError, match="at least one ring"):
        PathIntegrals(300.0).compute([], [])
    with pytest.raises(InputError, match="1 ring polymers came with 0"):
        PathIntegrals(300.0).compute([ring_at(1)], [])
    with pytest.raises(InputError, match="differ in their numbers of beads"):
        PathIntegrals(300.0).compute([ring_at(1), ring_at(1, 4)], [])
