"""Arrhenius: an activation energy from rates or diffusion constants at several temperatures."""

from collections.abc import Mapping

import numpy as np

from hyperatom.analysis.observation import Axis, Curve, Observation
from hyperatom.analysis.statistics import Estimate
from hyperatom.errors import InputError
from hyperatom.units import BOLTZMANN


def arrhenius(values: Mapping[float, Estimate]) -> Observation:
    """ln k = ln k_0 - E_a/(k_B T), with the errors of the values; `values` by temperature, K.

    Errors are those of the fit, widened by sqrt(chi^2/(n - 2)) where the points scatter more than
    their errors say. Raises `InputError` for fewer than three temperatures, or values that are not
    positive.
    """
    temperatures = np.array(sorted(values))
    points = [values[t] for t in temperatures]
    k = np.array([one.value for one in points])
    if len(points) < 3 or not (np.isfinite(k).all() and (k > 0.0).all()):
        raise InputError(
            "An Arrhenius fit needs positive values at three temperatures or more, found "
            f"{int((k > 0.0).sum())}.",
            "Add temperatures at which something moves.",
        )
    x = 1.0 / (BOLTZMANN * temperatures)
    relative = np.array([one.error for one in points]) / k
    relative = np.where(np.isfinite(relative) & (relative > 0.0), relative, np.nan)
    if np.isnan(relative).any():
        raise InputError(
            "An Arrhenius fit needs the error of each value.", "Run longer at each temperature."
        )
    coefficients, covariance = np.polyfit(x, np.log(k), 1, w=1.0 / relative, cov="unscaled")
    misfit = (np.log(k) - np.polyval(coefficients, x)) / relative
    excess = max(1.0, float(np.sum(misfit**2)) / (len(k) - 2))
    slope_error, log_error = np.sqrt(np.diag(covariance) * excess)
    n_effective = min(one.n_effective for one in points)
    kind, unit = points[0].kind, points[0].unit
    prefactor = float(np.exp(coefficients[1]))
    return Observation(
        "Arrhenius",
        kind,
        len(points),
        Axis("1000/T", "1/K"),
        Axis("value", unit),
        {"values": Curve(1000.0 / temperatures, k, k * relative, n_effective)},
        {
            "activation energy": Estimate(
                -float(coefficients[0]), float(slope_error), n_effective, 1.0, "eV", kind
            ),
            "prefactor": Estimate(
                prefactor, prefactor * float(log_error), n_effective, 1.0, unit, kind
            ),
        },
        () if excess <= 4.0 else ("The points scatter more than their errors: no straight line.",),
    )
