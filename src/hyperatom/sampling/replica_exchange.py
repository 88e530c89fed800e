"""Replica exchange: several ensembles at once, which hand configurations to one another.

Each rung k of a ladder samples its own pi_k with its own moves; now and then neighbours exchange
what they hold. Sampled is the product of all pi_k, and for a pair of rungs the exchange, its own
reverse, is accepted with

    min(1, pi_i(x_j) pi_j(x_i) / [pi_i(x_i) pi_j(x_j)])

(Swendsen and Wang 1986; Geyer 1991; Hukushima and Nemoto 1996): exp[(b_i - b_j)(U_i - U_j)] for
temperatures, b = 1/k_B T. Only log densities enter, so that temperature, pressure or a share of the
reference (`guide_ladder.py`) may change from rung to rung, and no energy is computed anew: all
rungs have one and the same reference. Even and odd gaps take turns, blind to the state; each half
round leaves the product invariant, and configurations travel faster than with gaps drawn at random
(Okabe et al. 2001; Syed et al., J. R. Stat. Soc. B 84, 321 (2022)).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hyperatom.contracts import Ensemble, Potential, Proposal, Reference
from hyperatom.errors import InputError
from hyperatom.sampling.metropolis import ChainState, Transition, accepts, metropolis


@dataclass(frozen=True)
class Exchange:
    """One exchange offered between the rungs `gap` and `gap + 1`, and what decided it."""

    gap: int
    log_acceptance: float
    uniform: float
    accepted: bool


@dataclass(frozen=True)
class Rung:
    """One ensemble of a ladder, and how it moves. `name` is for people: "300 K"."""

    name: str
    ensemble: Ensemble
    proposal: Proposal


@dataclass(frozen=True)
class Round:
    """What a round led to: states in the order of rungs, and every decision on the way."""

    states: list[ChainState]
    transitions: list[list[Transition]]
    exchanges: list[Exchange]


@dataclass(frozen=True)
class ReplicaExchange:
    """A ladder over one reference: each round `moves` transitions of every rung, then exchanges.

    Raises `InputError` for fewer than two rungs.
    """

    rungs: Sequence[Rung]
    reference: Reference | Potential
    moves: int = 1

    def __post_init__(self) -> None:
        if len(self.rungs) < 2 or self.moves < 0:
            raise InputError(
                f"A ladder of {len(self.rungs)} rungs has nothing to exchange.",
                "Give at least two.",
            )

    def round(
        self,
        states: Sequence[ChainState],
        number: int,
        random_numbers: Callable[[int], np.random.Generator],
        side_by_side: Callable[..., Iterable[tuple[ChainState, list[Transition]]]] = map,
    ) -> Round:
        """Round `number`: gaps 0, 2, ... exchange in even rounds, gaps 1, 3, ... in odd ones.

        `random_numbers(k)` is the generator of rung k in this round, and of the exchanges for
        k = number of rungs; `side_by_side` may be the `map` of an executor.
        """

        def move(k: int) -> tuple[ChainState, list[Transition]]:
            rung, state, rng = self.rungs[k], states[k], random_numbers(k)
            transitions = []
            for _ in range(self.moves):
                proposed = rung.proposal.propose(state.configuration, rng)
                state, transition = metropolis(state, proposed, self.reference, rung.ensemble, rng)
                transitions.append(transition)
            return state, transitions

        moved = list(side_by_side(move, range(len(self.rungs))))
        ensembles = [rung.ensemble for rung in self.rungs]
        after, exchanges = exchange(
            [state for state, _ in moved], ensembles, number % 2, random_numbers(len(self.rungs))
        )
        return Round(after, [transitions for _, transitions in moved], exchanges)


def exchange(
    states: Sequence[ChainState],
    ensembles: Sequence[Ensemble],
    first: int,
    rng: np.random.Generator,
) -> tuple[list[ChainState], list[Exchange]]:
    """Offer exchanges at the gaps `first`, `first` + 2, ...; returns the states after them."""
    after = list(states)
    exchanges = []
    for gap in range(first, len(after) - 1, 2):
        log_acceptance = exchange_log_acceptance(
            after[gap], after[gap + 1], ensembles[gap], ensembles[gap + 1]
        )
        uniform = float(rng.random())
        accepted = accepts(uniform, log_acceptance)
        if accepted:
            after[gap], after[gap + 1] = after[gap + 1], after[gap]
        exchanges.append(Exchange(gap, log_acceptance, uniform, accepted))
    return after, exchanges


def exchange_log_acceptance(
    one: ChainState, other: ChainState, ensemble: Ensemble, other_ensemble: Ensemble
) -> float:
    """log of pi(x') pi'(x) / [pi(x) pi'(x')], where `one` = x is of pi and `other` = x' of pi'."""

    def rise(ensemble: Ensemble) -> float:
        return ensemble.log_density(other.configuration, other.evaluation) - ensemble.log_density(
            one.configuration, one.evaluation
        )

    return rise(ensemble) - rise(other_ensemble)


def follow_walkers(rounds: Sequence[Sequence[Exchange]], n_rungs: int) -> list[list[int]]:
    """Which walker is at each rung: before the first round, and after each one.

    Walker k began at rung k and keeps its number while it travels; see `analysis.ladder`.
    """
    at = list(range(n_rungs))
    history = [list(at)]
    for exchanges in rounds:
        for one in exchanges:
            if one.accepted:
                at[one.gap], at[one.gap + 1] = at[one.gap + 1], at[one.gap]
        history.append(list(at))
    return history
