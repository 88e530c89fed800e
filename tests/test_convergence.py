"""Coverage of error bars, covariance of curves, and verdicts, on chains of known answers."""

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from hyperatom.analysis.convergence import autocorrelation_times, convergence
from hyperatom.analysis.covariance import (
    curve_covariance,
    function_of_means,
    simultaneous_factor,
)
from hyperatom.analysis.statistics import autocorrelation_time, curve_error, estimate_mean
from hyperatom.errors import InputError

REPETITIONS = 200


def chain(rho: float, n_samples: int, rng: np.random.Generator, columns: int = 1) -> np.ndarray:
    """x_{t+1} = rho x_t + noise with unit variance, g = (1 + rho)/(1 - rho), (n, columns)."""
    noise = rng.normal(size=(n_samples, columns))
    noise[1:] *= math.sqrt(1.0 - rho * rho)
    return lfilter([1.0], [1.0, -rho], noise, axis=0)


@pytest.mark.parametrize("rho", [0.3, 0.8, 0.95])
def test_autocorrelation_time_within_ten_per_cent(rho: float) -> None:
    rng = np.random.default_rng(1)
    g = (1.0 + rho) / (1.0 - rho)
    n_samples = int(3000 * g)
    found = [autocorrelation_time(chain(rho, n_samples, rng)[:, 0]) for _ in range(8)]
    assert np.mean(found) == pytest.approx(g, rel=0.1)
    times = autocorrelation_times(chain(rho, n_samples, rng)[:, 0])
    assert set(times) == {"sokal", "positive", "blocks", "cautious"}
    for name, time in times.items():
        assert time == pytest.approx(g, rel=0.35 if name == "blocks" else 0.2), name


def coverage(pulls: list[float]) -> float:
    assert len(pulls) == REPETITIONS
    return float(np.mean(np.abs(pulls) < 1.0))


@pytest.mark.parametrize(("rho", "n_samples"), [(0.0, 600), (0.8, 3000)])
def test_two_thirds_of_the_error_bars_hold_the_truth(rho: float, n_samples: int) -> None:
    """68 % bands cover between 63 and 73 % of 200 repetitions: means, a function of means, curves.

    The function, <x>^2 <y>^2 / <z>, is far from linear within the spread of a sample. The curve has
    50 points that are correlated among each other; its coverage is that of all points together.
    """
    rng = np.random.default_rng(8)
    mean, nonlinear, curve, whole = [], [], [], []
    mixing = np.exp(-0.5 * ((np.arange(50)[:, None] / 10.0 - np.arange(5)) / 0.7) ** 2)
    for _ in range(REPETITIONS):
        x = chain(rho, n_samples, rng, 3)
        estimate = estimate_mean(x[:, 0], "eV", "exact")
        mean.append(estimate.value / estimate.error)
        value, error = function_of_means(lambda m: m[0] ** 2 * m[1] ** 2 / m[2], 2.0 + x)
        nonlinear.append(float((value - 8.0) / error))
        curves = chain(rho, n_samples, rng, 5) @ mixing.T
        pulls = curves.mean(axis=0) / curve_error(curves)
        curve.append(float(np.mean(np.abs(pulls) < 1.0)))
        if len(whole) < 60:
            factor = simultaneous_factor(curve_covariance(curves))
            whole.append(bool((np.abs(pulls) < factor).all()))
    assert 0.63 < coverage(mean) < 0.73
    assert 0.63 < coverage(nonlinear) < 0.73
    assert 0.63 < np.mean(curve) < 0.73
    assert 0.50 < np.mean(whole) < 0.82  # 60 repetitions: known to 0.06


def test_covariance_of_a_curve() -> None:
    rng = np.random.default_rng(3)
    independent = chain(0.6, 40_000, rng, 2)
    curves = independent @ np.array([[1.0, 0.8, 0.0], [0.0, 0.6, 2.0]])
    exact = np.array([[1.0, 0.8, 0.0], [0.8, 1.0, 1.2], [0.0, 1.2, 4.0]]) * 4.0 / 40_000
    found = curve_covariance([curves[:20_000], curves[20_000:]])
    np.testing.assert_allclose(found, exact, atol=0.12 * exact.max())
    np.testing.assert_allclose(np.diag(found), curve_error(curves) ** 2, rtol=0.05)
    with pytest.raises(InputError, match="eight independent stretches"):
        curve_covariance(curves[:6])


def test_simultaneous_bands() -> None:
    """Independent points: P(all inside) = P(one inside)^n."""
    from scipy.stats import norm

    one = 0.683 ** (1.0 / 20.0)
    assert simultaneous_factor(np.eye(20)) == pytest.approx(norm.ppf((1 + one) / 2), rel=0.02)
    assert simultaneous_factor(np.ones((20, 20))) == pytest.approx(1.0, abs=0.02)


def test_verdicts() -> None:
    rng = np.random.default_rng(5)
    good = [chain(0.5, 4000, rng)[:, 0] for _ in range(4)]
    verdict = convergence(good, "eV", "exact")
    assert verdict.converged
    assert "No sign against convergence" in verdict.words
    short = convergence(chain(0.95, 400, rng)[:, 0], "eV", "exact")
    assert not short.converged
    assert "autocorrelation times long, below 50" in short.words
    apart = convergence([x + 0.5 * (n == 3) for n, x in enumerate(good)], "eV", "exact")
    assert not apart.converged
    assert "disagree" in apart.words
    drifting = convergence(good[0] + np.linspace(0.0, 1.0, 4000), "eV", "exact", discard=False)
    assert "last third" in drifting.words
    stuck = convergence([1.0] * 100, "eV", "exact")
    assert stuck.converged is None
    assert convergence([], "eV", "exact").converged is None


def test_the_beginning_is_cut_off() -> None:
    rng = np.random.default_rng(6)
    ramp = 20.0 * np.exp(-np.arange(3000) / 100.0)
    verdict = convergence(ramp + chain(0.5, 3000, rng)[:, 0], "eV", "exact")
    assert 200 < verdict.discarded < 900
    assert abs(verdict.estimate.value) < 4.0 * verdict.estimate.error
    assert f"first {verdict.discarded} samples" in verdict.words
