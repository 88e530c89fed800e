"""A published neuroevolution potential against what GPUMD predicted with it.

GPUMD computes in single precision and prints six digits: energies are given to 5e-6 eV per atom,
forces to 5e-7 ... 5e-6 eV/Å. Its forces carry round-off of single precision besides.
"""

import numpy as np
from ase.io import read
from shared_data import conformance

from hyperatom.interchange.ase_atoms import from_ase
from hyperatom.interchange.nep import read_nep

FRAMES = (0, 7, 24)
PRINTED_ENERGY = 7e-6
"""eV per atom: half of the last digit printed, and round-off."""
PRINTED_FORCE = 2.5e-5
PRINTED_VIRIAL = 1e-5


def test_lead_telluride():
    folder = conformance("nep", "PbTe_nep_prediction")
    potential = read_nep(folder / "nep.txt")
    frames = read(folder / "train.xyz", ":")
    energies = np.loadtxt(folder / "energy_train.out")[:, 0]
    forces = np.loadtxt(folder / "force_train.out")[:, :3].reshape(len(frames), -1, 3)
    virials = np.loadtxt(folder / "virial_train.out")[:, :6]
    for number in FRAMES:
        atoms = frames[number]
        found = potential.evaluate(from_ase(atoms))
        assert abs(found.energy / len(atoms) - energies[number]) < PRINTED_ENERGY
        difference = found.forces - forces[number]
        assert np.abs(difference).max() < PRINTED_FORCE
        assert np.sqrt(np.mean(difference**2)) < 3e-6
        virial = -found.stress * atoms.get_volume() / len(atoms)
        np.testing.assert_allclose(virial[[0, 1, 2, 5, 3, 4]], virials[number], atol=PRINTED_VIRIAL)
