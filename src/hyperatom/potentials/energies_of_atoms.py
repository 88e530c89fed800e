"""What energies of configurations say of single atoms, before anything is learned."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.family import LabelledFrame


def species_of(frames: Sequence[LabelledFrame]) -> tuple[int, ...]:
    """All atomic numbers, ascending."""
    return tuple(sorted({z for frame in frames for z in frame.configuration.species}))


def compositions(frames: Sequence[LabelledFrame], species: tuple[int, ...]) -> NDArray[np.float64]:
    """Atoms of each species in each frame, (n_frames, n_species)."""
    return np.array(
        [[np.sum(frame.configuration.numbers == z) for z in species] for frame in frames],
        dtype=float,
    )


def energies_of_atoms(
    frames: Sequence[LabelledFrame], species: tuple[int, ...]
) -> NDArray[np.float64]:
    """Energy of an atom of each species, eV: least squares per atom, of least norm.

    Where compositions do not tell species apart, they share what there is.
    """
    counts = compositions(frames, species)
    n_atoms = counts.sum(axis=1)
    energies = np.array([frame.evaluation.energy for frame in frames])
    solution = np.linalg.lstsq(counts / n_atoms[:, None], energies / n_atoms, rcond=1e-8)[0]
    return np.asarray(solution)
