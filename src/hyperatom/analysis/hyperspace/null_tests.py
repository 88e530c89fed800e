"""Null tests: would a configuration that has nothing to do with six dimensions lift as well?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.hyperspace.assignment import assign
from hyperatom.analysis.hyperspace.candidate_sites import CandidateSites

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LiftingScore:
    """How well positions lie on candidate sites.

    | field      | unit | meaning                                                     |
    |------------|------|-------------------------------------------------------------|
    | `lifted`   | -    | share of positions with a site of their own within reach    |
    | `inside`   | -    | share of positions on a site within its window              |
    | `residual` | Å    | rms distance of the lifted positions from their sites       |
    """

    lifted: float
    inside: float
    residual: float


@dataclass(frozen=True)
class NullTest:
    """A score beside those of as many random points in the same cell.

    `lifted` and `inside` say by how many standard deviations of the random scores the
    configuration's own exceeds their mean; `random` is that mean.
    """

    score: LiftingScore
    random: LiftingScore
    lifted: float
    inside: float

    @property
    def passed(self) -> bool:
        """Does the configuration lie on sites of the windows, far better than by chance?

        Asked are ten standard deviations and half of the atoms, so that a periodic crystal whose
        rows happen to follow the sites is not taken for an approximant.
        """
        return self.inside > 10.0 and self.score.inside > 0.5


def lifting_score(candidates: CandidateSites, positions: Array, reach: float = 0.6) -> LiftingScore:
    """Assign `positions` (n, 3) in Å to sites within `reach`, without history or windows' price."""
    numbers, _, lengths = candidates.nearest(positions, reach, 8)
    choice = assign(numbers, lengths**2, 2.0 * reach**2)
    rows = np.flatnonzero(choice >= 0)
    sites = numbers[rows, choice[rows]]
    squares = lengths[rows, choice[rows]] ** 2
    return LiftingScore(
        len(rows) / len(positions),
        float(candidates.occupied[sites].sum() / len(positions)),
        float(squares.mean()) ** 0.5 if len(rows) else float("nan"),
    )


def null_test(
    candidates: CandidateSites, positions: Array, reach: float = 0.6, draws: int = 20, seed: int = 0
) -> NullTest:
    """The score of `positions` (n, 3) beside that of evenly drawn points of the same number."""
    rng = np.random.default_rng(seed)
    score = lifting_score(candidates, positions, reach)
    drawn = [
        lifting_score(candidates, rng.random(positions.shape) @ candidates.cut.cell, reach)
        for _ in range(draws)
    ]
    lifted = np.array([s.lifted for s in drawn])
    inside = np.array([s.inside for s in drawn])
    mean = LiftingScore(
        float(lifted.mean()),
        float(inside.mean()),
        float(np.nanmean([s.residual for s in drawn])),
    )
    least = 1.0 / len(positions)
    return NullTest(
        score,
        mean,
        (score.lifted - mean.lifted) / max(float(lifted.std(ddof=1)), least),
        (score.inside - mean.inside) / max(float(inside.std(ddof=1)), least),
    )
