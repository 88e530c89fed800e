"""A page about a potential: how wrong it is on data, its learning curve, what it costs."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from hyperatom.fitting.errors_of_potentials import Assessment, ErrorRow
from hyperatom.fitting.extrapolation import Extrapolation
from hyperatom.fitting.trust import Trust
from hyperatom.potentials.family import FitStep
from hyperatom.report.comparison import svg
from hyperatom.report.figures import BLUE, INK, RED, styled
from hyperatom.units import MILLI

MOST_ATOMS = 10
"""Extrapolating atoms that are named."""

MOST_POINTS = 4000
"""Force components drawn; of more, so many drawn at random."""


def draw_parity(assessment: Assessment, name: str) -> Figure:
    """Potential against reference, and errors below: energies and force components."""
    with styled():
        figure = Figure(figsize=(8.6, 5.2), layout="constrained")
        panels = figure.subplots(2, 2, height_ratios=(2.2, 1.0))
        forces = assessment.forces
        if len(forces) > MOST_POINTS:
            chosen = np.random.default_rng(0).choice(len(forces), MOST_POINTS, replace=False)
            forces = forces[np.sort(chosen)]
        energies = assessment.energies - assessment.energies[:, :1].mean()
        for column, (pairs, what, unit) in enumerate(
            ((energies, "energy less its mean", "eV/atom"), (forces, "force components", "eV/Å"))
        ):
            above, below = panels[0, column], panels[1, column]
            above.set_title(f"{what}, {name}")
            above.set_ylabel(f"potential ({unit})")
            below.set_xlabel(f"reference ({unit})")
            below.set_ylabel(f"error (m{unit})")
            if not len(pairs):
                continue
            ends = [float(pairs.min()), float(pairs.max())]
            above.plot(ends, ends, color=INK, linewidth=0.6)
            above.plot(*pairs.T, ".", color=BLUE, markersize=2.5, rasterized=True)
            below.axhline(0.0, color=INK, linewidth=0.6)
            wrong = (pairs[:, 1] - pairs[:, 0]) / MILLI
            below.plot(pairs[:, 0], wrong, ".", color=BLUE, markersize=2.5, rasterized=True)
        return figure


def draw_trust(trust: Trust) -> Figure:
    """Errors of energies that were made over those predicted."""
    with styled():
        figure = Figure(figsize=(4.3, 3.4), layout="constrained")
        axes = figure.subplots()
        predicted, found = trust.predicted / MILLI, np.abs(trust.found) / MILLI
        ends = np.array([predicted.min(), predicted.max()])
        for factor, style in ((1.0, "-"), (trust.scale, "--")):
            for width in (1.0, 2.0):
                axes.plot(ends, width * factor * ends, style, color=INK, linewidth=0.6)
        axes.plot(predicted, found, ".", color=BLUE, markersize=3, rasterized=True)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("predicted error of the energy (meV/atom)")
        axes.set_ylabel("error made (meV/atom)")
        return figure


def draw_learning(curve: Sequence[FitStep], axis: str) -> Figure:
    """Errors of energies and forces over what was learned, of frames learned and not learned."""
    with styled():
        figure = Figure(figsize=(8.6, 2.8), layout="constrained")
        amounts = [step.amount for step in curve]
        for place, (axes, what, unit) in enumerate(
            zip(figure.subplots(1, 2), ("energy", "forces"), ("meV/atom", "meV/Å"), strict=True)
        ):
            for name, color in (("training", INK), ("validation", RED)):
                values = [getattr(step, name)[place] / MILLI for step in curve]
                if np.isfinite(values).any():
                    axes.plot(amounts, values, marker="o", markersize=3, color=color, label=name)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlabel(axis)
            axes.set_ylabel(f"root mean square error of {what} ({unit})")
            axes.legend()
        return figure


def write_potential_page(
    path: Path,
    title: str,
    assessments: dict[str, Assessment],
    curve: Sequence[FitStep] = (),
    axis: str = "",
    sentences: Sequence[str] = (),
) -> None:
    """One self-contained page; `assessments` by the name of the frames."""
    style = files("hyperatom.report").joinpath("page.css").read_text(encoding="utf-8")
    sections = []
    if sentences:
        told = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
        sections.append(f"<section><h2>What was done</h2>{told}</section>")
    for name, one in assessments.items():
        picture = svg(draw_parity(one, name))
        sections.append(
            f"<section><h2>Errors on {escape(name)}</h2>{_tables(one)}"
            f'<figure><div class="wide">{picture}</div><figcaption>Root mean square errors with '
            "standard errors (frames taken as independent). One evaluation of energy, forces and "
            f"stress takes {one.microseconds:.1f} µs per atom here.</figcaption></figure>"
            f"{f'<p>{escape(one.far_off)}</p>' if one.far_off else ''}"
            f"{_trusted(one.trust)}{_outside(one.extrapolation)}</section>"
        )
    if curve:
        sections.append(
            "<section><h2>Learning curve</h2><figure><div class='wide'>"
            f"{svg(draw_learning(curve, axis))}</div></figure></section>"
        )
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        f"<header><h1>{escape(title)}</h1></header><main>{''.join(sections)}</main></body></html>\n"
    )
    path.write_text(page, encoding="utf-8")


def _trusted(trust: Trust | None) -> str:
    if trust is None:
        return ""
    return (
        f'<figure><div class="wide">{svg(draw_trust(trust))}</div>'
        f"<figcaption>{escape(trust.sentence())} Lines: one and two predicted errors, as they are "
        "(full) and times the one number that makes them right (broken).</figcaption></figure>"
    )


def _outside(found: Extrapolation | None) -> str:
    if found is None:
        return ""
    listed = "".join(f"<li>{escape(found.name_of(one))}</li>" for one in found.outside[:MOST_ATOMS])
    return f"<p>{escape(found.sentence())}</p><ul>{listed}</ul>"


def _tables(one: Assessment) -> str:
    head = "".join(
        f'<th class="number">{escape(text)}</th>'
        for text in ("frames", "energy (meV/atom)", "forces (meV/Å)", "stress (GPa)")
    )
    rows = "".join(_row(row) for row in (one.total, *one.by_group, *one.by_element))
    return (
        f'<div class="wide"><table><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(row: ErrorRow) -> str:
    cells = (
        f"{row.frames:,}",
        with_error(row.energy, row.energy_error),
        with_error(row.forces, row.forces_error),
        "" if np.isnan(row.stress) else f"{row.stress:.3g}",
    )
    numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
    return f"<tr><td>{escape(row.name)}</td>{numbers}</tr>"


def with_error(value: float, error: float) -> str:
    """3.2 ± 0.4; empty where nothing is known."""
    if np.isnan(value):
        return ""
    return f"{value:.3g}" + ("" if np.isnan(error) else f" ± {error:.1g}")
