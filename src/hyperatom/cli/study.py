"""The command `hyperatom study`: one question, a series of configurations, several temperatures."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperatom.cli.input_files import Resume, Schema, Template, read_input
from hyperatom.cli.problems import plainly, stoppable
from hyperatom.errors import InputError

if TYPE_CHECKING:
    from hyperatom.studies.parts import Part

study = typer.Typer(
    help="Studies: one question put to a series of configurations at several temperatures.",
    no_args_is_help=True,
)


@study.callback()
def _study() -> None:
    pass


@study.command("heat-capacity")
def heat_capacity(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="The input file, YAML; with --resume one that asks for more of the same runs.",
        ),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option("--directory", "-d", help="Where it lives. Default: FILE's stem + -study."),
    ] = None,
    resume: Resume = None,
    template: Template = False,
    schema: Schema = False,
) -> None:
    """C_V(T) three ways, inherent structures, diffusion, density, jumps in six dimensions."""
    if template or schema:
        with plainly():
            from hyperatom.studies import settings

            described = settings.StudySettings.model_json_schema
            typer.echo(json.dumps(described(), indent=2) if schema else settings.template())
        return
    with plainly():
        if file is None and resume is None:
            raise InputError(
                "Give an input file, or --resume and a directory.",
                "'hyperatom study heat-capacity --template > study.yaml' writes one to edit.",
            )
        if directory is not None and resume is not None:
            raise InputError(
                f"A study that is resumed lives where it is, and --directory names {directory}.",
                "Leave --directory out, or begin a new study without --resume.",
            )
    path = resume or directory or Path(f"{file.stem if file else ''}-study")
    with plainly(path):
        if file is not None:
            from hyperatom.studies.study_directory import amend, create

            text = read_input(file, "hyperatom study heat-capacity --template > study.yaml")
            (create if resume is None else amend)(text, file, path)
        _go_on(path)


def _go_on(path: Path) -> None:
    from hyperatom.cli.analyse import progress
    from hyperatom.studies.page import investigate, write_page
    from hyperatom.studies.study import opened

    with opened(path) as work:
        with stoppable(work.stop, path):
            work.run(Watch())
        with progress() as told:
            found = investigate(work, told)
            page = write_page(work, found)
    for line in found.lines():
        typer.echo(line)
    typer.echo(f"Report: {page}; tables and densities beside it")


class Watch:
    """Says which run it is, how long the study may last, and shows the run as its own command."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console()

    def part(self, part: "Part", number: int, total: int, seconds_left: float | None) -> None:
        """A run begins, or goes on."""
        from hyperatom.cli.display import duration

        left = "" if seconds_left is None else f"; about {duration(seconds_left)} left in all"
        typer.echo(f"{number} of {total}: {part.sentence}{left}")

    def mending(self, part: "Part", number: int, problem: str) -> None:
        """A place is labelled, and the guide fitted again."""
        typer.echo(
            f"{problem} The reference is asked there, further label {number} of "
            f"{part.member.name}; the guide is fitted again, and its simulations begin anew."
        )

    def relaxation(self, path: Path) -> Any:  # noqa: ARG002
        """A bar; the time left is that of all steps that are allowed."""
        from hyperatom.cli.analyse import progress

        return progress()

    @contextmanager
    def campaign(self, path: Path) -> Iterator[Any]:
        """The display of `hyperatom run`."""
        from hyperatom.campaign.progress import progress_of
        from hyperatom.cli.display import make_display

        _, progress = progress_of(path)
        with make_display(progress, self._console) as display:
            yield display

    @contextmanager
    def motion(self, path: Path) -> Iterator[Any]:
        """The display of `hyperatom md`."""
        from hyperatom.cli.md import motion_display

        with motion_display(path, self._console) as display:
            yield display
