"""Error bars are tested against chains whose answer is known."""

import math

import numpy as np
import pytest

from hyperatom.analysis.statistics import (
    Estimate,
    autocorrelation_function,
    autocorrelation_time,
    block_jackknife,
    curve_error,
    equilibration,
    estimate_mean,
    split_r_hat,
)
from hyperatom.errors import InputError


def chain(rho: float, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """x_{t+1} = rho x_t + sqrt(1 - rho^2) noise: unit variance, g = (1 + rho)/(1 - rho)."""
    noise = rng.normal(size=n_samples)
    x = np.empty(n_samples)
    x[0] = noise[0]
    for t in range(1, n_samples):
        x[t] = rho * x[t - 1] + math.sqrt(1.0 - rho * rho) * noise[t]
    return x


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6, 0.9, 0.97])
def test_autocorrelation_time_of_a_known_chain(rho: float) -> None:
    rng = np.random.default_rng(1)
    expected = (1.0 + rho) / (1.0 - rho)
    measured = np.mean([autocorrelation_time(chain(rho, 20_000, rng)) for _ in range(5)])
    assert 0.93 * expected < measured < 1.25 * expected


@pytest.mark.parametrize("rho", [-0.3, -0.8])
def test_negative_correlations_are_not_credited(rho: float) -> None:
    rng = np.random.default_rng(2)
    assert 1.0 <= autocorrelation_time(chain(rho, 10_000, rng)) < 1.05


def test_agrees_with_pymbar_or_is_more_careful() -> None:
    from pymbar.timeseries import statistical_inefficiency

    x = chain(0.8, 5_000, np.random.default_rng(3))
    assert autocorrelation_time(x) >= statistical_inefficiency(x) - 1e-6


def test_autocorrelation_function_is_the_direct_sum() -> None:
    x = chain(0.7, 200, np.random.default_rng(4))
    d = x - x.mean()
    direct = [np.dot(d[: len(d) - t], d[t:]) / np.dot(d, d) for t in range(20)]
    np.testing.assert_allclose(autocorrelation_function(x)[:20], direct, atol=1e-12)


@pytest.mark.parametrize(("rho", "n_samples"), [(0.0, 500), (0.5, 1000), (0.9, 4000), (-0.4, 500)])
def test_error_bars_cover_the_truth(rho: float, n_samples: int) -> None:
    rng = np.random.default_rng(5)
    pulls = []
    for _ in range(300):
        result = estimate_mean(3.0 + chain(rho, n_samples, rng), "eV", "exact")
        pulls.append(abs(result.value - 3.0) / result.error)
    one, two = np.mean(np.array(pulls) < 1.0), np.mean(np.array(pulls) < 1.96)
    # 300 repetitions: the coverages themselves are known to 0.027 and 0.013.
    assert one > 0.683 - 0.07
    assert two > 0.95 - 0.035
    if rho >= 0.0:
        assert one < 0.683 + 0.12


def test_rejected_samples_count_again_and_widen_the_error() -> None:
    rng = np.random.default_rng(6)
    acceptance = 0.25
    moves = rng.random(40_000) < acceptance
    x = rng.normal(size=40_000)
    repeated = x[np.maximum.accumulate(np.where(moves, np.arange(40_000), 0))]
    # Independent draws kept with geometric waiting times: rho(t) = (1 - P)^t, g = (2 - P)/P.
    expected = (2.0 - acceptance) / acceptance
    assert autocorrelation_time(repeated) == pytest.approx(expected, rel=0.12)
    naive = repeated.std() / math.sqrt(len(repeated))
    assert estimate_mean(repeated, "eV", "exact").error > 2.3 * naive


def test_shift_and_scale_do_not_matter() -> None:
    """Total energies are large numbers that differ little."""
    x = chain(0.8, 3_000, np.random.default_rng(7))
    assert autocorrelation_time(-98_765.4 + 1e-3 * x) == pytest.approx(
        autocorrelation_time(x), rel=1e-4
    )


def test_walkers_pool_and_disagreement_shows() -> None:
    rng = np.random.default_rng(8)
    walkers = [chain(0.5, 1000 + 10 * w, rng) for w in range(4)]
    pooled = estimate_mean(walkers, "eV", "exact")
    single = estimate_mean(walkers[0], "eV", "exact")
    assert pooled.error == pytest.approx(single.error / 2.0, rel=0.25)
    stuck = [walker + 5.0 * (w % 2) for w, walker in enumerate(walkers)]
    assert estimate_mean(stuck, "eV", "exact").n_effective < 25


def test_r_hat() -> None:
    rng = np.random.default_rng(9)
    walkers = np.stack([chain(0.3, 2000, rng) for _ in range(4)])
    assert split_r_hat(walkers) < 1.01
    assert split_r_hat(walkers + np.array([[0.0], [0.0], [0.0], [1.0]])) > 1.05
    drifting = walkers[:1] + np.linspace(0.0, 3.0, 2000)
    assert split_r_hat(drifting) > 1.1
    wider = walkers * np.array([[1.0], [1.0], [1.0], [3.0]])  # same mean: only the fold sees it
    assert split_r_hat(wider) > 1.05
    assert math.isnan(split_r_hat(np.ones((2, 10))))
    assert math.isnan(split_r_hat([1.0, 2.0, 3.0]))
    assert split_r_hat(np.array([[0.0] * 10, [1.0] * 10])) == math.inf


def test_equilibration_finds_the_ramp() -> None:
    rng = np.random.default_rng(10)
    ramp = np.concatenate([np.linspace(30.0, 0.0, 300), np.zeros(1700)])
    start = equilibration(-5000.0 + ramp + rng.normal(size=2000))
    assert 200 <= start <= 450
    assert equilibration(rng.normal(size=2000)) < 200
    assert equilibration([1.0] * 50) == 0
    assert equilibration([]) == 0


def test_jackknife_of_a_variance() -> None:
    """Var of the sample variance of Gaussian noise: 2 sigma^4 / (n - 1)."""
    x = np.random.default_rng(11).normal(size=20_000)
    value, error = block_jackknife(np.var, x)
    assert value == pytest.approx(1.0, abs=4 * error)
    assert error == pytest.approx(math.sqrt(2.0 / 20_000), rel=0.15)


def test_jackknife_of_a_mean_knows_correlation() -> None:
    rng = np.random.default_rng(12)
    errors = [block_jackknife(np.mean, chain(0.8, 10_000, rng))[1] for _ in range(5)]
    assert np.mean(errors) == pytest.approx(math.sqrt(9.0 / 10_000), rel=0.15)
    curves = np.stack([chain(0.8, 4000, rng) for _ in range(3)], axis=1)
    _, error = block_jackknife(lambda c: c.mean(axis=0), [curves[:2000], curves[2000:]])
    np.testing.assert_allclose(error, math.sqrt(9.0 / 4000), rtol=0.4)
    assert np.isnan(block_jackknife(np.mean, np.array([1.0, 2.0]))[1])


def test_curve_errors_column_by_column() -> None:
    rng = np.random.default_rng(13)
    curves = np.stack([chain(rho, 8000, rng) for rho in (0.0, 0.5, 0.8)], axis=1)
    expected = np.sqrt(np.array([1.0, 3.0, 9.0]) / 8000)
    np.testing.assert_allclose(curve_error(curves), expected, rtol=0.2)
    curves[:, 0] = 0.1  # an empty bin beside full ones
    assert math.isnan(curve_error(curves)[0])  # no error is ever zero
    assert (curve_error(curves)[1:] > 0.0).all()
    assert np.isnan(curve_error(np.ones((50, 2)))).all()


def test_degenerate_series() -> None:
    empty = estimate_mean([], "eV", "exact")
    assert math.isnan(empty.value)
    assert empty.n_effective == 0
    one = estimate_mean([2.0], "eV", "exact")
    assert (one.value, one.n_effective) == (2.0, 1.0)
    assert math.isnan(one.error)
    two = estimate_mean([1.0, 2.0], "eV", "exact")
    assert (two.value, two.error) == (1.5, 0.5)
    stuck = estimate_mean([0.1] * 1000, "eV", "exact")
    assert (stuck.value, stuck.n_effective, stuck.autocorrelation_time) == (0.1, 1.0, 1000.0)
    assert math.isnan(stuck.error)
    assert "never vary" in stuck.warning
    both = estimate_mean([[1.0] * 10, [2.0] * 10], "eV", "exact")  # started apart, never moved
    assert (both.value, both.n_effective) == (1.5, 1.0)
    assert math.isnan(both.error)
    for n_samples in (3, 4, 5, 9):
        short = estimate_mean(np.arange(n_samples), "eV", "exact")
        assert short.error > 0.0
        assert short.warning
    with pytest.raises(InputError, match="1 values that are not finite"):
        estimate_mean([1.0, math.nan], "eV", "exact")


def test_warning_when_short() -> None:
    rng = np.random.default_rng(14)
    assert estimate_mean(chain(0.9, 20_000, rng), "eV", "exact").warning == ""
    assert "Run longer" in estimate_mean(chain(0.9, 300, rng), "eV", "exact").warning


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-3.2145678, 0.000234, "-3.21457(23) eV"),
        (1.6123, 0.00996, "1.612(10) eV"),
        (123.456, 1.234, "123.5(1.2) eV"),
        (123.456, 0.9951, "123.5(1.0) eV"),
        (1234.5, 56.7, "1234(57) eV"),
        (12345.0, 234.0, "12340(230) eV"),
        (1.2345e-9, 1.2e-11, "1.234(12)e-09 eV"),
        (5.0, 0.0, "5(0) eV"),
        (5.25, math.nan, "5.25 eV (error unknown)"),
        (math.nan, math.nan, "unknown eV"),
    ],
)
def test_text(value: float, error: float, text: str) -> None:
    assert str(Estimate(value, error, 100.0, 1.0, "eV", "exact")) == text
