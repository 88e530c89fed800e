"""The nested chain: any number of transitions on the guide, then one question to the reference.

    x = y_0 -> y_1 -> ... -> y_n = x'     each judged by Metropolis with the guide as its reference

Why it is exact. Each inner transition is reversible for the guide's distribution pi_M: that of
`ensemble`, at whatever temperature and pressure *it* has, with the guide's energy. A palindrome of
reversible kernels is reversible, so the whole inner chain K has pi_M(x) K(x, x') = pi_M(x') K(x',
x), and the ratio of the way back to the way there is known although K itself is not:

    log[K(x', x) / K(x, x')] = log pi_M(x) - log pi_M(x').

Metropolis on the reference then accepts with min(1, exp{-[b U_D - b_0 U_M]' + [b U_D - b_0 U_M]}),
b = 1/k_B T and b_0 = 1/k_B T_0 of guide (Iftimie et al., J. Chem. Phys. 113, 4852 (2000); Gelb, J.
Chem. Phys. 118, 7747 (2003); free b_0: Leiding and Coe, J. Chem. Phys. 140, 034106 (2014)). The
error of the time step cancels within, and x' may be as independent of x as the guide can make it.

Two things would break it: a number of transitions that depends on what was met on the way, and
different moves in an order that differs backwards. So the number is fixed, several moves go there
and back (a, b, c, b, a), and a `Mixture`, drawn anew each time, is one move. Each move must be its
own reverse, as every `Proposal` here is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.contracts import Ensemble, Potential, Proposal, Proposed, Reference
from hyperatom.errors import InputError, ReferenceFailure
from hyperatom.sampling.metropolis import ChainState, metropolis


@dataclass(frozen=True)
class NestedChain:
    """Proposes the end of a chain that the guide judges.

    | field       | meaning                                                                      |
    |-------------|------------------------------------------------------------------------------|
    | `guide`     | who judges within: a potential, or a cheaper reference                       |
    | `ensemble`  | what is sampled within; its temperature may differ from the reference's      |
    | `proposals` | the inner moves; a round goes through them and back                          |
    | `rounds`    | with a single inner move, the number of inner transitions                    |

    Raises `InputError` without moves or rounds.
    """

    guide: Potential | Reference
    ensemble: Ensemble
    proposals: Sequence[Proposal]
    rounds: int = 1

    def __post_init__(self) -> None:
        if not self.proposals or self.rounds < 1:
            raise InputError(
                f"A nested chain of {self.rounds} rounds of {len(self.proposals)} moves goes "
                "nowhere.",
                "Give at least one move and one round.",
            )

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        """Log ratio: log pi_M(x) - log pi_M(x').

        Vetoed where the guide has no energy for x, since no way then leads back to it, and where no
        inner transition was accepted, since x' is then x.
        """
        try:
            state = ChainState(configuration, self.guide.evaluate(configuration))
        except ReferenceFailure as failure:
            return Proposed(configuration, -np.inf, f"the guide has no energy here: {failure}")
        energy_before = state.evaluation.energy
        before = self.ensemble.log_density(configuration, state.evaluation)
        accepted, length, drift = 0, 0.0, 0.0
        there_and_back = [*self.proposals, *reversed(self.proposals[:-1])]
        for proposal in there_and_back * self.rounds:
            proposed = proposal.propose(state.configuration, rng)
            state, transition = metropolis(state, proposed, self.guide, self.ensemble, rng)
            accepted += transition.accepted
            length += proposed.record.get("length", 0.0)
            drift = max(drift, proposed.record.get("guide_drift", 0.0))
        after = self.ensemble.log_density(state.configuration, state.evaluation)
        log_ratio = before - after
        veto: str | None = None
        if not np.isfinite(log_ratio):
            veto, log_ratio = "the guide has no energy here", -np.inf
        elif not accepted:
            veto = "the guide's own chain did not move"
        record = {
            "transitions": len(there_and_back) * self.rounds,
            "guide_accepted": accepted,
            "length": length,
            "guide_energy_before": energy_before,
            "guide_energy_after": state.evaluation.energy,
            "guide_log_density_before": before,
            "guide_log_density_after": after,
            "guide_error": state.evaluation.energy_error or 0.0,
            "guide_drift": drift,
        }
        return Proposed(state.configuration, log_ratio, veto, record)
