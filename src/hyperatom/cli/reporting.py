"""Commands that look at a campaign afterwards: report, verify, export, schema."""

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperatom.cli.problems import plainly
from hyperatom.errors import InputError

if TYPE_CHECKING:
    from hyperatom.campaign.certificate import Certificate

Run = Annotated[Path, typer.Argument(metavar="DIR", help="The run directory.")]

VERDICTS = {True: 0, False: 1, None: 3}


class What(StrEnum):
    """What `export` writes."""

    LABELS = "labels"
    CHAIN = "chain"


def write_page(
    directory: Run,
    beside: Annotated[
        list[Path] | None,
        typer.Option("--beside", "-b", help="Another run of the same ensemble to compare with."),
    ] = None,
) -> None:
    """Write report.html: averages with error bars, figures, certificate, cost, citations."""
    with plainly(directory):
        typer.echo(f"Report: {write_report_page(directory, beside or ())}")


def verify(
    directory: Run,
    labels: Annotated[
        int, typer.Option("--labels", min=0, help="Labels to compute anew with the engine.")
    ] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print the certificate as JSON.")] = False,
) -> None:
    """Check that a run is exact. Exit code: 0 passed, 1 failed, 3 undecided."""
    with plainly(directory):
        from hyperatom.campaign.verification import verify as certify

        def progress(sentence: str, part: float) -> None:
            if sys.stderr.isatty():
                typer.echo(f"\r\033[K{part:4.0%} {sentence}", err=True, nl=False)

        certificate = certify(directory, labels, progress)
        if sys.stderr.isatty():
            typer.echo("\r\033[K", err=True, nl=False)
        typer.echo(certificate.to_json() if as_json else _in_words(certificate))
        raise typer.Exit(VERDICTS[certificate.passed])


def export(
    directory: Run,
    what: Annotated[
        What, typer.Argument(help="Everything the reference said, or the sampled chain.")
    ] = What.LABELS,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: DIR/labels.extxyz.")
    ] = None,
) -> None:
    """Write labels or the sampled chain as extended XYZ, for other programs."""
    with plainly(directory):
        from hyperatom.campaign.run_directory import RunDirectory
        from hyperatom.cli.export import write_chain, write_labels

        opened = RunDirectory.open(directory, lock=False)
        target = output if output is not None else opened.file(f"{what}.extxyz")
        write = write_labels if what is What.LABELS else write_chain
        try:
            count = write(opened, target)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as problem:
            raise InputError(
                f"{target} cannot be written: {problem.strerror}.", "Choose another --output."
            ) from None
        typer.echo(f"Wrote {count} configurations to {target}")


def schema() -> None:
    """Print the JSON schema of the input file, for editors and programs."""
    with plainly():
        from hyperatom.campaign.settings import Settings
        from hyperatom.potentials.family_catalogue import settings_schema

        typer.echo(json.dumps(settings_schema(Settings), indent=2))


def _in_words(certificate: "Certificate") -> str:
    marks = {True: "passed   ", False: "FAILED   ", None: "undecided"}
    lines = [
        f"{marks[check.passed]}  {check.name}: {check.sentence}" for check in certificate.checks
    ]
    return "\n".join([*lines, certificate.verdict])


def write_report_page(path: Path, beside: Sequence[Path] = ()) -> Path:
    """Write report.html of a run directory, with runs `beside` it; returns its path."""
    from hyperatom.report.beside import with_others
    from hyperatom.report.collect import collect
    from hyperatom.report.page import write_report

    target = path / "report.html"
    write_report(with_others(collect(path), [collect(other) for other in beside]), target)
    return target
