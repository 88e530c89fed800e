"""Crystals by name, and configurations from any file that ASE reads."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.interchange.ase_atoms import from_ase
from hyperatom.structures.periodic_relatives import PERIODIC_RELATIVES


def alpha_quartz() -> Any:
    """Alpha-quartz, P3_221, 9 atoms; a = 4.916 Å, c = 5.4054 Å (Levien, Prewitt, Weidner 1980)."""
    from ase.spacegroup import crystal

    return crystal(
        ["Si", "O"],
        [(0.4697, 0.0, 2.0 / 3.0), (0.4135, 0.2669, 0.7858)],
        spacegroup=154,
        cellpar=[4.916, 4.916, 5.4054, 90, 90, 120],
    )


def silicon() -> Any:
    """Diamond-structure silicon, conventional cell, 8 atoms; a = 5.431 Å."""
    from ase.build import bulk

    return bulk("Si", "diamond", a=5.431, cubic=True)


def aluminium() -> Any:
    """Face-centred cubic aluminium, conventional cell, 4 atoms; a = 4.05 Å."""
    from ase.build import bulk

    return bulk("Al", "fcc", a=4.05, cubic=True)


CRYSTALS: dict[str, Callable[[], Any]] = {
    "alpha-quartz": alpha_quartz,
    "silicon": silicon,
    "aluminium": aluminium,
    **PERIODIC_RELATIVES,
}


def build_crystal(name: str, repeat: tuple[int, int, int]) -> Configuration:
    """A crystal of `CRYSTALS`, repeated along its lattice vectors.

    Raises `InputError` for an unknown name, with the nearest known one.
    """
    if name not in CRYSTALS:
        near = difflib.get_close_matches(name, CRYSTALS, n=1)
        raise InputError(
            f"There is no crystal called {name!r}.",
            f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(CRYSTALS)}.",
        )
    return from_ase(CRYSTALS[name]().repeat(repeat))


def read_configuration(path: Path, repeat: tuple[int, int, int], index: int = -1) -> Configuration:
    """Frame `index` of any file that ASE reads, repeated along its lattice vectors.

    Raises `InputError` where the file is missing or unreadable.
    """
    from ase.io import read

    if not path.is_file():
        raise InputError(
            f"The configuration file {path} does not exist.",
            "Give a path relative to the input file, or an absolute one.",
        )
    try:
        atoms: Any = read(path, index=index)
    except Exception as problem:  # ASE's readers raise nearly anything
        raise InputError(
            f"ASE cannot read {path}: {problem or type(problem).__name__}.",
            "Check the file, or convert it to extended XYZ.",
        ) from problem
    return from_ase(atoms.repeat(repeat))


def rattle(configuration: Configuration, width: float, rng: np.random.Generator) -> Configuration:
    """Gaussian displacements of standard deviation `width` Å on every coordinate."""
    displacements = width * rng.standard_normal(configuration.positions.shape)
    return configuration.with_positions(configuration.positions + displacements)
