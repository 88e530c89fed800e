"""Six dimensions of the icosahedron: physical and perpendicular space, and its 120 operations.

Setting of Yamamoto (Acta Crystallographica A 52, 509 (1996)): columns of `PARALLEL` and
`PERPENDICULAR` are the images of the six basis vectors for a lattice constant of 1; twofold axes
lie along x, y, z.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

TAU = (1.0 + 5.0**0.5) / 2.0
SCALE = 1.0 / (2.0 * (2.0 + TAU)) ** 0.5
"""c in the projections: a vector of Cahn indices (h + tau h') has the length c A (h + tau h')."""

PARALLEL: Array = SCALE * np.array(
    [[1, TAU, TAU, 0, -1, 0], [TAU, 0, 0, 1, TAU, 1], [0, 1, -1, -TAU, 0, TAU]]
)
PERPENDICULAR: Array = SCALE * np.array(
    [[TAU, -1, -1, 0, -TAU, 0], [-1, 0, 0, TAU, -1, TAU], [0, TAU, -TAU, 1, 0, -1]]
)


@cache
def operations() -> tuple[Integers, Array, Array]:
    """The icosahedral group in six dimensions, physical and perpendicular space.

    | returned | shape       | meaning                                               |
    |----------|-------------|-------------------------------------------------------|
    | first    | (120, 6, 6) | signed permutations G of the six indices              |
    | second   | (120, 3, 3) | rotations R with `PARALLEL` G = R `PARALLEL`          |
    | third    | (120, 3, 3) | rotations with `PERPENDICULAR` G = R' `PERPENDICULAR` |
    """
    axes = np.concatenate([PARALLEL, -PARALLEL], axis=1) * 2.0**0.5
    cosines = np.round(axes.T @ axes, 6)
    first, second = 0, 1
    third = next(k for k in range(2, 6) if cosines[first, k] > 0 and cosines[second, k] > 0)
    corner = [first, second, third]
    inverse = np.linalg.inv(axes[:, corner])
    found = []
    for image in np.ndindex(12, 12, 12):
        if np.array_equal(cosines[np.ix_(image, image)], cosines[np.ix_(corner, corner)]):
            rotation = axes[:, image] @ inverse
            overlap = axes[:, :6].T @ rotation @ axes[:, :6]
            found.append(np.where(np.abs(overlap) > 0.99, np.round(overlap), 0.0).astype(np.int64))
    signed = np.array(found)
    return (
        signed,
        PARALLEL @ signed @ PARALLEL.T,
        PERPENDICULAR @ signed @ PERPENDICULAR.T,
    )


def phason_strain(periods: NDArray[np.number]) -> Array:
    """The strain E that makes `periods` (6, 3) true periods: x_perp + E x_par = 0 for each.

    A linear phason strain shears perpendicular space along physical space and leaves the latter
    alone. Returns (3, 3), dimensionless. Raises `numpy.linalg.LinAlgError` for coplanar periods.
    """
    return np.asarray(-PERPENDICULAR @ periods @ np.linalg.inv(PARALLEL @ periods))
