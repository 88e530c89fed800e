"""PySCF: Gaussian orbitals in Python; molecules where nothing is periodic, else crystals.

`keywords: {xc: pbe0, basis: def2-tzvp}`. Crystals use pseudopotentials (GTH) and plane waves for
the density; their gradients exist for semilocal functionals.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.references.engine_preset import EnginePreset, Keywords, Mesh
from hyperatom.references.installation import missing_package
from hyperatom.references.k_points import fixed_mesh, require_gamma


class Pyscf:
    """An ASE calculator in shape; every call starts from atomic densities.

    With `mesh` None the atoms are a molecule. `accuracy` of the lattice sums and `ke_cutoff`
    (hartree) of the density are those of PySCF's cells; `grid_level` that of molecular grids.
    """

    def __init__(
        self,
        *,
        xc: str,
        basis: str | dict[str, Any],
        conv_tol: float,
        conv_tol_grad: float,
        max_cycle: int,
        charge: int = 0,
        spin: int = 0,
        pseudo: str | dict[str, Any] | None = None,
        mesh: Sequence[int] | None = None,
        ke_cutoff: float | None = None,
        precision: float = 1.0e-9,
        grid_level: int = 4,
        damp: float = 0.0,
        stress: bool = True,
    ) -> None:
        self.mesh = None if mesh is None else list(mesh)
        self.scf = {
            "xc": xc,
            "conv_tol": conv_tol,
            "conv_tol_grad": conv_tol_grad,
            "max_cycle": max_cycle,
            "damp": damp,
        }
        self.common = {"basis": basis, "charge": charge, "spin": spin, "verbose": 3}
        self.crystal = {"pseudo": pseudo, "ke_cutoff": ke_cutoff, "precision": precision}
        self.grid_level = grid_level
        periodic = ["stress"] if stress and mesh is not None else []
        self.implemented_properties = ["energy", "free_energy", "forces", *periodic]
        self.results: dict[str, Any] = {}

    def calculate(
        self,
        atoms: Any,
        properties: Sequence[str],
        system_changes: Sequence[str],  # noqa: ARG002
    ) -> None:
        """Called as ASE would."""
        from pyscf.data.nist import BOHR, HARTREE2EV

        spots = list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True))
        field = self._crystal(spots, atoms) if self.mesh is not None else self._molecule(spots)
        for name, value in self.scf.items():
            setattr(field, name, value)
        energy = float(field.kernel()) * HARTREE2EV
        if not field.converged:
            cycles = self.scf["max_cycle"]
            raise RuntimeError(f"the self-consistency did not converge in {cycles} cycles")
        self.results = {"energy": energy, "free_energy": energy}
        gradients = field.nuc_grad_method()
        if self.mesh is None:
            gradients.grid_response = True
        forces = -np.asarray(gradients.kernel()) * HARTREE2EV / BOHR
        self.results["forces"] = forces
        if "stress" in properties and self.mesh is not None:
            stress = np.asarray(gradients.get_stress()) * HARTREE2EV / BOHR**3
            self.results["stress"] = stress.flat[[0, 4, 8, 5, 2, 1]]

    def _molecule(self, spots: list[Any]) -> Any:
        from pyscf import dft, gto

        molecule = gto.M(atom=spots, symmetry=False, **self.common)
        field = dft.RKS(molecule) if molecule.spin == 0 else dft.UKS(molecule)
        field.grids.level = self.grid_level
        return field

    def _crystal(self, spots: list[Any], atoms: Any) -> Any:
        from pyscf.pbc import dft, gto

        cell = gto.M(
            atom=spots,
            a=np.asarray(atoms.cell),
            space_group_symmetry=False,
            **self.common,
            **self.crystal,
        )
        return dft.KRKS(cell, kpts=cell.make_kpts(self.mesh))


def engine_version(**_: Any) -> str:
    """Version of PySCF."""
    return f"pyscf {version('pyscf')}"


def _prepare(keywords: Keywords, configuration: Configuration, mesh: Mesh | None) -> dict[str, Any]:
    from ase.data import chemical_symbols

    whole = dict(keywords)
    crystal = whole.pop("crystal")
    molecule = whole.pop("molecule")
    electrons = int(configuration.numbers.sum()) - whole.get("charge", 0) - whole.get("spin", 0)
    if electrons % 2:
        formula = " ".join(chemical_symbols[z] for z in configuration.numbers[:10])
        raise InputError(
            f"{formula} has an odd number of electrons, and PySCF is set to spin "
            f"{whole.get('spin', 0)}.",
            "Give the number of unpaired electrons: reference.keywords: {spin: 1}.",
        )
    if not configuration.periodic.any():
        require_gamma("A molecule", mesh)
        return {**molecule, **whole}
    if not configuration.periodic.all():
        raise InputError(
            "PySCF describes molecules and crystals, and this configuration is periodic along "
            f"{int(configuration.periodic.sum())} of 3 directions.",
            "Switch the periodicity on or off along all three.",
        )
    if whole.get("spin", 0):
        raise InputError(
            "Crystals with unpaired electrons are not set up here.",
            "Write a function that returns your calculator, and name it: 'ase:module.function'.",
        )
    return {**crystal, **whole, "mesh": list(fixed_mesh(configuration, mesh))}


PRESETS: Final = (
    EnginePreset(
        calculator="hyperatom.references.engines.pyscf.Pyscf",
        keywords={
            "xc": "pbe,pbe",
            "conv_tol": 1.0e-10,  # hartree
            "conv_tol_grad": 1.0e-7,
            "max_cycle": 100,
            "molecule": {"basis": "def2-svp"},
            "crystal": {"basis": "gth-szv", "pseudo": "gth-pbe", "ke_cutoff": 100.0},
        },
        retry_keywords={"max_cycle": 500, "damp": 0.5},
        citation=(
            "Q. Sun et al., Recent developments in the PySCF program package, "
            "J. Chem. Phys. 153, 024109 (2020)"
        ),
        doi="10.1063/5.0006074",
        name="pyscf",
        energy="Kohn-Sham energy of PBE electrons without smearing",
        convergence="change of the energy below 1e-10 hartree and orbital gradient below 1e-7",
        start="superposed atomic densities, anew for each configuration",
        basis="Gaussian orbitals that move with the atoms (molecules: def2-svp; crystals: gth-szv, "
        "fixed mesh of k-points, no symmetry)",
        install="pip install pyscf",
        has_k_points=True,
        missing=missing_package("pyscf"),
        prepare=_prepare,
    ),
)
