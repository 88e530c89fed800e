"""SevenNet in an environment of its own: the numbers are those of ASE called directly there.

The interpreter is named by $HYPERATOM_SEVENNET_PYTHON (`hyperatom engines sevennet`).
"""

import json
import os
import subprocess

import numpy as np
import pytest

from hyperatom.interchange.ase_atoms import from_ase
from hyperatom.references.ase_calculator import AseReference
from hyperatom.references.engine_catalogue import engine_presets, find_engine

SILICON = """
from ase.build import bulk
atoms = bulk("Si", cubic=True)
atoms.rattle(0.05, seed=1)
"""
DIRECTLY = """
import json
from sevenn.calculator import SevenNetCalculator
atoms.calc = SevenNetCalculator(model="7net-l3i5", device="cpu")
found = atoms.get_potential_energy(), atoms.get_forces().tolist(), atoms.get_stress().tolist()
print("found", json.dumps(found))
"""


@pytest.mark.slow
def test_numbers_are_those_of_ase_called_directly():
    python = os.environ.get("HYPERATOM_SEVENNET_PYTHON")
    if not python:
        pytest.skip("$HYPERATOM_SEVENNET_PYTHON names no interpreter with SevenNet")
    if lacking := engine_presets()["sevennet"].missing(python):
        pytest.skip(f"{python} lacks {lacking}")
    said = subprocess.run(
        [python, "-c", SILICON + DIRECTLY],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    energy, forces, stress = json.loads(said.stdout.rpartition("found ")[2])
    made = {}
    exec(SILICON, made)
    configuration = from_ase(made["atoms"])
    chosen = find_engine("sevennet", {}, {}).prepared(configuration)
    with AseReference.from_preset(chosen, python=python) as reference:
        found = reference.evaluate(configuration)
        assert "sevenn 0." in reference.identity
    assert found.energy == pytest.approx(energy, abs=1e-6)
    np.testing.assert_allclose(found.forces, forces, atol=1e-6)
    np.testing.assert_allclose(found.stress, stress, atol=1e-7)
