"""Energies of atoms by least squares, for rivals that want them taken off."""

from typing import Any

import numpy as np


def energies_of_atoms(frames: list[Any]) -> np.ndarray:
    """In eV, by atomic number; zero for species that no frame has."""
    species = sorted({int(z) for atoms in frames for z in atoms.numbers})
    counts = np.array([[np.sum(atoms.numbers == z) for z in species] for atoms in frames])
    energies = np.array([atoms.get_potential_energy() for atoms in frames])
    constants = np.zeros(119)
    constants[species] = np.linalg.lstsq(counts.astype(float), energies, rcond=1e-8)[0]
    return constants
