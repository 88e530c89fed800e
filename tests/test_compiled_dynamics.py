"""Compiled dynamics: order of the integrator, reversibility, invisible renewal of lists."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperatom.dynamics.compiled_dynamics import CompiledDynamics, at_rest
from hyperatom.dynamics.velocity_verlet import VelocityVerlet
from hyperatom.errors import InputError
from hyperatom.geometry.narrow_neighbours import narrow
from hyperatom.geometry.neighbour_lists import NeighbourLists
from hyperatom.geometry.neighbours import SLOT_MULTIPLE, find_neighbours
from hyperatom.potentials.local_energy import energy_forces_virial

CUTOFF = 4.0
CELL = 6.3 * np.eye(3)
PERIODIC = np.ones(3, dtype=bool)
SPECIES = np.zeros(27, dtype=np.int32)


def repulsive_energy(strength, displacements, central_species, slots):
    # A smooth pair repulsion, half of each pair to each atom.
    distance = jnp.sqrt(jnp.sum(displacements**2, axis=0))
    t = jnp.minimum(distance / CUTOFF, 1.0)
    return 0.5 * strength * jnp.sum((1.0 - t) ** 4 * jnp.exp(-distance), axis=1)


def local_forces(strength, positions, cell, neighbours):
    return energy_forces_virial(
        repulsive_energy, strength, positions, jnp.asarray(SPECIES), neighbours, 10
    ).of_dynamics()


def harmonic_forces(stiffness, positions, cell, neighbours):
    return 0.5 * stiffness * jnp.sum(positions**2), -stiffness * positions, jnp.zeros((3, 3))


def run(dynamics, parameters, positions, momenta, *rest):
    return dynamics.run(parameters, at_rest(positions, momenta, CELL), *rest)


def lists(skin=0.8):
    return NeighbourLists(CELL, PERIODIC, SPECIES, 1, CUTOFF, skin)


def start(seed=0, speed=0.4):
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(27, 3) * 2.1
    masses = rng.uniform(1.0, 20.0, 27)
    momenta = rng.normal(size=(27, 3)) * speed * np.sqrt(masses)[:, None]
    return grid + rng.uniform(-0.2, 0.2, (27, 3)), momenta, masses


LOCAL = CompiledDynamics(local_forces)
HARMONIC = CompiledDynamics(harmonic_forces)
STRENGTH = np.float64(60.0)


def kinetic(momenta, masses):
    return float(np.sum(momenta**2 / masses[:, None]) / 2.0)


def test_an_oscillator_follows_velocity_verlet_exactly():
    # Velocity Verlet turns a harmonic oscillator with cos(phase) = 1 - (omega dt)^2 / 2.
    masses, stiffness, time_step, n_steps = np.array([2.0]), np.float64(3.0), 0.1, 40
    path = run(
        HARMONIC,
        stiffness,
        np.array([[1.0, 0.0, -0.5]]),
        np.zeros((1, 3)),
        masses,
        time_step,
        n_steps,
        8,
    )
    phase = np.arccos(1.0 - 0.5 * stiffness / masses[0] * time_step**2)
    amplitudes = np.cos(phase * np.arange(0, n_steps + 1, 8))
    np.testing.assert_allclose(path.waypoints[:, 0, 0], amplitudes, atol=1e-13)
    np.testing.assert_allclose(path.energies, 0.5 * stiffness * 1.25 * amplitudes**2, atol=1e-12)
    assert path.n_lists == 0


def test_energy_error_falls_with_the_square_of_the_time_step():
    positions, momenta, masses = start()
    errors = []
    for refinement in (1, 2, 4):
        path = run(LOCAL, STRENGTH, positions, momenta, masses, 0.04 / refinement, 40 * refinement,
            40 * refinement, lists(),
        )  # fmt: skip
        total = path.energies[-1] + kinetic(path.momenta, masses)
        errors.append(abs(total - path.energies[0] - kinetic(momenta, masses)))
    assert errors[0] > 1e-6
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.1)


def test_forward_flip_backward_returns_to_the_start():
    positions, momenta, masses = start()
    there = run(LOCAL, STRENGTH, positions, momenta, masses, 0.03, 200, 50, lists())
    back = run(LOCAL, STRENGTH, there.positions, -there.momenta, masses, 0.03, 200, 50, lists())
    assert there.n_lists > 2
    assert np.abs(there.positions - positions).max() > 1.0
    np.testing.assert_allclose(back.positions, positions, atol=1e-9)
    np.testing.assert_allclose(-back.momenta, momenta, atol=1e-9)
    np.testing.assert_allclose(back.waypoints[::-1], there.waypoints, atol=1e-9)
    np.testing.assert_allclose(back.energies[::-1], there.energies, atol=1e-9)


def test_renewal_of_lists_is_invisible():
    positions, momenta, masses = start(1)
    paths = [
        run(LOCAL, STRENGTH, positions, momenta, masses, 0.03, 120, 40, lists(skin))
        for skin in (0.05, 0.5, 6.0)
    ]
    assert paths[0].n_lists > paths[1].n_lists > paths[2].n_lists
    for path in paths[1:]:
        np.testing.assert_allclose(path.positions, paths[0].positions, atol=1e-10)
        np.testing.assert_allclose(path.energies, paths[0].energies, atol=1e-10)


def test_a_narrowed_list_is_the_list_of_a_new_search():
    positions, _, _ = start(6)
    wide = NeighbourLists(CELL, PERIODIC, SPECIES, 1, CUTOFF, 0.4).make_wide(positions)
    moved = positions + np.random.default_rng(0).uniform(-0.5, 0.5, positions.shape)
    reach = CUTOFF + 0.4
    searched = find_neighbours(moved, CELL, PERIODIC, SPECIES, 1, reach)
    with jax.enable_x64(True):
        radii = jnp.full(len(moved), 0.5 * reach)
        made, needed = jax.jit(narrow, static_argnums=3)(
            wide, jnp.asarray(moved), radii, searched.slots
        )
    assert 0 < int(needed[0]) <= searched.slots[0] < int(needed[0]) + SLOT_MULTIPLE
    distances = []
    for found in (made, searched):
        vectors = moved[np.asarray(found.index)] + np.moveaxis(np.asarray(found.shift), 0, 2)
        vectors -= moved[:, None]
        reverse = np.asarray(found.reverse)
        real = np.linalg.norm(vectors, axis=2) < reach
        np.testing.assert_allclose(vectors.reshape(-1, 3)[reverse[real]], -vectors[real], atol=1e-9)
        distances.append(np.sort(np.linalg.norm(vectors, axis=2), axis=1)[:, : real.sum(1).min()])
        distances.append(real.sum(axis=1))
    np.testing.assert_allclose(distances[0], distances[2], atol=1e-9)
    np.testing.assert_array_equal(distances[1], distances[3])


def test_checks_change_nothing():
    positions, momenta, masses = start(2)
    often = run(LOCAL, STRENGTH, positions, momenta, masses, 0.03, 60, 5, lists())
    once = run(LOCAL, STRENGTH, positions, momenta, masses, 0.03, 60, 60, lists())
    assert often.waypoints.shape == (13, 27, 3)
    np.testing.assert_array_equal(often.waypoints[0], positions)
    np.testing.assert_allclose(often.positions, once.positions, atol=1e-12)
    np.testing.assert_array_equal(often.waypoints[-1], often.positions)


def test_new_numbers_compile_nothing():
    positions, momenta, masses = start(3)
    made = lists()
    made.grow((96,))
    run(LOCAL, STRENGTH, positions, momenta, masses, 0.03, 20, 10, made)
    before = LOCAL._segment(VelocityVerlet())._cache_size()
    run(LOCAL, np.float64(50.0), positions, 0.5 * momenta, masses, 0.02, 60, 4, made)
    assert LOCAL._segment(VelocityVerlet())._cache_size() == before


def test_a_path_that_leaves_the_numbers_ends_in_not_a_number():
    positions, momenta, masses = start(4)
    path = run(HARMONIC, np.float64(-1e4), positions, momenta, masses, 1.0, 2000, 500)
    assert np.isnan(path.positions).all()
    assert np.isnan(path.momenta).all()
    assert np.isfinite(path.energies[0])
    assert np.isnan(path.energies[-1])
    assert np.isnan(path.waypoints[-1]).all()
    path = run(LOCAL, STRENGTH * 1e300, positions, momenta, masses, 1.0, 50, 10, lists())
    assert np.isnan(path.positions).all()


def test_single_precision_follows_for_a_while():
    positions, momenta, masses = start(5)
    single = CompiledDynamics(local_forces, np.float32)
    rough = run(single, np.float32(60.0), positions, momenta, masses, 0.03, 40, 40, lists())
    fine = run(LOCAL, STRENGTH, positions, momenta, masses, 0.03, 40, 40, lists())
    np.testing.assert_allclose(rough.positions, fine.positions, atol=1e-3)
    assert np.abs(rough.positions - fine.positions).max() > 1e-9


def test_checks_must_divide_the_path():
    positions, momenta, masses = start()
    with pytest.raises(InputError, match="checked every"):
        run(HARMONIC, np.float64(1.0), positions, momenta, masses, 0.1, 10, 3)
