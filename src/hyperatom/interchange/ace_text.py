"""The older text format of pacemaker's C-tilde potentials, `.ace`."""

import re

import numpy as np

from hyperatom.errors import InputError
from hyperatom.potentials.atomic_cluster_expansion import (
    Bond,
    ClusterExpansion,
    ClusterFunction,
    Embedding,
)

RADIAL = ("ChebExpCos", "ChebPow", "ChebLinear")
"""Radial bases that pacemaker itself reads from this format."""


class _Words:
    """The words of a text one after the other, with the line of each."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.words: list[str] = []
        self.lines: list[int] = []
        for number, line in enumerate(text.splitlines(), start=1):
            words = re.sub(r"([=:<>()])", r" \1 ", line).split()
            self.words += words
            self.lines += [number] * len(words)
        self.position = 0

    def wrong(self, what: str) -> InputError:
        position = min(self.position, len(self.lines)) - 1
        return InputError(
            f"{self.file}, line {self.lines[max(position, 0)]}: {what}.",
            "The file is cut off, damaged or no .ace file of pacemaker; get it again.",
        )

    def word(self) -> str:
        if self.position == len(self.words):
            raise self.wrong("the file ends too early")
        self.position += 1
        return self.words[self.position - 1]

    def expect(self, text: str) -> None:
        for wanted in re.sub(r"([=:<>()])", r" \1 ", text).split():
            found = self.word()
            if found != wanted:
                raise self.wrong(f"{wanted!r} of {text!r} was expected, not {found!r}")

    def whole(self) -> int:
        word = self.word()
        try:
            return int(word)
        except ValueError:
            raise self.wrong(f"a whole number was expected, not {word!r}") from None

    def number(self) -> float:
        word = self.word()
        try:
            value = float(word)
        except ValueError:
            value = float("nan")
        if not np.isfinite(value):
            raise self.wrong(f"a number was expected, not {word!r}")
        return value

    def numbers(self, count: int) -> list[float]:
        return [self.number() for _ in range(count)]

    def list_of(self, name: str, count: int) -> tuple[int, ...]:
        self.expect(f"{name}=(")
        found = tuple(self.whole() for _ in range(count))
        self.expect(")")
        return found


def parse_ace_text(text: str, file: str) -> ClusterExpansion:
    """The expansion in the text of an `.ace` file.

    Its core repulsion reaches to the cutoff and is never cut inside (`density`). Raises
    `InputError`, naming file and line, where the text is not as it should be.
    """
    words = _Words(text, file)
    words.expect("nelements=")
    n_species = words.whole()
    words.expect("elements:")
    species = tuple(_atomic_number(words) for _ in range(n_species))
    words.expect("lmax=")
    max_degree = words.whole()
    words.expect("embedding-function:")
    embedding = words.word()
    n_parameters = words.whole()
    words.expect("FS parameters:")
    parameters = np.array(words.numbers(n_parameters)).reshape(-1, 2)
    words.expect("core energy-cutoff parameters:")
    core_limits = [words.numbers(2) for _ in range(n_species)]
    words.expect("E0:")
    shifts = tuple(words.numbers(n_species))
    bonds = _bonds(words, n_species, max_degree)
    embeddings = tuple(
        Embedding(embedding, tuple(parameters[:, 0]), tuple(parameters[:, 1]), *limits)
        for limits in core_limits
    )
    functions = _functions(words, n_species, parameters, bonds)
    return ClusterExpansion(species, shifts, embeddings, bonds, functions, "density")


def _atomic_number(words: _Words) -> int:
    from ase.data import atomic_numbers

    element = words.word()
    if element not in atomic_numbers:
        raise words.wrong(f"the element {element!r} is unknown")
    return int(atomic_numbers[element])


def _bonds(words: _Words, n_species: int, max_degree: int) -> dict[tuple[int, int], Bond]:
    words.expect("radbasename=")
    basis = words.word()
    if basis not in RADIAL:
        raise words.wrong(f"the radial basis {basis!r} is unknown in this format")
    sizes = []
    for name in ("nradbase=", "nradmax="):
        words.expect(name)
        sizes.append(words.whole())
    n_functions, n_radial = sizes
    words.expect("cutoffmax=")
    words.number()
    words.expect("deltaSplineBins=")
    words.number()
    n_pairs = n_species**2
    words.expect("core repulsion parameters:")
    cores = [words.numbers(2) for _ in range(n_pairs)]
    columns = []
    for name in ("radparameter=", "cutoff=", "dcut="):
        words.expect(name)
        columns.append(words.numbers(n_pairs))
    words.expect("crad=")
    bonds = {}
    for pair in range(n_pairs):
        count = n_functions * n_radial * (max_degree + 1)
        table = np.array(words.numbers(count)).reshape(n_functions, n_radial, max_degree + 1)
        parameter, cutoff, width = (column[pair] for column in columns)
        if not (0.0 <= width <= cutoff and cutoff > 0.0):
            raise words.wrong(f"the cutoff is {cutoff} and its width {width}")
        bonds[divmod(pair, n_species)] = Bond(
            basis, parameter, cutoff, width, table.transpose(1, 2, 0), *cores[pair]
        )
    return bonds


def _functions(
    words: _Words,
    n_species: int,
    parameters: np.ndarray,
    bonds: dict[tuple[int, int], Bond],
) -> tuple[ClusterFunction, ...]:
    for name in ("rankmax=", "ndensitymax=", "num_c_tilde_max=", "num_ms_combinations_max="):
        words.expect(name)
        words.whole()
    functions = []
    for kind in ("total_basis_size_rank1:", "total_basis_size:"):
        words.expect(kind)
        sizes = [words.whole() for _ in range(n_species)]
        for central, size in enumerate(sizes):
            functions += [_function(words, central, len(parameters), bonds) for _ in range(size)]
    if words.position != len(words.words):
        raise words.wrong("there is more in the file than its functions")
    return tuple(functions)


def _function(
    words: _Words, central: int, n_densities: int, bonds: dict[tuple[int, int], Bond]
) -> ClusterFunction:
    found = []
    words.expect("ctilde_basis_func:")
    for name in ("rank=", "ndens=", "mu0="):
        words.expect(name)
        found.append(words.whole())
    rank = found[0]
    if found[1:] != [n_densities, central] or rank < 1:
        raise words.wrong(f"a function with rank, ndens and mu0 of {found}")
    species = words.list_of("mu", rank)
    radial = words.list_of("n", rank)
    degrees = words.list_of("l", rank)
    for neighbour, n, degree in zip(species, radial, degrees, strict=True):
        if (central, neighbour) not in bonds:
            raise words.wrong(f"the file has no species {neighbour}")
        n_radial, n_degrees, n_functions = bonds[central, neighbour].coefficients.shape
        if not (1 <= n <= (n_functions if rank == 1 else n_radial) and 0 <= degree < n_degrees):
            raise words.wrong(f"there is no radial function with n = {n} and l = {degree}")
    words.expect("num_ms=")
    orders, coefficients = [], []
    for _ in range(words.whole()):
        words.expect("<")
        orders.append([words.whole() for _ in range(rank)])
        words.expect(">:")
        coefficients.append(words.numbers(n_densities))
        if sum(orders[-1]) or any(
            abs(m) > degree for m, degree in zip(orders[-1], degrees, strict=True)
        ):
            raise words.wrong(f"the m {orders[-1]} do not sum to zero or exceed l")
    return ClusterFunction(
        central, species, radial, degrees, np.array(orders), np.array(coefficients)
    )
