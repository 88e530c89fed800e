"""Velocity Verlet in one compiled loop, with neighbour lists renewed on the way.

One round of the loop evaluates the forces, completes the step that led here and begins the next:

    p += dt/2 F(x)      (completes)        p += dt/2 F(x);   x += dt p / m      (begins)

It stops when the wanted step is complete, or when an atom has moved by skin/2 since its neighbour
list was made. Then the host makes a new list and the loop goes on from the very same x and p, so a
renewal changes nothing but the order of sums. The number of steps is data, not shape: nothing is
compiled again when it, the time step or the parameters change.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError

EnergyAndForces = Callable[[Any, jax.Array, Any], tuple[jax.Array, jax.Array]]
"""(parameters, positions (n_atoms, 3), neighbours) -> energy, forces (n_atoms, 3)"""

FARTHEST = 1.0e6
"""A path on which a coordinate exceeds this, in Å, has run away."""


class ListMaker(Protocol):
    """Makes neighbour lists that stay right until an atom has moved by skin/2."""

    skin: float

    def make(self, positions: NDArray[np.float64]) -> Any:
        """The list for positions (n_atoms, 3), as a tree of arrays of unchanging shapes."""
        ...


@dataclass(frozen=True, eq=False)
class DynamicsPath:
    """A trajectory: its end and its checked points.

    | field        | shape                  | unit         | meaning                              |
    |--------------|------------------------|--------------|--------------------------------------|
    | `positions`  | (n_atoms, 3)           | Å            | end point, not wrapped into the cell |
    | `momenta`    | (n_atoms, 3)           | sqrt(amu eV) | at the end point                     |
    | `energies`   | (n_checks,)            | eV           | energy at the checked points         |
    | `waypoints`  | (n_checks, n_atoms, 3) | Å            | the checked points                   |
    | `n_renewals` | scalar                 | -            | neighbour lists made on the way      |

    Once a path has run away (a coordinate beyond `FARTHEST`, or not a number), everything after is
    not a number.
    """

    positions: NDArray[np.float64]
    momenta: NDArray[np.float64]
    energies: NDArray[np.float64]
    waypoints: NDArray[np.float64]
    n_renewals: int


class _State(NamedTuple):
    positions: Any
    momenta: Any
    forces: Any
    energy: Any
    step: Any  # steps completed; -1 before the first evaluation of the forces
    fresh: Any  # has no atom moved too far for the list?


class CompiledDynamics:
    """Runs trajectories on one kind of forces; compiles at the first and keeps the program.

    `energy_and_forces` is a pure JAX function. `precision` is that of the whole integration,
    forces included.
    """

    def __init__(
        self, energy_and_forces: EnergyAndForces, precision: type[np.floating[Any]] = np.float64
    ) -> None:
        self.precision = np.dtype(precision)
        self._segment = jax.jit(_make_segment(energy_and_forces))

    def run(
        self,
        parameters: Any,
        positions: NDArray[np.float64],
        momenta: NDArray[np.float64],
        masses: NDArray[np.float64],
        time_step: float,
        n_steps: int,
        check_every: int,
        lists: ListMaker | None = None,
    ) -> DynamicsPath:
        """Velocity Verlet from (x, p), looking at every `check_every`-th step.

        | array       | shape        | unit               | meaning |
        |-------------|--------------|--------------------|---------|
        | `positions` | (n_atoms, 3) | Å                  | start   |
        | `momenta`   | (n_atoms, 3) | sqrt(amu eV)       | start   |
        | `masses`    | (n_atoms,)   | amu                |         |
        | `time_step` | scalar       | sqrt(amu Å^2 / eV) |         |

        Raises `InputError` when `check_every` does not divide `n_steps`.
        """
        if n_steps < 1 or check_every < 1 or n_steps % check_every:
            raise InputError(
                f"A path of {n_steps} steps cannot be checked every {check_every} steps.",
                "Choose a number of steps that is a multiple of the checking interval.",
            )
        n_checks = n_steps // check_every + 1
        energies = np.full(n_checks, np.nan)
        waypoints = np.full((n_checks, len(positions), 3), np.nan)
        n_renewals = 0
        with jax.enable_x64(True):
            real = self.precision.type
            # A limit on the squared way: the list reaches the skin beyond the cutoff, and two
            # atoms may approach each other by half of it each.
            limit = real(np.inf if lists is None else (0.5 * lists.skin) ** 2)
            constants = (
                jax.device_put(parameters),
                jnp.asarray(1.0 / np.asarray(masses)[:, None], dtype=real),
                real(time_step),
                limit,
            )
            x = jnp.asarray(positions, dtype=real)
            state = _State(
                x, jnp.asarray(momenta, dtype=real), jnp.zeros_like(x), real(0), np.int32(-1), True
            )
            origin, neighbours = x, None
            if lists is not None:
                neighbours, n_renewals = jax.device_put(lists.make(np.asarray(x, float))), 1
            for check in range(n_checks):
                target = np.int32(check * check_every)
                state = self._segment(constants, state, origin, neighbours, target, check > 0)
                while int(state.step) < target:
                    where = np.asarray(state.positions, dtype=np.float64)
                    if lists is None or not _in_reach(where):
                        break
                    origin, neighbours = state.positions, jax.device_put(lists.make(where))
                    n_renewals += 1
                    state = self._segment(constants, state, origin, neighbours, target, False)
                here = np.asarray(state.positions, dtype=np.float64)
                energy = float(state.energy)
                if int(state.step) < target or not (
                    np.isfinite(energy) and np.isfinite(here).all()
                ):
                    lost = np.full_like(waypoints[0], np.nan)
                    return DynamicsPath(lost, lost.copy(), energies, waypoints, n_renewals)
                energies[check], waypoints[check] = energy, here
            return DynamicsPath(
                waypoints[-1].copy(),
                np.array(state.momenta, dtype=np.float64),
                energies,
                waypoints,
                n_renewals,
            )


def _in_reach(positions: NDArray[np.float64]) -> bool:
    # False for NaN too. A property of the point, not of the way, so the reversed path agrees.
    return bool(np.all(np.abs(positions) < FARTHEST))


def _make_segment(energy_and_forces: EnergyAndForces) -> Callable[..., _State]:
    def segment(
        constants: Any, state: _State, origin: Any, neighbours: Any, target: Any, begin: Any
    ) -> _State:
        """Go on until `target` steps are complete or the list is stale.

        `begin`: the state is a complete step, of which the forces are known; otherwise it waits for
        forces.
        """
        parameters, inverse_masses, time_step, limit = constants

        def begin_step(state: _State, really: Any) -> _State:
            momenta = state.momenta + (0.5 * time_step) * state.forces
            positions = state.positions + time_step * (momenta * inverse_masses)
            moved = jnp.sum((positions - origin) ** 2, axis=1)
            # Written so that NaN is not fresh.
            fresh = jnp.all(moved <= limit)
            return state._replace(
                positions=jnp.where(really, positions, state.positions),
                momenta=jnp.where(really, momenta, state.momenta),
                fresh=jnp.where(really, fresh, True),
            )

        def go_on(state: _State) -> Any:
            return (state.step < target) & state.fresh

        def round_of_loop(state: _State) -> _State:
            energy, forces = energy_and_forces(parameters, state.positions, neighbours)
            # At step -1 nothing waits for completion: the momenta are whole.
            half = jnp.where(state.step < 0, 0.0, 0.5 * time_step).astype(time_step.dtype)
            state = state._replace(
                momenta=state.momenta + half * forces,
                forces=forces,
                energy=energy,
                step=state.step + 1,
            )
            return begin_step(state, state.step < target)

        state = begin_step(state._replace(fresh=True), begin)
        return jax.lax.while_loop(go_on, round_of_loop, state)

    return segment
