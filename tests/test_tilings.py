"""Tilings by cut and projection, against substitution, which knows of no higher dimension."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from hyperatom.errors import InputError
from hyperatom.geometry.quadratic_integers import signs
from hyperatom.structures.quasicrystal.ammann_beenker import (
    ammann_beenker,
    ammann_beenker_approximant,
)
from hyperatom.structures.quasicrystal.dodecagonal import dodecagonal, dodecagonal_approximant
from hyperatom.structures.quasicrystal.exact_window import determinant
from hyperatom.structures.quasicrystal.fibonacci import (
    GOLDEN,
    fibonacci_approximant,
    fibonacci_chain,
)
from hyperatom.structures.quasicrystal.orders import parse_order
from hyperatom.structures.quasicrystal.penrose import penrose, penrose_approximant
from hyperatom.structures.quasicrystal.tiling import polygon_areas

SILVER = 1.0 + np.sqrt(2.0)
GENERIC = ("1/7", "-2/9", "1/3", "-1/4", "-1/252")

# Substitution of words.


def fibonacci_word(generations: int, seed: str = "L") -> str:
    for _ in range(generations):
        seed = "".join("SL" if letter == "L" else "L" for letter in seed)
    return seed


# Deflation of Robinson triangles. Points are tuples of whole numbers, sums of fifth roots of unity.


def canonical(points) -> np.ndarray:
    points = np.asarray(points)
    return points - points[..., -1:]


def times_golden(points) -> np.ndarray:
    return points + np.roll(points, 1, axis=-1) + np.roll(points, -1, axis=-1)


def deflate_robinson(acute, obtuse) -> tuple[np.ndarray, np.ndarray]:
    """Triangles (n, 3, 5) with corners A (apex), B, C, as large as before: the plane grows."""
    a, b, c = np.moveaxis(acute, 1, 0)
    p = times_golden(a) + b - a
    a, b, c = times_golden(a), times_golden(b), times_golden(c)
    acute_children, obtuse_children = [(c, p, b)], [(p, c, a)]
    a2, b2, c2 = np.moveaxis(obtuse, 1, 0)
    q, r = times_golden(b2) + a2 - b2, times_golden(b2) + c2 - b2
    a2, b2, c2 = times_golden(a2), times_golden(b2), times_golden(c2)
    acute_children += [(r, q, a2)]
    obtuse_children += [(r, c2, a2), (q, r, b2)]
    return tuple(
        np.concatenate([np.stack(corners, axis=1) for corners in children])
        for children in (acute_children, obtuse_children)
    )


def robinson_edges(acute, obtuse) -> set:
    """Edges of the rhombs: the two equal sides of each triangle."""
    triangles = canonical(np.concatenate([acute, obtuse]))
    sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [0, 2]]])
    return as_edges(sides)


def as_edges(sides) -> set:
    return {frozenset((tuple(a), tuple(b))) for a, b in canonical(sides).tolist()}


def within(edges, directions, radius) -> set:
    place = {}
    for edge in edges:
        for end in edge:
            place[end] = np.hypot(*(np.array(end) @ directions))
    return {edge for edge in edges if max(place[end] for end in edge) <= radius}


def wheel() -> np.ndarray:
    """Ten acute triangles around the origin, every other one reflected."""
    unit = np.eye(5, dtype=int)
    rays = [unit[k // 2] if k % 2 == 0 else -unit[(k + 5) // 2 % 5] for k in range(10)]
    zero = np.zeros(5, dtype=int)
    return np.array(
        [
            (zero, *((x, y) if k % 2 else (y, x)))
            for k, (x, y) in enumerate(pairwise([*rays, rays[0]]))
        ]
    )


@pytest.mark.parametrize("generations", [6, pytest.param(7, marks=pytest.mark.slow)])
def test_penrose_is_the_substitution_tiling(generations):
    """Ten triangles, deflated; of the regular tilings with fivefold symmetry two are theirs."""
    acute, obtuse = wheel(), np.empty((0, 3, 5), dtype=int)
    for _ in range(generations):
        acute, obtuse = deflate_robinson(acute, obtuse)
    radius = GOLDEN**generations * np.cos(np.pi / 10) - 2.0
    found = []
    for height in range(1, 5):
        cut = penrose(radius, (Fraction(height, 5),) * 5)
        inside = within(robinson_edges(acute, obtuse), cut.directions, radius)
        assert len(inside) > 700
        found += [(height, sign) for sign in (1, -1) if inside == as_edges(sign * cut.edges)]
    assert found == ([(1, 1), (4, -1)] if generations % 2 else [(2, 1), (3, -1)])


def robinson_triangles(tiling) -> tuple[np.ndarray, np.ndarray]:
    """The halves of the tiling's rhombs; which end of a cut is which, the windows tell."""
    halves = []
    height = dict(zip(map(tuple, tiling.vertices.tolist()), tiling.windows, strict=True))
    for name in ("thin rhomb", "thick rhomb"):
        triangles = []
        for rhomb in tiling.tiles[name]:
            heights = [height[tuple(corner)] for corner in rhomb.tolist()]
            lowest = int(np.argmin(heights))
            low, left, high, right = np.roll(rhomb, -lowest, axis=0)
            b, c = (high, low) if heights[lowest] == 1 else (low, high)
            triangles += [(left, b, c), (right, b, c)]
        halves.append(np.array(triangles))
    return halves[0], halves[1]


@pytest.mark.parametrize("offset", [GENERIC, ("2/5", "1/3", "1/2", "-1/6", "14/15")])
def test_penrose_tilings_of_any_offset_deflate_into_each_other(offset):
    """The offset moves by what multiplies the plane by the golden ratio."""
    coarse = penrose(12.0, offset)
    shares = np.array([Fraction(part) for part in offset])
    moved = tuple(times_golden(shares))
    fine = penrose(12.0, moved)
    children = robinson_edges(*deflate_robinson(*robinson_triangles(coarse)))
    assert within(children, fine.directions, 12.0) == as_edges(fine.edges)


def test_the_singular_fibonacci_chain_is_the_fixed_word():
    """Both ways from the origin stand words that the doubled substitution leaves as they are."""
    chain = fibonacci_chain(900.0, (0, 0))
    origin = int(np.flatnonzero((chain.vertices == 0).all(axis=1))[0])
    left, right = chain.word[:origin], chain.word[origin:]
    fixed = {seed: fibonacci_word(16, seed) for seed in "LS"}
    assert min(len(left), len(right)) > 600
    assert fixed["L"].endswith(left)
    assert fixed[right[0]].startswith(right)


@pytest.mark.parametrize("offset", [("2/7", "3/11"), ("1/3", "1/7"), (5, "-2/3")])
def test_fibonacci_chains_deflate_into_each_other(offset):
    """Long becomes short-long, short becomes long, and the offset moves along."""
    coarse = fibonacci_chain(300.0, offset)
    inflation = np.array([[1, 1], [1, 0]])
    points = coarse.vertices @ inflation
    long = np.array([letter == "L" for letter in coarse.word])
    children = np.concatenate([points, points[:-1][long] + [0, 1]])
    fine = fibonacci_chain(300.0, tuple(inflation @ np.array([Fraction(part) for part in offset])))
    inside = np.abs(children @ [GOLDEN, 1.0]) <= 300.0
    assert sorted(children[inside].tolist()) == sorted(fine.vertices.tolist())


@pytest.mark.parametrize("generations", range(1, 12))
def test_fibonacci_approximants_are_the_substitution_words(generations):
    word = fibonacci_word(generations)
    chain = fibonacci_approximant(word.count("L"), word.count("S"))
    assert len(chain.word) == len(word)
    assert chain.word in word + word  # the same circle of intervals
    length = chain.period @ [GOLDEN, 1.0]
    assert length == pytest.approx(word.count("L") * GOLDEN + word.count("S"))


@pytest.mark.parametrize(("p", "q"), [(3, 1), (7, 5), (1, 4), (13, 9), (0, 1)])
def test_any_approximant_is_as_even_as_can_be(p, q):
    """Words of one length differ by at most one in their number of long intervals."""
    word = fibonacci_approximant(p, q, ("1/3", "1/5")).word
    assert (word.count("L"), word.count("S")) == (p, q)
    for length in range(1, len(word)):
        counts = {(word + word)[i : i + length].count("L") for i in range(len(word))}
        assert max(counts) - min(counts) <= 1


# Substitution of rhombs and half squares. Points are sums of eighth roots of unity.


def turned(points, turns=1) -> np.ndarray:
    for _ in range(turns % 8):
        points = np.concatenate([-points[..., 3:], points[..., :3]], axis=-1)
    return points


def times_root_two(points) -> np.ndarray:
    return turned(points, 1) - turned(points, 3)


def substitute_octagonal(rhombs, halves) -> tuple[np.ndarray, np.ndarray]:
    """Rhombs with acute corners first and third; half squares by their path along two edges."""
    a, b, c, d = np.moveaxis(rhombs, 1, 0)
    along, across = b - a, d - a
    a, b, c, d = (corner + times_root_two(corner) for corner in (a, b, c, d))
    low, high = a + along + across, c - along - across
    new_rhombs = [
        (a, a + along, low, a + across),
        (c, c - along, high, c - across),
        (b, low, d, high),
    ]
    new_halves = [
        (b, low, a + along),
        (d, low, a + across),
        (b, high, c - across),
        (d, high, c - along),
    ]
    x, y, z = np.moveaxis(halves, 1, 0)
    first, second = y - x, z - y
    diagonal = times_root_two(first + second) // 2
    x, y, z = (corner + times_root_two(corner) for corner in (x, y, z))
    inner, far = x + first + diagonal, x + first + diagonal + second
    new_rhombs += [(x, x + first, inner, x + diagonal), (y, y + second, far, inner)]
    new_halves += [(y, inner, x + first), (z, far, y + second), (far, inner, x + diagonal)]
    return (
        np.concatenate([np.stack(corners, axis=1) for corners in new_rhombs]),
        np.concatenate([np.stack(corners, axis=1) for corners in new_halves]),
    )


def test_ammann_beenker_is_the_substitution_tiling():
    unit = np.concatenate([np.eye(4, dtype=int), -np.eye(4, dtype=int)])
    rhombs = np.array(
        [(unit[0] * 0, unit[k], unit[k] + unit[k - 7], unit[k - 7]) for k in range(8)]
    )
    halves = np.empty((0, 3, 4), dtype=int)
    for _ in range(3):
        rhombs, halves = substitute_octagonal(rhombs, halves)
    sides = np.concatenate(
        [rhombs[:, [k, (k + 1) % 4]] for k in range(4)] + [halves[:, [0, 1]], halves[:, [1, 2]]]
    )
    edges = {frozenset((tuple(a), tuple(b))) for a, b in sides.tolist()}
    cut = ammann_beenker(SILVER**3 - 2.0)
    inside = within(edges, cut.directions, SILVER**3 - 2.0)
    assert len(inside) > 800
    assert inside == {frozenset((tuple(a), tuple(b))) for a, b in cut.edges.tolist()}


TILINGS = {
    "Penrose": lambda offset: penrose(9.0, offset),
    "Ammann-Beenker": lambda offset: ammann_beenker(9.0, offset),
    "dodecagonal": lambda offset: dodecagonal(9.0, offset),
}


@pytest.mark.parametrize("offset", ["none", "zero"])
@pytest.mark.parametrize("name", TILINGS)
def test_tiles_fill_the_plane(name, offset):
    """Around every inner vertex the corners of the tiles add up to a full turn, singular or not."""
    dimension = 5 if name == "Penrose" else 4
    tiling = TILINGS[name](None if offset == "none" else (0,) * dimension)
    turns = dict.fromkeys(map(tuple, tiling.vertices.tolist()), 0.0)
    for corners in tiling.tiles.values():
        place = corners @ tiling.directions
        assert (polygon_areas(place) > 0.0).all()
        back, forth = np.roll(place, 1, axis=1) - place, np.roll(place, -1, axis=1) - place
        np.testing.assert_allclose(np.hypot(*np.moveaxis(forth, -1, 0)), 1.0)
        angle = np.arccos(np.clip((back * forth).sum(axis=-1), -1.0, 1.0))
        for corner, here in zip(
            corners.reshape(-1, dimension).tolist(), angle.ravel(), strict=True
        ):
            turns[tuple(corner)] += here
    inner = [np.hypot(*(np.array(p) @ tiling.directions)) < 7.0 for p in turns]
    np.testing.assert_allclose(np.array(list(turns.values()))[inner], 2.0 * np.pi, rtol=1e-12)
    assert sum(inner) > 100


@pytest.mark.parametrize("build", [penrose, ammann_beenker, dodecagonal])
def test_small_patches_are_parts_of_large_ones(build):
    """No vertex is missed, even where its edges lead out of the disc."""
    large = build(12.0)
    distance = np.hypot(*large.positions.T)
    for radius in np.arange(1.0, 8.0, 0.13):
        expected = large.vertices[distance <= radius]
        assert sorted(build(radius).vertices.tolist()) == sorted(expected.tolist())


@pytest.mark.parametrize("name", TILINGS)
def test_vertices_are_the_lattice_points_inside_the_windows(name):
    """Membership by whole numbers is that by geometry: in the drawn polygons and nowhere else."""
    tiling = TILINGS[name](None)
    dimension = tiling.vertices.shape[1]
    power = {"Penrose": 2, "Ammann-Beenker": 3, "dodecagonal": 5}[name]
    angles = power * np.arctan2(*tiling.directions.T[::-1])
    stars = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    vertices = set(map(tuple, tiling.vertices.tolist()))
    shift = tiling.perpendicular[0] - tiling.vertices[0] @ stars
    rise = tiling.windows[0] - tiling.vertices[0].sum()
    axis = np.arange(-3, 4)
    points = np.stack(np.meshgrid(*[axis] * dimension, indexing="ij"), -1).reshape(-1, dimension)
    points = points[np.hypot(*(points @ tiling.directions).T) < 9.0]
    place = points @ stars + shift
    inside = np.zeros(len(points), dtype=bool)
    for height, outline in tiling.outlines.items():
        here = points.sum(axis=1) + rise == height if len(tiling.outlines) > 1 else True
        edge = np.roll(outline, -1, axis=0) - outline
        apart = place[:, None] - outline
        left = edge[:, 0] * apart[..., 1] - edge[:, 1] * apart[..., 0]
        inside |= (left > 0.0).all(axis=1) & here
    found = np.array([tuple(point) in vertices for point in points.tolist()])
    assert found.sum() > 100
    np.testing.assert_array_equal(found, inside)


def test_windows_are_filled_evenly():
    """Fractions of vertices are fractions of areas: pentagons 1 : tau^2, and the known stars."""
    tiling = penrose(25.0, GENERIC)
    share = np.bincount(tiling.windows, minlength=5)[1:] / len(tiling.vertices)
    small, large = 0.5 / (1.0 + GOLDEN**2), 0.5 * GOLDEN**2 / (1.0 + GOLDEN**2)
    np.testing.assert_allclose(share, [small, large, large, small], atol=0.01)
    assert len(set(tiling.vertex_types())) == 7
    assert len(set(ammann_beenker(25.0).vertex_types())) == 6
    thick, thin = (len(tiling.tiles[name]) for name in ("thick rhomb", "thin rhomb"))
    assert thick / thin == pytest.approx(GOLDEN, rel=0.01)


@pytest.mark.parametrize(
    ("p", "q", "thick", "thin"), [(1, 1, 36, 22), (2, 1, 94, 58), (5, 3, 644, 398)]
)
def test_penrose_approximants_close(p, q, thick, thin):
    """A torus of rhombs: as many tiles as vertices, twice as many edges, the known cell."""
    tiling = penrose_approximant(p, q)
    assert (len(tiling.tiles["thick rhomb"]), len(tiling.tiles["thin rhomb"])) == (thick, thin)
    assert len(tiling.vertices) == thick + thin
    assert len(tiling.edges) == 2 * (thick + thin)
    scale = p * GOLDEN + q
    sides = scale * np.array([2.0 + GOLDEN, 2.0 * np.sin(2.0 * np.pi / 5.0)])
    np.testing.assert_allclose(tiling.cell, np.diag(sides), atol=1e-9)
    fractions = tiling.positions @ np.linalg.inv(tiling.cell)
    assert (fractions > -1e-6).all()
    assert (fractions < 1.0).all()


@pytest.mark.parametrize(
    ("p", "q", "tiles"),
    [(2, 1, (4, 12, 2)), (5, 3, (28, 88, 16)), (7, 4, (52, 164, 30)), (26, 15, (724, 2284, 418))],
)
def test_dodecagonal_approximants_close(p, q, tiles):
    """Tiles fill the cell (or `periodic` refuses), on a torus; their shares near the tiling's."""
    for offset in (None, ("1/3", "1/5", "2/7", "1/2")):
        tiling = dodecagonal_approximant(p, q, offset)
        counts = [len(tiling.tiles[name]) for name in ("square", "triangle", "shield")]
        assert len(tiling.vertices) - len(tiling.edges) + sum(counts) == 0
        if offset is None:
            assert tuple(counts) == tiles
    assert np.linalg.norm(tiling.cell, axis=1) == pytest.approx(p + q * 3.0**0.5)
    patch = dodecagonal(40.0)
    whole = [len(patch.tiles[name]) for name in ("square", "triangle", "shield")]
    if q > 10:
        np.testing.assert_allclose(
            np.divide(counts, counts[0]), np.divide(whole, whole[0]), rtol=0.05
        )


def test_a_dodecagonal_window_that_is_none():
    with pytest.raises(InputError, match="sqrt 3"):
        dodecagonal_approximant(1, 1)


def test_approximants_grow_into_the_tiling():
    """The largest approximant looks like the tiling around nearly all of its vertices."""
    tiling = penrose_approximant(8, 5)
    types = tiling.vertex_types()
    assert np.mean(types < 7) > 0.99
    square = ammann_beenker_approximant(7, 5)
    assert len(square.vertices) == 239
    assert len(square.tiles["rhomb"]) == 140
    assert square.cell[0, 0] == pytest.approx(7 + 5 * np.sqrt(2.0))


def test_dodecagonal_density():
    """Density: the window's area, 3, over that of the four-dimensional lattice's cell, 3."""
    tiling = dodecagonal(25.0)
    assert len(tiling.vertices) / (np.pi * 25.0**2) == pytest.approx(1.0, rel=0.02)
    place = tiling.positions
    distance = np.hypot(*(place[:, None] - place[None]).T)
    assert distance[distance > 0].min() == pytest.approx(1.0)


def test_signs_are_exact_where_rounding_fails():
    """Convergents of sqrt 2: a^2 - 2 b^2 alternates between 1 and -1 far beyond 53 bits."""
    a, b = 1, 1
    for k in range(45):
        assert signs(np.array([a]), np.array([-b]), 2)[0] == (-1 if k % 2 == 0 else 1)
        a, b = a + 2 * b, a + b
    assert signs(np.array([0]), np.array([0]), 5)[0] == 0


def test_determinants_are_exact():
    rng = np.random.default_rng(1)
    for _ in range(20):
        matrix = rng.integers(-9, 10, (5, 5))
        assert determinant(list(matrix)) == round(np.linalg.det(matrix))
    assert determinant(list(np.array([[0, 1], [1, 0]]))) == -1


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: penrose(9.0, ("1/2", 0, 0, 0, 0)), "add up to 1/2"),
        (lambda: penrose(9.0, (0, 0)), "has 2 components"),
        (lambda: penrose(9.0, ("x", 0, 0, 0, 0)), "not a list of numbers"),
        (lambda: penrose(0.1), "out of range"),
        (lambda: penrose_approximant(4, 2), "It means 2/1"),
        (lambda: fibonacci_approximant(0, 0), "not that of an approximant"),
        (lambda: parse_order("2-1"), "not an order"),
        (lambda: fibonacci_chain(0.0), "out of range"),
        (lambda: ammann_beenker(9.0, ("1/999983", "1/999979", "1/999961", 0)), "too fine"),
    ],
)
def test_bad_input_is_refused_in_plain_words(build, sentence):
    with pytest.raises(InputError, match=sentence):
        build()
