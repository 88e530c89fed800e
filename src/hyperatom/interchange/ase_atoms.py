"""The only door between hyperatom and ASE's `Atoms`."""

from typing import Any

import numpy as np

from hyperatom.configuration import Configuration


def from_ase(atoms: Any) -> Configuration:
    """The configuration of an `ase.Atoms`; positions and cell in Å, masses in amu."""
    return Configuration(
        numbers=atoms.numbers,
        positions=atoms.positions,
        cell=np.asarray(atoms.cell),
        periodic=atoms.pbc,
        masses=atoms.get_masses(),
    )


def to_ase(configuration: Configuration) -> Any:
    """An `ase.Atoms` with the same numbers, positions, cell, periodicity and masses."""
    from ase import Atoms

    return Atoms(
        numbers=configuration.numbers,
        positions=configuration.positions,
        cell=configuration.cell,
        pbc=configuration.periodic,
        masses=configuration.masses,
    )
