"""Averages over the frames of a trajectory: weights and walkers taken care of in one place."""

from collections.abc import Callable, Mapping, Sequence
from math import nan
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperatom.analysis.covariance import function_of_means
from hyperatom.analysis.observation import Curve
from hyperatom.analysis.statistics import (
    Array,
    Estimate,
    curve_error,
    estimate_mean,
    sokal_inefficiency,
)
from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.trajectory import Kind, Trajectory

Samples = Trajectory | Sequence[Configuration]


def as_trajectory(
    samples: Samples,
    weights: ArrayLike | None = None,
    walkers: ArrayLike | None = None,
    kind: Kind | None = None,
) -> Trajectory:
    """A trajectory as it is, or configurations as one.

    Raises `InputError` where a trajectory is given and something of it twice.
    """
    if isinstance(samples, Trajectory):
        if any(extra is not None for extra in (weights, walkers, kind)):
            raise InputError(
                "A trajectory has its own weights, walkers and kind; they were given twice.",
                "Put them into the trajectory.",
            )
        return samples
    return Trajectory.from_configurations(
        samples, weights=weights, walkers=walkers, kind=kind or "as given"
    )


def linearised(values: Array, weights: Array) -> Array:
    """A series whose plain mean is the weighted mean, and whose error is that of the ratio.

    <w x>/<w> varies, to first order, like the mean of w (x - m)/<w>.
    """
    factor = (weights / weights.mean()).reshape(-1, *(1,) * (values.ndim - 1))
    mean = (factor * values).mean(axis=0)
    series: Array = mean + factor * (values - mean)
    return series


def by_label(values: Array, walkers: NDArray[np.int64]) -> list[Array]:
    """The series of each walker."""
    return [values[walkers == label] for label in np.unique(walkers)]


def mean_of(trajectory: Trajectory, values: Array, unit: str) -> Estimate:
    """Mean of one value a frame, leaving out NaN."""
    usable = np.isfinite(values)
    if not usable.any() or not trajectory.weights[usable].sum() > 0.0:
        return Estimate(nan, nan, 0.0, 1.0, unit, trajectory.kind)
    linear = linearised(values[usable], trajectory.weights[usable])
    series = by_label(linear, trajectory.walkers[usable])
    return estimate_mean(series, unit, trajectory.kind)


def curve_of(trajectory: Trajectory, x: Array, rows: Array) -> Curve:
    """Mean of one curve a frame, (n_frames, n_points), with its band."""
    linear = linearised(rows, trajectory.weights)
    series = trajectory.by_walker(linear)
    varying = np.ptp(linear, axis=0) > 0.0
    n_effective = nan
    if varying.any() and len(linear) > 1:
        g = sokal_inefficiency([one[:, varying] for one in series])
        n_effective = float(len(linear) / np.median(g))
    return Curve(x, linear.mean(axis=0), curve_error(series), n_effective)


def function_of(
    trajectory: Trajectory,
    function: Callable[[Array], Any],
    columns: Sequence[Array],
    unit: str,
) -> Estimate:
    """f(<x_1>, <x_2>, ...) of several values a frame, by the block jackknife.

    `function` takes the means in the order of `columns`. N_eff is that of the slowest column.
    """
    (found,) = functions_of(
        trajectory, lambda means: [function(means)], columns, {"": unit}
    ).values()
    return found


def functions_of(
    trajectory: Trajectory,
    functions: Callable[[Array], Any],
    columns: Sequence[Array],
    units: Mapping[str, str],
) -> dict[str, Estimate]:
    """Several functions of the same means at once, named in the order of `units`."""
    rows = np.stack([np.ones(len(trajectory)), *columns], axis=1) * trajectory.weights[:, None]
    values, errors = function_of_means(
        lambda means: np.asarray(functions(means[1:] / means[0])), trajectory.by_walker(rows)
    )
    each = [mean_of(trajectory, column, "") for column in columns]
    slowest = min(each, key=lambda one: one.n_effective)
    return {
        name: Estimate(
            float(value), float(error), slowest.n_effective, slowest.autocorrelation_time, unit,
            trajectory.kind,
        )
        for (name, unit), value, error in zip(units.items(), values, errors, strict=True)
    }  # fmt: skip
