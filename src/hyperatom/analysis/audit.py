"""How wrong is a trajectory of a cheap potential? Its averages, plain and reweighted.

With both energies of its configurations, U_M of the potential that made them and U_D of the
reference,

    <a>_D = < w a >_M / < w >_M,    w = exp[-(U_D - U_M)/k_B T],

is exact, whatever the potential, as long as the two ensembles overlap (R. W. Zwanzig, J. Chem.
Phys. 22, 1420 (1954)). What can be seen of that: Kish's effective fraction <w>^2/<w^2>, and the
share of the largest weight. Where they are small the largest weights have not been seen at all, and
reweighted averages are worthless however small their error bars look.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hyperatom.analysis.observation import Observation
from hyperatom.analysis.statistics import Array, Estimate, autocorrelation_time
from hyperatom.analysis.weighted import function_of, mean_of
from hyperatom.errors import InputError
from hyperatom.trajectory import Trajectory
from hyperatom.units import BOLTZMANN

LEAST_SAMPLES: Final = 20.0
"""Effective samples below which there is no overlap to speak of."""

LEAST_FRACTION: Final = 0.05
"""Effective fraction below which the tails of the weights are not seen."""

THIN_FRACTION: Final = 0.3
"""Effective fraction below which reweighted averages deserve a warning."""


@dataclass(frozen=True, eq=False)
class Audit:
    """The two ensembles, side by side.

    | field        | meaning                                                                     |
    |--------------|-----------------------------------------------------------------------------|
    | `plain`      | the trajectory as it is                                                     |
    | `reweighted` | the same with weights of the reference; None where there is no overlap      |
    | `spread`     | standard deviation of (U_D - U_M)/k_B T                                     |
    | `fraction`   | Kish's effective fraction                                                   |
    | `effective`  | effective number of samples, correlations taken off                         |
    | `largest`    | share of the largest weight                                                 |
    | `numbers`    | free-energy difference, offset and scatter of the error, with error bars    |
    """

    plain: Trajectory
    reweighted: Trajectory | None
    spread: float
    fraction: float
    effective: float
    largest: float
    numbers: dict[str, Estimate]

    @property
    def verdict(self) -> str:
        """In words, what reweighting is worth here."""
        told = (
            f"{self.effective:.1f} effective samples, {100 * self.fraction:.3g} % of all; the "
            f"errors scatter by {self.spread:.3g} k_B T"
        )
        if self.reweighted is None:
            return (
                f"No overlap: {told}. The reference's ensemble cannot be had from this trajectory; "
                "sample it with 'hyperatom run', whose acceptance test needs no overlap."
            )
        if self.fraction < THIN_FRACTION:
            return f"Thin overlap: {told}. Believe differences of many standard errors only."
        return f"Good overlap: {told}."

    def compare(self, plain: Observation, reweighted: Observation) -> list[str]:
        """For each number and curve, how far apart both are, in standard errors."""
        lines = []
        for name, one in plain.numbers.items():
            other = reweighted.numbers.get(name)
            if other is None:
                continue
            pull = (other.value - one.value) / np.hypot(one.error, other.error)
            lines.append(f"{name}: {one} plain, {other} reweighted ({_errors(pull)})")
        for name, curve in plain.curves.items():
            if name not in reweighted.curves:
                continue
            changed = reweighted.curves[name]
            with np.errstate(invalid="ignore", divide="ignore"):
                pulls = np.abs(changed.y - curve.y) / np.hypot(curve.error, changed.error)
            known = np.isfinite(pulls)
            if known.any():
                at = int(np.argmax(np.where(known, pulls, -1.0)))
                lines.append(
                    f"{plain.quantity} {name}: differs most at {plain.x.name} = "
                    f"{curve.x[at]:.4g} {plain.x.unit}, {curve.y[at]:.4g} plain, "
                    f"{changed.y[at]:.4g} reweighted ({_errors(float(pulls[at]))})"
                )
        return lines


def audit(trajectory: Trajectory, potential: Array, reference: Array, temperature: float) -> Audit:
    """Weigh a trajectory; energies (n_frames,) in eV, `temperature` in K.

    Frames without an energy of the reference (NaN: it failed there) are left out by weight zero.
    Raises `InputError` where fewer than four frames have both energies.
    """
    usable = np.isfinite(potential) & np.isfinite(reference)
    if usable.sum() < 4:
        raise InputError(
            f"Only {int(usable.sum())} frames have an energy of both; an audit needs four.",
            "Give a longer trajectory.",
        )
    thermal = BOLTZMANN * temperature
    delta = np.where(usable, reference - potential, 0.0) / thermal
    centre = delta[usable].mean()
    exponent = np.where(usable, -(delta - centre), -np.inf)
    # Both ends are capped together, so that nothing overflows.
    weight = trajectory.weights * np.exp(exponent - exponent.max())
    present = replace(trajectory, weights=np.where(usable, trajectory.weights, 0.0))
    share = weight / weight.sum()
    fraction = float(1.0 / (np.sum(share**2) * usable.sum()))
    series = np.where(usable, delta, centre)
    g = autocorrelation_time(trajectory.by_walker(series))
    effective = fraction * float(usable.sum()) / g
    overlaps = effective >= LEAST_SAMPLES and fraction >= LEAST_FRACTION
    reweighted = None
    if overlaps:
        reweighted = replace(trajectory, weights=weight, kind="reweighted")
    n = trajectory.n_atoms
    relative = np.where(usable, series - centre, 0.0)
    numbers = {
        "offset <U_D - U_M>": mean_of(present, series * thermal / n, "eV/atom"),
        "scatter of U_D - U_M": function_of(
            present,
            lambda m: 1e3 * thermal / n * np.sqrt(max(m[0] - m[1] ** 2, 0.0)),
            [relative**2, relative],
            "meV/atom",
        ),
    }
    if overlaps:
        numbers["free energy F_D - F_M"] = function_of(
            present,
            lambda m: (centre - np.log(m[0])) * thermal / n,
            [np.exp(-relative)],
            "eV/atom",
        )
    return Audit(
        present, reweighted, float(np.std(delta[usable])), fraction, effective,
        float(share.max()), numbers,
    )  # fmt: skip


def _errors(pull: float) -> str:
    if not np.isfinite(pull):
        return "no error known"
    return f"{pull:+.1f} standard errors" if pull < 0 else f"{pull:.1f} standard errors"
