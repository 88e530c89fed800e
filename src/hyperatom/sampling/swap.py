"""Swaps of two atoms of unlike species: how alloys and approximants find their chemical order.

Two atoms exchange their positions, so that species keep their order in the arrays. Their pair is
drawn uniformly from all unlike pairs, of which there are as many afterwards; the exchange is its
own reverse and preserves volume: the log ratio is zero. With the centre of mass held, all atoms are
shifted back by its displacement, which the exchange back undoes.
"""

from dataclasses import dataclass

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.contracts import Proposed
from hyperatom.errors import InputError
from hyperatom.sampling.displacement import hold_centre_of_mass


@dataclass(frozen=True)
class Swap:
    """Exchanges two atoms of unlike species, all species or the two atomic numbers of `species`."""

    species: tuple[int, int] | None = None
    fixed_centre_of_mass: bool = True

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        """Log ratio: zero.

        Raises `InputError` where there are no two atoms to exchange.
        """
        numbers = configuration.numbers
        first, second = np.nonzero(np.triu(numbers[:, None] != numbers[None, :]))
        if self.species is not None:
            a, b = min(self.species), max(self.species)
            low = np.minimum(numbers[first], numbers[second])
            high = np.maximum(numbers[first], numbers[second])
            wanted = (low == a) & (high == b)
            first, second = first[wanted], second[wanted]
        if first.size == 0:
            raise InputError(
                f"There are no two unlike atoms to swap among the species {configuration.species}"
                + (f" when only {self.species} may be swapped." if self.species else "."),
                "Leave swaps out, or name two species (atomic numbers) that are both present.",
            )
        k = int(rng.integers(first.size))
        i, j = int(first[k]), int(second[k])
        positions = configuration.positions.copy()
        positions[[i, j]] = positions[[j, i]]
        if self.fixed_centre_of_mass:
            positions = hold_centre_of_mass(positions, configuration)
        return Proposed(
            configuration.with_positions(positions), 0.0, None, {"first": i, "second": j}
        )
