"""GAP by QUIP's gap_fit: distances and SOAP, with the settings its authors use for such data."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from ase.io import read, write
from ase.neighborlist import neighbor_list

from rivals.constants import energies_of_atoms
from rivals.timed import ended_in_time

ENVIRONMENT = "quippy_gap"
TITLE = "GAP (gap_fit): pairs and SOAP, n_max 8, l_max 4, zeta 4"
CUTOFF = 5.0


def fit(folder: Path, seconds: float) -> None:
    """Sparse points and frames as many as the time allows: fewer until gap_fit ends in time."""
    left, points, every = seconds, 800, 1
    frames = read(folder / "train.xyz", ":")
    alone = energies_of_atoms(frames)
    constants = ":".join(
        f"{chemical_symbols[z]}:{alone[z]:.6f}"
        for z in sorted({int(z) for atoms in frames for z in atoms.numbers})
    )
    pairs = " : ".join(
        f"distance_2b cutoff={CUTOFF} cutoff_transition_width=1.0 n_sparse=15"
        " covariance_type=ard_se delta=1.0 theta_uniform=1.0 sparse_method=uniform"
        f" Z1={first} Z2={second} add_species=F"
        for first, second in _pairs(frames)
    )
    while points >= 25:
        write(folder / "few.xyz", frames[::every], format="extxyz")
        soap = (
            f"soap n_max=8 l_max=4 cutoff={CUTOFF} cutoff_transition_width=1.0 atom_sigma=0.5"
            f" n_sparse={points} covariance_type=dot_product zeta=4 delta=0.5"
            " sparse_method=cur_points add_species=T"
        )
        command = [
            Path(sys.executable).with_name("gap_fit"),
            f"at_file={folder}/few.xyz",
            "gp_file=gap.xml",
            f"gap={{{pairs} : {soap}}}",
            "default_sigma={0.001 0.05 0.05 0.0}",
            "energy_parameter_name=energy",
            "force_parameter_name=forces",
            "virial_parameter_name=none",
            "do_copy_at_file=F",
            "sparse_jitter=1e-8",
            f"e0={{{constants}}}",
        ]
        share = left / 2.0 if points >= 50 else left
        if ended_in_time(command, folder, share):
            return
        left -= share
        points, every = points // 2, 2 * every
    raise RuntimeError(f"gap_fit did not end within {seconds:.0f} s with any number of points")


def _pairs(frames: list[Any]) -> list[tuple[int, int]]:
    """Species that are neighbours somewhere: of others there are no distances to choose from."""
    found = set()
    for atoms in frames:
        first, second = neighbor_list("ij", atoms, CUTOFF)
        pairs = np.sort(np.stack([atoms.numbers[first], atoms.numbers[second]], axis=1), axis=1)
        found |= {(int(one), int(other)) for one, other in np.unique(pairs, axis=0)}
    return sorted(found)


def calculator(folder: Path) -> Any:
    """As an ASE calculator."""
    from quippy.potential import Potential

    return Potential("", param_filename=str(folder / "gap.xml"))
