"""Is the time step short enough? The fastest vibration, before anything is spent.

Velocity Verlet turns a mode of period T with 2 arcsin(pi dt/T) per step and explodes beyond
dt = T/pi. The largest eigenvalue of the mass-weighted matrix of force constants,

    D_ij = -dF_i/dx_j / sqrt(m_i m_j) = omega^2,

is found by Lanczos' method: each step takes one difference of forces.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.units import FEMTOSECOND

N_LANCZOS = 8
DISPLACEMENT = 0.01
"""Å, the length of each displacement's longest part."""

COARSE = 10.0
"""Fewer steps than this in the shortest period deserve a warning."""


@dataclass(frozen=True)
class TimeStepCheck:
    """`period` is the shortest vibrational period, fs (infinite without restoring forces)."""

    time_step: float
    period: float

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        if not np.isfinite(self.period):
            return "no vibration found to compare the time step with"
        return (
            f"shortest vibrational period about {self.period:.3g} fs, "
            f"{self.period / self.time_step:.3g} time steps"
        )

    @property
    def warning(self) -> str:
        """What to worry about; empty: nothing."""
        if self.period / self.time_step >= COARSE:
            return ""
        return (
            f"The time step of {self.time_step:g} fs is long: the fastest atoms vibrate with a "
            f"period of about {self.period:.3g} fs. Energies will drift; "
            f"{self.period / 15.0:.2g} fs would be safe."
        )

    def demand(self) -> None:
        """Raise `InputError` where no trajectory could be stable."""
        if self.period < np.pi * self.time_step:
            raise InputError(
                f"A time step of {self.time_step:g} fs cannot work: the fastest atoms vibrate with "
                f"a period of about {self.period:.3g} fs, and beyond a third of a period every "
                "trajectory explodes.",
                f"Use a time step of about {self.period / 15.0:.2g} fs.",
            )


def check_time_step(
    evaluate: Callable[[Configuration], Evaluation], start: Configuration, time_step: float
) -> TimeStepCheck:
    """The fastest vibration around `start`, which need not be a minimum; `time_step` in fs."""
    root = np.sqrt(start.masses)[:, None]

    def forces(displacement: NDArray[np.float64]) -> NDArray[np.float64]:
        return evaluate(start.with_positions(start.positions + displacement)).forces

    here = forces(np.zeros_like(start.positions))
    rng = np.random.default_rng(0)
    vector = rng.normal(size=here.shape)
    basis = [vector / np.linalg.norm(vector)]
    small = np.zeros((N_LANCZOS, N_LANCZOS))
    for step in range(N_LANCZOS):
        direction = basis[-1] / root
        length = DISPLACEMENT / np.abs(direction).max()
        image = (here - forces(length * direction)) / length / root
        for _ in range(2):  # twice is enough, against round-off
            for i, known in enumerate(basis):
                overlap = float(np.sum(image * known))
                small[i, step] += overlap
                image = image - overlap * known
        size = float(np.linalg.norm(image))
        if step + 1 == N_LANCZOS or size < 1e-10:
            small = small[: step + 1, : step + 1]
            break
        small[step + 1, step] = size
        basis.append(image / size)
    largest = float(np.linalg.eigvalsh(0.5 * (small + small.T)).max())
    period = 2.0 * np.pi / np.sqrt(largest) / FEMTOSECOND if largest > 0.0 else np.inf
    return TimeStepCheck(time_step, float(period))
