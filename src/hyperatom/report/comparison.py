"""One page, or one folder of figures, for several runs side by side, and experiment beside them."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from hyperatom.analysis.observation import Observation, in_print
from hyperatom.analysis.statistics import Array
from hyperatom.errors import InputError
from hyperatom.report.figures import INK, SERIES, styled

Observations = Mapping[str, Mapping[str, Observation]]
"""Observable by name, and of each what every source says, by the name of the source."""

KINDS = {
    "exact": "static, exact",
    "reweighted": "static, reweighted",
    "machine-learned dynamics": "machine-learned dynamics",
    "as given": "as given",
}


@dataclass(frozen=True, eq=False)
class Experiment:
    """Measured points for one observable: x, y and, where known, their error."""

    name: str
    x: Array
    y: Array
    error: Array | None = None


def read_experiment(path: Path) -> Experiment:
    """A CSV file of two or three columns: x, y, and the error of y; a first line of names may be.

    Raises `InputError` where it is something else.
    """
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(f"{path} cannot be read as CSV.", "Check its name.") from problem
    for number, line in enumerate(lines):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        cells = line.replace(";", ",").replace("\t", ",").split(",")
        try:
            rows.append([float(cell) for cell in cells[:3]])
        except ValueError:
            if rows:
                raise InputError(
                    f"Line {number + 1} of {path} holds something that is not a number.",
                    "Give columns x, y and, if known, the error of y.",
                ) from None
    if not rows or min(map(len, rows)) < 2 or len({len(row) for row in rows}) > 1:
        raise InputError(
            f"{path} has no two or three columns of numbers.",
            "Give columns x, y and, if known, the error of y.",
        )
    table = np.array(rows)
    error = table[:, 2] if table.shape[1] > 2 else None
    return Experiment(path.stem, table[:, 0], table[:, 1], error)


def draw(by_source: Mapping[str, Observation], experiment: Sequence[Experiment] = ()) -> Figure:
    """One figure of an observable: a panel for each curve name, a colour for each source."""
    with styled():
        figure = Figure(layout="constrained")
        names = list(dict.fromkeys(n for one in by_source.values() for n in one.curves))
        if not names:
            _numbers(figure, by_source)
            return figure
        shown = names[:12]
        columns = 1 if len(shown) == 1 else 2
        rows = -(-len(shown) // columns)
        figure.set_size_inches(4.3 * columns, 2.6 * rows)
        panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
        for axes, name in zip(panels, shown, strict=False):
            for index, (source, observed) in enumerate(by_source.items()):
                if name not in observed.curves:
                    continue
                curve = observed.curves[name]
                color = SERIES[index % len(SERIES)]
                few = len(curve.x) < 20
                axes.plot(curve.x, curve.y, color=color, label=source, marker="o" if few else "",
                          markersize=3)  # fmt: skip
                band = 2.0 * np.nan_to_num(curve.error)
                axes.fill_between(curve.x, curve.y - band, curve.y + band, color=color, alpha=0.25,
                                  linewidth=0)  # fmt: skip
                axes.set_xlabel(observed.x.label)
                axes.set_ylabel(observed.y.label)
            if name in ("total", "x-ray", "neutron") or len(shown) == 1:
                for one in experiment:
                    axes.errorbar(one.x, one.y, one.error, fmt=".", color=INK, markersize=3,
                                  linewidth=0.6, label=one.name)  # fmt: skip
                if experiment:
                    axes.legend()
            axes.set_title(in_print(name))
        for axes in panels[len(shown) :]:
            axes.set_visible(False)
        if len(by_source) > 1:
            panels[0].legend()
        return figure


def _numbers(figure: Figure, by_source: Mapping[str, Observation]) -> None:
    names = list(dict.fromkeys(n for one in by_source.values() for n in one.numbers))
    figure.set_size_inches(6.0, 1.2 + 1.2 * len(names))
    panels = np.ravel(figure.subplots(max(len(names), 1), 1, squeeze=False))
    for axes, name in zip(panels, names, strict=False):
        for index, (_, observed) in enumerate(by_source.items()):
            if name in observed.numbers:
                one = observed.numbers[name]
                error = one.error if np.isfinite(one.error) else None
                axes.errorbar(one.value, index, xerr=error, fmt="o", capsize=3,
                              color=SERIES[index % len(SERIES)])  # fmt: skip
                axes.set_xlabel(f"{name} ({one.unit})" if one.unit else name)
        axes.set_yticks(range(len(by_source)), list(by_source))
        axes.set_ylim(-0.7, len(by_source) - 0.3)


def svg(figure: Figure) -> str:
    """The figure as SVG text, without dates."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with styled():
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def write_comparison(
    observations: Observations,
    path: Path,
    experiment: Mapping[str, Sequence[Experiment]] | None = None,
    *,
    title: str = "",
    pictures: Mapping[str, Figure] | None = None,
    first: Sequence[str] = (),
    last: Sequence[str] = (),
) -> None:
    """One self-contained page: what is exact and what is dynamics, then figures and numbers.

    `experiment` holds measured points by the name of the observable. `pictures` are drawn instead
    of the usual figure, `first` and `last` are sections around those of the observables, in HTML.
    """
    style = files("hyperatom.report").joinpath("page.css").read_text(encoding="utf-8")
    sources = list(dict.fromkeys(s for one in observations.values() for s in one))
    sections = [*first, f"<section><h2>What is what</h2>{_kinds(observations)}</section>"]
    for name, by_source in observations.items():
        quantity = next(iter(by_source.values())).quantity
        drawn = (pictures or {}).get(name)
        picture = svg(drawn or draw(by_source, (experiment or {}).get(name, ())))
        notes = dict.fromkeys(note for one in by_source.values() for note in one.notes)
        sections.append(
            f'<section id="{escape(name)}"><h2>{escape(quantity)}</h2>'
            f'<figure><div class="wide">{picture}</div><figcaption>Bands of two standard errors. '
            f"Data: {escape(name)}*.csv and .json beside this page.</figcaption></figure>"
            f"{_table(by_source)}"
            + "".join(f"<p>{escape(note)}</p>" for note in notes)
            + "</section>"
        )
    if not title:
        title = " and ".join(sources) if len(sources) < 4 else f"{len(sources)} runs"
    sections += last
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}\n"
        "@media print { section { break-inside: avoid } }</style></head><body>"
        f"<header><h1>{escape(title)}</h1></header><main>{''.join(sections)}</main></body></html>\n"
    )
    path.write_text(page, encoding="utf-8")


def _kinds(observations: Observations) -> str:
    rows = "".join(
        f"<tr><td>{escape(one.quantity)}</td><td>{escape(source)}</td>"
        f"<td>{escape(KINDS.get(one.kind, one.kind))}</td>"
        f'<td class="number">{one.n_frames:,}</td></tr>'
        for by_source in observations.values()
        for source, one in by_source.items()
    )
    return (
        '<div class="wide"><table><thead><tr><th>observable</th><th>source</th><th>kind</th>'
        f"<th>frames</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _table(by_source: Mapping[str, Observation]) -> str:
    names = list(dict.fromkeys(n for one in by_source.values() for n in one.numbers))
    if not names:
        return ""
    head = "".join(f'<th class="number">{escape(source)}</th>' for source in by_source)
    rows = ""
    for name in names:
        cells = ""
        for one in by_source.values():
            number = one.numbers.get(name)
            told = ""
            if number is not None:
                told = f"{number}<br><small>n_eff {number.n_effective:.3g}</small>"
            cells += f'<td class="number">{told}</td>'
        rows += f"<tr><td>{escape(name)}</td>{cells}</tr>"
    return (
        f'<div class="wide"><table><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
