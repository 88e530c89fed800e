"""How busy a label farm keeps its workers, and what a label costs beside its engine.

    python benchmarks/farm.py [--labels 8] [--stored 10000]

Eight walkers, each a Metropolis chain whose reference is an engine that sleeps for two seconds,
and eight workers: engines in local processes, then workers of a file queue. No label waits for
another walker, so that an ideal farm would keep every worker busy all the time.

| figure                    | meaning                                                              |
|---------------------------|----------------------------------------------------------------------|
| `farm.utilisation`        | engine time / (workers x wall time), local processes                 |
| `farm.overhead_ms`        | time of a label from question to answer, less the engine's: the farm |
| `farm.queue_utilisation`  | the same for the file queue, stored labels                           |
| `farm.queue_overhead_ms`  | the same for the file queue                                          |
| `store.ms_per_label`      | labels of 72 atoms, written by eight threads, read back one by one   |

Utilisation is that of walkers whose labels are stored, durably, before they are used; overhead is
that of the farm alone. How long the disk takes for one synchronisation is in the details.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from figures import Figure, report
from hyperatom.configuration import Configuration
from hyperatom.contracts import Proposed
from hyperatom.evaluation import Evaluation
from hyperatom.references.ase_calculator import AseReference
from hyperatom.references.farm.file_queue import FileQueue
from hyperatom.references.farm.label_farm import LabelFarm
from hyperatom.references.farm.local_processes import LocalProcesses
from hyperatom.references.farm.queue_farm import QueueFarm
from hyperatom.references.label import label_key
from hyperatom.references.label_store import LabelStore
from hyperatom.references.stored import StoredReference
from hyperatom.sampling.canonical import Canonical
from hyperatom.sampling.metropolis import ChainState, metropolis

TESTS = Path(__file__).parents[1] / "tests"
TALLY = Path(tempfile.mkdtemp(prefix="farm-")) / "tally"
WORKERS = 8
SECONDS = 2.0
WRITERS = 8


@dataclass
class Timed:
    """A reference with a stop-watch."""

    reference: StoredReference | LabelFarm
    seconds: list[float] = field(default_factory=list)

    def evaluate(self, configuration: Configuration) -> Evaluation:
        clock = time.perf_counter()
        evaluation = self.reference.evaluate(configuration)
        self.seconds.append(time.perf_counter() - clock)
        return evaluation


def walk(timed: Timed, walker: int, n_labels: int) -> None:
    """A Metropolis chain of small random displacements."""
    rng = np.random.default_rng(walker)
    ensemble = Canonical(300.0)
    start = Configuration([1, 8], rng.normal(size=(2, 3)), np.zeros((3, 3)), [False] * 3, [1, 16])
    state = ChainState(start, Evaluation(0.0, np.zeros((2, 3))))
    for _ in range(n_labels):
        moved = state.configuration.positions + 0.05 * rng.normal(size=(2, 3))
        proposed = Proposed(state.configuration.with_positions(moved), 0.0)
        state, _ = metropolis(state, proposed, timed, ensemble, rng)  # type: ignore[arg-type]


def measure(farm: LabelFarm, folder: Path, n_labels: int) -> dict[str, float]:
    """Utilisation with stored labels and overhead without, once every worker has its engine."""
    found: dict[str, float] = {}
    with LabelStore(folder / "labels.db") as store, ThreadPoolExecutor(WORKERS) as threads:
        reference = StoredReference(farm, store)
        for name, asked, seed in (
            ("warm-up", reference, 2000),
            ("stored", reference, 0),
            ("farm", farm, 1000),
        ):
            TALLY.write_text("")
            timed, steps = Timed(asked), 1 if name == "warm-up" else n_labels
            clock = time.perf_counter()
            walkers = [threads.submit(walk, timed, seed + n, steps) for n in range(WORKERS)]
            for walker in walkers:
                walker.result()
            wall = time.perf_counter() - clock
            # What the engine says itself: a busy machine lets it oversleep.
            engine = [float(line.split()[2]) for line in TALLY.read_text().splitlines()]
            assert len(engine) == len(timed.seconds) == WORKERS * steps
            if name == "stored":
                found["labels"], found["wall_s"] = len(engine), wall
                found["utilisation"] = sum(engine) / (WORKERS * wall)
            elif name == "farm":
                found["utilisation_unstored"] = sum(engine) / (WORKERS * wall)
            beside = 1e3 * (np.mean(timed.seconds) - np.mean(engine))
            found[f"overhead_ms_{name}"] = float(beside)
    farm.close()
    return found


def sleeping_engine(workers: int) -> AseReference:
    """An engine that sleeps."""
    return AseReference("farm_engines.Harmonic", {"seconds": SECONDS}, workers=workers)


def local(folder: Path, n_labels: int) -> dict[str, float]:
    """Engines in processes of this machine."""
    with sleeping_engine(WORKERS) as engine:
        return measure(LabelFarm(LocalProcesses(engine, WORKERS)), folder, n_labels)


def queued(folder: Path, n_labels: int) -> dict[str, float]:
    """Workers that share a folder."""
    with sleeping_engine(1) as engine:
        description, identity = engine.description, engine.identity
    queue = FileQueue(folder / "queue")
    command = "from hyperatom.cli.main import run; run()"
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", command, "worker", str(queue.path)], stdout=subprocess.DEVNULL
        )
        for _ in range(WORKERS)
    ]
    try:
        while len(queue.workers()) < WORKERS:
            time.sleep(0.1)
        backend = QueueFarm(queue, description, identity, "benchmark")
        return measure(LabelFarm(backend), folder, n_labels)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait()


def storing(folder: Path, count: int) -> dict[str, float]:
    """Labels of 72 atoms, written one by one and read back one by one."""
    rng = np.random.default_rng(0)
    cell, positions = 10.0 * np.eye(3), rng.uniform(0.0, 10.0, (72, 3))
    numbers, masses = [14, 8, 8] * 24, [28.0, 16.0, 16.0] * 24
    configurations = [
        Configuration(numbers, positions + 1e-4 * n, cell, [True] * 3, masses) for n in range(count)
    ]
    forces, stress = rng.normal(size=(72, 3)), rng.normal(size=6)

    def write(n: int) -> None:
        store.add(configurations[n], Evaluation(float(n), forces, stress), "synthetic")

    with LabelStore(folder / "labels.db") as store:
        with ThreadPoolExecutor(WRITERS) as threads:
            clock = time.perf_counter()
            list(threads.map(write, range(count)))
            written = time.perf_counter() - clock
        clock = time.perf_counter()
        for n, configuration in enumerate(configurations):
            label = store.get(label_key(configuration, "synthetic"))
            assert label is not None
            assert label.evaluation.energy == n
        read = time.perf_counter() - clock
        size = store.path.stat().st_size
        clock = time.perf_counter()
        with LabelStore(folder / "copy.db") as copy:
            copied = copy.add_many(store.labels())
        assert copied == count
        copying = time.perf_counter() - clock
    return {
        "labels": count,
        "synchronisation_ms": synchronisation(folder),
        "write_ms": 1e3 * written / count,
        "read_ms": 1e3 * read / count,
        "ms_per_label": 1e3 * (written + read) / count,
        "copy_ms": 1e3 * copying / count,
        "bytes_per_label": size / count,
    }


def synchronisation(folder: Path) -> float:
    """Milliseconds that the disk takes to write 5 kB through, the median of a hundred times."""
    seconds = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(b"x" * 5000)
            clock = time.perf_counter()
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - clock)
    return 1e3 * float(np.median(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=8, help="of each walker")
    parser.add_argument("--stored", type=int, default=10_000)
    given = parser.parse_args()
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    os.environ["PYTHONPATH"] = path
    os.environ["HYPERATOM_TEST_TALLY"] = str(TALLY)
    details: dict[str, Any] = {"load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as temporary:
        for name, run, size in (
            ("store", storing, given.stored),
            ("local", local, given.labels),
            ("queue", queued, given.labels),
        ):
            folder = Path(temporary, name)
            folder.mkdir()
            details[name] = run(folder, size)
            print(name, details[name], file=sys.stderr, flush=True)
    report(
        [
            Figure("farm.utilisation", round(details["local"]["utilisation"], 4)),
            Figure("farm.overhead_ms", round(details["local"]["overhead_ms_farm"], 2), "ms"),
            Figure("farm.queue_utilisation", round(details["queue"]["utilisation"], 4)),
            Figure("farm.queue_overhead_ms", round(details["queue"]["overhead_ms_farm"], 2), "ms"),
            Figure("store.ms_per_label", round(details["store"]["ms_per_label"], 3), "ms"),
        ],
        "farm",
        details,
    )


if __name__ == "__main__":
    main()
