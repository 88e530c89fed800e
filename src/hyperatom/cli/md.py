"""The command `hyperatom md`: dynamics in time on a potential."""

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperatom.cli.input_files import OptionalInputFile, Resume, Schema, Template, read_input
from hyperatom.cli.problems import plainly, say, stoppable
from hyperatom.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from hyperatom.cli.motion_display import MotionDisplay


def md(
    file: OptionalInputFile = None,
    directory: Annotated[
        Path | None,
        typer.Option("--directory", "-d", help="Where it lives. Default: FILE's stem + -md."),
    ] = None,
    resume: Resume = None,
    template: Template = False,
    schema: Schema = False,
) -> None:
    """Molecular dynamics on a guide, any potential, or plain first principles."""
    if template or schema:
        with plainly():
            from hyperatom.simulation import settings

            described = settings.MotionSettings.model_json_schema
            typer.echo(json.dumps(described(), indent=2) if schema else settings.template())
        return
    with plainly():
        if (file is None) == (resume is None):
            raise InputError(
                "Give an input file, or --resume and a directory.",
                "'hyperatom md --template > md.yaml' writes an input file to edit.",
            )
    if resume is not None:
        with plainly(resume):
            _move(resume)
            _finish(resume)
        return
    assert file is not None
    path = directory if directory is not None else Path(f"{file.stem}-md")
    with plainly(path):
        text = read_input(file, "hyperatom md --template > md.yaml")
        from hyperatom.simulation.assembly import create

        verdict = create(text, file, path)
        typer.echo(f"Time step: {verdict.sentence}")
        if verdict.warning:
            say(verdict.warning)
        _move(path)
        _finish(path)


def motion_display(path: Path, console: "Console") -> "MotionDisplay":
    """A display for the simulation in `path`, which knows how far it is."""
    from hyperatom.cli.motion_display import MotionDisplay
    from hyperatom.simulation.assembly import stored_motion

    with stored_motion(path) as (settings, start, store):
        done = [store.state(walker) for walker in range(settings.walkers)]
        display = MotionDisplay(settings, start.n_atoms, console)
        display.begin({w: state.step for w, state in enumerate(done) if state is not None})
    return display


def _move(path: Path) -> None:
    from rich.console import Console

    from hyperatom.simulation.assembly import opened

    display = motion_display(path, Console())
    stop = threading.Event()
    with opened(path, display) as simulation, stoppable(stop.set, path), display:
        simulation.run(stop)


def _finish(path: Path) -> None:
    """Report and trajectory files."""
    from hyperatom.interchange.h5md_writing import write_h5md
    from hyperatom.simulation.assembly import SimulationDirectory, stored_motion, trajectory_of
    from hyperatom.simulation.summary import summarise

    with stored_motion(path) as (settings, start, store):
        summary = summarise(settings, store, start)
        log = SimulationDirectory.open(path, lock=False).log
        for line in summary.lines():
            typer.echo(line)
            log(line)
        for walker in range(settings.walkers):
            name = "trajectory.h5" if settings.walkers == 1 else f"trajectory-{walker}.h5"
            trajectory = trajectory_of(path, settings, start, store, walker)
            count = write_h5md(trajectory, path / name, settings.sample_every)
            typer.echo(
                f"Trajectory: {path / name}, {count} frames {settings.sample_every:g} fs apart"
                + (", of the centroids" if settings.beads > 1 else "")
            )
