"""pyqmc: quantum Monte Carlo of molecules on top of PySCF; energies with standard errors.

A Hartree-Fock determinant times a Jastrow factor, optimised for each configuration, then
variational Monte Carlo. The energy is noisy: `Evaluation.energy_error` is its standard error, and
Metropolis with noisy energies is exact only with a penalty for the noise (Ceperley and Dewing, J.
Chem. Phys. 110, 9812 (1999)). Random numbers are seeded by the configuration, so that asking again
gives the same number.

Forces are those of the Hartree-Fock field. They teach the guide; no decision uses them.
"""

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.references.engine_preset import EnginePreset, Keywords, Mesh
from hyperatom.references.installation import missing_package
from hyperatom.references.k_points import require_gamma


class Pyqmc:
    """An ASE calculator in shape.

    `walkers` sample in `blocks` blocks of `steps` steps, after `equilibration` blocks that are
    thrown away; the Jastrow factor is optimised in `iterations` line minimisations.
    """

    implemented_properties = ("energy", "free_energy", "forces")

    def __init__(
        self,
        *,
        basis: str,
        ecp: str | None = None,
        walkers: int = 400,
        blocks: int = 64,
        steps: int = 10,
        equilibration: int = 8,
        iterations: int = 10,
        seed: int = 0,
    ) -> None:
        self.basis, self.ecp = basis, ecp
        self.walkers, self.blocks, self.steps = walkers, blocks, steps
        self.equilibration, self.iterations, self.seed = equilibration, iterations, seed
        self.results: dict[str, Any] = {}

    def calculate(
        self,
        atoms: Any,
        properties: Sequence[str],  # noqa: ARG002
        system_changes: Sequence[str],  # noqa: ARG002
    ) -> None:
        """Called as ASE would."""
        from pyqmc.method.linemin import line_minimization
        from pyqmc.method.mc import initial_guess, vmc
        from pyqmc.observables.accumulators import EnergyAccumulator, gradient_generator
        from pyqmc.wftools import generate_wf
        from pyscf import gto, scf
        from pyscf.data.nist import BOHR, HARTREE2EV

        spots = list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True))
        molecule = gto.M(atom=spots, basis=self.basis, ecp=self.ecp or {}, verbose=3)
        field = scf.RHF(molecule)
        field.conv_tol = 1.0e-10
        field.kernel()
        if not field.converged:
            raise RuntimeError("the Hartree-Fock field did not converge")
        # pyqmc draws from NumPy's global generator.
        np.random.seed(self._seed_of(atoms))  # noqa: NPY002
        wave_function, adjustable = generate_wf(molecule, field)
        walkers = initial_guess(molecule, self.walkers)
        gradients = gradient_generator(molecule, wave_function, adjustable)
        wave_function, _ = line_minimization(
            wave_function, walkers, gradients, max_iterations=self.iterations, verbose=False
        )
        seen, _ = vmc(
            wave_function,
            walkers,
            nblocks=self.equilibration + self.blocks,
            nsteps_per_block=self.steps,
            accumulators={"energy": EnergyAccumulator(molecule)},
        )
        energies = np.real(np.asarray(seen["energytotal"]))[self.equilibration :]
        energy = float(energies.mean()) * HARTREE2EV
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "energy_error": standard_error(energies) * HARTREE2EV,
            "forces": -np.asarray(field.nuc_grad_method().kernel()) * HARTREE2EV / BOHR,
        }

    def _seed_of(self, atoms: Any) -> int:
        content = np.ascontiguousarray(atoms.positions).tobytes() + atoms.numbers.tobytes()
        digest = hashlib.sha256(content + str(self.seed).encode()).digest()
        return int.from_bytes(digest[:4], "little")


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


def engine_version(**_: Any) -> str:
    """Versions of pyqmc and PySCF."""
    return f"pyqmc {version('pyqmc')}, pyscf {version('pyscf')}"


def _prepare(keywords: Keywords, configuration: Configuration, mesh: Mesh | None) -> dict[str, Any]:
    if configuration.periodic.any():
        raise InputError(
            "pyqmc, as set up here, describes molecules, and this configuration is periodic.",
            "Switch the periodicity off, or choose an engine for crystals.",
        )
    require_gamma("A molecule", mesh)
    if int(configuration.numbers.sum()) % 2:
        raise InputError(
            "pyqmc, as set up here, describes closed shells, and the number of electrons is odd.",
            "Write a function that returns your calculator, and name it: 'ase:module.function'.",
        )
    return dict(keywords)


PRESETS: Final = (
    EnginePreset(
        calculator="hyperatom.references.engines.pyqmc.Pyqmc",
        keywords={"basis": "ccecpccpvdz", "ecp": "ccecp"},
        citation=(
            "W. A. Wheeler et al., PyQMC: An all-Python real-space quantum Monte Carlo module in "
            "PySCF, J. Chem. Phys. 158, 114801 (2023)"
        ),
        doi="10.1063/5.0139024",
        name="pyqmc",
        energy="variational Monte Carlo energy with its standard error; forces are those of "
        "Hartree-Fock and teach the guide only",
        convergence="none of its own: the standard error says how far the energy can be trusted",
        start="a Hartree-Fock determinant, a Jastrow factor optimised anew, random numbers seeded "
        "by the configuration",
        basis="Gaussian orbitals that move with the atoms, ccECP pseudopotentials",
        install="pip install pyqmc pyscf",
        missing=missing_package("pyqmc", "pyscf"),
        prepare=_prepare,
    ),
)
