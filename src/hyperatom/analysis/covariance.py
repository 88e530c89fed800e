"""Whole curves: how the errors of their points go together, and bands that hold for all at once."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hyperatom.analysis.statistics import (
    Array,
    as_walkers,
    curve_error,
    jackknife_blocks,
    jackknife_error,
    sokal_inefficiency,
)
from hyperatom.errors import InputError


def curve_covariance(curves: Any) -> Array:
    """Covariance of the mean of a series of curves, (n_points, n_points), in the unit squared.

    `curves` is (n_samples, n_points) or a list of such, one per walker. Correlations come from the
    means of consecutive blocks of at least five autocorrelation times of the slowest point; the
    diagonal is that of `curve_error`. With fewer blocks than points the matrix is singular. Points
    that never vary have covariance zero with all others, and NaN with themselves.

    Raises `InputError` where fewer than eight blocks can be made.
    """
    walkers = as_walkers([curves] if isinstance(curves, np.ndarray) else curves)
    means = np.concatenate(_block_means(walkers))
    if len(means) < 8:
        raise InputError(
            f"A covariance needs eight independent stretches of a run; there are {len(means)}.",
            "Run longer, or be content with the error of each point.",
        )
    deviations = means - means.mean(axis=0)
    spread = np.sqrt(np.sum(deviations**2, axis=0))
    correlation = deviations.T @ deviations / np.outer(*[np.where(spread > 0.0, spread, 1.0)] * 2)
    error = curve_error(walkers)
    covariance: Array = correlation * np.outer(*[np.nan_to_num(error)] * 2)
    np.fill_diagonal(covariance, error**2)
    return covariance


def simultaneous_factor(covariance: Array, confidence: float = 0.683) -> float:
    """Standard errors by which a band must be wide to hold the *whole* curve with `confidence`.

    The quantile of max_i |z_i| for Gaussian z with the correlation of `covariance` (n, n).
    """
    known = np.flatnonzero(np.isfinite(np.diag(covariance)) & (np.diag(covariance) > 0.0))
    part = covariance[np.ix_(known, known)]
    spread = np.sqrt(np.diag(part))
    values, vectors = np.linalg.eigh(part / np.outer(spread, spread))
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(20_000, len(known))) * np.sqrt(np.maximum(values, 0.0))
    return float(np.quantile(np.abs(normal @ vectors.T).max(axis=1), confidence))


def function_of_means(function: Callable[[Array], ArrayLike], samples: Any) -> tuple[Array, Array]:
    """f(<x>) for a nonlinear f of several means, with its standard error by the block jackknife.

    `samples` is (n_samples, n) or a list of such, one per walker; `function` takes the means (n,)
    and returns a number or a curve. The blocks are those of `block_jackknife`; since only their
    sums are needed, thousands of samples cost as little as their blocks.
    """
    walkers = as_walkers([samples] if isinstance(samples, np.ndarray) else samples)
    everything = np.concatenate(walkers)
    value = np.asarray(function(everything.mean(axis=0)), dtype=np.float64)
    label = jackknife_blocks(walkers)
    size = np.bincount(label)
    if len(size) < 2:
        return value, np.full(value.shape, np.nan)
    sums = np.zeros((len(size), *everything.shape[1:]))
    np.add.at(sums, label, everything)
    left = (everything.sum(axis=0) - sums) / (len(everything) - size)[:, None]
    return value, jackknife_error(np.stack([np.asarray(function(mean)) for mean in left]))


def _block_means(walkers: list[Array]) -> list[Array]:
    total = sum(len(walker) for walker in walkers)
    varying = np.ptp(np.concatenate(walkers), axis=0) > 0.0
    g = np.where(varying, sokal_inefficiency(walkers), 1.0).max(initial=1.0)
    length = int(max(1, min(np.ceil(5.0 * g), total // 8)))
    return [
        walker[: len(walker) // length * length].reshape(-1, length, *walker.shape[1:]).mean(axis=1)
        for walker in walkers
        if len(walker) >= length
    ]
