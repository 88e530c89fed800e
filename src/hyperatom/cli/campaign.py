"""Commands that make a campaign: init, validate, run, resume, status."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperatom.cli.input_files import InputFile, read_input
from hyperatom.cli.problems import plainly, stoppable
from hyperatom.cli.reporting import write_report_page
from hyperatom.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from hyperatom.campaign.settings import Settings

Run = Annotated[Path, typer.Argument(metavar="DIR", help="The run directory.")]


def init(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="Where to write it.")] = Path(
        "hyperatom.yaml"
    ),
) -> None:
    """Write an input file with every setting explained."""
    with plainly():
        from hyperatom.campaign.settings import template

        try:
            with file.open("x", encoding="utf-8") as stream:
                stream.write(template())
        except FileExistsError:
            raise InputError(
                f"{file} exists already and is left alone.", "Give another name."
            ) from None
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(
                f"The folder {file.parent} does not exist.", "Make it first, or choose another."
            ) from None
        typer.echo(f"Wrote {file}. Edit it, then: hyperatom validate {file}")


def validate(
    file: InputFile,
    call: Annotated[
        bool, typer.Option("--call", help="Ask the engine once, to foretell the time.")
    ] = False,
) -> None:
    """Check an input file: settings, atoms, and that the engine really starts."""
    with plainly():
        text = read_input(file, f"hyperatom init {file}")
        from hyperatom.campaign.settings import load_settings

        settings = load_settings(text, str(file))
        typer.echo("settings       fine")
        from hyperatom.campaign.advice import acceptance_in_words
        from hyperatom.campaign.assembly import (
            check_campaign,
            make_reference,
            starting_configuration,
        )

        configuration = starting_configuration(settings, file.parent)
        typer.echo(f"configuration  {configuration.n_atoms} atoms")
        taught = check_campaign(settings, configuration, file.parent)
        typer.echo(f"engine         {settings.reference.calculator} starts")
        if settings.reference.cheap is not None:
            typer.echo(f"cheap engine   {settings.reference.cheap.calculator} starts")
        if taught:
            typer.echo(f"guide          knows {len(taught)} labels from the start")
        seconds = None
        if call:
            with make_reference(settings, configuration, None, 1) as reference:
                seconds = reference.evaluate(configuration).seconds
        typer.echo(f"forecast       {_forecast(settings, seconds)}")
        typer.echo(f"acceptance     {acceptance_in_words(settings, configuration.n_atoms)}")
        typer.echo(f"Next: hyperatom run {file}")


def run_campaign(
    file: InputFile,
    directory: Annotated[
        Path | None,
        typer.Option("--directory", "-d", help="Where the run lives. Default: FILE's stem + -run."),
    ] = None,
    report: Annotated[bool, typer.Option(help="Write the report at the end.")] = True,
) -> None:
    """Learn, freeze, produce: the whole campaign, in a new run directory."""
    path = directory if directory is not None else Path(f"{file.stem}-run")
    with plainly(path):
        text = read_input(file, f"hyperatom init {file}")
        from hyperatom.campaign.assembly import create

        create(text, file, path)
        _sample(path)
        _finish(path, report)


def resume(
    directory: Run,
    report: Annotated[bool, typer.Option(help="Write the report at the end.")] = True,
    ask_again: Annotated[
        bool,
        typer.Option("--ask-again", help="Forget that calls failed: ask the engine once more."),
    ] = False,
) -> None:
    """Go on with a run that was stopped, as if it never had been."""
    with plainly(directory):
        if ask_again:
            _forget_failures(directory)
        _sample(directory)
        _finish(directory, report)


def status(directory: Run) -> None:
    """How far a run is; may be asked while it runs."""
    with plainly(directory):
        from rich.table import Table

        from hyperatom.campaign.progress import progress_of
        from hyperatom.campaign.run_directory import is_busy
        from hyperatom.cli.display import describe

        settings, progress = progress_of(directory)
        rows = describe(progress, progress.independent_samples())
        table = Table.grid(padding=(0, 2))
        if settings.title:
            table.add_row("title", settings.title)
        for name, value in rows:
            table.add_row(name, value)
        if settings.farm.queue is not None:
            table.add_row("workers", _workers(settings.farm.queue))
        busy = is_busy(directory)
        if not progress.finished:
            table.add_row(
                "process",
                "at work now" if busy else f"none: go on with 'hyperatom resume {directory}'",
            )
        _console().print(table, markup=False, highlight=False, soft_wrap=True)


def _workers(folder: Path) -> str:
    from hyperatom.errors import RunDirectoryError
    from hyperatom.references.farm.file_queue import FileQueue
    from hyperatom.references.farm.queue_farm import activity

    try:
        queue = FileQueue(folder)
        workers = activity(queue)
    except RunDirectoryError as problem:
        return problem.problem
    busy = sum(worker.busy for worker in workers)
    more = f"more with 'hyperatom worker {folder}'"
    return f"{len(workers)}, {busy} busy; {len(queue.waiting())} labels wait; {more}"


def _forget_failures(directory: Path) -> None:
    from hyperatom.campaign.run_directory import RunDirectory
    from hyperatom.references.label_store import LabelStore

    run = RunDirectory.open(directory, lock=True)
    try:
        with LabelStore(run.file("labels.db")) as store:
            count = store.forget_failures()
        run.log(f"forgot {count} failed calls, to ask again; steps already made stand")
        typer.echo(f"Forgot {count} failed calls. Steps already made stand.")
    finally:
        run.close()


def _sample(path: Path) -> None:
    """Run a campaign to its end, in sight."""
    from hyperatom.campaign.assembly import opened
    from hyperatom.campaign.progress import progress_of
    from hyperatom.cli.display import make_display

    _, progress = progress_of(path)
    display = make_display(progress, _console())
    with opened(path, display) as campaign:

        def stop() -> None:
            display.close()
            campaign.close_engines()

        with stoppable(stop, path), display:
            campaign.run()


def _finish(path: Path, report: bool) -> None:
    from hyperatom.campaign.progress import progress_of
    from hyperatom.campaign.run_directory import RunDirectory
    from hyperatom.cli.display import line
    from hyperatom.cli.export import write_chain

    _, progress = progress_of(path)
    typer.echo(line(progress, finished=True))
    opened = RunDirectory.open(path, lock=False)
    count = write_chain(opened, opened.file("chain.extxyz"))
    typer.echo(f"Chain: {opened.file('chain.extxyz')}, {count} configurations")
    if report:
        typer.echo(f"Report: {write_report_page(path)}")
    typer.echo(f"Next: hyperatom verify {path}")


def _forecast(settings: "Settings", seconds: float | None) -> str:
    produced = settings.chains * settings.produce.proposals
    total = settings.learn.calls + produced
    text = (
        f"at most {total} reference calls: {settings.learn.calls} to learn, {produced} to produce"
    )
    label = "one"
    if settings.beads > 1:
        text, label = f"{text}, each of {settings.beads} labels", "one label"
    if seconds is None:
        return text
    from hyperatom.cli.display import duration

    whole = duration(total * settings.beads * seconds)
    return f"{text}; {label} takes {duration(seconds)}, so {whole} in the reference"


def _console() -> "Console":
    from rich.console import Console

    return Console()
