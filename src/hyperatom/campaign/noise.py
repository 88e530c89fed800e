"""Energies with standard errors in a campaign: who must give them, and what averages make of them.

The test pays for the noise by the penalty (`sampling/penalty.py`). Energies are kept: a label store
gives the same one whenever it is asked, so asking again would bring no new noise.
"""

from hyperatom.campaign.settings import Settings
from hyperatom.contracts import Ensemble
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.sampling.metropolis import ChainState
from hyperatom.sampling.penalty import Penalty


def penalty_of(settings: Settings) -> Penalty | None:
    """What the acceptance test pays for noise; None for a reference without any."""
    if not settings.reference.standard_errors:
        return None
    return Penalty(settings.reference.estimates, ask_again=False)


def require_agreement(settings: Settings, evaluation: Evaluation) -> None:
    """Raise `InputError` where input and engine disagree about standard errors."""
    engine = settings.reference.calculator
    if settings.reference.standard_errors and evaluation.energy_error is None:
        raise InputError(
            f"The input says that energies come with standard errors (reference.standard_errors), "
            f"and the engine '{engine}' gave none with its first energy.",
            "Take the line away for an engine whose energies are exact, or choose one that reports "
            "'energy_error' (pyqmc does).",
        )
    if not settings.reference.standard_errors and evaluation.energy_error:
        raise InputError(
            f"The engine '{engine}' gives energies with a standard error "
            f"({evaluation.energy_error:.2g} eV on the first one), and the input does not say so: "
            "judged as if they were exact they would sample another ensemble.",
            "Write 'standard_errors: true' under 'reference'; the test then pays for the noise.",
        )


def unbiased_energy(settings: Settings, ensemble: Ensemble, state: ChainState) -> float:
    """What averages of the energy count for a state, eV: kept energies are low by s^2/k_B T."""
    penalty = penalty_of(settings)
    if penalty is None:
        return state.evaluation.energy
    return penalty.unbiased_energy(state.configuration, state.evaluation, ensemble)
