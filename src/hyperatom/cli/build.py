"""Configurations by name: `hyperatom build`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperatom.cli.problems import plainly
from hyperatom.errors import InputError
from hyperatom.units import DALTON

if TYPE_CHECKING:
    from hyperatom.configuration import Configuration

MOST_FOR_SPACE_GROUP = 3000
"""Atoms beyond which the space group is not looked for: spglib's time grows with their square."""


def build(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="What to build; nothing: list all.")
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(
            "--order", help="p/q of a periodic approximant; katz-gratias: or 3, for x,y,z."
        ),
    ] = None,
    radius: Annotated[
        float | None, typer.Option("--radius", help="Of a patch of a tiling, in edges.")
    ] = None,
    edge: Annotated[
        float | None, typer.Option("--edge", help="Å; edge of the tiles. Default: 2.5.")
    ] = None,
    offset: Annotated[
        str | None,
        typer.Option("--offset", help="Of the cut: 1/5,1/5,1/5,1/5,1/5; Å for katz-gratias."),
    ] = None,
    lattice_constant: Annotated[
        float | None,
        typer.Option("--lattice-constant", help="Å; of the six-dimensional hypercube."),
    ] = None,
    species: Annotated[
        str | None, typer.Option("--species", help="Symbol at the vertices. Default: Al.")
    ] = None,
    repeat: Annotated[
        tuple[int, int, int] | None, typer.Option("--repeat", help="Copies along each vector.")
    ] = None,
    overlaps: Annotated[
        str | None,
        typer.Option("--overlaps", help="Sites too close: refuse, thin to one, or keep."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Any format that ASE writes.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="A picture: .png, .svg or .pdf.")
    ] = None,
) -> None:
    """Build a crystal, a tiling or an approximant of a quasicrystal, and say what it is.

    Without NAME: lists what can be built.
    """
    with plainly():
        from hyperatom.structures.catalogue import BuildOptions, catalogue
        from hyperatom.structures.catalogue import build as build_by_name

        if name is None:
            for known, recipe in catalogue().items():
                options = " ".join(sorted(f"--{o.replace('_', '-')}" for o in recipe.options))
                typer.echo(f"{known:16} {recipe.content}\n{'':16} {options}")
            return
        if repeat is not None and min(repeat) < 1:
            raise InputError("Copies are counted from 1.", "Give --repeat 2 2 1, for example.")
        asked = BuildOptions(
            order, radius, edge, offset, lattice_constant, species, repeat, overlaps
        )
        built = build_by_name(name, asked)
        for title, text in [*built.facts, *_facts(built.configuration)]:
            typer.echo(f"{title:18} {text}")
        if output is not None:
            _write(built.configuration, output)
            typer.echo(f"Wrote {output}")
        if plot is not None:
            built.draw(plot)
            typer.echo(f"Drew {plot}")


def _facts(configuration: "Configuration") -> list[tuple[str, str]]:
    from ase.data import chemical_symbols

    counts = {
        chemical_symbols[z]: int((configuration.numbers == z).sum()) for z in configuration.species
    }
    shares = [
        f"{symbol} {count} ({count / configuration.n_atoms:.1%})"
        for symbol, count in counts.items()
    ]
    facts = [
        ("atoms", str(configuration.n_atoms)),
        ("composition", ", ".join(shares)),
        *_cell_facts(configuration),
        ("shortest (Å)", _shortest_distances(configuration)),
    ]
    if configuration.periodic.all():
        facts.append(("space group", _space_group(configuration)))
    return facts


def _cell_facts(configuration: "Configuration") -> list[tuple[str, str]]:
    """Cell and density; a plane has atoms per area, a line atoms per length."""
    import numpy as np

    from hyperatom.interchange.ase_atoms import to_ase

    if not configuration.periodic.any():
        return []
    vectors = configuration.cell[configuration.periodic]
    lengths = np.linalg.norm(vectors, axis=1)
    sides = " x ".join(f"{length:.4f}" for length in lengths)
    density = configuration.n_atoms / float(np.sqrt(np.linalg.det(vectors @ vectors.T)))
    power = {1: "", 2: "²", 3: "³"}[len(vectors)]
    if len(vectors) < 3:
        return [("cell (Å)", sides), ("density", f"{density:.5f} per Å{power}")]
    angles = ", ".join(f"{angle:.2f}" for angle in to_ase(configuration).cell.angles())
    mass = DALTON * float(configuration.masses.sum()) / configuration.volume
    return [
        ("cell (Å, °)", f"{sides}; {angles}"),
        ("density", f"{density:.5f} per Å³, {mass:.3f} g/cm³"),
    ]


def _shortest_distances(configuration: "Configuration") -> str:
    """The shortest distance between each two species, where it is below 5 Å."""
    import numpy as np
    from ase.data import chemical_symbols

    from hyperatom.geometry.neighbours import pairs

    first, second, lattice = pairs(
        configuration.positions, configuration.cell, configuration.periodic, 5.0
    )
    positions = configuration.positions
    vectors = positions[second] + lattice @ configuration.cell - positions[first]
    lengths = np.linalg.norm(vectors, axis=1)
    kinds = np.sort([configuration.numbers[first], configuration.numbers[second]], axis=0)
    found = {}
    for a, b in sorted(set(zip(*kinds.tolist(), strict=True))):
        length = lengths[(kinds[0] == a) & (kinds[1] == b)].min()
        found[f"{chemical_symbols[a]}-{chemical_symbols[b]}"] = float(length)
    return ", ".join(f"{pair} {length:.3f}" for pair, length in found.items()) or "beyond 5"


def _space_group(configuration: "Configuration") -> str:
    from hyperatom.structures.space_group import space_group

    if configuration.n_atoms > MOST_FOR_SPACE_GROUP:
        return f"not looked for beyond {MOST_FOR_SPACE_GROUP} atoms"
    try:
        return space_group(configuration)
    except InputError as problem:
        return f"unknown. {problem.problem} {problem.cure}"


def _write(configuration: "Configuration", output: Path) -> None:
    from ase.io import write

    from hyperatom.interchange.ase_atoms import to_ase

    try:
        write(output, to_ase(configuration))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as problem:
        raise InputError(
            f"{output} cannot be written: {problem.strerror}.", "Choose another --output."
        ) from None
    except Exception as problem:  # ASE's writers raise nearly anything
        said = str(problem).rstrip(".") or type(problem).__name__
        raise InputError(
            f"ASE cannot write {output}: {said}.",
            "Choose another format by its suffix: .extxyz, .cif, .vasp, ..."
            if configuration.periodic.all()
            else "Choose a format for atoms not periodic in three directions, such as .extxyz.",
        ) from problem
