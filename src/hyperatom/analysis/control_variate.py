"""Averages of the reference sharpened by free averages of the guide: a control variate.

A chain on the guide alone costs no reference call, so <f>_M, the guide's average of any f, is known
as well as one likes. In the reference's ensemble, with w = exp[(U_D - U_M) / k_B T],

    < w (f - <f>_M) >_D = 0    exactly,    since   <w f>_D / <w>_D = <f>_M,

so that for any number c

    <a>_D = < a - c w (f - <f>_M) >_D .

With f = a (or the guide's word for it) and a good guide, what is left to average is small, and a
reference call is worth far more than one sample: its variance falls from var(a) to about
var(a) var[(U_D - U_M) / k_B T]. Whatever the guide, the average stays the reference's own. c is
fitted to one half of the chain and used on the other, so that fitting it brings no bias.

Both ends of every judgement are used, the proposal with its probability P of being accepted and the
state before with 1 - P, which has the same average as the chain (waste recycling: Frenkel, Proc.
Natl. Acad. Sci. 101, 17571 (2004)). A guide chain may be confined to a region where the guide is
trusted: w is then zero outside of it.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from hyperatom.analysis.statistics import Array, Estimate, Kind, curve_error, estimate_mean
from hyperatom.errors import InputError

DISAGREEMENT: Final = 4.0
"""Standard errors by which the two chains may contradict each other before the guide is ignored."""

LEAST_OVERLAP: Final = 0.7
"""Below this the weights have tails that a short chain does not see, and little is to be gained."""

LEAST: Final = 8
"""Judgements below which nothing can be fitted."""


@dataclass(frozen=True, eq=False)
class Judgements:
    """The transitions of a reference chain, and how the two ensembles weigh both ends of each.

    | field         | shape  | meaning                                                       |
    |---------------|--------|---------------------------------------------------------------|
    | `probability` | (n, 2) | P and 1 - P, of the proposed and of the present configuration |
    | `log_weight`  | (n, 2) | (U_D - U_M) / k_B T of both; -inf outside the guide's region  |
    | `walkers`     | (n,)   | which chain each transition belongs to                        |

    Raises `InputError` where the shapes differ or a probability is impossible.
    """

    probability: Array
    log_weight: Array
    walkers: Array

    def __post_init__(self) -> None:
        n = len(self.walkers)
        if self.probability.shape != (n, 2) or self.log_weight.shape != (n, 2):
            raise InputError(
                f"{n} judgements need tables of shape ({n}, 2), found "
                f"{self.probability.shape} and {self.log_weight.shape}."
            )
        total = self.probability.sum(axis=1)
        if (self.probability < 0.0).any() or not np.allclose(total, 1.0):
            raise InputError("The probabilities of both ends of a judgement must add up to one.")

    @property
    def weight(self) -> Array:
        """w of both ends, (n, 2), with the average 1; where P is zero it does not matter."""
        usable = np.where(self.probability > 0.0, self.log_weight, -np.inf)
        top = usable.max(initial=-np.inf)
        if not np.isfinite(top):
            return np.zeros_like(usable)
        weight = np.exp(usable - top)
        mean = float(np.sum(self.probability * weight)) / len(weight)
        scaled: Array = weight / mean
        return scaled

    def recycled(self, values: Array) -> Array:
        """The average of `values` (n, 2, ...) over both ends of each transition, (n, ...)."""
        probability = self.probability.reshape(*self.probability.shape, *(1,) * (values.ndim - 2))
        # What was never looked at (a veto, a failure) may hold anything.
        taken: Array = np.sum(probability * np.where(probability > 0.0, values, 0.0), axis=1)
        return taken

    def by_walker(self, rows: Array) -> list[Array]:
        """Rows (n, ...) of each walker."""
        return [rows[self.walkers == walker] for walker in np.unique(self.walkers)]

    @property
    def overlap(self) -> float:
        """Kish's effective fraction <w>^2 / <w^2>: 1 for a perfect guide, 0 without overlap."""
        square = float(np.sum(self.probability * self.weight**2)) / max(len(self.weight), 1)
        return 1.0 / square if square > 0.0 else 0.0


@dataclass(frozen=True, eq=False)
class Sharpened:
    """An average of the reference, with the guide's help.

    | field          | shape  | meaning                                                         |
    |----------------|--------|-----------------------------------------------------------------|
    | `value`        | (...)  | the average                                                     |
    | `error`        | (...)  | one standard error, that of the guide's average included        |
    | `n_effective`  | (...)  | independent samples of the reference that would do as well      |
    | `disagreement` | scalar | root mean square of <w (f - <f>_M)>_D in standard errors        |
    | `helped`       | scalar | was the guide of any use? otherwise this is the plain average   |
    """

    value: Array
    error: Array
    n_effective: Array
    disagreement: float
    helped: bool

    def estimate(self, unit: str, kind: Kind = "exact") -> Estimate:
        """A single number as an `Estimate`; its residuals count as independent."""
        return Estimate(
            float(self.value), float(self.error), float(self.n_effective), 1.0, unit, kind
        )


def sharpen(
    values: ArrayLike, controls: ArrayLike, judgements: Judgements, guide: list[Array]
) -> Sharpened:
    """The average of `values` over the reference's ensemble.

    `values` and `controls` (n, 2, ...) are a and f at both ends of each judgement; `guide` holds f
    along the guide's chain, (n_samples, ...) for each of its walkers. Where the two chains
    contradict each other, overlap little, or are too short to tell, the guide is left out.
    """
    a = np.asarray(values, dtype=np.float64)
    f = np.asarray(controls, dtype=np.float64)
    shape = a.shape[2:]
    a, f = a.reshape(*a.shape[:2], -1), f.reshape(*f.shape[:2], -1)
    free = [np.asarray(one, dtype=np.float64).reshape(len(one), a.shape[2]) for one in guide]
    taken = judgements.recycled(a)
    # What one independent sample of the reference is worth.
    variance = judgements.recycled((a - taken.mean(axis=0)) ** 2).mean(axis=0)

    def result(rows: Array, extra: Any, disagreement: float, helped: bool) -> Sharpened:
        error = np.hypot(_error(judgements.by_walker(rows), shape), extra)
        with np.errstate(divide="ignore", invalid="ignore"):
            n_effective = np.where(error > 0.0, variance / error**2, np.nan)
        value = rows.mean(axis=0)
        return Sharpened(
            value.reshape(shape),
            error.reshape(shape),
            n_effective.reshape(shape),
            disagreement,
            helped,
        )

    enough = min(len(a), sum(len(one) for one in free)) >= LEAST
    if not enough or judgements.overlap < LEAST_OVERLAP:
        return result(taken, 0.0, np.nan, False)
    free_mean = np.concatenate(free).mean(axis=0)
    free_error = curve_error(free)
    weight = (judgements.probability * judgements.weight)[:, :, None]
    control = np.sum(np.where(weight > 0.0, weight * (f - free_mean), 0.0), axis=1)

    moving = control.std(axis=0) > 0.0
    spread = np.hypot(curve_error(judgements.by_walker(control)), free_error)
    with np.errstate(divide="ignore", invalid="ignore"):
        deviations = np.where(moving & (spread > 0.0), control.mean(axis=0) / spread, 0.0)
    disagreement = float(np.sqrt(np.sum(deviations**2) / max(int(moving.sum()), 1)))
    if not disagreement < DISAGREEMENT:
        return result(taken, 0.0, disagreement, False)

    coefficients = np.empty_like(control)
    half = np.arange(len(control)) < len(control) // 2
    for own, other in ((half, ~half), (~half, half)):
        coefficients[own] = _slope(taken[other], control[other])
    extra = np.abs(coefficients.mean(axis=0)) * np.nan_to_num(free_error)
    return result(taken - coefficients * control, extra, disagreement, True)


def sharpen_mean(
    values: ArrayLike,
    controls: ArrayLike,
    judgements: Judgements,
    guide: list[Array],
    unit: str,
    kind: Kind = "exact",
) -> Estimate:
    """`sharpen` for one number per configuration, never claiming less error than it has."""
    found = sharpen(values, controls, judgements, guide)
    if found.helped:
        return found.estimate(unit, kind)
    taken = judgements.recycled(np.asarray(values, dtype=np.float64))
    return estimate_mean(judgements.by_walker(taken), unit, kind)


def _error(chains: list[Array], shape: tuple[int, ...]) -> Array:
    # For a single number the more cautious of two windows.
    if shape == ():
        return np.array([estimate_mean([rows[:, 0] for rows in chains], "", "exact").error])
    return curve_error(chains)


def _slope(values: Array, control: Array) -> Array:
    """Regression coefficient of each column of `values` on that of `control`."""
    a, g = values - values.mean(axis=0), control - control.mean(axis=0)
    square = np.sum(g * g, axis=0)
    slope: Array = np.sum(a * g, axis=0) / np.where(square > 0.0, square, 1.0)
    return slope
