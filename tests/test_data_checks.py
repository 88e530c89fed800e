"""Data that would spoil a fit: found, named, with a cure; sound data pass in silence."""

from dataclasses import replace

import numpy as np
import pytest

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.fitting.data_checks import check_data, without_duplicates, without_large_forces
from hyperatom.fitting.data_set import divided, read_data, with_offsets
from hyperatom.potentials.energies_of_atoms import energies_of_atoms
from hyperatom.units import HARTREE
from labelled_frames import labelled_frames, soft_pairs


def path_of_frames(n=30, strained=False, seed=3):
    """Frames along a path, each near the one before."""
    rng = np.random.default_rng(seed)
    frame = labelled_frames(1)[0]
    here, frames = frame.configuration, []
    for number in range(n):
        positions, cell = here.positions, here.cell
        if strained:
            strain = rng.uniform(-0.02, 0.02, (3, 3))
            stretch = np.eye(3) + 0.5 * (strain + strain.T)
            positions, cell = positions @ stretch, cell @ stretch
        else:
            positions = positions + rng.uniform(-0.06, 0.06, positions.shape)
        there = Configuration(here.numbers, positions, cell, here.periodic, here.masses)
        found = replace(frame, configuration=there, evaluation=soft_pairs(there))
        frames.append(replace(found, source=f"frame {number} of path.xyz"))
    return frames


def changed(frames, energy=1.0, forces=1.0, stress=1.0):
    return [
        replace(
            frame,
            evaluation=Evaluation(
                frame.evaluation.energy * energy,
                frame.evaluation.forces * forces,
                frame.evaluation.stress * stress,
            ),
        )
        for frame in frames
    ]


PATH, CELLS = path_of_frames(), path_of_frames(strained=True)


@pytest.mark.parametrize("frames", [PATH, CELLS, labelled_frames(10)], ids=["path", "cells", "any"])
def test_sound_data_pass_in_silence(frames):
    assert check_data(frames, 50) == []


@pytest.mark.parametrize(
    ("factors", "said"),
    [
        ({"energy": 1.0 / HARTREE}, "energies look like Hartree"),
        ({"energy": 23.0605}, "energies look like kcal/mol"),
        ({"forces": 1.0 / 51.4221}, "forces look like Hartree/Bohr"),
        ({"forces": -1.0}, "forces have the wrong sign"),
    ],
)
def test_wrong_units_are_told_from_slopes_of_the_data(factors, said):
    (finding,) = check_data(changed(PATH, **factors))
    assert said in finding.sentence
    assert finding.serious


@pytest.mark.parametrize(
    ("factor", "said"), [(-1.0, "sign is the other one"), (160.21766, "GPa"), (-1602.1766, "kbar")]
)
def test_stress_of_another_sign_or_unit_is_told(factor, said):
    (finding,) = check_data(changed(CELLS, stress=factor))
    assert said in finding.sentence


def test_two_zeros_of_energy_are_named_with_their_offsets():
    frames = labelled_frames(20)
    mixed = [
        *frames[:15],
        *(
            replace(f, evaluation=replace(f.evaluation, energy=f.evaluation.energy - 8 * 13.6))
            for f in frames[15:]
        ),
    ]
    findings = [one for one in check_data(mixed) if "zeros" in one.sentence]
    assert "frame 15; frame 16; frame 17; frame 18; and 1 more" in findings[0].sentence
    assert "13.6" in findings[0].sentence
    assert "energy_offsets" in findings[0].cure
    # The cure works.
    mended = [*mixed[:15], *with_offsets(mixed[15:], {"H": 13.6, "O": 13.6})]
    assert check_data(mended) == []


def test_overlaps_large_forces_and_duplicates_are_named():
    frames = labelled_frames(6)
    here = frames[2].configuration
    positions = here.positions.copy()
    positions[1] = positions[0] + [0.05, 0.0, 0.0]
    frames[2] = replace(frames[2], configuration=here.with_positions(positions))
    forces = frames[3].evaluation.forces.copy()
    forces[0, 0] = 1.2e4
    frames[3] = replace(frames[3], evaluation=replace(frames[3].evaluation, forces=forces))
    frames.append(frames[0])
    sentences = [one.sentence for one in check_data(frames)]
    assert any("on top of each other, 0.050 Å apart, in frame 2." in one for one in sentences)
    assert any("1.2e+04 eV/Å in frame 3" in one for one in sentences)
    assert any("1 frames are there twice" in one for one in sentences)
    kept, lost = without_large_forces(frames, 100.0)
    assert lost == 1
    assert len(without_duplicates(kept)[0]) == 5
    other = replace(frames[0], evaluation=replace(frames[0].evaluation, energy=0.0))
    assert any("different energies" in one.sentence for one in check_data([*frames, other]))


def test_fewer_rows_than_unknowns_are_told():
    frames = labelled_frames(2)
    (finding,) = check_data(frames, 63)
    assert finding.sentence.startswith("62 numbers are to determine 63 unknowns")
    assert not finding.serious


def test_energies_of_atoms_are_found_where_compositions_tell():
    frames = labelled_frames(6) + labelled_frames(6, species=(8,))
    alone = [
        replace(f, evaluation=replace(f.evaluation, energy=-2.0 * f.configuration.numbers.sum()))
        for f in frames
    ]
    constants = energies_of_atoms(alone, (1, 8))
    np.testing.assert_allclose(constants, [-2.0, -16.0], rtol=1e-12)


def test_frames_are_divided_by_the_seed():
    frames = labelled_frames(10)
    one, other = divided(frames, 0.3, 1), divided(frames, 0.3, 1)
    assert [f.source for f in one[1]] == [f.source for f in other[1]]
    assert len(one[0]) == 7
    assert divided(frames, 0.3, 2)[1] != one[1]
    assert divided(frames, 0.0, 2)[1] == []


def test_files_without_energies_are_refused(tmp_path):
    path = tmp_path / "bare.xyz"
    path.write_text("1\nProperties=species:S:1:pos:R:3 free=1\nSi 0 0 0\n")
    with pytest.raises(InputError, match=r"frame 0 of bare.xyz has no energy"):
        read_data(path)
    with pytest.raises(InputError, match="There is no file"):
        read_data(tmp_path / "missing.xyz")
