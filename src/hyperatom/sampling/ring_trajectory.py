"""The guided trajectory of a ring polymer: self-learning path-integral hybrid Monte Carlo.

    draw p ~ exp(-K / k_B T), follow the guide and the free ring from (x, p) to (x', p'),
    perhaps again with new momenta, and ask the reference for the P beads of the end point.

Why it is exact. The target is exp{-beta [S + (1/P) sum_j U_j]} of `QuantumCanonical`, extended by
momenta of the modes for every segment. A step of `dynamics/ring_polymer.py` preserves volume and,
flipped, runs backwards for any guide whatsoever, so that, as for a classical guided trajectory,
Metropolis accepts with

    exp{-beta [S(x') - S(x) + (1/P) sum_j (U(r_j') - U(r_j)) + sum_k (K_k' - K_k)]}

The ensemble contributes springs and reference, the log ratio is -sum_k (K_k' - K_k) / k_B T with
the kinetic energy of the *modes* at both ends of every segment. A perfect guide and a short step
conserve S + U/P + K; a wrong guide, or momenta with the wrong masses, cost acceptance alone. With
one bead this is the classical guided trajectory, number by number.

The guide's energies and errors are those of the mean over the beads: of the sum it tells, a P-th.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.contracts import Dynamics, Guide, GuideTrajectory, Proposed
from hyperatom.dynamics.ring_polymer import RingModes, RingPolymerDynamics
from hyperatom.ring_polymer import RingPolymer, normal_modes
from hyperatom.sampling.guided_trajectory import PathShape
from hyperatom.sampling.quantum_canonical import QuantumCanonical, as_ring
from hyperatom.units import FEMTOSECOND


@dataclass(frozen=True, eq=False)
class RingPath:
    """A path through segments.

    `started` and `ended` hold the momenta of the beads (n_beads n_atoms, 3), sqrt(amu eV), at both
    ends of each segment.
    """

    end: RingPolymer
    started: Sequence[NDArray[np.float64]]
    ended: Sequence[NDArray[np.float64]]
    trajectories: Sequence[GuideTrajectory]


@dataclass(frozen=True)
class RingTrajectory:
    """Distribution of paths over which a guide proposes ring polymers.

    Fields as in `GuidedTrajectory`; `time_step` need not resolve the springs. `largest_error` is of
    the mean energy of the beads.
    """

    guide: Guide
    ensemble: QuantumCanonical
    time_step: float
    length: float
    segments: int = 1
    spread: float = 0.1
    check_every: int = 10
    largest_error: float = np.inf
    largest_drift: float = 20.0
    unrestricted: float = 0.05

    def draw_shape(self, rng: np.random.Generator) -> tuple[PathShape, bool]:
        """A path's shape and whether it is exempt from the error veto, blind to the state."""
        time_step = self.time_step * rng.uniform(1.0 - self.spread, 1.0 + self.spread)
        mean = self.length / (self.time_step * self.check_every)
        lengths = mean * rng.uniform(1.0 - self.spread, 1.0 + self.spread, self.segments)
        checks = tuple(int(n) for n in np.maximum(1, np.rint(lengths)))
        exempt = bool(rng.random() < self.unrestricted)
        return PathShape(time_step, self.check_every, checks), exempt

    def dynamics(self, ring: RingPolymer) -> Dynamics:
        """The guide's forces and the free ring of the ensemble."""
        modes, _ = normal_modes(ring.n_beads)
        masses, frequencies = self.ensemble.mode_masses(ring), self.ensemble.mode_frequencies(ring)
        return Dynamics(RingPolymerDynamics(), RingModes(modes, masses, frequencies))

    def run(
        self, ring: RingPolymer, momenta: NDArray[np.float64], shape: PathShape, n_checks: int
    ) -> GuideTrajectory:
        """One segment of a path, as long as `n_checks` checks."""
        return self.guide.trajectory(
            ring,
            momenta,
            shape.time_step * FEMTOSECOND,
            n_checks * shape.check_every,
            shape.check_every,
            self.dynamics(ring),
        )

    def follow(
        self,
        ring: RingPolymer,
        shape: PathShape,
        momenta: Sequence[NDArray[np.float64]] | np.random.Generator,
    ) -> RingPath:
        """Run a path of given shape with given momenta, or with momenta drawn on the way."""
        trajectories: list[GuideTrajectory] = []
        started: list[NDArray[np.float64]] = []
        for k, n_checks in enumerate(shape.checks):
            if isinstance(momenta, np.random.Generator):
                start = self.ensemble.draw_momenta(ring, momenta)
            else:
                start = momenta[k]
            trajectory = self.run(ring, start, shape, n_checks)
            started.append(start)
            trajectories.append(trajectory)
            if not np.isfinite(trajectory.positions).all():
                break
            ring = ring.with_positions(trajectory.positions)
        return RingPath(ring, started, [t.momenta for t in trajectories], trajectories)

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        """Log ratio: -sum_k (K_k' - K_k) / k_B T over the segments, K of the modes."""
        ring = as_ring(configuration)
        shape, exempt = self.draw_shape(rng)
        path = self.follow(ring, shape, rng)
        return self.judge_path(ring, shape, path, exempt)

    def judge_path(
        self, ring: RingPolymer, shape: PathShape, path: RingPath, exempt: bool
    ) -> Proposed:
        """Turn a path into a proposal: log ratio, veto and the numbers to replay it."""
        thermal_energy = self.ensemble.thermal_energy
        temperature = self.ensemble.temperature
        # A path that runs away may overflow here; it is vetoed below.
        with np.errstate(over="ignore", invalid="ignore"):
            before = np.array([self.ensemble.kinetic_energy(ring, p) for p in path.started])
            after = np.array([self.ensemble.kinetic_energy(ring, p) for p in path.ended])
            energies = [t.energies / ring.n_beads for t in path.trajectories]
            springs = [
                [ring.with_positions(t.waypoints[i]).spring_energy(temperature) for i in (0, -1)]
                for t in path.trajectories
            ]
            changes = [e[-1] - e[0] + s[1] - s[0] for e, s in zip(energies, springs, strict=True)]
            drifts = after - before + np.array(changes)
        finite = bool(np.isfinite(drifts).all()) and all(np.isfinite(e).all() for e in energies)
        # Not a number anywhere must give not a number, in whatever order the path is run.
        worst_error = float(np.max(np.concatenate([t.errors for t in path.trajectories])))
        worst_error /= ring.n_beads
        drift = float(np.max(np.abs(drifts)))
        veto: str | None = None
        if not finite:
            veto = "the guide's trajectory left the numbers"
        elif drift > self.largest_drift * thermal_energy:
            veto = "the guide's energy was not conserved"
        elif not exempt and not worst_error <= self.largest_error:
            veto = "the guide is too uncertain on the way"
        record = {
            "time_step": shape.time_step,
            "check_every": shape.check_every,
            "checks": list(shape.checks),
            "length": shape.length,
            "kinetic_before": float(before.sum()),
            "kinetic_after": float(after.sum()),
            "spring_before": springs[0][0],
            "spring_after": springs[-1][1],
            "guide_energy_before": float(energies[0][0]),
            "guide_energy_after": float(energies[-1][-1]),
            "guide_error": worst_error,
            "guide_drift": drift,
            "exempt": exempt,
        }
        log_ratio = -float((after - before).sum()) / thermal_energy if finite else -np.inf
        return Proposed(path.end if finite else ring, log_ratio, veto, record)
