"""The Katz-Gratias model of F-type icosahedral Al-Pd-Mn, Al-Cu-Fe, Al-Pd-Ru and their approximants.

Three windows on the F lattice (Katz and Gratias, J. Non-Cryst. Solids 153-154, 187 (1993);
Quandt and Elser, Phys. Rev. B 61, 9336 (2000)): nodes n with an even sum of indices, nodes n' with
an odd one, and body centres bc of odd sum.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from hyperatom.errors import InputError
from hyperatom.geometry.cut_and_project import HyperCrystal, SiteClass
from hyperatom.geometry.icosahedral import PARALLEL, TAU
from hyperatom.structures.quasicrystal.approximants import (
    Approximant,
    Overlaps,
    Shells,
    build_approximant,
)
from hyperatom.structures.quasicrystal.icosahedral_lattice import cubic_periods, translations
from hyperatom.structures.quasicrystal.occupation_domains import (
    body_centre_window,
    even_node_window,
    odd_node_window,
)

ALUMINIUM_PALLADIUM_RUTHENIUM: Mapping[str, Shells] = {
    "n": ((1.33, "Ru"), (float("inf"), "Al")),
    "n'": ((1.58, "Pd"), (float("inf"), "Al")),
    "bc": ((float("inf"), "Pd"),),
}
"""Transition metals in the middle of the windows. A first guess, to be improved by swap moves:
its radii are chosen for the composition alone and leave transition metals side by side."""

EMPTY_BODY_CENTRES = SiteClass("empty bc", (1, 1, 1, 1, 1, 1), body_centre_window())
"""Body centres of even sum: no atoms in the model, but room for ghosts."""

LATTICE_CONSTANTS = (5.9, 7.1)
"""Å. Between these, the shortest distance 0.398 A is that of a metal."""

CONVENTIONS: tuple[tuple[str, float], ...] = (
    ("the face-centred constant 2 A", 0.5),
    ("the rhombohedral edge a_R = A/sqrt(2)", 2.0**0.5),
    ("a constant scaled by tau", 1.0 / TAU),
    ("a constant scaled by 1/tau", TAU),
    ("a rhombohedral edge scaled by tau", 2.0**0.5 / TAU),
    ("a rhombohedral edge scaled by 1/tau", 2.0**0.5 * TAU),
    ("a constant scaled by tau^3", TAU**-3),
    ("a constant scaled by 1/tau^3", TAU**3),
)


def katz_gratias_crystal(lattice_constant: float) -> HyperCrystal:
    """The model in six dimensions; `lattice_constant` A in Å, that of the primitive hypercube.

    Raises `InputError` for a constant of another convention, with the right one.
    """
    _check_convention(lattice_constant, "")
    return HyperCrystal(
        lattice_constant,
        translations("F"),
        (
            SiteClass("n", (0, 0, 0, 0, 0, 0), even_node_window()),
            SiteClass("n'", (2, 0, 0, 0, 0, 0), odd_node_window()),
            SiteClass("bc", (3, 1, 1, 1, 1, 1), body_centre_window()),
        ),
    )


def katz_gratias(
    p: int,
    q: int,
    lattice_constant: float,
    offset: ArrayLike | None = None,
    decoration: Mapping[str, Shells] = ALUMINIUM_PALLADIUM_RUTHENIUM,
    overlaps: Overlaps = "refuse",
) -> Approximant:
    """The cubic p/q approximant, a = 2 c A (p tau + q).

    `lattice_constant` is A in Å; `offset` (3,) is t in Å, by default the first along a threefold
    axis at which no two sites are too close. 1/1 then has 122 atoms, 2/1 519, 3/2 2288. Raises
    `InputError` as `build_approximant` does, for p/q not coprime, and for a constant of another
    convention.
    """
    return katz_gratias_cell(cubic_periods(p, q), lattice_constant, offset, decoration, overlaps)


def katz_gratias_cell(
    periods: ArrayLike,
    lattice_constant: float,
    offset: ArrayLike | None = None,
    decoration: Mapping[str, Shells] = ALUMINIUM_PALLADIUM_RUTHENIUM,
    overlaps: Overlaps = "refuse",
) -> Approximant:
    """The approximant with any doubled `periods` (6, 3): orthorhombic, rhombohedral, ...

    Arguments and errors are those of `katz_gratias`.
    """
    vectors = 0.5 * lattice_constant * (PARALLEL @ np.asarray(periods))
    edges = " x ".join(dict.fromkeys(f"{edge:.2f}" for edge in np.linalg.norm(vectors, axis=0)))
    _check_convention(lattice_constant, f" (and the cell {edges} Å)")
    return build_approximant(
        katz_gratias_crystal(lattice_constant), periods, decoration, offset, overlaps
    )


def _check_convention(lattice_constant: float, consequence: str) -> None:
    low, high = LATTICE_CONSTANTS
    if not (np.isfinite(lattice_constant) and lattice_constant > 0.0):
        raise InputError(
            f"A lattice constant of {lattice_constant} Å is impossible.", "A is about 6.4 Å."
        )
    if low <= lattice_constant <= high:
        return
    readings = [
        f"{name}, then A = {lattice_constant * factor:.4g} Å"
        for name, factor in CONVENTIONS
        if low <= lattice_constant * factor <= high
    ]
    guess = f"It may be {' or '.join(readings[:2])}. " if readings else ""
    raise InputError(
        f"With A = {lattice_constant:.4g} Å{consequence} the shortest distance would be "
        f"{0.398 * lattice_constant:.2f} Å: the constant is of another convention.",
        f"{guess}A is the constant of the primitive six-dimensional hypercube, "
        f"{low} to {high} Å; scaling it by tau renames the approximants as well.",
    )
