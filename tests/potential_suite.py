"""What every potential must satisfy, on cells that are difficult: one call per potential and case.

@pytest.mark.parametrize("case", CASES)
def test_physics(case):
    check_physics(potential, case, spacing=2.4)
"""

from itertools import product

import numpy as np
import pytest

from hyperatom.configuration import Configuration
from hyperatom.potentials.compiled_potential import SKIN

SHEARED = np.array([[3.0, 0.0, 0.0], [0.9, 2.8, 0.0], [-0.6, 0.5, 3.2]])
CASES = {
    # cell in units of the spacing, periodicity, atoms along each vector
    "triclinic": (SHEARED * np.array([[0.7], [0.7], [0.35]]), (1, 1, 1), (2, 2, 1)),
    "thinner than the cutoff": (np.diag([1.05, 2.2, 2.1]), (1, 1, 1), (1, 2, 2)),
    "slab": (np.diag([2.1, 2.2, 0.0]), (1, 1, 0), (2, 2, 1)),
    "wire": (np.diag([2.1, 0.0, 0.0]), (1, 0, 0), (2, 2, 1)),
    "isolated": (np.zeros((3, 3)), (0, 0, 0), (2, 2, 1)),
    "one atom": (SHEARED * 0.36, (1, 1, 1), (1, 1, 1)),
    "one isolated atom": (np.zeros((3, 3)), (0, 0, 0), (1, 1, 1)),
}
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def make_configuration(species, case, spacing, seed=5):
    """Atoms of all `species` in turn on a jittered grid with nearest neighbours at `spacing` Å."""
    cell, periodic, counts = CASES[case]
    cell = spacing * cell
    periodic = np.array(periodic, dtype=bool)
    box = np.where(periodic[:, None], cell, spacing * np.diag(np.array(counts, dtype=float)))
    rng = np.random.default_rng(seed)
    grid = np.array(list(product(*map(range, counts)))) / np.array(counts)
    positions = grid @ box + rng.uniform(-0.06, 0.06, (len(grid), 3)) * spacing
    numbers = np.array([species[i % len(species)] for i in range(len(grid))])
    return Configuration(numbers, positions, cell, periodic, np.full(len(grid), 20.0))


def check_physics(potential, case, spacing, extensive=True, tolerance=1e-6, species=None):
    """Derivatives, symmetries, replication and trajectories of a potential in one of the CASES."""
    species = species or potential.species
    here = make_configuration(species, case, spacing)
    reserve_for_all(potential, species, spacing)
    check_forces(potential, here, tolerance)
    if here.periodic.all():
        check_stress(potential, here, tolerance)
    check_symmetries(potential, here)
    if extensive and here.periodic.any():
        check_replication(potential, here)
    if here.n_atoms > 1:
        check_trajectory(potential, here)


def reserve_for_all(potential, species, spacing):
    """As many neighbour slots as any case needs, so that equal numbers of atoms compile once."""
    model = getattr(potential, "model", None)
    if model is None or model.capacity:
        return
    needed = {0.0: [], SKIN: []}
    for case in CASES:
        here = make_configuration(species, case, spacing)
        for skin, found in needed.items():
            found.append(model.lists(here, skin).make(here.positions).slots)
    # Strained and moving atoms, and other images, may have a few neighbours more.
    model.capacity = {
        skin: tuple(8 * (int(1.1 * n + 11) // 8) for n in np.max(found, axis=0))
        for skin, found in needed.items()
    }


def check_forces(potential, here, tolerance=1e-6):
    """Forces against finite differences of the energy along random directions."""
    forces = potential.evaluate(here).forces
    rng = np.random.default_rng(0)
    step = 2e-4
    for _ in range(2):
        direction = rng.normal(size=forces.shape)
        ends = [
            potential.evaluate(here.with_positions(here.positions + s * step * direction)).energy
            for s in (-2, -1, 1, 2)
        ]
        slope = (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * step)
        expected = -float(np.sum(forces * direction))
        assert slope == pytest.approx(expected, rel=tolerance, abs=tolerance)
    np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-9)


def strained(here, strain):
    """The configuration after r -> r (1 + strain)."""
    stretch = np.eye(3) + strain
    return Configuration(
        here.numbers, here.positions @ stretch, here.cell @ stretch, here.periodic, here.masses
    )


def check_stress(potential, here, tolerance=1e-6):
    """All six components of the stress against finite differences under strain."""
    stress = potential.evaluate(here).stress
    step = 1e-4
    for k, (a, b) in enumerate(VOIGT):
        strain = np.zeros((3, 3))
        strain[a, b] += 0.5
        strain[b, a] += 0.5
        ends = [
            potential.evaluate(strained(here, s * step * strain)).energy for s in (-2, -1, 1, 2)
        ]
        slope = (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * step)
        assert stress[k] * here.volume == pytest.approx(slope, rel=tolerance, abs=tolerance)


def check_symmetries(potential, here, tolerance=1e-10):
    """Rotation, reflection, translation, permutation, and other images of the atoms."""
    found = potential.evaluate(here)
    rng = np.random.default_rng(1)
    scale = max(1.0, abs(found.energy))
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turned = potential.evaluate(
        Configuration(
            here.numbers,
            here.positions @ rotation + 0.7,
            here.cell @ rotation,
            here.periodic,
            here.masses,
        )
    )
    assert turned.energy == pytest.approx(found.energy, abs=tolerance * scale)
    np.testing.assert_allclose(turned.forces, found.forces @ rotation, atol=1e-8)
    order = rng.permutation(here.n_atoms)
    images = rng.integers(-2, 3, (here.n_atoms, 3)) * here.periodic
    moved = here.positions + images @ here.cell
    permuted = potential.evaluate(
        Configuration(here.numbers[order], moved[order], here.cell, here.periodic, here.masses)
    )
    assert permuted.energy == pytest.approx(found.energy, abs=tolerance * scale)
    np.testing.assert_allclose(permuted.forces, found.forces[order], atol=1e-8)


def check_replication(potential, here):
    """Twice the cell, twice the energy; the same forces."""
    found = potential.evaluate(here)
    axis = int(np.flatnonzero(here.periodic)[0])
    cell = here.cell.copy()
    cell[axis] *= 2.0
    double = potential.evaluate(
        Configuration(
            np.tile(here.numbers, 2),
            np.concatenate([here.positions, here.positions + here.cell[axis]]),
            cell,
            here.periodic,
            np.tile(here.masses, 2),
        )
    )
    assert double.energy == pytest.approx(2.0 * found.energy, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(double.forces, np.tile(found.forces, (2, 1)), atol=1e-7)


def check_trajectory(potential, here):
    """Forward, flipped and back again; the energy conserved better with a shorter step."""
    rng = np.random.default_rng(3)
    momenta = rng.normal(size=here.positions.shape) * 0.3
    there = potential.trajectory(here, momenta, 0.02, 20, 10)
    back = potential.trajectory(here.with_positions(there.positions), -there.momenta, 0.02, 20, 10)
    np.testing.assert_allclose(back.positions, here.positions, atol=1e-8)
    assert there.energies[0] == pytest.approx(potential.evaluate(here).energy, rel=1e-9, abs=1e-9)

    def drift(trajectory):
        kinetic = 0.5 * np.sum(trajectory.momenta**2 / here.masses[:, None])
        start = 0.5 * np.sum(momenta**2 / here.masses[:, None])
        return abs(kinetic - start + trajectory.energies[-1] - trajectory.energies[0])

    halved = potential.trajectory(here, momenta, 0.005, 80, 40)
    assert drift(halved) < max(0.25 * drift(there), 1e-7)


def check_cutoff(potential, species=None, smooth=True, tolerance=1e-6):
    """A pair at the cutoff: no energy beyond, no jump there, and no jump of the force if smooth."""
    pair = (species or potential.species)[:2]
    pair = (pair[0], pair[-1])

    def at(distance):
        positions = np.array([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]])
        apart = Configuration(
            np.array(pair), positions, np.zeros((3, 3)), np.zeros(3, dtype=bool), np.ones(2)
        )
        return potential.evaluate(apart)

    far = at(potential.cutoff + 0.5)
    inside = at(potential.cutoff - 1e-5)
    assert inside.energy == pytest.approx(far.energy, abs=tolerance)
    np.testing.assert_array_equal(far.forces, 0.0)
    if smooth:
        np.testing.assert_allclose(inside.forces, 0.0, atol=1e-4)
