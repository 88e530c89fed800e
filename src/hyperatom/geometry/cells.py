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


def minimum_distance(
    positions: NDArray[np.float64], cell: NDArray[np.float64], periodic: NDArray[np.bool_]
) -> float:
    """Shortest distance between two atoms or an atom and an image of itself, in Å.

    Infinite for a single isolated atom.
    """
    from hyperatom.geometry.neighbours import pairs

    n_atoms = len(positions)
    periodic = np.asarray(periodic, dtype=bool)
    if n_atoms < 2 and not periodic.any():
        return float("inf")
    # A radius that must hold a pair: the extent of the atoms or the shortest lattice vector.
    bounds = [float(np.linalg.norm(vector)) for vector in np.asarray(cell)[periodic]]
    if n_atoms > 1:
        bounds.append(float(np.linalg.norm(positions[1:] - positions[:1], axis=1).min()))
    bound = min(bounds)
    radius = min(bound, 3.0)
    while True:
        centre, neighbour, lattice = pairs(positions, cell, periodic, radius)
        if centre.size:
            vectors = positions[neighbour] + lattice @ np.asarray(cell) - positions[centre]
            return float(np.linalg.norm(vectors, axis=1).min())
        radius = min(2.0 * radius, bound * (1.0 + 1e-9)) if radius < bound else radius * 1.01
