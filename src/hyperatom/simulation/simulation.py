"""A simulation: walkers that move on their own, stretch by stretch, each stretch safe on disk.

A stretch is a number of time steps that depends on the settings and the number of atoms alone, and
begins with neighbour lists of its own: so a trajectory that was interrupted goes on bit for bit.
Random numbers are functions of (seed, walker, step).
"""

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.contracts import Dynamics
from hyperatom.dynamics.compiled_dynamics import DynamicsPath
from hyperatom.errors import HyperatomError
from hyperatom.frames import Frames
from hyperatom.geometry.neighbours import minimum_distance
from hyperatom.sampling.momenta import kinetic_energy
from hyperatom.simulation.equations import (
    conserved,
    equations_of_motion,
    first_momenta,
    moving_masses,
    thermal_energy,
)
from hyperatom.simulation.motion_store import MotionState, MotionStore, Row
from hyperatom.simulation.movers import Mover, ReferenceMover
from hyperatom.simulation.settings import MotionSettings
from hyperatom.units import FEMTOSECOND, MILLI

STRETCH = 100_000
"""Atoms times steps between two states on disk; a second or so."""

HOTTEST = 10.0
"""A kinetic energy beyond this multiple of the bath's is that of an explosion."""

GROWTH = 4.0
"""A cell whose volume grew or shrank by more than this factor, or whose width halved, is lost."""


class SimulationStopped(HyperatomError):
    """A trajectory left what its potential can describe; what was before is kept.

    `place` is where a guide was no longer sure, if that was the reason.
    """

    def __init__(self, problem: str, cure: str, place: Configuration | None = None) -> None:
        super().__init__(problem, cure)
        self.place = place


class Monitor(Protocol):
    """Is told how far the walkers are."""

    def stretch(self, walker: int, step: int, steps: int, seconds: float, row: Row) -> None:
        """A walker has reached `step`, `steps` of them in `seconds`; `row` is its latest frame."""
        ...


@dataclass(frozen=True, eq=False)
class Simulation:
    """Everything that a simulation is made of; `starts` has a configuration for each walker."""

    settings: MotionSettings
    starts: Sequence[Configuration]
    mover: Mover
    store: MotionStore
    monitor: Monitor

    def run(self, stop: threading.Event | None = None) -> None:
        """Move all walkers to the end of their time, or until `stop` is set.

        Raises `SimulationStopped` where one is lost, and whatever a calculator raises.
        """
        stop = stop or threading.Event()
        if isinstance(self.mover, ReferenceMover) or self.settings.walkers == 1:
            for walker in range(self.settings.walkers):
                self._walk(walker, stop)
            return
        threads = self.settings.threads or os.cpu_count() or 1
        with ThreadPoolExecutor(threads) as pool:
            tasks = [pool.submit(self._walk, w, stop) for w in range(self.settings.walkers)]
            try:
                for task in tasks:
                    task.result()
            except BaseException:
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _walk(self, walker: int, stop: threading.Event) -> None:
        start = self.starts[walker]
        dynamics = equations_of_motion(self.settings, start, walker)
        state = self.store.state(walker) or self._beginning(walker, dynamics)
        stretch, every = stretch_of(self.settings, start.n_atoms)
        if isinstance(self.mover, ReferenceMover):
            stretch = every = min(every, self.settings.sample_steps)
        while state.step < self.settings.n_steps and not stop.is_set():
            began = time.perf_counter()
            n_steps = min(stretch, self.settings.n_steps - state.step)
            path = self.mover.run(
                start.with_cell(state.positions, state.cell),
                state.momenta,
                self.settings.internal_time_step,
                n_steps,
                min(every, n_steps),
                replace(dynamics, variables=_planted(dynamics.variables, state.leaves)),
                state.step,
            )
            seconds = time.perf_counter() - began
            state, rows = self._keep(walker, start, dynamics, state, path, n_steps, seconds)
            self.monitor.stretch(walker, state.step, n_steps, seconds, rows[-1])

    def _beginning(self, walker: int, dynamics: Dynamics) -> MotionState:
        start = self.starts[walker]
        momenta = first_momenta(self.settings, start, walker)
        images = np.zeros((start.n_atoms, 3), dtype=np.int64)
        positions, images = _wrapped(start, start.positions, start.cell, images)
        return MotionState(
            0, positions, momenta, np.array(start.cell), images, _leaves(dynamics.variables)
        )

    def _keep(
        self,
        walker: int,
        start: Configuration,
        dynamics: Dynamics,
        state: MotionState,
        path: DynamicsPath,
        n_steps: int,
        seconds: float,
    ) -> tuple[MotionState, list[Row]]:
        settings = self.settings
        errors = self.mover.errors(start, path)
        every = n_steps // (len(path.energies) - 1)
        rows: dict[int, Row] = {}
        for i, energy in enumerate(path.energies):
            step = state.step + i * every
            self._demand_sense(walker, start, path, i, step, float(errors[i]))
            if i == 0 and step > 0:
                continue  # the last frame of the stretch before
            motion = {
                "positions": path.waypoints[i],
                "momenta": path.checked_momenta[i],
                "cell": path.cells[i],
                "energy": energy,
                "variables": path.checked_variables[i],
            }
            rows[i] = Row(
                float(energy) / start.n_copies,
                kinetic_energy(path.checked_momenta[i], moving_masses(start)),
                conserved(dynamics, settings, start.masses, motion),
                float(errors[i]),
            )
        chosen = [i for i in rows if (state.step + i * every) % settings.sample_steps == 0]
        cells = path.cells[chosen].reshape(-1, 3, 3)
        frames = Frames(
            path.waypoints[chosen] + np.einsum("ni,fij->fnj", state.images, cells),
            cells,
            path.checked_momenta[chosen] / moving_masses(start)[:, None] * FEMTOSECOND,
        )
        positions, images = _wrapped(start, path.positions, path.cell, state.images)
        after = MotionState(
            state.step + n_steps, positions, path.momenta, path.cell, images,
            _leaves(path.variables), state.seconds + seconds,
        )  # fmt: skip
        first = (state.step + chosen[0] * every) // settings.sample_steps if chosen else 0
        self.store.add(walker, [rows[i] for i in chosen], first, frames, after)
        return after, list(rows.values())

    def _demand_sense(
        self, walker: int, start: Configuration, path: DynamicsPath, i: int, step: int, error: float
    ) -> None:
        """Raise `SimulationStopped` where the path is lost at its checked point `i`."""
        settings = self.settings
        when = f"{step * settings.time_step / 1000.0:.6g} ps"
        who = f"Walker {walker}" if settings.walkers > 1 else "The trajectory"
        if not np.isfinite(path.energies[i]):
            raise SimulationStopped(
                f"{who} ran away shortly before {when}: atoms or cell left the numbers"
                f"{self._last_words(start, path, i)}.",
                "What was before is kept. A shorter time step, or a potential that has learned "
                "such configurations, may help.",
            )
        per_atom = error / start.n_atoms / MILLI
        if per_atom > settings.potential.trust:
            raise SimulationStopped(
                f"{who} was stopped at {when}: the guide predicts an error of {per_atom:.3g} "
                f"meV/atom there, beyond the {settings.potential.trust:g} meV/atom that 'trust' "
                "allows; its forces mean little in such places.",
                "What was before is kept. Let the guide learn at this temperature and pressure, or "
                "raise 'trust'.",
                start.with_cell(path.waypoints[i], path.cells[i]),
            )
        kinetic = kinetic_energy(path.checked_momenta[i], moving_masses(start))
        usual = (
            1.5 * start.n_atoms * max(thermal_energy(settings, 0), thermal_energy(settings, step))
        )
        if kinetic > HOTTEST * usual + HOTTEST * thermal_energy(settings, 0):
            raise SimulationStopped(
                f"{who} exploded shortly before {when}: its atoms are {kinetic / usual:.3g} times "
                f"as hot as intended{self._last_words(start, path, i)}.",
                "What was before is kept. Use a shorter time step, or relax the start first.",
            )
        if start.periodic.all() and not np.array_equal(path.cells[i], start.cell):
            ratio = abs(np.linalg.det(path.cells[i])) / start.volume
            flat = (_widths(path.cells[i]) / _widths(start.cell)).min()
            if not 1.0 / GROWTH < ratio < GROWTH or flat < 0.5:
                raise SimulationStopped(
                    f"The cell of {who[0].lower()}{who[1:]} was lost shortly before {when}: its "
                    f"volume is {ratio:.3g} times, its narrowest width {flat:.3g} times that of "
                    "the start.",
                    "What was before is kept. A liquid or gas shears freely: use 'isotropic'; else "
                    "raise 'cell_relaxation', or look at pressure and potential.",
                )

    def _last_words(self, start: Configuration, path: DynamicsPath, i: int) -> str:
        if i == 0:
            return ""
        x, cell = path.waypoints[i - 1], path.cells[i - 1]
        if not np.isfinite(x).all():
            return ""
        bead = x[: start.n_atoms // start.n_copies]
        closest = minimum_distance(bead, cell, start.periodic)
        return f"; the closest atoms were {closest:.3g} Å apart just before"


def stretch_of(settings: MotionSettings, n_atoms: int) -> tuple[int, int]:
    """Steps of a stretch and between its checked points; a function of these arguments alone."""
    sample = settings.sample_steps
    wanted = max(1, STRETCH // n_atoms)
    if wanted >= sample:
        return wanted // sample * sample, sample
    length = next(n for n in range(wanted, 0, -1) if sample % n == 0)
    return length, length


def _wrapped(
    start: Configuration,
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    images: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Positions inside the cell, so that arithmetic stays sharp, and the vectors taken off.

    Of a ring it is the centroid that is inside; beads stay together.
    """
    if not start.periodic.all():
        return np.array(positions), images
    centroids = positions.reshape(start.n_copies, -1, 3).mean(axis=0)
    moved = np.floor(np.linalg.solve(cell.T, centroids.T).T).astype(np.int64)
    moved = np.tile(moved, (start.n_copies, 1))
    return positions - moved @ cell, images + moved


def _widths(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances between opposite faces, Å."""
    return np.asarray(1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0))


def _leaves(tree: Any) -> list[Any]:
    import jax

    return [np.asarray(leaf, dtype=np.float64) for leaf in jax.tree.leaves(tree)]


def _planted(tree: Any, leaves: list[Any]) -> Any:
    import jax

    return jax.tree.unflatten(jax.tree.structure(tree), leaves)
