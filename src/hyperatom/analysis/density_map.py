"""Density of a species on a grid of the cell, for isosurfaces."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperatom.analysis.observation import Axis, Curve, Observation
from hyperatom.analysis.statistics import Array
from hyperatom.analysis.weighted import Samples, as_trajectory
from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.trajectory import Kind
from hyperatom.units import BOHR


@dataclass(frozen=True, eq=False)
class DensityMapResult:
    """Mean number density at the points of a grid, periodic.

    | field     | shape        | unit   | meaning                                            |
    |-----------|--------------|--------|----------------------------------------------------|
    | `density` | (nx, ny, nz) | 1/Å^3  | mean over the voxel                                |
    | `error`   | (nx, ny, nz) | 1/Å^3  | standard error from blocks of the run; NaN: unknown|
    | `first`   | -            | Å      | the first configuration, whose cell the grid spans |
    """

    density: Array
    error: Array
    species: str
    kind: Kind
    n_frames: int
    first: Configuration

    @property
    def observation(self) -> Observation:
        """The profile along each edge of the cell, averaged over the other two."""
        curves = {}
        for axis, name in enumerate("abc"):
            others = tuple(k for k in range(3) if k != axis)
            n = self.density.shape[axis]
            error = np.sqrt(np.nanmean(self.error**2, axis=others) / (self.density.size / n))
            x = (np.arange(n) + 0.5) / n
            curves[name] = Curve(x, self.density.mean(axis=others), error)
        return Observation(
            f"density of {self.species}",
            self.kind,
            self.n_frames,
            Axis("fraction of the edge"),
            Axis("density", "1/Å^3"),
            curves,
            details={"density": self.density, "error": self.error},
        )

    def to_cube(self, path: Path | str) -> None:
        """Gaussian cube: the first configuration and the density in 1/bohr^3."""
        from ase.io import cube

        from hyperatom.interchange.ase_atoms import to_ase

        write: Any = cube.write_cube
        density, comment = self.density * BOHR**3, f"density of {self.species}"
        with Path(path).open("w") as file:
            write(file, to_ase(self.first), density, comment=comment)

    def to_vtk(self, path: Path | str) -> None:
        """Legacy VTK, a structured grid with density and error in 1/Å^3, for ParaView."""
        n = self.density.shape
        axes = [(np.arange(k) + 0.5) / k for k in n]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) @ self.first.cell
        lines = [
            "# vtk DataFile Version 3.0",
            f"density of {self.species}, 1/angstrom^3",
            "ASCII",
            "DATASET STRUCTURED_GRID",
            f"DIMENSIONS {n[0]} {n[1]} {n[2]}",
            f"POINTS {self.density.size} double",
        ]
        points = grid.transpose(2, 1, 0, 3).reshape(-1, 3)
        lines += [f"{x:.8g} {y:.8g} {z:.8g}" for x, y, z in points]
        lines.append(f"POINT_DATA {self.density.size}")
        for name, values in (("density", self.density), ("error", np.nan_to_num(self.error))):
            lines += [f"SCALARS {name} double 1", "LOOKUP_TABLE default"]
            lines += [f"{x:.8g}" for x in values.transpose(2, 1, 0).ravel()]
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class DensityMap:
    """Number density of `species` on voxels of about `spacing` (Å), in fractions of each cell.

    Errors are those of the means of at least ten consecutive blocks of the run.
    """

    species: str = "all"
    spacing: float = 0.25

    def compute(self, samples: Samples) -> DensityMapResult:
        """Count, frame by frame.

        Raises `InputError` where a direction is not periodic, without such atoms, or for a grid too
        fine to hold.
        """
        trajectory = as_trajectory(samples)
        if not trajectory.periodic.all():
            raise InputError(
                f"{trajectory.origin} is not periodic in all directions.",
                "A density map needs a cell.",
            )
        members = trajectory.members(self.species)
        first = trajectory.configuration(0)
        edges = np.linalg.norm(first.cell, axis=1)
        shape = tuple(int(k) for k in np.maximum(1, np.round(edges / self.spacing)))
        size = int(np.prod(shape))
        if not self.spacing > 0.0 or size > 20_000_000:
            raise InputError(
                f"A grid of {self.spacing:g} Å has {size} points.", "Choose a wider spacing."
            )
        n_blocks = min(len(trajectory), 16)
        block = np.arange(len(trajectory)) * n_blocks // len(trajectory)
        sums = np.zeros((n_blocks, size))
        weight = np.zeros(n_blocks)
        for window, frames in trajectory.chunks():
            scaled = frames.positions[:, members] @ np.linalg.inv(frames.cells)
            place = np.floor(scaled % 1.0 * shape).astype(np.int64) % shape
            index = np.ravel_multi_index(tuple(np.moveaxis(place, -1, 0)), shape)
            voxel = np.abs(np.linalg.det(frames.cells)) / size
            own = trajectory.weights[window]
            for row, b, w, volume in zip(index, block[window], own, voxel, strict=True):
                sums[b] += np.bincount(row, minlength=size) * (w / volume)
                weight[b] += w
        mean = sums.sum(axis=0) / weight.sum()
        error = np.full(size, np.nan)
        if n_blocks >= 4:
            share = weight / weight.sum()
            each = sums / np.maximum(weight, 1e-300)[:, None]
            error = np.sqrt(np.sum((share[:, None] * (each - mean)) ** 2, axis=0))
            error *= np.sqrt(n_blocks / (n_blocks - 1))
            error = np.where(error > 0.0, error, np.nan)
        return DensityMapResult(
            mean.reshape(shape), error.reshape(shape), self.species, trajectory.kind,
            len(trajectory), first,
        )  # fmt: skip
