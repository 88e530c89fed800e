"""hyperatom doctor: is the engine sound, before money is spent?"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from hyperatom.cli.input_files import InputFile, read_input
from hyperatom.cli.problems import plainly

if TYPE_CHECKING:
    from collections.abc import Callable

    from hyperatom.campaign.settings import EngineSettings, Settings
    from hyperatom.configuration import Configuration
    from hyperatom.references.ase_calculator import AseReference
    from hyperatom.references.doctor.finding import Finding

FAULTS = 1
_MARKS = {"fine": ("✓", "green"), "fault": ("✗", "red"), "not asked": ("-", "bright_black")}


def doctor(
    file: InputFile,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object.")] = False,
) -> None:
    """Examine the engine before money is spent: some two dozen calls, each line a tick or a cure.

    Exit code 0: healthy, 1: at least one fault.
    """
    with plainly():
        from hyperatom.campaign.assembly import starting_configuration
        from hyperatom.campaign.settings import load_settings

        settings = load_settings(read_input(file, f"hyperatom init {file}"), str(file))
        start = starting_configuration(settings, file.parent)
        findings = []
        with _watched(quiet=as_json) as watch:
            for finding in _findings(settings, start, watch):
                findings.append(finding)
                if not as_json:
                    _show(finding)
        faults = sum(finding.status == "fault" for finding in findings)
        if as_json:
            content = {"healthy": faults == 0, "findings": [asdict(found) for found in findings]}
            typer.echo(json.dumps(content, indent=1, ensure_ascii=False))
        elif faults:
            typer.echo(f"{faults} fault{'s' if faults > 1 else ''}: mend them before you run.")
        else:
            typer.echo(f"Healthy. Next: hyperatom run {file}")
        if faults:
            raise typer.Exit(FAULTS)


def _findings(
    settings: "Settings", start: "Configuration", watch: "Callable[[int, int], None]"
) -> "Iterator[Finding]":
    """Of the engine; of both, each under its name, where the input names a pair."""
    from hyperatom.campaign.assembly import make_cheap_reference, make_reference

    wanted = settings.reference
    produced = settings.chains * settings.produce.proposals
    planned = settings.learn.calls + produced
    if wanted.cheap is None:
        yield from _examined(settings, start, watch, wanted, make_reference, planned)
        return
    for name, engine, make, calls in (
        ("expensive", wanted, make_reference, planned),
        ("cheap", wanted.cheap, make_cheap_reference, produced + settings.walkers),
    ):
        for finding in _examined(settings, start, watch, engine, make, calls):
            yield replace(finding, question=f"{name}: {finding.question}")


def _examined(
    settings: "Settings",
    start: "Configuration",
    watch: "Callable[[int, int], None]",
    wanted: "EngineSettings",
    make: "Callable[..., AseReference | None]",
    planned_calls: int,
) -> "Iterator[Finding]":
    import os

    from hyperatom.errors import HyperatomError
    from hyperatom.references.doctor.examination import calls_needed, examine
    from hyperatom.references.doctor.finding import Finding, Patient
    from hyperatom.units import BOLTZMANN

    try:
        reference = make(settings, start, None, 1)
    except HyperatomError as problem:
        yield Finding("engine", "fault", problem.problem, problem.cure)
        return
    assert reference is not None
    with reference:
        version = json.loads(reference.identity)["version"]
        yield Finding("engine", "fine", f"{wanted.calculator}: {version}")
        patient = Patient(
            reference=reference,
            configuration=start,
            thermal_energy=BOLTZMANN * settings.temperature,
            cutoff=settings.guide.cutoff,
            mesh=_mesh(wanted, start),
            planned_calls=planned_calls,
            at_once=min(settings.chains, os.cpu_count() or 1),
            time_out=wanted.time_out,
        )
        needed = calls_needed(patient)
        patient.watch = lambda calls: watch(calls, needed)
        yield from examine(patient)


def _mesh(wanted: "EngineSettings", start: "Configuration") -> tuple[int, int, int] | None:
    """The mesh of k-points, None where it is not for us to know."""
    from hyperatom.campaign.assembly import engine_preset
    from hyperatom.references.engine_catalogue import ANY_CALCULATOR
    from hyperatom.references.k_points import fixed_mesh

    if wanted.calculator.startswith(ANY_CALCULATOR) or {"kpts", "ngkpt"} & set(wanted.keywords):
        return None
    if not engine_preset(wanted).has_k_points:
        return 1, 1, 1
    return fixed_mesh(start, wanted.k_points)


@contextmanager
def _watched(*, quiet: bool) -> "Iterator[Callable[[int, int], None]]":
    """A bar on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda calls, needed: None  # noqa: ARG005
        return
    columns = (TextColumn("calls"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("calls", total=None)
        yield lambda calls, needed: progress.update(task, completed=calls, total=needed)


def _show(finding: "Finding") -> None:
    mark, colour = _MARKS[finding.status]
    typer.secho(f"{mark} {finding.question:<22}", fg=colour, nl=False)
    typer.echo(f" {finding.sentence}")
    if finding.cure:
        typer.echo(f"  {'':<22} -> {finding.cure}")
