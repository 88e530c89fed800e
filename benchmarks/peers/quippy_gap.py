"""QUIP's GAP through quippy, from its wheel, on a file that its own gap_fit makes.

No GAP with SOAP is part of the reference data, so that one is fitted once in the environment of the
peer: pairs and SOAP of silicon, to Lennard-Jones labels of rattled crystals.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from peers.build import FOLDER
from peers.session import CalculatorSession

FIGURE = "gap_over_quippy"
WANTED = 5.0
TITLE = "QUIP through quippy, pairs and SOAP (n_max 8, l_max 6, 200 sparse points)"
REQUIREMENTS = ("quippy-ase",)

NAME = "silicon_gap.xml"
GAP = (
    "gap={distance_2b cutoff=5.0 cutoff_transition_width=1.0 n_sparse=15 covariance_type=ard_se"
    " delta=1.0 theta_uniform=1.0 sparse_method=uniform : soap n_max=8 l_max=6 cutoff=5.0"
    " cutoff_transition_width=1.0 atom_sigma=0.5 n_sparse=200 covariance_type=dot_product zeta=4"
    " delta=1.0 sparse_method=cur_points}"
)


def crystal(n_atoms: int) -> Any:
    """Silicon at 5.431 Å."""
    from ase.build import bulk

    repeat = round((n_atoms / 8) ** (1.0 / 3.0))
    return bulk("Si", "diamond", a=5.431, cubic=True).repeat(repeat)


def build(python: Path) -> None:
    """Fit the potential, beside the interpreter."""
    benchmarks = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([python, __file__, str(python.parents[1])], check=True, env=benchmarks)


def fit(folder: Path) -> None:
    """Labels by Lennard-Jones, and gap_fit."""
    import numpy as np
    from ase import Atoms
    from ase.calculators.lj import LennardJones
    from ase.io import write

    frames = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        atoms = crystal(8)
        stretch = np.eye(3) + 0.04 * rng.normal(size=(3, 3))
        atoms.set_cell(atoms.cell.array @ stretch, scale_atoms=True)
        atoms.positions += 0.15 * rng.normal(size=atoms.positions.shape)
        atoms.calc = LennardJones(sigma=2.1, epsilon=1.0, rc=5.0)
        labelled = atoms.copy()
        labelled.info["energy"] = atoms.get_potential_energy()
        labelled.arrays["forces"] = atoms.get_forces()
        frames.append(labelled)
    single = Atoms("Si", cell=20.0 * np.eye(3), pbc=True)
    single.info["energy"] = 0.0
    single.arrays["forces"] = np.zeros((1, 3))
    with tempfile.TemporaryDirectory() as scratch:
        write(Path(scratch) / "frames.xyz", [*frames, single])
        subprocess.run(
            [
                Path(sys.executable).with_name("gap_fit"),
                f"at_file={scratch}/frames.xyz",
                f"gp_file={NAME}",
                GAP,
                "default_sigma={0.01 0.1 0.1 0.0}",
                "energy_parameter_name=energy",
                "force_parameter_name=forces",
                "virial_parameter_name=none",
                "do_copy_at_file=F",
                "sparse_separate_file=T",
                "sparse_jitter=1e-8",
                "e0_method=isolated",
            ],
            check=True,
            cwd=folder,
        )


def _file() -> Path:
    return FOLDER / "quippy_gap" / NAME


def ours(_: Path) -> Any:
    """The file read by hyperatom."""
    from hyperatom.interchange.gap import read_gap

    return read_gap(_file())


def theirs(_: Path, atoms: Any) -> CalculatorSession:
    """The file read by QUIP."""
    from quippy.potential import Potential

    return CalculatorSession(Potential("", param_filename=str(_file())), atoms)


if __name__ == "__main__":
    fit(Path(sys.argv[1]))
