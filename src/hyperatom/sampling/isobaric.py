"""Isobaric ensembles: fixed atoms, temperature and pressure, in a cell that moves.

    density(r, h) ~ exp[-(U(r, h) + P V + V_0 Tr(t e)) / k_B T] V^c w(h)  with respect to  dr dh

| cell           | dh              | w(h), invariant (standard) | w(h), flat |
|----------------|-----------------|----------------------------|------------|
| isotropic      | dV              | 1                          | 1          |
| orthorhombic   | dL_1 dL_2 dL_3  | 1                          | 1          |
| triclinic      | d^9 h           | V^-2                       | 1          |

dr are the 3N - 3 coordinates relative to the centre of mass. In scaled coordinates dr = V^(N-1) ds:
with c = 0 ("relative") this is V^(N-1), as molecular dynamics with resting centre of mass samples
it; c = 1 ("absolute") adds the volume in which the centre of mass would roam, for the V^N of text
books, whose pressure differs by k_B T / V. The triclinic measure V^-2 d^9h is dV times the
invariant measure of shapes (Martyna, Tobias and Klein 1994); flat d^9h is that of Parrinello and
Rahman's variables, different by terms of order 1/N. An ideal gas has no shape: its triclinic and
orthorhombic cells would stretch without end, whatever the measure.

Only the *energy* of the reference enters: its stress, which plane waves of fixed number falsify,
is never used in a judgement. The energy should be that of a fixed energy cutoff, not of a fixed
number of basis functions, or the pressure is that of the basis (Pulay).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.contracts import Dynamics
from hyperatom.dynamics.martyna_tobias_klein import MartynaTobiasKlein, Surroundings
from hyperatom.errors import InputError
from hyperatom.evaluation import VOIGT_MATRIX, Evaluation
from hyperatom.geometry.cell_moves import MEASURE, CellMoves, projected
from hyperatom.sampling.momenta import Momenta, draw_atoms, kinetic_energy
from hyperatom.units import BOLTZMANN, FEMTOSECOND

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Isobaric:
    """Constant temperature and pressure; see the module for the distribution.

    | field            | shape          | unit   | meaning                                        |
    |------------------|----------------|--------|------------------------------------------------|
    | `temperature`    | scalar         | K      |                                                |
    | `pressure`       | scalar         | eV/Å^3 | P                                              |
    | `moves`          | -              | -      | how the cell moves                             |
    | `home`           | (3, 3) or None | Å      | cell h_0 to which the tension refers           |
    | `stress`         | (6,) or None   | eV/Å^3 | external stress beyond P, ASE's sign and order |
    | `measure`        | -              | -      | w(h)                                           |
    | `centre_of_mass` | -              | -      | relative: c = 0; absolute: c = 1               |
    | `barostat_time`  | scalar         | fs     | inertia of the cell, (N_f + 3)/3 k_B T time^2  |

    Raises `InputError` for an external stress without a home or with an isotropic cell.
    """

    temperature: float
    pressure: float
    moves: CellMoves = "isotropic"
    home: Array | None = None
    stress: Array | None = None
    measure: Literal["invariant", "flat"] = "invariant"
    centre_of_mass: Literal["relative", "absolute"] = "relative"
    barostat_time: float = 200.0

    def __post_init__(self) -> None:
        if self.stress is None:
            return
        if self.home is None or self.moves == "isotropic":
            raise InputError(
                "An external stress needs a cell that changes its shape, and a cell to refer to.",
                "Let the cell move as 'orthorhombic' or 'triclinic'.",
            )

    @property
    def thermal_energy(self) -> float:
        """k_B T in eV."""
        return BOLTZMANN * self.temperature

    @cached_property
    def tension(self) -> Array:
        """t (3, 3), eV/Å^3: minus the external stress."""
        if self.stress is None:
            return np.zeros((3, 3))
        tension: Array = -np.asarray(self.stress, dtype=np.float64)[VOIGT_MATRIX]
        return tension

    def work(self, configuration: Configuration) -> float:
        """P V + V_0 Tr(t e), eV."""
        work = self.pressure * configuration.volume
        if self.home is not None and self.stress is not None:
            deformation = np.linalg.solve(self.home, configuration.cell)
            strain = 0.5 * (deformation @ deformation.T - np.eye(3))
            work += abs(np.linalg.det(self.home)) * float(np.sum(self.tension * strain))
        return work

    def log_density(self, configuration: Configuration, evaluation: Evaluation) -> float:
        """-(U + P V + V_0 Tr(t e)) / k_B T + (c + power of w) ln V, dimensionless.

        Raises `InputError` for a configuration that is not periodic in all directions.
        """
        self.check(configuration)
        power = float(self.centre_of_mass == "absolute")
        if self.measure == "invariant":
            power -= MEASURE[self.moves] - 1
        enthalpy = evaluation.energy + self.work(configuration)
        return float(-enthalpy / self.thermal_energy + power * np.log(configuration.volume))

    def check(self, configuration: Configuration) -> None:
        """Raise `InputError` where there is no volume to change, or a single atom."""
        if not configuration.periodic.all():
            raise InputError(
                "Constant pressure needs a cell that is periodic in all three directions; "
                f"this one has {configuration.periodic.tolist()}.",
                "Leave out 'pressure', or make the cell periodic.",
            )
        if configuration.n_atoms < 2:
            raise InputError(
                "At constant pressure a single atom has no relative coordinates.",
                "Repeat the cell: 'repeat: [2, 2, 2]'.",
            )

    # What a guided trajectory asks for; see `PathEnsemble`.

    def mass(self, n_atoms: int) -> float:
        """Inertia of the cell, amu Å^2."""
        return n_atoms * self.thermal_energy * (self.barostat_time * FEMTOSECOND) ** 2

    def draw(self, configuration: Configuration, rng: np.random.Generator) -> Momenta:
        """Maxwell momenta of atoms and cell: p_g with density exp(-Tr p_g^2 / 2 W k_B T)."""
        self.check(configuration)
        atoms = draw_atoms(configuration.masses, self.thermal_energy, rng, True)
        width = np.sqrt(self.mass(configuration.n_atoms) * self.thermal_energy)
        return Momenta(atoms, projected(width * rng.standard_normal((3, 3)), self.moves))

    def kinetic_energy(self, momenta: Momenta, configuration: Configuration) -> float:
        """sum p^2 / 2m + Tr p_g^2 / 2W, eV."""
        assert momenta.cell is not None
        of_cell = 0.5 * float(np.sum(momenta.cell**2)) / self.mass(configuration.n_atoms)
        return kinetic_energy(momenta.atoms, configuration.masses) + of_cell

    def dynamics(self, momenta: Momenta, configuration: Configuration) -> Dynamics:
        """Martyna, Tobias and Klein's."""
        around = Surroundings(
            mass=self.mass(configuration.n_atoms),
            freedom=3.0 * configuration.n_atoms - 3.0,
            pressure=self.pressure,
            tension=self.tension,
            home=configuration.cell if self.home is None else self.home,
        )
        return Dynamics(MartynaTobiasKlein(self.moves), around, momenta.cell)

    def log_jacobian(self, before: Configuration, after: Configuration) -> float:
        """How much the trajectory stretched dr dp dh dp_g: (V'/V)^2 for triclinic cells, else 1."""
        power = MEASURE[self.moves] - 1
        return float(power * np.log(after.volume / before.volume)) if power else 0.0
