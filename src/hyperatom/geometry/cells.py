"""Cells: lattice vectors as rows, of which none, some or all are periodic."""

import numpy as np
from numpy.typing import NDArray


def complete_cell(cell: NDArray[np.float64], periodic: NDArray[np.bool_]) -> NDArray[np.float64]:
    """An invertible cell: every non-periodic direction replaced by a unit normal of the others.

    The periodic lattice vectors are kept as they are, so lattice sums do not change; fractional
    coordinates along them become those of the projection onto their span.

    | array      | shape  | unit | meaning                                    |
    |------------|--------|------|--------------------------------------------|
    | `cell`     | (3, 3) | Å    | lattice vectors as rows; zero where absent |
    | `periodic` | (3,)   | -    | periodic along each lattice vector?        |
    | returns    | (3, 3) | Å    | lattice vectors as rows                    |
    """
    periodic = np.asarray(periodic, dtype=bool)
    complete = np.array(cell, dtype=np.float64)
    if periodic.all():
        return complete
    # The last rows of V^T of a singular-value decomposition span what the periodic vectors do not.
    normals = np.linalg.svd(complete * periodic[:, None])[2][int(periodic.sum()) :]
    complete[~periodic] = normals
    return complete


def heights(cell: NDArray[np.float64], periodic: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance between neighbouring lattice planes along each direction.

    The height along direction a is 1/|b_a| with b the reciprocal vectors; it is infinite where the
    cell is not periodic. A cell is thinner than a cutoff r when a height is below r. Shape (3,), Å.
    """
    reciprocal = np.linalg.inv(complete_cell(cell, periodic))
    distances = 1.0 / np.linalg.norm(reciprocal, axis=0)
    return np.where(periodic, distances, np.inf)


def lattice_translations(
    positions: NDArray[np.float64], cell: NDArray[np.float64], periodic: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Whole numbers of lattice vectors by which positions lie outside the cell.

    `positions - translations @ cell` lies inside the cell along the periodic directions;
    translations are zero along the others. `positions` (n_atoms, 3) in Å, returns (n_atoms, 3).
    """
    fractional = positions @ np.linalg.inv(complete_cell(cell, periodic))
    return np.where(periodic, np.floor(fractional), 0.0).astype(np.int64)


def wrap(
    positions: NDArray[np.float64], cell: NDArray[np.float64], periodic: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The images of positions inside the cell along its periodic directions; (n_atoms, 3) in Å."""
    translations = lattice_translations(positions, cell, periodic)
    return positions - translations @ complete_cell(cell, periodic)


def shortest_images(
    vectors: NDArray[np.float64], cell: NDArray[np.float64], periodic: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The shortest of the periodic images of each vector; (..., 3) in Å.

    Shortest among the image nearest in fractional coordinates and its 26 neighbours, which are
    enough unless the cell is so skewed that a reduced one should be used.
    """
    if not np.any(periodic):
        return vectors
    complete = complete_cell(cell, periodic)
    fractional = vectors @ np.linalg.inv(complete)
    wrapped = vectors - np.where(periodic, np.rint(fractional), 0.0) @ complete
    steps = [(-1, 0, 1) if along else (0,) for along in periodic]
    images = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3) @ complete
    every = wrapped[..., None, :] + images
    nearest = np.argmin(np.einsum("...k,...k->...", every, every), axis=-1)
    shortest: NDArray[np.float64] = np.take_along_axis(every, nearest[..., None, None], axis=-2)
    return shortest[..., 0, :]
