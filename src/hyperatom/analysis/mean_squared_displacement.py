"""Mean squared displacements by species, their regimes, and diffusion constants with errors."""

from dataclasses import dataclass
from math import isfinite, nan, pi
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.observation import Axis, Curve, Observation
from hyperatom.analysis.statistics import Array, Estimate
from hyperatom.analysis.unwrapped import atom_series
from hyperatom.analysis.weighted import Samples, as_trajectory
from hyperatom.trajectory import Trajectory
from hyperatom.units import BOLTZMANN

GROUPS: Final = 24
"""Groups of atoms of a species whose scatter gives the errors."""

SQUARE_CENTIMETRE_PER_SECOND: Final = 0.1
"""One Å^2/fs."""

Regime = Literal["ballistic", "plateau", "diffusive"]


@dataclass(frozen=True)
class MeanSquaredDisplacement:
    """< |r(t) - r(0)|^2 > of each species over all origins, and D where motion is diffusive.

        sum_k (x_{k+m} - x_k)^2 = S_1(m) - 2 S_2(m),    S_2 by fast Fourier transform

    (V. Calandrini et al., Collection SFN 12, 201 (2011)). The centre of mass is held still.
    Regimes are read off the logarithmic slope: ballistic above 1.7, a plateau below 0.3, diffusive
    between 0.85 and 1.15 over a factor of two of time. D is a sixth of the slope there, fitted with
    weights 1/t^2 (scatter grows like t), its error from up to 24 groups of atoms left out in turn,
    and from walkers where there are four or more; the larger counts. Atoms that move together make
    it too small.

    `largest` is the part of the run up to which lags are kept: beyond a third there are too few
    origins. With `viscosity` (Pa s) and `temperature` (K), D in a cubic cell is corrected for its
    images (I.-C. Yeh and G. Hummer, J. Phys. Chem. B 108, 15873 (2004)).
    """

    largest: float = 0.33
    viscosity: float | None = None
    temperature: float | None = None

    def compute(self, samples: Samples) -> Observation:
        """Curves and diffusion constants (cm^2/s).

        Raises `InputError` for a Monte Carlo chain or without equidistant times.
        """
        trajectory = as_trajectory(samples)
        longest = trajectory.longest
        n_lags = max(2, min(longest, int(self.largest * longest) + 1))
        times = trajectory.clock(n_lags)
        curves, numbers, notes = {}, {}, []
        with atom_series(trajectory, "positions", unwrap=True) as paths:
            for symbol in trajectory.symbols:
                members = trajectory.members(symbol)
                groups = _groups(trajectory, paths, members, n_lags)
                mean, error, replicas = _summary(groups, len(members))
                curves[symbol] = Curve(times, mean, error, float(len(replicas)))
                found = regimes(times, mean)
                for regime, (start, stop) in found.items():
                    window = f"{times[start]:.4g} to {times[stop - 1]:.4g} fs"
                    notes.append(f"{symbol}: {regime} from {window}.")
                if "plateau" in found:
                    window_slice = slice(*found["plateau"])
                    level = replicas[:, window_slice].mean(axis=1)
                    numbers[f"plateau of {symbol}"] = _estimate(level, "Å^2", trajectory)
                if "diffusive" not in found:
                    notes.append(f"{symbol}: no diffusive regime within the run.")
                    continue
                start, stop = found["diffusive"]
                slopes = np.array([_slope(times, row, start, stop) for row in replicas])
                name = f"diffusion of {symbol}"
                numbers[name] = _estimate(
                    slopes / 6.0 * SQUARE_CENTIMETRE_PER_SECOND, "cm^2/s", trajectory
                )
                if self.viscosity is not None and self.temperature is not None:
                    extra = self._images(trajectory)
                    one = numbers[name]
                    numbers[f"{name}, infinite cell"] = Estimate(
                        one.value + extra, one.error, one.n_effective, 1.0, one.unit, one.kind
                    )
        return Observation(
            "mean squared displacement",
            trajectory.kind,
            len(trajectory),
            Axis("time", "fs"),
            Axis("mean squared displacement", "Å^2"),
            curves,
            numbers,
            tuple(notes),
        )

    def _images(self, trajectory: Trajectory) -> float:
        """2.837297 k_B T/(6 pi eta L), cm^2/s."""
        assert self.viscosity is not None
        assert self.temperature is not None
        length = float(trajectory.volumes.mean() ** (1.0 / 3.0))
        thermal = BOLTZMANN * self.temperature * 1.602176634e-19
        return float(2.837297 * thermal / (6.0 * pi * self.viscosity * length * 1e-10) * 1e4)


def squared_displacement(paths: Array, n_lags: int) -> Array:
    """Sum over rows of the mean over origins of squared displacements, (n_lags,).

    `paths` (n_rows, n_frames) are coordinates, already without jumps; lags beyond the run are NaN.
    """
    from scipy import fft

    n = paths.shape[1]
    centred = paths - paths.mean(axis=1, keepdims=True)
    size = fft.next_fast_len(2 * n, real=True)
    spectrum = fft.rfft(centred, size, axis=1, workers=-1)
    power = np.einsum("rf,rf->f", spectrum.real, spectrum.real)
    power += np.einsum("rf,rf->f", spectrum.imag, spectrum.imag)
    correlation = fft.irfft(power, size)[: min(n, n_lags)]
    square = np.einsum("rf,rf->f", centred, centred)
    total = 2.0 * square.sum()
    # S_1(m): what leaves the sum at both ends as the lag grows.
    ends = np.concatenate([[0.0], np.cumsum(square[: len(correlation) - 1] + square[::-1][
        : len(correlation) - 1])])  # fmt: skip
    lags = np.arange(len(correlation))
    found = np.full(n_lags, nan)
    found[: len(correlation)] = (total - ends - 2.0 * correlation) / (n - lags)
    found[0] = 0.0
    return found


def regimes(times: Array, curve: Array) -> dict[Regime, tuple[int, int]]:
    """Where each regime lies: first index and one past the last."""
    usable = np.flatnonzero(np.isfinite(curve) & (curve > 0.0) & (times > 0.0))
    if len(usable) < 4:
        return {}
    # Logarithmic slope over a quarter of a decade, at logarithmically spaced times.
    x, y = np.log(times[usable]), np.log(curve[usable])
    centre = np.linspace(x[0], x[-1], 60)
    half = 0.3
    slope = np.full(len(centre), nan)
    for k, c in enumerate(centre):
        near = (x >= c - half) & (x <= c + half)
        if near.sum() >= 2 and np.ptp(x[near]) > half / 2:
            slope[k] = np.polyfit(x[near], y[near], 1)[0]
    known = np.isfinite(slope)
    if not known.any():
        return {}
    slope = np.interp(centre, centre[known], slope[known])
    found: dict[Regime, tuple[int, int]] = {}
    # What comes last counts for plateau and diffusion, what comes first for free flight.
    for name, inside in (
        ("ballistic", slope > 1.7),
        ("plateau", slope < 0.3),
        ("diffusive", (slope > 0.85) & (slope < 1.15)),
    ):
        run = _run(inside, last=name != "ballistic")
        if run is None:
            continue
        low, high = np.exp(centre[run[0]]), np.exp(centre[run[1] - 1])
        if name != "ballistic" and high < 2.0 * low:
            continue
        window = usable[(times[usable] >= 0.999 * low) & (times[usable] <= 1.001 * high)]
        if len(window) >= 2:
            found[name] = int(window[0]), int(window[-1]) + 1  # type: ignore[index]
    if "diffusive" in found:
        # Between free flight and a cage the slope passes through one; nothing diffuses there, and
        # the curve ends far below the straight line.
        stop, end = found["diffusive"][1] - 1, usable[-1]
        if curve[end] < 0.5 * curve[stop] * times[end] / times[stop]:
            del found["diffusive"]
    return found


def _run(inside: NDArray[np.bool_], *, last: bool) -> tuple[int, int] | None:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(int), [0]])))
    if len(edges) == 0:
        return None
    pairs = edges.reshape(-1, 2)
    start, stop = pairs[-1] if last else pairs[0]
    return int(start), int(stop)


def _groups(trajectory: Trajectory, paths: Array, members: NDArray[np.int64], n_lags: int) -> Array:
    """Curves of each group of atoms of each walker, (n_walkers, n_groups, n_lags)."""
    label = _label(len(members))
    found = []
    for window in trajectory.windows():
        rows = []
        for group in range(int(label[-1]) + 1):
            atoms = members[label == group]
            some = np.asarray(paths[atoms, :, window]).reshape(3 * len(atoms), -1)
            rows.append(squared_displacement(some, n_lags) / len(atoms))
        found.append(rows)
    return np.array(found)


def _summary(groups: Array, n_atoms: int) -> tuple[Array, Array, Array]:
    """Mean over atoms, its error, and independent curves whose plain mean it is."""
    n_walkers, n_groups, _ = groups.shape
    sizes = np.bincount(_label(n_atoms), minlength=n_groups)
    share = np.tile(sizes * (n_groups / n_atoms), n_walkers)[:, None]
    flat = groups.reshape(n_walkers * n_groups, -1)
    with np.errstate(invalid="ignore"):
        mean = np.nanmean(share * flat, axis=0)
    # Groups of unequal size: curves around the mean, so that their plain mean is that of atoms.
    flat = mean + share * (flat - mean)
    error = _scatter(flat)
    replicas = flat
    if n_walkers >= 4:
        walkers = flat.reshape(groups.shape).mean(axis=1)
        between = _scatter(walkers)
        if np.nanmean(between) > np.nanmean(error):
            error, replicas = between, walkers
    return mean, np.where(error > 0.0, error, nan), replicas


def _label(n_atoms: int) -> NDArray[np.int64]:
    """The group of each atom."""
    return np.arange(n_atoms) * min(GROUPS, n_atoms) // n_atoms


def _scatter(rows: Array) -> Array:
    if len(rows) < 2:
        return np.full(rows.shape[1:], nan)
    return np.asarray(rows.std(axis=0, ddof=1) / np.sqrt(len(rows)))


def _slope(times: Array, curve: Array, start: int, stop: int) -> float:
    window = slice(start, stop)
    t, y = times[window], curve[window]
    usable = np.isfinite(y)
    return float(np.polyfit(t[usable], y[usable], 1, w=1.0 / t[usable])[0])


def _estimate(replicas: Array, unit: str, trajectory: Trajectory) -> Estimate:
    n = len(replicas)
    error = float(replicas.std(ddof=1) / np.sqrt(n)) if n > 1 else nan
    error = error if isfinite(error) and error > 0.0 else nan
    return Estimate(float(replicas.mean()), error, float(n), 1.0, unit, trajectory.kind)
