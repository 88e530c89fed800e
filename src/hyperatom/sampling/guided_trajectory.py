"""The guided trajectory: self-learning hybrid Monte Carlo's proposal.

    draw p_1 ~ Maxwell, run velocity Verlet on the guide from (x_0, p_1) to (x_1, p_1'),
    draw p_2 ~ Maxwell, run from (x_1, p_2) to (x_2, p_2'), ..., after `segments` of them x' = x_m.

Why it is exact. Extend the target to pi(x) prod_k M(p_k), M the Maxwell density. The map

    S : (x_0, p_1, ..., p_m) -> (x_m, -p_m', ..., -p_1')

is an involution (Verlet with position-only forces, flipped, runs backwards) with unit Jacobian (a
composition of shears), for any guide whatsoever. Metropolis on the extended target therefore
accepts with exp{-[U(x') - U(x) + sum_k (K_k' - K_k)] / k_B T}: the reference's Hamiltonian with the
kinetic energy at *both ends of every segment*. With one segment this is hybrid Monte Carlo (Duane
et al. 1987) with a guide (Nagai et al. 2020). More segments let the energy exchange with the
momenta several times per reference call: a trajectory conserves its total energy, so a single one,
however long, leaves a harmonic crystal's potential energy correlated by one half.

Lengths and time steps are random but drawn without looking at the state, and the reversed path
draws them with the same probability. The veto looks at a set of points that is the same for the
path and its reverse, and the drift veto at |dH_guide| of each segment, equal both ways.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.contracts import Guide, GuideTrajectory, Proposed
from hyperatom.sampling.canonical import Canonical, kinetic_energy
from hyperatom.units import FEMTOSECOND


@dataclass(frozen=True)
class PathShape:
    """How a path is cut: `time_step` fs, steps between two checks, and checks in each segment."""

    time_step: float
    check_every: int
    checks: tuple[int, ...]

    @property
    def length(self) -> float:
        """Duration of the whole path, fs."""
        return self.time_step * self.check_every * sum(self.checks)

    def reversed(self) -> "PathShape":
        """The shape of the path run backwards."""
        return PathShape(self.time_step, self.check_every, self.checks[::-1])


@dataclass(frozen=True, eq=False)
class Path:
    """A path through `segments` trajectories.

    `started` and `ended` hold the momenta (n_atoms, 3), sqrt(amu eV), at both ends of each segment.
    """

    end: Configuration
    started: Sequence[NDArray[np.float64]]
    ended: Sequence[NDArray[np.float64]]
    trajectories: Sequence[GuideTrajectory]

    @property
    def finite(self) -> bool:
        """False where the guide threw an atom out of the numbers."""
        return bool(np.isfinite(self.end.positions).all() and np.isfinite(self.ended[-1]).all())


@dataclass(frozen=True)
class GuidedTrajectory:
    """Distribution of paths over which a guide proposes.

    | field           | unit | meaning                                                             |
    |-----------------|------|---------------------------------------------------------------------|
    | `time_step`     | fs   | mean of the uniform distribution of time steps                      |
    | `length`        | fs   | mean duration of one segment                                        |
    | `segments`      | -    | momenta are drawn this many times along a path                      |
    | `spread`        | -    | half width of the length and time-step distributions, relative      |
    | `check_every`   | -    | steps between two points at which error and energy are looked at    |
    | `largest_error` | eV   | veto: predictive standard deviation of the energy at any such point |
    | `largest_drift` | k_BT | veto: change of the guide's Hamiltonian over any segment            |
    | `unrestricted`  | -    | probability that a path is exempt from the error veto               |
    """

    guide: Guide
    ensemble: Canonical
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

    def follow(
        self,
        configuration: Configuration,
        shape: PathShape,
        momenta: Sequence[NDArray[np.float64]] | np.random.Generator,
    ) -> Path:
        """Run a path of given shape with given momenta, or with momenta drawn on the way."""
        trajectories: list[GuideTrajectory] = []
        started: list[NDArray[np.float64]] = []
        for k, n_checks in enumerate(shape.checks):
            if isinstance(momenta, np.random.Generator):
                start = self.ensemble.draw_momenta(configuration.masses, momenta)
            else:
                start = momenta[k]
            trajectory = self.guide.trajectory(
                configuration,
                start,
                shape.time_step * FEMTOSECOND,
                n_checks * shape.check_every,
                shape.check_every,
            )
            started.append(start)
            trajectories.append(trajectory)
            if not np.isfinite(trajectory.positions).all():
                break
            configuration = configuration.with_positions(trajectory.positions)
        return Path(configuration, started, [t.momenta for t in trajectories], trajectories)

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        """Log ratio: -sum_k (K_k' - K_k) / k_B T over the segments."""
        shape, exempt = self.draw_shape(rng)
        path = self.follow(configuration, shape, rng)
        return self.judge_path(configuration, shape, path, exempt)

    def judge_path(
        self, configuration: Configuration, shape: PathShape, path: Path, exempt: bool
    ) -> Proposed:
        """Turn a path into a proposal: log ratio, veto and the numbers to replay it."""
        thermal_energy = self.ensemble.thermal_energy
        masses = configuration.masses
        energies = [t.energies for t in path.trajectories]
        # A path that runs away may overflow here; it is vetoed below.
        with np.errstate(over="ignore", invalid="ignore"):
            before = np.array([kinetic_energy(p, masses) for p in path.started])
            after = np.array([kinetic_energy(p, masses) for p in path.ended])
            drifts = after - before + np.array([e[-1] - e[0] for e in energies])
        finite = all(np.isfinite(t.momenta).all() for t in path.trajectories) and all(
            np.isfinite(e).all() for e in energies
        )
        # Not a number anywhere must give not a number, in whatever order the path is run.
        worst_error = float(np.max(np.concatenate([t.errors for t in path.trajectories])))
        drift = float(np.max(np.abs(drifts)))
        finite = finite and bool(np.isfinite(drifts).all())
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
            "guide_energy_before": float(energies[0][0]),
            "guide_energy_after": float(energies[-1][-1]),
            "guide_error": worst_error,
            "guide_drift": drift,
            "exempt": exempt,
        }
        log_ratio = -float((after - before).sum()) / thermal_energy if finite else -np.inf
        end = path.end if finite else configuration
        return Proposed(end, log_ratio, veto, record)
