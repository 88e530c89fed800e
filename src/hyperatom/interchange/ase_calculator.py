"""Any potential of ours as an ASE calculator."""

from collections.abc import Sequence
from typing import Any

from ase.calculators.calculator import Calculator, all_changes

from hyperatom.contracts import Potential
from hyperatom.interchange.ase_atoms import from_ase


class PotentialCalculator(Calculator):
    """Energy, forces, and stress where the cell is periodic, in ASE's units and signs.

    `atoms.calc = PotentialCalculator(potential)`; the result `energy_error` (eV) is there where the
    potential knows its own error. Raises `InputError` for a species that it does not know.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, potential: Potential, **keywords: Any) -> None:
        super().__init__(**keywords)  # type: ignore[no-untyped-call]
        self.potential = potential

    def calculate(
        self,
        atoms: Any = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Called by ASE."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        found = self.potential.evaluate(from_ase(self.atoms))
        self.results = {
            "energy": found.energy,
            "free_energy": found.energy,
            "forces": found.forces,
        }
        if found.stress is not None:
            self.results["stress"] = found.stress
        if found.energy_error is not None:
            self.results["energy_error"] = found.energy_error
