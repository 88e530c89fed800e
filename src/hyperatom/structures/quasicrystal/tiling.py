"""Tilings of the plane by cut and projection: vertices, edges and tiles in exact coordinates."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.geometry.quadratic_integers import Integers
from hyperatom.structures.quasicrystal.exact_window import ExactWindow

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

_LONGEST_DIAGONAL: Final = 2.0
"""No tile is longer, in edges: a disc grown with this margin holds every vertex of the disc."""

_LARGEST_RADIUS: Final = 300.0
"""In edges: some 350 000 vertices, half a gigabyte of memory on the way."""

_BITS: Final = {4: 15, 5: 12}
"""Bits per coordinate of the key of a lattice point."""


@dataclass(frozen=True, eq=False)
class Tiling:
    """A patch of a tiling, or one cell of a periodic one; lengths are in edges.

    A vertex is a whole-number combination of `directions`, hence exact. Corners of edges and tiles
    are given by their own whole numbers: in a periodic tiling they may lie in another cell.

    | field           | shape                          | meaning                                   |
    |-----------------|--------------------------------|-------------------------------------------|
    | `vertices`      | (n_vertices, dimension)        | whole-number coordinates                  |
    | `directions`    | (dimension, 2)                 | projections of the axes, unit vectors     |
    | `perpendicular` | (n_vertices, 2)                | positions in the window                   |
    | `windows`       | (n_vertices,)                  | which window, from 1, holds the vertex    |
    | `stars`         | (n_vertices, n_steps)          | along which unit steps edges leave        |
    | `edges`         | (n_edges, 2, dimension)        | both ends                                 |
    | `tiles`         | name: (n, n_corners, dimension)| corners, in order                         |
    | `periods`       | (2, dimension) or None         | of the periodic approximant               |
    | `steps`         | (n_steps, dimension)           | unit steps by ascending angle             |
    | `outlines`      | number: (n_corners, 2)         | corners of the windows, where unstrained  |
    """

    name: str
    vertices: Integers
    directions: Floats
    perpendicular: Floats
    windows: Integers
    stars: Booleans
    edges: Integers
    tiles: dict[str, Integers]
    periods: Integers | None
    steps: Integers
    outlines: dict[int, Floats]

    @property
    def positions(self) -> Floats:
        """Vertices in the plane; (n_vertices, 2), in edges."""
        return self.vertices @ self.directions

    @property
    def cell(self) -> Floats | None:
        """Periods in the plane as rows, in edges; None where there are none."""
        return None if self.periods is None else self.periods @ self.directions

    def vertex_types(self) -> Integers:
        """Numbers of the vertices' stars up to rotation and reflection, commonest first."""
        n_steps = self.stars.shape[1]
        weights = 2 ** np.arange(n_steps, dtype=np.int64)
        images = [
            np.roll(stars, turn, axis=1) @ weights
            for stars in (self.stars, self.stars[:, ::-1])
            for turn in range(n_steps)
        ]
        _, numbers, counts = np.unique(
            np.min(images, axis=0), return_inverse=True, return_counts=True
        )
        rank = np.empty(len(counts), dtype=np.int64)
        rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
        types: Integers = rank[numbers]
        return types


@dataclass(frozen=True, eq=False)
class TilingRule:
    """What makes a tiling: axes, their images in the window's space, steps and shapes of tiles.

    | field        | shape                | meaning                                             |
    |--------------|----------------------|-----------------------------------------------------|
    | `directions` | (dimension, 2)       | projections of the axes onto the plane              |
    | `stars`      | (dimension, 2)       | their projections onto the window's plane           |
    | `steps`      | (n_steps, dimension) | unit steps by ascending angle                       |
    | `shapes`     | name: turns          | steps around a tile, as turns from the first step   |
    | `outlines`   | number: (n, 2)       | corners of the windows; the sum of the coordinates  |
    |              |                      | of a vertex chooses one of several                  |
    """

    name: str
    directions: Floats
    stars: Floats
    steps: Integers
    shapes: dict[str, tuple[int, ...]]
    outlines: dict[int, Floats]


def patch(rule: TilingRule, window: ExactWindow, radius: float) -> Tiling:
    """Everything of a tiling within `radius` edges of the origin.

    Vertices are reached along edges from one of them. That none is missed: a segment between two
    vertices crosses tiles whose boundaries join the two, and none reaches farther than a diagonal.
    Raises `InputError` for a radius that is too small or too large.
    """
    if not 1.0 <= radius <= _LARGEST_RADIUS:
        raise InputError(
            f"A radius of {radius:g} edges is out of range.", f"Choose 1 to {_LARGEST_RADIUS:g}."
        )
    reach = radius + _LONGEST_DIAGONAL

    def near(points: Integers) -> Booleans:
        near_enough: Booleans = np.hypot(*(points @ rule.directions).T) <= reach
        return near_enough

    def accepted(points: Integers) -> Integers:
        points = points[near(points)]
        return points[window.holds(points)]

    points = _grow(_first_vertex(rule, window), rule.steps, accepted)
    inside = np.hypot(*(points @ rule.directions).T) <= radius + 1e-9
    return _assembled(rule, window, points[inside], None)


def periodic(rule: TilingRule, window: ExactWindow, periods: Integers) -> Tiling:
    """One cell of a tiling that repeats by `periods`, (2, dimension) whole numbers.

    Raises `InputError` where the tiles do not fill the cell: the approximant is too coarse.
    """
    reduce = _reduction(periods)
    start = reduce(_first_vertex(rule, window)[None])[0]
    points = _grow(start, rule.steps, lambda around: reduce(around[window.holds(around)]))
    cell = periods @ rule.directions
    fractions = np.floor(points @ rule.directions @ np.linalg.inv(cell) + 1e-9).astype(np.int64)
    tiling = _assembled(rule, window, points - fractions @ periods, periods)
    areas = sum(float(polygon_areas(c @ rule.directions).sum()) for c in tiling.tiles.values())
    whole = abs(float(np.linalg.det(cell)))
    if abs(areas - whole) > 1e-6 * whole:
        raise InputError(
            f"This approximant of the {rule.name} tiling does not close: its tiles overlap.",
            "Choose an order nearer to the quasiperiodic tiling.",
        )
    return tiling


def convex_outline(points: Floats) -> Floats:
    """Corners of the convex hull of points (n, 2), counter-clockwise."""
    from scipy.spatial import ConvexHull

    outline: Floats = points[ConvexHull(points).vertices]
    return outline


def polygon_areas(corners: Floats) -> Floats:
    """Areas of polygons (n, n_corners, 2), counter-clockwise positive."""
    following = np.roll(corners, -1, axis=1)
    areas: Floats = 0.5 * np.sum(
        corners[..., 0] * following[..., 1] - corners[..., 1] * following[..., 0], axis=1
    )
    return areas


def _first_vertex(rule: TilingRule, window: ExactWindow) -> Integers:
    """The vertex nearest to the origin among the lattice points near it."""
    dimension = len(rule.directions)
    axis = np.arange(-2, 3)
    points = np.stack(np.meshgrid(*[axis] * dimension, indexing="ij"), -1).reshape(-1, dimension)
    found = points[window.holds(points)]
    if not len(found):
        raise InputError("The window holds no vertex near the origin.", "Shift the offset.")
    nearest: Integers = found[np.argmin(np.hypot(*(found @ rule.directions).T))]
    return nearest


def _grow(start: Integers, steps: Integers, accepted: Callable[[Integers], Integers]) -> Integers:
    """All points that steps reach from `start` through accepted points."""
    layers, keys = [start[None]], [_keys(start[None])]
    while len(layers[-1]):
        around = (layers[-1][:, None, :] + steps).reshape(-1, len(start))
        candidates, _ = _unique(around)
        new, found = _unique(accepted(candidates))
        fresh = ~np.isin(found, np.concatenate(keys[-2:]))
        layers.append(new[fresh])
        keys.append(found[fresh])
    return np.concatenate(layers)


def _unique(points: Integers) -> tuple[Integers, Integers]:
    keys, first = np.unique(_keys(points), return_index=True)
    return points[first], keys


def _keys(points: Integers) -> Integers:
    """One whole number for each lattice point."""
    dimension = points.shape[1]
    bits = _BITS[dimension]
    if np.abs(points).max(initial=0) >= 2 ** (bits - 1):
        raise InputError("The patch is too large.", "Choose a smaller radius or order.")
    weights = 2 ** (bits * np.arange(dimension, dtype=np.int64))
    keys: Integers = (points + 2 ** (bits - 1)) @ weights
    return keys


def _reduction(periods: Integers) -> Callable[[Integers], Integers]:
    """A function that takes points to one representative per class modulo the periods."""
    dimension = periods.shape[1]
    pairs = [(i, j) for i in range(dimension) for j in range(i)]
    minors = [periods[0, i] * periods[1, j] - periods[0, j] * periods[1, i] for i, j in pairs]
    best = int(np.argmax(np.abs(minors)))
    (i, j), minor = pairs[best], int(minors[best])
    adjugate = np.array(
        [[periods[1, j], -periods[0, j]], [-periods[1, i], periods[0, i]]], dtype=np.int64
    )

    def reduce(points: Integers) -> Integers:
        reduced: Integers = points - ((points[:, [i, j]] @ adjugate) // minor) @ periods
        return reduced

    return reduce


def _assembled(
    rule: TilingRule, window: ExactWindow, points: Integers, periods: Integers | None
) -> Tiling:
    """Edges, stars and tiles between the vertices."""
    order = np.lexsort(np.round(points @ rule.directions, 9).T)
    points = points[order]
    stars = np.stack([window.holds(points + step) for step in rule.steps], axis=1)
    if periods is None:
        keys = np.sort(_keys(points))

        def present(corners: Integers) -> Booleans:
            return np.isin(_keys(corners), keys)
    else:

        def present(corners: Integers) -> Booleans:
            return window.holds(corners)

    n_steps = len(rule.steps)
    half = n_steps // 2
    edges = [np.stack([points, points + step], axis=1) for step in rule.steps[:half]]
    edges = [ends[present(ends[:, 1])] for ends in edges]
    tiles = {
        name: _polygons(points, rule.steps, turns, present) for name, turns in rule.shapes.items()
    }
    offset = np.array([float(part) for part in window.offset])
    heights = np.round((points + offset).sum(axis=1)).astype(np.int64)
    return Tiling(
        name=rule.name,
        vertices=points,
        directions=rule.directions,
        perpendicular=(points + offset) @ rule.stars,
        windows=heights if len(rule.outlines) > 1 else np.ones_like(heights),
        stars=stars,
        edges=np.concatenate(edges),
        tiles=tiles,
        periods=periods,
        steps=rule.steps,
        outlines=rule.outlines if periods is None else {},
    )


def _polygons(
    points: Integers,
    steps: Integers,
    turns: tuple[int, ...],
    present: Callable[[Integers], Booleans],
) -> Integers:
    """Tiles of one shape in every orientation, each once, all corners being vertices."""
    n_steps = len(steps)
    symmetry = next(k for k in range(1, len(turns) + 1) if _rotates(turns, k, n_steps))
    orbit = (turns[symmetry % len(turns)] - turns[0]) % n_steps or n_steps
    found = []
    for first in range(orbit):
        path = np.cumsum([steps[(first + turn) % n_steps] for turn in turns[:-1]], axis=0)
        whole = np.ones(len(points), dtype=bool)
        for corner in path:
            whole[whole] = present(points[whole] + corner)
        start = points[whole]
        found.append(np.concatenate([start[:, None], start[:, None] + path], axis=1))
    return np.concatenate(found)


def _rotates(turns: tuple[int, ...], k: int, n_steps: int) -> bool:
    """Is the polygon the same, begun `k` corners later and turned?"""
    shifted = np.roll(turns, -k)
    return len(set(((shifted - np.array(turns)) % n_steps).tolist())) == 1
