"""ASE calculators that do what engines do on a bad day; loaded by the engine's process only.

They misbehave where the first atom is beyond x = 1 Å and are a harmonic well elsewhere. The trick
`by_mass` chooses the trick by the first atom's mass, so that tests can share one process.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes

BY_MASS = (
    "raises",
    "exits",
    "leaves",
    "segfaults",
    "closes_all_files",
    "nan_energy",
    "infinite_forces",
    "wrong_forces",
    "wrong_energy",
    "wrong_stress",
    "moves_atoms",
    "changes_species",
    "says_unconverged",
)


class Engine(Calculator):
    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012
    default_parameters = {"trick": "none", "file": ""}  # noqa: RUF012
    calls = 0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        x = atoms.positions
        self.results = {"energy": 0.5 * np.sum(x**2), "forces": -x, "stress": np.zeros(6)}
        if x[0, 0] > 1.0:
            getattr(self, self.parameters.trick)(atoms, properties)

    def none(self, atoms, properties):
        pass

    def by_mass(self, atoms, properties):
        getattr(self, BY_MASS[int(atoms.get_masses()[0])])(atoms, properties)

    def raises(self, atoms, properties):
        raise RuntimeError("SCF not converged")

    def exits(self, atoms, properties):
        sys.exit(3)

    def leaves(self, atoms, properties):
        os._exit(7)

    def segfaults(self, atoms, properties):
        print("last words", flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)

    def closes_all_files(self, atoms, properties):
        os.closerange(3, 100)

    def nan_energy(self, atoms, properties):
        self.results["energy"] = np.nan

    def infinite_forces(self, atoms, properties):
        self.results["forces"] = self.results["forces"] / 0.0

    def wrong_forces(self, atoms, properties):
        self.results["forces"] = np.zeros((len(atoms) + 1, 3))

    def wrong_energy(self, atoms, properties):
        self.results["energy"] = np.zeros(len(atoms))

    def wrong_stress(self, atoms, properties):
        self.results["stress"] = np.zeros(7)

    def moves_atoms(self, atoms, properties):
        atoms.positions += 1e-12

    def changes_species(self, atoms, properties):
        atoms.numbers[0] += 1

    def says_unconverged(self, atoms, properties):
        self.converged = False

    def no_stress(self, atoms, properties):
        if "stress" in properties:
            raise PropertyNotImplementedError

    def smeared(self, atoms, properties):
        self.results["free_energy"] = self.results["energy"] - 1.0

    def hangs(self, atoms, properties):
        time.sleep(1000)

    def hangs_holding_the_lock(self, atoms, properties):
        child = subprocess.Popen(["sleep", "1000"])
        Path(self.parameters.file).write_text(f"{os.getpid()} {child.pid}\n")
        ctypes.PyDLL(None).sleep(1000)  # Python's lock is not given up

    def prints_garbage(self, atoms, properties):
        libc = ctypes.CDLL(None)
        for stream in (1, 2):
            os.write(stream, os.urandom(500_000))
        for _ in range(1000):
            libc.printf(b"%s\n", b'\x10\0\0\0\0\0\0\0{"energy": 0}')
        libc.fflush(None)
        print("\udcff garbage".encode("utf-8", "replace"))

    def threads(self, atoms, properties):
        self.results["energy"] = int(os.environ["OMP_NUM_THREADS"])

    def loaded_jax(self, atoms, properties):
        self.results["energy"] = int("jax" in sys.modules)

    def counts_calls(self, atoms, properties):
        self.results["energy"] = self.calls

    def process(self, atoms, properties):
        time.sleep(0.3)
        self.results["energy"] = os.getpid()


def refuses(**keywords):
    raise ValueError("no pseudopotential found")
