"""Green-Kubo: viscosity, ionic and thermal conductivity from currents that forget themselves.

    L(t) = A int_0^t < J(0) J(t') > dt'

| coefficient          | A             | J                                                         |
|----------------------|---------------|-----------------------------------------------------------|
| viscosity            | V/(k_B T)     | off-diagonal and half-differences of diagonal stresses    |
| ionic conductivity   | 1/(3 V k_B T) | sum_i q_i v_i                                             |
| thermal conductivity | 1/(3 V k_B T^2)| heat current                                             |

The integral is read where its plateau begins: at the first time from which on it stays within its
own error over a stretch as long again. Errors are those of segments of the path.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np

from hyperatom.analysis.observation import Axis, Curve, Observation
from hyperatom.analysis.statistics import Array, Estimate
from hyperatom.analysis.vibrations import correlation
from hyperatom.analysis.weighted import Samples, as_trajectory
from hyperatom.errors import InputError
from hyperatom.trajectory import Kind
from hyperatom.units import BOLTZMANN

PASCAL_SECOND: Final = 1.602176634e-4
"""One eV/Å^3 times one fs."""

SIEMENS_PER_METRE: Final = 1.602176634e6
"""One e^2/(eV fs Å)."""

WATT_PER_METRE_KELVIN: Final = 1.602176634e6
"""One eV/(fs Å K)."""


def integrated(
    currents: list[Array], step: float, longest: float, factor: float, unit: str, kind: Kind,
    quantity: str,
) -> Observation:  # fmt: skip
    """The running integral of the autocorrelation of a current, and its plateau.

    `currents` are one table (n_frames, n_components) for each walker, averaged over components;
    `step` and `longest` in fs; `factor` turns their squares times fs into `unit`. Raises
    `InputError` where a walker is shorter than `longest`.
    """
    n_lags = int(longest / step) + 1
    rows = []
    for current in currents:
        if len(current) < 2 * n_lags:
            raise InputError(
                f"A correlation time of {longest:g} fs needs a path of {2 * longest:g} fs, found "
                f"{len(current) * step:g} fs.",
                "Choose a shorter time or run longer.",
            )
        n_segments = max(1, min(20, len(current) // (4 * n_lags)))
        size = len(current) // n_segments
        for k in range(n_segments):
            part = current[k * size : (k + 1) * size]
            c = correlation(np.ascontiguousarray(part.T), n_lags)
            trapezoid = np.concatenate([[0.0], np.cumsum((c[1:] + c[:-1]) / 2.0)])
            rows.append(factor * step * trapezoid)
    table = np.array(rows)
    mean = table.mean(axis=0)
    error = np.full(n_lags, nan)
    if len(table) > 1:
        error = table.std(axis=0, ddof=1) / np.sqrt(len(table))
    at = _plateau(mean, error)
    times = np.arange(n_lags) * np.float64(step)
    value = Estimate(float(mean[at]), float(error[at]), float(len(table)), 1.0, unit, kind)
    return Observation(
        quantity,
        kind,
        sum(len(one) for one in currents),
        Axis("time", "fs"),
        Axis(quantity, unit),
        {quantity: Curve(times, mean, np.where(error > 0.0, error, nan), float(len(table)))},
        {quantity: value},
        (f"Read at {times[at]:.4g} fs, where the plateau begins.",),
    )


def _plateau(mean: Array, error: Array) -> int:
    for at in range(2, len(mean) // 2):
        ahead = slice(at, 2 * at)
        if np.all(np.abs(mean[ahead] - mean[at]) <= np.nan_to_num(error[ahead], nan=0.0)):
            return at
    return len(mean) // 2


@dataclass(frozen=True)
class Viscosity:
    """Shear viscosity at `temperature` (K) from stresses kept up to `longest` (fs), Pa s.

    Five components: xy, yz, xz and (xx - yy)/2, (yy - zz)/2 (P. J. Daivis and D. J. Evans, J. Chem.
    Phys. 100, 541 (1994)). Stresses must hold the kinetic part.
    """

    temperature: float
    longest: float = 2000.0

    def compute(self, samples: Samples) -> Observation:
        """Raises `InputError` for a Monte Carlo chain or without stresses."""
        trajectory = as_trajectory(samples)
        step = trajectory.time_step
        found = []
        for _, frames in trajectory.chunks():
            if frames.stresses is None:
                raise InputError(
                    f"{trajectory.origin} does not hold stresses.", "Write it with stresses."
                )
            found.append(frames.stresses)
        s = np.concatenate(found)
        parts = [s[:, 3], s[:, 4], s[:, 5], (s[:, 0] - s[:, 1]) / 2.0, (s[:, 1] - s[:, 2]) / 2.0]
        volume = float(trajectory.volumes.mean())
        factor = volume / (BOLTZMANN * self.temperature) * PASCAL_SECOND
        currents = trajectory.by_walker(np.stack(parts, axis=1))
        return integrated(
            currents, step, self.longest, factor, "Pa s", trajectory.kind, "viscosity"
        )


@dataclass(frozen=True)
class IonicConductivity:
    """Ionic conductivity at `temperature` (K) of ions with `charges` (e) by species, S/m."""

    temperature: float
    charges: Mapping[str, float]
    longest: float = 2000.0

    def compute(self, samples: Samples) -> Observation:
        """Raises `InputError` for a Monte Carlo chain, without velocities, or charges amiss."""
        trajectory = as_trajectory(samples)
        step = trajectory.time_step
        charge = np.full(trajectory.n_atoms, nan)
        for symbol, q in self.charges.items():
            charge[trajectory.members(symbol)] = q
        if np.isnan(charge).any():
            raise InputError(
                "Not every species has a charge.",
                f"Name one for each of {', '.join(trajectory.symbols)}.",
            )
        rows = []
        for _, frames in trajectory.chunks():
            if frames.velocities is None:
                raise InputError(
                    f"{trajectory.origin} does not hold velocities.", "Write it with velocities."
                )
            rows.append(np.einsum("a,fac->fc", charge, frames.velocities))
        volume = float(trajectory.volumes.mean())
        # The mean over three components is a third of the sum.
        factor = SIEMENS_PER_METRE / (volume * BOLTZMANN * self.temperature)
        currents = trajectory.by_walker(np.concatenate(rows))
        return integrated(
            currents, step, self.longest, factor, "S/m", trajectory.kind, "ionic conductivity"
        )


def thermal_conductivity(
    heat_currents: list[Array], step: float, volume: float, temperature: float, longest: float,
    kind: Kind,
) -> Observation:  # fmt: skip
    """Thermal conductivity, W/(m K), from heat currents (n_frames, 3) of each walker in eV Å/fs."""
    factor = WATT_PER_METRE_KELVIN / (volume * BOLTZMANN * temperature**2)
    return integrated(heat_currents, step, longest, factor, "W/(m K)", kind, "thermal conductivity")
