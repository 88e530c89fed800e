"""ACE by pacemaker: its linear fit, with its basis, design matrix and C++ evaluator.

Its nonlinear fit needs a fork of TensorFlow's potentials that no registry holds; without it slopes
are taken by finite differences, one loss for each unknown, and no step is done in five minutes.
Size of the basis and strength of the ridge are those of least error on the validation frames.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase.io import read

from rivals.constants import energies_of_atoms

ENVIRONMENT = "pacemaker_ace"
TITLE = "ACE (pacemaker): linear, 300 to 1000 functions per element, ridge"
CUTOFF = 5.5
SIZES = (300, 600, 1000)
RIDGES = tuple(10.0**power for power in range(-9, 0))
FORCE_NOISE, ENERGY_NOISE = 0.05, 0.002
"""eV/Å and eV/atom: weights of rows."""


def fit(folder: Path, seconds: float) -> None:
    """Larger bases as long as one three times as dear as the last would end in time."""
    from pyace import create_multispecies_basis_config
    from pyace.basis import ACEBBasisSet

    began = time.perf_counter()
    frames, unseen = (read(folder / f"{part}.xyz", ":") for part in ("train", "validation"))
    constants = energies_of_atoms(frames)
    tables = [_table(some, constants) for some in (frames, unseen)]
    elements = sorted({symbol for atoms in frames for symbol in atoms.symbols})
    least = np.inf
    for size in SIZES:
        clock = time.perf_counter()
        settings = {
            "deltaSplineBins": 0.001,
            "elements": elements,
            "embeddings": {
                "ALL": {"npot": "FinnisSinclair", "fs_parameters": [1, 1], "ndensity": 1}
            },
            "bonds": {
                "ALL": {
                    "radbase": "SBessel", "radparameters": [5.25], "rcut": CUTOFF, "dcut": 0.01,
                }
            },
            "functions": {
                "number_of_functions_per_element": size,
                "ALL": {
                    "nradmax_by_orders": [15, 8, 5, 3, 1], "lmax_by_orders": [0, 6, 4, 2, 1],
                },
            },
        }  # fmt: skip
        basis = ACEBBasisSet(create_multispecies_basis_config(settings))
        error, coefficients = _best(basis, *tables)
        if error < least:
            least = error
            basis.basis_coeffs = coefficients
            basis.save(str(folder / "output_potential.yaml"))
        spent = time.perf_counter() - clock
        print(f"{size} functions: {error:.4g}, {spent:.0f} s", file=sys.stderr, flush=True)
        if time.perf_counter() - began + 3.0 * spent > seconds:
            return


def _best(basis: Any, training: Any, validation: Any) -> tuple[float, Any]:
    """Weighted error on the validation frames, and the coefficients that have it."""
    from pyace.linearacefit import LinearACEDataset

    rows = []
    for table in (training, validation):
        data = LinearACEDataset(basis, table.copy())
        matrix, target = data.get_design_matrix(max_workers=2), data.get_target_vector()
        weights = np.full(len(target), 1.0 / FORCE_NOISE)
        weights[: len(table)] = 1.0 / ENERGY_NOISE
        rows.append((matrix * weights[:, None], target * weights))
    (known, wanted), (unseen, apart) = rows
    scale = np.sqrt(np.mean(known**2, axis=0)) + 1e-12
    known = known / scale
    normal, right = known.T @ known, known.T @ wanted
    found = []
    for ridge in RIDGES:
        amount = ridge * len(known)
        solved = np.linalg.solve(normal + amount * np.eye(len(normal)), right) / scale
        found.append((float(np.sqrt(np.mean((unseen @ solved - apart) ** 2))), solved))
    return min(found, key=lambda one: one[0])


def _table(frames: Any, constants: Any) -> Any:
    import pandas as pd

    return pd.DataFrame(
        {
            "ase_atoms": [_bare(atoms) for atoms in frames],
            "energy_corrected": [
                atoms.get_potential_energy() - constants[atoms.numbers].sum() for atoms in frames
            ],
            "forces": [atoms.get_forces() for atoms in frames],
        }
    )


def _bare(atoms: Any) -> Any:
    bare = atoms.copy()
    bare.calc = None
    return bare


def calculator(folder: Path) -> Any:
    """As an ASE calculator; constants of the elements are put back by `run`."""
    from pyace import PyACECalculator

    return PyACECalculator(str(folder / "output_potential.yaml"))


SHIFTED = True
"""Energies are those without the energies of atoms."""
