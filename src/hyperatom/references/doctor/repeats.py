"""The same energy again: after other calls, elsewhere in space, turned round, in full digits."""

from dataclasses import replace

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.errors import ReferenceFailure
from hyperatom.evaluation import Evaluation
from hyperatom.references.doctor.finding import Finding, Patient

REPEATABLE = 0.01
"""kT by which an energy may depend on what was asked before."""
LARGEST_NOISE = 1.0
"""kT; standard error of an energy."""
EGG_BOX = 0.1
"""kT by which an energy may change when all atoms move together."""


def standard_error(patient: Patient, error: float) -> Finding:
    """Of a noisy energy, against kT: a chain that keeps its energies sticks where it is larger."""
    ratio = error / patient.thermal_energy
    told = f"{1e3 * error:.2g} meV ({ratio:.2g} kT)"
    numbers = {"standard_error_eV": error}
    if ratio <= LARGEST_NOISE:
        return Finding("standard error", "fine", told, "", numbers)
    return Finding(
        "standard error",
        "fault",
        f"{told}: the chain would stick where an energy came out low",
        f"Sample {np.ceil(ratio**2):.0f} times as long, or study a higher temperature.",
        numbers,
    )


def order(patient: Patient, here: Configuration, seen: Evaluation) -> Finding:
    """Ask for another configuration, then for the first one again."""
    patient.evaluate(patient.shaken(seed=3, size=0.15))
    again = patient.evaluate(here)
    difference = abs(again.energy - seen.energy)
    numbers = {"difference_eV": difference}
    if difference == 0.0:
        return Finding("call order", "fine", "the same to the last bit", "", numbers)
    told = f"{1e3 * difference:.2g} meV ({difference / patient.thermal_energy:.1g} kT)"
    if difference <= REPEATABLE * patient.thermal_energy:
        return Finding("call order", "fine", f"the same to {told}", "", numbers)
    return Finding(
        "call order",
        "fault",
        f"the same atoms have an energy {told} different after another call: several solutions of "
        "the self-consistency, or wave functions carried over",
        "Start every call from scratch, converge tighter, use one thread.",
        numbers,
    )


def translation(patient: Patient, here: Configuration, seen: Evaluation) -> Finding:
    """Move all atoms together: in empty space, and in a crystal, nothing may happen."""
    rng = np.random.default_rng(5)
    shifts = rng.uniform(-0.5, 0.5, size=(3, 3))
    return _unchanged(
        patient,
        "translation (egg-box)",
        [here.with_positions(here.positions + shift) for shift in shifts],
        seen,
        "when all atoms move together: the grid shows through",
        "Raise the cutoff or refine the grid.",
    )


def rotation(patient: Patient, here: Configuration, seen: Evaluation) -> Finding:
    """Turn atoms and cell together."""
    angle, axis = 0.7, np.array([1.0, 2.0, 3.0]) / np.sqrt(14.0)
    cross = np.cross(np.eye(3), axis)
    turn = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross
    turned = replace(here, positions=here.positions @ turn, cell=here.cell @ turn)
    try:
        return _unchanged(
            patient,
            "rotation",
            [turned],
            seen,
            "when atoms and cell are turned: the grid shows through",
            "Raise the cutoff or refine the grid.",
        )
    except ReferenceFailure as failure:
        return Finding("rotation", "not asked", f"the engine takes no turned cell: {failure}")


def precision(patient: Patient, here: Configuration, seen: Evaluation) -> Finding:
    """Are the energies single-precision numbers, or printed with few digits?"""
    del here, seen
    energies = np.array(patient.energies)
    found: list[tuple[str, float]] = []
    if np.array_equal(energies.astype(np.float32).astype(float), energies):
        found.append(("single precision", float(np.spacing(np.float32(np.abs(energies).max())))))
    printed = (n for n in range(1, 7) if np.all(np.abs(energies - energies.round(n)) < 1.0e-11))
    found += [(f"{n} decimals", 10.0**-n) for n in printed][:1]
    for name, step in found:
        if step > REPEATABLE * patient.thermal_energy:
            return Finding(
                "precision",
                "fault",
                f"energies come in {name}: steps of {1e3 * step:.2g} meV",
                "Compute and print in double precision.",
                {"step_eV": step},
            )
    return Finding("precision", "fine", f"{len(energies)} energies with digits enough")


def _unchanged(
    patient: Patient,
    name: str,
    images: list[Configuration],
    seen: Evaluation,
    what: str,
    cure: str,
) -> Finding:
    energies = [patient.evaluate(image).energy for image in images]
    worst = max(abs(energy - seen.energy) for energy in energies)
    told = f"{1e3 * worst:.2g} meV, {worst / patient.thermal_energy:.1g} kT"
    numbers = {"difference_eV": worst}
    if worst <= EGG_BOX * patient.thermal_energy:
        return Finding(name, "fine", told, "", numbers)
    return Finding(name, "fault", f"the energy changes by {told}, {what}", cure, numbers)
