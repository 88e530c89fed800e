"""Every case of LAMMPS through its own commands: energies, forces and stress as stored."""

import json

import numpy as np
import pytest
from ase.io import read
from shared_data import conformance

from hyperatom.interchange.ase_atoms import from_ase
from hyperatom.interchange.lammps import read_lammps

FRAMES = 3

CASES = (
    "eam_Cu_u3_dev",
    "eamalloy_AlCu",
    "eamfs_Fe",
    "lj_Ar",
    "qsnap_Mo_Zuo2020_dev",
    "snap_Cu_Zuo2020_dev",
    "snap_Si_Zuo2020_dev",
    "snap_Ta06A_dev",
    "sw_Si_dev",
    "tersoff_GaN",
    "tersoff_SiC",
    "tersoff_Si_dev",
    "vashishta_SiO2_1990_dev",
)


@pytest.mark.parametrize("case", CASES)
def test_the_stored_numbers(case):
    folder = conformance("lammps", case)
    given = json.loads((folder / "case.json").read_text())
    potential = read_lammps(given["commands"], folder, given["species"], given["charges"])
    frames = read(folder / "expected.xyz", ":")
    # Few shapes, as each is compiled: frames of as many atoms as the first, with slots for all.
    frames = [atoms for atoms in frames if len(atoms) == len(frames[0])]
    chosen = frames[:: max(1, len(frames) // FRAMES)]
    potential.model.reserve(
        from_ase(max(chosen, key=lambda atoms: len(atoms) / atoms.get_volume()))
    )
    for atoms in chosen:
        found = potential.evaluate(from_ase(atoms))
        difference = (found.energy - atoms.get_potential_energy()) / len(atoms)
        assert difference == pytest.approx(0.0, abs=1e-6)
        np.testing.assert_allclose(found.forces, atoms.get_forces(), atol=1e-5)
        np.testing.assert_allclose(found.stress, atoms.get_stress(), atol=1e-6)
