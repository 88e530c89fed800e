"""Commands of the label farm: worker, workers."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperatom.cli.problems import plainly

if TYPE_CHECKING:
    from rich.table import Table

    from hyperatom.references.farm.file_queue import FileQueue

Queue = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the queue.")]


def worker(
    folder: Queue,
    walltime: Annotated[
        str | None,
        typer.Option(help="End after that: seconds, or [days-]hours:minutes:seconds as Slurm."),
    ] = None,
    idle: Annotated[
        float | None, typer.Option(help="End after so many seconds without work.")
    ] = None,
    labels: Annotated[int | None, typer.Option(help="End after so many labels.")] = None,
    cores: Annotated[
        str | None, typer.Option(help="Processor cores that engines may use: 0-7, or 0,2,4.")
    ] = None,
    beat: Annotated[float, typer.Option(help="Seconds between two signs of life.")] = 5.0,
) -> None:
    """Compute labels for whichever run asks in a folder; any number, anywhere, at any time."""
    with plainly():
        from hyperatom.references.farm.file_queue import FileQueue
        from hyperatom.references.farm.queue_worker import QueueWorker

        one = QueueWorker(
            FileQueue(folder),
            walltime=_walltime(walltime),
            idle=idle,
            labels=labels,
            cores=_cores(cores),
            beat=beat,
            say=lambda sentence: typer.echo(sentence, err=True),
        )
        typer.echo(f"Worker {one.name} takes tasks from {folder}. Ctrl-C ends it, nothing is lost.")
        typer.echo(f"Ended: {one.run()}.")


def workers(
    folder: Queue,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on showing.")] = False,
) -> None:
    """Who computes what in a queue, and what waits."""
    with plainly():
        from rich.console import Console
        from rich.live import Live

        from hyperatom.errors import InputError
        from hyperatom.references.farm.file_queue import FileQueue

        if not (folder / "queue.json").is_file():
            raise InputError(
                f"There is no queue in {folder}.",
                f"Name it in the input (farm: {{backend: queue, queue: {folder}}}), or start "
                f"'hyperatom worker {folder}'.",
            )
        queue, console = FileQueue(folder), Console()
        if not watch:
            console.print(_table(queue))
            return
        with Live(_table(queue), console=console, refresh_per_second=1) as live:
            while True:
                time.sleep(1.0)
                live.update(_table(queue))


def _table(queue: "FileQueue") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    from hyperatom.cli.display import duration
    from hyperatom.references.farm.queue_farm import activity

    rows = activity(queue)
    waiting = queue.waiting()
    busy = sum(row.busy for row in rows)
    speculative = sum(name.speculative for name in waiting)
    table = Table(
        title=f"{len(rows)} workers, {busy} busy; {len(waiting)} labels wait for one"
        + (f", {speculative} of them speculative" if speculative else ""),
        title_justify="left",
        box=None,
    )
    for name in ("worker", "does", "for", "labels", "failed", "last sign of life"):
        table.add_column(name)
    for row in rows:
        table.add_row(
            row.worker,
            escape(row.doing),
            duration(row.seconds),
            str(row.done),
            str(row.failed),
            f"{duration(row.silent)} ago",
        )
    return table


def _walltime(text: str | None) -> float | None:
    """Seconds; without an option, what the batch system says of the job's end."""
    from hyperatom.errors import InputError

    if text is None:
        end = os.environ.get("SLURM_JOB_END_TIME", "")
        return max(0.0, float(end) - time.time()) if end.isdigit() else None
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    try:
        if len(parts) > 3 or (dash and not days):
            raise ValueError
        seconds = 0.0
        for part in parts:
            seconds = 60.0 * seconds + float(part)
        if dash and len(parts) < 3:  # Slurm's days-hours and days-hours:minutes
            seconds *= 60.0 ** (3 - len(parts))
        seconds += 86400.0 * int(days) if dash else 0.0
        if seconds <= 0.0:
            raise ValueError
    except ValueError:
        raise InputError(
            f"'{text}' is not a duration.", "Write seconds, 1:30:00, or 2-12:00:00."
        ) from None
    return seconds


def _cores(text: str | None) -> tuple[int, ...]:
    from hyperatom.errors import InputError

    if text is None:
        return ()
    found: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            found.extend(range(int(first), int(last or first) + 1))
    except ValueError:
        raise InputError(f"'{text}' does not name cores.", "Write 0-7, or 0,2,4.") from None
    return tuple(found)
