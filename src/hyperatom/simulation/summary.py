"""What a simulation was like: drift of the conserved energy, averages with their errors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hyperatom.analysis.statistics import Estimate, estimate_mean
from hyperatom.configuration import Configuration
from hyperatom.simulation.motion_store import MotionStore, Row
from hyperatom.simulation.settings import MotionSettings
from hyperatom.units import BOLTZMANN, MILLI


@dataclass(frozen=True)
class Summary:
    """`drift` and its standard error in meV/atom/ps; averages over all walkers, all frames."""

    drift: float
    drift_error: float
    temperature: Estimate
    energy: Estimate
    volume: Estimate | None
    largest_error: float

    def lines(self) -> list[str]:
        """As people read it."""
        found = [
            f"energy drift       {self.drift:.3g} +- {self.drift_error:.2g} meV/atom/ps",
            f"temperature        {_said(self.temperature)}",
            f"potential energy   {_said(self.energy)}",
        ]
        if self.volume is not None:
            found.append(f"volume             {_said(self.volume)}")
        if self.largest_error > 0.0:
            found.append(f"predicted error    at most {self.largest_error:.3g} meV/atom")
        return found


def summarise(settings: MotionSettings, store: MotionStore, start: Configuration) -> Summary:
    """Of everything on disk; the first frames count too, whatever the start was like.

    Of rings, the temperature is that of the beads' momenta, the potential energy a bead's.
    """
    n_atoms = start.n_atoms // start.n_copies
    series = [store.rows(walker) for walker in range(settings.walkers)]
    interval = settings.sample_every / 1000.0
    drifts = [drift([row.conserved for row in rows], interval) for rows in series]
    scale = 1.0 / n_atoms / MILLI
    slope = float(np.mean([one[0] for one in drifts])) * scale
    error = float(np.sqrt(np.sum([one[1] ** 2 for one in drifts]))) / len(drifts) * scale
    freedom = 3 * start.n_atoms - 3

    def mean(values: list[np.ndarray], unit: str) -> Estimate:
        return estimate_mean(values, unit, settings.kind)

    volume = None
    if start.periodic.all() and settings.ensemble.name == "cell-rescaling":
        volume = mean(
            [
                np.abs(np.linalg.det(store.frames(w, 0, len(rows)).cells))
                for w, rows in enumerate(series)
            ],
            "Å^3",
        )
    return Summary(
        slope,
        error,
        mean([_column(rows, "kinetic") * 2.0 / freedom / BOLTZMANN for rows in series], "K"),
        mean([_column(rows, "energy") / n_atoms for rows in series], "eV/atom"),
        volume,
        max(row.error for rows in series for row in rows) * scale,
    )


def drift(values: Sequence[float], interval: float) -> tuple[float, float]:
    """Slope of equidistant values and its standard error, which knows of correlations."""
    y = np.asarray(values, dtype=np.float64)
    if len(y) < 4:
        return (float(y[-1] - y[0]) / interval / max(1, len(y) - 1) if len(y) > 1 else 0.0), np.inf
    x = np.arange(len(y)) * interval
    slope, offset = np.polyfit(x, y, 1)
    rest = y - slope * x - offset
    length = float(np.ptp(x)) * np.sqrt(1.0 + 2.0 / len(x))
    n_effective = estimate_mean([rest], "eV", "as given").n_effective if rest.std() > 0.0 else 1.0
    return float(slope), float(rest.std() * np.sqrt(12.0 / max(n_effective, 1.0)) / length)


def _column(rows: list[Row], name: str) -> np.ndarray:
    return np.array([getattr(row, name) for row in rows])


def _said(found: Estimate) -> str:
    return f"{found.value:.6g} +- {found.error:.2g} {found.unit} (n_eff {found.n_effective:.3g})"
