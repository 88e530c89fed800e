"""`hyperatom audit`: how wrong is a trajectory of a cheap or foundation potential?"""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperatom.cli.analyse import Every, Format, Skip, Species, TimeStep, open_source, progress
from hyperatom.cli.problems import plainly
from hyperatom.errors import InputError, ReferenceFailure

if TYPE_CHECKING:
    from collections.abc import Callable

    from hyperatom.contracts import Potential, Reference
    from hyperatom.trajectory import Trajectory

NO_OVERLAP = 1


def audit(
    trajectory: Annotated[
        Path, typer.Option("--trajectory", "-t", help="Configurations that the potential sampled.")
    ],
    reference: Annotated[
        str, typer.Option("--reference", help="The truth: an engine's name, or ase:module.Class.")
    ],
    temperature: Annotated[float, typer.Option("--temperature", "-T", help="K of the trajectory.")],
    potential: Annotated[
        str | None,
        typer.Option(
            "--potential",
            help="What made it: a file or folder, or ase:module.Class; default: its own energies.",
        ),
    ] = None,
    keywords: Annotated[str, typer.Option("--keywords", help="Of the reference, as JSON.")] = "{}",
    potential_keywords: Annotated[
        str, typer.Option("--potential-keywords", help="Of ase:module.Class, as JSON.")
    ] = "{}",
    what: Annotated[
        str, typer.Option("--what", "-w", help="Observables to compare, as in 'analyse'.")
    ] = "rdf",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for tables and figures.")
    ] = Path("audit"),
    time_step: TimeStep = None,
    species: Species = "",
    form: Format = None,
    skip: Skip = 0,
    every: Every = 1,
) -> None:
    """Reweight a trajectory to the reference: plain against reweighted averages, and the overlap.

    Asks the reference once for each frame. Exit code 1 where the ensembles do not overlap.
    """
    with plainly():
        from hyperatom.analysis.audit import audit as weigh
        from hyperatom.analysis.catalogue import OBSERVABLES, choose
        from hyperatom.report.comparison import write_comparison

        wanted = choose([word for word in what.replace(",", " ").split() if word])
        for name in wanted:
            if OBSERVABLES[name].dynamic:
                raise InputError(
                    f"{name} cannot be reweighted: weights belong to configurations, not to paths.",
                    "Audit static observables.",
                )
        with progress() as told:
            samples, _ = open_source(trajectory, form, time_step, species, "as given", told)
            samples = samples.select(skip, None, every)
            if potential is None:
                cheap = samples.energies
            else:
                guide = _evaluator(potential, potential_keywords, samples)
                told(0.0, "asking the potential")
                cheap, _ = _energies(samples, guide, told)
            truth = _evaluator(reference, keywords, samples, engine=True)
            told(0.0, "asking the reference")
            dear, failures = _energies(samples, truth, told)
            found = weigh(samples, cheap, dear, temperature)
            lines: list[str] = []
            pages: dict[str, dict[str, Any]] = {}
            for name in wanted:
                given = {}
                if "temperature" in OBSERVABLES[name].parameters():
                    given["temperature"] = temperature
                plain = OBSERVABLES[name].compute(found.plain, given)
                pages[name] = {"plain": plain}
                if found.reweighted is not None:
                    weighted = OBSERVABLES[name].compute(found.reweighted, given)
                    pages[name]["reweighted"] = weighted
                    lines += found.compare(plain, weighted)
        output.mkdir(parents=True, exist_ok=True)
        for name, both in pages.items():
            for label, observed in both.items():
                observed.to_csv(output / f"{name}-{label}.csv")
                observed.to_json(output / f"{name}-{label}.json")
        write_comparison(pages, output / "audit.html")
        typer.echo(found.verdict)
        for name, number in found.numbers.items():
            typer.echo(f"{name}: {number}")
        for line in lines:
            typer.echo(line)
        if failures:
            typer.echo(f"The reference had no answer for {failures} frames; they are left out.")
        typer.echo(f"Tables and audit.html are in {output}.")
        if found.reweighted is None:
            raise typer.Exit(NO_OVERLAP)


def _evaluator(
    name: str, keywords: str, samples: "Trajectory", *, engine: bool = False
) -> "Potential | Reference":
    """A potential from a file, or an engine by its name or import path."""
    from hyperatom.references.ase_calculator import AseReference
    from hyperatom.references.engine_catalogue import find_engine

    if not engine and not name.startswith("ase:") and Path(name).exists():
        from hyperatom.interchange.potential_formats import read_potential

        symbols = tuple(samples.symbols)
        try:
            return read_potential(name)
        except InputError:
            return read_potential(name, species=symbols)
    try:
        given = json.loads(keywords)
    except ValueError:
        raise InputError(
            f"The keywords '{keywords}' are not JSON.", 'Write them so: {"method": "GFN1-xTB"}'
        ) from None
    preset = find_engine(name, given, {})
    return AseReference.from_preset(preset.prepared(samples.configuration(0), None))


def _energies(
    samples: "Trajectory", potential: "Potential | Reference", told: "Callable[[float, str], None]"
) -> tuple[Any, int]:
    """One energy a frame, eV, NaN where there is none; equal neighbours are asked once."""
    import numpy as np

    energies = np.full(len(samples), np.nan)
    failures = 0
    previous, clock = "", time.monotonic()
    try:
        for number in range(len(samples)):
            configuration = samples.configuration(number)
            digest = configuration.digest()
            if digest == previous:
                energies[number] = energies[number - 1]
                continue
            previous = digest
            try:
                energies[number] = potential.evaluate(configuration).energy
            except ReferenceFailure:
                failures += 1
            if time.monotonic() - clock > 0.2:
                clock = time.monotonic()
                told((number + 1) / len(samples), "")
    finally:
        close = getattr(potential, "close", None)
        if close is not None:
            close()
    return energies, failures
