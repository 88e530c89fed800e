"""Six dimensions of the icosahedron: projections, group, lattices, windows."""

import numpy as np
import pytest

from hyperatom.errors import InputError
from hyperatom.geometry.icosahedral import (
    PARALLEL,
    PERPENDICULAR,
    SCALE,
    TAU,
    operations,
    phason_strain,
)
from hyperatom.geometry.integer_lattices import shorten, triangulate
from hyperatom.geometry.polyhedra import ConvexPolyhedron, Region
from hyperatom.structures.quasicrystal.icosahedral_lattice import (
    cubic_periods,
    from_cahn,
    orthorhombic_periods,
    rhombohedral_periods,
    translations,
)
from hyperatom.structures.quasicrystal.occupation_domains import (
    body_centre_window,
    convex_hull,
    even_node_window,
    minus,
    odd_node_window,
    triacontahedron,
)


def cube(size: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> ConvexPolyhedron:
    normals = np.concatenate([np.eye(3), -np.eye(3)])
    return ConvexPolyhedron(normals, np.full(6, size / 2.0)).moved(centre)


def test_projections_split_six_dimensions() -> None:
    rows = np.concatenate([PARALLEL, PERPENDICULAR])
    np.testing.assert_allclose(rows @ rows.T, np.eye(6), atol=1e-14)


def test_the_group_acts_alike_on_indices_and_on_both_spaces() -> None:
    signed, physical, perpendicular = operations()
    assert len({g.tobytes() for g in signed}) == 120
    assert np.isclose(np.linalg.det(physical), 1.0).sum() == 60
    for rotations, projection in ((physical, PARALLEL), (perpendicular, PERPENDICULAR)):
        unity = np.broadcast_to(np.eye(3), rotations.shape)
        np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), unity, atol=1e-12)
        np.testing.assert_allclose(projection @ signed, rotations @ projection, atol=1e-12)
    # A fifth of a turn in one space is two fifths in the other.
    fifth = np.isclose(physical.trace(axis1=1, axis2=2), TAU)
    np.testing.assert_allclose(perpendicular[fifth].trace(axis1=1, axis2=2), 1.0 - TAU)
    assert fifth.sum() == 12


def test_points_per_cell_of_the_three_lattices() -> None:
    determinants = {
        t: abs(np.linalg.det(translations(t).astype(float))) / 64.0 for t in ("P", "F", "I")
    }
    assert determinants == pytest.approx({"P": 1.0, "F": 2.0, "I": 0.5})
    assert not ((translations("F") // 2).sum(axis=0) % 2).any()
    with pytest.raises(InputError, match="P, F or I"):
        translations("X")  # type: ignore[arg-type]


@pytest.mark.parametrize(("p", "q"), [(1, 0), (0, 1), (1, 1), (2, 1), (3, 2), (5, 3), (7, 2)])
def test_cubic_periods_and_their_strain(p: int, q: int) -> None:
    periods = cubic_periods(p, q)
    edge = 2.0 * SCALE * (p * TAU + q)
    np.testing.assert_allclose(0.5 * PARALLEL @ periods, edge * np.eye(3), atol=1e-12)
    expected = (p - TAU * q) / (p * TAU + q)
    np.testing.assert_allclose(phason_strain(periods), expected * np.eye(3), atol=1e-12)


def test_strain_of_the_series_falls_as_tau_cubed() -> None:
    values = [phason_strain(cubic_periods(*r))[0, 0] for r in ((1, 1), (2, 1), (3, 2), (5, 3))]
    np.testing.assert_allclose(values, [-(TAU**-3), TAU**-5, -(TAU**-7), TAU**-9], rtol=1e-9)


def test_orthorhombic_and_rhombohedral_cells() -> None:
    periods = orthorhombic_periods([(1, 1), (2, 1), (3, 2)])
    cell = 0.5 * PARALLEL @ periods
    lengths = [2.0 * SCALE * (p * TAU + q) for p, q in ((1, 1), (2, 1), (3, 2))]
    np.testing.assert_allclose(cell, np.diag(lengths), atol=1e-12)
    cell = 0.5 * (PARALLEL @ rhombohedral_periods([1, 0, 0, 0, 0, 0])).T
    metric = cell @ cell.T
    np.testing.assert_allclose(np.diagonal(metric), 0.5)
    np.testing.assert_allclose(np.abs(metric[[0, 0, 1], [1, 2, 2]]), 0.5 / 5.0**0.5)


def test_periods_that_cannot_be() -> None:
    with pytest.raises(InputError, match=r"4/2.*Use 2/1"):
        cubic_periods(4, 2)
    with pytest.raises(InputError, match="coprime"):
        cubic_periods(-1, 1)
    with pytest.raises(InputError, match="coprime"):
        cubic_periods(0, 0)
    with pytest.raises(InputError, match="parities"):
        from_cahn([(1, 0), (0, 0), (0, 0)])
    with pytest.raises(InputError, match="span no cell"):
        rhombohedral_periods([1, 1, 0, 0, 0, 1])


def test_triangular_form_is_exact_and_unimodular() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        matrix = rng.integers(-9, 10, (6, 3))
        unimodular, triangle = triangulate(matrix)
        assert abs(round(float(np.linalg.det(unimodular.astype(float))))) == 1
        np.testing.assert_array_equal(unimodular[:, :3] @ triangle, matrix)
        assert not np.tril(triangle, -1).any()


def test_shortened_bases_span_the_same_lattice() -> None:
    basis = np.array([[1.0, 7.2, -3.0], [0.0, 0.4, 5.0], [0.0, 0.0, 0.3]])
    combination = shorten(basis)
    assert abs(round(float(np.linalg.det(combination.astype(float))))) == 1
    lengths = np.linalg.norm(basis @ combination, axis=0)
    assert np.prod(lengths) < np.prod(np.linalg.norm(basis, axis=0)) / 3.0


def test_triacontahedron_is_the_shadow_of_the_hypercube() -> None:
    corners = np.stack(np.meshgrid(*[[-0.5, 0.5]] * 6, indexing="ij"), axis=-1).reshape(-1, 6)
    shadow = convex_hull(corners @ PERPENDICULAR.T * 2.0**0.5)
    solid = triacontahedron()
    volume = 4.0 * (5.0 + 2.0 * 5.0**0.5) ** 0.5
    assert solid.volume == pytest.approx(volume, rel=1e-8)
    assert shadow.volume == pytest.approx(volume, rel=1e-8)
    points = np.random.default_rng(0).uniform(-1.8, 1.8, (5000, 3))
    np.testing.assert_array_equal(solid.contains(points), shadow.contains(points))
    assert solid.radius == pytest.approx(TAU, rel=1e-9)


def test_volumes_of_unions_and_differences() -> None:
    union = Region((cube(2.0), cube(2.0, (1.0, 1.0, 1.0)), cube(1.0, (9.0, 0.0, 0.0))))
    assert union.volume == pytest.approx(8.0 + 8.0 - 1.0 + 1.0)
    bitten = minus(union, Region((cube(2.0, (-1.0, -1.0, -1.0)), cube(2.0, (0.0, 0.0, 9.0)))))
    assert bitten.volume == pytest.approx(16.0 - 1.0)
    with pytest.raises(InputError, match="holes"):
        minus(union, bitten)
    assert Region((cube(1.0), cube(1.0, (2.0, 0.0, 0.0)))).radius == pytest.approx(
        (2.5**2 + 0.5) ** 0.5
    )


def test_volumes_of_katz_gratias_windows_agree_with_counted_points() -> None:
    rng = np.random.default_rng(1)
    points = rng.uniform(-2.7, 2.7, (200_000, 3))
    for window, expected in (
        (even_node_window(), 52.15),
        (odd_node_window(), 42.74),
        (body_centre_window(), 2.906),
    ):
        assert window.volume == pytest.approx(expected, abs=0.01)
        share = window.volume / 5.4**3
        error = 5.4**3 * (share * (1.0 - share) / len(points)) ** 0.5
        assert abs(window.contains(points).mean() * 5.4**3 - window.volume) < 4.0 * error


def test_points_on_boundaries_are_shared_out_exactly_once() -> None:
    """Cubes that tile space: each point of a grid of corners, edges and faces lies in one."""
    tiles = [cube(1.0, tuple(t)) for t in np.ndindex(4, 4, 4)]  # type: ignore[arg-type]
    grid = np.stack(np.meshgrid(*[np.arange(0.5, 3.0, 0.5)] * 3, indexing="ij"), axis=-1)
    owners = sum(tile.contains(grid.reshape(-1, 3)).astype(int) for tile in tiles)
    assert (owners == 1).all()
    whole, half = Region((cube(2.0),)), Region((cube(1.0, (0.5, 0.5, 0.5)),))
    grid = grid.reshape(-1, 3) - 1.5
    rest = minus(whole, half).contains(grid).astype(int)
    np.testing.assert_array_equal(rest + half.contains(grid), whole.contains(grid))


def test_excess_is_the_distance_in_front_of_a_face() -> None:
    region = minus(Region((cube(2.0),)), Region((cube(1.0),)))
    points = [[0.0, 0.0, 0.0], [0.7, 0.1, 0.0], [1.3, 0.2, 0.0], [0.0, -2.0, 0.0]]
    np.testing.assert_allclose(region.excess(points), [0.5, 0.0, 0.3, 1.0])


def test_balls_inside_across_and_around_a_window() -> None:
    window = odd_node_window()
    assert window.ball_volume(1.58) == pytest.approx(4.0 / 3.0 * np.pi * 1.58**3)
    assert window.ball_volume(9.0) == window.volume
    shell = Region((cube(2.0),)).ball_volume(1.2)
    cap = np.pi * 0.2**2 * (3.6 - 0.2) / 3.0
    assert shell == pytest.approx(4.0 / 3.0 * np.pi * 1.2**3 - 6.0 * cap, rel=2e-3)


def test_polyhedra_that_cannot_be() -> None:
    with pytest.raises(InputError, match="unbounded"):
        _ = ConvexPolyhedron(np.eye(3), np.ones(3)).volume
    with pytest.raises(InputError, match="no polyhedron"):
        convex_hull([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    with pytest.raises(InputError, match="distances make"):
        ConvexPolyhedron(np.eye(3), np.ones(2))
    nothing = Region((cube(1.0).intersection(cube(1.0, (5.0, 0.0, 0.0))),))
    assert nothing.empty
    assert nothing.volume == 0.0
