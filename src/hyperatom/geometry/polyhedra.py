"""Convex polyhedra by half-spaces, and regions made of them: unions less unions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperatom.errors import InputError

Array = NDArray[np.float64]

TOLERANCE = 1e-9
"""Closer than this to a face, a point counts as lying on it."""

DRIFT = np.array([0.5377, 0.2966, 0.7892])
"""Direction in which points on a boundary are pushed; perpendicular to no face that occurs."""


@dataclass(frozen=True, eq=False)
class ConvexPolyhedron:
    """All x with normals · x <= distances.

    A point on a face belongs to the polyhedron if it does after an infinitesimal shift along
    `DRIFT`. The rule is the same for every polyhedron, so polyhedra that share a face share no
    point and leave none out, and complements are exact.

    | field       | shape        | meaning                                            |
    |-------------|--------------|----------------------------------------------------|
    | `normals`   | (n_faces, 3) | outward, of length one                             |
    | `distances` | (n_faces,)   | of the faces from the origin, in any unit of length |
    """

    normals: Array
    distances: Array

    def __post_init__(self) -> None:
        normals = np.array(self.normals, dtype=np.float64).reshape(-1, 3)
        lengths = np.linalg.norm(normals, axis=1)
        distances = np.array(self.distances, dtype=np.float64).reshape(-1)
        if len(distances) != len(normals) or not (lengths > 0.0).all():
            raise InputError(
                f"{len(normals)} normals with {len(distances)} distances make no polyhedron.",
                "Give one distance and one normal of non-zero length for each face.",
            )
        object.__setattr__(self, "normals", normals / lengths[:, None])
        object.__setattr__(self, "distances", distances / lengths)

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Which of `points` (n, 3) lie inside; faces by the rule of the class. Shape (n,)."""
        margin = np.where(self.normals @ DRIFT < 0.0, TOLERANCE, -TOLERANCE)
        heights = np.asarray(points, dtype=np.float64) @ self.normals.T
        return np.asarray((heights <= self.distances + margin).all(axis=1))

    def excess(self, points: ArrayLike) -> Array:
        """How far points lie beyond the face they exceed most; negative inside. Shape (n,)."""
        heights = np.asarray(points, dtype=np.float64) @ self.normals.T
        return np.asarray((heights - self.distances).max(axis=1))

    def intersection(self, other: "ConvexPolyhedron") -> "ConvexPolyhedron":
        """What both contain."""
        return ConvexPolyhedron(
            np.concatenate([self.normals, other.normals]),
            np.concatenate([self.distances, other.distances]),
        )

    def moved(self, shift: ArrayLike) -> "ConvexPolyhedron":
        """The polyhedron displaced by `shift` (3,)."""
        return replace(self, distances=self.distances + self.normals @ np.asarray(shift))

    def scaled(self, factor: float) -> "ConvexPolyhedron":
        """The polyhedron scaled about the origin."""
        return replace(self, distances=self.distances * factor)

    @cached_property
    def innermost(self) -> tuple[Array, float]:
        """Centre and radius of the largest ball inside; a radius of at most zero: it is empty."""
        from scipy.optimize import linprog

        solution = linprog(
            [0.0, 0.0, 0.0, -1.0],
            A_ub=np.column_stack([self.normals, np.ones(len(self.normals))]),
            b_ub=self.distances,
            bounds=[(None, None)] * 4,
        )
        if solution.status == 3:
            raise InputError(
                "A polyhedron is unbounded.", "Add the half-spaces that close it on all sides."
            )
        return np.asarray(solution.x[:3]), float(solution.x[3])

    @property
    def empty(self) -> bool:
        """Has it no volume?"""
        return self.innermost[1] <= TOLERANCE

    @cached_property
    def vertices(self) -> Array:
        """Corners, (n_corners, 3); none if it is empty."""
        from scipy.spatial import HalfspaceIntersection

        if self.empty:
            return np.zeros((0, 3))
        faces = np.column_stack([self.normals, -self.distances])
        corners = HalfspaceIntersection(faces, self.innermost[0]).intersections
        return np.asarray(np.unique(np.round(corners, 12), axis=0))

    @property
    def volume(self) -> float:
        """Volume, in the cube of the unit of the distances."""
        from scipy.spatial import ConvexHull

        return 0.0 if self.empty else float(ConvexHull(self.vertices).volume)

    @property
    def radius(self) -> float:
        """Largest distance of a corner from the origin."""
        return float(np.linalg.norm(self.vertices, axis=1).max(initial=0.0))


@dataclass(frozen=True, eq=False)
class Region:
    """What the `included` polyhedra cover together, less what the `excluded` ones cover."""

    included: tuple[ConvexPolyhedron, ...]
    excluded: tuple[ConvexPolyhedron, ...] = ()

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Which of `points` (n, 3) lie inside; boundaries as for `ConvexPolyhedron`."""
        points = np.asarray(points, dtype=np.float64)
        inside = np.zeros(len(points), dtype=bool)
        for polyhedron in self.included:
            rest = np.flatnonzero(~inside)
            inside[rest] = polyhedron.contains(points[rest])
        for polyhedron in self.excluded:
            rest = np.flatnonzero(inside)
            inside[rest] = ~polyhedron.contains(points[rest])
        return inside

    def excess(self, points: ArrayLike) -> Array:
        """Distance to the region, zero inside: the deepest violation of a face. Shape (n,).

        Beyond edges and corners it is a lower bound of the Euclidean distance.
        """
        points = np.asarray(points, dtype=np.float64)
        beyond = np.full(len(points), np.inf)
        for polyhedron in self.included:
            beyond = np.minimum(beyond, polyhedron.excess(points))
        for polyhedron in self.excluded:
            beyond = np.maximum(beyond, -polyhedron.excess(points))
        return np.asarray(np.maximum(beyond, 0.0))

    def dilated(self, factor: float) -> "Region":
        """The included polyhedra scaled by `factor`, nothing excluded: room for ghost sites."""
        return Region(tuple(polyhedron.scaled(factor) for polyhedron in self.included))

    @cached_property
    def volume(self) -> float:
        """Exact volume, by inclusion and exclusion over the polyhedra that overlap."""
        cut = [a.intersection(b) for a, b in product(self.included, self.excluded)]
        return _union_volume(self.included) - _union_volume(cut)

    @property
    def radius(self) -> float:
        """Largest distance of an included corner from the origin."""
        return max((polyhedron.radius for polyhedron in self.included), default=0.0)

    @property
    def empty(self) -> bool:
        """Has it no volume?"""
        return self.volume <= TOLERANCE

    def ball_volume(self, radius: float) -> float:
        """Volume of the region within `radius` of the origin.

        Exact where the ball lies wholly inside or wholly covers the region; otherwise by 2^17
        points of a Sobol sequence, to about 1e-4 of the ball.
        """
        if radius >= self.radius:
            return self.volume
        ball = 4.0 / 3.0 * np.pi * radius**3
        inside = any((p.distances >= radius).all() for p in self.included)
        if inside and all(_distance_from_origin(p) >= radius for p in self.excluded):
            return ball
        from scipy.stats import qmc

        points = radius * (2.0 * qmc.Sobol(3, scramble=False).random_base2(17) - 1.0)
        points = points[np.linalg.norm(points, axis=1) <= radius]
        return float(ball * self.contains(points).mean())


def _distance_from_origin(polyhedron: ConvexPolyhedron) -> float:
    from scipy.optimize import nnls

    # Dual of min |x| over the polyhedron: a cone fit (Lawson and Hanson 1974, section 23.4).
    matrix = np.vstack([-polyhedron.normals.T, -polyhedron.distances])
    target = np.array([0.0, 0.0, 0.0, 1.0])
    multipliers, residual = nnls(matrix, target)
    if residual <= TOLERANCE:
        return float("inf")
    gap = matrix @ multipliers - target
    return float(np.linalg.norm(gap[:3] / gap[3]))


def _union_volume(polyhedra: Sequence[ConvexPolyhedron]) -> float:
    """Sum over all overlapping subsets, with alternating signs."""
    total, sign = 0.0, 1.0
    single = [(i, p) for i, p in enumerate(polyhedra) if not p.empty]
    level: list[tuple[tuple[int, ...], ConvexPolyhedron]] = [((i,), p) for i, p in single]
    while level:
        total += sign * sum(polyhedron.volume for _, polyhedron in level)
        deeper = []
        for members, polyhedron in level:
            for last, other in single:
                if last > members[-1]:
                    common = polyhedron.intersection(other)
                    if not common.empty:
                        deeper.append(((*members, last), common))
        level, sign = deeper, -sign
    return total
