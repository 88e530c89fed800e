"""Space groups of configurations, by spglib."""

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError


def space_group(configuration: Configuration, tolerance: float = 1e-3) -> str:
    """Symbol and number of the space group, such as `C2/m (12)`, within `tolerance` (Å).

    Raises `InputError` for configurations that are not periodic in three directions, and for those
    that spglib cannot decide.
    """
    if not configuration.periodic.all():
        raise InputError(
            "A configuration that is not periodic in three directions has no space group.",
            "Make all three directions periodic.",
        )
    import spglib

    cell = np.array(configuration.cell)
    fractional = configuration.positions @ np.linalg.inv(cell)
    try:
        atoms = (cell.tolist(), fractional.tolist(), configuration.numbers.tolist())
        group = spglib.get_spacegroup(atoms, symprec=tolerance)
    except spglib.SpglibError:
        group = None
    if group is None:
        raise InputError(
            f"spglib finds no space group within {tolerance:g} Å.",
            "Are there two atoms in one place?",
        )
    return str(group)
