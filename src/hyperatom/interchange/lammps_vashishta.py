"""LAMMPS' files of Vashishta potentials (`pair_style vashishta`).

An entry is three elements and fourteen numbers, on as many lines as it likes:

    element1 element2 element3  H eta Zi Zj lambda1 D lambda4  W rc B gamma r0 C cos(theta)

Element 1 is at the vertex of an angle. Pairs, and the reach of bonds, are those of the entries
whose elements 2 and 3 are the same; B, C and cos(theta) are looked up for each angle.
"""

import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hyperatom.errors import InputError
from hyperatom.potentials.classical.vashishta import vashishta
from hyperatom.potentials.compiled_potential import CompiledPotential

LAMMPS_COULOMB_CONSTANT = 14.399645
"""e^2 / (4 pi epsilon_0) in eV Å as LAMMPS has it for its metal units."""

NUMBERS = (
    "H",
    "eta",
    "Zi",
    "Zj",
    "lambda1",
    "D",
    "lambda4",
    "W",
    "rc",
    "B",
    "gamma",
    "r0",
    "C",
    "cos(theta)",
)
WORDS = 3 + len(NUMBERS)

Entry = dict[str, float]


def read_vashishta(
    path: Path,
    species: Sequence[int],
    elements: Sequence[str] | None = None,
    coulomb_constant: float = LAMMPS_COULOMB_CONSTANT,
    **settings: Any,
) -> CompiledPotential:
    """The potential of a LAMMPS Vashishta file in metal units.

    `species` (n_species,) are atomic numbers; `elements` (n_species,) the names that the file has
    for them, their chemical symbols if not given; `coulomb_constant` in eV Å. Other `settings` are
    those of `vashishta`.

    Raises `InputError` where the file is missing, cut off, not in metal units, has an entry twice,
    lacks one, or describes a pair that depends on the order of its atoms.
    """
    from ase.data import chemical_symbols

    names = elements or [chemical_symbols[z] for z in species]
    entries = _read_entries(path)
    triples = [(a, b, c) for a in names for b in names for c in names]
    for triple in triples:
        if triple not in entries:
            raise InputError(
                f"{path} has no entry for {' '.join(triple)}.",
                f"Add it; the file knows {', '.join(sorted({t[0] for t in entries}))}.",
            )

    def of_pairs(*keys: str) -> list[Any]:
        return [[[entries[a, b, b][1][k] for b in names] for a in names] for k in keys]

    def of_angles(key: str) -> Any:
        return [[[entries[a, b, c][1][key] for c in names] for b in names] for a in names]

    for first, second in product(names, repeat=2):
        (line, one), (_, other) = entries[first, second, second], entries[second, first, first]
        swapped = {**other, "Zi": other["Zj"], "Zj": other["Zi"]}
        for key in ("H", "eta", "Zi", "Zj", "lambda1", "D", "lambda4", "W", "rc"):
            if one[key] != swapped[key]:
                raise InputError(
                    f"{path}, line {line}: {key} of the pair {first} {second} is {one[key]:g}, and "
                    f"{swapped[key]:g} the other way round.",
                    "Give both entries of a pair the same numbers.",
                )
    for triple in triples:
        (line, one), (_, other) = entries[triple], entries[triple[0], triple[2], triple[1]]
        for key in ("B", "C", "cos(theta)"):
            if one[key] != other[key]:
                raise InputError(
                    f"{path}, line {line}: {key} of the angle {' '.join(triple)} depends on the "
                    "order of its two ends.",
                    "Give both entries of an angle the same numbers.",
                )
    strength, exponent, screening, dipole, dipole_screening, dispersion, cutoff, decay, reach = (
        of_pairs("H", "eta", "lambda1", "D", "lambda4", "W", "rc", "gamma", "r0")
    )
    zi, zj = of_pairs("Zi", "Zj")
    return vashishta(
        species,
        strength=strength,
        exponent=exponent,
        charge_product=np.multiply(zi, zj),
        screening=screening,
        dipole=dipole,
        dipole_screening=dipole_screening,
        dispersion=dispersion,
        cutoff=cutoff,
        angle_strength=of_angles("B"),
        angle_cosine=of_angles("cos(theta)"),
        angle_saturation=of_angles("C"),
        angle_decay=decay,
        angle_reach=reach,
        coulomb_constant=coulomb_constant,
        name=f"Vashishta potential of {path.name}",
        **settings,
    )


def _read_entries(path: Path) -> dict[tuple[str, str, str], tuple[int, Entry]]:
    if not path.is_file():
        raise InputError(f"The potential file {path} does not exist.", "Check the path.")
    text = path.read_text(encoding="utf-8", errors="replace")
    units = re.search(r"UNITS:\s*(\S+)", text)
    if units and units.group(1) != "metal":
        raise InputError(
            f"{path} is in {units.group(1)} units.", "Convert it to LAMMPS' metal units (eV, Å)."
        )
    words = [
        (number, word)
        for number, line in enumerate(text.splitlines(), start=1)
        for word in line.partition("#")[0].split()
    ]
    entries: dict[tuple[str, str, str], tuple[int, Entry]] = {}
    for start in range(0, len(words), WORDS):
        chunk = words[start : start + WORDS]
        line = chunk[0][0]
        if len(chunk) < WORDS:
            raise InputError(
                f"{path}, line {line}: the last entry has {len(chunk)} of {WORDS} words.",
                "The file is cut off or misses a number; get a complete one.",
            )
        triple = (chunk[0][1], chunk[1][1], chunk[2][1])
        if triple in entries:
            raise InputError(
                f"{path}, line {line}: a second entry for {' '.join(triple)}.", "Keep one of them."
            )
        values: Entry = {}
        for name, (where, word) in zip(NUMBERS, chunk[3:], strict=True):
            try:
                values[name] = float(word)
            except ValueError:
                raise InputError(
                    f"{path}, line {where}: '{word}' stands where the number {name} of the entry "
                    f"{' '.join(triple)} should be.",
                    f"An entry is three elements and {len(NUMBERS)} numbers.",
                ) from None
            if not np.isfinite(values[name]):
                raise InputError(
                    f"{path}, line {where}: {name} is {word}.", "Give a finite number."
                )
        entries[triple] = (line, values)
    if not entries:
        raise InputError(f"{path} has no entries.", "Give a LAMMPS Vashishta file.")
    return entries
