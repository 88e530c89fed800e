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

At constant pressure the momenta of the cell are drawn and flipped with those of the atoms, K is
that of both, and the map's Jacobian J is not always one: S remains an involution, and Metropolis
accepts with the density ratio of `ensemble`, times exp{-sum_k (K_k' - K_k) / k_B T} J.

Lengths and time steps are random but drawn without looking at the state, and the reversed path
draws them with the same probability. The veto looks at a set of points that is the same for the
path and its reverse, and the drift veto at |dH_guide| of each segment, equal both ways.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.contracts import Dynamics, Ensemble, Guide, GuideTrajectory, Proposed
from hyperatom.sampling.momenta import Momenta
from hyperatom.units import FEMTOSECOND


class PathEnsemble(Ensemble, Protocol):
    """An ensemble that knows how its configurations move."""

    @property
    def thermal_energy(self) -> float:
        """k_B T in eV."""
        ...

    def draw(self, configuration: Configuration, rng: np.random.Generator) -> Momenta:
        """Momenta from exp(-K / k_B T), which does not depend on the configuration."""
        ...

    def kinetic_energy(self, momenta: Momenta, configuration: Configuration) -> float:
        """K in eV."""
        ...

    def dynamics(self, momenta: Momenta, configuration: Configuration) -> Dynamics | None:
        """Equations of motion that run backwards under a flip; None for velocity Verlet."""
        ...

    def work(self, configuration: Configuration) -> float:
        """Work on the surroundings, eV: with K and the guide's energy it is conserved."""
        ...

    def log_jacobian(self, before: Configuration, after: Configuration) -> float:
        """Growth of the volume element of configurations and momenta along a trajectory."""
        ...


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

    `points` are the configurations where it began and where each segment ended; `started` and
    `ended` the momenta at both ends of each segment.
    """

    points: Sequence[Configuration]
    started: Sequence[Momenta]
    ended: Sequence[Momenta]
    trajectories: Sequence[GuideTrajectory]

    @property
    def end(self) -> Configuration:
        """Where it led."""
        return self.points[-1]

    @property
    def finite(self) -> bool:
        """False where the guide threw an atom out of the numbers."""
        return all(trajectory.finite for trajectory in self.trajectories)


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
    ensemble: PathEnsemble
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
        momenta: Sequence[Momenta] | np.random.Generator,
    ) -> Path:
        """Run a path of given shape with given momenta, or with momenta drawn on the way."""
        path = Path([configuration], [], [], [])
        for k, n_checks in enumerate(shape.checks):
            if isinstance(momenta, np.random.Generator):
                start = self.ensemble.draw(path.end, momenta)
            else:
                start = momenta[k]
            path = self.go_on(path, start, shape, n_checks)
            if not path.finite:
                break
        return path

    def go_on(self, path: Path, start: Momenta, shape: PathShape, n_checks: int) -> Path:
        """The path with one more segment of `n_checks` checks, begun with the momenta `start`."""
        here = path.end
        dynamics = self.ensemble.dynamics(start, here)
        trajectory = self.guide.trajectory(
            here,
            start.atoms,
            shape.time_step * FEMTOSECOND,
            n_checks * shape.check_every,
            shape.check_every,
            dynamics,
        )
        if dynamics is None or not dynamics.integrator.changes_cell:
            ended, there = Momenta(trajectory.momenta), here.with_positions(trajectory.positions)
        else:
            ended = Momenta(trajectory.momenta, np.asarray(trajectory.variables))
            there = here.with_cell(trajectory.positions, trajectory.cells[-1])
        return Path(
            [*path.points, there],
            [*path.started, start],
            [*path.ended, ended],
            [*path.trajectories, trajectory],
        )

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        """Log ratio: -sum_k (K_k' - K_k) / k_B T over the segments, and the log Jacobian."""
        shape, exempt = self.draw_shape(rng)
        path = self.follow(configuration, shape, rng)
        return self.judge_path(configuration, shape, path, exempt)

    def judge_path(
        self, configuration: Configuration, shape: PathShape, path: Path, exempt: bool
    ) -> Proposed:
        """Turn a path into a proposal: log ratio, veto and the numbers to replay it."""
        ensemble, thermal_energy = self.ensemble, self.ensemble.thermal_energy
        # Of beads, which are copies, the mean energy counts; of one copy it is the energy.
        n_copies = configuration.n_copies
        energies = [t.energies / n_copies for t in path.trajectories]
        # A path that runs away may overflow here; it is vetoed below.
        with np.errstate(over="ignore", invalid="ignore"):
            before = np.array([ensemble.kinetic_energy(p, configuration) for p in path.started])
            after = np.array([ensemble.kinetic_energy(p, configuration) for p in path.ended])
            work = np.diff([ensemble.work(point) for point in path.points])
            drifts = after - before + work + np.array([e[-1] - e[0] for e in energies])
        # Not a number anywhere must give not a number, in whatever order the path is run.
        worst_error = float(np.max(np.concatenate([t.errors for t in path.trajectories])))
        worst_error /= n_copies
        drift = float(np.max(np.abs(drifts)))
        finite = path.finite and bool(np.isfinite(drifts).all())
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
        if not finite:
            return Proposed(configuration, -np.inf, veto, record)
        log_jacobian = sum(ensemble.log_jacobian(a, b) for a, b in pairwise(path.points))
        record["log_jacobian"] = log_jacobian
        log_ratio = log_jacobian - float((after - before).sum()) / thermal_energy
        return Proposed(path.end, log_ratio, veto, record)
