"""The five-minute file: the nouns of hyperatom and what they promise. No logic lives here.

    proposal  : configuration -> another one, and the log ratio of the way back to the way there
    reference : configuration -> evaluation, expensive, the truth
    potential : configuration -> evaluation, cheap, learned or classical
    ensemble  : log density of an evaluated configuration, the distribution to be sampled
    Metropolis: (`sampling/metropolis.py`) the one place where a proposal meets the reference

The guide (a potential) reaches only proposals; the reference reaches only Metropolis.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.evaluation import Evaluation


class Potential(Protocol):
    """Anything cheap that gives energies: learned, classical, or a calculator in disguise."""

    def evaluate(self, configuration: Configuration) -> Evaluation:
        """Energy, forces, stress and, where it knows one, the standard deviation of the energy."""
        ...


@dataclass(frozen=True, eq=False)
class Dynamics:
    """Equations of motion for a trajectory: an integrator of `hyperatom.dynamics`.

    `parameters` are the integrator's numbers (masses of a barostat, temperatures), `variables` its
    own degrees of freedom at the start (momenta of the cell), both trees of arrays.
    """

    integrator: Any
    parameters: Any = ()
    variables: Any = ()


class Guide(Potential, Protocol):
    """A potential that can also run trajectories and say how far it trusts itself."""

    def trajectory(
        self,
        configuration: Configuration,
        momenta: NDArray[np.float64],
        time_step: float,
        n_steps: int,
        check_every: int,
        dynamics: Dynamics | None = None,
    ) -> "GuideTrajectory":
        """Velocity Verlet, or other `dynamics`, on the guide's forces.

        `momenta` (n_atoms, 3) in sqrt(amu eV), `time_step` in internal time. The path is checked
        at steps 0, check_every, ..., n_steps (a divisor of n_steps, so that the set of checked
        points is the same when the path is run backwards).
        """
        ...

    def digest(self) -> str:
        """SHA-256 of the parameters: equal digests give equal energies."""
        ...


@dataclass(frozen=True, eq=False)
class GuideTrajectory:
    """Where a guide's trajectory ended, and what was seen on the way.

    | field       | shape         | unit          | meaning                                        |
    |-------------|---------------|---------------|------------------------------------------------|
    | `positions` | (n_atoms, 3)  | Å             | end point                                      |
    | `momenta`   | (n_atoms, 3)  | sqrt(amu eV)  | at the end point, not flipped                  |
    | `energies`  | (n_checks,)   | eV            | guide energy at each checked point             |
    | `errors`    | (n_checks,)   | eV            | standard deviation predicted (0: unknown)      |
    | `waypoints` | (n_checks, n_atoms, 3) | Å    | the checked points themselves                  |
    | `cells`     | (n_checks, 3, 3) | Å          | cells at the checked points                    |
    | `variables` | tree          | -             | of the dynamics, at the end point              |

    A path that left the numbers (overflow) ends with non-finite entries.
    """

    positions: NDArray[np.float64]
    momenta: NDArray[np.float64]
    energies: NDArray[np.float64]
    errors: NDArray[np.float64]
    waypoints: NDArray[np.float64]
    cells: NDArray[np.float64]
    variables: Any = ()

    @property
    def finite(self) -> bool:
        """False where the path left the numbers."""
        ends = (self.positions, self.momenta, self.energies, self.cells)
        return all(bool(np.isfinite(array).all()) for array in ends)


class Reference(Protocol):
    """First principles: expensive, deterministic, a function of the configuration alone."""

    @property
    def identity(self) -> str:
        """Text that changes whenever a setting that can change an energy changes."""
        ...

    def evaluate(self, configuration: Configuration) -> Evaluation:
        """Energy, forces, stress.

        Raises `ReferenceFailure` where there is no trustworthy answer; never returns NaN.
        """
        ...

    def close(self) -> None:
        """Release processes and files."""
        ...


class Ensemble(Protocol):
    """What is sampled, up to a constant."""

    def log_density(self, configuration: Configuration, evaluation: Evaluation) -> float:
        """Logarithm of the unnormalised density, dimensionless."""
        ...


@dataclass(frozen=True, eq=False)
class Proposed:
    """What a proposal hands to Metropolis.

    `log_ratio` is log[q(x'->x) / q(x->x')], dimensionless: the density of the way back over the way
    there, with all Jacobians and auxiliary variables (momenta) included. `veto` names the reason
    why the move must be rejected without asking the reference; the rule behind it holds alike for
    the reversed path. `record` keeps the numbers from which the move can be replayed, JSON at most.
    """

    configuration: Configuration
    log_ratio: float
    veto: str | None = None
    record: dict[str, Any] = field(default_factory=dict)


class Proposal(Protocol):
    """A way to move. States in its docstring which log ratio it returns and why."""

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        """Propose another configuration; deterministic given `rng`."""
        ...
