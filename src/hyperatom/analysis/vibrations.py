"""Velocity autocorrelation and the vibrational density of states."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from math import nan
from typing import Any, Final, Literal

import numpy as np

from hyperatom.analysis.observation import Axis, Curve, Observation
from hyperatom.analysis.scattering import neutron_lengths
from hyperatom.analysis.statistics import Array
from hyperatom.analysis.unwrapped import atom_series
from hyperatom.analysis.weighted import Samples, as_trajectory
from hyperatom.errors import InputError
from hyperatom.trajectory import Trajectory

WAVENUMBER: Final = 33.35640951981521
"""1/cm of one THz."""

Weighting = Literal["mass", "plain", "neutron"]


@dataclass(frozen=True)
class VibrationalDensityOfStates:
    """Density of states from the power spectrum of velocities, as `weighting` sees it.

        g(nu) ~ sum_i w_i |v_i(nu)|^2,    w_i = m_i (mass), 1 (plain), b_i^2 (neutron)

    In a harmonic crystal `mass` counts normal modes alike, whatever they weigh (J. M. Dickey and A.
    Paskin, Phys. Rev. 188, 1407 (1969)); `neutron` is the generalised density of states with
    coherent scattering lengths, b^2 m/m. Normalised to 1 over nu > 0; partials add up to the total.
    The path is cut into Hann-windowed segments of `resolution` (THz), half overlapping (Welch), and
    errors are those of the mean over segments and walkers. Without velocities central differences
    of positions are taken, and their known damping sin(omega dt)/(omega dt) undone.
    """

    resolution: float = 0.2
    weighting: Weighting = "mass"
    largest: float | None = None

    def compute(self, samples: Samples) -> Observation:
        """The total and that of each species, in 1/THz.

        Raises `InputError` for a Monte Carlo chain, and where a segment is longer than the path.
        """
        trajectory = as_trajectory(samples)
        step = trajectory.time_step
        if not self.resolution > 0.0:
            raise InputError(f"A resolution of {self.resolution} THz is impossible.")
        length = round(1000.0 / (self.resolution * step))
        longest = trajectory.longest
        if length > longest - 2:
            raise InputError(
                f"A resolution of {self.resolution:g} THz takes {length} frames of {step:g} fs; "
                f"{trajectory.origin} has {longest}.",
                f"Choose {1.1e3 / (max(longest - 2, 1) * step):.2g} THz or more, or run longer.",
            )
        weights = _weights(trajectory, self.weighting)
        given = trajectory.frames(0, 1).velocities is not None
        spectra = []
        with _velocities(trajectory, given) as paths:
            for window in trajectory.windows():
                starts = range(window.start, window.stop - length + 1, max(1, length // 2))
                spectra += [
                    _power(trajectory, paths, weights, slice(at, at + length)) for at in starts
                ]
        table = np.array(spectra)  # (n_segments, n_species, n_frequencies)
        frequency = np.asarray(np.fft.rfftfreq(length, step / 1000.0), np.float64)
        if not given:
            omega = 2.0 * np.pi * frequency * step / 1000.0
            table = table / np.maximum(np.sinc(omega / np.pi), 0.1) ** 2
        kept = frequency > 0.0
        if self.largest is not None:
            kept &= frequency <= self.largest
        norm = table[:, :, kept].sum(axis=(1, 2)).mean() * frequency[1]
        table, frequency = table[:, :, kept] / norm, frequency[kept]
        curves = {"total": _mean(frequency, table.sum(axis=1))}
        if len(trajectory.symbols) > 1:
            for k, symbol in enumerate(trajectory.symbols):
                curves[symbol] = _mean(frequency, table[:, k])
        notes = [f"1 THz is {WAVENUMBER:.5g} 1/cm or 4.13567 meV."]
        nyquist = 500.0 / step
        if nyquist < 60.0:
            notes.append(f"Frames {step:g} fs apart: vibrations above {nyquist:.3g} THz fold back.")
        if not given:
            notes.append("Velocities are differences of positions.")
        return Observation(
            f"vibrational density of states ({self.weighting})",
            trajectory.kind,
            len(trajectory),
            Axis("frequency", "THz"),
            Axis("density of states", "1/THz"),
            curves,
            notes=tuple(notes),
        )


@dataclass(frozen=True)
class VelocityAutocorrelation:
    """C(t) = < v(t) v(0) > / < v(0)^2 > of each species, over all origins, up to `longest` (fs).

    Errors from segments as long as three times `longest`.
    """

    longest: float = 1000.0

    def compute(self, samples: Samples) -> Observation:
        """Curves of each species. Raises `InputError` as `VibrationalDensityOfStates` does."""
        trajectory = as_trajectory(samples)
        step = trajectory.time_step
        n_lags = int(self.longest / step) + 1
        given = trajectory.frames(0, 1).velocities is not None
        curves = {}
        with _velocities(trajectory, given) as paths:
            for symbol in trajectory.symbols:
                members = trajectory.members(symbol)
                rows = []
                for window in trajectory.windows():
                    first, n = window.start, window.stop - window.start
                    if n < n_lags + 1:
                        raise InputError(
                            f"{trajectory.origin} is shorter than {self.longest:g} fs.",
                            "Choose a shorter time.",
                        )
                    n_segments = max(1, n // (3 * n_lags))
                    size = n // n_segments
                    for segment in range(n_segments):
                        at = first + segment * size
                        some = np.asarray(paths[members, :, at : at + size])
                        rows.append(correlation(some.reshape(-1, size), n_lags))
                table = np.array(rows)
                norm = table[:, 0].mean()
                curves[symbol] = _mean(trajectory.clock(n_lags), table / norm)
        return Observation(
            "velocity autocorrelation",
            trajectory.kind,
            len(trajectory),
            Axis("time", "fs"),
            Axis("autocorrelation"),
            curves,
        )


def correlation(rows: Array, n_lags: int) -> Array:
    """Mean over rows and origins of x(0) x(t), (n_lags,), of rows (n_rows, n_frames)."""
    from scipy import fft

    n = rows.shape[1]
    size = fft.next_fast_len(n + n_lags, real=True)
    spectrum = fft.rfft(rows, size, axis=1, workers=-1)
    power = np.mean(spectrum.real**2 + spectrum.imag**2, axis=0)
    return np.asarray(fft.irfft(power, size)[:n_lags] / (n - np.arange(n_lags)))


def _velocities(trajectory: Trajectory, given: bool) -> AbstractContextManager[Any]:
    if given:
        return atom_series(trajectory, "velocities", unwrap=False)
    return _differences(trajectory)


@contextmanager
def _differences(trajectory: Trajectory) -> Iterator[Any]:
    """Central differences of unwrapped positions, in place of velocities."""
    step = trajectory.time_step
    with atom_series(trajectory, "positions", unwrap=True) as paths:
        for window in trajectory.windows():
            for start in range(0, len(paths), 64):
                part = slice(start, start + 64)
                paths[part, :, window] = np.gradient(paths[part, :, window], step, axis=2)
        yield paths


def _weights(trajectory: Trajectory, weighting: Weighting) -> Array:
    if weighting == "mass":
        return trajectory.masses
    if weighting == "plain":
        return np.ones(trajectory.n_atoms)
    if weighting == "neutron":
        lengths = dict(zip(trajectory.symbols, neutron_lengths(trajectory.symbols), strict=True))
        found = np.empty(trajectory.n_atoms)
        for symbol, length in lengths.items():
            found[trajectory.members(symbol)] = length**2
        return found
    raise InputError(f"Unknown weighting '{weighting}'.", "Choose mass, plain or neutron.")


def _power(trajectory: Trajectory, paths: Array, weights: Array, window: slice) -> Array:
    from scipy import fft

    length = window.stop - window.start
    taper = np.hanning(length + 1)[:length]
    found = []
    for symbol in trajectory.symbols:
        members = trajectory.members(symbol)
        total = np.zeros(length // 2 + 1)
        some = max(1, 4_000_000 // (3 * length))
        for start in range(0, len(members), some):
            atoms = members[start : start + some]
            part = np.asarray(paths[atoms, :, window]) * taper
            spectrum = fft.rfft(part, axis=2, workers=-1)
            total += np.einsum("a,acf->f", weights[atoms], np.abs(spectrum) ** 2)
        found.append(total)
    return np.array(found)


def _mean(x: Array, rows: Array) -> Curve:
    if len(rows) < 2:
        return Curve(x, rows[0], np.full(len(x), nan), 1.0)
    # Half overlapping Hann segments: neighbours are correlated by a sixth, in power by 1/36.
    error = rows.std(axis=0, ddof=1) / np.sqrt(len(rows)) * 1.03
    return Curve(x, rows.mean(axis=0), np.where(error > 0.0, error, nan), float(len(rows)))
