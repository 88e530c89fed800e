"""jQMC: quantum Monte Carlo of molecules on JAX, by K. Nakano; energies with standard errors.

PySCF's Hartree-Fock determinant goes to jQMC by a TREXIO file; a Jastrow factor of two and three
bodies is optimised for each configuration by stochastic reconfiguration, then variational Monte
Carlo measures the energy. `Evaluation.energy_error` is its standard error, and the test pays for it
(`sampling/penalty.py`).

jQMC wants an older JAX than hyperatom does, so that it lives in an environment of its own, whose
interpreter the input names: `reference: {calculator: jqmc, python: /path/to/bin/python}`. Its loops
are compiled in the first call; others with as many atoms of the same species take a fraction.
"""

import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from hyperatom.references.engine_preset import EnginePreset
from hyperatom.references.installation import AS_ROOT, missing_package
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


class Jqmc:
    """An ASE calculator in shape.

    `walkers` are measured `measurements` times, `moves` of an electron apart, after `equilibration`
    measurements that are thrown away; the Jastrow factor is optimised in `iterations` steps of
    `optimisation` measurements, with `three_body` also in the basis of the atomic orbitals. With
    `jastrow` off the energy is that of Hartree-Fock, within its error.
    """

    implemented_properties = ("energy", "free_energy", "forces")

    def __init__(
        self,
        *,
        basis: str,
        ecp: str | None = None,
        walkers: int = 256,
        measurements: int = 256,
        moves: int = 20,
        equilibration: int = 32,
        iterations: int = 20,
        optimisation: int = 32,
        jastrow: bool = True,
        three_body: bool = True,
        seed: int = 0,
    ) -> None:
        self.basis, self.ecp = basis, ecp
        self.walkers, self.measurements, self.moves = walkers, measurements, moves
        self.equilibration, self.seed = equilibration, seed
        self.iterations = iterations if jastrow else 0
        self.optimisation, self.jastrow, self.three_body = optimisation, jastrow, three_body
        self.results: dict[str, Any] = {}

    def calculate(
        self,
        atoms: Any,
        properties: Sequence[str],  # noqa: ARG002
        system_changes: Sequence[str],  # noqa: ARG002
    ) -> None:
        """Called as ASE would."""
        os.environ.update(AS_ROOT)  # before MPI is loaded
        from jqmc.jqmc_mcmc import MCMC

        field = hartree_fock(atoms, self.basis, self.ecp)
        common = {
            "mcmc_seed": seed_of(atoms, self.seed),
            "num_walkers": self.walkers,
            "num_mcmc_per_measurement": self.moves,
            "epsilon_AS": 0.0,  # walkers of equal weight
        }
        hamiltonian = self._hamiltonian(field)
        if self.iterations:
            optimiser = MCMC(hamiltonian, comput_log_WF_param_deriv=True, **common)
            optimiser.run_optimize(
                num_mcmc_steps=self.optimisation,
                num_opt_steps=self.iterations,
                wf_dump_freq=self.iterations + 1,
                num_mcmc_bin_blocks=min(10, self.optimisation),
                use_device_collectives=False,
            )
            hamiltonian = optimiser.hamiltonian_data
        chain = MCMC(hamiltonian, **common)
        chain.run(num_mcmc_steps=self.equilibration + self.measurements)
        energies = np.asarray(chain.e_L)[self.equilibration :].mean(axis=1)
        self.results = noisy_results(field, energies)

    def _hamiltonian(self, field: Any) -> Any:
        from jqmc.hamiltonians import Hamiltonian_data
        from jqmc.jastrow_factor import (
            Jastrow_data,
            Jastrow_three_body_data,
            Jastrow_two_body_data,
        )
        from jqmc.trexio_wrapper import read_trexio_file
        from jqmc.wavefunction import Wavefunction_data

        from hyperatom.references.trexio_file import write_trexio

        path = Path("field.h5")
        write_trexio(field, path)
        # Tuples, so that what was compiled for one configuration serves the next.
        atoms, orbitals, _, _, determinant, potential = read_trexio_file(str(path), True)
        two_body = Jastrow_two_body_data.init_jastrow_two_body_data(1.0) if self.jastrow else None
        three_body = (
            Jastrow_three_body_data.init_jastrow_three_body_data(orb_data=orbitals)
            if self.jastrow and self.three_body
            else None
        )
        return Hamiltonian_data(
            structure_data=atoms,
            coulomb_potential_data=potential,
            wavefunction_data=Wavefunction_data(
                jastrow_data=Jastrow_data(
                    jastrow_one_body_data=None,
                    jastrow_two_body_data=two_body,
                    jastrow_three_body_data=three_body,
                    jastrow_nn_data=None,
                ),
                geminal_data=determinant,
            ),
        )


def engine_version(**_: Any) -> str:
    """Versions of jQMC, JAX, PySCF and TREXIO."""
    return ", ".join(f"{name} {version(name)}" for name in ("jqmc", "jax", "pyscf", "trexio"))


PRESETS: Final = (
    EnginePreset(
        calculator="hyperatom.references.engines.jqmc.Jqmc",
        keywords={"basis": "ccecpccpvdz", "ecp": "ccecp"},
        citation=(
            "K. Nakano, S. Sorella, M. Casula, Load-balanced diffusion Monte Carlo method with "
            "lattice regularization, J. Chem. Phys. 163, 194117 (2025); program: "
            "https://github.com/jqmc-project/jQMC"
        ),
        doi="10.1063/5.0296986",
        name="jqmc",
        energy=ENERGY,
        convergence=CONVERGENCE,
        start=START,
        basis=BASIS,
        install="python3 -m venv jqmc && jqmc/bin/pip install jqmc pyscf ase; then "
        "reference: {python: /path/to/jqmc/bin/python}",
        missing=missing_package("jqmc", "pyscf", "trexio"),
        prepare=prepared_for("jQMC"),
    ),
)
