"""A rival at work in its own Python: fit, predict the test, time a call (see the package)."""

import importlib
import sys
import time
from pathlib import Path

import numpy as np
from ase.io import read

from rivals.constants import energies_of_atoms


def main() -> None:
    """`python -m rivals.run NAME FOLDER SECONDS`."""
    name, folder, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    rival = importlib.import_module(f"rivals.{name}")
    began = time.perf_counter()
    rival.fit(folder, seconds)
    fitted = time.perf_counter() - began
    calculator = rival.calculator(folder)
    frames = read(folder / "test.xyz", ":")
    constants = np.zeros(119)
    if getattr(rival, "SHIFTED", False):
        constants = energies_of_atoms(read(folder / "train.xyz", ":"))
    energies, forces, spent, atoms_seen = [], [], 0.0, 0
    for number, atoms in enumerate(frames):
        here = atoms.copy()
        here.calc = calculator
        start = time.process_time()
        energies.append(here.get_potential_energy() + constants[here.numbers].sum())
        forces.append(here.get_forces().ravel())
        if number:  # the first call loads and compiles
            spent += time.process_time() - start
            atoms_seen += len(atoms)
    np.savez(
        folder / "predicted.npz",
        energies=np.array(energies),
        forces=np.concatenate(forces),
        microseconds=1e6 * spent / max(atoms_seen, 1),
        seconds=fitted,
    )


main()
