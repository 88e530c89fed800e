"""A Hartree-Fock field of PySCF as a TREXIO file, which programs of quantum Monte Carlo read.

TREXIO (E. Posenitskiy et al., J. Chem. Phys. 158, 174801 (2023), https://trex-coe.github.io/trexio)
builds an orbital of shell s as

    N_i N_s sum_k c_k f_k S_lm(r) exp(-a_k r^2),    m = 0, 1, -1, 2, -2, ...

with real solid harmonics S_lm = sqrt(4 pi / (2l + 1)) r^l Y_lm. PySCF has r^l Y_lm, normalised, and
orders m from -l to l, but x, y, z where l is 1. Lengths in bohr, energies in hartree.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write_trexio(field: Any, path: Path) -> None:
    """Write nuclei, pseudopotentials, basis and orbitals of a closed-shell molecule, as HDF5."""
    import trexio

    path.unlink(missing_ok=True)
    with trexio.File(str(path), mode="w", back_end=trexio.TREXIO_HDF5) as file:
        contents = {**_molecule(field.mol), **_basis(field.mol), **_orbitals(field)}
        for name, value in contents.items():
            getattr(trexio, f"write_{name}")(file, value)


def _molecule(molecule: Any) -> dict[str, Any]:
    up, down = molecule.nelec
    contents = {
        "nucleus_num": molecule.natm,
        "nucleus_charge": molecule.atom_charges().astype(float),
        "nucleus_coord": molecule.atom_coords(),
        "nucleus_label": [molecule.atom_pure_symbol(i) for i in range(molecule.natm)],
        "pbc_periodic": False,
        "electron_num": up + down,
        "electron_up_num": up,
        "electron_dn_num": down,
    }
    return {**contents, **_pseudopotentials(molecule)} if molecule._ecp else contents


def _pseudopotentials(molecule: Any) -> dict[str, Any]:
    """PySCF has of each atom: core, [(l, by powers of r: [(a, c), ...])]; l = -1 is local."""
    cores, largest, rows = [], [], []
    for nucleus in range(molecule.natm):
        core, terms = molecule._ecp[molecule.atom_symbol(nucleus)]
        # Every atom has a channel beside the local one, an empty one if need be.
        local = 1 + max(0, *(momentum for momentum, _ in terms))
        cores.append(core)
        largest.append(local)
        channels = {momentum for momentum, _ in terms}
        empty = [] if 0 in channels else [(0, [[], [], [(1.0, 0.0)]])]
        for momentum, by_power in [*terms, *empty]:
            for power, gaussians in enumerate(by_power):
                for exponent, coefficient in gaussians:
                    channel = local if momentum < 0 else momentum
                    rows.append((nucleus, channel, exponent, coefficient, power - 2))
    nuclei, momenta, exponents, coefficients, powers = zip(*rows, strict=True)
    return {
        "ecp_z_core": cores,
        "ecp_max_ang_mom_plus_1": largest,
        "ecp_num": len(rows),
        "ecp_nucleus_index": nuclei,
        "ecp_ang_mom": momenta,
        "ecp_exponent": exponents,
        "ecp_coefficient": coefficients,
        "ecp_power": powers,
    }


def _basis(molecule: Any) -> dict[str, Any]:
    """Shells with one contraction each."""
    from pyscf.gto import gto_norm

    nuclei: list[int] = []
    momenta: list[int] = []
    owners: list[int] = []
    exponents: list[float] = []
    coefficients: list[float] = []
    factors: list[float] = []
    for block in range(molecule.nbas):
        momentum = int(molecule.bas_angular(block))
        a = np.asarray(molecule.bas_exp(block))
        for contraction in np.asarray(molecule.bas_ctr_coeff(block)).T:
            owners += [len(momenta)] * len(a)
            nuclei.append(int(molecule.bas_atom(block)))
            momenta.append(momentum)
            exponents += [*a]
            coefficients += [*contraction]
            factors += [*gto_norm(momentum, a)]
    orbitals = np.repeat(np.arange(len(momenta)), 2 * np.array(momenta) + 1)
    solid = np.sqrt((2.0 * np.array(momenta) + 1.0) / (4.0 * np.pi))
    return {
        "basis_type": "Gaussian",
        "basis_shell_num": len(momenta),
        "basis_prim_num": len(exponents),
        "basis_nucleus_index": nuclei,
        "basis_shell_ang_mom": momenta,
        "basis_shell_factor": np.ones(len(momenta)),
        "basis_shell_index": owners,
        "basis_exponent": exponents,
        "basis_coefficient": coefficients,
        "basis_prim_factor": factors,
        "ao_cartesian": 0,
        "ao_num": len(orbitals),
        "ao_shell": orbitals,
        "ao_normalization": solid[orbitals],
    }


def _orbitals(field: Any) -> dict[str, Any]:
    number = len(field.mo_energy)
    return {
        "mo_type": "RHF",
        "mo_num": number,
        "mo_coefficient": np.ascontiguousarray(field.mo_coeff[_order(field.mol)].T),
        "mo_energy": field.mo_energy,
        "mo_occupation": field.mo_occ,
        "mo_spin": np.zeros(number, dtype=int),
    }


def _order(molecule: Any) -> NDArray[np.intp]:
    """Where PySCF keeps each orbital of TREXIO; PySCF's m of a p shell are 1, -1, 0."""
    order: list[int] = []
    for block in range(molecule.nbas):
        momentum = int(molecule.bas_angular(block))
        here = [1, -1, 0] if momentum == 1 else list(range(-momentum, momentum + 1))
        wanted = [0, *(sign * m for m in range(1, momentum + 1) for sign in (1, -1))]
        for _ in range(molecule.bas_nctr(block)):
            start = len(order)
            order += [start + here.index(m) for m in wanted]
    return np.array(order, dtype=np.intp)
