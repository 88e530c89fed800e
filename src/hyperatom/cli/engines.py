"""hyperatom engines: what works on this machine, and how to get the rest."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from hyperatom.cli.problems import plainly

if TYPE_CHECKING:
    from hyperatom.references.engine_preset import EnginePreset


def engines(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="All there is to say of one.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    python: Annotated[
        str | None, typer.Option(help="Look for Python packages in that environment.")
    ] = None,
) -> None:
    """First-principles engines by name: what works on this machine, and how to get the rest."""
    with plainly():
        from hyperatom.references.engine_catalogue import engine_presets, find_engine

        presets = [find_engine(name, {}, {})] if name else list(engine_presets().values())
        if as_json:
            typer.echo(json.dumps([_content(preset, python) for preset in presets], indent=1))
        elif name:
            for key, value in _content(presets[0], python).items():
                typer.echo(f"{key:<15} {value}")
        else:
            for preset in presets:
                _show(preset, python)
            typer.echo("\nIn the input file: reference: {calculator: NAME}. Any other ASE")
            typer.echo("calculator: 'ase:module.Class'. More of one: hyperatom engines NAME")


def _content(preset: "EnginePreset", python: str | None) -> dict[str, object]:
    return {
        "name": preset.name,
        "missing": preset.missing(python),
        "energy": preset.energy,
        "convergence": preset.convergence,
        "start": preset.start,
        "basis": preset.basis,
        "install": preset.install,
        "cite": f"{preset.citation}, https://doi.org/{preset.doi}",
        "keywords": json.dumps(preset.keywords),
        "retry_keywords": json.dumps(preset.retry_keywords),
    }


def _show(preset: "EnginePreset", python: str | None) -> None:
    lacking = preset.missing(python)
    mark, colour = ("✗", "red") if lacking else ("✓", "green")
    typer.secho(f"{mark} {preset.name:<10}", fg=colour, nl=False)
    typer.echo(f" lacks {lacking}: {preset.install}" if lacking else f" {preset.basis}")
