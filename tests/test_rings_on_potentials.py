"""Ring polymers on compiled potentials: beads that do not see each other, all in one program."""

import jax
import numpy as np
import pytest

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.geometry.neighbour_lists import NeighbourLists
from hyperatom.potentials.classical.buckingham import bks_silica
from hyperatom.potentials.classical.morse import morse
from hyperatom.potentials.features.density import DensitySettings
from hyperatom.potentials.linear_density import LinearDensityModel
from hyperatom.potentials.linear_learner import LinearDensityLearner
from hyperatom.ring_polymer import RingPolymer
from hyperatom.sampling.guided_trajectory import GuidedTrajectory, PathShape
from hyperatom.sampling.quantum_canonical import QuantumCanonical

POTENTIAL = morse([1, 8], [[0.3, 0.5], [0.5, 0.4]], 1.6, [[1.6, 1.2], [1.2, 2.0]], 3.2)


def ring(n_beads: int = 5, spread: float = 0.08, seed: int = 0) -> RingPolymer:
    """Six atoms in a triclinic cell thinner than twice the cutoff, some outside of it."""
    rng = np.random.default_rng(seed)
    cell = np.array([[4.6, 0.0, 0.0], [0.9, 4.8, 0.0], [-0.5, 0.7, 5.0]])
    grid = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)][:6]) / 2.0
    positions = (grid + rng.uniform(-0.05, 0.05, grid.shape) + 1.7) @ cell
    atoms = Configuration([1, 8, 1, 1, 8, 1], positions, cell, [True] * 3, [1, 16, 2, 1, 16, 1])
    return RingPolymer.of_beads(atoms, positions + spread * rng.standard_normal((n_beads, 6, 3)))


def test_a_potential_sees_separate_copies() -> None:
    together = POTENTIAL.evaluate(ring())
    alone = [POTENTIAL.evaluate(bead) for bead in ring().beads()]
    assert together.energy == pytest.approx(sum(one.energy for one in alone), abs=1e-12)
    np.testing.assert_allclose(
        together.forces, np.concatenate([one.forces for one in alone]), atol=1e-12
    )
    np.testing.assert_allclose(together.stress, sum(one.stress for one in alone), atol=1e-13)


def test_a_path_with_renewed_lists_is_that_of_separate_evaluations_and_runs_backwards() -> None:
    ensemble = QuantumCanonical(900.0)
    proposal = GuidedTrajectory(POTENTIAL, ensemble, time_step=1.0, length=1.0)
    start, shape = ring(), PathShape(1.0, 20, (6,))
    drawn = ensemble.draw(start, np.random.default_rng(1))
    momenta = drawn.atoms
    there = proposal.follow(start, shape, [drawn])
    moved = np.linalg.norm(there.end.positions - start.positions, axis=1)
    assert moved.max() > 1.0, "no list was renewed"

    free = ensemble.dynamics(drawn, start)
    step = 1.0 * 0.09822694788464063
    masses, frequencies = free.parameters.masses, free.parameters.frequencies
    modes = free.parameters.modes
    x, p = start.positions, momenta
    forces = POTENTIAL.evaluate(start).forces
    for _ in range(40):
        p = p + 0.5 * step / 5 * forces
        q, v = (np.tensordot(modes, y.reshape(5, 6, 3), 1) for y in (x, p))
        w, m = frequencies[..., None], masses[..., None]
        sine = np.where(w > 0, np.sin(w * step) / np.where(w > 0, w, 1.0), step)
        q, v = np.cos(w * step) * q + sine / m * v, np.cos(w * step) * v - m * w**2 * sine * q
        x, p = (np.tensordot(modes.T, y, 1).reshape(-1, 3) for y in (q, v))
        forces = np.concatenate(
            [POTENTIAL.evaluate(bead).forces for bead in start.with_positions(x).beads()]
        )
        p = p + 0.5 * step / 5 * forces
    np.testing.assert_allclose(there.trajectories[0].waypoints[2], x, atol=1e-9)

    back = proposal.follow(there.end, shape, [there.ended[0].flipped()])
    np.testing.assert_allclose(back.end.positions, start.positions, atol=1e-7)
    drift = proposal.judge_path(start, shape, there, exempt=True).record["guide_drift"]
    assert drift < 0.05 * ensemble.thermal_energy * 3 * start.n_atoms


@pytest.mark.slow
def test_a_learned_guide_tells_energy_and_error_of_the_sum() -> None:
    settings = DensitySettings(
        species=(1, 8), cutoff=3.0, n_radial=4, max_degree=2, power_spectrum_radial=3,
        power_spectrum_degree=2, bispectrum_radial=0, bispectrum_degree=0,
    )  # fmt: skip
    model = LinearDensityModel(settings)
    learner = LinearDensityLearner(model, ring().centroid())
    for seed in range(3):
        for bead in ring(4, seed=seed).beads():
            learner.add(bead, POTENTIAL.evaluate(bead))
    guide = learner.fit()
    alone = [guide.evaluate(bead) for bead in ring(3, seed=9).beads()]
    together = guide.evaluate(ring(3, seed=9))
    assert together.energy == pytest.approx(sum(one.energy for one in alone), abs=1e-9)
    # Beads are alike, and so are their errors: more than independent, at most fully correlated.
    errors = np.array([one.energy_error for one in alone])
    assert np.sqrt(np.sum(errors**2)) * 0.9 < together.energy_error <= errors.sum()


def test_beads_do_not_meet_in_a_neighbour_list() -> None:
    one = ring(3)
    lists = NeighbourLists(
        one.cell, one.periodic, np.zeros(18, dtype=np.int32), 1, 3.0, 0.5, n_copies=3
    )
    with jax.enable_x64(True):
        found = lists.make(one.positions)
    assert np.array_equal(
        found.index // 6, np.repeat(np.arange(18) // 6, found.index.shape[1]).reshape(18, -1)
    )


def test_long_range_potentials_refuse_rings_in_words() -> None:
    atoms = Configuration([14, 8, 8], np.eye(3) * 2.0, 6.0 * np.eye(3), [True] * 3, [28, 16, 16])
    with pytest.raises(InputError, match="long-range part cannot move ring polymers"):
        bks_silica().evaluate(RingPolymer.collapsed(atoms, 2))


def test_more_beads_than_memory_are_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperatom.geometry.neighbours.physical_memory", lambda: 2e5)
    with pytest.raises(
        InputError, match=r"50 copies of 6 atoms need about .* Use at most \d+ beads"
    ):
        POTENTIAL.evaluate(ring(50))
