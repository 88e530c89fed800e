"""Potentials of aenet against the numbers that aenet itself printed (forces with six decimals)."""

import json

import numpy as np
import pytest
from ase.data import atomic_numbers
from ase.io import read
from shared_data import conformance

from hyperatom.configuration import Configuration
from hyperatom.interchange.aenet import read_aenet
from hyperatom.interchange.ase_atoms import from_ase

CASES = {
    "aLiSi_v2021": [0, 3],
    "tio2_pytorch_example": [0, 91, 182],
    "tio2_set003_dev_forces": [0, 20],
}
"""Frames that are compared; all were, once, by hand."""


def compare(potential, here, energy, forces):
    found = potential.evaluate(here)
    assert abs(found.energy - energy) / here.n_atoms < 1e-8
    np.testing.assert_allclose(found.forces, forces, atol=6e-7)


@pytest.mark.parametrize("name", CASES)
def test_chebyshev_networks(name):
    """Binary and text files."""
    folder = conformance("aenet", name)
    potential = read_aenet(sorted(folder.glob("*.nn*")))
    frames = read(folder / "expected.xyz", ":")
    for number in CASES[name]:
        atoms = frames[number]
        compare(potential, from_ase(atoms), atoms.get_potential_energy(), atoms.get_forces())


def test_behler_networks_of_the_earliest_version():
    folder = conformance("aenet", "AuCu-dimer-forces")
    potential = read_aenet(sorted(folder.glob("*.nn")))
    for dimer in json.loads((folder / "expected.json").read_text())["structures"][::8]:
        numbers = [atomic_numbers[symbol] for symbol in dimer["symbols"]]
        here = Configuration(numbers, dimer["positions"], np.zeros((3, 3)), [False] * 3, np.ones(2))
        compare(potential, here, dimer["total_energy"], np.array(dimer["forces"]))
