"""What both sides of a comparison do: evaluate, and run velocity Verlet."""

import time
from typing import Any, Protocol

import numpy as np

FEMTOSECOND = 0.09822694788464063
"""One femtosecond in sqrt(amu Å^2 / eV)."""


class Session(Protocol):
    """A potential at work on one set of atoms in one cell, on one core."""

    def evaluate(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy in eV and forces (n_atoms, 3) in eV/Å at `positions` (n_atoms, 3) in Å."""
        ...

    def run(self, positions: np.ndarray, momenta: np.ndarray, n_steps: int) -> float:
        """Processor seconds that `n_steps` of 1 fs take, the first forces included.

        `momenta` (n_atoms, 3) in sqrt(amu eV). Lists of neighbours are renewed as needed; nothing
        is written on the way.
        """
        ...


class CalculatorSession:
    """Any ASE calculator, its `calculate` called directly once a step."""

    def __init__(self, calculator: Any, atoms: Any) -> None:
        self.calculator = calculator
        self.atoms = atoms.copy()

    def evaluate(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        self.atoms.positions[:] = positions
        self.calculator.calculate(self.atoms, ["energy", "forces"], ["positions"])
        results = self.calculator.results
        return float(results["energy"]), np.array(results["forces"])

    def run(self, positions: np.ndarray, momenta: np.ndarray, n_steps: int) -> float:
        masses = self.atoms.get_masses()[:, None]
        start = time.process_time()
        forces = self.evaluate(positions)[1]
        for _ in range(n_steps):
            momenta = momenta + 0.5 * FEMTOSECOND * forces
            positions = positions + FEMTOSECOND * momenta / masses
            forces = self.evaluate(positions)[1]
            momenta = momenta + 0.5 * FEMTOSECOND * forces
        return time.process_time() - start
