"""Converts a potential from one program's files to another's, and checks every step.

What is checked: forces and stress are derivatives of the energy; the numbers that the source ships,
where there are any, come out again; what was written, read again, gives the same energies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.evaluation import VOIGT, Evaluation
from hyperatom.interchange.ase_atoms import from_ase
from hyperatom.interchange.potential_formats import PotentialFormat, Source
from hyperatom.potentials.compiled_potential import CompiledPotential
from hyperatom.units import HARTREE

ENERGY_TOLERANCE = 1.0e-6
"""eV/atom."""

FORCE_TOLERANCE = 1.0e-5
"""eV/Å."""

STRESS_TOLERANCE = 1.0e-6
"""eV/Å^3."""

STEP = 1.0e-4
"""Å, or relative strain; of the finite differences."""


@dataclass(frozen=True)
class Comparison:
    """One check: what was compared, whether it agrees, and how well, in words."""

    name: str
    passed: bool
    sentence: str


Frame = tuple[Configuration, Evaluation | None]
"""A configuration and, where the file has them, the source's own numbers."""


def read_frames(path: Path, limit: int = 20) -> list[Frame]:
    """Configurations of any file that ASE reads, at most `limit` of them, with stored numbers.

    Raises `InputError` where there are none.
    """
    import ase.io

    try:
        found: list[Any] = list(ase.io.iread(str(path), index=f":{limit}"))
    except Exception as problem:
        raise InputError(
            f"{path} cannot be read as configurations: {problem}.",
            "Give a file that ASE reads, extended XYZ for instance.",
        ) from problem
    if not found:
        raise InputError(f"{path} holds no configurations.", "Give a file with at least one.")
    frames: list[Frame] = []
    for atoms in found:
        evaluation = None
        if atoms.calc is not None:
            results = atoms.calc.results
            if "energy" in results and "forces" in results:
                stress = atoms.get_stress() if "stress" in results else None
                evaluation = Evaluation(float(results["energy"]), results["forces"], stress)
        frames.append((from_ase(atoms), evaluation))
    return frames


def sample_configuration(potential: CompiledPotential) -> Configuration:
    """A small periodic heap of all species, for checks where the user gives no configurations."""
    from ase.data import atomic_masses, covalent_radii

    numbers = np.array([potential.species[i % len(potential.species)] for i in range(8)])
    rng = np.random.default_rng(0)
    spacing = 2.4 * float(covalent_radii[numbers].max())
    grid = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)
    positions = spacing * (grid + rng.uniform(-0.05, 0.05, grid.shape))
    cell = 2.0 * spacing * np.eye(3) + 0.1 * rng.normal(size=(3, 3))
    return Configuration(numbers, positions, cell, np.ones(3, dtype=bool), atomic_masses[numbers])


def check_derivatives(potential: CompiledPotential, here: Configuration) -> list[Comparison]:
    """Forces and stress against finite differences of the energy."""
    found = potential.evaluate(here)
    rng = np.random.default_rng(1)
    direction = rng.normal(size=here.positions.shape)
    direction /= np.linalg.norm(direction)

    def slope(move: Any) -> float:
        ends = [potential.evaluate(move(s * STEP)).energy for s in (-2, -1, 1, 2)]
        return float((ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * STEP))

    expected = -float(np.sum(found.forces * direction))
    difference = abs(
        slope(lambda s: here.with_positions(here.positions + s * direction)) - expected
    )
    comparisons = [
        Comparison(
            "forces",
            difference < FORCE_TOLERANCE * max(1.0, abs(expected)),
            f"minus the gradient of the energy within {difference:.1e} eV/Å",
        )
    ]
    if found.stress is not None:
        strain = rng.normal(size=(3, 3))
        strain = 0.5 * (strain + strain.T)
        strain /= np.linalg.norm(strain)
        voigt = strain[VOIGT] * [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
        expected = float(found.stress @ voigt)

        def stretched(s: float) -> Configuration:
            stretch = np.eye(3) + s * strain
            return Configuration(
                here.numbers,
                here.positions @ stretch,
                here.cell @ stretch,
                here.periodic,
                here.masses,
            )

        difference = abs(slope(stretched) / here.volume - expected)
        comparisons.append(
            Comparison(
                "stress",
                difference < STRESS_TOLERANCE * max(1.0, abs(expected)),
                f"the derivative by strain within {difference:.1e} eV/Å^3",
            )
        )
    return comparisons


def check_frames(potential: CompiledPotential, frames: Sequence[Frame]) -> list[Comparison]:
    """The source's own numbers, where the frames have them."""
    known = [(here, said) for here, said in frames if said is not None]
    if not known:
        return []
    found = [potential.evaluate(here) for here, _ in known]
    energy = max(
        abs(one.energy - said.energy) / here.n_atoms
        for one, (here, said) in zip(found, known, strict=True)
    )
    forces = max(
        float(np.abs(one.forces - said.forces).max())
        for one, (_, said) in zip(found, known, strict=True)
    )
    hint = ""
    pairs = zip(found, known, strict=True)
    ratios = np.array([one.energy / said.energy for one, (_, said) in pairs if said.energy])
    for name, factor in (("Hartree", HARTREE), ("kcal/mol", 1.0 / 23.060548)):
        if energy > ENERGY_TOLERANCE and len(ratios) and np.allclose(ratios, factor, rtol=1e-3):
            hint = f"; the stored energies look like {name}"
    count = f"{len(known)} stored {'answer' if len(known) == 1 else 'answers'}"
    comparisons = [
        Comparison(
            "stored energies",
            energy <= ENERGY_TOLERANCE,
            f"{count}, largest difference {energy:.1e} eV/atom{hint}",
        ),
        Comparison(
            "stored forces",
            forces <= FORCE_TOLERANCE,
            f"{count}, largest difference {forces:.1e} eV/Å",
        ),
    ]
    stresses = [
        float(np.abs(one.stress - said.stress).max())
        for one, (_, said) in zip(found, known, strict=True)
        if one.stress is not None and said.stress is not None
    ]
    if stresses:
        worst = max(stresses)
        comparisons.append(
            Comparison(
                "stored stress",
                worst <= STRESS_TOLERANCE,
                f"{len(stresses)} stored, largest difference {worst:.1e} eV/Å^3",
            )
        )
    return comparisons


def write_and_compare(
    potential: CompiledPotential,
    target: Path,
    kind: PotentialFormat,
    configurations: Sequence[Configuration],
) -> Comparison:
    """Write a potential, read it again, and compare the energies.

    Raises `InputError` where the format cannot hold it.
    """
    if kind.write is None:
        raise InputError(
            f"hyperatom reads {kind.name} files but does not write them.",
            "Choose a format that is written; 'hyperatom convert --help' names them.",
        )
    if target.exists():
        raise InputError(f"{target} exists.", "Name a new file or folder.")
    kind.write(potential, target)
    from ase.data import chemical_symbols

    symbols = tuple(chemical_symbols[number] for number in potential.species)
    again = kind.read(Source(target, symbols, kind.units[0] if kind.units else None))
    difference = max(
        abs(again.evaluate(here).energy - potential.evaluate(here).energy) / here.n_atoms
        for here in configurations
    )
    return Comparison(
        "written and read again",
        difference <= ENERGY_TOLERANCE,
        f"{len(configurations)} energies, largest difference {difference:.1e} eV/atom",
    )
