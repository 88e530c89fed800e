"""Delayed acceptance: a ladder of ever dearer references, each of which may say no.

    guide proposes -> cheap reference screens -> dearer one screens -> the reference decides

What passes a screen with the distribution pi_I has been drawn with the density q(x, x') a_I(x, x'),
and a_I(x', x) q(x', x) / [a_I(x, x') q(x, x')] = pi_I(x) / pi_I(x'): the next test is

    min(1, [pi(x') / pi(x)] [pi_I(x) / pi_I(x')]),

(Christen and Fox, J. Comput. Graph. Stat. 14, 795 (2005)), exact for the last reference whatever
the screens believe. This is a nested chain of a single transition whose decision is on record. A
move that a screen refuses costs no call of anything dearer.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.contracts import Ensemble, Potential, Proposal, Proposed, Reference
from hyperatom.errors import ReferenceFailure
from hyperatom.evaluation import Evaluation
from hyperatom.sampling.metropolis import ChainState, metropolis

REFUSED = "the cheaper reference refused"
"""The veto of a move that a screen judged and did not accept."""


def delayed_acceptance(
    proposal: Proposal, screens: Sequence[Reference | Potential], ensemble: Ensemble
) -> Proposal:
    """`proposal` screened by `screens`, from the cheapest to the dearest, all in one ensemble.

    The result is a proposal for the reference that decides. Each screen is asked about a
    configuration once, and remembers its latest answers.
    """
    for screen in screens:
        proposal = Screened(proposal, Remembering(screen), ensemble)
    return proposal


@dataclass(frozen=True)
class Screened:
    """What of `proposal` the reference or potential `screen` accepts in `ensemble`."""

    proposal: Proposal
    screen: Reference | Potential
    ensemble: Ensemble

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        """Log ratio: log pi_I(x) - log pi_I(x').

        Vetoed where the screen refuses x' or has no energy for it, and where it has none for x,
        since no way then leads back to it. The record is that of the move, and in `screens` the
        numbers of each screen's decision: energies in eV, log ratio, random number, verdict.
        """
        try:
            before = ChainState(configuration, self.screen.evaluate(configuration))
        except ReferenceFailure as failure:
            return Proposed(
                configuration, -np.inf, f"the cheaper reference has no energy here: {failure}"
            )
        move = self.proposal.propose(configuration, rng)
        after, transition = metropolis(before, move, self.screen, self.ensemble, rng)
        found = transition.evaluation
        decision = {
            "log_ratio": move.log_ratio,
            "energy_before": before.evaluation.energy,
            "energy_after": None if found is None else found.energy,
            "uniform": transition.uniform,
            "accepted": transition.accepted,
        }
        record = {**move.record, "screens": [*move.record.get("screens", ()), decision]}
        if not transition.accepted:
            veto = move.veto or REFUSED
            if transition.failure is not None:
                veto = f"the cheaper reference has no energy there: {transition.failure}"
            return Proposed(move.configuration, -np.inf, veto, record)
        log_ratio = self.ensemble.log_density(
            configuration, before.evaluation
        ) - self.ensemble.log_density(after.configuration, after.evaluation)
        return Proposed(after.configuration, log_ratio, None, record)


class Remembering:
    """A potential or reference that answers its latest few questions again from memory."""

    def __init__(self, potential: Potential | Reference, size: int = 64) -> None:
        self.potential = potential
        self.size = size
        self._known: OrderedDict[str, Evaluation] = OrderedDict()
        self._lock = threading.Lock()

    def evaluate(self, configuration: Configuration) -> Evaluation:
        """As the potential's own; raises what it raises."""
        key = configuration.digest()
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        evaluation = self.potential.evaluate(configuration)
        with self._lock:
            self._known[key] = evaluation
            while len(self._known) > self.size:
                self._known.popitem(last=False)
        return evaluation
