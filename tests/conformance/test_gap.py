"""A GAP of pairs of water's atoms against energy and forces in the tests of QUIP."""

import numpy as np
import pytest
from ase.io import read
from shared_data import conformance

from hyperatom.interchange.ase_atoms import from_ase
from hyperatom.interchange.gap import read_gap


def test_water():
    folder = conformance("gap_quip")
    atoms = read(folder / "gap_sample.xyz")
    found = read_gap(folder / "GAP.xml").evaluate(from_ase(atoms))
    # Positions are given to 1e-8 Å, and forces are up to 3 eV/Å on 81 atoms.
    assert found.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
    forces = atoms.arrays["force"] if "force" in atoms.arrays else atoms.get_forces()
    np.testing.assert_allclose(found.forces, forces, atol=1e-7)
