"""Commands about potentials of other programs: `hyperatom convert`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperatom.cli.problems import plainly
from hyperatom.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hyperatom.interchange.conversion import Comparison
    from hyperatom.interchange.potential_formats import PotentialFormat
    from hyperatom.potentials.compiled_potential import CompiledPotential


def convert(
    source: Annotated[
        Path | None, typer.Argument(metavar="[SOURCE]", help="A potential: a file or a folder.")
    ] = None,
    target: Annotated[
        Path | None, typer.Argument(metavar="[TARGET]", help="Write it here; nothing: only check.")
    ] = None,
    from_format: Annotated[
        str | None, typer.Option("--from", help="Format of SOURCE, where it is not recognised.")
    ] = None,
    to_format: Annotated[str | None, typer.Option("--to", help="Format of TARGET.")] = None,
    species: Annotated[
        str, typer.Option("--species", help="Chemical symbols in the order of the files: Si,O")
    ] = "",
    units: Annotated[
        str | None, typer.Option("--units", help="Units of SOURCE, where its files do not say.")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option("--check", help="Configurations with the source's own energies and forces."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Read a potential of another program, check it, and write it for a third.

    Without SOURCE: lists the formats. Exit code 1 where a check fails.
    """
    with plainly():
        from hyperatom.interchange.potential_formats import (
            format_by_name,
            potential_formats,
            read_potential,
            recognise,
        )

        if source is None:
            for kind in potential_formats().values():
                typer.echo(_line(kind))
            return
        symbols = tuple(word for word in species.replace(",", " ").split() if word)
        kind = recognise(source) if from_format is None else format_by_name(from_format)
        written = None
        if target is not None:
            written = format_by_name(to_format or kind.name)
        potential = read_potential(source, kind.name, symbols, units)
        comparisons = _checks(potential, check, target, written)
        if as_json:
            content = {
                "source": str(source),
                "format": kind.name,
                "potential": potential.name,
                "checks": [asdict(one) for one in comparisons],
            }
            typer.echo(json.dumps(content, indent=1))
        else:
            typer.echo(f"{source}: {kind.content}")
            typer.echo(_description(potential))
            for one in comparisons:
                mark = "agrees" if one.passed else "DIFFERS"
                typer.echo(f"{mark:8} {one.name}: {one.sentence}")
            if target is not None and written is not None:
                unit = f", in {written.units[0]}" if written.units else ""
                typer.echo(f"Wrote {target}{unit}")
        raise typer.Exit(0 if all(one.passed for one in comparisons) else 1)


def _checks(
    potential: "CompiledPotential",
    check: Path | None,
    target: Path | None,
    written: "PotentialFormat | None",
) -> "list[Comparison]":
    from hyperatom.interchange.conversion import (
        check_derivatives,
        check_frames,
        read_frames,
        sample_configuration,
        write_and_compare,
    )

    frames = read_frames(check) if check is not None else []
    configurations = [here for here, _ in frames] or [sample_configuration(potential)]
    smallest = min(configurations, key=lambda here: here.n_atoms)
    with _Spinner() as tell:
        tell("compiling, and checking forces and stress")
        comparisons = check_derivatives(potential, smallest)
        tell(f"comparing with {len(frames)} frames")
        comparisons += check_frames(potential, frames)
    if check is not None and not any(said for _, said in frames):
        raise InputError(
            f"{check} holds no energies and forces to compare with.",
            "Give the numbers of the source program, as ASE reads them.",
        )
    if target is not None and written is not None:
        comparisons.append(write_and_compare(potential, target, written, configurations))
    return comparisons


class _Spinner:
    """Says on a terminal what is being done, and for how long."""

    def __enter__(self) -> "Callable[[str], None]":
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._progress.start()
        task = self._progress.add_task("")
        return lambda what: self._progress.update(task, description=what)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def _line(kind: "PotentialFormat") -> str:
    what = "reads and writes" if kind.write is not None else "reads"
    needs = [f"--units {'|'.join(kind.units)}"] if kind.units else []
    needs += ["--species"] if kind.species else []
    asked = f"; needs {' '.join(needs)}" if needs else ""
    return f"{kind.name:12} {what:16} {kind.content}{asked}"


def _description(potential: "CompiledPotential") -> str:
    from ase.data import chemical_symbols

    names = ", ".join(chemical_symbols[number] for number in potential.species)
    return f"{potential.name}: {names}, cutoff {potential.cutoff:.3f} Å"
