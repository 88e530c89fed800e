"""Prefetch: the next proposals, and their labels, while the present one is being judged.

A Markov chain is serial, but what it may do next is known: after step n it is either where it was
or where it was proposed to be. The random numbers of a step are a function of its number, so both
continuations, and theirs, can be proposed beforehand and their labels asked for at the same time
(speculative moves: J. M. R. Byrd, S. A. Jarvis, A. H. Bhalerao, IPDPS 2008). When the label comes,
the chain takes the branch that Metropolis chooses and the labels of the other are withdrawn.

The chain is the same as without, bit for bit: each proposal is made from the same configuration
with the same random numbers, and judged at the same place by the same label. What is asked for
depends on guesses, what is accepted does not. With probability P of guessing right, m labels at a
time make up to (1 - P^m) / (1 - P) steps in the time of one.
"""

import copy
import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.contracts import Proposal, Proposed
from hyperatom.evaluation import Evaluation
from hyperatom.sampling.metropolis import Transition

_REMEMBERED = 50
"""Judgements from which it is learned how well guesses turn out."""

_PROPOSALS = 3
"""Proposals made in one go, per label ahead: vetoed ones need no label, and time passes."""


class Farm(Protocol):
    """Computes labels, many at a time: `StoredReference`."""

    def request(
        self, configuration: Configuration, provenance: str | None = None, *, speculative: bool
    ) -> "Future[Evaluation]":
        """The future of a label."""
        ...

    def withdraw(self, configuration: Configuration) -> None:
        """The label is not wanted any more."""
        ...


@dataclass(eq=False)
class _Step:
    """A step that the chain makes, or may make: from `start`, proposing `proposed`."""

    number: int
    start: Configuration
    proposed: Proposed
    rng: np.random.Generator
    uniform: float
    seconds: float
    future: "Future[Evaluation] | None" = None
    after: "dict[bool, _Step]" = field(default_factory=dict)


class Prefetch:
    """Looks ahead along one chain, with up to `ahead` labels that may turn out not to be needed.

    `random_numbers` gives the generator of a step from its number. `expect` foretells a proposal's
    log acceptance (from the guide's own energies), None where it cannot: the average acceptance is
    the guess then. Nothing is asked for beyond step `last`.
    """

    def __init__(
        self,
        proposal: Proposal,
        farm: Farm,
        random_numbers: Callable[[int], np.random.Generator],
        ahead: int,
        last: int,
        *,
        expect: Callable[[Proposed], float | None] = lambda _proposed: None,
        provenance: str = "",
    ) -> None:
        self._proposal = proposal
        self._farm = farm
        self._random_numbers = random_numbers
        self._ahead = ahead
        self._last = last
        self._expect = expect
        self._provenance = provenance
        self._present: _Step | None = None
        self._accepted: deque[bool] = deque([True], maxlen=_REMEMBERED)
        self._surprises: deque[float] = deque([1.0], maxlen=_REMEMBERED)

    def propose(
        self, number: int, configuration: Configuration
    ) -> tuple[Proposed, np.random.Generator, float]:
        """Step `number`'s proposal, the generator for its judgement, and the seconds it took.

        Asks for its label, and for those of steps that may follow.
        """
        step = self._present
        if step is None or step.number != number or step.start is not configuration:
            self.abandon()
            step = self._made(number, configuration)
        self._present = step
        if step.proposed.veto is None:
            before, step.future = step.future, self._request(step, speculative=False)
            if before is not None and not before.done():  # asked for twice, wanted once
                self._farm.withdraw(step.proposed.configuration)
        self._look_ahead(step)
        return step.proposed, step.rng, step.seconds

    def settle(self, transition: Transition) -> None:
        """The present step has been judged: follow its branch, withdraw the other."""
        step = self._present
        assert step is not None
        expected = self._expect(step.proposed)
        if transition.evaluation is not None:
            self._accepted.append(transition.accepted)
            if expected is not None and math.isfinite(transition.log_acceptance - expected):
                self._surprises.append(transition.log_acceptance - expected)
        lost = step.after.pop(not transition.accepted, None)
        if lost is not None:
            self._withdraw(lost)
        self._present = step.after.get(transition.accepted)

    def abandon(self) -> None:
        """Withdraw all that was asked for ahead of its time."""
        if self._present is not None:
            self._withdraw(self._present)
            self._present = None

    def _look_ahead(self, present: _Step) -> None:
        """Ask for the labels most likely to be needed, until the present one is there."""
        for _ in range(_PROPOSALS * self._ahead):
            if present.future is None or present.future.done():
                return  # nothing to wait for
            if sum(1 for _ in self._asked(present)) >= self._ahead:
                return
            likely = max(self._leaves(present, 1.0), key=lambda leaf: leaf[0], default=None)
            if likely is None:
                return
            _, parent, accepted = likely
            start = parent.proposed.configuration if accepted else parent.start
            step = parent.after[accepted] = self._made(parent.number + 1, start)
            if step.proposed.veto is None:
                step.future = self._request(step, speculative=True)

    def _leaves(self, step: _Step, probability: float) -> Iterator[tuple[float, _Step, bool]]:
        """Continuations that nobody has proposed yet, and how probable they are."""
        if step.number >= self._last:
            return
        acceptance = self._acceptance(step)
        for accepted, chance in ((True, acceptance), (False, 1.0 - acceptance)):
            if chance <= 0.0:
                continue
            if accepted in step.after:
                yield from self._leaves(step.after[accepted], probability * chance)
            else:
                yield probability * chance, step, accepted

    def _acceptance(self, step: _Step) -> float:
        """How probably the step is accepted, as far as can be told before its label is there."""
        if step.proposed.veto is not None:
            return 0.0
        if step.future is not None and step.future.done() and step.future.exception() is not None:
            return 0.0
        expected = self._expect(step.proposed)
        if expected is None or math.isnan(expected):
            return float(np.mean(self._accepted))
        # The uniform number of the decision is known; the guide's error alone is not.
        scatter = max(1e-3, math.sqrt(float(np.mean(np.square(self._surprises)))))
        needed = math.log(step.uniform) if step.uniform > 0.0 else -math.inf
        return 0.5 * math.erfc((needed - expected) / (scatter * math.sqrt(2.0)))

    def _made(self, number: int, start: Configuration) -> _Step:
        clock = time.perf_counter()
        rng = self._random_numbers(number)
        proposed = self._proposal.propose(start, rng)
        uniform = float(copy.deepcopy(rng).random())
        return _Step(number, start, proposed, rng, uniform, time.perf_counter() - clock)

    def _request(self, step: _Step, *, speculative: bool) -> "Future[Evaluation]":
        who = f"{self._provenance}step {step.number}" + (", ahead" if speculative else "")
        return self._farm.request(step.proposed.configuration, who, speculative=speculative)

    def _asked(self, step: _Step) -> Iterator[_Step]:
        """Steps ahead whose labels have been asked for and are not there yet."""
        for one in itertools.chain.from_iterable(self._all(after) for after in step.after.values()):
            if one.future is not None and not one.future.done():
                yield one

    def _all(self, step: _Step) -> Iterator[_Step]:
        yield step
        for after in step.after.values():
            yield from self._all(after)

    def _withdraw(self, step: _Step) -> None:
        for one in self._all(step):
            if one.future is not None and not one.future.done():
                self._farm.withdraw(one.proposed.configuration)
