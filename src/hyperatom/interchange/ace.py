"""Potentials of pacemaker: the atomic cluster expansion in its C-tilde form, `.yace` and `.ace`.

Lysogorskiy et al., npj Computational Materials 7, 97 (2021); the files are those that
`pace_yaml2yace` and `pace_yaml2ace` write. pacemaker interpolates its radial functions in tables of
step 0.001 Å, which are evaluated exactly here: energies of both agree to about nine digits.
"""

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hyperatom.errors import InputError
from hyperatom.interchange.ace_text import parse_ace_text
from hyperatom.interchange.potential_formats import PotentialFormat
from hyperatom.potentials.atomic_cluster_expansion import (
    Bond,
    ClusterExpansion,
    ClusterFunction,
    Embedding,
    atomic_cluster_expansion,
)
from hyperatom.potentials.compiled_potential import CompiledPotential


def read_ace(path: str | Path, precision: str = "float64") -> CompiledPotential:
    """The potential of a `.yace` or `.ace` file.

    Raises `InputError` for a damaged file, and by name for what cannot be represented.
    """
    return atomic_cluster_expansion(
        read_cluster_expansion(path), f"atomic cluster expansion of {Path(path).name}", precision
    )


def read_cluster_expansion(path: str | Path) -> ClusterExpansion:
    """The contents of a `.yace` or `.ace` file; errors as in `read_ace`."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The file {path} cannot be read: {error}.", "Give a .yace or .ace file of pacemaker."
        ) from error
    if text.lstrip().startswith("nelements"):
        return parse_ace_text(text, str(path))
    return _expansion(_load(text, str(path)))


class Located(dict[Any, Any]):
    """A mapping of a YAML file that knows its file and line, and asks for its entries by kind."""

    place = ""

    def need(self, key: Any, kind: type | tuple[type, ...]) -> Any:
        """The entry of that key and kind; raises `InputError` where there is none."""
        if key not in self:
            raise InputError(
                f"{self.place}: {_shown(key)} is missing.",
                "The file is damaged or no .yace file; get it again.",
            )
        value = self[key]
        if isinstance(value, bool) or not isinstance(value, kind):
            raise self.wrong(f"{_shown(key)} is {value!r}")
        return value

    def number(self, key: Any, fallback: float | None = None) -> float:
        """The finite number of that key."""
        if fallback is not None and key not in self:
            return fallback
        value = float(self.need(key, (int, float)))
        if not np.isfinite(value):
            raise self.wrong(f"{_shown(key)} is {value}")
        return value

    def numbers(self, key: Any, shape: tuple[int, ...], kind: type = float) -> np.ndarray:
        """The numbers of that key, of this shape."""
        value = self.need(key, list)
        try:
            array = np.array(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise self.wrong(f"{_shown(key)} is not a table of numbers") from None
        if array.size != np.prod(shape) or (len(shape) > 2 and array.shape != shape):
            found = " x ".join(map(str, array.shape))
            wanted = " x ".join(map(str, shape))
            raise self.wrong(f"{_shown(key)} has {found} numbers where {wanted} belong")
        if not np.isfinite(array).all() or (kind is int and (array % 1 != 0).any()):
            raise self.wrong(f"{_shown(key)} holds numbers that cannot be used")
        return array.reshape(shape).astype(np.int64 if kind is int else np.float64)

    def wrong(self, what: str) -> InputError:
        """An error about this mapping."""
        return InputError(f"{self.place}: {what}.", "The file is damaged; get it again.")


def _shown(key: Any) -> str:
    return repr(key) if isinstance(key, str) else f"the entry {key}"


def _load(text: str, file: str) -> Located:
    class Loader(yaml.CSafeLoader):
        pass

    def mapping(loader: yaml.CSafeLoader, node: yaml.MappingNode) -> Located:
        found = Located()
        found.place = f"{file}, line {node.start_mark.line + 1}"
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            key = tuple(key) if isinstance(key, list) else key
            found[key] = loader.construct_object(value_node, deep=True)
        return found

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    try:
        content = yaml.load(text, Loader=Loader)  # noqa: S506 (a safe loader, with one more tag)
    except yaml.MarkedYAMLError as error:
        line = 0 if error.problem_mark is None else error.problem_mark.line + 1
        raise InputError(
            f"{file}, line {line}: {error.problem or 'not YAML'}.",
            "The file seems to be cut off or damaged; get it again.",
        ) from error
    except yaml.YAMLError as error:
        raise InputError(f"{file} is not YAML: {error}.", "Give a .yace file.") from error
    if isinstance(content, Located) and "species" in content and "functions" not in content:
        raise InputError(
            f"{file} is a B-basis of pacemaker, in which potentials are fitted.",
            "Convert it with pace_yaml2yace and give the .yace file.",
        )
    if not isinstance(content, Located):
        raise InputError(f"{file} is no .yace file.", "Give a .yace or .ace file of pacemaker.")
    return content


def _expansion(content: Located) -> ClusterExpansion:
    elements = content.need("elements", list)
    species = tuple(_atomic_number(content, element) for element in elements)
    n_species = len(species)
    if n_species == 0 or len(set(species)) < n_species:
        raise content.wrong(f"'elements' is {elements!r}")
    blocks = {name: content.need(name, Located) for name in ("embeddings", "bonds", "functions")}
    pairs = [(i, j) for i in range(n_species) for j in range(n_species)]
    for name, keys in (("embeddings", range(n_species)), ("bonds", pairs)):
        for key in keys:
            blocks[name].need(key, Located)
    bonds = {pair: _bond(blocks["bonds"][pair]) for pair in pairs}
    embeddings = tuple(_embedding(blocks["embeddings"][i]) for i in range(n_species))
    return ClusterExpansion(
        species,
        tuple(content.numbers("E0", (n_species,)).tolist()),
        embeddings,
        bonds,
        tuple(
            _function(entry, central, len(embeddings[central].weights), bonds)
            for central in range(n_species)
            for entry in _functions(blocks["functions"], central)
        ),
        _inner_cutoff([blocks["bonds"][pair] for pair in pairs], bonds),
    )


def _atomic_number(content: Located, element: Any) -> int:
    from ase.data import atomic_numbers

    number = atomic_numbers.get(element) if isinstance(element, str) else None
    if not number:
        raise content.wrong(f"the element {element!r} is unknown")
    return int(number)


def _embedding(entry: Located) -> Embedding:
    n_densities = entry.need("ndensity", int)
    if n_densities < 1:
        raise entry.wrong(f"'ndensity' is {n_densities}")
    parameters = entry.numbers("FS_parameters", (n_densities, 2))
    return Embedding(
        entry.need("npoti", str),
        tuple(parameters[:, 0].tolist()),
        tuple(parameters[:, 1].tolist()),
        entry.number("rho_core_cutoff"),
        entry.number("drho_core_cutoff"),
    )


def _bond(entry: Located) -> Bond:
    sizes = [entry.need(key, int) for key in ("nradmax", "lmax", "nradbasemax")]
    if sizes[0] < 0 or sizes[1] < 0 or sizes[2] < 1:
        raise entry.wrong(f"'nradmax', 'lmax' and 'nradbasemax' are {sizes}")
    parameters = entry.need("radparameters", list)
    if len(parameters) != 1:
        raise entry.wrong(f"'radparameters' has {len(parameters)} numbers where 1 belongs")
    shape = (sizes[0], sizes[1] + 1, sizes[2])
    if sizes[0] == 0:
        coefficients = np.zeros((0, *shape[1:]))
    else:
        coefficients = entry.numbers("radcoefficients", shape)
    bond = Bond(
        entry.need("radbasename", str),
        float(entry.numbers("radparameters", (1,))[0]),
        entry.number("rcut"),
        entry.number("dcut"),
        coefficients,
        entry.number("prehc", 0.0),
        entry.number("lambdahc", 0.0),
        entry.number("rcut_in", 0.0),
        entry.number("dcut_in", 0.0),
    )
    if not (0.0 <= bond.width <= bond.cutoff and bond.cutoff > 0.0):
        raise entry.wrong(f"'rcut' is {bond.cutoff} and 'dcut' {bond.width}")
    if not 0.0 <= bond.inner_width <= max(bond.inner, 0.0):
        raise entry.wrong(f"'rcut_in' is {bond.inner} and 'dcut_in' {bond.inner_width}")
    return bond


def _inner_cutoff(entries: list[Located], bonds: dict[tuple[int, int], Bond]) -> str:
    kinds = [entry.get("inner_cutoff_type", "density") for entry in entries]
    for entry, kind, bond in zip(entries, kinds, bonds.values(), strict=True):
        if kind != kinds[0]:
            raise InputError(
                f"{entry.place}: 'inner_cutoff_type' is {kind!r}, before it was {kinds[0]!r}.",
                "Only potentials with one type of inner cutoff can be read.",
            )
        needs_width = kind == "distance" and bond.inner > 0.0
        if needs_width and not bond.inner_width > 0.0:
            raise InputError(
                f"{entry.place}: an inner cutoff of type {kind!r} with 'dcut_in' of zero.",
                "Only inner cutoffs that are smooth can be read.",
            )
    return str(kinds[0])


def _functions(blocks: Located, central: int) -> list[Located]:
    entries: list[Located] = blocks.need(central, list)
    if not entries or not all(isinstance(entry, Located) for entry in entries):
        raise blocks.wrong(f"the functions of species {central} are no list of functions")
    return entries


def _function(
    entry: Located, central: int, n_densities: int, bonds: dict[tuple[int, int], Bond]
) -> ClusterFunction:
    rank, n_products = entry.need("rank", int), entry.need("num_ms_combs", int)
    found = (entry.need("mu0", int), entry.need("ndensity", int))
    if found != (central, n_densities) or rank < 1 or n_products < 1:
        raise entry.wrong(
            f"'mu0' and 'ndensity' are {found} where {(central, n_densities)} belong, "
            f"'rank' is {rank}, 'num_ms_combs' is {n_products}"
        )
    species, radial, degrees = (
        tuple(entry.numbers(key, (rank,), int).tolist()) for key in ("mus", "ns", "ls")
    )
    orders = entry.numbers("ms_combs", (n_products, rank), int)
    for neighbour, n, degree in zip(species, radial, degrees, strict=True):
        if (central, neighbour) not in bonds:
            raise entry.wrong(f"'mus' holds {neighbour}, a species that the file does not have")
        n_radial, n_degrees, n_functions = bonds[central, neighbour].coefficients.shape
        if not (1 <= n <= (n_functions if rank == 1 else n_radial) and 0 <= degree < n_degrees):
            raise entry.wrong(f"there is no radial function with n = {n} and l = {degree}")
    if orders.sum(axis=1).any() or (np.abs(orders) > np.array(degrees)).any():
        raise entry.wrong("an entry of 'ms_combs' does not sum to zero or exceeds l")
    coefficients = entry.numbers("ctildes", (n_products, n_densities))
    return ClusterFunction(central, species, radial, degrees, orders, coefficients)


FORMATS = [
    PotentialFormat(
        "ace",
        "atomic cluster expansions of pacemaker, a .yace or .ace file",
        lambda path: path.is_file() and path.suffix in {".yace", ".ace"},
        lambda source: read_ace(source.path),
    )
]
