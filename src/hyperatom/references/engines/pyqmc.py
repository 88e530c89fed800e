"""pyqmc: quantum Monte Carlo of molecules on top of PySCF; energies with standard errors.

A Hartree-Fock determinant times a Jastrow factor, optimised for each configuration, then
variational Monte Carlo. The energy is noisy: `Evaluation.energy_error` is its standard error, and
Metropolis with noisy energies is exact only with a penalty for the noise (Ceperley and Dewing, J.
Chem. Phys. 110, 9812 (1999)).
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

import numpy as np

from hyperatom.references.engine_preset import EnginePreset
from hyperatom.references.installation import missing_package
from hyperatom.references.quantum_monte_carlo import (
    BASIS,
    CONVERGENCE,
    ENERGY,
    START,
    hartree_fock,
    noisy_results,
    prepared_for,
    seed_of,
)


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

        field = hartree_fock(atoms, self.basis, self.ecp)
        # pyqmc draws from NumPy's global generator.
        np.random.seed(seed_of(atoms, self.seed))  # noqa: NPY002
        wave_function, adjustable = generate_wf(field.mol, field)
        walkers = initial_guess(field.mol, self.walkers)
        gradients = gradient_generator(field.mol, wave_function, adjustable)
        wave_function, _ = line_minimization(
            wave_function, walkers, gradients, max_iterations=self.iterations, verbose=False
        )
        seen, _ = vmc(
            wave_function,
            walkers,
            nblocks=self.equilibration + self.blocks,
            nsteps_per_block=self.steps,
            accumulators={"energy": EnergyAccumulator(field.mol)},
        )
        energies = np.real(np.asarray(seen["energytotal"]))[self.equilibration :]
        self.results = noisy_results(field, energies)


def engine_version(**_: Any) -> str:
    """Versions of pyqmc and PySCF."""
    return f"pyqmc {version('pyqmc')}, pyscf {version('pyscf')}"


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
        energy=ENERGY,
        convergence=CONVERGENCE,
        start=START,
        basis=BASIS,
        install="pip install pyqmc pyscf",
        missing=missing_package("pyqmc", "pyscf"),
        prepare=prepared_for("pyqmc"),
    ),
)
