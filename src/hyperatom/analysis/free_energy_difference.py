"""What a reference adds to averages of a potential, from frames that the potential has sampled.

    F_ref - F      = <D> - var D / 2 k_B T + ...                        D = U_ref - U
    <U_ref>_ref - <U> = <D> - cov(U_ref, D) / k_B T + ...

Averages on the right are those of the potential's ensemble, to second order in what it errs
(R. W. Zwanzig, J. Chem. Phys. 22, 1420 (1954)); where energies are jointly normal, with no further
order. At several temperatures they are one parabola, which has the limits of a classical crystal
(D. C. Wallace, Thermodynamics of Crystals (1972)): ground states, frequencies, and the first
anharmonic terms differ by

    F_ref - F = a + b T + c T^2,    <U_ref>_ref - <U> = a - c T^2,    C_V,ref - C_V = -2 c T.

Free energies decide nearly alone. U fluctuates by far more than D does, and with it what the second
line and the variance of U_ref find from as many frames: their error bars are ten times wider.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.statistics import Array, Estimate, Kind, estimate_mean
from hyperatom.errors import InputError
from hyperatom.units import BOLTZMANN

RESAMPLED = 2000
"""Bootstrap samples of which errors are told."""


@dataclass(frozen=True, eq=False)
class FreeEnergyDifference:
    """The parabola; every answer has the error of all frames behind it.

    | field          | shape              | unit             | meaning                             |
    |----------------|--------------------|------------------|-------------------------------------|
    | `coefficients` | (3, 1 + n_samples) | eV, eV/K, eV/K^2 | a, b, c per atom; resampled ones    |
    | `n_frames`     | -                  | -                | of the temperature that has fewest  |
    | `departure`    | -                  | -                | chi^2 per degree of freedom         |
    | `kind`         | -                  | -                | how the frames came about           |

    Where `departure` is above one, errors are wider by its root.
    """

    coefficients: Array
    n_frames: int
    departure: float
    kind: Kind

    def energy(self, kelvin: float) -> Estimate:
        """<U_ref>_ref - <U>, eV/atom."""
        return self._estimate(np.array([1.0, 0.0, -(kelvin**2)]), "eV/atom")

    def heat_capacity(self, kelvin: float) -> Estimate:
        """Of the reference less that of the potential, k_B/atom."""
        return self._estimate(np.array([0.0, 0.0, -2.0 * kelvin / BOLTZMANN]), "k_B/atom")

    def slope(self, weights: Array, kelvins: Array) -> Estimate:
        """Sum of the weights (n,), 1/eV, times `energy` at temperatures (n,): k_B/atom."""
        row = np.array([weights.sum(), 0.0, -float(weights @ kelvins**2)])
        return self._estimate(row, "k_B/atom")

    def _estimate(self, row: Array, unit: str) -> Estimate:
        value, *samples = row @ self.coefficients
        error = float(np.std(samples, ddof=1)) * max(1.0, self.departure) ** 0.5
        return Estimate(float(value), error, float(self.n_frames), 1.0, unit, self.kind)


def free_energy_difference(
    frames: Mapping[float, tuple[Array, Array]], n_atoms: int, kind: Kind
) -> FreeEnergyDifference:
    """Fit the parabola to `frames` of two temperatures or more.

    `frames` are, by temperature in K, energies of the potential and of the reference, eV
    (n_frames,), in the order of time: where D is correlated, errors are those of fewer frames.

    Raises `InputError` for a single temperature.
    """
    if len(frames) < 2:
        raise InputError(
            f"A parabola in the temperature, and frames at {len(frames)} of them.",
            "Give frames at two temperatures or more.",
        )
    rows, values, samples = [], [], []
    # One stream for all: frames of different temperatures are resampled independently.
    rng = np.random.default_rng(0)
    for kelvin, (ours, theirs) in frames.items():
        n = len(ours)
        drawn = rng.integers(0, n, (RESAMPLED, n))
        found = _differences(ours[None], theirs[None], kelvin) / n_atoms
        resampled = _differences(ours[drawn], theirs[drawn], kelvin) / n_atoms
        correlated = estimate_mean((theirs - ours)[None], "eV", kind).autocorrelation_time
        rows += [(1.0, kelvin, kelvin**2), (1.0, 0.0, -(kelvin**2))]
        values += [*found[:, 0]]
        samples += [*(found + correlated**0.5 * (resampled - found))]
    matrix, known = np.array(rows), np.array(values)
    errors = np.std(samples, axis=1, ddof=1)
    # Where a potential is its own reference nothing varies.
    weights = 1.0 / np.maximum(errors, 1e-12)
    # Columns in units of the temperatures: their powers differ by many orders.
    scale = max(frames) ** np.arange(3.0)
    solve = np.linalg.pinv(matrix / scale * weights[:, None]) * weights / scale[:, None]
    misses = (matrix @ (solve @ known) - known) * weights
    free = len(known) - matrix.shape[1]
    return FreeEnergyDifference(
        solve @ np.column_stack([known, np.array(samples)]),
        min(len(ours) for ours, _ in frames.values()),
        float(misses @ misses) / free,
        kind,
    )


def _differences(ours: Array, theirs: Array, kelvin: float) -> NDArray[np.float64]:
    # Of free energy and mean energy, eV: (n_samples, n_frames) -> (2, n_samples).
    difference = theirs - ours
    mean = difference.mean(axis=1)
    apart = difference - mean[:, None]
    free, thermal = ours.shape[1] - 1, BOLTZMANN * kelvin
    covariance = ((theirs - theirs.mean(axis=1, keepdims=True)) * apart).sum(axis=1) / free
    variance = (apart**2).sum(axis=1) / free
    return np.array([mean - 0.5 * variance / thermal, mean - covariance / thermal])
