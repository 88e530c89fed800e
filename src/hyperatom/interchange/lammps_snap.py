"""LAMMPS' files of SNAP potentials (`pair_style snap`): coefficients and parameters.

The coefficient file has the numbers of elements and of coefficients, then for each element a line
(name, radius, weight) and its coefficients, one a line. The parameter file has a keyword and its
value on each line; rcutfac and twojmax are required.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hyperatom.errors import InputError
from hyperatom.interchange.lammps_text import Line, element_names, read_lines
from hyperatom.potentials.compiled_potential import CompiledPotential
from hyperatom.potentials.spectral_neighbour_analysis import (
    SpectralNeighbourSettings,
    SpectralNeighbourSpecies,
    n_coefficients,
    spectral_neighbour_analysis,
)

REQUIRED = ("rcutfac", "twojmax")

NUMBERS = {"rcutfac": None, "twojmax": None, "rfac0": 0.99363, "rmin0": 0.0}
FLAGS = {
    "switchflag": True,
    "bzeroflag": True,
    "bnormflag": False,
    "quadraticflag": False,
    "switchinnerflag": False,
    "chemflag": False,
    "wselfallflag": False,
}
LISTS = ("sinner", "dinner")
OF_MACHINES = ("chunksize", "parallelthresh")
"""How LAMMPS divides its work: no business of the energy."""


def read_snap(
    coefficients: Path,
    parameters: Path,
    species: Sequence[int],
    elements: Sequence[str] | None = None,
) -> CompiledPotential:
    """The potential of a coefficient file and a parameter file.

    `species` (n_species,) are atomic numbers; `elements` (n_species,) the names that the files have
    for them, their chemical symbols if not given. Raises `InputError` for missing or damaged files,
    unknown keywords, wrong numbers of coefficients, and for `chemflag 1`, the densities of each
    element by itself, which are not available.
    """
    known = _read_coefficients(coefficients)
    settings, inner = _read_parameters(parameters, list(known))
    names = element_names(species, elements)
    expected = n_coefficients(settings)
    chosen = []
    for number, name in zip(species, names, strict=True):
        if name not in known:
            raise InputError(
                f"{coefficients} has no {name}; it knows {', '.join(known)}.",
                "Use files made for all species.",
            )
        line, values = known[name]
        if len(values) != expected:
            raise line.fault(
                f"{name} has {len(values)} coefficients, but twojmax {settings.max_degree} and "
                f"quadraticflag {int(settings.quadratic)} of {parameters.name} ask for {expected}.",
                "Use files that belong together.",
            )
        radius, weight = line.real(1, "the radius"), line.real(2, "the weight")
        if not 2.0 * settings.cutoff_factor * radius > settings.start:
            raise line.fault(
                f"with the radius {radius:g} the cutoff does not lie beyond rmin0.",
                "Check radius, rcutfac and rmin0.",
            )
        chosen.append(
            SpectralNeighbourSpecies(number, radius, weight, values, inner.get(name, (0.0, 1.0)))
        )
    return spectral_neighbour_analysis(
        settings, tuple(chosen), f"SNAP potential of {coefficients.name}"
    )


def _read_coefficients(path: Path) -> dict[str, tuple[Line, np.ndarray]]:
    # Of each element its line (name, radius, weight) and its coefficients.
    lines = read_lines(path)
    n_elements = lines[0].whole(0, "the number of elements")
    count = lines[0].whole(1, "the number of coefficients")
    expected = 1 + n_elements * (1 + count)
    if min(n_elements, count) < 1 or len(lines) != expected:
        raise lines[-1].fault(
            f"{len(lines)} lines with content, where {n_elements} elements with {count} "
            f"coefficients each make {expected}.",
            "The file is cut off or its first numbers are wrong; get a complete one.",
        )
    known = {}
    for start in range(1, expected, 1 + count):
        head = lines[start]
        head.real(2, "the weight")
        values = [line.real(0, "a coefficient") for line in lines[start + 1 : start + 1 + count]]
        if head.words[0] in known:
            raise head.fault(f"{head.words[0]} comes a second time.", "Keep one of them.")
        known[head.words[0]] = (head, np.array(values))
    return known


def _read_parameters(
    path: Path, elements: list[str]
) -> tuple[SpectralNeighbourSettings, dict[str, tuple[float, float]]]:
    numbers: dict[str, float | None] = dict(NUMBERS)
    flags = dict(FLAGS)
    lists: dict[str, list[float]] = {}
    for line in read_lines(path):
        keyword = line.words[0]
        if keyword in NUMBERS:
            numbers[keyword] = line.real(1, keyword)
        elif keyword in FLAGS:
            if line.words[1:] not in (["0"], ["1"]):
                raise line.fault(f"{keyword} is {' '.join(line.words[1:])}.", "Give 0 or 1.")
            flags[keyword] = line.words[1] == "1"
        elif keyword in LISTS:
            lists[keyword] = [line.real(k + 1, keyword) for k in range(len(elements))]
        elif keyword not in OF_MACHINES:
            raise line.fault(
                f"the keyword {keyword} is unknown.",
                f"Known: {', '.join([*NUMBERS, *FLAGS, *LISTS, *OF_MACHINES])}.",
            )
    factor, degree = numbers["rcutfac"], numbers["twojmax"]
    if factor is None or degree is None:
        raise InputError(f"{path} lacks {' or '.join(REQUIRED)}.", "Both are required.")
    if flags["chemflag"]:
        raise InputError(
            f"{path} asks for chemflag 1, the densities of each element by itself.",
            "This is not available; use a potential with chemflag 0.",
        )
    if flags["switchinnerflag"] != (len(lists) == len(LISTS)):
        raise InputError(
            f"{path}: switchinnerflag is {int(flags['switchinnerflag'])}, and of sinner and dinner "
            f"there are {len(lists)}.",
            "Give switchinnerflag 1 with sinner and dinner, or none of them.",
        )
    start, angle = numbers["rmin0"], numbers["rfac0"]
    assert start is not None
    assert angle is not None
    if factor <= 0.0 or degree < 0 or degree != int(degree) or start < 0.0 or not 0 < angle <= 1:
        raise InputError(
            f"{path}: rcutfac {factor:g}, twojmax {degree:g}, rmin0 {start:g}, rfac0 {angle:g}.",
            "rcutfac must be positive, twojmax a whole number, rmin0 not negative, rfac0 within "
            "0 ... 1.",
        )
    settings = SpectralNeighbourSettings(
        cutoff_factor=factor,
        max_degree=int(degree),
        angle_factor=angle,
        start=start,
        switched=flags["switchflag"],
        relative=flags["bzeroflag"],
        normalised=flags["bnormflag"],
        quadratic=flags["quadraticflag"],
        inner_switch=flags["switchinnerflag"],
    )
    inner = dict(zip(elements, zip(*lists.values(), strict=True), strict=False)) if lists else {}
    return settings, inner
