"""Extra chances: a rejected path goes on, and its later ends are judged too.

    (x_0, p) -> x_1 -> x_2 -> ... -> x_K;    take the first x_k with u < exp(-dH_k), u the same

(Campos and Sanz-Serna, J. Comput. Phys. 281, 365 (2015); Sohl-Dickstein et al. 2014), dH_k the
change of the reference's Hamiltonian over k_BT from x_0 to x_k, with the kinetic energies at both
ends of every segment. Why it is exact: with pi_k = exp(-dH_k), x_k is reached with probability

    pi_0 P(0 -> k) = max{0, min(pi_0, pi_k) - max_{0<j<k} min(pi_0, pi_j)},

and the path that starts at x_k with flipped momenta meets the same x_j in the opposite order: the
right-hand side is unchanged when 0 and k trade places. Momenta that are drawn anew between segments
belong to the path as in a guided trajectory; lengths are independent, so the reversed path is as
probable. A path vetoed as far as x_k is vetoed to every later end too, and stops.

Each chance costs a reference call; they are worth it where a path is dear and its ends disagree.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.contracts import Proposed
from hyperatom.errors import InputError
from hyperatom.sampling.guided_trajectory import GuidedTrajectory, Path


@dataclass(frozen=True)
class ExtraChance:
    """Candidates for `first_accepted`: ends of `path`, continued `chances` times in all.

    Raises `InputError` for less than one chance.
    """

    path: GuidedTrajectory
    chances: int

    def __post_init__(self) -> None:
        if self.chances < 1:
            raise InputError(
                f"A path with {self.chances} chances cannot be accepted.", "Give one or more."
            )

    def candidates(
        self, configuration: Configuration, rng: np.random.Generator
    ) -> Iterator[Proposed]:
        """The ends in turn, each run when it is asked for; log ratios from the start of all."""
        segments = self.path.segments
        shape, exempt = replace(self.path, segments=segments * self.chances).draw_shape(rng)
        path = Path([configuration], [], [], [])
        for chance in range(self.chances):
            until = (chance + 1) * segments
            for n_checks in shape.checks[chance * segments : until]:
                momenta = self.path.ensemble.draw(path.end, rng)
                path = self.path.go_on(path, momenta, shape, n_checks)
                if not path.finite:
                    break
            taken = replace(shape, checks=shape.checks[:until])
            yield self.path.judge_path(configuration, taken, path, exempt)
