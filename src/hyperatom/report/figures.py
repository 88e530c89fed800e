"""The figures of a report, as SVG that follows the page's light or dark colours."""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from hyperatom.analysis.radial_distribution import TOTAL
from hyperatom.analysis.statistics import Array, autocorrelation_function, autocorrelation_time
from hyperatom.report.data import ReportData
from hyperatom.units import MILLI

WINDOW: Final = 20
"""Proposals in a running average; more of them where the run is very long."""

MOST_POINTS: Final = 1500
"""Points of a curve beyond which only the extremes of each stretch are drawn."""

# Okabe and Ito's colours, safe for colour-blind readers. In the SVG each becomes a CSS variable.
INK, GRID, SHADE = "#101112", "#d1d2d3", "#e1e2e3"
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9",
)  # fmt: skip
SERIES: Final = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY)
CSS_NAMES: Final = {
    INK: "currentColor", GRID: "var(--grid)", SHADE: "var(--shade)", BLUE: "var(--blue)",
    ORANGE: "var(--orange)", GREEN: "var(--green)", RED: "var(--red)", PURPLE: "var(--purple)",
    SKY: "var(--sky)",
}  # fmt: skip

STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hyperatom",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "axes.labelsize": 8.5,
    "axes.titlesize": 9.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=SERIES),
    "axes.unicode_minus": True,
    "axes.xmargin": 0.015,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "lines.linewidth": 1.3,
    "lines.solid_joinstyle": "round",
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True)
class Picture:
    """A drawn figure: a name for links, the SVG, and a caption in plain text."""

    name: str
    svg: str
    caption: str


@contextmanager
def styled() -> Iterator[None]:
    """What is drawn inside looks like hyperatom's figures, whatever the user's own settings."""
    settings: dict[Any, Any] = {**mpl.rcParamsDefault, **STYLE}
    with mpl.rc_context(settings):
        yield


def draw_all(data: ReportData) -> dict[str, Picture]:
    """Every figure that the data can fill, by name."""
    drawers: tuple[tuple[str, Callable[[ReportData, Figure], str]], ...] = (
        ("guide", _guide),
        ("energy", _energy),
        ("independence", _independence),
        ("structure", _structure),
        ("cost", _cost),
    )
    pictures = {}
    with styled():
        for name, draw in drawers:
            figure = Figure()
            caption = draw(data, figure)
            if caption:
                pictures[name] = Picture(name, _svg(figure, name, caption), caption)
    return pictures


def _guide(data: ReportData, figure: Figure) -> str:
    table = data.proposals
    if len(table) == 0:
        return ""
    figure.set_size_inches(8.6, 4.1)
    window = max(WINDOW, len(table) // 150)
    few = len(table) < 3 * WINDOW
    top, bottom = figure.subplots(2, 1, sharex=True)
    x, y = decimate(table.calls, running_mean(table.accepted.astype(float), window))
    top.plot(x, y, color=BLUE, marker="o" if few else "", markersize=3)
    top.set_ylim(-0.03, 1.03)
    top.set_ylabel("acceptance")

    judged = np.isfinite(table.guide_error)
    calls, error = table.calls[judged], table.guide_error[judged]
    if len(error):
        some = slice(None, None, len(error) // MOST_POINTS + 1)
        bottom.plot(
            calls[some], np.abs(error[some]), ".", color=SKY, markersize=6 if few else 2.5,
            alpha=1.0 if few else 0.6, label="size for one proposal",
        )  # fmt: skip
    if len(error) > 2:
        x, y = decimate(calls[2:], running_deviation(error, window)[2:])
        bottom.plot(x, y, color=RED, label=f"standard deviation over {window}")
    if len(error) and np.abs(error).max() > 0.0:
        bottom.set_yscale("log")
        positive = np.abs(error[error != 0.0])
        bottom.set_ylim(bottom=0.5 * np.quantile(positive, 0.02))
        bottom.yaxis.set_major_formatter(FuncFormatter(_plain))
        bottom.yaxis.set_minor_formatter(NullFormatter())
        bottom.legend(loc="upper right", ncols=2)
    bottom.set_ylabel("guide error (meV/atom)")
    bottom.set_xlabel("reference calls")
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    _mark_freeze((top, bottom), table.calls, table.produced)
    figure.align_ylabels()
    return (
        f"Above: fraction of proposals accepted, over the last {window}, vetoed ones included. "
        "Below: error of the guide's energy difference along a trajectory. "
        "The shaded part was learning and enters no average."
    )


def _energy(data: ReportData, figure: Figure) -> str:
    table = data.proposals
    finite = np.isfinite(table.energy)
    if not finite.any():
        return ""
    figure.set_size_inches(8.6, 3.0)
    trace, beside = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1))
    produced = table.produced & finite
    shown = produced if produced.any() else finite
    centre = table.energy[shown].mean()
    energy = (table.energy - centre) / (MILLI * data.system.n_atoms)
    order = np.arange(1, len(table) + 1)
    walkers = np.unique(table.walker)
    for index, walker in enumerate(walkers):
        own = finite & (table.walker == walker)
        x, y = decimate(order[own], energy[own])
        few = len(x) < WINDOW
        trace.plot(
            x, y, color=SERIES[index % len(SERIES)], linewidth=0.9,
            alpha=0.8 if len(walkers) > 1 else 1.0, label=f"walker {walker}",
            drawstyle="steps-post", marker="o" if few else "", markersize=3,
        )  # fmt: skip
    low, high = energy[shown].min(), energy[shown].max()
    margin = 0.25 * (high - low) or 1.0
    trace.set_ylim(low - margin, high + margin)
    trace.set_xlabel("proposal (all walkers)")
    trace.set_ylabel("energy − mean (meV/atom)")
    trace.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    _mark_freeze((trace,), order, table.produced)
    if 1 < len(walkers) <= len(SERIES):
        trace.legend(loc="upper right", ncols=len(walkers))
    beside.hist(
        energy[shown], bins=_n_bins(int(shown.sum())), orientation="horizontal", color=BLUE,
        alpha=0.75,
    )  # fmt: skip
    beside.set_xlabel("samples")
    beside.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=3))
    text = (
        "Reference energy of the chain after each proposal, and its histogram "
        f"{'in production' if produced.any() else 'so far (no production yet)'}, about the mean "
        f"{centre / data.system.n_atoms:.6f} eV/atom. The axis is fitted to the histogram."
    )
    if produced.any():
        g = autocorrelation_time(table.by_walker(table.energy, produced))
        text += f" Autocorrelation time: {g:.3g} proposals of one walker."
    return text


def _independence(data: ReportData, figure: Figure) -> str:
    table = data.proposals
    judged = table.produced & np.isfinite(table.delta_h)
    series = table.by_walker(table.energy, table.produced)
    if not series or not judged.any():
        return ""
    figure.set_size_inches(8.6, 2.7)
    left, right = figure.subplots(1, 2)
    rho = autocorrelation_function(series)
    g = autocorrelation_time(series)
    n_lags = int(min(len(rho), max(WINDOW, 6 * g) + 1))
    if n_lags and np.isfinite(rho[0]):
        x, y = decimate(np.arange(n_lags), rho[:n_lags])
        left.plot(x, y, color=BLUE, marker="o" if n_lags < 60 else "", markersize=2.5)
    left.axhline(0.0, color=INK, linewidth=0.6)
    left.axvline(g, color=RED, linewidth=1.0, linestyle=(0, (4, 2)))
    left.annotate(
        f"g = {g:.3g}", (g, 0.93), xycoords=("data", "axes fraction"), xytext=(4, 0),
        textcoords="offset points", color=RED,
    )  # fmt: skip
    left.set_ylim(top=1.05)
    left.set_xlabel("lag (proposals of one walker)")
    left.set_ylabel("autocorrelation of energy")
    left.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))

    change = data.beta * table.delta_h[judged]
    clipped = len(change) > 200
    low, high = np.quantile(change, [0.002, 0.998] if clipped else [0.0, 1.0])
    right.hist(
        np.clip(change, low, high), bins=_n_bins(len(change)), color=BLUE, alpha=0.75, density=True
    )
    right.axvline(0.0, color=INK, linewidth=0.8)
    right.set_xlabel("ΔH / kT")
    right.set_ylabel("probability density")
    creutz = data.creutz()
    return (
        "Left: memory of the energy in production; beyond g = 1 + 2 Σρ, samples count as "
        "independent. Right: change of the reference's Hamiltonian along the frozen guide's "
        f"trajectories, in units of kT; reversibility demands ⟨exp(−ΔH/kT)⟩ = 1, measured: "
        f"{creutz}." + (" The outermost bins hold all that lies beyond." if clipped else "")
    )


def _structure(data: ReportData, figure: Figure) -> str:
    result = data.radial_distribution
    if result is None:
        return ""
    pairs = [pair for pair in result.pairs if pair != TOTAL and result.counts[pair].any()]
    if not pairs:
        return ""
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    figure.set_size_inches(8.6, 2.5 * rows if columns > 1 else 2.9)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    for index, (axes, pair) in enumerate(zip(panels, pairs, strict=False)):
        axes.set_prop_cycle(color=[SERIES[index % len(SERIES)]])
        result.plot(axes, [pair])
        axes.axhline(1.0, color=INK, linewidth=0.5, linestyle=(0, (2, 3)))
        axes.set_title(pair.replace("-", "–"))
        if index % columns:
            axes.set_ylabel("")
        if index < len(pairs) - columns:
            axes.set_xlabel("")
    for axes in panels[len(pairs) :]:
        axes.set_visible(False)
    return (
        f"Partial radial distribution functions over {result.n_configurations} configurations "
        f"({result.kind}), with bands of two standard errors."
    )


def _cost(data: ReportData, figure: Figure) -> str:
    ledger = data.ledger
    parts = (
        ("reference", ledger.seconds_reference, RED),
        ("guide", ledger.seconds_guide, BLUE),
        ("fit", ledger.seconds_fit, GREEN),
        ("overhead", ledger.seconds_overhead, ORANGE),
    )
    total = sum(seconds for _, seconds, _ in parts)
    if not total > 0.0:
        return ""
    figure.set_size_inches(8.6, 1.15)
    axes = figure.subplots()
    left = 0.0
    unit, size = next(
        (u, s) for u, s in (("h", 3600.0), ("min", 60.0), ("s", 1.0)) if total >= 2 * s or s == 1.0
    )
    for name, seconds, color in parts:
        share = seconds / total
        label = f"{name}, {100 * share:.{0 if share >= 0.1 else 1}f} %"
        axes.barh(0, seconds / size, left=left, color=color, height=0.6, label=label)
        left += seconds / size
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_xlim(0.0, left)
    axes.set_ylim(-0.4, 0.4)
    axes.set_xlabel(f"wall time, summed over workers ({unit})")
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, borderaxespad=0.0,
                handlelength=1.0)  # fmt: skip
    return "Where the time went."


def running_mean(values: Array, window: int = WINDOW) -> Array:
    """Mean of the last `window` values at each place, of fewer at the start."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - window, 0)
    mean: Array = (total[end] - total[start]) / (end - start)
    return mean


def running_deviation(values: Array, window: int = WINDOW) -> Array:
    """Standard deviation of the last `window` values at each place, of fewer at the start."""
    shifted = values - values.mean()
    variance = running_mean(shifted**2, window) - running_mean(shifted, window) ** 2
    deviation: Array = np.sqrt(np.maximum(variance, 0.0))
    return deviation


def decimate(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """At most `MOST_POINTS` points: the smallest and the largest y of each stretch, in order."""
    if len(x) <= MOST_POINTS:
        return x, y
    edges = np.linspace(0, len(y), MOST_POINTS // 2 + 1).astype(int)
    kept: list[int] = []
    for start, end in pairwise(edges):
        stretch = y[start:end]
        kept += sorted({start + int(stretch.argmin()), start + int(stretch.argmax())})
    return x[kept], y[kept]


def _plain(value: float, _position: int | None = None) -> str:
    return f"{value:g}"


def _n_bins(n_values: int) -> int:
    return int(np.clip(2.0 * n_values ** (1.0 / 3.0), 5, 60))


def _mark_freeze(panels: tuple[Any, ...], x: NDArray[Any], produced: NDArray[np.bool_]) -> None:
    """Shade learning, and say where the guide was frozen."""
    if produced.all():
        return
    start = x.min()
    freeze = x[np.argmax(produced)] if produced.any() else x.max()
    for index, axes in enumerate(panels):
        axes.axvspan(start, freeze, color=SHADE, linewidth=0, zorder=0)
        if produced.any():
            axes.axvline(freeze, color=INK, linewidth=0.9, linestyle=(0, (4, 2)))
            if index == 0:
                axes.annotate(
                    "guide frozen", (freeze, 0.05), xycoords=("data", "axes fraction"),
                    xytext=(4, 0), textcoords="offset points",
                )  # fmt: skip


def _svg(figure: Figure, name: str, caption: str) -> str:
    """Inline SVG: ids of its own, colours from the page, no metadata, free to scale."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)
    for color, css in CSS_NAMES.items():
        svg = svg.replace(color, css)
    label = caption.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
