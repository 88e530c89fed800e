"""Velocity Verlet in one compiled loop, with neighbour lists renewed on the way.

One round of the loop evaluates the forces, completes the step that led here and begins the next:

    p += dt/2 F(x)      (completes)        p += dt/2 F(x);   x += dt p / m      (begins)

It stops when the wanted step is complete, or when an atom has moved by skin/2 since its neighbour
list was made. Then a new list is made and the loop goes on from the very same x and p, so a renewal
changes nothing but the order of sums. A new list is narrowed from a wide one inside the compiled
program; the host searches for a new wide list when an atom has moved by half the margin, which is
rare. The number of steps is data, not shape: nothing is compiled again when it, the time step or
the parameters change.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.geometry.neighbours import NeighbourLists, Neighbours
from hyperatom.potentials.fence import fenced
from hyperatom.potentials.narrow_neighbours import narrow

EnergyAndForces = Callable[[Any, jax.Array, Any], tuple[jax.Array, jax.Array]]
"""(parameters, positions (n_atoms, 3), neighbours) -> energy, forces (n_atoms, 3)"""

FARTHEST = 1.0e6
"""A path on which a coordinate exceeds this, in Å, has run away."""


@dataclass(frozen=True, eq=False)
class DynamicsPath:
    """A trajectory: its end and its checked points.

    | field       | shape                  | unit         | meaning                              |
    |-------------|------------------------|--------------|--------------------------------------|
    | `positions` | (n_atoms, 3)           | Å            | end point, not wrapped into the cell |
    | `momenta`   | (n_atoms, 3)           | sqrt(amu eV) | at the end point                     |
    | `energies`  | (n_checks,)            | eV           | energy at the checked points         |
    | `waypoints` | (n_checks, n_atoms, 3) | Å            | the checked points                   |
    | `n_lists`   | scalar                 | -            | neighbour lists made on the way      |

    Once a path has run away (a coordinate beyond `FARTHEST`, or not a number), everything after is
    not a number.
    """

    positions: NDArray[np.float64]
    momenta: NDArray[np.float64]
    energies: NDArray[np.float64]
    waypoints: NDArray[np.float64]
    n_lists: int


class _State(NamedTuple):
    positions: Any
    momenta: Any
    forces: Any
    energy: Any
    step: Any  # steps completed; -1 before the first evaluation of the forces
    fresh: Any  # has no atom moved too far for the narrow list?
    known: Any  # has no atom moved too far for the wide list?
    fits: Any  # are there enough slots in the narrow list?
    n_lists: Any  # narrow lists made


class _Constants(NamedTuple):
    parameters: Any
    inverse_masses: Any
    time_step: Any
    reach: Any  # cutoff + skin
    limit: Any  # (skin / 2)^2
    wide_limit: Any  # (margin / 2)^2


class CompiledDynamics:
    """Runs trajectories on one kind of forces; compiles at the first and keeps the program.

    `energy_and_forces` is a pure JAX function. `precision` is that of the whole integration,
    forces included.
    """

    def __init__(
        self, energy_and_forces: EnergyAndForces, precision: type[np.floating[Any]] = np.float64
    ) -> None:
        self.precision = np.dtype(precision)
        self._segment = jax.jit(_make_segment(energy_and_forces), static_argnames="slots")

    def run(
        self,
        parameters: Any,
        positions: NDArray[np.float64],
        momenta: NDArray[np.float64],
        masses: NDArray[np.float64],
        time_step: float,
        n_steps: int,
        check_every: int,
        lists: NeighbourLists | None = None,
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
        with jax.enable_x64(True):
            real = self.precision.type
            # Two atoms may approach each other by half of what the list reaches further.
            skin, margin = (np.inf, np.inf) if lists is None else (lists.skin, lists.margin)
            constants = _Constants(
                parameters=jax.device_put(parameters),
                inverse_masses=jnp.asarray(1.0 / np.asarray(masses)[:, None], dtype=real),
                time_step=real(time_step),
                reach=real(0.0 if lists is None else lists.cutoff + skin),
                limit=real((0.5 * skin) ** 2),
                wide_limit=real((0.5 * margin) ** 2),
            )
            x = jnp.asarray(positions, dtype=real)
            p = jnp.asarray(momenta, dtype=real)
            zero = np.int32(0)
            state = _State(x, p, jnp.zeros_like(x), real(0), np.int32(-1), True, True, True, zero)
            wide, slots = self._search(lists, x)
            origin = x
            for check in range(n_checks):
                target = np.int32(check * check_every)
                state = self._segment(
                    constants, state, origin, wide, target, check > 0, slots=slots
                )
                while int(state.step) < target and lists is not None and _in_reach(state.positions):
                    if not bool(state.fits):
                        lists.make(np.asarray(state.positions, dtype=np.float64))
                    wide, slots = self._search(lists, state.positions)
                    origin = state.positions
                    state = self._segment(
                        constants, state, origin, wide, target, False, slots=slots
                    )
                lost = int(state.step) < target or not np.isfinite(float(state.energy))
                if lost or not _in_reach(state.positions):
                    nowhere = np.full_like(waypoints[0], np.nan)
                    n_lists = int(state.n_lists)
                    return DynamicsPath(nowhere, nowhere.copy(), energies, waypoints, n_lists)
                energies[check] = float(state.energy)
                waypoints[check] = np.asarray(state.positions)
            return DynamicsPath(
                waypoints[-1].copy(),
                np.array(state.momenta, dtype=np.float64),
                energies,
                waypoints,
                int(state.n_lists),
            )

    def _search(
        self, lists: NeighbourLists | None, positions: jax.Array
    ) -> tuple[Neighbours | None, tuple[int, ...]]:
        """A new wide list around `positions`, and the slots of the lists narrowed from it."""
        if lists is None:
            return None, ()
        where = np.asarray(positions, dtype=np.float64)
        if lists.capacity is None:
            lists.make(where)
        wide = lists.make_wide(where)
        on_device = Neighbours(
            index=jnp.asarray(wide.index),
            shift=jnp.asarray(wide.shift, dtype=self.precision),
            reverse=jnp.asarray(wide.reverse),
            slots=wide.slots,
        )
        return on_device, lists.capacity or ()


def _in_reach(positions: jax.Array) -> bool:
    # False for NaN too. A property of the point, not of the way, so the reversed path agrees.
    return bool(np.all(np.abs(np.asarray(positions)) < FARTHEST))


def _make_segment(energy_and_forces: EnergyAndForces) -> Callable[..., _State]:
    def segment(
        constants: _Constants,
        state: _State,
        wide_origin: Any,
        wide: Neighbours | None,
        target: Any,
        begin: Any,
        slots: tuple[int, ...],
    ) -> _State:
        """Go on until `target` steps are complete or the wide list no longer suffices.

        `begin`: the state is a complete step, of which the forces are known; otherwise it waits for
        forces.
        """
        time_step = constants.time_step

        def begin_step(state: _State, really: Any) -> _State:
            momenta = state.momenta + (0.5 * time_step) * state.forces
            positions = state.positions + time_step * (momenta * constants.inverse_masses)
            return state._replace(
                positions=jnp.where(really, positions, state.positions),
                momenta=jnp.where(really, momenta, state.momenta),
            )

        def go_on(state: _State) -> Any:
            return (state.step < target) & state.fresh

        def with_one_list(state: _State) -> _State:
            origin = state.positions
            neighbours, fits, n_lists = None, jnp.bool_(True), state.n_lists
            if wide is not None:
                neighbours, fits = fenced(partial(narrow, slots=slots))(
                    wide, origin, constants.reach
                )
                n_lists = n_lists + 1

            def round_of_loop(state: _State) -> _State:
                energy, forces = energy_and_forces(
                    constants.parameters, state.positions, neighbours
                )
                # At step -1 nothing waits for completion: the momenta are whole.
                half = jnp.where(state.step < 0, 0.0, 0.5 * time_step).astype(time_step.dtype)
                state = state._replace(
                    momenta=state.momenta + half * forces,
                    forces=forces,
                    energy=energy,
                    step=state.step + 1,
                )
                state = begin_step(state, state.step < target)
                return state._replace(fresh=_all_within(state.positions, origin, constants.limit))

            state = jax.lax.while_loop(
                go_on, round_of_loop, state._replace(fresh=fits, n_lists=n_lists)
            )
            known = _all_within(state.positions, wide_origin, constants.wide_limit)
            return state._replace(fits=fits, known=known)

        def suffices(state: _State) -> Any:
            return (state.step < target) & state.known & state.fits

        state = begin_step(state, begin)
        known = _all_within(state.positions, wide_origin, constants.wide_limit)
        state = state._replace(known=known, fits=jnp.bool_(True))
        return jax.lax.while_loop(suffices, with_one_list, state)

    return segment


def _all_within(positions: jax.Array, origin: jax.Array, limit: jax.Array) -> jax.Array:
    # False for NaN.
    return jnp.all(jnp.sum((positions - origin) ** 2, axis=1) <= limit)
