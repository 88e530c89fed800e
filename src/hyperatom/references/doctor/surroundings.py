"""Questions that need no call: periodicity, and cells too thin."""

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.references.doctor.finding import Finding, Patient

VACUUM = 4.0
"""Å; a cell that leaves less room around its atoms than this was meant to be periodic."""
ELECTRONIC_WIDTH = 8.0
"""Å; width of the cell times its k-points, below which electrons feel their own images strongly."""


def widths(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances of opposite faces, Å, of a cell with three independent vectors."""
    return np.asarray(1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0))


def periodicity(patient: Patient) -> Finding:
    """Is a direction that should be periodic not so?"""
    configuration = patient.configuration
    name = "periodicity"
    periodic = configuration.periodic
    if periodic.all():
        return Finding(name, "fine", "periodic along all three directions")
    crowded = _crowded(configuration)
    if crowded:
        return Finding(
            name,
            "fault",
            f"not periodic along {_names(crowded)}, yet the atoms fill the cell: with less than "
            f"{VACUUM:g} Å to spare it looks like a crystal whose periodicity was lost",
            'Write pbc="T T T" into the file (extended XYZ), or leave the cell out, or leave more '
            "vacuum.",
        )
    where = _names([i for i in range(3) if not periodic[i]])
    what = "a molecule: periodic nowhere" if not periodic.any() else f"open along {where}"
    return Finding(name, "fine", what)


def cell_widths(patient: Patient) -> Finding:
    """Is the cell thinner than what the guide sees, or than electrons need?"""
    name = "cell against cutoff"
    configuration = patient.configuration
    if not configuration.periodic.any():
        return Finding(name, "not asked", "not periodic")
    cell = configuration.cell.copy()
    empty = ~cell.any(axis=1)
    cell[empty] = np.linalg.svd(cell)[2][-int(empty.sum()) :] * 1.0e3 if empty.any() else 0.0
    wide = widths(cell)
    along = [i for i in range(3) if configuration.periodic[i]]
    narrow = min(wide[i] for i in along)
    numbers = {"width_A": float(narrow), "cutoff_A": patient.cutoff}
    if narrow < patient.cutoff:
        return Finding(
            name,
            "fault",
            f"the cell is {narrow:.2f} Å wide, and the guide sees {patient.cutoff:g} Å: atoms see "
            "copies of themselves, and so small a cell has hardly a phonon",
            "Repeat the cell (configuration.repeat), or shorten guide.cutoff.",
            numbers,
        )
    if patient.mesh is not None:
        electronic = min(wide[i] * patient.mesh[i] for i in along)
        if electronic < ELECTRONIC_WIDTH:
            return Finding(
                name,
                "fault",
                f"width times k-points is {electronic:.1f} Å: too few k-points for electrons",
                "Raise reference.k_points, or repeat the cell where the engine has Gamma alone; "
                f"{ELECTRONIC_WIDTH:g} Å is the least, and insulators only.",
                numbers,
            )
    return Finding(name, "fine", f"{narrow:.2f} Å wide, cutoff {patient.cutoff:g} Å", "", numbers)


def _crowded(configuration: Configuration) -> list[int]:
    """Open directions with a lattice vector along which the atoms leave no vacuum."""
    cell = configuration.cell
    if configuration.n_atoms < 2 or np.linalg.matrix_rank(cell, tol=1.0e-3) < 3:
        return []
    fractions = np.linalg.solve(cell.T, configuration.positions.T).T
    extent = fractions.max(axis=0) - fractions.min(axis=0)
    vacuum = (1.0 - extent) * widths(cell)
    return [i for i in range(3) if not configuration.periodic[i] and vacuum[i] < VACUUM]


def _names(directions: list[int]) -> str:
    return ", ".join("abc"[i] for i in directions)
