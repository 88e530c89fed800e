"""Honest error bars for correlated samples: every number leaves with its error.

Convention: the *autocorrelation time* is the statistical inefficiency

    g = 1 + 2 sum_{t>=1} rho(t),          N_eff = N / g,

in units of samples (1 for independent samples; twice the tau_int of physics texts), rho(t) being
the normalised autocorrelation function. A rejected proposal repeats the sample and counts again.

Two windows cut the sum: the first non-positive rho (Chodera et al., J. Chem. Theory Comput. 3, 26
(2007), through pymbar) and Sokal's automatic window (Sokal, in Functional Integration, Plenum
1997). We keep the larger of the two and never less than 1, so that negative correlations are not
credited: error bars err on the wide side.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import floor, isfinite, log10, nan
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperatom.errors import InputError
from hyperatom.trajectory import Kind as Kind

Array = NDArray[np.float64]
Walkers = ArrayLike | Sequence[ArrayLike]
"""One series, a table (n_walkers, n_samples), or a list of series of unequal lengths."""

SHORT_RUN: Final = 50
"""Autocorrelation times below which an error bar is itself too uncertain to be trusted."""

SOKAL_WINDOW: Final = 5.0
"""The sum stops at the first lag t >= 5 tau_int(t)."""


@dataclass(frozen=True)
class Estimate:
    """A number, its standard error, and where it comes from.

    | field                  | unit    | meaning                                                  |
    |------------------------|---------|----------------------------------------------------------|
    | `value`                | `unit`  | the average; NaN without samples                         |
    | `error`                | `unit`  | one standard error; NaN where nothing can be said        |
    | `n_effective`          | -       | number of independent samples behind it                  |
    | `autocorrelation_time` | samples | g = 1 + 2 sum rho, at least 1                            |
    | `kind`                 | -       | how the samples came about, see `Kind`                   |
    """

    value: float
    error: float
    n_effective: float
    autocorrelation_time: float
    unit: str
    kind: Kind

    @property
    def warning(self) -> str:
        """In words, what is wrong with the error bar; empty when nothing is."""
        if not isfinite(self.value):
            return "There are no samples yet."
        if not isfinite(self.error):
            return "The samples never vary, so that no error can be given."
        if self.n_effective < SHORT_RUN:
            return (
                f"The run is only {self.n_effective:.1f} autocorrelation times long; below "
                f"{SHORT_RUN} an error bar may be too small. Run longer."
            )
        return ""

    def __str__(self) -> str:
        """`-3.21457(23) eV`: two digits of error, in units of the last digit of the value."""
        text = _with_error(self.value, self.error)
        return f"{text} {self.unit}".strip() + (
            " (error unknown)" if isfinite(self.value) and not isfinite(self.error) else ""
        )


def _with_error(value: float, error: float) -> str:
    if not isfinite(value):
        return "unknown"
    if not isfinite(error):
        return f"{value:.6g}"
    if error == 0.0:
        return f"{value:.10g}(0)"
    decimals = 1 - floor(log10(error))
    if round(error, decimals) * 10.0**decimals >= 99.5:  # 0.0996 rounds to three digits
        decimals -= 1
    if (decimals > 8 or decimals < -4) and error > 1e-7 * abs(value):
        exponent = floor(log10(max(abs(value), error)))
        return f"{_with_error(value / 10.0**exponent, error / 10.0**exponent)}e{exponent:+03d}"
    if decimals <= 0:
        return f"{round(value, decimals):.0f}({round(error, decimals):.0f})"
    if error >= 0.995:
        return f"{value:.{decimals}f}({error:.{decimals}f})"
    return f"{value:.{decimals}f}({round(error * 10**decimals)})"


def as_walkers(series: Any) -> list[Array]:
    """The series of each walker, float64; time runs along the first axis of each.

    Raises `InputError` where a sample is not finite.
    """
    if isinstance(series, np.ndarray):
        rows = [series] if series.ndim <= 1 else list(series)
    else:
        rows = list(series)
        if not rows or np.ndim(rows[0]) == 0:
            rows = [np.asarray(rows)]
    walkers = [np.atleast_1d(np.asarray(row, dtype=np.float64)) for row in rows]
    n_bad = sum(int(np.count_nonzero(~np.isfinite(walker))) for walker in walkers)
    if n_bad:
        raise InputError(
            f"A series of samples holds {n_bad} values that are not finite numbers.",
            "Remove the samples without a value before averaging.",
        )
    return walkers


def autocovariance(walkers: Sequence[Array]) -> Array:
    """C(t) = sum_i (x_i - m)(x_{i+t} - m) / N, over all walkers, m their common mean.

    `walkers` are series of shape (n_samples, ...); the result has the length of the longest. The
    common mean makes walkers that disagree look correlated, as they should.
    """
    everything = np.concatenate(walkers)
    mean = everything.mean(axis=0)
    longest = max(len(walker) for walker in walkers)
    size = 1 << (2 * longest - 1).bit_length()
    total = np.zeros((longest, *everything.shape[1:]))
    for walker in walkers:
        spectrum = np.fft.rfft(walker - mean, n=size, axis=0)
        total += np.fft.irfft(np.abs(spectrum) ** 2, n=size, axis=0)[:longest]
    result: Array = total / len(everything)
    return result


def autocorrelation_function(series: Walkers) -> Array:
    """rho(t) = C(t)/C(0), t = 0, 1, ...; NaN where the series never varies, empty where empty."""
    walkers = as_walkers(series)
    if not any(len(walker) for walker in walkers) or _constant(np.concatenate(walkers)):
        return np.full(max((len(walker) for walker in walkers), default=0), nan)
    covariance = autocovariance(walkers)
    normalised: Array = covariance / covariance[0]
    return normalised


def sokal_inefficiency(walkers: Sequence[Array]) -> Array:
    """g with Sokal's automatic window for each column of (n_samples, ...) series; at least 1.

    The sum ends at the first lag t >= 5 tau_int(t), tau_int = g/2. Where no lag qualifies the run
    is too short for its own memory and the largest partial sum is taken. A column that never
    varies has g = N: one sample, however often repeated.
    """
    n_samples = sum(len(walker) for walker in walkers)
    covariance = autocovariance(walkers)
    constant = np.asarray(_constant(np.concatenate(walkers)))
    variance = np.where(constant, 1.0, covariance[0])
    partial = np.maximum(2.0 * np.cumsum(covariance / variance, axis=0) - 1.0, 1.0)
    lags = np.arange(len(partial)).reshape(-1, *(1,) * (partial.ndim - 1))
    inside = lags >= SOKAL_WINDOW * partial / 2.0
    first = np.take_along_axis(partial, np.argmax(inside, axis=0)[None], axis=0)[0]
    g = np.where(inside.any(axis=0), first, partial.max(axis=0))
    return np.where(constant, float(n_samples), np.minimum(g, n_samples))


def autocorrelation_time(series: Walkers) -> float:
    """g = 1 + 2 sum rho of one or several walkers, the larger of the two windows, at least 1.

    Walkers that never move, each at a place of its own or all at one, give the number of samples;
    no samples give 1.
    """
    walkers = [walker for walker in as_walkers(series) if len(walker)]
    n_samples = sum(len(walker) for walker in walkers)
    if n_samples < 2:
        return 1.0
    sokal = float(sokal_inefficiency(walkers))
    if n_samples == 2:
        return sokal
    if all(_constant(walker) for walker in walkers):
        return float(n_samples)
    lengths = {len(walker) for walker in walkers}
    if len(lengths) > 1:
        # pymbar's several-walker estimator wants equal lengths; Sokal's already saw them all.
        walkers = [walker[: min(lengths)] for walker in walkers]
    if min(lengths) < 4:
        return sokal
    scaled = _scaled(walkers)
    if any(_constant(walker) for walker in scaled):
        return sokal
    timeseries = _timeseries()
    if len(scaled) == 1:
        crossing = float(timeseries.statistical_inefficiency(scaled[0]))
    else:
        crossing = float(timeseries.statistical_inefficiency_multiple(scaled))
    return float(min(max(sokal, crossing), n_samples))


def estimate_mean(series: Walkers, unit: str, kind: Kind) -> Estimate:
    """The mean of correlated samples with its standard error sqrt(C(0) / (N_eff - 1)).

    The minus one undoes the variance lost to the fitted mean. No samples: value NaN, N_eff 0. One
    sample, or walkers that never moved: N_eff 1 and error NaN, since a chain that never moved says
    nothing about its own spread. Raises `InputError` where a sample is not finite.
    """
    walkers = [walker for walker in as_walkers(series) if len(walker)]
    if not walkers:
        return Estimate(nan, nan, 0.0, 1.0, unit, kind)
    samples = np.concatenate(walkers)
    g = autocorrelation_time(walkers)
    n_effective = len(samples) / g
    mean = float(samples[0] if _constant(samples) else samples.mean())
    return Estimate(mean, _standard_error(samples, n_effective), n_effective, g, unit, kind)


def curve_error(curves: Any) -> Array:
    """Standard error of the mean of each column of a series of curves, shape as one curve.

    `curves` has shape (n_samples, ...), or is a list of such, one per walker. Each column has its
    own Sokal window. A column that never varies (an empty bin of a histogram, a chain that never
    moved) has error NaN: nothing can be said of it.
    """
    walkers = as_walkers([curves] if isinstance(curves, np.ndarray) else curves)
    samples = np.concatenate(walkers)
    constant = np.asarray(_constant(samples))
    if len(samples) < 2 or constant.all():
        return np.full(samples.shape[1:], nan)
    n_effective = len(samples) / sokal_inefficiency(walkers)
    spread = np.maximum(n_effective - 1.0, np.finfo(float).tiny)
    return np.where(constant, nan, np.sqrt(samples.var(axis=0) / spread))


def block_jackknife(
    function: Callable[[Array], ArrayLike],
    samples: Any,
    block_length: int | None = None,
) -> tuple[Array, Array]:
    """A function of the samples, f({x}), and its standard error, leaving out one block at a time.

        error^2 = (B - 1)/B sum_b (f_b - mean f)^2           (Quenouille 1956; Kunsch 1989)

    `samples` is (n_samples, ...) or a list of such, one per walker; `function` takes (m, ...) and
    returns a number or a curve. Blocks are consecutive, never across walkers, and ten
    autocorrelation times of the slowest column long, or shorter where that would leave fewer than
    twenty of them. The error is widened by Student's factor for so many blocks, so that its band
    holds the truth in 68 % of all cases. Fewer than four samples: error NaN.
    """
    given = [samples] if isinstance(samples, np.ndarray) else samples
    walkers = [walker for walker in as_walkers(given) if len(walker)]
    everything = np.concatenate(walkers)
    value = np.asarray(function(everything), dtype=np.float64)
    label = jackknife_blocks(walkers, block_length)
    n_blocks = int(label.max(initial=-1)) + 1
    if n_blocks < 2:
        return value, np.full(value.shape, nan)
    replicas = np.stack([np.asarray(function(everything[label != b])) for b in range(n_blocks)])
    return value, jackknife_error(replicas)


def jackknife_blocks(
    walkers: Sequence[Array], block_length: int | None = None
) -> NDArray[np.int64]:
    """The block of each sample, as `block_jackknife` has them; one block below four samples."""
    everything = np.concatenate(walkers)
    n_samples = len(everything)
    if n_samples < 4:
        return np.zeros(n_samples, dtype=np.int64)
    if block_length is None:
        moving = ~np.asarray(_constant(everything))
        g = np.where(moving, sokal_inefficiency(walkers), 1.0)
        block_length = max(1, min(int(np.ceil(10.0 * g.max())), n_samples // 20))
    labels = []
    n_blocks = 0
    for walker in walkers:
        here = max(1, len(walker) // block_length)
        labels.append(n_blocks + np.arange(len(walker)) * here // len(walker))
        n_blocks += here
    return np.concatenate(labels)


def jackknife_error(replicas: Array) -> Array:
    """Standard error from values (n_blocks, ...) that each leave out one block; never zero."""
    from scipy.stats import t as student

    n_blocks = len(replicas)
    factor = float(student.ppf(0.8413, n_blocks - 1))
    error = factor * np.sqrt(
        (n_blocks - 1) * np.mean((replicas - replicas.mean(axis=0)) ** 2, axis=0)
    )
    return np.where(_constant(replicas), nan, error)


def split_r_hat(series: Walkers) -> float:
    """Do the walkers, and the two halves of each, agree? 1 is perfect; above 1.01 they do not.

        R = sqrt(((n - 1)/n W + B/n) / W),  rank-normalised, the larger of bulk and folded

    Gelman et al., Bayesian Data Analysis (2013); Vehtari et al., Bayesian Analysis 16, 667 (2021).
    Walkers of unequal length are cut to the shortest. NaN where nothing varies or a half has fewer
    than two samples; infinity where each half is stuck at a place of its own.
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    walkers = as_walkers(series)
    half = min((len(walker) for walker in walkers), default=0) // 2
    if half < 2:
        return nan
    halves = np.stack([part for w in walkers for part in (w[:half], w[-half:])])
    if _constant(halves.ravel()):
        return nan
    folded = np.abs(halves - np.median(halves))

    def r_hat(values: Array) -> float:
        rank = rankdata(values, axis=None).reshape(values.shape)
        normal = ndtri((rank - 0.375) / (values.size + 0.25))
        within = normal.var(axis=1, ddof=1).mean()
        between = normal.mean(axis=1).var(ddof=1)
        if within < 1e-12:
            return float("inf") if between > 1e-12 else 1.0
        return float(np.sqrt((half - 1) / half + between / within))

    return max(r_hat(halves), r_hat(folded))


def equilibration(series: ArrayLike) -> int:
    """How many samples to discard so that what remains holds the most independent ones.

    Chodera, J. Chem. Theory Comput. 12, 1799 (2016), through pymbar, at 100 candidate origins.
    Fewer than ten samples, or none that differ: 0.
    """
    (samples,) = as_walkers(np.asarray(series, dtype=np.float64).ravel())
    if len(samples) < 10 or _constant(samples):
        return 0
    (scaled,) = _scaled([samples])
    origin, _, _ = _timeseries().detect_equilibration(scaled, nskip=max(1, len(samples) // 100))
    return int(origin)


def _constant(samples: Array) -> Any:
    """Whether each column never varies; rounding of the mean must not invent a variance."""
    return np.all(samples == samples[:1], axis=0)


def _standard_error(samples: Array, n_effective: float) -> float:
    if n_effective <= 1.0:
        return nan
    return float(np.sqrt(samples.var() / (n_effective - 1.0)))


def _scaled(walkers: Sequence[Array]) -> list[Array]:
    """Zero mean, unit variance: pymbar keeps part of its sums in single precision."""
    everything = np.concatenate(walkers)
    scale = everything.std()
    return [(walker - everything.mean()) / scale for walker in walkers] if scale > 0 else []


def _timeseries() -> ModuleType:
    return pymbar_module("timeseries")


def pymbar_module(name: str) -> ModuleType:
    """pymbar.`name`, without the notices that pymbar logs about JAX when first imported."""
    logger = logging.getLogger("pymbar")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return import_module(f"pymbar.{name}")
    finally:
        logger.setLevel(level)
