"""Forces and stress against finite differences of the energy, and how smooth the energy is.

A force is minus the slope of the energy, a stress its slope under strain over the volume; signs,
units and missing terms show in the ratio of the two.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.evaluation import VOIGT_MATRIX, Evaluation
from hyperatom.references.doctor.finding import Finding, Line, Patient, in_units_of

STEP = 0.02
"""Å, of all atoms together."""
STRAIN = 0.004
FORCE_TOLERANCE = 0.02
"""eV/Å, beside 3 % of the force."""
STRESS_TOLERANCE = 5.0e-4
"""eV/Å^3 (0.08 GPa), beside 5 % of the stress."""
ROUGHNESS = 0.02
"""kT: noise of the energy beyond which acceptance and forces suffer."""

_HARTREE, _BOHR, _RYDBERG = 27.211386, 0.529177, 13.605693
_FORCE_UNITS = {
    "forces have the wrong sign": -1.0,
    "forces are in hartree/bohr": _BOHR / _HARTREE,
    "forces are in Ry/bohr": _BOHR / _RYDBERG,
    "forces are in kcal/mol/Å": 23.0605,
    "forces are in kJ/mol/nm": 964.853,
    "forces lack the conversion of bohr to Å": _BOHR,
}
_STRESS_UNITS = {
    "stress has the wrong sign": -1.0,
    "stress is in GPa": 160.21766,
    "stress is in GPa and has the wrong sign": -160.21766,
    "stress is in kbar": 1602.1766,
    "stress is in kbar and has the wrong sign": -1602.1766,
    "stress is in hartree/bohr^3": _BOHR**3 / _HARTREE,
    "stress is in Ry/bohr^3": _BOHR**3 / _RYDBERG,
}


def forces_and_noise(patient: Patient, here: Configuration, seen: Evaluation) -> list[Finding]:
    """Two lines: along the forces themselves, and along a random direction."""
    strongest = float(np.linalg.norm(seen.forces))
    directions = [np.random.default_rng(11).normal(size=seen.forces.shape)]
    if strongest > 0.0:
        directions.insert(0, seen.forces / strongest)
    directions = [direction / np.linalg.norm(direction) for direction in directions]

    def moved(direction: NDArray[np.float64]) -> Callable[[float], Configuration]:
        return lambda distance: here.with_positions(here.positions + distance * direction)

    lines = [_line(patient, moved(direction), STEP, seen.energy) for direction in directions]
    slopes = [-line.slope for line in lines]
    claimed = [float(np.sum(seen.forces * direction)) for direction in directions]
    worst = max(abs(one - other) for one, other in zip(slopes, claimed, strict=True))
    return [
        _verdict(
            "forces",
            claimed[0],
            slopes[0],
            worst,
            FORCE_TOLERANCE + 0.03 * abs(slopes[0]),
            "eV/Å",
            _FORCE_UNITS,
            "Look for smearing (the energy must be the free energy), a missing term, or electrons "
            "that have not converged.",
        ),
        _smoothness(patient, lines),
    ]


def stress(patient: Patient, here: Configuration, seen: Evaluation) -> Finding:
    """Two lines: strain along the stress itself, and a random strain."""
    if not here.periodic.all():
        return Finding("stress", "not asked", "not periodic along all three directions")
    if seen.stress is None:
        return Finding("stress", "not asked", "the engine gives none: cells of fixed shape only")
    tensor = np.asarray(seen.stress)[VOIGT_MATRIX]
    random = np.random.default_rng(12).normal(size=(3, 3))
    strains = [random + random.T]
    if np.linalg.norm(tensor) > 0.0:
        strains.insert(0, tensor)
    strains = [strain / np.linalg.norm(strain) for strain in strains]

    def strained(strain: NDArray[np.float64]) -> Callable[[float], Configuration]:
        def at(size: float) -> Configuration:
            deformation = np.eye(3) + size * strain
            return replace(
                here, cell=here.cell @ deformation, positions=here.positions @ deformation
            )

        return at

    lines = [_line(patient, strained(strain), STRAIN, seen.energy) for strain in strains]
    slopes = [line.slope / here.volume for line in lines]
    claimed = [float(np.sum(tensor * strain)) for strain in strains]
    worst = max(abs(one - other) for one, other in zip(slopes, claimed, strict=True))
    return _verdict(
        "stress",
        claimed[0],
        slopes[0],
        worst,
        STRESS_TOLERANCE + 0.05 * abs(slopes[0]),
        "eV/Å^3",
        {**_STRESS_UNITS, "stress is a virial, not divided by the volume": here.volume},
        "With plane waves the usual cause is too small a cutoff (Pulay stress): raise it.",
    )


def _line(
    patient: Patient, at: Callable[[float], Configuration], step: float, middle: float
) -> Line:
    energies = [
        middle if i == 0 else patient.evaluate(at(i * step)).energy for i in (-2, -1, 0, 1, 2)
    ]
    return Line(np.array(energies), step)


def _verdict(
    name: str,
    claimed: float,
    slope: float,
    worst: float,
    tolerance: float,
    unit: str,
    known: dict[str, float],
    otherwise: str,
) -> Finding:
    told = f"{claimed:.4g} {unit} where the energy's slope is {slope:.4g} {unit}"
    numbers = {"claimed": claimed, "slope": slope, "largest_difference": worst}
    if worst <= tolerance:
        sentence = f"agrees with the energy's slope to {worst:.1g} {unit} ({slope:.3g} {unit})"
        return Finding(name, "fine", sentence, "", numbers)
    ratio = claimed / slope if slope else np.inf
    meaning = in_units_of(ratio, known)
    if meaning is not None:
        return Finding(
            name, "fault", f"{meaning}: {told}", "Mend the engine's ASE calculator.", numbers
        )
    return Finding(
        name,
        "fault",
        f"{told}: {ratio:.3g} times; the largest difference is {worst:.2g} {unit}",
        otherwise,
        numbers,
    )


def _smoothness(patient: Patient, lines: list[Line]) -> Finding:
    noise = float(np.sqrt(np.mean([line.roughness**2 for line in lines])))
    limit = ROUGHNESS * patient.thermal_energy
    told = f"noise {1e3 * noise:.2g} meV, {noise / patient.thermal_energy:.1g} kT"
    numbers = {"noise_eV": noise, "limit_eV": limit}
    if noise <= limit:
        return Finding("energy noise", "fine", told, "", numbers)
    return Finding(
        "energy noise",
        "fault",
        f"{told}: the energy is not a smooth function of the positions",
        "Converge the electrons tightly (SCF threshold, cycles), and use a fixed basis and grid.",
        numbers,
    )
