"""Ladders of replica exchange: do neighbours overlap, and do configurations travel?

For energies of n quadratic degrees of freedom (a crystal: n = 3N - 3) the two energies of a gap are
gamma distributed, and the mean acceptance of an exchange between temperatures T < T' is

    P = 2 I_z(n/2, n/2),   z = T / (T + T'),

I_z the regularised incomplete beta function: by detailed balance P is twice the chance that the
hotter rung has the lower energy. What matters is the ratio T'/T alone, which hence is chosen equal
for all gaps. A liquid or a glass has a larger heat capacity C of its potential energy: n = 2C/k_B.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, isfinite, log, nan

import numpy as np
from numpy.typing import ArrayLike

from hyperatom.analysis.statistics import Estimate, estimate_mean
from hyperatom.errors import InputError

LEAST = 0.02
"""Mean acceptance of exchanges below which a gap is as good as closed."""

WANTED = 0.25
"""Mean acceptance that a proposed ladder aims at: near the optimum for the travel from end to end
(0.23: Atchade, Roberts and Rosenthal, Stat. Comput. 21, 555 (2011))."""


def expected_exchange(temperature: float, other: float, degrees: float) -> float:
    """Mean acceptance between two temperatures (K), with `degrees` quadratic degrees of freedom."""
    from scipy.special import betainc

    low, high = sorted((temperature, other))
    return float(2.0 * betainc(0.5 * degrees, 0.5 * degrees, low / (low + high)))


def choose_temperatures(
    lowest: float, highest: float, degrees: float, acceptance: float = WANTED
) -> list[float]:
    """A geometric ladder (K) with at least this mean acceptance in each gap, and no more rungs.

    Raises `InputError` for temperatures that are not positive or an acceptance not below one.
    """
    from scipy.optimize import brentq

    if not (0.0 < lowest < highest < np.inf) or not 0.0 < acceptance < 1.0 or degrees < 1:
        raise InputError(
            f"There is no ladder from {lowest:g} K to {highest:g} K with acceptance "
            f"{acceptance:g} and {degrees:g} degrees of freedom.",
            "Give a lower and a higher temperature in K, and an acceptance between 0 and 1.",
        )
    span = log(highest / lowest)

    def surplus(log_ratio: float) -> float:
        return expected_exchange(1.0, float(np.exp(log_ratio)), degrees) - acceptance

    n_gaps = 1
    if surplus(span) < 0.0:
        n_gaps = ceil(span / float(brentq(surplus, 0.0, span)) - 1e-9)
    return [float(t) for t in np.geomspace(lowest, highest, n_gaps + 1)]


def require_overlap(
    temperatures: Sequence[float], degrees: float, least: float = LEAST, first: int = 1
) -> None:
    """Raises `InputError` where two neighbouring temperatures (K) do not overlap, naming them.

    `first` is the number of the first gap, for people.
    """
    for gap, (one, other) in enumerate(pairwise(temperatures), start=first):
        if not one > 0.0 or not other > 0.0 or one == other:
            raise InputError(
                f"Gap {gap} of the ladder, from {one:g} K to {other:g} K, is none.",
                "Give different positive temperatures.",
            )
        expected = expected_exchange(one, other, degrees)
        if expected < least:
            low, high = sorted((one, other))
            between = choose_temperatures(low, high, degrees)[1:-1]
            listed = ", ".join(f"{t:.0f}" for t in between)
            raise InputError(
                f"The temperatures {one:g} K and {other:g} K do not overlap (gap {gap} of the "
                f"ladder): with {degrees:g} degrees of freedom an exchange between them would be "
                f"accepted with probability {expected:.1g}.",
                f"Put {len(between)} more between them: {listed} K.",
            )


@dataclass(frozen=True)
class Gap:
    """What was seen between two neighbouring rungs; `acceptance`: mean of min(1, exp(...))."""

    name: str
    attempts: int
    acceptance: Estimate


def measure_gaps(names: Sequence[str], log_acceptances: Sequence[ArrayLike]) -> list[Gap]:
    """Mean acceptance of every gap, with error bars, from the log acceptances of its exchanges.

    `names` are those of the rungs, one more than gaps; the mean of min(1, exp(log acceptance))
    rather than the count of accepted ones also tells 1e-6 from 1e-3.
    """
    gaps = []
    for k, offered in enumerate(log_acceptances):
        log_acceptance = np.atleast_1d(np.asarray(offered, dtype=np.float64))
        probability = np.exp(
            np.minimum(np.where(np.isnan(log_acceptance), -np.inf, log_acceptance), 0.0)
        )
        name = f"{names[k]} - {names[k + 1]}"
        gaps.append(Gap(name, len(probability), estimate_mean(probability, "", "exact")))
    return gaps


def require_exchanges(gaps: Sequence[Gap], least: float = LEAST) -> None:
    """Raises `InputError` where a gap was as good as closed in a run, naming the worst."""
    open_gaps = [gap for gap in gaps if gap.attempts]
    if not open_gaps:
        return
    worst = min(open_gaps, key=lambda gap: gap.acceptance.value)
    if not worst.acceptance.value >= least:
        where = gaps.index(worst) + 1
        raise InputError(
            f"The ladder is broken between {worst.name} (gap {where} of {len(gaps)}): of "
            f"{worst.attempts} exchanges, a share of {worst.acceptance.value:.1g} is accepted on "
            "average, so that its two parts know nothing of each other.",
            "Put one or more rungs between these two.",
        )


@dataclass(frozen=True)
class RoundTrips:
    """How configurations travel from the lowest rung to the highest and back.

    | field      | shape     | meaning                                                             |
    |------------|-----------|---------------------------------------------------------------------|
    | `trips`    | scalar    | completed round trips of all walkers                                |
    | `duration` | scalar    | mean length of a completed trip, rounds; NaN without one            |
    | `upward`   | (n_rungs,)| share of visitors last seen at the lowest rung; falls evenly from 1 |
    |            |           | to 0 along a good ladder, in a step at a bottleneck                 |
    """

    trips: int
    duration: float
    upward: tuple[float, ...]

    @property
    def warning(self) -> str:
        """In words, what is wrong; empty when nothing is."""
        if self.trips == 0:
            return (
                "No walker has been at both ends of the ladder and back: the rungs have not shared "
                "what they found. Run longer, or put rungs where `upward` has its steepest step."
            )
        return ""


def count_round_trips(walkers: ArrayLike) -> RoundTrips:
    """Round trips from `walkers` (n_rounds, n_rungs): which walker is at each rung after a round.

    A trip of a walker leads from the lowest rung to the highest and back to the lowest.
    """
    at = np.asarray(walkers, dtype=np.int64)
    n_rungs = at.shape[1]
    # Last end seen: +1 the lowest, -1 the highest, 0 neither yet.
    last = np.zeros(n_rungs, dtype=np.int64)
    left: list[float] = [nan] * n_rungs
    turned = np.zeros(n_rungs, dtype=bool)
    durations: list[float] = []
    seen = np.zeros((2, n_rungs))
    for number, row in enumerate(at):
        bottom, top = int(row[0]), int(row[-1])
        if turned[bottom]:
            durations.append(number - left[bottom])
        left[bottom], turned[bottom], last[bottom] = number, False, 1
        if isfinite(left[top]):
            turned[top] = True
        last[top] = -1
        seen[0] += last[row] == 1
        seen[1] += last[row] != 0
    share = np.where(seen[1] > 0, seen[0] / np.maximum(seen[1], 1), np.nan)
    duration = float(np.mean(durations)) if durations else nan
    return RoundTrips(len(durations), duration, tuple(float(x) for x in share))
