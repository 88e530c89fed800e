"""The exploring trajectory: how a learning campaign moves, and where it asks.

Like a guided trajectory, but it ends at the first checked point where the guide's predicted error
exceeds a limit: there a label teaches most, and no further is the guide to be believed. Its length
depends on where it goes, so it does *not* leave any distribution invariant: for learning only.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.contracts import Proposed
from hyperatom.sampling.guided_trajectory import GuidedTrajectory, Path, PathShape


@dataclass(frozen=True)
class ExploringTrajectory:
    """A guided trajectory cut short where `limit` (eV) is exceeded.

    A point beyond `reach` times the limit is not worth a label: the path ends one check earlier.
    """

    path: GuidedTrajectory
    limit: float
    reach: float = 3.0

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        """Log ratio as for a guided trajectory; `full` in the record tells an uncut path."""
        shape, _ = self.path.draw_shape(rng)
        path = Path([configuration], [], [], [])
        checks: list[int] = []
        full = True
        for n_checks in shape.checks:
            momenta = self.path.ensemble.draw(path.end, rng)
            longer = self.path.go_on(path, momenta, shape, n_checks)
            errors = longer.trajectories[-1].errors / configuration.n_copies
            cut = where_to_stop(errors, self.limit, self.reach)
            if cut < n_checks:
                full = False
                longer = self.path.go_on(path, momenta, shape, cut)
            path = longer
            checks.append(min(cut, n_checks))
            if not full or not path.finite:
                break
        taken = PathShape(shape.time_step, shape.check_every, tuple(checks))
        proposed = self.path.judge_path(configuration, taken, path, exempt=True)
        proposed.record["full"] = full
        return proposed


def where_to_stop(errors: NDArray[np.float64], limit: float, reach: float) -> int:
    """Check at which to stop: the first beyond the limit, or one before it, at least one."""
    beyond = np.flatnonzero(~(errors[1:] <= limit)) + 1
    if beyond.size == 0:
        return len(errors) - 1
    first = int(beyond[0])
    worthwhile = errors[first] <= reach * limit
    return first if worthwhile else max(1, first - 1)
