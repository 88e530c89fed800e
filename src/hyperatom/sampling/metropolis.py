"""Metropolis: the one place where a proposal meets the reference.

For a proposal whose log ratio is log[q(x'->x) / q(x->x')], accepting with probability

    min(1, exp[log pi(x') - log pi(x) + log ratio])

(Metropolis et al. 1953, Hastings 1970) makes pi the stationary distribution, whatever the guide
inside the proposal believes. A rejected move leaves the chain where it was, *and that state is
counted again*. A configuration for which the reference has no answer is rejected, so that the
ensemble sampled is then pi conditioned on the reference having one.
"""

import math
from dataclasses import dataclass

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.contracts import Ensemble, Potential, Proposed, Reference
from hyperatom.errors import ReferenceFailure
from hyperatom.evaluation import Evaluation


@dataclass(frozen=True, eq=False)
class ChainState:
    """Where the chain is: a configuration and what the reference said of it."""

    configuration: Configuration
    evaluation: Evaluation


@dataclass(frozen=True, eq=False)
class Transition:
    """One judgement: everything needed to replay the decision.

    `log_acceptance` is -inf where there was nothing to compare (veto or failure); `uniform` is the
    number in [0, 1) it was compared with; `evaluation` the reference's word on the *proposed*
    configuration, accepted or not.
    """

    proposed: Proposed
    evaluation: Evaluation | None
    failure: str | None
    log_acceptance: float
    uniform: float
    accepted: bool


def metropolis(
    state: ChainState,
    proposed: Proposed,
    reference: Reference | Potential,
    ensemble: Ensemble,
    rng: np.random.Generator,
) -> tuple[ChainState, Transition]:
    """Judge a proposal by the reference; return the chain's next state and the record.

    With a potential in the reference's place the chain is exact for that potential.
    """
    uniform = float(rng.random())
    evaluation: Evaluation | None = None
    failure: str | None = None
    log_acceptance = -math.inf
    if proposed.veto is None:
        try:
            evaluation = reference.evaluate(proposed.configuration)
        except ReferenceFailure as problem:
            failure = str(problem)
        else:
            log_acceptance = (
                ensemble.log_density(proposed.configuration, evaluation)
                - ensemble.log_density(state.configuration, state.evaluation)
                + proposed.log_ratio
            )
    accepted = accepts(uniform, log_acceptance)
    if accepted:
        assert evaluation is not None
        state = ChainState(proposed.configuration, evaluation)
    return state, Transition(proposed, evaluation, failure, log_acceptance, uniform, accepted)


def accepts(uniform: float, log_acceptance: float) -> bool:
    """Whether `uniform` < min(1, exp(log_acceptance)); NaN is never accepted."""
    return log_acceptance >= 0.0 or uniform < math.exp(log_acceptance)
