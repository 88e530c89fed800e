"""Everything that can be built by name: crystals, tilings, approximants, and their options."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.interchange.ase_atoms import from_ase, to_ase
from hyperatom.structures.crystals import CRYSTALS, build_crystal
from hyperatom.structures.quasicrystal.ammann_beenker import (
    ammann_beenker,
    ammann_beenker_approximant,
)
from hyperatom.structures.quasicrystal.approximants import Overlaps
from hyperatom.structures.quasicrystal.dodecagonal import (
    dodecagonal,
    dodecagonal_approximant,
)
from hyperatom.structures.quasicrystal.fibonacci import fibonacci_approximant, fibonacci_chain
from hyperatom.structures.quasicrystal.icosahedral_lattice import orthorhombic_periods
from hyperatom.structures.quasicrystal.katz_gratias import katz_gratias_cell
from hyperatom.structures.quasicrystal.orders import parse_order, parse_orders
from hyperatom.structures.quasicrystal.penrose import penrose, penrose_approximant
from hyperatom.structures.quasicrystal.tiling import Tiling


@dataclass(frozen=True)
class BuildOptions:
    """What may be asked of a builder; None: not asked.

    | field              | unit  | meaning                                                   |
    |--------------------|-------|-----------------------------------------------------------|
    | `order`            | -     | p/q of the periodic approximant; p/q,p/q,p/q along x, y, z |
    | `radius`           | edges | of a patch around the origin                              |
    | `edge`             | Å     | edge of the tiles, or the short interval                  |
    | `offset`           | -     | of the cut: numbers separated by commas (Å where icosahedral) |
    | `lattice_constant` | Å     | of the six-dimensional hypercube                          |
    | `species`          | -     | chemical symbol at the vertices                           |
    | `repeat`           | -     | along the lattice vectors                                 |
    | `overlaps`         | -     | sites that exclude each other: refuse, thin or keep them  |
    """

    order: str | None = None
    radius: float | None = None
    edge: float | None = None
    offset: str | None = None
    lattice_constant: float | None = None
    species: str | None = None
    repeat: tuple[int, int, int] | None = None
    overlaps: str | None = None


@dataclass(frozen=True, eq=False)
class Built:
    """What was built: atoms, what there is to say, and how to draw it."""

    configuration: Configuration
    facts: tuple[tuple[str, str], ...]
    draw: Callable[[Path], None]


@dataclass(frozen=True)
class Recipe:
    """A name's builder and the options that it understands."""

    content: str
    options: frozenset[str]
    build: Callable[[BuildOptions], Built]


_PATCH: Final = frozenset({"radius", "edge", "offset", "species"})
_DEFAULT_RADIUS: Final = 12.0
_DEFAULT_EDGE: Final = 2.5


def catalogue() -> dict[str, Recipe]:
    """Every name, with its builder."""
    recipes = {
        name: Recipe(
            (make.__doc__ or "").splitlines()[0], frozenset({"repeat"}), _crystal_builder(name)
        )
        for name, make in CRYSTALS.items()
    }
    recipes["fibonacci"] = Recipe(
        "Fibonacci chain, or its approximant of p long and q short intervals.",
        _PATCH | {"order"},
        _fibonacci,
    )
    recipes["penrose"] = Recipe(
        "Penrose tiling by rhombs, or its approximant (1/1, 2/1, 3/2, ...).",
        _PATCH | {"order"},
        lambda options: _tiling(options, penrose, penrose_approximant),
    )
    recipes["ammann-beenker"] = Recipe(
        "Ammann-Beenker tiling, eightfold, or its approximant (1/1, 3/2, 7/5, ...).",
        _PATCH | {"order"},
        lambda options: _tiling(options, ammann_beenker, ammann_beenker_approximant),
    )
    recipes["dodecagonal"] = Recipe(
        "Dodecagonal tiling by squares, triangles and shields, or its approximant (2/1, 7/4, ...).",
        _PATCH | {"order"},
        lambda options: _tiling(options, dodecagonal, dodecagonal_approximant),
    )
    recipes["katz-gratias"] = Recipe(
        "Icosahedral Al-Pd-Ru after Katz and Gratias: approximant (1/1, 2/1, 3/2, or 1/1,1/1,2/1).",
        frozenset({"order", "lattice_constant", "offset", "repeat", "overlaps"}),
        _katz_gratias,
    )
    return recipes


def build(name: str, options: BuildOptions) -> Built:
    """Build something by its name.

    Raises `InputError` for unknown names (with the nearest known one), for options that the
    builder does not understand, and whatever the builder finds wrong.
    """
    recipes = catalogue()
    if name not in recipes:
        lower = {known.lower(): known for known in recipes}
        near = difflib.get_close_matches(name.lower(), lower, n=1)
        raise InputError(
            f"There is nothing called {name!r} to build.",
            f"Did you mean {lower[near[0]]!r}?"
            if near
            else "'hyperatom build' lists what there is.",
        )
    recipe = recipes[name]
    for field in fields(options):
        if getattr(options, field.name) is not None and field.name not in recipe.options:
            understood = ", ".join(sorted(f"--{o.replace('_', '-')}" for o in recipe.options))
            raise InputError(
                f"{name} has no --{field.name.replace('_', '-')}.", f"It understands {understood}."
            )
    return recipe.build(options)


def _crystal_builder(name: str) -> Callable[[BuildOptions], Built]:
    def build_it(options: BuildOptions) -> Built:
        configuration = build_crystal(name, options.repeat or (1, 1, 1))
        return Built(configuration, (), lambda path: _draw_atoms(configuration, path))

    return build_it


def _draw_atoms(configuration: Configuration, path: Path) -> None:
    from hyperatom.structures.quasicrystal.pictures import draw_atoms

    draw_atoms(to_ase(configuration), path)


def _fibonacci(options: BuildOptions) -> Built:
    from hyperatom.structures.quasicrystal.pictures import draw_chain

    offset, edge = _components(options.offset), _edge(options)
    if options.order is not None:
        _no_radius(options)
        chain = fibonacci_approximant(*parse_order(options.order), offset)
    else:
        chain = fibonacci_chain(_radius(options), offset)
    positions = np.zeros((len(chain.vertices), 3))
    positions[:, 0] = edge * chain.positions
    cell = np.zeros((3, 3))
    if chain.period is not None:
        cell[0, 0] = edge * float(chain.period @ [(1.0 + np.sqrt(5.0)) / 2.0, 1.0])
    facts = (("intervals", f"{chain.word.count('L')} long, {chain.word.count('S')} short"),)
    configuration = _atoms(positions, cell, options.species)
    return Built(configuration, facts, lambda path: draw_chain(chain, path))


def _tiling(
    options: BuildOptions,
    patch: Callable[[float, tuple[object, ...] | None], Tiling],
    approximant: Callable[[int, int, tuple[object, ...] | None], Tiling],
) -> Built:
    from hyperatom.structures.quasicrystal.pictures import draw_tiling

    offset, edge = _components(options.offset), _edge(options)
    if options.order is not None:
        _no_radius(options)
        tiling = approximant(*parse_order(options.order), offset)
    else:
        tiling = patch(_radius(options), offset)
    positions, cell = np.zeros((len(tiling.vertices), 3)), np.zeros((3, 3))
    positions[:, :2] = edge * tiling.positions
    if tiling.cell is not None:
        cell[:2, :2] = edge * tiling.cell
    stars = np.bincount(tiling.vertex_types())
    facts = (
        ("tiles", ", ".join(f"{len(tiles)} {name}s" for name, tiles in tiling.tiles.items())),
        ("edges", f"{len(tiling.edges)} of {edge:g} Å"),
        ("vertex stars", ", ".join(str(count) for count in stars)),
    )
    configuration = _atoms(positions, cell, options.species)
    return Built(configuration, facts, lambda path: draw_tiling(tiling, path))


def _katz_gratias(options: BuildOptions) -> Built:
    from hyperatom.structures.quasicrystal.pictures import draw_approximant

    order = options.order or "1/1"
    offset = _components(options.offset)
    constant = 6.42 if options.lattice_constant is None else options.lattice_constant
    found = katz_gratias_cell(
        orthorhombic_periods(parse_orders(order)),
        constant,
        None if offset is None else [float(x) for x in offset],
        overlaps=_overlaps(options.overlaps),
    )
    counts = np.bincount(found.kinds, minlength=len(found.class_names))
    distances = found.shortest_distances()
    facts = (
        ("order", f"{order}, lattice constant {constant:g} Å in six dimensions"),
        ("offset", f"{', '.join(f'{x:.4f}' for x in found.offset)} Å"),
        ("classes", ", ".join(f"{c} {n}" for n, c in zip(found.class_names, counts, strict=True))),
        (
            "between them",
            ", ".join(f"{a}-{b} {d:.3f}" for (a, b), d in distances.items() if np.isfinite(d)),
        ),
    )
    configuration = found.configuration
    if options.repeat is not None:
        configuration = from_ase(to_ase(configuration).repeat(options.repeat))
    return Built(configuration, facts, lambda path: draw_approximant(found, path))


def _overlaps(text: str | None) -> Overlaps:
    match text:
        case None | "refuse":
            return "refuse"
        case "thin":
            return "thin"
        case "keep":
            return "keep"
    raise InputError(f"{text!r} is no way to treat overlaps.", "Choose refuse, thin or keep.")


def _components(text: str | None) -> tuple[Any, ...] | None:
    """Numbers of an offset, as exact as they are written."""
    if text is None:
        return None
    from hyperatom.structures.quasicrystal.exact_window import fractions

    return fractions(text.replace(",", " ").split())


def _edge(options: BuildOptions) -> float:
    edge = _DEFAULT_EDGE if options.edge is None else options.edge
    if not 0.0 < edge < 1e3:
        raise InputError(f"An edge of {edge:g} Å is out of range.", "Choose one above zero.")
    return edge


def _radius(options: BuildOptions) -> float:
    return _DEFAULT_RADIUS if options.radius is None else options.radius


def _no_radius(options: BuildOptions) -> None:
    if options.radius is not None:
        raise InputError(
            "An approximant is one cell: it has no radius.", "Give --order or --radius, not both."
        )


def _atoms(
    positions: NDArray[np.float64], cell: NDArray[np.float64], species: str | None
) -> Configuration:
    from ase import Atoms
    from ase.data import atomic_numbers

    symbol = species or "Al"
    if atomic_numbers.get(symbol, 0) == 0:
        raise InputError(f"{symbol!r} is no chemical symbol.", "Use a symbol such as Al.")
    atoms = Atoms([symbol] * len(positions), positions=positions, cell=cell, pbc=cell.any(axis=1))
    return from_ase(atoms)
