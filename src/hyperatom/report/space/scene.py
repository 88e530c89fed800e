"""A scene in space: configurations to choose from, and isosurfaces of densities around them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final

import numpy as np

from hyperatom.analysis.density_map import DensityMapResult
from hyperatom.analysis.statistics import Array
from hyperatom.configuration import Configuration
from hyperatom.units import BOHR

INSIDE: Final = 0.9
"""Part of the atoms that an isosurface encloses."""

SMOOTHED: Final = 0.15
"""Å; width of the Gaussian with which a density is folded before its surface is drawn."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What can be looked at: configurations by name, mean densities by species, a caption."""

    configurations: Mapping[str, Configuration]
    densities: Mapping[str, DensityMapResult] = field(default_factory=dict)
    caption: str = ""

    def content(self) -> dict[str, Any]:
        """For `space.js`: extended XYZ, cube files and levels (1/bohr^3)."""
        return {
            "configurations": [
                {"name": name, "xyz": extended_xyz(one)}
                for name, one in self.configurations.items()
            ],
            "densities": [
                {
                    "species": species,
                    "cube": periodic_cube(density, one.first.cell, f"density of {species}"),
                    "level": enclosing_level(density) * BOHR**3,
                }
                for species, one in self.densities.items()
                for density in [smoothed(one.density, one.first.cell)]
            ],
            "caption": self.caption,
        }


def smoothed(density: Array, cell: Array, width: float = SMOOTHED) -> Array:
    """A periodic density folded with a Gaussian of `width` (Å) in every direction."""
    whole = [np.fft.fftfreq(n, 1.0 / n) for n in density.shape]
    waves = np.stack(np.meshgrid(*whole, indexing="ij"), axis=-1) @ np.linalg.inv(cell).T
    damping = np.exp(-2.0 * (np.pi * width) ** 2 * np.sum(waves**2, axis=-1))
    found: Array = np.maximum(np.fft.ifftn(np.fft.fftn(density) * damping).real, 0.0)
    return found


def enclosing_level(density: Array, inside: float = INSIDE) -> float:
    """The largest level whose isosurface encloses at least the part `inside` of all atoms."""
    falling = np.sort(density, axis=None)[::-1]
    enclosed = np.cumsum(falling)
    if not enclosed[-1] > 0.0:
        return 0.0
    return float(falling[np.searchsorted(enclosed, inside * enclosed[-1])])


def extended_xyz(configuration: Configuration) -> str:
    """Atoms folded into the cell, to a thousandth of an Å: for the eye, not for computing."""
    from ase.data import chemical_symbols

    positions, cell = configuration.positions, configuration.cell
    comment = "Properties=species:S:1:pos:R:3"
    if np.linalg.matrix_rank(cell, tol=1.0e-6) == 3:
        scaled = positions @ np.linalg.inv(cell)
        scaled = np.where(configuration.periodic, scaled - np.floor(scaled), scaled)
        positions = scaled @ cell
        vectors = " ".join(f"{x:.6f}" for x in cell.ravel())
        comment = f'Lattice="{vectors}" {comment}'
    rows = [
        f"{chemical_symbols[z]} {x:.3f} {y:.3f} {w:.3f}"
        for z, (x, y, w) in zip(configuration.numbers, positions, strict=True)
    ]
    return "\n".join([str(len(rows)), comment, *rows, ""])


def periodic_cube(density: Array, cell: Array, title: str) -> str:
    """Gaussian cube of a density, one voxel over each face, so that surfaces close; 1/bohr^3."""
    voxels = cell / np.array(density.shape)[:, None] / BOHR
    density = np.pad(density, 1, mode="wrap") * BOHR**3
    # A value is the mean over its voxel: it stands in the middle.
    origin = -0.5 * voxels.sum(axis=0)

    def line(count: int, vector: Array) -> str:
        return f"{count} " + " ".join(f"{x:.6f}" for x in vector)

    lines = [title, "1/bohr^3", line(1, origin)]
    lines += [line(n, vector) for n, vector in zip(density.shape, voxels, strict=True)]
    lines.append("1 0.0 0.0 0.0 0.0")
    rows = density.reshape(-1, density.shape[2])
    lines += [" ".join(f"{x:.3g}" for x in row) for row in rows]
    return "\n".join(lines) + "\n"


def inline_scene(scene: Scene, name: str = "space", *, again: bool = False) -> str:
    """The scene as a piece of a page that loads nothing: content, 3Dmol.js, and what drives it.

    `name` tells several scenes of a page apart; with `again` the page has the library already.
    """
    folder = files("hyperatom.report").joinpath("space")
    content = json.dumps(scene.content(), separators=(",", ":")).replace("<", "\\u003c")
    library = ""
    if not again:
        style, three, driver = (
            folder.joinpath(file).read_text(encoding="utf-8")
            for file in ("space.css", "3Dmol-min.js", "space.js")
        )
        library = f"<style>{style}</style>\n<script>{three}</script>\n<script>{driver}</script>\n"
    return (
        f'{library}<div id="{name}"></div>\n'
        f'<script type="application/json" id="{name}-scene">{content}</script>\n'
        f'<script>hyperatomSpace(document.getElementById("{name}"), '
        f'JSON.parse(document.getElementById("{name}-scene").textContent));</script>\n'
    )
