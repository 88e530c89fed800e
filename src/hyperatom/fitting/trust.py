"""Are the errors that a potential predicts of its energies the errors that it makes?

    z = |E - E_reference| / sigma_predicted

Normal errors lie within one sigma in 68 % of frames and within two in 95 %: as the sigmas are, or
once all are multiplied by the one scale that comes nearest to both. A mean of z^2 would be a scale
too, but that of a few outliers. Whether frames with large errors are known beforehand
is told by Spearman's rank correlation of |E - E_reference| and sigma per atom, beside what it would
be if each error were normal and of exactly its sigma: far below one, for a large sigma allows for a
small error, and near zero where all frames are alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.family import LabelledFrame

Array = NDArray[np.float64]

LEVELS: Final = (0.68, 0.95)
FEWEST: Final = 5
"""Frames of which a rank correlation is told."""

DRAWS: Final = 200
"""Of errors with the predicted sigmas, whose rank correlations are averaged."""


@dataclass(frozen=True, eq=False)
class Trust:
    """Predicted and found errors of the energies of frames, (n_frames,), eV/atom."""

    predicted: Array
    found: Array

    @cached_property
    def scale(self) -> float:
        """The number by which predicted errors must be multiplied for both levels to be right."""
        ratios = np.sort(np.abs(self.found) / self.predicted)
        tried = np.concatenate([ratios / _width(level) for level in LEVELS]) * (1.0 + 1e-12)
        wrong = [
            np.abs(np.searchsorted(ratios, _width(level) * tried, "right") / len(ratios) - level)
            for level in LEVELS
        ]
        worst = np.max(wrong, axis=0)
        return float(np.median(tried[worst == worst.min()]))

    def coverage(self, level: float, rescaled: bool = True) -> float:
        """Part of the frames whose error lies where that part of normal errors would."""
        width = _width(level) * (self.scale if rescaled else 1.0)
        return float(np.mean(np.abs(self.found) <= width * self.predicted))

    @property
    def rank_correlation(self) -> float:
        """Spearman's, of predicted with found errors; NaN where they are too few or all equal."""
        from scipy.stats import spearmanr

        if len(self.found) < FEWEST or np.ptp(self.predicted) == 0.0:
            return float("nan")
        return float(spearmanr(self.predicted, np.abs(self.found)).statistic)

    @cached_property
    def rank_at_best(self) -> tuple[float, float]:
        """Mean and standard deviation of the same, were the sigmas those of normal errors."""
        rng = np.random.default_rng(0)
        drawn = [
            Trust(self.predicted, self.predicted * rng.normal(size=len(self.predicted)))
            for _ in range(DRAWS)
        ]
        ranks = [one.rank_correlation for one in drawn]
        return float(np.mean(ranks)), float(np.std(ranks))

    def sentence(self) -> str:
        """What it comes to, in words."""
        inside = ", ".join(
            f"{self.coverage(level, rescaled=False):.0%} where {level:.0%} should be"
            for level in LEVELS
        )
        again = " and ".join(f"{self.coverage(level):.0%}" for level in LEVELS)
        told = (
            f"Predicted errors of energies: {inside} as they are; times {self.scale:.2g}: {again}."
        )
        rank = self.rank_correlation
        if np.isnan(rank):
            return told
        best, spread = self.rank_at_best
        return (
            f"{told} Rank correlation with the errors made: {rank:.2f}, where errors of just "
            f"these sizes would have {best:.2f} ± {spread:.2f}."
        )

    def numbers(self) -> dict[str, float]:
        """For programs."""
        return {
            "predicted_error_scale": self.scale,
            "coverage_68": self.coverage(LEVELS[0]),
            "coverage_95": self.coverage(LEVELS[1]),
            "coverage_68_unscaled": self.coverage(LEVELS[0], rescaled=False),
            "coverage_95_unscaled": self.coverage(LEVELS[1], rescaled=False),
            "rank_correlation": self.rank_correlation,
            "rank_correlation_at_best": self.rank_at_best[0],
        }


def _width(level: float) -> float:
    """Of normal errors in standard deviations, which holds that part of them."""
    return NormalDist().inv_cdf(0.5 + 0.5 * level)


def trust(potential: Any, frames: Sequence[LabelledFrame], energies: Array) -> Trust | None:
    """Both errors of `energies` (n_frames, 2) in eV/atom, of the reference and of the potential.

    None of a potential that does not know its own errors.
    """
    if getattr(potential, "known_errors", None) is None or not len(energies):
        return None
    predicted = np.array(
        [potential.error(here) / here.n_atoms for here in (one.configuration for one in frames)]
    )
    if not np.all(predicted > 0.0):
        return None
    return Trust(predicted, energies[:, 1] - energies[:, 0])
