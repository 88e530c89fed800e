"""Trajectories on disk while they grow: one SQLite file, safe against kill -9.

Frames of a stretch and the state from which the next one begins are written in one transaction: so
a simulation that is killed goes on from its latest state as if nothing had happened.
"""

import sqlite3
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperatom.campaign.chain_store import Plainly, open_database
from hyperatom.frames import Frames

Array = NDArray[np.float64]

TABLES = """
CREATE TABLE IF NOT EXISTS frames (
    walker INTEGER, number INTEGER, energy REAL, kinetic REAL, conserved REAL, error REAL,
    cell BLOB, positions BLOB, velocities BLOB, PRIMARY KEY (walker, number));
CREATE TABLE IF NOT EXISTS states (
    walker INTEGER PRIMARY KEY, step INTEGER, seconds REAL, positions BLOB, momenta BLOB,
    cell BLOB, images BLOB);
CREATE TABLE IF NOT EXISTS variables (
    walker INTEGER, number INTEGER, kind TEXT, shape TEXT, content BLOB,
    PRIMARY KEY (walker, number));
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, content TEXT);
"""


@dataclass(frozen=True, eq=False)
class MotionState:
    """From where a walker goes on.

    | field       | shape        | unit         | meaning                                          |
    |-------------|--------------|--------------|--------------------------------------------------|
    | `step`      | scalar       | -            | steps done                                       |
    | `positions` | (n_atoms, 3) | Å            | inside the cell where it is periodic             |
    | `momenta`   | (n_atoms, 3) | sqrt(amu eV) |                                                  |
    | `cell`      | (3, 3)       | Å            |                                                  |
    | `images`    | (n_atoms, 3) | -            | lattice vectors that were taken off on the way   |
    | `leaves`    | list         | -            | the integrator's variables, leaf by leaf         |
    | `seconds`   | scalar       | s            | wall time spent so far                           |
    """

    step: int
    positions: Array
    momenta: Array
    cell: Array
    images: NDArray[np.int64]
    leaves: list[Any]
    seconds: float = 0.0


@dataclass(frozen=True)
class Row:
    """The numbers of a frame, eV: potential, kinetic, conserved energy; predicted error."""

    energy: float
    kinetic: float
    conserved: float
    error: float


@dataclass
class MotionStore:
    """Frames and states of all walkers; safe from several threads of one process."""

    path: Path
    read_only: bool = False
    _connection: sqlite3.Connection = field(init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        with Plainly(self.path):
            self._connection = open_database(self.path, TABLES, "NORMAL", self.read_only)

    def add(
        self, walker: int, rows: list[Row], first: int, frames: Frames, state: MotionState
    ) -> None:
        """Write frames `first`, first + 1, ... and the state after them, all or none."""
        numbers = range(first, first + len(rows))
        velocities = frames.velocities
        assert velocities is not None
        with self._lock, Plainly(self.path):
            run = self._connection.execute
            run("BEGIN IMMEDIATE")
            try:
                for i, (number, row) in enumerate(zip(numbers, rows, strict=True)):
                    run(
                        "INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        (walker, number, row.energy, row.kinetic, row.conserved, row.error,
                         frames.cells[i].tobytes(), frames.positions[i].tobytes(),
                         velocities[i].tobytes()),
                    )  # fmt: skip
                run(
                    "INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (walker, state.step, state.seconds, state.positions.tobytes(),
                     state.momenta.tobytes(), state.cell.tobytes(), state.images.tobytes()),
                )  # fmt: skip
                for number, leaf in enumerate(state.leaves):
                    array = np.ascontiguousarray(leaf)
                    shape = ",".join(str(n) for n in np.shape(leaf))
                    run(
                        "INSERT OR REPLACE INTO variables VALUES (?, ?, ?, ?, ?)",
                        (walker, number, array.dtype.str, shape, array.tobytes()),
                    )
                run("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    run("ROLLBACK")
                raise

    def state(self, walker: int) -> MotionState | None:
        """Where a walker is, None before its first frame."""
        found = self._fetch("SELECT * FROM states WHERE walker = ?", walker)
        if not found:
            return None
        _, step, seconds, positions, momenta, cell, images = found[0]
        leaves = [
            np.frombuffer(content, kind).reshape([int(n) for n in shape.split(",") if n])
            for kind, shape, content in self._fetch(
                "SELECT kind, shape, content FROM variables WHERE walker = ? ORDER BY number",
                walker,
            )
        ]
        return MotionState(
            step, np.frombuffer(positions).reshape(-1, 3), np.frombuffer(momenta).reshape(-1, 3),
            np.frombuffer(cell).reshape(3, 3), np.frombuffer(images, np.int64).reshape(-1, 3),
            leaves, seconds,
        )  # fmt: skip

    def rows(self, walker: int) -> list[Row]:
        """The numbers of all frames of a walker."""
        query = "SELECT energy, kinetic, conserved, error FROM frames WHERE walker = ?"
        return [Row(*found) for found in self._fetch(f"{query} ORDER BY number", walker)]

    def frames(self, walker: int, start: int, stop: int, step: int = 1) -> Frames:
        """The frames start, start + step, ... before stop of a walker."""
        found = self._fetch(
            "SELECT cell, positions, velocities, energy FROM frames WHERE walker = ? "
            "AND number >= ? AND number < ? AND (number - ?) % ? = 0 ORDER BY number",
            walker, start, stop, start, step,
        )  # fmt: skip

        def stacked(column: int, rows: int) -> Array:
            return np.array([np.frombuffer(one[column]).reshape(rows, 3) for one in found])

        return Frames(
            stacked(1, -1), stacked(0, 3), stacked(2, -1), energies=np.array([o[3] for o in found])
        )

    def count(self, walker: int) -> int:
        """Frames of a walker."""
        return int(self._fetch("SELECT count(*) FROM frames WHERE walker = ?", walker)[0][0])

    def fact(self, name: str) -> str | None:
        """A named fact, None where it is not one."""
        rows = self._fetch("SELECT content FROM facts WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    def note(self, name: str, content: str) -> None:
        """Keep a fact."""
        with self._lock, Plainly(self.path):
            self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, content))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _fetch(self, query: str, *values: object) -> list[Any]:
        with self._lock, Plainly(self.path):
            return self._connection.execute(query, values).fetchall()


@dataclass(frozen=True, eq=False)
class StoredFrames:
    """The frames of one walker as the source of a `Trajectory`."""

    store: MotionStore
    walker: int
    n_frames: int

    def __len__(self) -> int:
        return self.n_frames

    def read(self, start: int, stop: int, step: int) -> Frames:
        """The frames start, start + step, ... before stop."""
        return self.store.frames(self.walker, start, stop, step)
