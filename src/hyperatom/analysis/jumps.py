"""Jumps: atoms that leave the place around which they vibrate, and how often they do."""

from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.observation import Axis, Curve, Observation
from hyperatom.analysis.statistics import Array, Estimate
from hyperatom.analysis.unwrapped import atom_series
from hyperatom.analysis.weighted import Samples, as_trajectory
from hyperatom.errors import InputError


@dataclass(frozen=True)
class Jumps:
    """Jumps of atoms by more than `distance` (Å) between residences.

    The path is averaged over `smoothing` (fs), which takes the vibrations away. An atom resides
    where it is until its averaged position is farther than `distance` from there; then it has
    jumped and resides at the new place. Rates are jumps by atom and time; their error is that of a
    Poisson process, or of the scatter among atoms where that is larger.
    """

    distance: float = 1.5
    smoothing: float = 200.0
    species: str = "all"

    def compute(self, samples: Samples) -> Observation:
        """Rates by species in 1/ps, and the distribution of jump lengths.

        Raises `InputError` for a Monte Carlo chain or a path shorter than the smoothing.
        """
        trajectory = as_trajectory(samples)
        step = trajectory.time_step
        width = max(1, round(self.smoothing / step))
        longest = trajectory.longest
        if longest < 2 * width:
            raise InputError(
                f"{trajectory.origin} is too short to be averaged over {self.smoothing:g} fs.",
                "Choose a shorter smoothing or run longer.",
            )
        members = trajectory.members(self.species)
        counts = np.zeros(trajectory.n_atoms)
        lengths: list[Array] = []
        time = 0.0
        with atom_series(trajectory, "positions", unwrap=True) as paths:
            for window in trajectory.windows():
                smooth = _averaged(np.asarray(paths[members, :, window]), width)
                jumped, far = _jumps(smooth, self.distance)
                counts[members] += jumped
                lengths.append(far)
                time += smooth.shape[2] * width * step / 1000.0
        numbers = {}
        for symbol in trajectory.symbols:
            atoms = np.intersect1d(members, trajectory.members(symbol))
            if len(atoms):
                numbers[f"jump rate of {symbol}"] = _rate(counts[atoms], time, trajectory.kind)
        far = np.concatenate(lengths)
        edges = np.linspace(0.0, max(3.0 * self.distance, float(far.max(initial=0.0))), 31)
        histogram, _ = np.histogram(far, edges)
        total = max(len(far), 1) * (edges[1] - edges[0])
        error = np.where(histogram > 0, np.sqrt(histogram) / total, nan)
        return Observation(
            "jumps",
            trajectory.kind,
            len(trajectory),
            Axis("jump length", "Å"),
            Axis("density", "1/Å"),
            {"all": Curve((edges[1:] + edges[:-1]) / 2.0, histogram / total, error, len(far))},
            numbers,
            (f"{len(far)} jumps of {len(members)} atoms in {time:.4g} ps.",),
        )


def _averaged(paths: Array, width: int) -> Array:
    """Means over windows that touch, (n_atoms, 3, n_windows), so that a jump is seen once."""
    n = paths.shape[2] // width
    return np.asarray(paths[:, :, : n * width].reshape(*paths.shape[:2], n, width).mean(axis=3))


def _jumps(smooth: Array, distance: float) -> tuple[NDArray[np.int64], Array]:
    counts = np.zeros(len(smooth), dtype=np.int64)
    home = smooth[:, :, 0].copy()
    lengths = []
    for k in range(1, smooth.shape[2]):
        away = np.linalg.norm(smooth[:, :, k] - home, axis=1)
        left = away > distance
        if left.any():
            counts += left
            lengths.append(away[left])
            home[left] = smooth[left, :, k]
    return counts, np.concatenate(lengths) if lengths else np.zeros(0)


def _rate(counts: Array, time: float, kind: object) -> Estimate:
    n, total = len(counts), float(counts.sum())
    poisson = sqrt(total + 1.0)  # no jump at all is still an upper limit
    scatter = sqrt(n * float(counts.var(ddof=1))) if n > 1 else 0.0
    exposure = n * time
    return Estimate(
        total / exposure, max(poisson, scatter) / exposure, total, 1.0, "1/ps", kind  # type: ignore[arg-type]
    )  # fmt: skip
