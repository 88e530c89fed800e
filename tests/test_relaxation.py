"""Relaxation before a study: the minimum, what is paid for, and what goes on where it stopped."""

from contextlib import nullcontext

import numpy as np
import pytest
import yaml
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read, write
from scipy.optimize import minimize_scalar
from typer.testing import CliRunner

from hyperatom.cli.main import app
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.interchange.ase_atoms import from_ase, to_ase
from hyperatom.references.label_store import LabelStore
from hyperatom.studies.page import investigate
from hyperatom.studies.relaxation import relax
from hyperatom.studies.settings import RelaxationSettings, load_study_settings
from hyperatom.studies.study import opened
from hyperatom.studies.study_directory import create
from study_monitors import WatchingCampaigns


class OfEmt:
    """EMT, and how often it was asked."""

    def __init__(self, stress=True):
        self.stress, self.calls = stress, 0

    def evaluate(self, configuration):
        self.calls += 1
        atoms = to_ase(configuration)
        atoms.calc = EMT()
        stress = atoms.get_stress(voigt=False) if self.stress else None
        return Evaluation(atoms.get_potential_energy(), atoms.get_forces(), stress, None, "EMT")


def strained(scale=1.03):
    """Two primitive cells of aluminium, triclinic, deformed and rattled."""
    atoms = bulk("Al", a=4.05 * scale) * (2, 1, 1)
    shear = np.eye(3) + np.array([[0.0, 0.03, -0.02], [0.0, 0.02, 0.01], [0.0, 0.0, -0.03]])
    atoms.set_cell(atoms.cell @ shear, scale_atoms=True)
    atoms.rattle(0.05, seed=3)
    return atoms


def test_the_cell_goes_to_the_minimum_of_the_crystal():
    """Against the lattice constant of least energy, found by a line search of another library."""

    def energy(a):
        atoms = bulk("Al", a=a)
        atoms.calc = EMT()
        return atoms.get_potential_energy()

    best = minimize_scalar(energy, bounds=(3.8, 4.2), method="bounded", options={"xatol": 1e-6})
    wanted = RelaxationSettings(what="cell", force=1e-3)
    steps = []
    found = relax(from_ase(strained()), OfEmt(), wanted, lambda *told: steps.append(told) or True)
    assert found.volume == pytest.approx(2 * best.x**3 / 4, rel=1e-4)
    assert OfEmt().evaluate(found).energy == pytest.approx(2 * best.fun, abs=1e-5)
    lengths = np.linalg.norm(np.array(found.cell) / [[2], [1], [1]], axis=1)
    np.testing.assert_allclose(lengths, best.x / np.sqrt(2), rtol=1e-3)
    assert [step for step, _ in steps] == list(range(len(steps)))
    assert steps[0][1] > 0.1 > 1e-3 >= steps[-1][1]


def test_positions_leave_the_cell_alone():
    start = from_ase(strained())
    found = relax(start, OfEmt(stress=False), RelaxationSettings(force=1e-3), lambda *_: True)
    np.testing.assert_array_equal(found.cell, start.cell)
    assert np.linalg.norm(OfEmt().evaluate(found).forces, axis=1).max() <= 1e-3
    assert np.abs(OfEmt().evaluate(found).stress).max() > 1e-3


def test_what_cannot_be_relaxed_is_said():
    start = from_ase(strained())
    with pytest.raises(InputError, match="after 2 steps: the largest force is"):
        relax(start, OfEmt(), RelaxationSettings(force=1e-4, steps=2), lambda *_: True)
    with pytest.raises(InputError, match="No stress"):
        relax(start, OfEmt(stress=False), RelaxationSettings(what="cell"), lambda *_: True)
    assert relax(start, OfEmt(), RelaxationSettings(), lambda step, _: step < 1) is None


INPUT = {
    "series": [
        {
            "name": "aluminium",
            "configuration": {"file": "strained.extxyz"},
            "relax": {"what": "cell", "force": 0.01},
        }
    ],
    "temperatures": [100, 200],
    "method": "exact",
    "campaign": {
        "reference": {"calculator": "ase:ase.calculators.emt.EMT"},
        "guide": {
            "cutoff": 4.0,
            "radial_functions": 4,
            "power_channels": 1,
            "power_degree": 1,
            "bispectrum_channels": 0,
        },
        "sampling": {"time_step": 3.0, "length": 30.0, "segments": 1},
        "learn": {"calls": 6, "window": 5, "probation": 1},
        "produce": {"proposals": 6, "guide_samples": 0},
    },
    "minima": {"frames": 0},
    "maps": {"spacing": 0.5},
}


class WatchingRelaxations(WatchingCampaigns):
    """A monitor that counts steps of a relaxation, and may interrupt at one of them."""

    def __init__(self, at=-1):
        super().__init__()
        self.at, self.steps = at, 0

    def relaxation(self, path):
        return nullcontext(self.searched)

    def searched(self, *_):
        if self.steps == self.at:
            raise KeyboardInterrupt
        self.steps += 1


def test_a_study_begins_at_the_minimum_and_pays_for_no_step_twice(tmp_path):
    write(tmp_path / "strained.extxyz", strained())
    source = tmp_path / "study.yaml"
    source.write_text(yaml.safe_dump(INPUT))
    paths = tmp_path / "whole", tmp_path / "halted"
    for path in paths:
        create(source.read_text(), source, path)
    whole, halted = paths
    watching = WatchingRelaxations()
    with opened(whole) as work:
        work.run(watching)
        notes = investigate(work, lambda *_: None).problems
    assert watching.told[0][0] == "aluminium, to the minimum of the energy"
    assert len(watching.told) == 3
    with pytest.raises(KeyboardInterrupt), opened(halted) as work:
        work.run(WatchingRelaxations(at=3))
    assert not (halted / "aluminium" / "relaxed" / "start.extxyz").exists()
    with opened(halted) as work:
        work.run(WatchingRelaxations())

    def file(path):
        return path / "aluminium" / "relaxed" / "start.extxyz"

    assert file(halted).read_bytes() == file(whole).read_bytes()
    with LabelStore(file(halted).with_name("labels.db"), read_only=True) as store:
        assert store.count() == watching.steps
    relaxed = read(file(whole))
    started = np.load(whole / "aluminium" / "100K" / "start.npz")
    np.testing.assert_allclose(started["cell"], relaxed.cell, atol=1e-7)
    relaxed.calc = EMT()
    assert np.abs(relaxed.get_stress()).max() < 5e-3
    assert relaxed.get_volume() < 0.97 * strained().get_volume()
    assert any("aluminium was relaxed first" in note and "volume -" in note for note in notes)


def test_the_cell_of_an_approximant_is_that_of_its_cut(tmp_path):
    member = {"name": "qc", "approximant": {"order": "1/1"}, "relax": {"what": "cell"}}
    with pytest.raises(InputError, match="lattice_constant"):
        load_study_settings(yaml.safe_dump(INPUT | {"series": [member]}), "study.yaml")
    source = tmp_path / "study.yaml"
    source.write_text(yaml.safe_dump(INPUT | {"series": [member | {"relax": {"wat": "cell"}}]}))
    ran = CliRunner().invoke(app, ["study", "heat-capacity", str(source)])
    assert ran.exit_code == 2
    said = " ".join(ran.output.split())
    line = next(n for n, one in enumerate(source.read_text().splitlines(), 1) if "wat:" in one)
    assert f"line {line}, key 'series.0.relax.wat' is unknown; did you mean 'what'?" in said
    assert "at least 1 item" not in said
