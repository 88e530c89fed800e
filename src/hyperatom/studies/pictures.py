"""Figures of a study: heat capacities, density of the atoms, perpendicular space."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hyperatom.analysis.density_map import DensityMapResult
from hyperatom.analysis.observation import Observation
from hyperatom.report.comparison import Experiment
from hyperatom.report.figures import INK, SERIES, styled
from hyperatom.studies.observations import harmonic
from hyperatom.studies.six_dimensions import Lifted

MARKS = {"fluctuation": "o", "slope": "s", "MBAR": "^", "inherent structures": "v"}


def _panels(count: int, width: float, height: float) -> tuple[Figure, Any]:
    columns = min(count, 2)
    rows = -(-count // columns)
    figure = Figure(layout="constrained", figsize=(width * columns, height * rows))
    panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels


def draw_heat_capacities(
    by_member: Mapping[str, Observation],
    n_atoms: Mapping[str, int],
    experiment: Sequence[Experiment] = (),
) -> Figure:
    """A panel for each member: the three ways with errors, the line of Dulong and Petit."""
    with styled():
        figure, panels = _panels(len(by_member), 4.3, 3.2)
        for axes, (name, observed) in zip(panels, by_member.items(), strict=False):
            for index, (way, curve) in enumerate(observed.curves.items()):
                axes.errorbar(
                    curve.x, curve.y, curve.error, fmt=MARKS.get(way, "o"), markersize=4,
                    capsize=2, linewidth=0.8, color=SERIES[index % len(SERIES)], label=way,
                )  # fmt: skip
            axes.axhline(harmonic(n_atoms[name]), color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
            for one in experiment:
                axes.errorbar(one.x, one.y, one.error, fmt="x", color=INK, markersize=4,
                              linewidth=0.6, label=one.name)  # fmt: skip
            axes.set_title(f"{name}; dashes: harmonic")
            axes.set_xlabel(observed.x.label)
            axes.set_ylabel(observed.y.label)
            axes.legend(fontsize=7)
        return figure


def draw_densities(maps: Mapping[float, DensityMapResult], lifted: Sequence[Lifted] = ()) -> Figure:
    """Density along the shortest edge of the cell, coldest and hottest.

    Of an approximant, rings are its empty sites of six dimensions, the larger the more an atom has
    been there at that temperature; sites that were never occupied are left out.
    """
    visited = {one.kelvin: one for one in lifted}
    with styled():
        shown = sorted({min(maps), max(maps)})
        figure, panels = _panels(len(shown), 4.3, 3.4)
        for axes, kelvin in zip(panels, shown, strict=False):
            one = maps[kelvin]
            axis = int(np.argmin(np.linalg.norm(one.first.cell, axis=1)))
            a, b = (k for k in range(3) if k != axis)
            plane = one.density.mean(axis=axis)
            edges = np.linalg.norm(one.first.cell, axis=1)
            cosine = float(one.first.cell[a] @ one.first.cell[b] / edges[a] / edges[b])
            u = np.linspace(0.0, edges[a], plane.shape[0] + 1)
            v = np.linspace(0.0, edges[b], plane.shape[1] + 1)
            x = u[:, None] + v[None, :] * cosine
            y = np.broadcast_to(v[None, :] * (1.0 - cosine**2) ** 0.5, x.shape)
            drawn = axes.pcolormesh(x, y, plane, cmap="magma", rasterized=True, shading="flat")
            if kelvin in visited:
                sites, ghosts = visited[kelvin].candidates, ~visited[kelvin].candidates.occupied
                share = visited[kelvin].occupation[ghosts]
                places = sites.sites.parallel[ghosts] @ np.linalg.inv(one.first.cell) % 1.0
                across, up = places[:, a] * edges[a], places[:, b] * edges[b]
                axes.scatter(
                    across + up * cosine, up * (1.0 - cosine**2) ** 0.5, s=60.0 * share,
                    facecolors="none", edgecolors="white", linewidths=0.6,
                )  # fmt: skip
            axes.set_aspect("equal")
            axes.set_title(f"{kelvin:g} K, along {'abc'[axis]}")
            axes.set_xlabel("Å")
            axes.set_ylabel("Å")
            axes.grid(visible=False)
            figure.colorbar(drawn, ax=axes, label=f"{one.species}, 1/Å³", shrink=0.8)
        return figure


def draw_perpendicular(lifted: Sequence[Lifted]) -> Figure:
    """Occupied sites in perpendicular space, by class: rings are sites inside the windows."""
    with styled():
        shown = [lifted[0]] if len(lifted) == 1 else [lifted[0], lifted[-1]]
        names = [
            (k, name)
            for k, name in enumerate(lifted[0].candidates.names)
            if (lifted[0].candidates.sites.kinds == k).any()
        ]
        figure = Figure(layout="constrained", figsize=(2.3 * len(names), 2.5 * len(shown)))
        grid = figure.subplots(len(shown), len(names), squeeze=False)
        extent = 1.05 * float(np.abs(lifted[0].candidates.sites.perpendicular).max())
        for row, one in zip(grid, shown, strict=True):
            sites, occupation = one.candidates.sites, one.occupation
            for axes, (k, name) in zip(row, names, strict=True):
                members = sites.kinds == k
                x, y = sites.perpendicular[members][:, :2].T
                inside = one.candidates.occupied[members]
                axes.scatter(x[inside], y[inside], s=26, facecolors="none", edgecolors=SERIES[0],
                             linewidths=0.5)  # fmt: skip
                drawn = axes.scatter(x, y, s=10, c=occupation[members], cmap="viridis_r", vmin=0.0,
                                     vmax=1.0, linewidths=0)  # fmt: skip
                axes.set_title(f"{name}, {one.kelvin:g} K")
                axes.set(xlim=(-extent, extent), ylim=(-extent, extent))
                axes.set_aspect("equal")
                axes.grid(visible=False)
            row[0].set_ylabel("across (Å)")
            figure.colorbar(drawn, ax=list(row), label="occupation", shrink=0.8)
        return figure
