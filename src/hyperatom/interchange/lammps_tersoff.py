"""LAMMPS' files of Tersoff potentials (`pair_style tersoff`).

    element1 element2 element3  m gamma lambda3 c d cos(theta0) n beta lambda2 B R D lambda1 A

Element 1 is the atom whose bond to element 2 is weakened by element 3. n, beta, lambda2, B, lambda1
and A are those of the entries whose elements 2 and 3 are the same.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hyperatom.interchange.lammps_text import element_names, entry_of, read_entries
from hyperatom.potentials.classical.tersoff import TersoffParameters, tersoff
from hyperatom.potentials.compiled_potential import CompiledPotential

NAMES = (
    "m",
    "gamma",
    "lambda3",
    "c",
    "d",
    "costheta0",
    "n",
    "beta",
    "lambda2",
    "B",
    "R",
    "D",
    "lambda1",
    "A",
)


def read_tersoff(
    path: Path, species: Sequence[int], elements: Sequence[str] | None = None
) -> CompiledPotential:
    """The potential of a LAMMPS tersoff file in metal units.

    `species` (n_species,) are atomic numbers; `elements` (n_species,) the names that the file has
    for them, their chemical symbols if not given. Raises `InputError` where the file is missing,
    cut off, lacks an entry, has an impossible one, or describes a repulsion that depends on the
    order of atoms.
    """
    names = element_names(species, elements)
    entries = read_entries(path, NAMES)
    values = {}
    for triple in [(a, b, c) for a in names for b in names for c in names]:
        entry = entry_of(entries, path, triple)
        found = {key: entry.real(k, key) for k, key in enumerate(NAMES, start=3)}
        if found["m"] not in (1.0, 3.0):
            raise entry.fault(f"m is {found['m']:g}.", "Tersoff potentials have m = 1 or m = 3.")
        if not 0.0 < found["D"] <= found["R"] or found["d"] == 0.0:
            raise entry.fault(
                f"R = {found['R']:g}, D = {found['D']:g}, d = {found['d']:g}.",
                "R must be at least D, D positive and d not zero.",
            )
        if triple[1] == triple[2] and (found["n"] <= 0.0 or found["beta"] < 0.0):
            raise entry.fault(
                f"n = {found['n']:g} and beta = {found['beta']:g} in the entry of a bond.",
                "n must be positive, beta not negative.",
            )
        values[triple] = found

    for a, b in [(a, b) for a in names for b in names]:
        for key in ("A", "lambda1", "R", "D"):
            here, there = values[a, b, b][key], values[b, a, a][key]
            if here != there:
                raise entries[a, b, b].fault(
                    f"{key} of the repulsion is {here:g}, and {there:g} in the entry of {b} {a} "
                    f"{a}, which describes the same pair.",
                    "Give both entries the same number.",
                )

    def of_bonds(key: str) -> np.ndarray:
        return np.array([[values[a, b, b][key] for b in names] for a in names])

    def of_triplets(key: str) -> np.ndarray:
        return np.array([[[values[a, b, c][key] for c in names] for b in names] for a in names])

    return tersoff(
        tuple(species),
        TersoffParameters(
            repulsion=of_bonds("A"),
            repulsion_rate=of_bonds("lambda1"),
            attraction=of_bonds("B"),
            attraction_rate=of_bonds("lambda2"),
            beta=of_bonds("beta"),
            power=of_bonds("n"),
            radius=of_triplets("R"),
            width=of_triplets("D"),
            gamma=of_triplets("gamma"),
            rate=of_triplets("lambda3"),
            cubic=(of_triplets("m") == 3.0).astype(float),
            c=of_triplets("c"),
            d=of_triplets("d"),
            h=of_triplets("costheta0"),
        ),
        f"Tersoff potential of {path.name}",
    )
