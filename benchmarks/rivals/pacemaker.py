"""ACE by pacemaker: two densities under a square root, its own optimiser, C++ evaluator."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from rivals.constants import energies_of_atoms
from rivals.timed import ended_in_time

ENVIRONMENT = "pacemaker_ace"
TITLE = "ACE (pacemaker): Finnis-Sinclair, 2 densities, about 300 functions per element"
CUTOFF = 5.5


def fit(folder: Path, seconds: float) -> None:
    """As many iterations as the time allows; the last potential written counts."""
    import pandas as pd
    from ase.io import read

    frames = read(folder / "train.xyz", ":")
    elements = sorted({symbol for atoms in frames for symbol in atoms.symbols})
    constants = energies_of_atoms(frames)
    table = pd.DataFrame(
        {
            "ase_atoms": [_bare(atoms) for atoms in frames],
            "energy": [atoms.get_potential_energy() for atoms in frames],
            "energy_corrected": [
                atoms.get_potential_energy() - constants[atoms.numbers].sum() for atoms in frames
            ],
            "forces": [atoms.get_forces() for atoms in frames],
        }
    )
    table.to_pickle(folder / "train.pckl.gzip", compression="gzip", protocol=4)
    functions = 300 if len(elements) == 1 else 200
    settings = {
        "cutoff": CUTOFF,
        "seed": 1,
        "potential": {
            "deltaSplineBins": 0.001,
            "elements": elements,
            "embeddings": {
                "ALL": {
                    "npot": "FinnisSinclairShiftedScaled",
                    "fs_parameters": [1, 1, 1, 0.5],
                    "ndensity": 2,
                }
            },
            "bonds": {
                "ALL": {
                    "radbase": "SBessel",
                    "radparameters": [5.25],
                    "rcut": CUTOFF,
                    "dcut": 0.01,
                }
            },
            "functions": {
                "number_of_functions_per_element": functions,
                "ALL": {"nradmax_by_orders": [15, 6, 4, 3, 1], "lmax_by_orders": [0, 4, 3, 2, 1]},
            },
        },
        "data": {"filename": "train.pckl.gzip"},
        "fit": {
            "loss": {"kappa": 0.3, "L1_coeffs": 1e-8, "L2_coeffs": 1e-8},
            "optimizer": "BFGS",
            "maxiter": 10000,
        },
        "backend": {
            "evaluator": "pyace", "batch_size": 20, "parallel_mode": "process", "n_workers": 2,
        },
    }  # fmt: skip
    (folder / "input.yaml").write_text(json.dumps(settings))
    command = [sys.executable, Path(sys.executable).with_name("pacemaker"), "input.yaml"]
    if not ended_in_time(command, folder, seconds):
        made = sorted(folder.glob("interim_potential*.yaml"), key=lambda file: file.stat().st_mtime)
        if not made:
            raise RuntimeError(f"pacemaker wrote no potential within {seconds:.0f} s")
        shutil.copy(made[-1], folder / "output_potential.yaml")


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
