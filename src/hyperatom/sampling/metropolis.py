"""Metropolis: the one place where a proposal meets the reference.

For a proposal whose log ratio is log[q(x'->x) / q(x->x')], accepting with probability

    min(1, exp[log pi(x') - log pi(x) + log ratio])

(Metropolis et al. 1953, Hastings 1970) makes pi the stationary distribution, whatever the guide
inside the proposal believes. A rejected move leaves the chain where it was, *and that state is
counted again*. A configuration for which the reference has no answer is rejected, so that the
ensemble sampled is then pi conditioned on the reference having one.

A reference whose energies carry a standard error needs a `penalty` (see `penalty.py`). Candidates
on one continued path may be judged one after the other by the same random number, which is another
use of the same test (see `extra_chance.py`).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.contracts import Ensemble, Potential, Proposed, Reference
from hyperatom.errors import ReferenceFailure
from hyperatom.evaluation import Evaluation
from hyperatom.sampling.penalty import Penalty


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
    configuration, accepted or not; `present` its new word on the state before, where a penalty
    asked for one.
    """

    proposed: Proposed
    evaluation: Evaluation | None
    failure: str | None
    log_acceptance: float
    uniform: float
    accepted: bool
    present: Evaluation | None = None

    @property
    def probability(self) -> float:
        """min(1, exp(log_acceptance)): the weight of the proposed end in averages that recycle."""
        return 0.0 if math.isnan(self.log_acceptance) else math.exp(min(0.0, self.log_acceptance))


def metropolis(
    state: ChainState,
    proposed: Proposed,
    reference: Reference | Potential,
    ensemble: Ensemble,
    rng: np.random.Generator,
    penalty: Penalty | None = None,
) -> tuple[ChainState, Transition]:
    """Judge a proposal by the reference; return the chain's next state and the record.

    With a potential in the reference's place the chain is exact for that potential. Raises
    `InputError` where a penalty is wanted and the reference gives no standard error.
    """
    uniform = float(rng.random())
    return _judge(state, proposed, reference, ensemble, uniform, penalty)


def first_accepted(
    state: ChainState,
    candidates: Iterable[Proposed],
    reference: Reference | Potential,
    ensemble: Ensemble,
    rng: np.random.Generator,
) -> tuple[ChainState, list[Transition]]:
    """Judge candidates in turn, by the *same* random number, until one is accepted.

    Exact only for candidates of which each is the start, seen backwards, of the others: those of
    `ExtraChance`. They are generated one by one, after the random number is drawn. Where a path
    was vetoed there are no further ones.
    """
    uniform = float(rng.random())
    transitions: list[Transition] = []
    for proposed in candidates:
        after, transition = _judge(state, proposed, reference, ensemble, uniform, None)
        transitions.append(transition)
        if transition.accepted:
            return after, transitions
        if proposed.veto is not None:
            break
    return state, transitions


def _judge(
    state: ChainState,
    proposed: Proposed,
    reference: Reference | Potential,
    ensemble: Ensemble,
    uniform: float,
    penalty: Penalty | None,
) -> tuple[ChainState, Transition]:
    evaluation: Evaluation | None = None
    present: Evaluation | None = None
    failure: str | None = None
    judged = -math.inf
    if proposed.veto is None:
        try:
            evaluation = reference.evaluate(proposed.configuration)
            if penalty is not None and penalty.ask_again:
                present = reference.evaluate(state.configuration)
                penalty.require_new_noise(state.evaluation, present)
        except ReferenceFailure as problem:
            failure = str(problem)
        else:
            before = state if present is None else ChainState(state.configuration, present)
            there = ChainState(proposed.configuration, evaluation)
            judged = log_acceptance(before, there, proposed.log_ratio, ensemble, penalty)
    accepted = accepts(uniform, judged)
    if accepted:
        assert evaluation is not None
        state = ChainState(proposed.configuration, evaluation)
    transition = Transition(proposed, evaluation, failure, judged, uniform, accepted, present)
    return state, transition


def log_acceptance(
    state: ChainState,
    proposed: ChainState,
    log_ratio: float,
    ensemble: Ensemble,
    penalty: Penalty | None,
) -> float:
    """log pi(x') - log pi(x) + log ratio, with what a `penalty` takes and pays back.

    Raises `InputError` where the penalty finds no standard error.
    """
    judged = (
        ensemble.log_density(proposed.configuration, proposed.evaluation)
        - ensemble.log_density(state.configuration, state.evaluation)
        + log_ratio
    )
    if penalty is not None:
        paid_back = penalty.log_penalty(state.configuration, state.evaluation, ensemble)
        judged += -paid_back if penalty.ask_again else paid_back
        judged -= penalty.log_penalty(proposed.configuration, proposed.evaluation, ensemble)
    return judged


def accepts(uniform: float, log_acceptance: float) -> bool:
    """Whether `uniform` < min(1, exp(log_acceptance)); NaN is never accepted."""
    return log_acceptance >= 0.0 or uniform < math.exp(log_acceptance)
