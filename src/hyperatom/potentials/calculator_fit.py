"""What is to be learned of a calculator: the energies of atoms, and how wrong it is.

sigma^2 = n_atoms s^2,    s^2 = < (E - E_label)^2 / n_atoms >
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.potentials.calculator import CalculatorEnergy
from hyperatom.potentials.compiled_potential import CompiledModel
from hyperatom.potentials.energies_of_atoms import energies_of_atoms
from hyperatom.potentials.family import FitResult, FitStep, FitTask
from hyperatom.potentials.fitted import FittedPotential
from hyperatom.potentials.frame_errors import atoms_in, frame_errors, left_by

Array = NDArray[np.float64]


def fit_calculator(task: FitTask) -> FitResult:
    """Energies of atoms by least squares of what the calculator leaves."""
    bare = assemble_calculator(task.settings, task.species, np.zeros(len(task.species)), None)
    constants = energies_of_atoms(left_by(bare, task.training), task.species)
    potential = assemble_calculator(task.settings, task.species, constants, None)
    known, wrong = frame_errors(potential, task.training)
    noise = np.sqrt(np.mean(wrong**2 / atoms_in(task.training)))
    potential = assemble_calculator(task.settings, task.species, constants, np.float64(noise))
    unseen, _ = frame_errors(potential, task.validation)
    step = FitStep(float(len(task.training)), known, unseen)
    task.watch(step)
    return FitResult(potential, (step,), "frames learned")


def assemble_calculator(
    settings: Any, species: tuple[int, ...], parameters: Any, knowledge: Any
) -> FittedPotential:
    """The potential of energies of atoms (n_species,) in eV, and of its error in eV/sqrt(atom)."""
    energy = CalculatorEnergy(settings.calculator, settings.keywords, species)
    return FittedPotential(
        CompiledModel(species, settings.cutoff, None, energy, precision=settings.precision),
        parameters,
        f"calculator {settings.calculator}",
        family="calculator",
        settings=settings,
        knowledge=knowledge,
        known_errors=None if knowledge is None else _errors,
    )


def _errors(
    potential: FittedPotential, configuration: Configuration, waypoints: Array, cells: Array
) -> Array:
    del cells
    return np.full(len(waypoints), float(potential.knowledge) * np.sqrt(configuration.n_atoms))
