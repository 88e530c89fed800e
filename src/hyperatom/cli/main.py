"""The command line. Heavy libraries are loaded by the commands that need them, never here."""

from typing import Annotated

import typer

from hyperatom import __version__
from hyperatom.cli.analyse import analyse
from hyperatom.cli.audit import audit
from hyperatom.cli.build import build
from hyperatom.cli.campaign import init, resume, run_campaign, status, validate
from hyperatom.cli.doctor import doctor
from hyperatom.cli.engines import engines
from hyperatom.cli.farm import worker, workers
from hyperatom.cli.fit import evaluate, fit, list_parts
from hyperatom.cli.labels import labels
from hyperatom.cli.md import md
from hyperatom.cli.potentials import convert
from hyperatom.cli.problems import terminable
from hyperatom.cli.reporting import export, schema, verify, write_page
from hyperatom.cli.study import study
from hyperatom.cli.tour import Tour
from hyperatom.cli.watch import watch

TOUR = """
First-principles ensembles, exactly, at machine-learning speed.

A cheap learned guide proposes long moves; the first-principles reference accepts or rejects; \
every judgement teaches the guide. The averages are exactly the reference's.

What to type, in this order:

  **hyperatom init quartz.yaml**        an input file with every setting explained
  **hyperatom validate quartz.yaml**    is it right, and does the engine start?
  **hyperatom doctor quartz.yaml**      is the engine sound? forces, noise, time
  **hyperatom run quartz.yaml**         learn, freeze, produce, report
  **hyperatom verify quartz-run**       the proof that the run is exact

Ctrl-C loses nothing: **hyperatom resume quartz-run** goes on, bit for bit.
"""

START, WATCH, USE = "Start here", "While it runs", "Afterwards"
DYNAMICS = "Motion in time"
STUDIES = "Series of runs"
POTENTIALS = "Potentials"

app = typer.Typer(
    name="hyperatom",
    cls=Tour,
    help=TOUR,
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command(rich_help_panel=START)(init)
app.command(rich_help_panel=START)(validate)
app.command(rich_help_panel=START)(doctor)
app.command(rich_help_panel=START)(engines)
app.command("run", rich_help_panel=START)(run_campaign)
app.command(rich_help_panel=START)(build)
app.command(rich_help_panel=WATCH)(resume)
app.command(rich_help_panel=WATCH)(status)
app.command(rich_help_panel=WATCH)(watch)
app.command(rich_help_panel=WATCH)(worker)
app.command(rich_help_panel=WATCH)(workers)
app.command("report", rich_help_panel=USE)(write_page)
app.command(rich_help_panel=USE)(verify)
app.command(rich_help_panel=USE)(analyse)
app.command(rich_help_panel=USE)(audit)
app.command(rich_help_panel=USE)(export)
app.command(rich_help_panel=USE)(schema)
app.add_typer(labels, name="labels", rich_help_panel=USE)
app.command(rich_help_panel=DYNAMICS)(md)
app.add_typer(study, name="study", rich_help_panel=STUDIES)
app.command(rich_help_panel=POTENTIALS)(fit)
app.command(rich_help_panel=POTENTIALS)(evaluate)
app.command("list", rich_help_panel=POTENTIALS)(list_parts)
app.command(rich_help_panel=POTENTIALS)(convert)


def run() -> None:
    """Entry point of the program `hyperatom`."""
    with terminable():
        app()


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hyperatom {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass
