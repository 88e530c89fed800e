"""Commands about learned potentials: `hyperatom fit`, `hyperatom evaluate`, `hyperatom list`."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperatom.cli.input_files import OptionalInputFile, Schema, Template, read_input
from hyperatom.cli.problems import plainly, say
from hyperatom.errors import InputError

if TYPE_CHECKING:
    from hyperatom.fitting.errors_of_potentials import Assessment
    from hyperatom.potentials.family import FitStep

SILENT_SECONDS = 20.0
"""Where nobody looks at a terminal, a line now and then suffices."""


def fit(
    file: OptionalInputFile = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for the potential. Default: FILE's stem."),
    ] = None,
    template: Template = False,
    schema: Schema = False,
) -> None:
    """Fit a potential to labelled configurations; training in epochs goes on after a stop."""
    with plainly():
        from hyperatom.fitting import settings as inputs

        if template or schema:
            from hyperatom.potentials.family_catalogue import settings_schema

            described = settings_schema(inputs.FitSettings)
            typer.echo(json.dumps(described, indent=2) if schema else inputs.template())
            return
        if file is None:
            raise InputError(
                "Give an input file.",
                "'hyperatom fit --template > fit.yaml' writes one to edit.",
            )
        text = read_input(file, "hyperatom fit --template > fit.yaml")
        wanted = inputs.load_fit_settings(text, str(file))
        folder = output if output is not None else file.with_suffix("")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise InputError(
                f"{folder} cannot be made: {problem.strerror}.", "Choose another --output."
            ) from None
        from hyperatom.fitting.fit import POTENTIAL
        from hyperatom.fitting.fit import fit as fit_potential
        from hyperatom.report.potential_page import write_potential_page

        with _progress() as (watch, tell):
            report = fit_potential(wanted, file.parent, folder, watch, tell)
        potential, data = report.result.potential, report.data
        assessments = {"training frames": report.training}
        if report.held_out is not None:
            name = "test frames" if data.test else "validation frames"
            assessments[name] = report.held_out
        title = wanted.title or f"{potential.name} of {file.stem}"
        what = (
            f"{potential.name} ({potential.family}), {len(data.training)} frames learned, "
            f"{len(data.validation)} to validate, {len(data.test)} to test; "
            f"{report.seconds:.0f} s; seed {wanted.seed}; digest {potential.digest()[:12]}."
        )
        sentences = [
            what,
            *report.result.notes,
            *(f"{one.sentence} {one.cure}".strip() for one in data.findings),
        ]
        write_potential_page(
            folder / "fit.html", title, assessments, report.result.curve, report.result.axis,
            sentences,
        )  # fmt: skip
        for sentence in sentences:
            typer.echo(sentence)
        for name, one in assessments.items():
            _print(name, one, detailed=name != "training frames")
        typer.echo(f"Potential: {folder / POTENTIAL}   page: {folder / 'fit.html'}")


def evaluate(
    potential: Annotated[Path, typer.Argument(help="What 'hyperatom fit' or a program wrote.")],
    frames: Annotated[Path, typer.Argument(help="Labelled configurations: file, store or run.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a page, e.g. errors.html.")
    ] = None,
    form: Annotated[str | None, typer.Option("--format", help="Of the potential.")] = None,
    species: Annotated[str, typer.Option("--species", help="Of the potential: Si,O")] = "",
    units: Annotated[str | None, typer.Option("--units", help="Of the potential.")] = None,
    group: Annotated[
        str, typer.Option("--group", help="Entry that names types of configuration.")
    ] = "config_type",
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """How wrong a potential is on labelled configurations, and how fast."""
    with plainly():
        from hyperatom.fitting.data_set import read_data
        from hyperatom.fitting.errors_of_potentials import assess
        from hyperatom.interchange.potential_formats import read_potential

        symbols = tuple(word for word in species.replace(",", " ").split() if word)
        read = read_potential(potential, form, symbols, units)
        labelled = read_data(frames, group)
        with _progress() as (_, tell):
            tell(f"evaluating {len(labelled)} frames")
            found = assess(read, labelled)
        if output is not None:
            from hyperatom.report.potential_page import write_potential_page

            try:
                write_potential_page(output, f"{read.name} on {frames.name}", {frames.name: found})
            except OSError as problem:
                raise InputError(
                    f"{output} cannot be written: {problem.strerror}.", "Choose another --output."
                ) from None
        if as_json:
            typer.echo(json.dumps(found.numbers(), indent=1))
            return
        typer.echo(read.name)
        _print(frames.name, found, detailed=True)
        if output is not None:
            typer.echo(f"Page: {output}")


def list_parts(
    what: Annotated[str, typer.Argument(help="potentials")] = "potentials",
) -> None:
    """List what can be named in input files: families of potentials."""
    with plainly():
        if what != "potentials":
            raise InputError(f"There is no list of '{what}'.", "Say 'hyperatom list potentials'.")
        from hyperatom.potentials.family_catalogue import known_families

        for family in known_families().values():
            typer.echo(f"{family.name:24} {family.title}")
            if family.citation:
                address = f", doi:{family.doi}" if family.doi else ""
                typer.echo(f"{'':24} {family.citation}{address}")


def _print(name: str, found: "Assessment", detailed: bool) -> None:
    from hyperatom.report.potential_page import with_error

    rows = [found.total]
    if detailed:
        rows += [*(found.by_group if len(found.by_group) > 1 else ()), *found.by_element]
    typer.secho(f"Root mean square errors on {name}:", bold=True)
    for row in rows:
        energy = with_error(row.energy, row.energy_error)
        forces = with_error(row.forces, row.forces_error)
        told = f"  {row.name:24.24} {row.frames:6} frames"
        told += f"  energy {energy} meV/atom" if energy else ""
        told += f"  forces {forces} meV/Å" if forces else ""
        told += f"  stress {row.stress:.3g} GPa" if row.stress == row.stress else ""
        typer.echo(told)
    typer.echo(f"  {found.microseconds:.1f} µs per atom and evaluation")
    if found.trust is not None:
        typer.echo(f"  {found.trust.sentence()}")
    if found.extrapolation is not None:
        typer.echo(f"  {found.extrapolation.sentence()}")
    if found.far_off:
        typer.echo(f"  {found.far_off}")


@contextmanager
def _progress() -> Iterator[Any]:
    """Tells what is being done and how long it will take, on a terminal or line by line."""
    from rich.console import Console

    console = Console(stderr=True)
    status = console.status("reading") if console.is_terminal else None
    spoke = time.monotonic()

    def tell(sentence: str) -> None:
        if status is not None:
            status.update(sentence)
        elif sentence[-1:] == ".":
            say(sentence)

    def watch(step: "FitStep") -> None:
        nonlocal spoke
        left = "" if step.seconds_left != step.seconds_left else f", {step.seconds_left:.0f} s left"
        energy, forces = (1e3 * value for value in step.validation)
        known = (
            f": validation {energy:.3g} meV/atom, {forces:.3g} meV/Å" if energy == energy else ""
        )
        sentence = f"fitting, {step.amount:g} done{known}{left}"
        if status is not None:
            status.update(sentence)
        elif time.monotonic() - spoke > SILENT_SECONDS:
            spoke = time.monotonic()
            console.print(sentence, markup=False, highlight=False)

    if status is not None:
        with status:
            yield watch, tell
    else:
        yield watch, tell
