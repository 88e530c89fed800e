"""What a folder of n2p2 or RuNNer says, in our words: input.nn, scaling.data, weights.*.data.

Formats: the manual of n2p2 (Singraber, Behler and Dellago, J. Chem. Theory Comput. 15, 1827
(2019)). Files do not say in which units they are; whoever reads or writes one does.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperatom.errors import InputError
from hyperatom.interchange.n2p2_files import (
    Array,
    Line,
    read_keywords,
    read_network,
    read_scaling,
)
from hyperatom.potentials.behler_parrinello import ElementNetwork
from hyperatom.potentials.features.cutoff_functions import CutoffFunction
from hyperatom.potentials.features.symmetry_functions import (
    ANY,
    AngularFunction,
    Function,
    RadialFunction,
)
from hyperatom.units import BOHR, HARTREE


@dataclass(frozen=True)
class Units:
    """Energy in eV and length in Å of the units of a file."""

    energy: float
    length: float


UNITS = {"eV-Angstrom": Units(1.0, 1.0), "Hartree-Bohr": Units(HARTREE, BOHR)}
"""Units that a file may be in, by name."""

CUTOFF_TYPES = (
    *("hard", "cosine", "tanh", "normalised tanh", "exponential"),
    *(f"polynomial {degree}" for degree in (1, 2, 3, 4)),
)
"""Names of the cutoff functions, at the position of n2p2's number."""

ACTIVATION_LETTERS = {
    "l": "linear",
    "t": "tanh",
    "s": "logistic",
    "p": "softplus",
    "r": "rectifier",
    "g": "gaussian",
    "c": "cosine",
    "S": "reverse logistic",
    "e": "exponential",
    "h": "harmonic",
}

GENERATIONS = {"2": 2, "2G": 2, "2G-HDNNP": 2, "4": 4, "4G": 4, "4G-HDNNP": 4}


def units_by_name(name: str) -> Units:
    """The units called `name`; raises `InputError` for another name than those of `UNITS`."""
    if name not in UNITS:
        raise InputError(
            f"'{name}' are no units of an n2p2 potential.", f"Give one of {'; '.join(UNITS)}."
        )
    return UNITS[name]


@dataclass(frozen=True)
class N2p2Folder:
    """What the files of a folder say, in our words and in eV and Å.

    `species` are atomic numbers, ascending; `functions` all symmetry functions, and `columns` those
    of each species in n2p2's order. `shift` and `stretch` normalise them.
    """

    folder: Path
    keywords: dict[str, list[Line]]
    units: Units
    species: tuple[int, ...]
    functions: tuple[Function, ...]
    columns: tuple[tuple[int, ...], ...]
    cutoff_function: CutoffFunction
    shift: list[Array]
    stretch: list[Array]

    def networks(self, kind: str, prefix: str, extra: int) -> tuple[list[ElementNetwork], Any]:
        """The networks of files `prefix`.ZZZ.data with the keywords of `kind`, and their layers.

        `extra` inputs follow the symmetry functions.
        """
        hidden, letters = _architecture(self.keywords, kind, self.folder)
        layers = []
        for number, columns in zip(self.species, self.columns, strict=True):
            nodes = [len(columns) + extra, *hidden, 1]
            path = self.folder / f"{prefix}.{number:03d}.data"
            own = read_network(path, nodes)
            if "normalize_nodes" in self.keywords:
                own = [(w / len(w), b / len(w)) for w, b in own]
            layers.append(own)
        names = tuple(ACTIVATION_LETTERS[letter] for letter in letters)
        return [ElementNetwork(columns, names) for columns in self.columns], layers


def read_folder(folder: Path, units: Units) -> N2p2Folder:
    """Everything but the networks; errors as in `n2p2.read_n2p2`."""
    keywords = read_keywords(folder / "input.nn")
    species = _elements(keywords, folder)
    lines = keywords.get("symfunction_short", []) + keywords.get("symfunction", [])
    of_element: list[list[Function]] = [[] for _ in species]
    for line in lines:
        centre, function = _function(line, units.length)
        if not {centre, *_neighbours(function)} - {ANY} <= set(species):
            line.fault("a species is not among the elements.", "Add it to 'elements'.")
        of_element[species.index(centre)].append(function)
    functions: dict[Function, int] = {}
    columns = []
    for number, own in zip(species, of_element, strict=True):
        if not own:
            raise InputError(
                f"{folder / 'input.nn'} has no symmetry functions for {_symbol(number)}.",
                "The file may be cut off: get it again.",
            )
        ordered = sorted(own, key=n2p2_order)
        columns.append(tuple(functions.setdefault(f, len(functions)) for f in ordered))
    tables = read_scaling(folder / "scaling.data", [len(own) for own in columns])
    normalised = [_normalisation(keywords, table, folder) for table in tables]
    return N2p2Folder(
        folder,
        keywords,
        units,
        species,
        tuple(functions),
        tuple(columns),
        _cutoff_function(keywords, folder),
        [shift for shift, _ in normalised],
        [stretch for _, stretch in normalised],
    )


def n2p2_order(function: Function) -> tuple[Any, ...]:
    """The key by which n2p2 sorts the symmetry functions of an element; its files follow it."""
    kind, radial = n2p2_type(function), (function.cutoff, function.eta, function.shift)
    if isinstance(function, RadialFunction):
        return (kind, *radial, function.neighbour)
    return (kind, *radial, function.zeta, function.sign, *function.neighbours)


def n2p2_type(function: Function) -> int:
    """The number that n2p2 gives to functions of this kind."""
    if isinstance(function, RadialFunction):
        return 12 if function.neighbour == ANY else 2
    if ANY in function.neighbours:
        return 13
    return 3 if function.narrow else 9


def by_element(
    keywords: dict[str, list[Line]], name: str, species: tuple[int, ...]
) -> dict[int, float]:
    """The values of a keyword that is given once for each element, by atomic number."""
    values: dict[int, float] = {}
    for line in keywords.get(name, []):
        line.expect(3)
        number = _atomic_number(line, 1)
        if number not in species or number in values:
            line.fault(
                f"'{name}' is for {line.words[1]}, which is no element of the potential or was"
                " there before.",
                "Give it once for each element.",
            )
        values[number] = line.real(2)
    return values


def _function(line: Line, length: float) -> tuple[int, Function]:
    centre, kind = _atomic_number(line, 1), line.whole(2)
    if kind == 2:
        line.expect(7)
        neighbour = _atomic_number(line, 3)
        eta, shift, cutoff = (line.real(position) for position in (4, 5, 6))
    elif kind == 12:
        line.expect(6)
        neighbour = ANY
        eta, shift, cutoff = (line.real(position) for position in (3, 4, 5))
    if kind in (2, 12):
        return centre, RadialFunction(
            neighbour,
            _inverse_square(eta, length),
            shift * length,
            _positive(line, cutoff) * length,
        )
    if kind in (3, 9):
        if len(line.words) != 9:
            line.expect(10)
        neighbours = (_atomic_number(line, 3), _atomic_number(line, 4))
        eta, sign, zeta, cutoff = (line.real(position) for position in (5, 6, 7, 8))
        shift = line.real(9) if len(line.words) == 10 else 0.0
    elif kind == 13:
        line.expect(8)
        neighbours = (ANY, ANY)
        eta, shift, sign, zeta, cutoff = (line.real(position) for position in (3, 4, 5, 6, 7))
    else:
        line.fault(
            f"symmetry functions of type {kind} are not supported.",
            "Types 2, 3, 9, 12 and 13 are.",
        )
    try:
        return centre, AngularFunction(
            neighbours,
            _inverse_square(eta, length),
            sign,
            zeta,
            _positive(line, cutoff) * length,
            shift * length,
            narrow=kind != 9,
        )
    except InputError as error:
        line.fault(error.problem, error.cure)


def _inverse_square(eta: float, length: float) -> float:
    return eta / (length * length)


def _positive(line: Line, cutoff: float) -> float:
    if cutoff <= 0.0:
        line.fault(f"a cutoff of {cutoff:g}.", "Cutoffs must be positive.")
    return cutoff


def _neighbours(function: Function) -> tuple[int, ...]:
    if isinstance(function, RadialFunction):
        return (function.neighbour,)
    return function.neighbours


def _elements(keywords: dict[str, list[Line]], folder: Path) -> tuple[int, ...]:
    line = required(keywords, "elements", folder)
    numbers = [_atomic_number(line, position) for position in range(1, len(line.words))]
    count = required(keywords, "number_of_elements", folder)
    if len(numbers) != count.whole(1) or len(set(numbers)) != len(numbers) or not numbers:
        line.fault(
            f"{count.words[1]} different elements are expected, and '{' '.join(line.words[1:])}'"
            " are given.",
            "Make 'number_of_elements' and 'elements' agree.",
        )
    return tuple(sorted(numbers))


def _cutoff_function(keywords: dict[str, list[Line]], folder: Path) -> CutoffFunction:
    line = required(keywords, "cutoff_type", folder)
    number = line.whole(1)
    inner = line.real(2) if len(line.words) > 2 else 0.0
    if not (0 <= number < len(CUTOFF_TYPES) and 0.0 <= inner < 1.0):
        line.fault(
            f"there is no cutoff of type {number} with an inner fraction of {inner:g}.",
            "Types are 0 to 8, fractions at least 0 and less than 1.",
        )
    return CutoffFunction(CUTOFF_TYPES[number], inner)


def _normalisation(
    keywords: dict[str, list[Line]], table: Array, folder: Path
) -> tuple[Array, Array]:
    # x = low + (high - low) (G - zero) / width, written as (G - shift) stretch.
    minimum, maximum, mean, sigma = table.T
    low, high = value(keywords, "scale_min_short", 0.0), value(keywords, "scale_max_short", 1.0)
    scaled = "scale_symmetry_functions" in keywords
    centred = "center_symmetry_functions" in keywords
    if "scale_symmetry_functions_sigma" in keywords:
        if scaled or centred:
            keywords["scale_symmetry_functions_sigma"][0].fault(
                "scaling by sigma excludes the other ways of scaling and centring.", "Keep one."
            )
        zero, width = mean, sigma
    else:
        zero = mean if centred else (minimum if scaled else np.zeros_like(mean))
        width = maximum - minimum if scaled else np.ones_like(mean)
        if not scaled:
            return zero, width
    if not (width > 0.0).all():
        raise InputError(
            f"{folder / 'scaling.data'} has a symmetry function without a spread (or without a"
            " sigma): it cannot be scaled.",
            "Remove the function, or make scaling.data with nnp-scaling.",
        )
    if high == low:
        raise InputError(
            f"{folder / 'input.nn'} scales all symmetry functions to {low:g}.",
            "Make scale_max_short greater than scale_min_short.",
        )
    stretch = (high - low) / width
    return zero - low / stretch, stretch


def _architecture(
    keywords: dict[str, list[Line]], kind: str, folder: Path
) -> tuple[list[int], tuple[str, ...]]:
    count = required(keywords, f"global_hidden_layers_{kind}", folder).whole(1)
    line = required(keywords, f"global_nodes_{kind}", folder)
    line.expect(count + 1)
    nodes = [line.whole(position) for position in range(1, count + 1)]
    activations = required(keywords, f"global_activation_{kind}", folder)
    activations.expect(count + 2)
    letters = activations.words[1:]
    for letter in letters:
        if letter not in ACTIVATION_LETTERS:
            activations.fault(
                f"there is no activation function '{letter}'.",
                f"The letters are {' '.join(ACTIVATION_LETTERS)}.",
            )
    return nodes, letters


def generation(keywords: dict[str, list[Line]]) -> int:
    """Second or fourth generation; the second if nothing is said."""
    for name in ("nnp_generation", "nnp_type"):
        if name in keywords:
            line = keywords[name][0]
            line.expect(2)
            if line.words[1] not in GENERATIONS:
                line.fault(
                    f"networks of the kind '{line.words[1]}' are not supported.",
                    "Second and fourth generation are.",
                )
            return GENERATIONS[line.words[1]]
    return 2


def required(keywords: dict[str, list[Line]], name: str, folder: Path) -> Line:
    """The line of a keyword that must be there."""
    if name not in keywords:
        raise InputError(
            f"{folder / 'input.nn'} has no keyword '{name}'.",
            "The file may be cut off: get it again.",
        )
    return keywords[name][0]


def value(keywords: dict[str, list[Line]], name: str, default: float) -> float:
    """The number that a keyword is given, or `default` where it is not there."""
    return keywords[name][0].real(1) if name in keywords else default


def _atomic_number(line: Line, position: int) -> int:
    from ase.data import atomic_numbers

    word = line.words[position] if position < len(line.words) else "nothing"
    if word not in atomic_numbers or word == "X":
        line.fault(f"'{word}' is no chemical element.", "Give a symbol such as Si.")
    return int(atomic_numbers[word])


def _symbol(number: int) -> str:
    from ase.data import chemical_symbols

    return str(chemical_symbols[number])
