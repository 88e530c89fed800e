"""Selection of rows and columns: answers that are known."""

import numpy as np
import pytest

from hyperatom.potentials.features.selection import (
    farthest_points,
    rows_by_leverage,
    selected_columns,
    selected_rows,
)

METHODS = ("farthest_points", "cur")


def clusters(n_clusters=7, each=30, spread=0.02):
    rng = np.random.default_rng(3)
    centres = rng.permutation(np.arange(n_clusters))[:, None] * np.array([1.0, 0.5, -0.7])
    labels = rng.permutation(np.repeat(np.arange(n_clusters), each))
    return centres[labels] + spread * rng.normal(size=(len(labels), 3)), labels


@pytest.mark.parametrize("seed", range(4))
def test_farthest_points_visit_every_cluster_before_any_twice(seed):
    rows, labels = clusters()
    chosen = farthest_points(rows, 7, seed)
    assert sorted(labels[chosen]) == list(range(7))


def test_farthest_points_of_a_line_are_its_ends_then_its_middle():
    rows = np.linspace(0.0, 1.0, 101)[:, None]
    chosen = farthest_points(rows, 4, seed=1)
    start = float(rows[chosen[0], 0])
    far = 0.0 if start > 0.5 else 1.0
    assert float(rows[chosen[1], 0]) == far
    # The farthest from two points is the other end or the middle between them.
    expected = 1.0 - far if abs(1.0 - far - start) > 0.5 * abs(far - start) else 0.5 * (far + start)
    assert float(rows[chosen[2], 0]) == pytest.approx(expected, abs=0.011)


def test_every_further_point_is_nearer_than_the_one_before():
    rows = np.random.default_rng(0).normal(size=(200, 5))
    chosen = farthest_points(rows, 40)
    reach = [
        min(np.linalg.norm(rows[chosen[k]] - rows[other]) for other in chosen[:k])
        for k in range(1, 40)
    ]
    assert np.all(np.diff(reach) <= 1e-12)


@pytest.mark.parametrize("rank", [1, 4, 9])
def test_cur_chooses_rows_that_span_a_matrix_of_low_rank(rank):
    rng = np.random.default_rng(rank)
    matrix = rng.normal(size=(80, rank)) @ rng.normal(size=(rank, 30))
    # Copies of one long row have the greatest leverage: to choose them all would span nothing.
    matrix[:20] = 5.0 * matrix[0]
    chosen = rows_by_leverage(matrix, rank)
    rest = matrix - matrix @ np.linalg.pinv(matrix[chosen]) @ matrix[chosen]
    assert np.abs(rest).max() < 1e-9 * np.abs(matrix).max()


def test_cur_begins_with_the_row_of_greatest_leverage():
    """One row alone in a strong direction against many that share a weak one."""
    matrix = np.zeros((10, 3))
    matrix[:9, 0] = 1.0
    matrix[9, 1] = 10.0
    assert rows_by_leverage(matrix, 2)[0] == 9
    assert rows_by_leverage(matrix, 2)[1] < 9


@pytest.mark.parametrize("method", METHODS)
def test_columns_that_others_repeat_are_left_out(method):
    rng = np.random.default_rng(5)
    own = rng.normal(size=(60, 4))
    matrix = np.concatenate([own, own[:, :1], own[:, 1:2], own[:, 2:3]], axis=1)
    chosen = selected_columns(matrix, 4, method)
    assert np.all(np.diff(chosen) > 0)
    assert np.linalg.matrix_rank(matrix[:, chosen]) == 4


@pytest.mark.parametrize("method", METHODS)
def test_equal_arguments_equal_choice_and_no_row_twice(method):
    rows = np.random.default_rng(1).normal(size=(50, 6))
    rows[10:20] = rows[0]
    chosen = selected_rows(rows, 30, method, seed=4)
    assert len(set(chosen.tolist())) == 30
    np.testing.assert_array_equal(chosen, selected_rows(rows.copy(), 30, method, seed=4))
    assert sorted(selected_rows(rows, 80, method)) == list(range(50))
    assert len(selected_rows(rows[:0], 3, method)) == 0


def test_the_seed_says_where_farthest_points_begin():
    rows = np.random.default_rng(2).normal(size=(50, 6))
    assert len({int(farthest_points(rows, 1, seed)[0]) for seed in range(6)}) > 1
