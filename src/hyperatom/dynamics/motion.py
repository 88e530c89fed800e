"""What an integrator is: two halves of a time step around one evaluation of the forces.

    begin     moves momenta, positions and, where it changes, the cell
    (the loop evaluates energy, forces and virial at the new positions)
    complete  moves momenta, now that the forces are known

Both are pure JAX functions. Numbers that may differ from run to run (temperatures, masses of a
barostat) are data, so that nothing is compiled again for them. Symmetric integrators, whose
`complete` mirrors their `begin`, run backwards when all momenta are flipped.
"""

from typing import Any, NamedTuple, Protocol


class Motion(NamedTuple):
    """Where atoms and cell are, and how they move.

    | field       | shape        | unit         | meaning                                          |
    |-------------|--------------|--------------|--------------------------------------------------|
    | `positions` | (n_atoms, 3) | Å            | not wrapped into the cell                        |
    | `momenta`   | (n_atoms, 3) | sqrt(amu eV) |                                                  |
    | `cell`      | (3, 3)       | Å            | lattice vectors as rows                          |
    | `forces`    | (n_atoms, 3) | eV/Å         | at the latest evaluation                         |
    | `virial`    | (3, 3)       | eV           | volume x stress, tension positive                |
    | `energy`    | scalar       | eV           | at the latest evaluation                         |
    | `variables` | tree         | -            | the integrator's own: momenta of a cell, say     |
    """

    positions: Any
    momenta: Any
    cell: Any
    forces: Any
    virial: Any
    energy: Any
    variables: Any


class Circumstances(NamedTuple):
    """What does not change along a path, but for `step`.

    | field            | shape        | unit               | meaning                     |
    |------------------|--------------|--------------------|-----------------------------|
    | `time_step`      | scalar       | sqrt(amu Å^2 / eV) |                             |
    | `inverse_masses` | (n_atoms, 1) | 1/amu              |                             |
    | `parameters`     | tree         | -                  | those of the integrator     |
    | `step`           | scalar       | -                  | number of the step, from 0  |
    """

    time_step: Any
    inverse_masses: Any
    parameters: Any
    step: Any


class Integrator(Protocol):
    """One time step. Hashable: equal integrators share their compiled programs."""

    @property
    def changes_cell(self) -> bool:
        """Does the cell move? Then the virial is computed, and lists follow the cell."""
        ...

    def begin(self, motion: Motion, circumstances: Circumstances) -> Motion:
        """Up to the new positions; forces and virial are those of the old ones."""
        ...

    def complete(self, motion: Motion, circumstances: Circumstances) -> Motion:
        """The rest of the step, with forces and virial of the new positions."""
        ...
