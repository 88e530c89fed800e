"""What engines of quantum Monte Carlo share: the field they start from, seeds, correlated series.

They describe molecules with closed shells. Random numbers are seeded by the configuration, so that
asking again gives the same number. Forces are those of the Hartree-Fock field: they teach the
guide, and no decision uses them.
"""

import hashlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.references.engine_preset import Keywords, Mesh, Prepare
from hyperatom.references.k_points import require_gamma

ENERGY: Final = (
    "variational Monte Carlo energy with its standard error; forces are those of Hartree-Fock and "
    "teach the guide only"
)
CONVERGENCE: Final = (
    "none of its own: the standard error says how far the energy can be trusted; a Hartree-Fock "
    "field that does not converge is a failure"
)
START: Final = (
    "a Hartree-Fock determinant, a Jastrow factor optimised anew, random numbers seeded by the "
    "configuration"
)
BASIS: Final = "Gaussian orbitals that move with the atoms, ccECP pseudopotentials"


def hartree_fock(atoms: Any, basis: str, ecp: str | None) -> Any:
    """PySCF's closed-shell field of a molecule, converged; raises `RuntimeError` otherwise."""
    from pyscf import gto, scf

    spots = list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True))
    field = scf.RHF(gto.M(atom=spots, basis=basis, ecp=ecp or {}, verbose=3))
    field.conv_tol = 1.0e-10
    field.kernel()
    if not field.converged:
        raise RuntimeError("the Hartree-Fock field did not converge")
    return field


def noisy_results(field: Any, energies: NDArray[np.float64]) -> dict[str, Any]:
    """Results as ASE has them (eV, Å), of a series of energies in hartree."""
    from pyscf.data.nist import BOHR, HARTREE2EV

    energy = float(energies.mean()) * HARTREE2EV
    return {
        "energy": energy,
        "free_energy": energy,
        "energy_error": standard_error(energies) * HARTREE2EV,
        "forces": -np.asarray(field.nuc_grad_method().kernel()) * HARTREE2EV / BOHR,
    }


def seed_of(atoms: Any, seed: int) -> int:
    """Thirty-one bits of species, positions and the user's seed."""
    content = np.ascontiguousarray(atoms.positions).tobytes() + atoms.numbers.tobytes()
    digest = hashlib.sha256(content + str(seed).encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1


def standard_error(series: NDArray[np.float64]) -> float:
    """Of the mean of a correlated series, by blocking (Flyvbjerg and Petersen 1989).

    Neighbours are averaged again and again; the largest estimate counts, as long as 16 blocks are
    left.
    """
    errors = [0.0]
    while len(series) >= 16:
        errors.append(float(series.std(ddof=1) / np.sqrt(len(series))))
        series = 0.5 * (series[: len(series) // 2 * 2 : 2] + series[1::2])
    return max(errors)


def prepared_for(engine: str) -> Prepare:
    """Keywords of an engine as they are, for what it can describe.

    The answer raises `InputError` for crystals, meshes of k-points and odd numbers of electrons.
    """

    def prepare(
        keywords: Keywords, configuration: Configuration, mesh: Mesh | None
    ) -> dict[str, Any]:
        if configuration.periodic.any():
            raise InputError(
                f"{engine}, as set up here, describes molecules, and this configuration is "
                "periodic.",
                "Switch the periodicity off, or choose an engine for crystals.",
            )
        require_gamma("A molecule", mesh)
        if int(configuration.numbers.sum()) % 2:
            raise InputError(
                f"{engine}, as set up here, describes closed shells, and the number of electrons "
                "is odd.",
                "Write a function that returns your calculator, and name it: "
                "'ase:module.function'.",
            )
        return dict(keywords)

    return prepare
