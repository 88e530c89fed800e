"""What the rungs of a ladder sampled, and how well they exchanged."""

from collections.abc import Sequence

import numpy as np

from hyperatom.analysis.statistics import Estimate, estimate_mean
from hyperatom.campaign.chain_store import Step
from hyperatom.campaign.ladder import travel
from hyperatom.campaign.settings import Settings
from hyperatom.configuration import Configuration
from hyperatom.report.data import LadderSummary, RungSummary


def ladder_of(
    settings: Settings, start: Configuration, steps: Sequence[Step]
) -> LadderSummary | None:
    """A summary of the production `steps` among those of all chains; None without a ladder."""
    produced = [step for step in steps if step.phase == "produce"]
    seen = travel(settings, produced)
    if seen is None:
        return None
    gaps = [gap.acceptance if gap.attempts else None for gap in seen.gaps]
    rungs = []
    for k, (rung, exchange) in enumerate(zip(settings.rungs, [*gaps, None], strict=True)):
        chains = [
            [step for step in produced if step.walker == chain] for chain in settings.chains_at(k)
        ]
        energies = [[step.state_energy / start.n_atoms for step in own] for own in chains]
        accepted = [[float(step.accepted) for step in own] for own in chains]
        rungs.append(
            RungSummary(str(rung), _mean(energies, "eV/atom"), _mean(accepted, ""), exchange)
        )
    return LadderSummary(tuple(rungs), seen.n_trips, seen.warning)


def _mean(series: Sequence[Sequence[float]], unit: str) -> Estimate | None:
    given = [np.array(one) for one in series if one]
    return estimate_mean(given, unit, "exact") if given else None
