"""`hyperatom convert`, and potentials of other programs under a learned correction."""

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from typer.testing import CliRunner

from hyperatom.campaign.assembly import create, opened
from hyperatom.cli.main import app
from hyperatom.errors import InputError
from hyperatom.interchange.n2p2_writing import write_n2p2
from hyperatom.interchange.potential_formats import (
    potential_formats,
    read_potential,
    recognise,
)
from test_behler_parrinello import SYMMETRY
from test_probation import StopsAt, go

ARGON = "# argon\npair_style lj/cut 8.5\npair_coeff 1 1 0.0104 3.40\npair_modify shift yes\n"


@pytest.fixture
def argon(tmp_path):
    file = tmp_path / "argon.lammps"
    file.write_text(ARGON)
    return file


def frames_of(argon, path, factor=1.0):
    """Configurations with the energies and forces of the potential itself, times `factor`."""
    from hyperatom.interchange.ase_atoms import from_ase

    potential = read_potential(argon, species=("Ar",))
    frames = []
    for seed in range(2):
        atoms = bulk("Ar", "fcc", 5.3, cubic=True)
        atoms.rattle(0.1, seed=seed)
        found = potential.evaluate(from_ase(atoms))
        atoms.calc = SinglePointCalculator(
            atoms, energy=factor * found.energy, forces=found.forces, stress=found.stress
        )
        frames.append(atoms)
    ase.io.write(path, frames, format="extxyz")
    return path


def convert(*words):
    return CliRunner().invoke(app, ["convert", *map(str, words)])


def test_formats_are_listed_and_recognised(argon, tmp_path):
    listed = convert().output
    for name in ("n2p2", "aenet", "nep", "ace", "lammps"):
        assert name in potential_formats()
        assert name in listed
    assert recognise(argon).name == "lammps"
    (tmp_path / "what.txt").write_text("nothing of the kind\n")
    with pytest.raises(InputError, match="none of the known formats"):
        recognise(tmp_path / "what.txt")
    with pytest.raises(InputError, match="no file or folder"):
        recognise(tmp_path / "missing")


def test_a_potential_is_read_and_checked(argon, tmp_path):
    frames = frames_of(argon, tmp_path / "frames.xyz")
    result = convert(argon, "--species", "Ar", "--check", frames)
    assert result.exit_code == 0, result.output
    for word in ("agrees   forces", "agrees   stress", "agrees   stored energies"):
        assert word in result.output
    content = json.loads(convert(argon, "--species", "Ar", "--json").output)
    assert [one["passed"] for one in content["checks"]] == [True, True]


def test_wrong_numbers_are_told_with_their_likely_unit(argon, tmp_path):
    frames = frames_of(argon, tmp_path / "frames.xyz", 1.0 / 27.211386)
    result = convert(argon, "--species", "Ar", "--check", frames)
    assert result.exit_code == 1
    assert "DIFFERS  stored energies" in result.output
    assert "look like Hartree" in result.output


def test_a_source_in_other_units_is_written_and_read_again(tmp_path):
    write_n2p2(SYMMETRY, tmp_path / "source", "Hartree-Bohr")
    result = convert(tmp_path / "source", tmp_path / "target", "--units", "Hartree-Bohr")
    assert result.exit_code == 0, result.output
    assert "agrees   written and read again" in result.output
    assert "in eV-Angstrom" in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "do not say for which species"),
        (["--species", "Xx"], "no chemical symbol"),
        (["--species", "Ar", "--units", "Hartree-Bohr"], "no units that lammps can have"),
        (["--species", "Ar", "--from", "lamps"], "Did you mean 'lammps'?"),
        (["--species", "Ar", "--to", "nep", "out.txt"], "does not write them"),
    ],
)
def test_what_is_wrong_is_said_plainly(argon, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = [word for word in words if word == "out.txt"]
    rest = [word for word in words if word != "out.txt"]
    result = convert(argon, *target, *rest)
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


def test_frames_without_numbers_cannot_be_compared(argon, tmp_path):
    ase.io.write(tmp_path / "bare.xyz", Atoms("Ar2", [[0, 0, 0], [0, 0, 3.9]]), format="extxyz")
    result = convert(argon, "--species", "Ar", "--check", tmp_path / "bare.xyz")
    assert result.exit_code == 2
    assert "no energies and forces" in result.output


CAMPAIGN = """
configuration: {{crystal: aluminium}}
temperature: 300
reference: {{calculator: "ase:ase.calculators.emt.EMT"}}
guide: {{cutoff: 3.5, radial_functions: 4, power_channels: 2, power_degree: 1,
        bispectrum_channels: 0, bispectrum_degree: 0,
        baseline: {{file: {file}, species: [{species}]}}}}
sampling: {{length: 60, segments: 1, time_step: 4}}
learn: {{calls: 8, window: 5, acceptance: 0.6, probation: 2}}
produce: {{proposals: 3, guide_samples: 0}}
"""


@pytest.mark.slow
def test_a_campaign_learns_on_top_of_a_given_potential(tmp_path):
    file = tmp_path / "aluminium.lammps"
    file.write_text("pair_style morse 5.5\npair_coeff 1 1 0.27 1.16 3.25\npair_modify shift yes\n")
    text = CAMPAIGN.format(file=file.name, species="Al")
    run = tmp_path / "run"
    create(text, tmp_path / "input.yaml", run)
    file.unlink()  # the run has its own copy
    go(run, StopsAt())
    with opened(run, StopsAt()) as campaign:
        guide = campaign.frozen_path().guide
        assert guide.cutoff == 5.5
        start = campaign.start
        alone = read_potential(run / "baseline" / file.name, species=("Al",)).evaluate(start)
        nothing = guide.model.parameters(0 * guide.weights, 0 * guide.constants, 0.1 * guide.radii)
        assert guide.model.evaluate(nothing, start)[0] == pytest.approx(alone.energy, abs=1e-9)
        assert np.abs(guide.weights).max() > 0
    (run / "baseline" / file.name).write_text("pair_style morse 5.5\npair_coeff 1 1 0.2 1.1 3.2\n")
    with opened(run, StopsAt()) as campaign, pytest.raises(InputError, match="another baseline"):
        campaign.frozen_path()


def test_a_baseline_for_other_species_is_refused_before_anything_is_spent(argon, tmp_path):
    text = CAMPAIGN.format(file=argon.name, species="Ar")
    with pytest.raises(InputError, match="knows nothing of Al"):
        create(text, argon.parent / "input.yaml", Path(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
