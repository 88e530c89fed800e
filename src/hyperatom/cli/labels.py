"""Commands of the label store: labels count, list, failures, quarantine, export, import."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperatom.cli.problems import plainly

if TYPE_CHECKING:
    from hyperatom.references.label import Stored
    from hyperatom.references.label_store import LabelStore

labels = typer.Typer(
    help="What references have said: count, look at, copy, release from quarantine.",
    no_args_is_help=True,
)

Where = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, or a labels.db.")]
Engine = Annotated[
    str | None, typer.Option("--engine", help="Only of engines whose settings contain this text.")
]


@labels.command()
def count(run: Where) -> None:
    """How many labels, failures and vain attempts there are, by engine and settings."""
    with plainly(), _opened(run) as store:
        rows = []
        for identity in store.identities():
            seconds = sum(label.seconds for label in store.labels(identity))
            rows.append(
                [
                    _engine(identity),
                    store.count(identity),
                    store.count_failures(identity),
                    f"{seconds / 3600.0:.3f} h",
                ]
            )
        _show(("engine", "labels", "in quarantine", "engine time"), rows)
        kinds = store.count_attempts()
        several = ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items()))
        typer.echo(f"attempts that came to nothing: {sum(kinds.values())} {several}".rstrip())


@labels.command("list")
def list_labels(
    run: Where,
    last: Annotated[int, typer.Option(help="Only so many, the latest.")] = 20,
    engine: Engine = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """The latest labels: energy (eV), who computed it where, for how long, for whom."""
    with plainly(), _opened(run) as store:
        from collections import deque

        found = deque(
            (label for label in store if engine is None or engine in label.identity), maxlen=last
        )
        if as_json:
            for label in found:
                evaluation = label.evaluation
                content = {
                    "energy_eV": evaluation.energy,
                    "energy_error_eV": evaluation.energy_error,
                    "largest_force_eV_per_angstrom": float(abs(evaluation.forces).max()),
                }
                typer.echo(json.dumps({**_circumstances(label), **content}))
            return
        rows = [
            [
                label.index,
                label.key[:12],
                _formula(label),
                f"{label.evaluation.energy:.6f}",
                f"{label.seconds:.1f}",
                label.notes.get("scf_cycles", ""),
                label.attempts,
                label.host,
                label.date[:19],
                label.provenance,
            ]
            for label in found
        ]
        names = ("#", "key", "atoms", "energy, eV", "s", "cycles", "attempts", "host", "date")
        _show((*names, "for"), rows)


@labels.command()
def failures(
    run: Where,
    last: Annotated[int, typer.Option(help="Only so many, the latest.")] = 20,
) -> None:
    """Every attempt that came to nothing, also where a later one succeeded."""
    with plainly(), _opened(run) as store:
        rows = [
            [one.date[:19], one.key[:12], one.number, one.kind, one.host, one.problem]
            for one in list(store.attempts())[-last:]
        ]
        _show(("date", "key", "attempt", "kind", "host", "problem"), rows)


@labels.command()
def quarantine(
    run: Where,
    release: Annotated[
        str | None,
        typer.Option(help="Let a label be tried again: the beginning of its key, or 'all'."),
    ] = None,
) -> None:
    """Configurations that have no answer: each attempt failed. Replays reject them unasked."""
    with plainly(), _opened(run) as store:
        from hyperatom.errors import InputError

        found = list(store.failures())
        if release is None:
            rows = [
                [one.key[:12], _formula(one), one.attempts, one.date[:19], one.problem]
                for one in found
            ]
            _show(("key", "atoms", "attempts", "date", "problem"), rows)
            return
        keys = [one.key for one in found if release == "all" or one.key.startswith(release)]
        if not keys:
            raise InputError(
                f"No label in quarantine has a key that begins with '{release}'.",
                "See them with 'hyperatom labels quarantine'.",
            )
        freed = sum(store.forget_failures(key=key) for key in keys)
        typer.echo(f"Released {freed}. Steps already made stand; new questions are asked anew.")


@labels.command("export")
def export_labels(
    run: Where,
    file: Annotated[Path, typer.Argument(help="FILE.xyz (extended XYZ), or FILE.db (ASE).")],
    engine: Engine = None,
) -> None:
    """Write labels for other programs, floats in full."""
    with plainly(), _opened(run) as store:
        from hyperatom.references.label_exchange import write_labels

        chosen = (label for label in store if engine is None or engine in label.identity)
        typer.echo(f"Wrote {write_labels(chosen, file)} labels to {file}.")


@labels.command("import")
def import_into(
    source: Annotated[Path, typer.Argument(help="A run, a labels.db, extended XYZ, ASE's db.")],
    run: Where,
    like: Annotated[
        str | None,
        typer.Option(help="Claim that labels without a key come from the engine of this text."),
    ] = None,
) -> None:
    """Copy labels into a run: those of equal engine and settings are never paid for again."""
    with plainly(), _opened(run) as store:
        from hyperatom.references.label_exchange import import_labels
        from hyperatom.references.label_store import store_path

        identity = None if like is None else _identity(store, like)
        path = store_path(source) if source.is_dir() else source
        found = import_labels(path, store, identity)
        typer.echo(f"{found.new} labels are new, {found.known} were known.")
        if found.not_be_placed:
            typer.echo(
                f"{found.not_be_placed} were left out: {run} has no engine with whose settings "
                "their keys agree."
            )


def _opened(run: Path) -> "LabelStore":
    from hyperatom.references.label_store import LabelStore, store_path

    return LabelStore(store_path(run))


def _identity(store: "LabelStore", text: str) -> str:
    from hyperatom.errors import InputError

    found = [identity for identity in store.identities() if text in identity]
    if len(found) != 1:
        raise InputError(
            f"{len(found)} engines of {store.path} have settings that contain '{text}'.",
            "Give a text that only one contains; see them with 'hyperatom labels count'.",
        )
    return found[0]


def _engine(identity: str) -> str:
    """An engine in a line: its name and version, its keywords."""
    try:
        content = json.loads(identity)
        keywords = json.dumps(content.get("keywords", {}))
        return f"{content['calculator']} ({content.get('version', '?')}) {keywords}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return identity


def _formula(stored: "Stored") -> str:
    from hyperatom.interchange.ase_atoms import to_ase

    return str(to_ase(stored.configuration).get_chemical_formula())


def _circumstances(stored: "Stored") -> dict[str, object]:
    return {
        "index": stored.index,
        "key": stored.key,
        "formula": _formula(stored),
        "volume_angstrom3": stored.configuration.volume,
        "seconds": stored.seconds,
        "host": stored.host,
        "date": stored.date,
        "attempts": stored.attempts,
        "provenance": stored.provenance,
        "notes": dict(stored.notes),
        "identity": stored.identity,
    }


def _show(names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:  # a file or a pipe: nothing is cut
        console = Console(width=1000)
    table = Table(box=None)
    for name in names:
        table.add_column(name)
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    if rows:
        console.print(table)
    else:
        typer.echo("None.")
