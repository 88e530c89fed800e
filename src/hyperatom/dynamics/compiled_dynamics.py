"""The compiled loop that runs an integrator, with neighbour lists renewed on the way.

One round of the loop evaluates the forces, completes the step that led here and begins the next.
It stops when the wanted step is complete, or when atoms and cell have moved so far since their
neighbour list was made that a pair may be missing. Then a new list is made and the loop goes on
from the very same point, so a renewal changes nothing but the order of sums. A new list is narrowed
from a wide one inside the compiled program; the host searches for a new wide list when that no
longer suffices, which is rare. The number of steps is data, not shape: nothing is compiled again
when it, the time step or any parameter changes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.dynamics.allowances import allowances_of, deformation_of, knows_all_pairs
from hyperatom.dynamics.motion import Circumstances, Integrator, Motion
from hyperatom.dynamics.velocity_verlet import VelocityVerlet
from hyperatom.errors import InputError
from hyperatom.fence import fenced
from hyperatom.geometry.narrow_neighbours import deformed, narrow
from hyperatom.geometry.neighbour_lists import NeighbourLists
from hyperatom.geometry.neighbours import Neighbours

Forces = Callable[[Any, jax.Array, jax.Array, Any], tuple[jax.Array, jax.Array, jax.Array]]
"""(parameters, positions (n_atoms, 3), cell (3, 3), neighbours) -> energy, forces, virial (3, 3)

In eV, eV/Å and eV. Where nothing needs the virial, it is not computed: the compiler drops it.
"""

FARTHEST = 1.0e6
"""A path on which a coordinate exceeds this, in Å, has run away."""

VOLUMES = (0.5, 1.0e5)
"""A path on which the cell has less or more volume than this, Å^3 for each atom, has run away."""


@dataclass(frozen=True, eq=False)
class DynamicsPath:
    """A trajectory: its end and its checked points.

    | field               | shape                  | unit         | meaning                      |
    |---------------------|------------------------|--------------|------------------------------|
    | `positions`         | (n_atoms, 3)           | Å            | end point, not wrapped       |
    | `momenta`           | (n_atoms, 3)           | sqrt(amu eV) | at the end point             |
    | `cell`              | (3, 3)                 | Å            | at the end point             |
    | `variables`         | tree                   | -            | of the integrator, at the end|
    | `energies`          | (n_checks,)            | eV           | at the checked points        |
    | `waypoints`         | (n_checks, n_atoms, 3) | Å            | the checked points           |
    | `cells`             | (n_checks, 3, 3)       | Å            | at the checked points        |
    | `n_lists`           | scalar                 | -            | neighbour lists made         |
    | `checked_momenta`   | (n_checks, n_atoms, 3) | sqrt(amu eV) | at the checked points        |
    | `checked_variables` | list of trees          | -            | at the checked points        |

    Once a path has run away (a coordinate beyond `FARTHEST`, a moving cell outside of `VOLUMES`, or
    not a number), everything after is not a number.
    """

    positions: NDArray[np.float64]
    momenta: NDArray[np.float64]
    cell: NDArray[np.float64]
    variables: Any
    energies: NDArray[np.float64]
    waypoints: NDArray[np.float64]
    cells: NDArray[np.float64]
    n_lists: int
    checked_momenta: NDArray[np.float64]
    checked_variables: list[Any]


class _State(NamedTuple):
    motion: Motion
    step: Any  # steps completed; -1 before the first evaluation of the forces
    neighbours: Any  # the narrow list
    origin: Any  # positions and cell for which it was made, and allowances with which
    fresh: Any  # is it still complete?
    allowances: Any  # for the next narrow list
    known: Any  # does the wide list know all its pairs?
    needed: Any  # slots of each species that the narrow list needs
    n_lists: Any  # narrow lists made


class _Constants(NamedTuple):
    parameters: Any
    circumstances: Circumstances
    cutoff: Any
    skin: Any
    margin: Any


class _Wide(NamedTuple):
    neighbours: Any
    positions: Any
    cell: Any


class CompiledDynamics:
    """Runs trajectories on one kind of forces; compiles at the first and keeps the program.

    `forces` is a pure JAX function. `precision` is that of the whole integration, forces included.
    """

    def __init__(self, forces: Forces, precision: type[np.floating[Any]] = np.float64) -> None:
        self.precision = np.dtype(precision)
        self._forces = forces
        self._segments: dict[Integrator, Any] = {}

    def run(
        self,
        parameters: Any,
        motion: Motion,
        masses: NDArray[np.float64],
        time_step: float,
        n_steps: int,
        check_every: int,
        lists: NeighbourLists | None = None,
        integrator: Integrator = VelocityVerlet(),  # noqa: B008 (has no fields)
        integrator_parameters: Any = (),
        first_step: int = 0,
    ) -> DynamicsPath:
        """Move `motion`, looking at every `check_every`-th step.

        Of `motion`, positions, momenta, cell and variables are read; build it with `at_rest`.
        `masses` (n_atoms,) in amu, `time_step` in sqrt(amu Å^2 / eV). `first_step` is the number of
        the first step for integrators that draw random numbers.

        Raises `InputError` when `check_every` does not divide `n_steps`.
        """
        if n_steps < 1 or check_every < 1 or n_steps % check_every:
            raise InputError(
                f"A path of {n_steps} steps cannot be checked every {check_every} steps.",
                "Choose a number of steps that is a multiple of the checking interval.",
            )
        moves = integrator.changes_cell
        n_checks = n_steps // check_every + 1
        n_atoms = len(motion.positions)
        energies = np.full(n_checks, np.nan)
        waypoints = np.full((n_checks, n_atoms, 3), np.nan)
        cells = np.full((n_checks, 3, 3), np.nan)
        checked_momenta = np.full((n_checks, n_atoms, 3), np.nan)
        checked_variables: list[Any] = []
        with jax.enable_x64(True):
            segment = self._segment(integrator)
            constants = self._constants(
                parameters, masses, time_step, lists, integrator_parameters, first_step
            )
            motion = jax.tree.map(partial(_in_precision, real=self.precision), motion)
            wide, slots = self._search(lists, motion)
            nothing = np.zeros(n_atoms, dtype=self.precision)
            state = _State(
                motion=motion,
                step=np.int32(-1),
                neighbours=_no_neighbours(n_atoms, slots, self.precision) if lists else None,
                origin=(motion.positions, motion.cell, nothing),
                fresh=False,
                allowances=nothing,
                known=True,
                needed=np.zeros(len(slots), dtype=np.int32),
                n_lists=np.int32(0),
            )
            for check in range(n_checks):
                target = np.int32(check * check_every)
                state = segment(constants, state, wide, target, check > 0, slots=slots)
                while int(state.step) < target and lists and _in_reach(state.motion, moves):
                    lists.grow(tuple(np.asarray(state.needed).tolist()))
                    wide, slots = self._search(lists, state.motion)
                    if slots != state.neighbours.slots:
                        empty = _no_neighbours(n_atoms, slots, self.precision)
                        state = state._replace(neighbours=empty)
                    state = state._replace(fresh=False)
                    state = segment(constants, state, wide, target, False, slots=slots)
                lost = int(state.step) < target or not np.isfinite(float(state.motion.energy))
                if lost or not _in_reach(state.motion, moves):
                    nowhere = np.full((n_atoms, 3), np.nan)
                    variables = jax.tree.map(np.asarray, state.motion.variables)
                    return DynamicsPath(
                        nowhere, nowhere.copy(), np.full((3, 3), np.nan), variables,
                        energies, waypoints, cells, int(state.n_lists), checked_momenta,
                        checked_variables,
                    )  # fmt: skip
                energies[check] = float(state.motion.energy)
                waypoints[check] = np.asarray(state.motion.positions)
                cells[check] = np.asarray(state.motion.cell)
                checked_momenta[check] = np.asarray(state.motion.momenta)
                checked_variables.append(jax.tree.map(np.asarray, state.motion.variables))
            return DynamicsPath(
                waypoints[-1].copy(),
                np.array(state.motion.momenta, dtype=np.float64),
                cells[-1].copy(),
                jax.tree.map(np.asarray, state.motion.variables),
                energies,
                waypoints,
                cells,
                int(state.n_lists),
                checked_momenta,
                checked_variables,
            )

    def _segment(self, integrator: Integrator) -> Any:
        if integrator not in self._segments:
            segment = _make_segment(self._forces, integrator)
            self._segments[integrator] = jax.jit(segment, static_argnames="slots")
        return self._segments[integrator]

    def _constants(
        self,
        parameters: Any,
        masses: NDArray[np.float64],
        time_step: float,
        lists: NeighbourLists | None,
        integrator_parameters: Any,
        first_step: int,
    ) -> _Constants:
        real = self.precision.type
        cutoff = 0.0 if lists is None else lists.cutoff
        return _Constants(
            parameters=jax.device_put(parameters),
            circumstances=Circumstances(
                time_step=real(time_step),
                inverse_masses=np.asarray(1.0 / np.asarray(masses)[:, None], dtype=real),
                parameters=jax.tree.map(
                    partial(_in_precision, real=self.precision), integrator_parameters
                ),
                step=np.int64(first_step),
            ),
            cutoff=real(cutoff),
            skin=real(0.0 if lists is None else lists.skin),
            margin=real(0.0 if lists is None else lists.margin),
        )

    def _search(
        self, lists: NeighbourLists | None, motion: Motion
    ) -> tuple[_Wide, tuple[int, ...]]:
        """A new wide list, and the slots of the lists narrowed from it."""
        if lists is None:
            return _Wide(None, motion.positions, motion.cell), ()
        where = np.asarray(motion.positions, dtype=np.float64)
        cell = np.asarray(motion.cell, dtype=np.float64)
        if lists.capacity is None:
            lists.make(where, cell)
        wide = lists.make_wide(where, cell)
        return _Wide(jax.device_put(wide), motion.positions, motion.cell), lists.capacity or ()


def at_rest(
    positions: NDArray[np.float64],
    momenta: NDArray[np.float64],
    cell: NDArray[np.float64],
    variables: Any = (),
) -> Motion:
    """The beginning of a path, before anything has been evaluated; shapes as in `Motion`."""
    nothing = np.zeros_like(positions)
    return Motion(positions, momenta, cell, nothing, np.zeros((3, 3)), 0.0, variables)


def _in_precision(leaf: Any, real: np.dtype[Any]) -> Any:
    # Left to NumPy: the compiled call takes it to the device faster than JAX does piece by piece.
    array = leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)
    other = np.issubdtype(array.dtype, np.floating) and array.dtype != real
    return array.astype(real) if other else array


def _no_neighbours(n_atoms: int, slots: tuple[int, ...], real: np.dtype[Any]) -> Neighbours:
    shape = (n_atoms, sum(slots))
    index = np.zeros(shape, dtype=np.int32)
    return Neighbours(index, np.zeros((3, *shape), dtype=real), index, slots)


def _in_reach(motion: Motion, moves: bool) -> bool:
    # False for NaN too. A property of the point, not of the way, so the reversed path agrees.
    inside = bool(np.all(np.abs(np.asarray(motion.positions)) < FARTHEST))
    if not inside or not moves:
        return inside
    smallest, largest = VOLUMES
    volume = abs(np.linalg.det(np.asarray(motion.cell))) / len(motion.positions)
    return bool(smallest < volume < largest)


def _make_segment(forces: Forces, integrator: Integrator) -> Callable[..., _State]:
    moves = integrator.changes_cell

    def segment(
        constants: _Constants,
        state: _State,
        wide: _Wide,
        target: Any,
        begin: Any,
        slots: tuple[int, ...],
    ) -> _State:
        """Go on until `target` steps are complete or the wide list no longer suffices.

        `begin`: the state is a complete step, of which the forces are known; otherwise it waits for
        forces.
        """
        first = constants.circumstances.step
        listed = wide.neighbours is not None

        def begin_step(state: _State, really: Any) -> _State:
            circumstances = constants.circumstances._replace(step=first + state.step)
            begun = integrator.begin(state.motion, circumstances)
            motion = jax.tree.map(partial(jnp.where, really), begun, state.motion)
            if listed:
                cutoff = constants.cutoff
                complete = knows_all_pairs(motion, state.origin, cutoff, jnp.zeros(()), moves)
            else:
                complete = jnp.all(jnp.isfinite(motion.positions))
            return state._replace(motion=motion, fresh=state.fresh & complete)

        def now(neighbours: Neighbours, motion: Motion) -> Neighbours:
            if not moves:
                return neighbours
            shift = deformed(neighbours.shift, deformation_of(wide.cell, motion.cell))
            return Neighbours(neighbours.index, shift, neighbours.reverse, neighbours.slots)

        def fit(needed: jax.Array) -> jax.Array:
            enough: jax.Array = jnp.all(needed <= np.array(slots, dtype=np.int32))
            return enough

        def renew(state: _State) -> _State:
            motion = state.motion
            deformation = deformation_of(wide.cell, motion.cell) if moves else None
            neighbours, needed = fenced(partial(narrow, slots=slots))(
                wide.neighbours,
                motion.positions,
                0.5 * constants.cutoff + state.allowances,
                deformation=deformation,
            )
            return state._replace(
                neighbours=neighbours,
                origin=(motion.positions, motion.cell, state.allowances),
                fresh=fit(needed),
                needed=needed,
                n_lists=state.n_lists + 1,
            )

        def with_one_list(state: _State) -> _State:
            if listed:
                state = jax.lax.cond(state.fresh, lambda state: state, renew, state)
            neighbours = state.neighbours

            def round_of_loop(state: _State) -> _State:
                motion = state.motion
                here = now(neighbours, motion) if listed else None
                energy, force, virial = forces(
                    constants.parameters, motion.positions, motion.cell, here
                )
                motion = motion._replace(energy=energy, forces=force)
                if moves:
                    motion = motion._replace(virial=virial)
                circumstances = constants.circumstances._replace(step=first + state.step)
                completed = integrator.complete(motion, circumstances)
                # At step -1 nothing waits for completion: the momenta are whole.
                waits = state.step >= 0
                motion = jax.tree.map(partial(jnp.where, waits), completed, motion)
                state = state._replace(motion=motion, step=state.step + 1, neighbours=None)
                return begin_step(state, state.step < target)

            def go_on(state: _State) -> Any:
                return (state.step < target) & state.fresh

            # The list does not change inside, and is kept out of what the loop carries.
            moved = jax.lax.while_loop(go_on, round_of_loop, state._replace(neighbours=None))
            return note_wide(moved._replace(neighbours=neighbours))

        def note_wide(state: _State) -> _State:
            if not listed:
                return state._replace(known=state.fresh)
            allowances = allowances_of(
                state.motion,
                constants.circumstances.inverse_masses,
                constants.skin,
                constants.margin,
            )
            everywhere = jnp.full_like(allowances, 0.5 * (constants.skin + constants.margin))
            origin = wide.positions, wide.cell, everywhere
            known = knows_all_pairs(state.motion, origin, constants.cutoff, allowances, moves)
            return state._replace(allowances=allowances, known=known)

        def suffices(state: _State) -> Any:
            return (state.step < target) & state.known & fit(state.needed)

        state = state._replace(
            fresh=state.fresh | (not listed), needed=jnp.zeros_like(state.needed)
        )
        state = note_wide(begin_step(state, begin))
        return jax.lax.while_loop(suffices, with_one_list, state)

    return segment
