"""Pair potentials, charges and Vashishta angles against numbers that LAMMPS computed."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.io import read
from scipy.special import erfc
from shared_data import conformance

from hyperatom.geometry.neighbours import pairs
from hyperatom.interchange.ase_atoms import from_ase
from hyperatom.interchange.lammps_vashishta import LAMMPS_COULOMB_CONSTANT, read_vashishta
from hyperatom.potentials.classical.buckingham import buckingham
from hyperatom.potentials.classical.lennard_jones import lennard_jones

FRAMES = {"lj_Ar": 3, "bks_SiO2_dev": 9, "vashishta_SiO2_1990_dev": 9}


def from_commands(case):
    """The potential that the LAMMPS commands of a case describe, and nothing else."""
    commands = json.loads((conformance("lammps", case) / "case.json").read_text())["commands"]
    words = {}
    for command in commands:
        name, *rest = command.split()
        words.setdefault(name, []).append(rest)
    style, *settings = words["pair_style"][0]
    if style == "lj/cut":
        assert words["pair_modify"] == [["shift", "yes"]]
        (coefficients,) = words["pair_coeff"]
        epsilon, sigma = map(float, coefficients[2:])
        return lennard_jones((18,), epsilon, sigma, float(settings[0]), "shifted")
    if style == "buck/coul/long":
        assert words["pair_modify"] == [["shift", "yes", "table", "0"]]
        tables = np.zeros((3, 2, 2))
        for i, j, *coefficients in words["pair_coeff"]:
            i, j = int(i) - 1, int(j) - 1
            tables[:, i, j] = tables[:, j, i] = np.array(coefficients, dtype=float)
        return buckingham(
            (14, 8),
            *tables,
            cutoff=float(settings[0]),
            charges=(2.4, -1.2),
            truncation="shifted",
            coulomb_constant=LAMMPS_COULOMB_CONSTANT,
        )
    assert style == "vashishta"
    (coefficients,) = words["pair_coeff"]
    return read_vashishta(conformance("lammps", case, Path(coefficients[2]).name), (14, 8))


def erfc_of_lammps(x):
    """erfc(x) as LAMMPS has it: Abramowitz and Stegun 7.1.26, good to 1.5e-7."""
    t = 1.0 / (1.0 + 0.3275911 * x)
    series = 0.0
    for coefficient in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = t * (coefficient + series)
    return series * np.exp(-x * x)


def error_of_lammps(here, charges, cutoff, accuracy):
    """Energy in eV by which that approximation moves the screened pairs of LAMMPS.

    The splitting parameter is the one that kspace_style ewald chooses from the accuracy.
    """
    charge = np.array([charges[z] for z in here.numbers])
    scale = accuracy * np.sqrt(here.n_atoms * cutoff * np.prod(np.diag(here.cell)))
    splitting = np.sqrt(-np.log(scale / (2.0 * charge @ charge))) / cutoff
    i, j, lattice = pairs(here.positions, here.cell, here.periodic, cutoff)
    vectors = here.positions[j] + lattice @ here.cell - here.positions[i]
    distance = np.linalg.norm(vectors, axis=1)
    error = erfc_of_lammps(splitting * distance) - erfc(splitting * distance)
    return LAMMPS_COULOMB_CONSTANT * np.sum(charge[i] * charge[j] * error / distance)


@pytest.mark.parametrize("case", FRAMES)
def test_lammps_numbers(case):
    """1e-6 eV/atom, 1e-5 eV/Å, and 1e-7 eV/Å^3 of the stress.

    One exception: LAMMPS' approximation of erfc moves its Ewald energies by up to 3e-6 eV/atom. It
    is added here, and then 1e-7 eV/atom are asked for.
    """
    potential = from_commands(case)
    frames = read(conformance("lammps", case, "expected.xyz"), ":")
    assert len(frames) == FRAMES[case]
    # Every shape is compiled; benchmarks/conformance.py compares all frames.
    for frame in frames[::4]:
        here = from_ase(frame)
        found = potential.evaluate(here)
        energy, tolerance = found.energy, 1e-6
        if "bks" in case:
            energy += error_of_lammps(here, {14: 2.4, 8: -1.2}, 10.0, 1e-8)
            tolerance = 1e-7
        difference = (energy - frame.get_potential_energy()) / len(frame)
        assert difference == pytest.approx(0.0, abs=tolerance)
        np.testing.assert_allclose(found.forces, frame.get_forces(), atol=1e-5)
        np.testing.assert_allclose(found.stress, frame.get_stress(), atol=1e-7)
