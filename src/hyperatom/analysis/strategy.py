"""`strategy: auto`: Metropolis with a guide, or a guide's run reweighted? By cost per sample.

With b = sigma/k_B T, sigma the standard deviation of U_D - U_M, an independent sample costs about

    exp(b^2)       reference calls by reweighting decorrelated samples of the guide, and
    (2 - P)/P      by Metropolis with paths whose ends are independent, P = erfc(b/2).

The two cross at b = 1.2. Reweighting asks all its calls at the same time, a chain one after the
other (per walker), so that the wall time is shared by `workers` in the one case and by no more than
`walkers` in the other. Where weights were measured, their Kish fraction is used instead of the
Gaussian one if it is worse: errors of guides have tails.
"""

from dataclasses import dataclass
from math import exp, inf
from typing import Literal

from hyperatom.analysis.acceptance_forecast import calls_per_sample, expected_acceptance
from hyperatom.errors import InputError
from hyperatom.units import BOLTZMANN


@dataclass(frozen=True)
class Strategy:
    """The decision and its reason, with what each way would cost.

    | field                 | unit  | meaning                                              |
    |-----------------------|-------|------------------------------------------------------|
    | `reweighting_calls`   | calls | reference calls per independent sample               |
    | `metropolis_calls`    | calls | the same, by guided trajectories                     |
    | `reweighting_seconds` | s     | wall time per independent sample                     |
    | `metropolis_seconds`  | s     | the same                                             |
    """

    name: Literal["metropolis", "reweighting"]
    reason: str
    reweighting_calls: float
    metropolis_calls: float
    reweighting_seconds: float
    metropolis_seconds: float


def choose_strategy(
    deviation: float,
    temperature: float,
    kish: float | None = None,
    reference_seconds: float = 1.0,
    guide_seconds: float = 0.0,
    workers: int = 1,
    walkers: int = 1,
) -> Strategy:
    """What to do with a guide whose U_D - U_M has the standard deviation `deviation` (eV).

    `temperature` in K; `kish` the fraction found from weights, if any were measured; seconds of a
    reference call and of an independent sample of the guide. Raises `InputError` for a deviation
    or a time that is not a non-negative number, and without a worker.
    """
    numbers = (deviation, reference_seconds, guide_seconds)
    if not all(0.0 <= x < inf for x in numbers) or min(workers, walkers) < 1:
        raise InputError(
            f"No strategy follows from a deviation of {deviation:g} eV, {reference_seconds:g} s a "
            f"call, {guide_seconds:g} s a guide sample, {workers} workers and {walkers} walkers.",
            "Measure the deviation on samples of the guide, and give at least one worker.",
        )
    b = deviation / (BOLTZMANN * temperature)
    gaussian = exp(b * b) if b < 26.0 else inf
    found = gaussian if kish is None else max(gaussian, 1.0 / max(kish, 1e-300))
    acceptance = expected_acceptance(deviation, temperature)
    chained = calls_per_sample(acceptance)
    each = reference_seconds + guide_seconds
    reweighting = found * each / workers
    metropolis = chained * each / min(walkers, workers)
    name: Literal["metropolis", "reweighting"] = (
        "reweighting" if reweighting <= metropolis and reweighting < inf else "metropolis"
    )
    source = "" if found == gaussian else f" (weights measured: {kish:.2g} of the samples are left)"
    reason = (
        f"The guide's error spreads by {b:.2f} k_BT: reweighting needs about {found:.3g} calls per "
        f"independent sample{source}, Metropolis about {chained:.3g} at acceptance "
        f"{acceptance:.2f}; with {workers} calls at a time against {min(walkers, workers)} that is "
        f"{reweighting:.3g} s against {metropolis:.3g} s, so "
        + (
            "the guide's run is reweighted."
            if name == "reweighting"
            else "a Metropolis chain is run."
        )
    )
    return Strategy(name, reason, found, chained, reweighting, metropolis)
