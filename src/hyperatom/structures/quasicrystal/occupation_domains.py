"""Windows of icosahedral quasicrystals in perpendicular space, in units of the edge a_R."""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from hyperatom.errors import InputError
from hyperatom.geometry.icosahedral import PERPENDICULAR, TAU
from hyperatom.geometry.polyhedra import ConvexPolyhedron, Region

INRADIUS = (1.0 + 2.0 / 5.0**0.5) ** 0.5
"""Distance of the faces of a rhombic triacontahedron of edge 1 from its centre, 1.37638."""


@cache
def triacontahedron(size: float = 1.0) -> ConvexPolyhedron:
    """Rhombic triacontahedron with edges `size`: the projection of the hypercube for `size` 1.

    Volume 4 sqrt(5 + 2 sqrt 5) size^3, fivefold corners at tau size, 30 faces across the twofold
    axes.
    """
    axes = fivefold_axes()[:6]
    normals = np.array([np.cross(axes[i], axes[j]) for i in range(6) for j in range(i)])
    normals = np.concatenate([normals, -normals])
    return ConvexPolyhedron(normals, np.full(30, INRADIUS * size) * np.linalg.norm(normals, axis=1))


@cache
def fivefold_axes() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The twelve fivefold unit vectors of perpendicular space: six images of the basis, then back.

    Shape (12, 3).
    """
    axes = PERPENDICULAR.T * 2.0**0.5
    return np.concatenate([axes, -axes])


def convex_hull(points: ArrayLike) -> ConvexPolyhedron:
    """The smallest convex polyhedron around `points` (n, 3).

    Raises `InputError` if they lie in one plane.
    """
    from scipy.spatial import ConvexHull, QhullError

    try:
        equations = ConvexHull(np.asarray(points, dtype=np.float64)).equations
    except (QhullError, ValueError) as error:
        raise InputError(
            "These points span no polyhedron.", "Give at least four points, not in one plane."
        ) from error
    faces = np.unique(np.round(equations, 10), axis=0)
    return ConvexPolyhedron(faces[:, :3], -faces[:, 3])


def minus(region: Region, excluded: Region) -> Region:
    """What lies in `region` but not in `excluded`, which must itself exclude nothing."""
    if excluded.excluded:
        raise InputError(
            "A region with holes cannot be taken away.", "Take away unions of convex polyhedra."
        )
    return Region(region.included, (*region.excluded, *excluded.included))


@cache
def even_node_window() -> Region:
    """Katz and Gratias: the triacontahedron of edge tau, about nodes with an even index sum."""
    return Region((triacontahedron(TAU),))


@cache
def odd_node_window() -> Region:
    """Katz and Gratias: as for even nodes, less what would lie 0.17 A from an even node.

    Removed are the twelve even windows displaced by tau^3 along the fivefold axes.
    """
    bite = triacontahedron(TAU)
    return Region((bite,), tuple(bite.moved(TAU**3 * axis) for axis in fivefold_axes()))


@cache
def body_centre_window() -> Region:
    """Katz and Gratias: the triacontahedron of edge 1/tau, about body centres of odd sum."""
    return Region((triacontahedron(1.0 / TAU),))
