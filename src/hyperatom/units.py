"""The only physical constants of the package.

Inside: energy eV, length Å, mass amu, time sqrt(amu Å^2 / eV), temperature K, stress eV/Å^3.
At the surface: time in fs, pressure in GPa. Values: CODATA 2014, the set that ASE uses.
"""

from typing import Final

BOLTZMANN: Final = 8.617330337217213e-05
"""Boltzmann constant, eV/K."""

FEMTOSECOND: Final = 0.09822694788464063
"""One femtosecond in internal time, sqrt(amu Å^2 / eV)."""

GIGAPASCAL: Final = 0.006241509125883258
"""One gigapascal in eV/Å^3."""

REDUCED_PLANCK: Final = 0.6582119514 * FEMTOSECOND
"""hbar in eV times internal time."""

HARTREE: Final = 27.211386024367243
"""One hartree in eV."""

DALTON: Final = 1.66053904020
"""One amu/Å^3 in g/cm^3."""

BOHR: Final = 0.5291772105638411
"""One bohr in Å."""

MILLI: Final = 1.0e-3
"""For printing meV."""
