"""The exploring trajectory of a ring polymer: how learning moves it, and where it asks.

As for classical atoms the path ends at the first checked point where the guide's predicted error,
here of the mean energy of the beads, exceeds a limit. Its length depends on where it goes, so it
does *not* leave any distribution invariant: for learning only.
"""

from dataclasses import dataclass

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.contracts import Proposed
from hyperatom.sampling.exploring_trajectory import where_to_stop
from hyperatom.sampling.guided_trajectory import PathShape
from hyperatom.sampling.quantum_canonical import as_ring
from hyperatom.sampling.ring_trajectory import RingPath, RingTrajectory


@dataclass(frozen=True)
class ExploringRing:
    """A guided ring trajectory cut short where `limit` (eV) is exceeded.

    A point beyond `reach` times the limit is not worth a label: the path ends one check earlier.
    """

    path: RingTrajectory
    limit: float
    reach: float = 3.0

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        """Log ratio as for a guided ring trajectory; `full` in the record tells an uncut path."""
        ring = here = as_ring(configuration)
        shape, _ = self.path.draw_shape(rng)
        checks: list[int] = []
        started, ended, trajectories = [], [], []
        full = True
        for n_checks in shape.checks:
            momenta = self.path.ensemble.draw_momenta(here, rng)
            run = self.path.run(here, momenta, shape, n_checks)
            cut = where_to_stop(run.errors / ring.n_beads, self.limit, self.reach)
            if cut < n_checks:
                full = False
                run = self.path.run(here, momenta, shape, cut)
            checks.append(min(cut, n_checks))
            started.append(momenta)
            ended.append(run.momenta)
            trajectories.append(run)
            if not np.isfinite(run.positions).all():
                break
            here = here.with_positions(run.positions)
            if not full:
                break
        taken = PathShape(shape.time_step, shape.check_every, tuple(checks))
        path = RingPath(here, started, ended, trajectories)
        proposed = self.path.judge_path(ring, taken, path, exempt=True)
        proposed.record["full"] = full
        return proposed
