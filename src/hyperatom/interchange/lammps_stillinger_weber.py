"""LAMMPS' files of Stillinger-Weber potentials (`pair_style sw`).

    element1 element2 element3  epsilon sigma a lambda gamma cos(theta0) A B p q tol

Element 1 is in the middle of an angle. The pair term and h(r) are those of the entries whose
elements 2 and 3 are the same; epsilon, lambda and cos(theta0) of angles are looked up for each.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hyperatom.interchange.lammps_text import element_names, entry_of, read_entries
from hyperatom.potentials.classical.stillinger_weber import (
    StillingerWeberParameters,
    stillinger_weber,
)
from hyperatom.potentials.compiled_potential import CompiledPotential

NAMES = ("epsilon", "sigma", "a", "lambda", "gamma", "costheta0", "A", "B", "p", "q", "tol")

OF_PAIR = ("epsilon", "sigma", "a", "A", "B", "p", "q", "tol")
OF_ANGLE = ("epsilon", "lambda", "costheta0")


def read_stillinger_weber(
    path: Path, species: Sequence[int], elements: Sequence[str] | None = None
) -> CompiledPotential:
    """The potential of a LAMMPS sw file in metal units.

    `species` (n_species,) are atomic numbers; `elements` (n_species,) the names that the file has
    for them, their chemical symbols if not given. Raises `InputError` where the file is missing,
    cut off, lacks an entry, or describes an energy that depends on the order of atoms.
    """
    names = element_names(species, elements)
    entries = read_entries(path, NAMES)
    values = {}
    for triple in [(a, b, c) for a in names for b in names for c in names]:
        entry = entry_of(entries, path, triple)
        values[triple] = {key: entry.real(k, key) for k, key in enumerate(NAMES, start=3)}
    for a, b, c in values:
        for keys, other, what in (
            (OF_PAIR if b == c else (), (b, a, a), "pair"),
            (OF_ANGLE, (a, c, b), "angle"),
        ):
            for key in keys:
                here, there = values[a, b, c][key], values[other][key]
                if here != there:
                    raise entries[a, b, c].fault(
                        f"{key} of the {what} is {here:g}, and {there:g} in the entry of "
                        f"{' '.join(other)}, which describes the same {what}.",
                        "Give both entries the same numbers.",
                    )

    def of_pairs(key: str) -> np.ndarray:
        return np.array([[values[a, b, b][key] for b in names] for a in names])

    def of_angles(key: str) -> np.ndarray:
        return np.array([[[values[a, b, c][key] for c in names] for b in names] for a in names])

    length = of_pairs("sigma")
    cutoff = of_pairs("a") * length
    # With a tolerance LAMMPS ignores pairs from where the exponential factor has fallen to it.
    tolerance = np.minimum(of_pairs("tol"), 0.01)
    softest = np.minimum(of_pairs("gamma"), 1.0) * length
    shortened = [math.log(t) if t > 0.0 else -math.inf for t in tolerance.ravel()]
    reach = cutoff + softest / np.reshape(shortened, cutoff.shape)
    return stillinger_weber(
        tuple(species),
        StillingerWeberParameters(
            depth=of_pairs("A") * of_pairs("epsilon"),
            repulsion=of_pairs("B"),
            power=of_pairs("p"),
            other_power=of_pairs("q"),
            length=length,
            cutoff=cutoff,
            reach=np.maximum(reach, reach.T),
            decay=of_pairs("gamma") * length,
            strength=of_angles("lambda") * of_angles("epsilon"),
            cosine=of_angles("costheta0"),
        ),
        f"Stillinger-Weber potential of {path.name}",
    )
