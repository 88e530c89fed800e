"""Ring polymers: quantum nuclei as P copies of the atoms, each atom bound to its next copy.

    Z = prod_i (m_i P / 2 pi beta hbar^2)^(3P/2) int dr exp{-beta [S(r) + (1/P) sum_j U(r_j)]}
    S = sum_j sum_i 1/2 m_i omega_P^2 |r_ij - r_i,j+1|^2,    omega_P = sqrt(P) / (beta hbar)

(Feynman and Hibbs 1965; Chandler and Wolynes, J. Chem. Phys. 74, 4078 (1981)), j counted round the
ring. This is the convention exp(-beta H) at the physical temperature. Where H is written with all
of U on every bead the weight is exp(-beta H / P) and omega_P = P / (beta hbar): the same
distribution. Identical nuclei count as distinguishable: exchange is left out.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.units import BOLTZMANN, REDUCED_PLANCK

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RingPolymer(Configuration):
    """A configuration of `n_beads` copies of the same atoms that do not see each other.

    The copies (beads) are stacked: rows j n to (j + 1) n of all arrays are bead j of n atoms. Being
    a configuration, a ring polymer goes wherever one goes: one Metropolis, one label store, one
    compiled program for all beads at once. Whoever evaluates it evaluates n_beads separate copies:
    its energy is the *sum* of theirs, its forces are stacked like the positions.

    Beads are never wrapped into the cell one by one: a ring stays connected.

    Raises `InputError` for fewer than one bead, beads that differ in their atoms, and masses that
    are not positive.
    """

    n_beads: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        n_rows = int(self.numbers.size)
        if self.n_beads < 1:
            raise InputError(
                f"A ring polymer of {self.n_beads} beads was asked for.",
                "Use at least one bead; one bead is a classical atom.",
            )
        if n_rows == 0 or n_rows % self.n_beads:
            raise InputError(
                f"{n_rows} atoms cannot be divided into {self.n_beads} equal beads.",
                "Give every bead the same atoms.",
            )
        numbers, masses = (x.reshape(self.n_beads, -1) for x in (self.numbers, self.masses))
        if np.any(numbers != numbers[0]) or np.any(masses != masses[0]):
            raise InputError(
                "The beads of a ring polymer differ in their atoms.",
                "Give every bead the same atoms, with the same masses, in the same order.",
            )
        if not np.all(np.isfinite(masses) & (masses > 0.0)):
            worst = masses[~(np.isfinite(masses) & (masses > 0.0))].flat[0]
            raise InputError(
                f"A ring polymer was asked for an atom of mass {worst} amu.",
                "Quantum nuclei need positive masses: give each atom that of its isotope.",
            )

    @classmethod
    def collapsed(cls, configuration: Configuration, n_beads: int) -> Self:
        """All beads where the atoms are: the classical limit, and a place to start from."""
        return cls.of_beads(
            configuration, np.repeat(configuration.positions[None], max(n_beads, 0), axis=0)
        )

    @classmethod
    def of_beads(cls, configuration: Configuration, positions: Array) -> Self:
        """These atoms with beads at `positions` (n_beads, n_atoms, 3), in Å."""
        n_beads = len(positions)
        return cls(
            numbers=np.tile(configuration.numbers, n_beads),
            positions=np.reshape(positions, (-1, 3)),
            cell=configuration.cell,
            periodic=configuration.periodic,
            masses=np.tile(configuration.masses, n_beads),
            n_beads=n_beads,
        )

    @property
    def n_copies(self) -> int:
        """Number of beads."""
        return self.n_beads

    @property
    def atoms_per_bead(self) -> int:
        """Number of atoms of the molecule or material itself."""
        return self.n_atoms // self.n_beads

    @property
    def bead_positions(self) -> Array:
        """(n_beads, n_atoms, 3), Å."""
        return self.positions.reshape(self.n_beads, -1, 3)

    @property
    def bead_masses(self) -> Array:
        """Masses of the atoms of one bead, (n_atoms,), amu."""
        return self.masses[: self.atoms_per_bead]

    def beads(self) -> Iterator[Configuration]:
        """Each bead as a configuration of its own, in order round the ring."""
        return (self.bead(positions) for positions in self.bead_positions)

    def centroid(self) -> Configuration:
        """Every atom at the mean of its beads."""
        return self.bead(self.bead_positions.mean(axis=0))

    def bead(self, positions: Array) -> Configuration:
        """The atoms of one bead at `positions` (n_atoms, 3)."""
        n = self.atoms_per_bead
        return Configuration(self.numbers[:n], positions, self.cell, self.periodic, self.masses[:n])

    def spring_energies(self, temperature: float) -> Array:
        """S of each atom, (n_atoms,), eV, at a temperature in K."""
        squares = (self.bead_positions - np.roll(self.bead_positions, -1, axis=0)) ** 2
        stiffness = self.bead_masses * ring_frequency(self.n_beads, temperature) ** 2
        energies: Array = 0.5 * stiffness * squares.sum(axis=(0, 2))
        return energies

    def spring_energy(self, temperature: float) -> float:
        """S in eV."""
        return float(self.spring_energies(temperature).sum())

    def digest(self) -> str:
        """SHA-256 of everything an energy can depend on; that of its atoms with one bead."""
        digest = super().digest()
        if self.n_beads == 1:
            return digest
        return hashlib.sha256(f"{digest} in {self.n_beads} beads".encode()).hexdigest()


def ring_frequency(n_beads: int, temperature: float) -> float:
    """omega_P = sqrt(P) k_B T / hbar in 1/sqrt(amu Å^2 / eV)."""
    return float(np.sqrt(n_beads) * BOLTZMANN * temperature / REDUCED_PLANCK)


@lru_cache(maxsize=32)
def normal_modes(n_beads: int) -> tuple[Array, Array]:
    """Orthonormal modes of a ring, (n_modes, n_beads), and their eigenvalues 4 sin^2(pi k / P).

    With q = modes @ r, sum_j |r_j - r_j+1|^2 = sum_k eigenvalue_k q_k^2. Mode 0 is sqrt(P) times
    the centroid; pairs of cosine and sine follow.
    """
    bead = np.arange(n_beads)
    modes = np.empty((n_beads, n_beads))
    eigenvalues = np.empty(n_beads)
    for row in range(n_beads):
        k = (row + 1) // 2
        wave = np.cos if row % 2 or row == 0 else np.sin
        modes[row] = wave(2.0 * np.pi * k * bead / n_beads)
        eigenvalues[row] = 4.0 * np.sin(np.pi * k / n_beads) ** 2
    modes /= np.linalg.norm(modes, axis=1, keepdims=True)
    modes.setflags(write=False)
    eigenvalues.setflags(write=False)
    return modes, eigenvalues
