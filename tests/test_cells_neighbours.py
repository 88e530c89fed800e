"""Cells and neighbour lists against ASE's independent code, on the cells that break others."""

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from hyperatom.errors import InputError
from hyperatom.geometry.cells import complete_cell, heights, wrap
from hyperatom.geometry.neighbour_lists import NeighbourLists
from hyperatom.geometry.neighbours import (
    SlotsExceededError,
    find_neighbours,
    minimum_distance,
)

CUBE = np.diag([6.0, 6.0, 6.0])
TRICLINIC = np.array([[5.0, 0.0, 0.0], [3.5, 4.0, 0.0], [-2.0, 2.5, 4.5]])
THIN = np.diag([2.1, 9.0, 3.0])
SLAB = np.array([[5.0, 0.0, 0.0], [2.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
TILTED_SLAB = np.array([[5.0, 0.0, 0.0], [2.0, 4.0, 0.0], [3.0, 1.0, 2.0]])
WIRE = np.array([[0.0, 0.0, 0.0], [1.0, 0.3, 4.0], [0.0, 0.0, 0.0]])

CELLS = {
    "cube": (CUBE, (True, True, True), 7),
    "triclinic": (TRICLINIC, (True, True, True), 5),
    "thin": (THIN, (True, True, True), 4),
    "left-handed": (TRICLINIC[::-1], (True, True, True), 5),
    "slab": (SLAB, (True, True, False), 6),
    "slab in a shorter cell": (TILTED_SLAB, (True, True, False), 6),
    "wire": (WIRE, (False, True, False), 5),
    "isolated": (np.zeros((3, 3)), (False, False, False), 6),
    "isolated in a cell": (CUBE, (False, False, False), 6),
    "one atom": (TRICLINIC, (True, True, True), 1),
    "one isolated atom": (np.zeros((3, 3)), (False, False, False), 1),
}


def rotation(seed):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]


def sorted_rows(rows):
    return rows[np.lexsort(np.round(rows, 6).T)]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("cutoff", [1.7, 4.3, 7.9])
@pytest.mark.parametrize("turn", [None, 1])
def test_neighbours_equal_those_of_ase_for_unwrapped_positions(name, cutoff, turn):
    cell, periodic, n_atoms = CELLS[name]
    cell, periodic = cell.copy(), np.array(periodic)
    rng = np.random.default_rng(len(name))
    positions = rng.uniform(-1.0, 2.0, size=(n_atoms, 3)) @ complete_cell(cell, periodic)
    positions += rng.uniform(-2.0, 2.0, size=positions.shape)
    if turn is not None:
        cell, positions = cell @ rotation(turn), positions @ rotation(turn)
    species = rng.integers(0, 3, n_atoms)
    neighbours = find_neighbours(positions, cell, periodic, species, 3, cutoff)

    i, j, vectors = neighbor_list(
        "ijD", Atoms(positions=positions, cell=cell, pbc=periodic), cutoff, self_interaction=False
    )
    found = positions[neighbours.index] + np.moveaxis(neighbours.shift, 0, 2) - positions[:, None]
    distances = np.linalg.norm(found, axis=2)
    real = distances < cutoff
    # Slots without a neighbour lie beyond the cutoff and hold the atom itself.
    assert np.all(neighbours.index[~real] == np.nonzero(~real)[0])
    where = np.nonzero(real)
    ours = np.column_stack([where[0], neighbours.index[real], found[real]])
    np.testing.assert_allclose(
        sorted_rows(ours), sorted_rows(np.column_stack([i, j, vectors])), atol=1e-10
    )
    # Every real slot lies in the range of its neighbour's species.
    slot_species = np.repeat(np.arange(3), neighbours.slots)
    assert np.array_equal(species[neighbours.index[real]], slot_species[where[1]])
    # The reverse slot holds the opposite vector, and reversing twice returns.
    reverse = neighbours.reverse
    assert np.array_equal(reverse.ravel()[reverse], np.arange(reverse.size).reshape(reverse.shape))
    np.testing.assert_allclose(found.reshape(-1, 3)[reverse[real]], -found[real], atol=1e-10)
    np.testing.assert_array_equal(reverse[~real], np.arange(reverse.size)[(~real).ravel()])


def test_a_list_with_a_skin_stays_right_until_an_atom_moved_by_half_of_it():
    cell, periodic, _ = CELLS["triclinic"]
    rng = np.random.default_rng(3)
    positions = rng.uniform(size=(6, 3)) @ cell
    species = np.zeros(6, dtype=int)
    lists = NeighbourLists(cell, np.array(periodic), species, 1, cutoff=4.0, skin=0.6)
    neighbours = lists.make(positions)
    step = rng.normal(size=(6, 3))
    moved = positions + 0.2999 * step / np.linalg.norm(step, axis=1)[:, None]
    shift = np.moveaxis(neighbours.shift, 0, 2)
    kept = np.linalg.norm(moved[neighbours.index] + shift - moved[:, None], axis=2)
    true = neighbor_list("d", Atoms(positions=moved, cell=cell, pbc=periodic), 4.0)
    np.testing.assert_allclose(np.sort(kept[kept < 4.0]), np.sort(true), atol=1e-10)


def test_capacity_keeps_shapes_and_grows_when_exceeded():
    cell, periodic = 8.0 * np.eye(3), np.ones(3, dtype=bool)
    rng = np.random.default_rng(0)
    sparse = rng.uniform(0.0, 8.0, (20, 3))
    dense = rng.uniform(0.0, 3.0, (20, 3))
    species = np.arange(20) % 2
    with pytest.raises(SlotsExceededError) as caught:
        find_neighbours(dense, cell, periodic, species, 2, 3.0, capacity=(8, 16))
    assert caught.value.needed[0] > 8
    lists = NeighbourLists(cell, periodic, species, 2, cutoff=3.0, skin=0.0)
    first = lists.make(sparse).slots
    assert lists.make(dense).slots == tuple(lists.capacity)
    assert sum(lists.capacity) > sum(first)
    assert lists.make(sparse).slots == tuple(lists.capacity)
    assert all(count % 8 == 0 for count in lists.capacity)


def test_positions_that_are_not_finite_are_refused_in_plain_words():
    positions = np.array([[0.0, 0.0, np.nan]])
    with pytest.raises(InputError, match="not finite"):
        find_neighbours(positions, CUBE, np.ones(3, bool), np.zeros(1, int), 1, 3.0)


@pytest.mark.parametrize("name", ["triclinic", "slab", "tilted", "wire"])
def test_wrapping_moves_by_whole_lattice_vectors_into_the_cell(name):
    cell, periodic, _ = CELLS[name if name != "tilted" else "slab in a shorter cell"]
    periodic = np.array(periodic)
    positions = np.random.default_rng(1).normal(scale=20.0, size=(9, 3))
    wrapped = wrap(positions, cell, periodic)
    full = complete_cell(cell, periodic)
    fractional = wrapped @ np.linalg.inv(full)
    assert np.all((fractional > -1e-12) & (fractional < 1.0 + 1e-12) | ~periodic)
    moved = (positions - wrapped) @ np.linalg.inv(full)
    np.testing.assert_allclose(moved, np.round(moved), atol=1e-10)
    np.testing.assert_allclose(moved[:, ~periodic], 0.0, atol=1e-10)


def test_heights_are_volume_over_face_area():
    volume = abs(np.linalg.det(TRICLINIC))
    faces = [np.linalg.norm(np.cross(TRICLINIC[k - 2], TRICLINIC[k - 1])) for k in range(3)]
    np.testing.assert_allclose(heights(TRICLINIC, np.ones(3, bool)), volume / np.array(faces))
    slab = heights(SLAB, np.array([True, True, False]))
    np.testing.assert_allclose(slab, [20.0 / np.hypot(2.0, 4.0), 4.0, np.inf])


@pytest.mark.parametrize("name", [name for name in CELLS if name != "one isolated atom"])
def test_minimum_distance_counts_images(name):
    cell, periodic, n_atoms = CELLS[name]
    positions = np.random.default_rng(7).uniform(-9.0, 9.0, size=(n_atoms, 3))
    atoms = Atoms(positions=positions, cell=cell, pbc=periodic)
    expected = neighbor_list("d", atoms, 20.0 if not all(periodic) else 7.0).min()
    assert minimum_distance(positions, cell, np.array(periodic)) == pytest.approx(expected)


def test_a_single_isolated_atom_has_no_distance():
    assert minimum_distance(np.zeros((1, 3)), np.zeros((3, 3)), np.zeros(3, bool)) == np.inf
