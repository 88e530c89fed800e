"""Engines for the label farm's tests and benchmarks; loaded by the engine's process only.

Each finished evaluation, and each mishap, is a line in the file HYPERATOM_TEST_TALLY, written in
one go before anything else can happen.
"""

import importlib
import os
import signal
import time

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

CHAOS = "HYPERATOM_TEST_CHAOS"


class Harmonic(Calculator):
    """A harmonic well that takes `seconds`; or another `engine`, likewise slowed down."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012
    default_parameters = {"seconds": 0.0, "engine": ""}  # noqa: RUF012

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        began, start = time.time(), time.perf_counter()
        super().calculate(atoms, properties, system_changes)
        time.sleep(self.parameters.seconds)
        x = atoms.positions
        self.results = {"energy": 0.5 * np.sum(x**2), "forces": -x, "stress": np.zeros(6)}
        if self.parameters.get("engine"):
            module, _, name = self.parameters["engine"].rpartition(".")
            engine = getattr(importlib.import_module(module), name)()
            engine.calculate(atoms, list(properties), all_changes)
            self.results = dict(engine.results)
        note(f"done {digest(atoms)} {time.perf_counter() - start!r} {began!r}")


class Chaotic(Harmonic):
    """Harmonic; in a share CHAOS of the calls it crashes, hangs, is killed, is slow, returns NaN.

    The share is no keyword, so that a calm run has the same identity.
    """

    default_parameters = {"seconds": 0.0, "engine": "", "slow": 20.0}  # noqa: RUF012

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        dice = np.random.default_rng(int.from_bytes(os.urandom(8), "little"))
        trick = dice.choice(["crash", "hang", "nan", "kill", "raises", "slow"])
        unlucky = dice.random() < float(os.environ.get(CHAOS, "0"))
        if unlucky and trick == "slow":
            time.sleep(self.parameters.slow * self.parameters.seconds)
        elif unlucky:
            Calculator.calculate(self, atoms, properties, system_changes)
            note(f"{trick} {digest(atoms)}")
            time.sleep(0.5 * self.parameters.seconds)
            getattr(self, trick)(atoms)
            return
        super().calculate(atoms, properties, system_changes)

    def crash(self, atoms):
        os._exit(9)

    def hang(self, atoms):
        time.sleep(10_000)

    def kill(self, atoms):
        os.kill(os.getpid(), signal.SIGKILL)

    def nan(self, atoms):
        self.results = {"energy": np.nan, "free_energy": np.nan, "stress": np.zeros(6)}
        self.results["forces"] = np.zeros((len(atoms), 3))

    def raises(self, atoms):
        raise RuntimeError("SCF not converged")


class Picky(Harmonic):
    """Harmonic where `patient`; without, there is no convergence beyond x = 1 Å."""

    default_parameters = {"seconds": 0.0, "patient": False}  # noqa: RUF012

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        if atoms.positions[0, 0] > 1.0 and not self.parameters.patient:
            note(f"impatient {digest(atoms)}")
            raise RuntimeError("SCF not converged")
        super().calculate(atoms, properties, system_changes)


class Doomed(Harmonic):
    """Harmonic up to x = 1 Å, where it ends the worker above it."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        if atoms.positions[0, 0] > 1.0:
            note(f"doomed {digest(atoms)}")
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(100)
        super().calculate(atoms, properties, system_changes)


def digest(atoms):
    from hyperatom.interchange.ase_atoms import from_ase

    return from_ase(atoms).digest()


def note(line):
    path = os.environ.get("HYPERATOM_TEST_TALLY")
    if path:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(file, f"{line}\n".encode())
        os.close(file)
