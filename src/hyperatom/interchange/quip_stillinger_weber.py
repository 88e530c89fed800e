"""Stillinger-Weber parameters in the XML of QUIP (`<SW_params>`).

    phi_ij = eps A (B (sigma/r)^p - (sigma/r)^q) exp[1 / (r/sigma - a)]
    phi_jik = eps lambda (cos + 1/3)^2
              exp[gamma/(r_ij/sigma_ij - a_ij) + gamma/(r_ik/sigma_ik - a_ik)]

A triplet's gamma must be the same for all triplets of an atom and a neighbour: ours belongs to the
pair.
"""

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from ase.data import chemical_symbols

from hyperatom.errors import InputError
from hyperatom.interchange.potential_formats import PotentialFormat, head_of
from hyperatom.potentials.classical.stillinger_weber import (
    StillingerWeberParameters,
    stillinger_weber,
)
from hyperatom.potentials.compiled_potential import CompiledPotential


def read_quip_stillinger_weber(path: Path) -> CompiledPotential:
    """The potential of a QUIP file with `<SW_params>`.

    Raises `InputError` for a damaged or incomplete file, or a gamma that differs among triplets.
    """
    try:
        root = ET.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314
    except (OSError, UnicodeDecodeError, ET.ParseError) as problem:
        raise InputError(
            f"{path} is not readable XML: {problem}.", "Give a whole file with SW_params."
        ) from problem
    found = root if root.tag == "SW_params" else root.find(".//SW_params")
    if found is None:
        raise InputError(f"{path} has no SW_params.", "Give a Stillinger-Weber file of QUIP.")
    species = tuple(
        int(_value(path, entry, "atomic_num")) for entry in found.findall("per_type_data")
    )
    if not species or len(set(species)) < len(species):
        raise InputError(f"{path} names no species, or one twice.", "Give each species once.")
    n = len(species)
    table = {name: np.full((n, n), np.nan) for name in ("A", "B", "p", "q", "a", "sigma")}
    strength, decay = np.full((n, n, n), np.nan), np.full((n, n), np.nan)
    for entry in found.findall("per_pair_data"):
        i, j = (_place(path, entry, name, species) for name in ("atnum_i", "atnum_j"))
        depth = _value(path, entry, "AA") * _value(path, entry, "eps")
        values = {"A": depth, "B": _value(path, entry, "BB")}
        values |= {name: _value(path, entry, name) for name in ("p", "q", "a", "sigma")}
        for name, value in values.items():
            table[name][i, j] = table[name][j, i] = value
    for entry in found.findall("per_triplet_data"):
        names = ("atnum_c", "atnum_j", "atnum_k")
        i, j, k = (_place(path, entry, name, species) for name in names)
        both = _value(path, entry, "lambda") * _value(path, entry, "eps")
        strength[i, j, k] = strength[i, k, j] = both
        gamma = _value(path, entry, "gamma")
        for neighbour in (j, k):
            if not np.isnan(decay[i, neighbour]) and decay[i, neighbour] != gamma:
                raise InputError(
                    f"{path}: gamma of {chemical_symbols[species[i]]} differs between triplets.",
                    "Only a gamma that depends on atom and neighbour alone is supported.",
                )
            decay[i, neighbour] = gamma
    if any(np.isnan(one).any() for one in (*table.values(), strength, decay)):
        raise InputError(
            f"{path} lacks pairs or triplets of its {n} species.", "Give an entry for each of them."
        )
    cutoff = table["a"] * table["sigma"]
    parameters = StillingerWeberParameters(
        depth=table["A"],
        repulsion=table["B"],
        power=table["p"],
        other_power=table["q"],
        length=table["sigma"],
        cutoff=cutoff,
        reach=cutoff,
        decay=decay * table["sigma"],
        strength=strength,
        cosine=np.full((n, n, n), -1.0 / 3.0),
    )
    return stillinger_weber(species, parameters, f"Stillinger-Weber of {path.name}")


def _value(path: Path, entry: ET.Element, name: str) -> float:
    text = entry.get(name)
    try:
        value = float(text if text is not None else "nothing")
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InputError(
            f"{path}: '{name}' of a {entry.tag} is {text!r}, expected a number.", "Mend the entry."
        )
    return value


def _place(path: Path, entry: ET.Element, name: str, species: tuple[int, ...]) -> int:
    number = int(_value(path, entry, name))
    if number not in species:
        raise InputError(
            f"{path}: a {entry.tag} is for atomic number {number}, which has no per_type_data.",
            "Declare each species.",
        )
    return species.index(number)


FORMATS = [
    PotentialFormat(
        "quip-sw",
        "Stillinger-Weber parameters of QUIP, an XML file with SW_params",
        lambda path: path.suffix == ".xml" and "<SW_params" in head_of(path),
        lambda source: read_quip_stillinger_weber(source.path),
    )
]
