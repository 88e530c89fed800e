"""Atoms unlike those that were learned are named, and no others."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hyperatom.configuration import Configuration
from hyperatom.fitting.extrapolation import (
    BELLS,
    MARGIN,
    Ranges,
    extrapolation,
    surroundings,
)
from labelled_frames import labelled_frames

SPECIES, CUTOFF = (1, 8), 3.6
FRAMES = labelled_frames(40, seed=3)
RANGES = Ranges.of(FRAMES, SPECIES, CUTOFF)


def known(ranges):
    return SimpleNamespace(provenance={"ranges": ranges.to_json()})


def test_what_was_learned_lies_inside():
    found = extrapolation(known(RANGES), FRAMES)
    assert found.outside == ()
    assert found.n_atoms == 8 * len(FRAMES)
    assert "None of 320 atoms" in found.sentence()
    assert found.numbers() == {"extrapolating_atoms": 0, "extrapolating_frames": 0}


def test_one_atom_pushed_at_its_neighbour_is_found_with_those_that_see_it():
    here = FRAMES[5].configuration
    positions = here.positions.copy()
    positions[2] += 0.55 * (positions[3] - positions[2])
    odd = replace(FRAMES[5], configuration=here.with_positions(positions), source="odd.xyz#0")
    found = extrapolation(known(RANGES), [FRAMES[0], odd, FRAMES[1]])
    atoms = {one.atom for one in found.outside}
    assert {one.frame for one in found.outside} == {1}
    assert {2, 3} <= atoms
    widths = [one.widths for one in found.outside]
    assert widths == sorted(widths, reverse=True)
    assert min(widths) > MARGIN
    assert "odd.xyz#0" in found.sentence()
    assert found.numbers()["extrapolating_frames"] == 1


def test_new_samples_of_the_same_kind_hardly_ever_extrapolate():
    more = labelled_frames(40, seed=4)
    found = extrapolation(known(RANGES), more)
    assert len(found.outside) < 0.15 * found.n_atoms
    wild = extrapolation(known(RANGES), labelled_frames(40, seed=4, spread=0.4))
    assert len(wild.outside) > 0.7 * wild.n_atoms


def test_ranges_survive_their_file_bit_for_bit():
    again = Ranges.from_json(RANGES.to_json())
    np.testing.assert_array_equal(again.lowest, RANGES.lowest)
    np.testing.assert_array_equal(again.highest, RANGES.highest)
    assert (again.species, again.cutoff) == (RANGES.species, RANGES.cutoff)


def test_sums_do_not_change_under_rotations_and_translations():
    here = FRAMES[0].configuration
    turn = Rotation.from_euler("xyz", (0.3, 1.1, -0.7)).as_matrix()
    turned = here.with_cell((here.positions + np.array([0.3, -0.2, 5.0])) @ turn, here.cell @ turn)
    np.testing.assert_allclose(
        surroundings(turned, SPECIES, CUTOFF), surroundings(here, SPECIES, CUTOFF), atol=1e-10
    )


def test_sums_go_smoothly_to_zero_at_the_cutoff():
    def pair(distance):
        positions = [[0.0, 0.0, 0.0], [distance, 0.0, 0.0]]
        two = Configuration([1, 8], positions, np.zeros((3, 3)), [False] * 3, [1.0, 16.0])
        return surroundings(two, SPECIES, CUTOFF)

    near = pair(CUTOFF - 1e-3)
    assert 0.0 < np.abs(near).max() < 1e-5
    assert np.abs(pair(CUTOFF + 1e-3)).max() == 0.0


@pytest.mark.parametrize("copies", [(1, 1, 1), (2, 1, 3)])
def test_a_cell_thinner_than_the_cutoff_is_as_its_repetition(copies):
    cell = np.array([[1.6, 0.0, 0.0], [0.3, 2.1, 0.0], [0.0, 0.4, 1.9]])
    places = np.array([[i, j, k] for i in range(copies[0]) for j in range(copies[1])
                       for k in range(copies[2])])  # fmt: skip
    one = Configuration([8], np.zeros((1, 3)), cell, [True] * 3, [16.0])
    many = Configuration(
        [8] * len(places), places @ cell, np.diag(copies) @ cell, [True] * 3, [16.0] * len(places)
    )
    sums = surroundings(many, SPECIES, CUTOFF)
    assert sums.shape == (len(places), 3 * BELLS * 2)
    np.testing.assert_allclose(sums, np.repeat(surroundings(one, SPECIES, CUTOFF), len(sums), 0),
                               atol=1e-10)  # fmt: skip


def test_a_potential_that_was_not_fitted_here_knows_nothing():
    assert extrapolation(SimpleNamespace(), FRAMES) is None


def test_atoms_that_are_alone_and_a_species_never_seen_in_the_middle():
    alone = Configuration([1], np.zeros((1, 3)), np.zeros((3, 3)), [False] * 3, [1.0])
    assert np.abs(surroundings(alone, SPECIES, CUTOFF)).max() == 0.0
    assert RANGES.widths_outside(alone)[0] > MARGIN
    only = Ranges.of([replace(FRAMES[0], configuration=alone)], SPECIES, CUTOFF)
    oxygen = Configuration([8], np.zeros((1, 3)), np.zeros((3, 3)), [False] * 3, [16.0])
    assert only.widths_outside(oxygen)[0] == np.inf
