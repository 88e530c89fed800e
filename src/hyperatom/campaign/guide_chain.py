"""The guide's own chain: samples of exp[-U_guide / k_B T], free of reference calls.

After production the frozen guide samples itself: the same guided trajectories, judged by the guide
instead of the reference, so that its chain is exact for the guide's energy. It never leaves the
region where the guide's predicted error is below the veto, since every path that does is rejected:
what it samples is the guide's ensemble within that region. `analysis.control_variate` sharpens the
reference's averages with it.

Random numbers are drawn from (seed, walker, number), and the chain is on disk sample by sample, so
that it goes on where it was interrupted, bit for bit.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperatom.campaign.chain_store import Plainly, Step, open_database
from hyperatom.campaign.moves import with_swaps
from hyperatom.configuration import Configuration
from hyperatom.errors import RunDirectoryError
from hyperatom.references.label_store import LabelStore
from hyperatom.sampling.guided_trajectory import GuidedTrajectory, PathEnsemble
from hyperatom.sampling.metropolis import ChainState, metropolis

Array = NDArray[np.float64]

TABLES = """
CREATE TABLE IF NOT EXISTS samples (
    guide TEXT, walker INTEGER, number INTEGER, energy REAL, positions BLOB, cell BLOB,
    PRIMARY KEY (guide, walker, number));
CREATE TABLE IF NOT EXISTS words (
    guide TEXT, label TEXT, energy REAL, error REAL, PRIMARY KEY (guide, label));
"""

BURN_IN = 20
"""First samples of each chain that are left out: it began at a sample of the reference."""

STREAM = 1
"""Sets the random numbers of this chain apart from those of the campaign's steps."""


@dataclass
class GuideChainStore:
    """Samples of the guide, and the guide's word on the reference's labels, in one SQLite file."""

    path: Path
    read_only: bool = False
    _connection: sqlite3.Connection = field(init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        with Plainly(self.path):
            # A sample that a loss of power takes is made again, the same.
            self._connection = open_database(self.path, TABLES, "NORMAL", self.read_only)

    def add_sample(
        self, guide: str, walker: int, number: int, energy: float, configuration: Configuration
    ) -> None:
        """Keep a sample of the guide and its energy in eV."""
        arrays = configuration.positions, configuration.cell
        blobs = (np.ascontiguousarray(array, dtype="<f8").tobytes() for array in arrays)
        self._write("samples", guide, walker, number, energy, *blobs)

    def add_word(self, guide: str, label: str, energy: float, error: float) -> None:
        """Keep what the guide says of a label: energy and its predicted error, eV."""
        self._write("words", guide, label, energy, error)

    def count(self, guide: str, walker: int | None = None) -> int:
        """Samples of a walker so far, or of all of them."""
        query = "SELECT COUNT(*) FROM samples WHERE guide = ? AND (? IS NULL OR walker = ?)"
        return int(self._fetch(query, guide, walker, walker)[0][0])

    def samples(self, guide: str, walker: int) -> tuple[Array, Array, Array]:
        """A walker's samples in order: energies, positions and cells.

        Shapes (n,), (n, n_atoms, 3) and (n, 3, 3), in eV and Å.
        """
        rows = self._fetch(
            "SELECT energy, positions, cell FROM samples WHERE guide = ? AND walker = ? "
            "ORDER BY number",
            guide,
            walker,
        )
        return (
            np.array([row[0] for row in rows]),
            np.array([_rows_of_three(row[1]) for row in rows]),
            np.array([_rows_of_three(row[2]) for row in rows]),
        )

    def sample(self, guide: str, walker: int, number: int) -> tuple[float, Array, Array]:
        """One of them, that of a number.

        Raises `RunDirectoryError` where it is missing.
        """
        rows = self._fetch(
            "SELECT energy, positions, cell FROM samples "
            "WHERE guide = ? AND walker = ? AND number = ?",
            guide,
            walker,
            number,
        )
        if not rows:
            raise RunDirectoryError(
                f"{self.path} lacks sample {number} of walker {walker}.",
                "Restore it from a copy, or start a new run.",
            )
        energy, positions, cell = rows[0]
        return energy, _rows_of_three(positions), _rows_of_three(cell)

    def last(self, guide: str, walker: int) -> tuple[Array, Array] | None:
        """Positions and cell of the latest sample of a walker, Å."""
        rows = self._fetch(
            "SELECT positions, cell FROM samples WHERE guide = ? AND walker = ? "
            "ORDER BY number DESC LIMIT 1",
            guide,
            walker,
        )
        return (_rows_of_three(rows[0][0]), _rows_of_three(rows[0][1])) if rows else None

    def words(self, guide: str) -> dict[str, tuple[float, float]]:
        """The guide's energy and predicted error, eV, by label."""
        rows = self._fetch("SELECT label, energy, error FROM words WHERE guide = ?", guide)
        return {row[0]: (row[1], row[2]) for row in rows}

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _write(self, table: str, *values: object) -> None:
        marks = ", ".join("?" * len(values))
        with self._lock, Plainly(self.path):
            self._connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", values)  # noqa: S608

    def _fetch(self, query: str, *values: object) -> list[Any]:
        with self._lock, Plainly(self.path):
            return self._connection.execute(query, values).fetchall()


def _rows_of_three(blob: bytes) -> Array:
    return np.frombuffer(blob, "<f8").reshape(-1, 3)


def count_free_samples(path: Path, frozen: dict[str, Any] | None) -> int:
    """Samples of the frozen guide in the file `path`, over all walkers; 0 without the file."""
    if frozen is None or not path.exists():
        return 0
    store = GuideChainStore(path, read_only=True)
    try:
        return store.count(frozen["guide"])
    finally:
        store.close()


@dataclass
class GuideChain:
    """Runs the guide's chain of each walker.

    `path` is the frozen one, `swaps` the share of swaps; `start` lends species, periodicity and
    masses. Chains end early once `stopped` is set.
    """

    store: GuideChainStore
    labels: LabelStore
    path: GuidedTrajectory
    ensemble: PathEnsemble
    start: Configuration
    seed: int
    swaps: float = 0.0
    stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        # No path is exempt from the veto here: it is what bounds the region, and the ends of each
        # segment suffice for that.
        whole = max(1, round(self.path.length / self.path.time_step))
        path = replace(self.path, unrestricted=0.0, check_every=whole)
        self.proposal = with_swaps(path, self.swaps)
        self.guide = path.guide
        self.digest = self.guide.digest()

    def hear(self, keys: Iterable[str]) -> None:
        """Ask the guide about labels of the reference that it has not been asked about."""
        known = self.store.words(self.digest)
        for key in dict.fromkeys(keys):
            if not key or key in known:
                continue
            label = self.labels.get(key)
            if label is not None:
                word = self.guide.evaluate(label.configuration)
                error = 0.0 if word.energy_error is None else word.energy_error
                self.store.add_word(self.digest, key, word.energy, error)

    def run(
        self, walker: int, n_samples: int, steps: list[Step], told: Callable[[float], None]
    ) -> None:
        """Bring a walker's chain to `n_samples`; begins where the guide is surest of itself.

        `steps` are the walker's production steps; `told` hears the seconds of each sample.
        """
        number = self.store.count(self.digest, walker)
        if number >= n_samples or not steps:
            return
        latest = self.store.last(self.digest, walker)
        if latest is None:
            words = self.store.words(self.digest)
            surest = min((s.state_label for s in steps), key=lambda key: words[key][1])
            label = self.labels.get(surest)
            assert label is not None
            latest = label.configuration.positions, label.configuration.cell
        state = self._state(*latest)
        while number < n_samples and not self.stopped.is_set():
            clock = time.perf_counter()
            state = self._next(state, walker, number)
            self.store.add_sample(
                self.digest,
                walker,
                number,
                state.evaluation.energy,
                state.configuration,
            )
            number += 1
            told(time.perf_counter() - clock)

    def sample(self, walker: int, number: int) -> tuple[float, Array, Array]:
        """Energy in eV, positions and cell in Å; errors as in the store."""
        return self.store.sample(self.digest, walker, number)

    def again(self, walker: int, number: int) -> bool:
        """Does a sample beyond the first follow from the one before it, bit for bit?"""
        _, positions, cell = self.sample(walker, number - 1)
        state = self._next(self._state(positions, cell), walker, number)
        energy, positions, _ = self.sample(walker, number)
        same = bool(np.array_equal(state.configuration.positions, positions))
        return same and state.evaluation.energy == energy

    def _state(self, positions: Array, cell: Array) -> ChainState:
        configuration = self.start.with_cell(positions, cell)
        return ChainState(configuration, self.guide.evaluate(configuration))

    def _next(self, state: ChainState, walker: int, number: int) -> ChainState:
        rng = np.random.default_rng([self.seed, walker, number, STREAM])
        proposed = self.proposal.propose(state.configuration, rng)
        return metropolis(state, proposed, self.guide, self.ensemble, rng)[0]
