"""Chains made by a campaign's own steps, on targets that are known exactly."""

from pathlib import Path

import numpy as np

from hyperatom.campaign.settings import load_settings
from hyperatom.campaign.stepping import Stepper
from hyperatom.contracts import Proposal, Reference
from hyperatom.references.label_store import LabelStore
from hyperatom.references.stored import StoredReference
from hyperatom.sampling.metropolis import ChainState

INPUT = """
configuration: {crystal: aluminium}
temperature: TEMPERATURE
"""


def stepper(
    folder: Path, reference: Reference, start, more="", cheap=None, temperature=120
) -> Stepper:
    """Over a label store of its own."""
    store = LabelStore(folder / "labels.db")
    # These labels need not survive a loss of power.
    store._database.connection.execute("PRAGMA synchronous = OFF")
    screen = None if cheap is None else StoredReference(cheap, store)
    settings = load_settings(INPUT.replace("TEMPERATURE", str(temperature)) + more, "input.yaml")
    return Stepper(settings, start, StoredReference(reference, store), screen)


def chain(steps: Stepper, proposal: Proposal, n_steps: int, walker: int = 0):
    """States and steps of production, from the start."""
    state = ChainState(steps.start, steps.reference.evaluate(steps.start))
    states, made = [], []
    for number in range(1, n_steps + 1):
        state, step, _ = steps.step(walker, number, "produce", state, proposal, "guide")
        states.append(state)
        made.append(step)
    return states, made


def z_score(values, exact: float) -> float:
    """Deviation of a mean from what is exact, in its own standard errors."""
    from hyperatom.analysis.statistics import estimate_mean

    mean = estimate_mean([np.asarray(one) for one in values], "", "exact")
    assert mean.n_effective > 50.0
    return float((mean.value - exact) / mean.error)
