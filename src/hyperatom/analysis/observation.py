"""Observation: what every observable returns, and the one way to draw it and to write it down."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hyperatom.analysis.statistics import Array, Estimate
from hyperatom.trajectory import Kind


@dataclass(frozen=True)
class Axis:
    """What is plotted along one direction: `distance r`, `Å`; no unit where it is a pure number."""

    name: str
    unit: str = ""

    @property
    def label(self) -> str:
        """As it stands beside a figure."""
        unit = self.unit.replace("^2", "²").replace("^3", "³")
        return f"{self.name} ({unit})" if unit else self.name


@dataclass(frozen=True, eq=False)
class Curve:
    """A function with its band.

    | field         | shape       | unit         | meaning                                       |
    |---------------|-------------|--------------|-----------------------------------------------|
    | `x`           | (n_points,) | of the axis  |                                               |
    | `y`           | (n_points,) | of the axis  |                                               |
    | `error`       | (n_points,) | that of `y`  | one standard error; NaN where nothing is known|
    | `n_effective` | scalar      | -            | independent samples behind it; NaN: unknown   |
    """

    x: Array
    y: Array
    error: Array
    n_effective: float = float("nan")


@dataclass(frozen=True, eq=False)
class Observation:
    """An observable with its errors and units.

    | field      | meaning                                                                     |
    |------------|-----------------------------------------------------------------------------|
    | `quantity` | its name                                                                    |
    | `x`, `y`   | axes of the curves                                                          |
    | `curves`   | by name: a pair of species, a species, a weighting                          |
    | `numbers`  | by name: what is read off, or all there is                                  |
    | `kind`     | how the samples came about, see `Kind`                                      |
    | `n_frames` | configurations that were averaged, repeated ones each time                  |
    | `notes`    | sentences that belong beside it                                             |
    | `details`  | arrays that an observable adds: a grid, a histogram in two dimensions       |
    """

    quantity: str
    kind: Kind
    n_frames: int
    x: Axis = field(default_factory=lambda: Axis(""))
    y: Axis = field(default_factory=lambda: Axis(""))
    curves: Mapping[str, Curve] = field(default_factory=dict)
    numbers: Mapping[str, Estimate] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def lines(self) -> list[str]:
        """The numbers in words, one a line, and the notes."""
        width = max((len(name) for name in self.numbers), default=0)
        found = [f"{name:<{width}}  {number}" for name, number in self.numbers.items()]
        warnings = {n.warning for n in self.numbers.values() if n.warning and isfinite(n.value)}
        return [*found, *sorted(warnings), *self.notes]

    def to_csv(self, path: Path | str) -> None:
        """Curves with errors, one row a point; where there is none, the numbers.

        Curves that share their x stand side by side, others below each other under their names.
        """
        curves = list(self.curves.values())
        shared = all(np.array_equal(curves[0].x, one.x) for one in curves) if curves else False
        if not curves:
            lines = ["quantity,value,error,unit,independent samples"]
            lines += [
                f"{_quoted(name)},{_text(n.value)},{_text(n.error)},{_quoted(n.unit)},"
                f"{_text(n.n_effective)}"
                for name, n in self.numbers.items()
            ]
        elif shared:
            names = [t for name in self.curves for t in (f"{self._y} {name}", f"error {name}")]
            lines = [",".join(map(_quoted, [_ascii(self.x.label), *names]))]
            columns = [column for one in curves for column in (one.y, one.error)]
            lines += [",".join(map(_text, row)) for row in zip(curves[0].x, *columns, strict=True)]
        else:
            lines = [",".join(map(_quoted, ["curve", _ascii(self.x.label), self._y, "error"]))]
            for name, one in self.curves.items():
                lines += [
                    ",".join([_quoted(name), *map(_text, row)])
                    for row in zip(one.x, one.y, one.error, strict=True)
                ]
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def to_json(self, path: Path | str) -> None:
        """Everything, with units; NaN becomes null."""
        Path(path).write_text(json.dumps(self.content(), indent=1) + "\n", encoding="utf-8")

    def content(self) -> dict[str, Any]:
        """What `to_json` writes."""
        return {
            "quantity": self.quantity,
            "kind": self.kind,
            "n_frames": self.n_frames,
            "x": {"name": self.x.name, "unit": _ascii(self.x.unit)},
            "y": {"name": self.y.name, "unit": _ascii(self.y.unit)},
            "curves": {
                name: {
                    "x": numbers(one.x),
                    "y": numbers(one.y),
                    "error": numbers(one.error),
                    "n_effective": numbers([one.n_effective])[0],
                }
                for name, one in self.curves.items()
            },
            "numbers": {
                name: {
                    "value": numbers([n.value])[0],
                    "error": numbers([n.error])[0],
                    "n_effective": numbers([n.n_effective])[0],
                    "unit": _ascii(n.unit),
                    "kind": n.kind,
                }
                for name, n in self.numbers.items()
            },
            "notes": list(self.notes),
        }

    def plot(self, axes: Any = None, names: Sequence[str] | None = None) -> Any:
        """Draw the curves with bands of two standard errors; numbers without curves as points.

        Draws into matplotlib `axes`, or into a new figure; returns the axes.
        """
        if axes is None:
            from matplotlib.figure import Figure

            axes = Figure(layout="constrained").subplots()
        if not self.curves:
            places = np.arange(len(self.numbers))
            values = list(self.numbers.values())
            axes.errorbar(places, [n.value for n in values], [n.error for n in values], fmt="o")
            labels = [f"{name}\n({n.unit})" for name, n in self.numbers.items()]
            axes.set_xticks(places, labels)
            return axes
        for name in names or self.curves:
            one = self.curves[name]
            (line,) = axes.plot(one.x, one.y, label=in_print(name))
            band = 2.0 * np.nan_to_num(one.error)
            axes.fill_between(
                one.x, one.y - band, one.y + band, color=line.get_color(), alpha=0.3, linewidth=0
            )
        axes.set_xlabel(self.x.label)
        axes.set_ylabel(self.y.label)
        if len(self.curves) > 1:
            axes.legend(frameon=False)
        return axes

    @property
    def _y(self) -> str:
        return _ascii(self.y.label)


def in_print(name: str) -> str:
    """The name of a curve as it stands beside a figure: a dash between species, `Si–O`."""
    return re.sub(r"\b([A-Z][a-z]?)-(?=[A-Z][a-z]?\b)", r"\1–", name)


def numbers(values: ArrayLike) -> list[float | None]:
    """For JSON, which knows no NaN."""
    return [float(x) if np.isfinite(x) else None for x in np.asarray(values, dtype=np.float64)]


def _text(value: float) -> str:
    return f"{value:.10g}"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text


def _ascii(text: str) -> str:
    for sign, name in (("Å", "angstrom"), ("°", "degree"), ("²", "^2"), ("³", "^3"), ("⁻¹", "^-1")):
        text = text.replace(sign, name)
    return text
