"""Gaussian approximation potentials as gap_fit writes them: an XML file and its sparse points.

`<e0>` are energies of single atoms, each `<gpCoordinates>` is a sparse Gaussian process with its
descriptor in words, `theta` its widths, and `<sparseX>` the weight of each sparse point. The points
themselves lie beside it, one number a line, in the file that `sparseX_filename` names.
https://libatoms.github.io/GAP/gap_fit.html
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.interchange.gap_words import Words
from hyperatom.interchange.potential_formats import PotentialFormat, head_of
from hyperatom.potentials.compiled_potential import CompiledPotential
from hyperatom.potentials.features.gaussian_density import GaussianDensity
from hyperatom.potentials.gaussian_approximation import (
    PairTerm,
    SoapTerm,
    Term,
    TripletTerm,
    gaussian_approximation,
)

GAUSSIAN, DOT_PRODUCT = "1", "2"
"""Values of `covariance_type`."""

Array = NDArray[np.float64]


def read_gap(path: Path) -> CompiledPotential:
    """The potential of a GAP file; the files of its sparse points lie beside it.

    Raises `InputError` for files that are damaged or incomplete, and for descriptors, kernels and
    core potentials that cannot be represented, by name.
    """
    path = Path(path)
    root = _parse(path)
    core = root.findall(".//Potential")
    for potential in core:
        arguments = potential.get("init_args", "")
        if "IP GAP" not in arguments or "Sum" in arguments:
            raise InputError(
                f"{path}: the potential {arguments!r} is more than a GAP.",
                "A core or baseline potential is not read here: add it as a potential of its own.",
            )
    data = root.find(".//GAP_data")
    sparse = root.find(".//gpSparse")
    if data is None or sparse is None:
        raise InputError(f"{path} has no GAP_data and gpSparse.", "Give the XML file of gap_fit.")
    if data.get("do_core", "F") != "F":
        raise InputError(
            f"{path}: do_core is {data.get('do_core')}: the GAP stands on a core potential.",
            "A core potential is not read here: add it as a potential of its own.",
        )
    coordinates = sparse.findall("gpCoordinates")
    if str(len(coordinates)) != sparse.get("n_coordinate"):
        raise InputError(
            f"{path} announces {sparse.get('n_coordinate')} gpCoordinates and has"
            f" {len(coordinates)}.",
            "Take the file as gap_fit wrote it.",
        )
    words = [Words(path, one) for one in coordinates]
    species = tuple(sorted({number for one in words for number in one.species()}))
    terms, parameters = zip(
        *(_term(path, one, said, species) for one, said in zip(coordinates, words, strict=True)),
        strict=True,
    )
    constants = _constants(path, data, species)
    return gaussian_approximation(species, constants, terms, parameters, f"GAP of {path.name}")


def _parse(path: Path) -> ET.Element:
    try:
        return ET.fromstring(path.read_bytes())  # noqa: S314 (a local file)
    except OSError as problem:
        raise InputError(
            f"{path} cannot be read ({type(problem).__name__}).", "Give the XML file of gap_fit."
        ) from problem
    except ET.ParseError as problem:
        raise InputError(
            f"{path}, line {problem.position[0]}: not XML ({problem}).",
            "The file is cut off or damaged: take it as gap_fit wrote it.",
        ) from problem


def _constants(path: Path, data: ET.Element, species: tuple[int, ...]) -> Array:
    found = {one.get("Z"): one.get("value", "") for one in data.findall("e0")}
    values = []
    for number in species:
        if str(number) not in found:
            raise InputError(
                f"{path} has no e0 of {chemical_symbols[number]}.",
                "Take the file as gap_fit wrote it.",
            )
        values.append(_number(path, f"e0 of {chemical_symbols[number]}", found[str(number)]))
    return np.array(values)


def _number(path: Path, what: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InputError(
            f"{path}: {what} is {text!r}, not a finite number.",
            "Take the file as gap_fit wrote it.",
        )
    return value


def _term(
    path: Path, coordinates: ET.Element, words: Words, species: tuple[int, ...]
) -> tuple[Term, dict[str, Array]]:
    maker = TERMS.get(words.name)
    if maker is None:
        raise InputError(
            f"{path}: the descriptor {words.name!r} is not known here.",
            f"Known are {', '.join(TERMS)}.",
        )
    permutations = [one.text or "" for one in coordinates.findall("permutation")]
    if len(permutations) > 1:
        raise InputError(
            f"{path}: {words.name} with {len(permutations)} permutations is not known here.",
            "Fit with n_permutations of one.",
        )
    label = coordinates.get("label", words.name)
    if _number(path, f"signal_mean of {label}", coordinates.get("signal_mean", "0")) != 0.0:
        raise InputError(f"{path}: {label} has a signal_mean.", "Fit with a mean of zero.")
    delta = _number(path, f"signal_variance of {label}", coordinates.get("signal_variance"))
    points, weights = _sparse(path, coordinates, label)
    kernel = coordinates.get("covariance_type", "")
    term, more = maker(path, coordinates, words, species, kernel, points)
    known: dict[str, Array] = {"points": points, "weights": delta**2 * weights}
    return term, {**known, **more}


Made = tuple[Term, dict[str, Array]]


def _distance_2b(
    path: Path,
    coordinates: ET.Element,
    words: Words,
    species: tuple[int, ...],
    kernel: str,
    points: Array,
) -> Made:
    words.allow({"Z1", "Z2"})
    first, second = (species.index(words.whole(key)) for key in ("Z1", "Z2"))
    term = PairTerm(first, second, words.real("cutoff"), words.real("cutoff_transition_width", 0.5))
    return term, {"widths": _widths(path, coordinates, words, kernel, points, 1)}


def _angle_3b(
    path: Path,
    coordinates: ET.Element,
    words: Words,
    species: tuple[int, ...],
    kernel: str,
    points: Array,
) -> Made:
    words.allow({"Z", "Z1", "Z2"})
    centre, first, second = (species.index(words.whole(key)) for key in ("Z", "Z1", "Z2"))
    width = words.real("cutoff_transition_width", 0.5)
    term = TripletTerm(centre, first, second, words.real("cutoff"), width)
    return term, {"widths": _widths(path, coordinates, words, kernel, points, 3)}


def _widths(
    path: Path,
    coordinates: ET.Element,
    words: Words,
    kernel: str,
    points: Array,
    dimensions: int,
) -> Array:
    if kernel != GAUSSIAN:
        raise InputError(
            f"{path}: {words.name} with covariance_type {kernel} is not known here.",
            "Fit with covariance_type=ard_se.",
        )
    theta = [
        _number(path, f"theta of {words.name}", word)
        for word in (coordinates.findtext("theta") or "").split()
    ]
    if len(theta) != dimensions or points.shape[1] != dimensions or min(theta) <= 0.0:
        raise InputError(
            f"{path}: {words.name} has {len(theta)} theta for points of {points.shape[1]} numbers.",
            f"Expected {dimensions} of both, theta positive.",
        )
    return np.array(theta)


def _soap(
    path: Path,
    coordinates: ET.Element,
    words: Words,
    species: tuple[int, ...],
    kernel: str,
    points: Array,
) -> Made:
    words.allow({"Z", "n_Z", "species_Z", "n_species", "n_max", "l_max", "zeta", "central_weight"})
    if kernel != DOT_PRODUCT:
        raise InputError(
            f"{path}: soap with covariance_type {kernel} is not known here.",
            "Fit with covariance_type=dot_product.",
        )
    (centre,) = words.wholes("Z")
    density = GaussianDensity(
        species=tuple(species.index(number) for number in words.wholes("species_Z")),
        cutoff=words.real("cutoff"),
        transition_width=words.real("cutoff_transition_width", 0.5),
        n_radial=words.whole("n_max"),
        max_degree=words.whole("l_max"),
        width=words.real("atom_sigma" if words.has("atom_sigma") else "atom_gaussian_width"),
        central_weight=words.real("central_weight", 1.0),
    )
    n_channels = len(density.species) * density.n_radial
    expected = n_channels * (n_channels + 1) // 2 * (density.max_degree + 1)
    # The last number of a point is the square root of a constant in the kernel.
    if points.shape[1] != expected + 1:
        raise InputError(
            f"{path}: soap has {points.shape[1]} numbers per sparse point, expected"
            f" {expected + 1}.",
            "The file or its descriptor was changed: take it as gap_fit wrote it.",
        )
    if np.any(points[:, -1] != 0.0):
        raise InputError(
            f"{path}: soap with a constant in the kernel (covariance_sigma0) is not known here.",
            "Fit with covariance_sigma0 of zero.",
        )
    zeta = _number(path, "zeta of soap", coordinates.get("zeta"))
    # GAP lists the degree fastest, as the power spectrum does.
    return SoapTerm(species.index(centre), density, zeta), {
        "points": np.ascontiguousarray(points[:, :-1]),
        "series": density.series(),
    }


Maker = Callable[
    [Path, ET.Element, Words, tuple[int, ...], str, Array], tuple[Any, dict[str, Array]]
]
TERMS: dict[str, Maker] = {"distance_2b": _distance_2b, "angle_3b": _angle_3b, "soap": _soap}


def _sparse(path: Path, coordinates: ET.Element, label: str) -> tuple[Array, Array]:
    # Sparse points (n_points, dimensions), and weights times the cutoffs at the points.
    entries = coordinates.findall("sparseX")
    announced = coordinates.get("n_sparseX")
    if str(len(entries)) != announced:
        raise InputError(
            f"{path}: {label} announces {announced} sparse points and has {len(entries)}.",
            "Take the file as gap_fit wrote it.",
        )
    weights = [
        _number(path, f"alpha of {label}", entry.get("alpha"))
        * _number(path, f"sparseCutoff of {label}", entry.get("sparseCutoff", "1.0"))
        for entry in entries
    ]
    dimensions = int(_number(path, f"dimensions of {label}", coordinates.get("dimensions")))
    name = coordinates.get("sparseX_filename")
    if name is None:
        raise InputError(
            f"{path}: {label} names no file of sparse points.",
            "Fit with sparse_separate_file=T.",
        )
    file = path.parent / name
    try:
        content = file.read_bytes()
    except OSError as problem:
        raise InputError(
            f"{file}, the sparse points of {path.name}, cannot be read.",
            "Keep the files that gap_fit wrote together.",
        ) from problem
    stamp = coordinates.get("sparseX_md5sum")
    content = content.replace(b"\r\n", b"\n")
    if stamp and hashlib.md5(content, usedforsecurity=False).hexdigest() != stamp:
        raise InputError(
            f"{file} is not the file that {path.name} was written with: its checksum differs.",
            "Keep the files that gap_fit wrote together.",
        )
    lines = content.decode("utf-8", "replace").split()
    if len(lines) != dimensions * len(entries):
        raise InputError(
            f"{file} ends at line {len(lines)}; {len(entries)} sparse points of {dimensions}"
            f" numbers are {dimensions * len(entries)} lines.",
            "The file is cut off: take it as gap_fit wrote it.",
        )
    numbers = [_number(file, f"line {i}", line) for i, line in enumerate(lines, start=1)]
    return np.array(numbers).reshape(len(entries), dimensions), np.array(weights)


FORMATS = [
    PotentialFormat(
        "gap",
        "Gaussian approximation potentials of gap_fit, an XML file with its sparseX files",
        lambda path: path.suffix == ".xml" and "<GAP_params" in head_of(path),
        lambda source: read_gap(source.path),
    )
]
