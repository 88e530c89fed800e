"""Pictures of tilings with their windows, of chains, and of approximants in perpendicular space."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from hyperatom.errors import InputError
from hyperatom.structures.quasicrystal.approximants import Approximant
from hyperatom.structures.quasicrystal.fibonacci import GOLDEN, Chain
from hyperatom.structures.quasicrystal.tiling import Tiling

# Okabe and Ito's colours, safe for colour-blind readers.
COLOURS: Final = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442", "#101112",
)  # fmt: skip
_STYLE: Final[Any] = {
    "font.family": "sans-serif",
    "font.size": 8.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "hyperatom",
}


def draw_tiling(tiling: Tiling, path: Path) -> None:
    """The tiles in the plane; beside them each window with its vertices, coloured by their star."""
    import matplotlib as mpl
    from matplotlib.collections import PolyCollection

    with mpl.rc_context(_STYLE):
        figure = _figure(8.0, 4.2)
        left, right = figure.subfigures(1, 2)
        plane = left.subplots()
        for colour, (name, corners) in zip(COLOURS, tiling.tiles.items(), strict=False):
            polygons = PolyCollection(
                list(corners @ tiling.directions),
                facecolor=colour, edgecolor="white", linewidth=0.4, alpha=0.75, label=name,
            )  # fmt: skip
            plane.add_collection(polygons)
        plane.autoscale_view()
        _bare(plane, f"{tiling.name}: {len(tiling.vertices)} vertices")
        if tiling.tiles:
            plane.legend(loc="lower left", fontsize=6.5, framealpha=0.9)
        windows = np.unique(tiling.windows)
        columns = 1 if len(windows) == 1 else 2
        panels = right.subplots(-(-len(windows) // columns), columns, squeeze=False).ravel()
        types = tiling.vertex_types()
        shown = [tiling.perpendicular, *tiling.outlines.values()]
        extent = 1.05 * max(float(np.abs(points).max()) for points in shown)
        for panel, window in zip(panels, windows, strict=False):
            here = tiling.windows == window
            if window in tiling.outlines:
                panel.fill(*tiling.outlines[window].T, facecolor="none", edgecolor="#b0b0b0")
            panel.scatter(
                *tiling.perpendicular[here].T,
                s=float(np.clip(6000.0 / len(types), 2.0, 16.0)),
                c=[COLOURS[min(kind, len(COLOURS) - 1)] for kind in types[here]],
                linewidths=0,
            )
            panel.set(xlim=(-extent, extent), ylim=(-extent, extent))
            _bare(panel, "window" if columns == 1 else f"window {window}")
        for panel in panels[len(windows) :]:
            panel.set_axis_off()
        _save(figure, path)


def draw_chain(chain: Chain, path: Path) -> None:
    """Intervals along the line, and the window against the line."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        figure = _figure(8.0, 2.6)
        line, window = figure.subplots(2, 1, height_ratios=[1, 3], sharex=True)
        for start, letter in zip(chain.positions, chain.word, strict=False):
            width = GOLDEN if letter == "L" else 1.0
            line.barh(
                0.0, width, left=start, height=0.8, edgecolor="white", linewidth=0.5,
                color=COLOURS[0 if letter == "L" else 1],
            )  # fmt: skip
        _bare(line, "long and short intervals")
        line.set_aspect("auto")
        window.scatter(chain.positions, chain.perpendicular, s=6.0, color=COLOURS[0])
        window.set(xlabel="position (short intervals)", ylabel="across the line")
        _save(figure, path)


def draw_approximant(approximant: Approximant, path: Path) -> None:
    """Perpendicular space, one panel per class, atoms coloured by species; along a twofold axis."""
    import matplotlib as mpl
    from ase.data import chemical_symbols

    with mpl.rc_context(_STYLE):
        figure = _figure(8.0, 3.0)
        names = approximant.class_names
        panels = figure.subplots(1, len(names), squeeze=False).ravel()
        extent = 1.05 * float(np.abs(approximant.perpendicular).max())
        numbers = approximant.configuration.numbers
        for k, (panel, name) in enumerate(zip(panels, names, strict=True)):
            for colour, z in zip(COLOURS, approximant.configuration.species, strict=False):
                here = (approximant.kinds == k) & (numbers == z)
                if here.any():
                    panel.scatter(
                        *approximant.perpendicular[here][:, :2].T,
                        s=float(np.clip(20000.0 / len(numbers), 4.0, 24.0)),
                        color=colour, linewidths=0, label=chemical_symbols[z],
                    )  # fmt: skip
            panel.set(xlim=(-extent, extent), ylim=(-extent, extent))
            _bare(panel, f"{name}: {int((approximant.kinds == k).sum())} atoms")
            panel.legend(loc="lower left", fontsize=6.5, framealpha=0.9)
        _save(figure, path)


def draw_atoms(atoms: Any, path: Path) -> None:
    """Any atoms, along each Cartesian axis."""
    import matplotlib as mpl
    from ase.visualize.plot import plot_atoms

    with mpl.rc_context(_STYLE):
        figure = _figure(8.0, 3.0)
        views = {"along z": "0x,0y,0z", "along y": "-90x,0y,0z", "along x": "-90x,-90y,0z"}
        for panel, (title, rotation) in zip(figure.subplots(1, 3), views.items(), strict=True):
            plot_atoms(atoms, panel, rotation=rotation)
            _bare(panel, title)
        _save(figure, path)


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _bare(panel: Any, title: str) -> None:
    panel.set(xticks=[], yticks=[])
    panel.set_aspect("equal")
    panel.set_title(title, fontsize=8.0)
    for spine in panel.spines.values():
        spine.set_visible(False)


def _save(figure: Any, path: Path) -> None:
    try:
        figure.savefig(path, dpi=130)
    except ValueError:
        raise InputError(
            f"Pictures cannot be written as {path.suffix or 'files without a suffix'}.",
            "Call it .png, .svg or .pdf.",
        ) from None
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as problem:
        raise InputError(
            f"{path} cannot be written: {problem.strerror}.", "Choose another --plot."
        ) from None
