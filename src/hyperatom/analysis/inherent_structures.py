"""Inherent structures: the energy split into that of the nearest minimum and that of vibration.

F. H. Stillinger and T. A. Weber, Phys. Rev. A 25, 978 (1982): U = e_IS + U_vibration, where e_IS is
the energy of the minimum that steepest descent reaches. The part of the heat capacity that e_IS
brings is d<e_IS>/dT.
"""

from dataclasses import dataclass

import numpy as np

from hyperatom.analysis.observation import Observation
from hyperatom.analysis.weighted import Samples, as_trajectory, mean_of
from hyperatom.contracts import Potential
from hyperatom.errors import InputError


@dataclass(frozen=True)
class InherentStructures:
    """Minima of every `every`-th configuration on `potential`, to forces below `force` (eV/Å)."""

    potential: Potential
    every: int = 1
    force: float = 0.02
    most_steps: int = 500

    def compute(self, samples: Samples) -> Observation:
        """Mean energies of minima and of vibration, eV/atom.

        Raises `InputError` where a minimum is not reached.
        """
        from ase.optimize import FIRE

        from hyperatom.interchange.ase_atoms import to_ase
        from hyperatom.interchange.ase_calculator import PotentialCalculator

        trajectory = as_trajectory(samples).select(0, None, self.every)
        rows = []
        for number in range(len(trajectory)):
            configuration = trajectory.configuration(number)
            atoms = to_ase(configuration)
            atoms.calc = PotentialCalculator(self.potential)
            above = float(atoms.get_potential_energy())
            fire = FIRE(atoms, logfile=None)
            if not fire.run(fmax=self.force, steps=self.most_steps):
                raise InputError(
                    f"The minimum of frame {number} was not reached in {self.most_steps} steps.",
                    "Allow more steps or larger forces.",
                )
            rows.append((atoms.get_potential_energy(), above))
        minimum, above_all = np.array(rows).T / trajectory.n_atoms
        return Observation(
            "inherent structures",
            trajectory.kind,
            len(trajectory),
            numbers={
                "potential energy": mean_of(trajectory, above_all, "eV/atom"),
                "inherent structure": mean_of(trajectory, minimum, "eV/atom"),
                "vibration": mean_of(trajectory, above_all - minimum, "eV/atom"),
            },
        )
