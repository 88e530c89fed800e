"""Where atoms have been, on a grid, with the ghost sites laid over it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.hyperspace.candidate_sites import CandidateSites
from hyperatom.errors import InputError
from hyperatom.units import BOHR

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DensityMap:
    """Mean number density of atoms in a cell.

    | field     | shape        | unit | meaning                                              |
    |-----------|--------------|------|------------------------------------------------------|
    | `density` | (n1, n2, n3) | Å^-3 | mean over frames, in voxels along the lattice vectors |
    | `cell`    | (3, 3)       | Å    | lattice vectors as rows                              |
    """

    density: Array
    cell: Array

    def at(self, positions: Array) -> Array:
        """Density in the voxels at `positions` (n, 3) in Å; (n,)."""
        shape = np.array(self.density.shape)
        fractional = positions @ np.linalg.inv(self.cell)
        voxel = np.floor(np.mod(fractional, 1.0) * shape).astype(np.int64) % shape
        return np.asarray(self.density[tuple(voxel.T)])

    def write_cube(
        self,
        path: Path | str,
        sites: Array | None = None,
        numbers: NDArray[np.int64] | None = None,
    ) -> None:
        """Gaussian cube file, in bohr; `sites` (n, 3) in Å become its atoms, of given `numbers`.

        The value at a grid point is the density of the voxel around it.
        """
        points = np.zeros((0, 3)) if sites is None else np.asarray(sites)
        kinds = np.zeros(len(points), dtype=np.int64) if numbers is None else numbers
        shape = np.array(self.density.shape)
        steps = self.cell / shape[:, None] / BOHR
        origin = 0.5 * steps.sum(axis=0)
        lines = ["Mean number density of atoms, bohr^-3", "Atoms: ghost sites of six dimensions"]
        lines.append(_row(len(points), origin))
        lines += [_row(int(n), step) for n, step in zip(shape, steps, strict=True)]
        lines += [
            f"{int(z):5d} {float(z):12.6f}" + "".join(f" {x:12.6f}" for x in point / BOHR)
            for z, point in zip(kinds, points, strict=True)
        ]
        for line in (self.density * BOHR**3).reshape(-1, shape[2]):
            lines += [
                " ".join(f"{x:12.5E}" for x in line[start : start + 6])
                for start in range(0, len(line), 6)
            ]
        Path(path).write_text("\n".join(lines) + "\n", encoding="ascii")


def density_map(frames: Iterable[Array], cell: Array, spacing: float = 0.3) -> DensityMap:
    """Count atoms of frames (n_atoms, 3) in Å, wrapped or not, in voxels about `spacing` Å wide.

    Raises `InputError` without frames or for an impossible spacing.
    """
    lengths = np.linalg.norm(cell, axis=1)
    if not 0.0 < spacing < lengths.min():
        raise InputError(
            f"Voxels of {spacing} Å do not fit into the cell.", "Choose a spacing of about 0.3 Å."
        )
    shape = np.rint(lengths / spacing).astype(np.int64)
    inverse = np.linalg.inv(cell)
    counts = np.zeros(int(shape.prod()), dtype=np.int64)
    n_frames = 0
    for frame in frames:
        fractional = np.mod(np.asarray(frame, dtype=np.float64) @ inverse, 1.0)
        voxel = (fractional * shape).astype(np.int64) % shape
        counts += np.bincount(np.ravel_multi_index(tuple(voxel.T), shape), minlength=counts.size)
        n_frames += 1
    if not n_frames:
        raise InputError("A density map needs at least one frame.")
    volume = abs(np.linalg.det(cell)) / counts.size
    return DensityMap(counts.reshape(shape) / (n_frames * volume), np.asarray(cell))


def ghost_overlay(density: DensityMap, candidates: CandidateSites) -> Array:
    """Density at each candidate site over the mean density of the cell, (n_sites,).

    Above one where atoms dwell: of ghost sites, those that the trajectory visits.
    """
    return np.asarray(density.at(candidates.sites.parallel) / density.density.mean())


def _row(number: int, vector: Array) -> str:
    return f"{number:5d}" + "".join(f" {x:12.6f}" for x in vector)
