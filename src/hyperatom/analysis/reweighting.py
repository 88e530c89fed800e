"""Reweighting, the rival: samples of one ensemble, weighed as if they were those of another.

    <a>_D = <w a>_M / <w>_M,     w = pi_D / pi_M = exp[-(b U_D - b_0 U_M)],  b = 1/k_B T

A long run on the guide and one reference call for each sample kept, all at the same time, give the
reference's averages without a chain; exact in the limit of many samples, for any guide that goes
wherever the reference would. The price is the spread of the weights: of n independent samples
n <w>^2/<w^2> are left (Kish), n exp(-b^2 sigma^2) for a Gaussian U_D - U_M of standard deviation
sigma. Weights are heavy-tailed where it matters, so the diagnostics are part of the result.

Samples of several ensembles (guides, temperatures, the reference's own chain) are combined by the
multistate Bennett acceptance ratio (Shirts and Chodera, J. Chem. Phys. 129, 124105 (2008), through
pymbar); errors are those of blocks left out one at a time, since samples of a chain are correlated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperatom.analysis.statistics import (
    Array,
    Estimate,
    as_walkers,
    estimate_mean,
    jackknife_error,
    pymbar_module,
)
from hyperatom.analysis.weighted import linearised
from hyperatom.errors import InputError

LEAST_OVERLAP: Final = 0.05
"""Kish fraction below which a reweighted average rests on the tail of the weights."""

MOST_OF_ONE: Final = 0.1
"""Share of all the weight that a single sample may carry."""

BLOCKS: Final = 20


@dataclass(frozen=True)
class Overlap:
    """How well the ensemble that was sampled covers the one that is wanted.

    | field     | meaning                                                               |
    |-----------|-----------------------------------------------------------------------|
    | `samples` | samples that were weighed                                             |
    | `kish`    | <w>^2/<w^2>, the fraction of them that is left                        |
    | `largest` | share of the total weight that the heaviest sample carries            |
    """

    samples: int
    kish: float
    largest: float

    @property
    def warning(self) -> str:
        """In words, what is wrong with averages of these weights; empty when nothing is."""
        if self.samples == 0:
            return "There are no samples."
        if self.largest > MOST_OF_ONE:
            return (
                f"A single sample carries {100 * self.largest:.0f} % of the weight: the ensembles "
                "hardly overlap, and the error bar is not to be believed. Improve the guide, or "
                "sample with Metropolis."
            )
        if self.kish < LEAST_OVERLAP:
            return (
                f"Only {100 * self.kish:.1f} % of the samples are left after reweighting. Improve "
                "the guide, or sample with Metropolis."
            )
        return ""


def weights_of(log_weights: ArrayLike) -> Array:
    """Weights of mean 1 from logarithms, which may be -inf (outside of what is wanted).

    Raises `InputError` where one is not a number or +inf, or all are -inf.
    """
    logarithms = np.asarray(log_weights, dtype=np.float64)
    top = float(np.max(logarithms, initial=-np.inf))
    if not np.isfinite(top):
        raise InputError(
            "No sample has a usable weight: energies are missing or infinite.",
            "Leave out samples for which the reference has no answer.",
        )
    weights = np.exp(logarithms - top)
    normalised: Array = weights / weights.mean()
    return normalised


def measure_overlap(log_weights: ArrayLike) -> Overlap:
    """Kish's fraction and the heaviest sample, of all walkers together."""
    weights = weights_of(log_weights)
    return Overlap(
        weights.size, float(1.0 / np.mean(weights**2)), float(weights.max() / weights.size)
    )


def reweight(values: Any, log_weights: Any, unit: str) -> tuple[Estimate, Overlap]:
    """The mean of `values` over the wanted ensemble, and how well it is covered.

    `values` and `log_weights` = log pi_D - log pi_M are series (n_samples,), or lists of such, one
    per walker. The error is that of the ratio, autocorrelation included; N_eff the number of
    independent samples of the wanted ensemble that would do as well.
    """
    series, logarithms = as_walkers(values), as_walkers(log_weights)
    if [len(one) for one in series] != [len(one) for one in logarithms]:
        raise InputError(
            f"{sum(map(len, series))} values cannot be weighed by {sum(map(len, logarithms))} "
            "weights.",
            "Give one log weight for each value of each walker.",
        )
    together = np.concatenate(logarithms)
    weights, overlap = weights_of(together), measure_overlap(together)
    everything = np.concatenate(series)
    linear = linearised(everything, weights)
    cuts = np.cumsum([0, *map(len, series)])
    found = estimate_mean([linear[a:b] for a, b in pairwise(cuts)], unit, "reweighted")
    variance = float(np.average((everything - found.value) ** 2, weights=weights))
    n_effective = variance / found.error**2 if found.error > 0.0 else found.n_effective
    time = found.autocorrelation_time
    return Estimate(found.value, found.error, n_effective, time, unit, "reweighted"), overlap


@dataclass(frozen=True)
class Combined:
    """What several ensembles together say of another one.

    | field           | shape      | unit  | meaning                                             |
    |-----------------|------------|-------|-----------------------------------------------------|
    | `mean`          | scalar     | given | the average in the wanted ensemble                  |
    | `free_energy`   | scalar     | k_BT  | of the wanted ensemble, over that of the first      |
    | `free_energies` | (n_states,)| k_BT  | of those sampled, over that of the first            |
    | `overlap`       | `Overlap`  | -     | of all samples with the wanted ensemble             |
    | `mixing`        | (n, n)     | -     | chance that a sample of one state is of another     |
    """

    mean: Estimate
    free_energy: Estimate
    free_energies: tuple[float, ...]
    overlap: Overlap
    mixing: Array


def combine(
    values: ArrayLike,
    reduced: ArrayLike,
    counts: Sequence[int],
    target: ArrayLike,
    unit: str,
) -> Combined:
    """Average and free energy of a wanted ensemble from samples of several.

    | array     | shape                 | meaning                                                  |
    |-----------|-----------------------|----------------------------------------------------------|
    | `values`  | (n_samples,)          | to be averaged; samples of the first state come first    |
    | `reduced` | (n_states, n_samples) | -log density of every sample in every state sampled      |
    | `counts`  | (n_states,)           | samples of each state                                    |
    | `target`  | (n_samples,)          | -log density of every sample in the wanted ensemble      |

    Raises `InputError` where the shapes do not match.
    """
    a, u, wanted = (np.asarray(x, dtype=np.float64) for x in (values, reduced, target))
    n = np.asarray(counts, dtype=np.int64)
    if u.shape != (len(n), len(a)) or wanted.shape != a.shape or n.sum() != len(a):
        raise InputError(
            f"{len(a)} samples of {len(n)} states need a table of shape ({len(n)}, {len(a)}) and "
            f"counts that add up; found {u.shape} and {n.tolist()}."
        )
    state = np.repeat(np.arange(len(n)), n)
    # Blocks of one size, so that what is left is of one shape, for which pymbar compiles once; what
    # does not fill a block is missing from all of them.
    size = np.maximum(n // BLOCKS, 1)
    block = np.concatenate([np.arange(k) // each for k, each in zip(n, size, strict=True)])

    def solve(kept: Any, guess: Array | None) -> tuple[Array, Array]:
        sizes = np.bincount(state[kept], minlength=len(n))
        free = _free_energies(u[:, kept], sizes, guess)
        mixture = _log_sum(np.log(sizes)[:, None] + free[:, None] - u[:, kept])
        return free, -wanted[kept] - mixture

    free, log_weights = solve(slice(None), None)
    weights = weights_of(log_weights)
    replicas = []
    for b in range(BLOCKS):
        kept = (block != b) & (block < BLOCKS)
        _, logs = solve(kept, free)
        w = weights_of(logs)
        replicas.append([np.mean(w * a[kept]), -float(_log_sum(logs[:, None])[0])])
    error = jackknife_error(np.array(replicas))
    mean = float(np.mean(weights * a))
    variance = float(np.mean(weights * (a - mean) ** 2))
    n_effective = variance / float(error[0]) ** 2 if error[0] > 0.0 else float("nan")
    time = max(1.0, len(a) * measure_overlap(log_weights).kish / max(n_effective, 1e-300))
    shares = np.log(n)[:, None] + free[:, None] - u
    member = np.exp(shares - _log_sum(shares))
    mixing = np.stack([member[:, state == k].mean(axis=1) for k in range(len(n))])
    return Combined(
        Estimate(mean, float(error[0]), n_effective, time, unit, "reweighted"),
        Estimate(
            -float(_log_sum(log_weights[:, None])[0]),
            float(error[1]), n_effective, time, "k_BT", "reweighted",
        ),
        tuple(float(f) for f in free),
        measure_overlap(log_weights),
        mixing,
    )  # fmt: skip


def _free_energies(reduced: Array, counts: NDArray[np.int64], guess: Array | None) -> Array:
    """f_k in k_BT with f_0 = 0, by pymbar."""
    if len(counts) == 1:
        return np.zeros(1)
    import jax

    # pymbar switches float64 on for the whole process unless it finds it switched on.
    with jax.enable_x64(True):
        solved = pymbar_module("mbar").MBAR(reduced, counts, initial_f_k=guess)
        free: Array = np.asarray(solved.f_k, dtype=np.float64)
    relative: Array = free - free[0]
    return relative


def _log_sum(logarithms: Array) -> Array:
    """log sum exp along the first axis."""
    top = logarithms.max(axis=0)
    total: Array = top + np.log(np.exp(logarithms - top).sum(axis=0))
    return total
