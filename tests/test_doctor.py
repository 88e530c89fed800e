"""The doctor finds each of ten planted faults, and has nothing to say against healthy engines."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write
from typer.testing import CliRunner

from hyperatom.cli.main import app
from hyperatom.references.engine_catalogue import engine_presets

TESTS = Path(__file__).parent
COPPER = bulk("Cu", cubic=True).repeat(2)


@pytest.fixture(autouse=True)
def _engines_can_be_imported(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)


def examine(folder, atoms, calculator, code=0, temperature=300, cutoff=5.0, proposals=100, **more):
    """Findings by question."""
    write(folder / "start.xyz", atoms, format="extxyz")
    content = {
        "configuration": {"file": "start.xyz"},
        "temperature": temperature,
        "reference": {"calculator": calculator, **more},
        "guide": {"cutoff": cutoff},
        "produce": {"proposals": proposals},
    }
    (folder / "input.yaml").write_text(yaml.safe_dump(content))
    done = CliRunner().invoke(app, ["doctor", str(folder / "input.yaml"), "--json"])
    assert done.exit_code == code, done.output
    answer = json.loads(done.stdout)
    assert answer["healthy"] == (code == 0)
    return {finding["question"]: finding for finding in answer["findings"]}


def faults(findings):
    return {name for name, found in findings.items() if found["status"] == "fault"}


PLANTED = [
    ("wrong_stress_sign", "stress", "wrong sign"),
    ("stress_in_gpa", "stress", "in GPa"),
    ("voigt_mixed_up", "stress", "times"),
    ("forces_scaled", "forces", "1.1 times"),
    ("wrong_force_sign", "forces", "wrong sign"),
    ("depends_on_order", "call order", "several solutions"),
    ("not_converged", "energy noise", "not a smooth function"),
    ("egg_box", "translation (egg-box)", "grid shows through"),
    ("single_precision", "precision", "single precision"),
]


@pytest.mark.parametrize(("engine", "question", "words"), PLANTED)
def test_a_planted_fault_is_found(engine, question, words, tmp_path):
    findings = examine(tmp_path, COPPER, f"ase:planted_engines.{engine}", code=1)
    assert findings[question]["status"] == "fault"
    assert words in findings[question]["sentence"]
    assert findings[question]["cure"]
    if engine in ("wrong_stress_sign", "stress_in_gpa", "forces_scaled", "depends_on_order"):
        assert faults(findings) == {question}


def test_an_engine_that_says_it_has_not_converged(tmp_path):
    findings = examine(tmp_path, COPPER, "ase:planted_engines.SaysUnconverged", code=1)
    assert faults(findings) == {"answer"}
    assert "not converged" in findings["answer"]["sentence"]


def test_a_thin_cell_is_found(tmp_path):
    thin = examine(tmp_path, bulk("Cu", cubic=True), "ase:planted_engines.healthy", code=1)
    assert faults(thin) == {"cell against cutoff"}
    assert "3.61 Å wide" in thin["cell against cutoff"]["sentence"]


def test_lost_periodicity_is_found(tmp_path):
    atoms = COPPER.copy()
    atoms.pbc = [True, True, False]
    findings = examine(tmp_path, atoms, "ase:planted_engines.healthy", code=1)
    assert faults(findings) == {"periodicity"}
    assert "not periodic along c" in findings["periodicity"]["sentence"]


def test_a_missing_engine_is_found(tmp_path):
    findings = examine(tmp_path, COPPER, "ase:planted_engine.healthy", code=1)
    assert faults(findings) == {"engine"}
    assert "not installed" in findings["engine"]["sentence"]


def test_an_absurd_time_is_found_after_one_call(tmp_path):
    findings = examine(tmp_path, COPPER, "ase:planted_engines.slow", code=1, proposals=100_000_000)
    assert faults(findings) == {"time"}
    assert findings["time"]["numbers"]["seconds_per_call"] >= 0.5
    assert findings["forces"]["status"] == "not asked"


def test_too_few_k_points_are_found(tmp_path):
    if engine_presets()["espresso"].missing():
        pytest.skip("Quantum ESPRESSO is not installed: 'hyperatom engines espresso'")
    findings = examine(
        tmp_path, bulk("Si"), "espresso", code=1, cutoff=3.0, k_points=[2, 2, 2], time_out=1e-3
    )
    assert "too few k-points" in findings["cell against cutoff"]["sentence"]


def test_a_healthy_engine_passes(tmp_path):
    findings = examine(tmp_path, COPPER, "ase:planted_engines.healthy")
    assert {found["status"] for found in findings.values()} == {"fine"}
    assert findings["call order"]["sentence"] == "the same to the last bit"
    assert findings["forces"]["numbers"]["largest_difference"] < 1.0e-6
    assert findings["stress"]["numbers"]["largest_difference"] < 1.0e-6


def test_tight_binding_passes(tmp_path):
    """A molecule: no stress is asked for, nothing is periodic."""
    findings = examine(tmp_path, molecule("H2O"), "tblite")
    assert {name for name, found in findings.items() if found["status"] == "not asked"} == {
        "cell against cutoff",
        "stress",
    }


@pytest.mark.slow
def test_gpaw_with_tight_settings_passes(tmp_path):
    if engine_presets()["gpaw"].missing():
        pytest.skip("GPAW is not installed: 'hyperatom engines gpaw'")
    hydrogen = Atoms("H2", positions=[[1, 2, 3], [1.1, 2.2, 3.7]], cell=np.eye(3) * 4, pbc=True)
    keywords = {"mode": {"ecut": 700}, "kpts": {"size": [1, 1, 1]}}
    findings = examine(tmp_path, hydrogen, "gpaw", cutoff=3.5, keywords=keywords)
    assert {found["status"] for found in findings.values()} == {"fine"}


def test_lines_for_people(tmp_path):
    examine(tmp_path, COPPER, "ase:planted_engines.wrong_stress_sign", code=1)
    done = CliRunner().invoke(app, ["doctor", str(tmp_path / "input.yaml")])
    assert done.exit_code == 1
    assert "✓ forces" in done.stdout
    assert "✗ stress" in done.stdout
    assert "-> Mend the engine's ASE calculator." in done.stdout
    assert "1 fault: mend them" in done.stdout
