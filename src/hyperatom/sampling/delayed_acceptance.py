"""Delayed acceptance: a ladder of ever dearer references, each of which may say no.

    guide proposes -> cheap reference screens -> dearer one screens -> the reference decides

What passes a screen with the distribution pi_I has been drawn with the density q(x, x') a_I(x, x'),
and a_I(x', x) q(x', x) / [a_I(x, x') q(x, x')] = pi_I(x) / pi_I(x'): the next test is

    min(1, [pi(x') / pi(x)] [pi_I(x) / pi_I(x')]),

(Christen and Fox, J. Comput. Graph. Stat. 14, 795 (2005)), exact for the last reference whatever
the screens believe. This is a nested chain of a single transition, screen by screen, and so it is
built. A move that a screen refuses costs no call of anything dearer.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from hyperatom.configuration import Configuration
from hyperatom.contracts import Ensemble, Potential, Proposal, Reference
from hyperatom.evaluation import Evaluation
from hyperatom.sampling.nested_chain import NestedChain


def delayed_acceptance(
    proposal: Proposal, screens: Sequence[Reference | Potential], ensemble: Ensemble
) -> Proposal:
    """`proposal` screened by `screens`, from the cheapest to the dearest, all in one ensemble.

    The result is a proposal for the reference that decides. Each screen is asked about a
    configuration once, and remembers its latest answers.
    """
    for screen in screens:
        proposal = NestedChain(Remembering(screen), ensemble, [proposal])
    return proposal


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
