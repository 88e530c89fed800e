"""EMT with one fault each, for the doctor to find; loaded by the engine's process only."""

import hashlib
import time

import numpy as np
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT


class Planted(EMT):
    fault = staticmethod(lambda atoms, results: None)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        type(self).fault(atoms, self.results)
        self.results["free_energy"] = self.results["energy"]


def planted(fault):
    return type(fault.__name__, (Planted,), {"fault": staticmethod(fault)})


@planted
def healthy(atoms, results):
    pass


@planted
def wrong_stress_sign(atoms, results):
    results["stress"] = -results["stress"]


@planted
def stress_in_gpa(atoms, results):
    results["stress"] = 160.21766 * results["stress"]


@planted
def voigt_mixed_up(atoms, results):
    results["stress"] = results["stress"][[0, 1, 2, 5, 4, 3]]


@planted
def forces_scaled(atoms, results):
    results["forces"] = 1.1 * results["forces"]


@planted
def wrong_force_sign(atoms, results):
    results["forces"] = -results["forces"]


_before = []


@planted
def depends_on_order(atoms, results):
    """A second solution of the self-consistency, reached by coming from far above."""
    energy = results["energy"]
    if _before and _before[-1] - energy > 0.5:
        results["energy"] = energy + 0.05
    _before.append(energy)


@planted
def not_converged(atoms, results):
    """The energy stops anywhere within 4 meV, and nobody says so."""
    digest = hashlib.sha256(atoms.positions.tobytes() + atoms.cell.tobytes()).digest()
    results["energy"] += 4.0e-3 * (int.from_bytes(digest[:4], "little") / 2**32 - 0.5)


class SaysUnconverged(EMT):
    converged = False


@planted
def egg_box(atoms, results):
    """A grid of 0.4 Å under the first atom, and forces that know of it."""
    phase = 2.0 * np.pi * atoms.positions[0, 0] / 0.4
    results["energy"] += 0.02 * np.sin(phase)
    results["forces"][0, 0] -= 0.02 * 2.0 * np.pi / 0.4 * np.cos(phase)


@planted
def single_precision(atoms, results):
    results["energy"] = float(np.float32(results["energy"] - 40000.0))


@planted
def slow(atoms, results):
    time.sleep(0.5)
