"""Displacements: the moves of plain Monte Carlo, without a guide.

    x_i' = x_i + step * u,   u uniform in the cube [-1, 1]^3,   for `atoms` atoms drawn at random

(Metropolis et al. 1953). A displacement and its opposite are equally probable and the atoms are
drawn without looking at the state, so the log ratio is zero for every distribution with a density
in Cartesian coordinates. With the centre of mass held, all atoms are shifted back by its
displacement; u and -u still lead there and back.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.contracts import Proposed
from hyperatom.errors import InputError


@dataclass(frozen=True)
class Displacement:
    """Moves `atoms` atoms (None: all) by up to `step` Å along each axis.

    Raises `InputError` for a step or a number of atoms that is not positive.
    """

    step: float
    atoms: int | None = 1
    fixed_centre_of_mass: bool = True

    def __post_init__(self) -> None:
        if not 0.0 < self.step < np.inf or (self.atoms is not None and self.atoms < 1):
            raise InputError(
                f"A displacement of {self.atoms} atoms by up to {self.step:g} Å is none.",
                "Give a positive step in Å and at least one atom.",
            )

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        """Log ratio: zero."""
        n_atoms = configuration.n_atoms
        n_moved = n_atoms if self.atoms is None else min(self.atoms, n_atoms)
        moved = rng.choice(n_atoms, n_moved, replace=False)
        positions = configuration.positions.copy()
        positions[moved] += rng.uniform(-self.step, self.step, (n_moved, 3))
        if self.fixed_centre_of_mass:
            positions = hold_centre_of_mass(positions, configuration)
        return Proposed(configuration.with_positions(positions), 0.0)


def hold_centre_of_mass(
    positions: NDArray[np.float64], before: Configuration
) -> NDArray[np.float64]:
    """`positions` (n_atoms, 3), Å, shifted as a whole so that the centre of mass is as `before`."""
    shares = before.masses / before.masses.sum()
    shifted: NDArray[np.float64] = positions - shares @ (positions - before.positions)
    return shifted
