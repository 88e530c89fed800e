"""Configuration: the atoms, frozen."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray


def _frozen(values: object, dtype: type, shape: tuple[int, ...]) -> NDArray[np.generic]:
    array: NDArray[np.generic] = np.array(values, dtype=dtype).reshape(shape)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Configuration:
    """Atoms in space: what a potential or a reference evaluates.

    | field       | shape        | unit | meaning                                    |
    |-------------|--------------|------|--------------------------------------------|
    | `numbers`   | (n_atoms,)   | -    | atomic numbers                             |
    | `positions` | (n_atoms, 3) | Å    | Cartesian, not necessarily inside the cell |
    | `cell`      | (3, 3)       | Å    | lattice vectors as rows; zero where absent |
    | `periodic`  | (3,)         | -    | periodic along each lattice vector?        |
    | `masses`    | (n_atoms,)   | amu  | masses used by the dynamics                |

    Arrays are copied and made read-only.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    periodic: NDArray[np.bool_]
    masses: NDArray[np.float64] = field(repr=False)

    def __post_init__(self) -> None:
        n_atoms = np.size(self.numbers)
        for name, dtype, shape in (
            ("numbers", np.int64, (n_atoms,)),
            ("positions", np.float64, (n_atoms, 3)),
            ("cell", np.float64, (3, 3)),
            ("periodic", np.bool_, (3,)),
            ("masses", np.float64, (n_atoms,)),
        ):
            object.__setattr__(self, name, _frozen(getattr(self, name), dtype, shape))

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.numbers.size)

    @property
    def n_copies(self) -> int:
        """Copies of the atoms, stacked, that do not see each other: those of a ring polymer."""
        return 1

    @property
    def volume(self) -> float:
        """Cell volume in Å^3; meaningful only where all three directions are periodic."""
        return float(abs(np.linalg.det(self.cell)))

    @property
    def species(self) -> tuple[int, ...]:
        """The distinct atomic numbers, ascending."""
        return tuple(int(z) for z in np.unique(self.numbers))

    def with_positions(self, positions: NDArray[np.float64]) -> Self:
        """The same atoms elsewhere; `positions` has shape (n_atoms, 3), in Å."""
        return replace(self, positions=positions)

    def with_cell(self, positions: NDArray[np.float64], cell: NDArray[np.float64]) -> Self:
        """The same atoms elsewhere in another cell; shapes as above, in Å."""
        return replace(self, positions=positions, cell=cell)

    def digest(self) -> str:
        """SHA-256 of everything an energy can depend on (masses are not part of it), as hex."""
        content = hashlib.sha256()
        for array in (self.numbers, self.positions, self.cell, self.periodic):
            content.update(np.ascontiguousarray(array).tobytes())
        return content.hexdigest()
