"""A mixture of proposals: one of several moves, drawn with fixed weights.

Why it is exact. Each move is its own reverse, that is, the way back from where it led is the same
move made again, which its log ratio accounts for. The weights do not look at the state, so the way
back is drawn with the weight of the way there, which cancels: the log ratio of a mixture is that of
the move that was made. A sum of kernels in detailed balance is in detailed balance.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.contracts import Proposal, Proposed
from hyperatom.errors import InputError


@dataclass(frozen=True)
class Mixture:
    """Moves by name, and the weight with which each is made; weights need not add up to one.

    Raises `InputError` where names and weights do not match or a weight is not a positive number.
    """

    proposals: Mapping[str, Proposal]
    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.proposals or set(self.proposals) != set(self.weights):
            raise InputError(
                f"A mixture of the moves {', '.join(self.proposals) or '(none)'} has weights for "
                f"{', '.join(self.weights) or '(none)'}.",
                "Give each move one weight.",
            )
        wrong = [name for name, w in self.weights.items() if not (0.0 < w < np.inf)]
        if wrong:
            raise InputError(
                f"The weight of '{wrong[0]}' is {self.weights[wrong[0]]:g}.",
                "Give a positive number, or leave the move out.",
            )

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        """Log ratio: that of the move drawn; its name is `move` in the record."""
        names = list(self.proposals)
        heights = np.cumsum([self.weights[name] for name in names])
        drawn = int(np.searchsorted(heights, heights[-1] * rng.random(), side="right"))
        name = names[min(drawn, len(names) - 1)]
        proposed = self.proposals[name].propose(configuration, rng)
        return replace(proposed, record={**proposed.record, "move": name})
