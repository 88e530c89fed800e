"""How many segments a path should have: what gives most effective samples per reference call.

    n(s) = P d / (2 - P d),    d = 1 - r^s,    P = erfc(b sqrt(d) / 2)

A chain whose proposals lose the part d of the memory of the energy, and are accepted with
probability P, has the lag-one autocorrelation 1 - P d, and so n independent samples per call. r is
what one segment leaves of the correlation of the energy, and b the guide's error in k_BT, taken to
forget itself as the energy does. Both are measured on the paths of learning, from the changes of
the reference's energy and of what the guide gets wrong along them:

    <(U' - U)^2> = 2 Var U (1 - r^s),    <d'^2> = 2 b^2 (1 - r^s),    Var U = (3N - 3) (k_BT)^2 / 2

(the variance of a harmonic crystal, which liquids exceed a little). Longer paths cost no call, only
the guide's time: of the numbers of segments that do nearly as well, the least is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hyperatom.analysis.acceptance_forecast import calls_per_sample, expected_acceptance
from hyperatom.units import BOLTZMANN

NEARLY: Final = 0.95
"""Part of the greatest gain with which fewer segments are content."""

GUESS: Final = 0.5
"""Correlation that a segment is taken to leave: that of a harmonic crystal, whose paths conserve
energy..."""

BELIEF: Final = 3.0
"""...with the weight of so many paths."""

RECENT: Final = 8
"""Latest paths that speak of the guide's error: it learns, and its old errors say little of now."""

WILDEST: Final = 8.0
"""Largest square of a change that is believed, over its mean where nothing is remembered."""

MEDIAN_OF_SQUARE: Final = 0.4549
"""Of a normal variable of unit variance."""


@dataclass(frozen=True)
class JudgedPath:
    """A full path that the reference judged.

    `change` (eV) is that of the reference's energy, `wrong` (eV) what the guide got wrong of it.
    """

    segments: int
    change: float
    wrong: float


def remaining_correlation(paths: Sequence[JudgedPath], variance: float) -> float:
    """r, by least squares; `variance` of the energy in eV^2."""
    trial = np.linspace(0.0, 0.99, 100)
    misfit = BELIEF * (trial - GUESS) ** 2
    for path in paths:
        # At the beginning a perfect crystal warms up, and its energy changes by much more.
        lost = min(path.change**2 / (2.0 * variance), WILDEST)
        misfit = misfit + (lost - (1.0 - trial**path.segments)) ** 2
    return float(trial[np.argmin(misfit)])


def best_segments(
    paths: Sequence[JudgedPath], temperature: float, n_atoms: int, largest: int
) -> int:
    """s from 1 to `largest`, by the equations above; one, where there is no path yet.

    `temperature` in K. Errors enter by their median, which a few failures do not move.
    """
    if not paths:
        return 1
    thermal_energy = BOLTZMANN * temperature
    variance = 0.5 * max(3 * n_atoms - 3, 1) * thermal_energy**2
    r = remaining_correlation(paths, variance)
    squares = [path.wrong**2 / (2.0 * (1.0 - r**path.segments)) for path in paths[-RECENT:]]
    deviation = float(np.sqrt(np.median(squares) / MEDIAN_OF_SQUARE))
    gains = []
    for segments in range(1, largest + 1):
        acceptance = expected_acceptance(deviation, temperature, r**segments)
        gains.append(1.0 / calls_per_sample(acceptance * (1.0 - r**segments)))
    return 1 + next(k for k, gain in enumerate(gains) if gain >= NEARLY * max(gains))
