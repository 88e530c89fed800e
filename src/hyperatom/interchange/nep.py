"""Neuroevolution potentials of GPUMD: `nep.txt`.

A header of six lines, or seven with a repulsion, then one number per line: for each species (nep4)
or once (nep3) the weights of the hidden layer by unit, its biases and the outer weights; the outer
bias; the expansion coefficients c_nk^ab with a and b fastest, radial then angular; the scaling of
the descriptors; and, for a flexible repulsion, ten numbers for each pair of species.
https://gpumd.org/potentials/nep.html
"""

from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.interchange.potential_formats import PotentialFormat, head_of
from hyperatom.potentials.compiled_potential import CompiledPotential
from hyperatom.potentials.neuroevolution import NeuroevolutionSettings, neuroevolution_potential
from hyperatom.potentials.ziegler_repulsion import EXPONENTS, universal_parameters

VERSIONS = ("nep3", "nep4", "nep5", "nep3_zbl", "nep4_zbl", "nep5_zbl")

Array = NDArray[np.float64]
Header = dict[str, tuple[int, list[str]]]


def read_nep(path: Path) -> CompiledPotential:
    """The potential of a `nep.txt`.

    Raises `InputError` for a file that is damaged, of an unknown kind, or that says what cannot be
    represented: charges, dipoles, polarisabilities, temperatures, further many-body descriptors.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(
            f"{path} cannot be read ({type(problem).__name__}).", "Give a nep.txt of GPUMD."
        ) from problem
    version, header, first = _header(path, lines)
    settings, neurons = _settings(path, version, header)
    zbl = _repulsion_range(path, header)
    flexible = zbl is not None and zbl == (0.0, 0.0)
    numbers = _Numbers(path, lines, first)
    n_species = len(settings.species)
    n_networks = 1 if version.startswith("nep3") else n_species
    own_offset = version.startswith("nep5")
    expected = {
        "weights": n_networks * neurons * (settings.n_descriptors + 2),
        "outer biases": 1 + (n_species if own_offset else 0),
        "coefficients": n_species**2
        * (settings.n_radial * settings.radial_basis + settings.n_angular * settings.angular_basis),
        "scalings": settings.n_descriptors,
        "repulsion": 5 * n_species * (n_species + 1) if flexible else 0,
    }
    numbers.require(expected)

    networks = [
        _network(numbers, neurons, settings.n_descriptors, own_offset) for _ in range(n_networks)
    ]
    hidden, biases, outer, own = (
        np.stack([network[part] for network in networks]) for part in range(4)
    )
    common = numbers.take(1)[0]
    shapes = (
        (settings.n_radial, settings.radial_basis, n_species, n_species),
        (settings.n_angular, settings.angular_basis, n_species, n_species),
    )
    radial, angular = (numbers.take(*shape).transpose(2, 3, 0, 1) for shape in shapes)
    scaling = numbers.take(settings.n_descriptors)

    def for_all(array: Array) -> Array:
        return np.array(np.broadcast_to(array, (n_species, *array.shape[1:])))

    parameters: dict[str, Any] = {
        "hidden": for_all(hidden.transpose(0, 2, 1) * scaling[:, None]),
        "biases": for_all(biases),
        "outer": for_all(outer),
        "offsets": for_all(own + common),
        "radial": np.array(radial),
        "angular": np.array(angular),
    }
    if zbl is not None:
        parameters["zbl"] = _repulsion(settings.species, zbl, numbers if flexible else None)
    return neuroevolution_potential(settings, parameters, f"{version} of {path.name}")


class _Numbers:
    """The numbers below the header, one per line, read in order."""

    def __init__(self, path: Path, lines: list[str], first: int) -> None:
        self.path = path
        values = []
        for number, line in enumerate(lines[first:], start=first + 1):
            if not line.strip():
                continue
            try:
                values.append(float(line))
            except ValueError as problem:
                raise InputError(
                    f"{path}, line {number}: {line.strip()!r} is not one number.",
                    "Take the file as GPUMD wrote it.",
                ) from problem
            if not np.isfinite(values[-1]):
                raise InputError(
                    f"{path}, line {number}: {line.strip()} is not a finite number.",
                    "Train the potential again.",
                )
        self.values = np.array(values)
        self.last = len(lines)
        self.position = 0

    def require(self, expected: dict[str, int]) -> None:
        """As many numbers as the header asks for."""
        total = sum(expected.values())
        if len(self.values) == total:
            return
        parts = ", ".join(f"{count} {name}" for name, count in expected.items() if count)
        raise InputError(
            f"{self.path} ends at line {self.last} with {len(self.values)} parameters"
            f"; its header asks for {total} ({parts}).",
            "The file is cut off or its header was changed: take it as GPUMD wrote it.",
        )

    def take(self, *shape: int) -> Array:
        """The next numbers."""
        size = int(np.prod(shape))
        self.position += size
        return np.array(self.values[self.position - size : self.position]).reshape(shape)


def _header(path: Path, lines: list[str]) -> tuple[str, Header, int]:
    # Version, the values of each keyword with their line, and the index of the first parameter.
    words = lines[0].split() if lines else []
    version = words[0] if words else ""
    if version not in VERSIONS:
        raise InputError(
            f"{path}, line 1: {version or 'nothing'!r} is not a kind of NEP that is known here.",
            f"Known are {', '.join(VERSIONS)}; charges, dipoles, polarisabilities, temperatures and"
            " NEP2 are not.",
        )
    keywords = ["cutoff", "n_max", "basis_size", "l_max", "ANN"]
    if version.endswith("_zbl"):
        keywords.insert(0, "zbl")
    header: Header = {"version": (1, words)}
    for number, keyword in enumerate(keywords, start=2):
        words = lines[number - 1].split() if len(lines) >= number else []
        if not words or words[0] != keyword:
            found = words[0] if words else "the end of the file"
            raise InputError(
                f"{path}, line {number}: expected {keyword!r}, found {found!r}.",
                "Take the file as GPUMD wrote it.",
            )
        header[keyword] = (number, words[1:])
    return version, header, len(keywords) + 1


def _values(path: Path, header: Header, keyword: str, kind: type, counts: set[int]) -> list[Any]:
    number, words = header[keyword]
    try:
        values = [kind(word) for word in words]
    except ValueError as problem:
        raise InputError(
            f"{path}, line {number}: {keyword} {' '.join(words)} are not numbers.",
            "Take the file as GPUMD wrote it.",
        ) from problem
    if len(values) not in counts or min(values) < 0:
        raise InputError(
            f"{path}, line {number}: {keyword} has {len(values)} values: {' '.join(words)}.",
            f"Expected {' or '.join(map(str, sorted(counts)))} values, none negative.",
        )
    return values


def _settings(path: Path, version: str, header: Header) -> tuple[NeuroevolutionSettings, int]:
    words = header["version"][1]
    symbols = words[2:]
    unknown = [symbol for symbol in symbols if atomic_numbers.get(symbol, 0) < 1]
    if len(words) < 3 or words[1] != str(len(symbols)) or unknown:
        raise InputError(
            f"{path}, line 1: {' '.join(words)!r} does not count and name its species.",
            "Expected the kind, the number of species and a symbol for each.",
        )
    n_species = len(symbols)
    cutoffs = _values(path, header, "cutoff", float, {2, 4, 2 * n_species, 2 * n_species + 2})
    if len(cutoffs) in (4, 2 * n_species + 2):
        cutoffs = cutoffs[:-2]  # how much memory GPUMD sets aside for neighbours
    pairs = np.array(cutoffs).reshape(-1, 2)
    radial, angular = np.broadcast_to(pairs, (n_species, 2)).T
    n_radial, n_angular = _values(path, header, "n_max", int, {2})
    radial_basis, angular_basis = _values(path, header, "basis_size", int, {2})
    degrees = _values(path, header, "l_max", int, {1, 2, 3, 4, 5, 6, 7})
    if any(degrees[3:]):
        raise InputError(
            f"{path}, line {header['l_max'][0]}: l_max {' '.join(header['l_max'][1])} asks for"
            " descriptors of mixed degrees (q_112, q_123, q_233, q_134).",
            "Only q_222 and q_1111 are known here beyond three bodies.",
        )
    neurons, layers = _values(path, header, "ANN", int, {2})
    if layers != 0 or neurons < 1:
        raise InputError(
            f"{path}, line {header['ANN'][0]}: ANN {neurons} {layers} is not one hidden layer.",
            "Expected a number of units, and 0.",
        )
    settings = NeuroevolutionSettings(
        species=tuple(atomic_numbers[symbol] for symbol in symbols),
        radial_cutoffs=tuple(map(float, radial)),
        angular_cutoffs=tuple(map(float, angular)),
        n_radial=n_radial + 1,
        n_angular=n_angular + 1,
        radial_basis=radial_basis + 1,
        angular_basis=angular_basis + 1,
        max_degree=degrees[0],
        four_body=len(degrees) > 1 and degrees[1] > 0,
        five_body=len(degrees) > 2 and degrees[2] > 0,
        repulsion=version.endswith("_zbl"),
    )
    return settings, neurons


def _network(
    numbers: _Numbers, neurons: int, n_descriptors: int, own_offset: bool
) -> tuple[Array, Array, Array, Array]:
    return (
        numbers.take(neurons, n_descriptors),
        numbers.take(neurons),
        numbers.take(neurons),
        numbers.take(1)[0] if own_offset else np.zeros(()),
    )


def _repulsion_range(path: Path, header: Header) -> tuple[float, float] | None:
    if "zbl" not in header:
        return None
    number, words = header["zbl"]
    if len(words) > 2:
        raise InputError(
            f"{path}, line {number}: zbl {' '.join(words)} has ranges by covalent radii.",
            "Train with one inner and outer distance, or with a flexible repulsion.",
        )
    inner, outer = _values(path, header, "zbl", float, {2})
    if (inner, outer) != (0.0, 0.0) and inner >= outer:
        raise InputError(
            f"{path}, line {number}: the repulsion ends at {outer} Å before it begins to fall at"
            f" {inner} Å.",
            "Take the file as GPUMD wrote it.",
        )
    return inner, outer


def _repulsion(
    species: tuple[int, ...], zbl: tuple[float, float], numbers: _Numbers | None
) -> dict[str, Array]:
    shape = (len(species), len(species))
    parameters = universal_parameters(species, np.full(shape, zbl[0]), np.full(shape, zbl[1]))
    if numbers is None:
        return parameters
    decay = parameters["decays"][:, :, 0] / EXPONENTS[0]
    for a in range(len(species)):
        for b in range(a, len(species)):
            inner, outer, *terms = numbers.take(10)
            for i, j in ((a, b), (b, a)):
                parameters["inner"][i, j], parameters["outer"][i, j] = inner, outer
                parameters["amplitudes"][i, j] = terms[0::2]
                parameters["decays"][i, j] = decay[i, j] * np.array(terms[1::2])
    return parameters


FORMATS = [
    PotentialFormat(
        "nep",
        "neuroevolution potentials of GPUMD, a nep.txt",
        lambda path: head_of(path).startswith("nep"),
        lambda source: read_nep(source.path),
    )
]
