"""`hyperatom analyse`: observables of runs and trajectories, as numbers, files and figures."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperatom.cli.problems import plainly
from hyperatom.errors import HyperatomError, InputError

if TYPE_CHECKING:
    from hyperatom.analysis.observation import Observation
    from hyperatom.report.samples import Held
    from hyperatom.trajectory import Trajectory


PART = re.compile(r"(?P<whole>.+):(?P<part>\d+|beads)")
"""A rung of a ladder, from 0: RUN:1; beads of a simulation of rings: DIRECTORY:beads."""


class Picture(StrEnum):
    """Format of the figures."""

    SVG = "svg"
    PNG = "png"
    PDF = "pdf"


Sources = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[SOURCE]...",
        help="Run directories (a rung of a ladder: RUN:1, beads: MD:beads) or files.",
    ),
]
Format = Annotated[
    str | None,
    typer.Option("--format", help="Of the files: extxyz, traj, dump, xdatcar, h5md."),
]
TimeStep = Annotated[
    float | None, typer.Option("--time-step", help="Time between frames of the files, fs.")
]
Species = Annotated[
    str, typer.Option("--species", help="Elements of atom types 1, 2, ... of a file: Si,O")
]
Skip = Annotated[int, typer.Option("--skip", min=0, help="Leave out the first frames.")]
Every = Annotated[int, typer.Option("--every", min=1, help="Take every n-th frame.")]


def analyse(
    sources: Sources = None,
    what: Annotated[
        str, typer.Option("--what", "-w", help="Observables: rdf,msd,... ; default: the usual.")
    ] = "",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for tables and figures.")
    ] = Path("analysis"),
    temperature: Annotated[
        float | None, typer.Option("--temperature", "-T", help="K; of files, where it is needed.")
    ] = None,
    pressure: Annotated[
        float | None, typer.Option("--pressure", help="GPa; where it was held.")
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--set", help="A parameter: rdf.r_max=6, rings.cutoffs=Si-O:2.2"),
    ] = None,
    experiment: Annotated[
        list[Path] | None,
        typer.Option("--experiment", help="CSV of x, y and error to draw beside: NAME=FILE."),
    ] = None,
    figures: Annotated[Picture, typer.Option("--figures", help="Format of figures.")] = Picture.SVG,
    time_step: TimeStep = None,
    species: Species = "",
    form: Format = None,
    kind: Annotated[
        str, typer.Option("--kind", help="How the files were sampled, where you know.")
    ] = "as given",
    skip: Skip = 0,
    every: Every = 1,
) -> None:
    """Compute observables with error bars; several sources are drawn side by side.

    Without SOURCE: lists the observables and their parameters.
    """
    with plainly():
        from hyperatom.analysis.catalogue import OBSERVABLES, choose

        if not sources:
            _list()
            return
        named = [word for word in what.replace(",", " ").split() if word]
        wanted = choose(named)
        settings = _parameters(parameters or [])
        for name in settings:
            choose([name])
        measured = _experiments(experiment or [])
        found: dict[str, dict[str, Observation]] = {name: {} for name in wanted}
        refused: dict[str, str] = {}
        with progress() as told:
            for path in sources:
                trajectory, known = open_source(path, form, time_step, species, kind, told)
                trajectory = trajectory.select(skip, None, every)
                kelvin = temperature if temperature is not None else known.temperature
                held = pressure if pressure is not None else known.pressure
                for name in wanted:
                    told(0.0, f"{name} of {path.name}")
                    given = dict(settings.get(name, {}))
                    lacks = _fill(name, given, kelvin, held)
                    try:
                        if lacks:
                            raise InputError(
                                f"{name} needs the temperature.", "Give it: --temperature 300."
                            )
                        observed = OBSERVABLES[name].compute(trajectory, given)
                    except HyperatomError as problem:
                        if named or name in settings:
                            raise
                        refused[f"{name} of {path}"] = str(problem)
                        continue
                    found[name][str(path)] = observed
        found = {name: by_source for name, by_source in found.items() if by_source}
        if not found:
            raise InputError(
                "None of the observables could be computed.",
                " ".join(dict.fromkeys(refused.values())),
            )
        _write(found, measured, output, figures)
        for by_source in found.values():
            for source, observed in by_source.items():
                typer.secho(
                    f"{observed.quantity}, {source}: {observed.n_frames} frames, {observed.kind}",
                    bold=True,
                )
                for line in observed.lines():
                    typer.echo(f"  {line}")
        for name, reason in refused.items():
            typer.echo(f"Left out: {name}. {reason}")
        typer.echo(f"Tables, figures and comparison.html are in {output}.")


def open_source(
    path: Path,
    form: str | None,
    time_step: float | None,
    species: str,
    kind: str,
    told: Callable[[float, str], None],
) -> "tuple[Trajectory, Held]":
    """A run, a simulation or a file, and what was held where that is known."""
    from typing import get_args

    from hyperatom.interchange.trajectory_files import Watched, read_trajectory
    from hyperatom.report.samples import Held, run_samples
    from hyperatom.trajectory import Kind

    part = ""
    named = PART.fullmatch(str(path))
    if named and not path.exists() and Path(named["whole"]).is_dir():
        path, part = Path(named["whole"]), named["part"]
    if (path / "motion.db").is_file():
        from hyperatom.simulation.assembly import all_walkers

        trajectory, held = all_walkers(path, beads=part == "beads"), Held()
    elif path.is_dir():
        trajectory, held = run_samples(path, int(part) if part.isdigit() else 0)
    else:
        if kind not in get_args(Kind):
            raise InputError(f"Unknown kind '{kind}'.", f"Use one of {', '.join(get_args(Kind))}.")
        symbols = [word for word in species.replace(",", " ").split() if word] or None
        trajectory = read_trajectory(
            path, form=form, time_step=time_step, species=symbols, kind=kind  # type: ignore[arg-type]
        )  # fmt: skip
        held = Held()
    watched = Watched(trajectory.source, lambda fraction: told(fraction, ""))
    return replace(trajectory, source=watched), held


@contextmanager
def progress() -> Iterator[Callable[[float, str], None]]:
    """A bar on a terminal with the time left; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _fraction, _words: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("reading", total=1.0)

        def told(fraction: float, words: str) -> None:
            if fraction < bar.tasks[0].completed:
                bar.reset(task, total=1.0)
            bar.update(task, completed=fraction, description=words or None)

        yield told


def _list() -> None:
    from hyperatom.analysis.catalogue import OBSERVABLES

    for name, choice in OBSERVABLES.items():
        mark = ", needs a clock" if choice.dynamic else ""
        typer.secho(f"{name:<26}", bold=True, nl=False)
        typer.echo(f"{choice.sentence}{mark}{' (usual)' if choice.usual else ''}")
        told = []
        for key, value in choice.parameters().items():
            plain = isinstance(value, bool | int | float | str | tuple) or value is None
            told.append(f"{key}={value}" if plain else key)
        typer.echo(" " * 26 + ", ".join(told))


def _parameters(given: list[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for text in given:
        place, equals, value = text.partition("=")
        name, dot, key = place.partition(".")
        if not (equals and dot and key):
            raise InputError(
                f"'{text}' does not set a parameter.", "Write it so: --set rdf.r_max=6"
            )
        found.setdefault(name, {})[key] = _value(value)
    return found


def _value(text: str) -> Any:
    """A number, a truth, several numbers, distances by pair (Si-O:2.2,O-O:3), or a word."""
    if text.lower() in ("true", "yes", "false", "no"):
        return text.lower() in ("true", "yes")
    if text.lower() in ("none", "null"):
        return None
    parts = text.split(",")
    if all(":" in part for part in parts):
        pairs = [part.split(":", 1) for part in parts]
        return {name.strip(): _value(value) for name, value in pairs}
    try:
        values = [float(part) for part in parts]
    except ValueError:
        return text
    if len(values) > 1:
        return tuple(values)
    return int(values[0]) if values[0].is_integer() and text.strip("-+").isdigit() else values[0]


def _fill(
    name: str, given: dict[str, Any], temperature: float | None, pressure: float | None
) -> bool:
    """Temperature and pressure go where they are needed; is one lacking?"""
    from dataclasses import MISSING

    from hyperatom.analysis.catalogue import OBSERVABLES

    known: Mapping[str, Any] = OBSERVABLES[name].parameters()
    if "temperature" in known and "temperature" not in given and temperature is not None:
        given["temperature"] = temperature
    if "pressure" in known and "pressure" not in given and pressure is not None:
        given["pressure"] = pressure
    return known.get("temperature", None) is MISSING and "temperature" not in given


def _experiments(given: list[Path]) -> dict[str, list[Any]]:
    from hyperatom.analysis.catalogue import choose
    from hyperatom.report.comparison import read_experiment

    found: dict[str, list[Any]] = {}
    for text in given:
        name, equals, path = str(text).partition("=")
        if not equals:
            raise InputError(
                f"'{text}' does not say what was measured.",
                "Write it so: --experiment structure-factor=neutrons.csv",
            )
        choose([name])
        found.setdefault(name, []).append(read_experiment(Path(path)))
    return found


def _write(
    found: "dict[str, dict[str, Observation]]",
    measured: dict[str, list[Any]],
    output: Path,
    figures: Picture,
) -> None:
    from hyperatom.report.comparison import draw, svg, write_comparison

    try:
        output.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{output} is a file.", "Choose another --output.") from None
    for name, by_source in found.items():
        for number, observed in enumerate(by_source.values()):
            stem = name if len(by_source) == 1 else f"{name}-{number + 1}"
            observed.to_csv(output / f"{stem}.csv")
            observed.to_json(output / f"{stem}.json")
        figure = draw(by_source, measured.get(name, []))
        if figures is Picture.SVG:
            (output / f"{name}.svg").write_text(svg(figure), encoding="utf-8")
        else:
            figure.savefig(output / f"{name}.{figures}", dpi=200)
    write_comparison(found, output / "comparison.html", measured)
