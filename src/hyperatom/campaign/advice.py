"""What to expect of a campaign: acceptance before the first call, its rival's cost afterwards."""

from collections.abc import Sequence

import numpy as np

from hyperatom.analysis.acceptance_forecast import expected_acceptance, largest_deviation
from hyperatom.analysis.strategy import choose_strategy
from hyperatom.campaign.chain_store import Step
from hyperatom.campaign.settings import Settings
from hyperatom.units import BOLTZMANN, MILLI

GUIDE_ERRORS = (0.1, 0.3, 1.0)
"""meV/atom, for which acceptance is foretold."""

ENOUGH = 10
"""Judged paths from which the guide's error is measured, at least."""


def acceptance_in_words(settings: Settings, n_atoms: int) -> str:
    """Acceptance of long paths for a few errors of the guide, and the error that gives one half."""
    temperature = settings.temperature
    rates = [expected_acceptance(error * MILLI * n_atoms, temperature) for error in GUIDE_ERRORS]
    pairs = ", ".join(
        f"{rate:.2f} at {error:g}" for rate, error in zip(rates, GUIDE_ERRORS, strict=True)
    )
    half = largest_deviation(0.5, temperature) / n_atoms / MILLI
    return (
        f"of long paths of {n_atoms} atoms at {temperature:g} K, by the guide's error in "
        f"meV/atom: {pairs}; one half at {half:.2g}"
    )


def compare_strategies(steps: Sequence[Step], settings: Settings) -> str:
    """Calls per sample of a chain and of reweighting, from the latest full paths; "" if few."""
    deviation = _deviation(steps, settings.learn.window)
    if deviation is None:
        return ""
    found = choose_strategy(deviation, settings.temperature)
    spread = deviation / (BOLTZMANN * settings.temperature)
    return (
        f"At the freeze the guide's error spread by {spread:.2f} k_BT: a chain then needs about "
        f"{found.metropolis_calls:.3g} calls per independent sample, reweighting the guide's own "
        f"run about {found.reweighting_calls:.3g}."
    )


def decide(
    probation: Sequence[Step], settings: Settings, workers: int, seconds: float
) -> tuple[str, str]:
    """`strategy: auto`, from the steps of probation and the one before: strategy and reason.

    `workers` labels are computed at a time, each in so many `seconds`.
    """
    deviation = _deviation(probation, len(probation))
    if deviation is None:
        return "metropolis", (
            f"Fewer than {ENOUGH} paths were judged on probation ('learn.probation: "
            f"{settings.learn.probation}'), too few to measure the guide's error: a Metropolis "
            "chain is run."
        )
    found = choose_strategy(
        deviation, settings.temperature, reference_seconds=seconds, workers=workers,
        walkers=settings.walkers,
    )  # fmt: skip
    return found.name, found.reason


def _deviation(steps: Sequence[Step], latest: int) -> float | None:
    """sigma of U_D - U_M in eV from the latest full paths, None if too few were judged."""
    differences: list[float] = []
    energies: dict[int, float] = {}
    for step in steps:
        before = energies.get(step.walker)
        energies[step.walker] = step.state_energy
        wrong = step.wrong(before) if before is not None and step.full else None
        if wrong is not None:
            differences.append(wrong)
    if len(differences) < ENOUGH:
        return None
    # Both ends of a path err: their difference varies twice as much.
    return float(np.std(differences[-latest:]) / np.sqrt(2.0))
