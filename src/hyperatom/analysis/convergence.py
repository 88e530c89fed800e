"""Is a series long enough to be averaged, and do its walkers agree? A verdict in words.

Four questions are asked of a series once its beginning has been cut off where the rest holds the
most independent samples: is it 50 autocorrelation times long, do the walkers and their halves agree
(split R-hat), do its first and last third have the same mean, and do different estimators of the
autocorrelation time say the same. A run can fail these tests; it cannot prove by them that it has
been everywhere.
"""

from dataclasses import dataclass
from math import isfinite, isnan, nan
from typing import Final

import numpy as np

from hyperatom.analysis.statistics import (
    SHORT_RUN,
    Array,
    Estimate,
    Walkers,
    as_walkers,
    autocorrelation_function,
    autocorrelation_time,
    equilibration,
    estimate_mean,
    sokal_inefficiency,
    split_r_hat,
)
from hyperatom.trajectory import Kind

DRIFT: Final = 3.0
"""Standard errors by which the first and the last third may differ."""

AGREEMENT: Final = 1.01
"""Split R-hat of a converged run, beside what so few samples scatter by chance."""

QUARREL: Final = 3.0
"""Factor between estimators of the autocorrelation time beyond which none is believed."""


@dataclass(frozen=True)
class Convergence:
    """What can be said of a series.

    | field       | unit    | meaning                                                          |
    |-------------|---------|------------------------------------------------------------------|
    | `converged` | -       | None where there is too little to tell                           |
    | `words`     | -       | the verdict                                                      |
    | `estimate`  | its own | the mean of what was kept                                        |
    | `discarded` | samples | cut off the beginning of each walker                             |
    | `r_hat`     | -       | split R-hat, 1 is perfect                                        |
    | `drift`     | errors  | last third minus first third                                     |
    | `times`     | samples | the autocorrelation time by each estimator                       |
    """

    converged: bool | None
    words: str
    estimate: Estimate
    discarded: int
    r_hat: float
    drift: float
    times: dict[str, float]


def convergence(series: Walkers, unit: str, kind: Kind, *, discard: bool = True) -> Convergence:
    """Cut off what is not equilibrated, average the rest, and say whether to believe it.

    `series` as for `estimate_mean`; with `discard` false all of it is kept.
    """
    walkers = [walker for walker in as_walkers(series) if len(walker)]
    origin = max((equilibration(walker) for walker in walkers), default=0) if discard else 0
    origin = min(origin, max((len(walker) for walker in walkers), default=1) - 1)
    kept = [walker[origin:] for walker in walkers if len(walker) > origin]
    estimate = estimate_mean(kept, unit, kind)
    r_hat = split_r_hat(kept) if kept else nan
    times = autocorrelation_times(kept)
    drift = _drift(kept, unit, kind)
    complaints = []
    if not isfinite(estimate.error):
        return Convergence(None, estimate.warning, estimate, origin, r_hat, drift, times)
    if estimate.n_effective < SHORT_RUN:
        complaints.append(
            f"it is only {estimate.n_effective:.1f} autocorrelation times long, below {SHORT_RUN}"
        )
    if isfinite(drift) and abs(drift) > DRIFT:
        complaints.append(f"its last third lies {drift:+.1f} standard errors from its first")
    halves = estimate.n_effective / (2 * len(kept))
    if not isnan(r_hat) and r_hat > AGREEMENT + 2.0 / halves:
        complaints.append(f"walkers or their halves disagree (split R-hat {r_hat:.3g})")
    if max(times.values()) > QUARREL * min(times.values()):
        told = ", ".join(f"{name} {time:.3g}" for name, time in times.items())
        complaints.append(f"estimators of its autocorrelation time disagree ({told})")
    if complaints:
        words = f"Not converged: {'; '.join(complaints)}. Run longer."
    else:
        words = (
            f"No sign against convergence: {estimate.n_effective:.0f} independent samples, "
            f"split R-hat {r_hat:.3f}"
            + (f", the first {origin} samples cut off." if origin else ".")
        )
    return Convergence(not complaints, words, estimate, origin, r_hat, drift, times)


def autocorrelation_times(series: Walkers) -> dict[str, float]:
    """g = 1 + 2 sum rho by several windows, samples; what error bars use is the `cautious` one.

    | name       | the sum ends                                                                 |
    |------------|------------------------------------------------------------------------------|
    | `sokal`    | at the first lag t >= 5 tau (Sokal 1997)                                     |
    | `positive` | before the first negative sum of two neighbours, made monotone (Geyer 1992)  |
    | `blocks`   | never: variance of the means of sqrt(N) blocks against that of samples       |
    | `cautious` | larger of Sokal's window and the first zero (pymbar)                         |
    """
    walkers = [walker for walker in as_walkers(series) if len(walker)]
    n_samples = sum(len(walker) for walker in walkers)
    cautious = autocorrelation_time(walkers)
    if n_samples < 16 or not np.isfinite(autocorrelation_function(walkers)).all():
        return {"cautious": cautious}
    return {
        "sokal": float(sokal_inefficiency(walkers)),
        "positive": _positive(walkers),
        "blocks": _blocks(walkers),
        "cautious": cautious,
    }


def _positive(walkers: list[Array]) -> float:
    """Geyer, Statistical Science 7, 473 (1992): sums of two neighbours are positive and fall."""
    rho = autocorrelation_function(walkers)
    pairs = rho[: len(rho) // 2 * 2].reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(pairs < 0.0)
    pairs = np.minimum.accumulate(pairs[: negative[0] if len(negative) else len(pairs)])
    return float(max(1.0, 2.0 * pairs.sum() - 1.0))


def _blocks(walkers: list[Array]) -> float:
    everything = np.concatenate(walkers)
    length = max(1, int(np.sqrt(len(everything))))
    means = [
        walker[: len(walker) // length * length].reshape(-1, length).mean(axis=1)
        for walker in walkers
    ]
    spread = np.concatenate(means)
    if len(spread) < 2:
        return 1.0
    return float(max(1.0, length * spread.var(ddof=1) / everything.var()))


def _drift(walkers: list[Array], unit: str, kind: Kind) -> float:
    third = min((len(walker) for walker in walkers), default=0) // 3
    if third < 4:
        return nan
    first = estimate_mean([walker[:third] for walker in walkers], unit, kind)
    last = estimate_mean([walker[-third:] for walker in walkers], unit, kind)
    spread = np.hypot(first.error, last.error)
    if not spread > 0.0:
        return nan
    return float((last.value - first.value) / spread)
