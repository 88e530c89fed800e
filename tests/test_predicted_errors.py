"""Predicted errors of two parts, each wrong by a factor of its own."""

import numpy as np
import pytest

from hyperatom.fitting.trust import Trust
from hyperatom.potentials.predicted_errors import ENOUGH, deviation, inflations_of


def planted(n, factors, seed=0):
    """Variances of two parts of which now one, now the other is the greater, and normal errors."""
    rng = np.random.default_rng(seed)
    variances = rng.lognormal(0.0, 2.0, (n, 2))
    return deviation(np.array(factors), variances) * rng.normal(size=n), variances


def test_planted_factors_are_found():
    wrong, variances = planted(40_000, (5.0, 0.5))
    np.testing.assert_allclose(inflations_of(wrong, variances), (5.0, 0.5), rtol=0.05)


def test_few_errors_make_better_errors_than_one_factor_for_both():
    """From twenty frames, as in small data sets; of many others it is known what is right."""
    better = []
    for seed in range(20):
        found = inflations_of(*planted(20, (8.0, 0.7), seed))
        wrong, variances = planted(4000, (8.0, 0.7), 1000 + seed)
        common = np.sqrt(np.mean(wrong**2 / variances.sum(axis=1)))
        off = [
            abs(Trust(deviation(one, variances), wrong).coverage(0.68) - 0.68)
            for one in (found, common)
        ]
        better.append(off[0] < off[1])
    assert np.mean(better) > 0.8


def test_parts_that_nothing_tells_apart_share_the_common_factor():
    wrong, variances = planted(200, (2.0, 2.0))
    same = np.repeat(variances[:, :1], 2, axis=1)
    common = np.sqrt(np.mean(wrong**2 / same.sum(axis=1)))
    np.testing.assert_allclose(inflations_of(wrong, same), common, rtol=1e-3)
    alone = inflations_of(wrong, variances[:, :1])
    assert alone == pytest.approx(np.sqrt(np.mean(wrong**2 / variances[:, 0])), rel=1e-3)


def test_too_few_errors_say_nothing():
    wrong, variances = planted(ENOUGH - 1, (9.0, 9.0))
    np.testing.assert_array_equal(inflations_of(wrong, variances), 1.0)
    np.testing.assert_allclose(deviation(2.0, variances), 2.0 * np.sqrt(variances.sum(axis=1)))
