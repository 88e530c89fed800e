"""Everything fails, somebody dies all the time: is anything lost, paid for twice, or changed?

    python benchmarks/chaos.py [--seed 0]

A campaign over a file queue. In a fifth of its calls the engine crashes, hangs, returns NaN,
raises, is killed -9 or is twenty times too slow; meanwhile workers and the run itself are killed -9
at random moments and started again. Afterwards it is compared with a calm run of the same input.

| figure                   | meaning                                                               |
|--------------------------|-----------------------------------------------------------------------|
| `chaos.labels`           | labels in the store at the end                                        |
| `chaos.lost_labels`      | labels once in the store, or finished by the end, and missing there   |
| `chaos.repeated_labels`  | evaluations that began when their label was in the store already      |
| `chaos.identical`        | 1 if chain, guide and labels are those of the calm run, bit for bit   |
| `chaos.failures_counted` | 1 if the certificate counts every mishap of the engine                |
| `chaos.mishaps`          | failures of the engine                                                |
| `chaos.kills`            | kills -9 of workers and of the run                                    |
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
TESTS = HERE.parent / "tests"
ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join(
        filter(None, [str(HERE), str(TESTS), os.environ.get("PYTHONPATH")])
    )
}
WORKER = "from hyperatom.cli.main import run; run()"

ALUMINIUM = """
configuration: {{crystal: aluminium}}
temperature: 300
reference:
  calculator: ase:farm_engines.Chaotic
  keywords: {{engine: ase.calculators.emt.EMT, seconds: 0.05}}
  time_out: 20
guide: {{cutoff: 3.5, radial_functions: 4, power_channels: 2, power_degree: 1,
        bispectrum_channels: 0, bispectrum_degree: 0}}
sampling: {{length: 60, segments: 2, time_step: 4}}
learn: {{calls: {calls}, acceptance: 1.0, probation: 2}}
produce: {{proposals: {proposals}, guide_samples: 5}}
farm: {farm}
walkers: {walkers}
"""


@dataclass
class Workers:
    """Some workers that are killed at random, every `between` s on average, and replaced."""

    queue: Path
    count: int
    between: float
    rng: np.random.Generator
    environment: dict[str, str]
    kills: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Workers":
        self.alive = [self._start() for _ in range(self.count)]
        self._thread = threading.Thread(target=self._rage)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for worker in self.alive:
            worker.terminate()
        for worker in self.alive:
            worker.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, "worker", str(self.queue), "--beat", "0.3"],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _rage(self) -> None:
        while not self._stop.wait(self.rng.exponential(self.between)):
            number = int(self.rng.integers(self.count))
            self.kills += self.alive[number].poll() is None
            self.alive[number].kill()
            self.alive[number].wait()
            self.alive[number] = self._start()


@dataclass
class Lives:
    """A run in several lives: killed -9 again and again, at last left to finish."""

    command: Sequence[str]
    store: Path
    environment: dict[str, str]
    tally: Path
    ever_stored: set[str] = field(default_factory=set)
    kills: int = 0
    lost: int = 0

    def live(self, seconds: float = np.inf, labels: float = np.inf) -> bool:
        """One life, until so many seconds are over or labels stored; True if it came to its end."""
        process = subprocess.Popen(self.command, env=self.environment)
        end = time.monotonic() + seconds
        while process.poll() is None:
            if time.monotonic() > end or (labels < np.inf and len(stored(self.store)) >= labels):
                process.kill()
                self.kills += 1
                break
            time.sleep(0.1)
        if process.wait() not in (0, -signal.SIGKILL):
            raise RuntimeError(f"the run ended with status {process.returncode}")
        now = set(stored(self.store))
        self.lost += len(self.ever_stored - now)
        self.ever_stored |= now
        return process.returncode == 0


def stored(path: Path) -> dict[str, float]:
    """Digest of every labelled configuration, and when its label was stored (UNIX time)."""
    from hyperatom.references.label_store import LabelStore

    if not path.exists():
        return {}
    with LabelStore(path) as store:
        return {
            label.configuration.digest(): datetime.fromisoformat(label.date).timestamp()
            for label in store
        }


@dataclass(frozen=True)
class Reckoning:
    """What the engine's own notes say against the store."""

    mishaps: Counter[str]
    unlucky: list[str]
    evaluations: int
    repeated: int
    unstored: int

    @classmethod
    def of(cls, tally: Path, store: Path) -> "Reckoning":
        """Repeated: begun after the label was stored. Unstored: finished, and nowhere."""
        dates = stored(store)
        lines = [line.split() for line in tally.read_text().splitlines()]
        done = [line for line in lines if line[0] == "done"]
        return cls(
            Counter(line[0] for line in lines if line[0] != "done"),
            [line[1] for line in lines if line[0] != "done"],
            len(done),
            sum(float(line[3]) > dates.get(line[1], np.inf) + 1e-3 for line in done),
            len({line[1] for line in done} - set(dates)),
        )


def drive(source: Path, run: Path) -> None:
    """What `hyperatom run` and `hyperatom resume` do."""
    from hyperatom.campaign.assembly import create, opened
    from kill_resume import _Announcer

    if not (run / "header.json").exists():
        shutil.rmtree(run, ignore_errors=True)  # half made: nothing was computed in it
        create(source.read_text(), source, run)
    announcer = _Announcer()
    with opened(run, announcer) as campaign:
        announcer.campaign = campaign
        campaign.run()


def campaign(folder: Path, name: str, text: str) -> list[str]:
    """The command that drives a campaign."""
    source = folder / f"{name}.yaml"
    source.write_text(text)
    return [sys.executable, __file__, "--drive", str(source), str(folder / name)]


def environment(tally: Path, chaos: float) -> dict[str, str]:
    """Of a run or a worker."""
    tally.touch()
    more = {"HYPERATOM_TEST_TALLY": str(tally), "HYPERATOM_TEST_CHAOS": str(chaos)}
    return {**os.environ, **ENVIRONMENT, **more}


def main() -> None:
    from figures import Figure, report

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drive", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--calls", type=int, default=160, help="of learning")
    parser.add_argument("--proposals", type=int, default=72, help="of each walker")
    parser.add_argument("--walkers", type=int, default=8)
    parser.add_argument("--lives", type=float, default=60.0, help="seconds of a life, roughly")
    parser.add_argument("--deaths", type=float, default=8.0, help="seconds from one to the next")
    parser.add_argument("--kills", type=int, default=4, help="of the run")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.drive:
        drive(*given.drive)
        return
    from hyperatom.campaign.verification import verify
    from kill_resume import Chain, differences

    rng = np.random.default_rng(given.seed)
    sizes = {"calls": given.calls, "proposals": given.proposals, "walkers": given.walkers}
    clock = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        calm = campaign(folder, "calm", ALUMINIUM.format(**sizes, farm="{workers: 4}"))
        subprocess.run(
            calm, env=environment(folder / "calm.tally", 0.0), check=True, stdout=subprocess.DEVNULL
        )
        calm_seconds = time.perf_counter() - clock
        print(f"the calm run took {calm_seconds:.0f} s", file=sys.stderr, flush=True)
        farm = "{backend: queue, queue: queue, silence: 4, attempts: 15}"
        command = campaign(folder, "chaotic", ALUMINIUM.format(**sizes, farm=farm))
        tally = folder / "chaotic.tally"
        around = environment(tally, 0.2)
        lives = Lives(command, folder / "chaotic" / "labels.db", around, tally)
        with Workers(folder / "queue", 6, given.deaths, rng, around) as workers:
            finished = False
            while not finished:
                life = given.lives * (0.5 + rng.exponential())
                finished = lives.live(life if lives.kills < given.kills else np.inf)
                print(
                    f"life {lives.kills + finished}: {len(lives.ever_stored)} labels, "
                    f"{workers.kills} workers killed",
                    file=sys.stderr,
                    flush=True,
                )
        found = Reckoning.of(tally, folder / "chaotic" / "labels.db")
        differ = differences(folder / "calm", folder / "chaotic")
        os.environ.update(around | {"HYPERATOM_TEST_CHAOS": "0"})
        with Workers(folder / "queue", 1, 1e9, rng, environment(folder / "v", 0.0)):
            certificate, of_calm = verify(folder / "chaotic"), verify(folder / "calm")
        (failures,) = (one for one in certificate.checks if one.name == "failed reference calls")
        counted = int(failures.numbers["attempts_in_vain"])
        steps = len(Chain.of(folder / "chaotic").steps)
    # A mishap in a worker that is killed before it can tell is counted as a worker lost.
    details: dict[str, Any] = {
        "given": {name: value for name, value in vars(given).items() if name != "drive"},
        "differences": differ,
        "mishaps": dict(found.mishaps),
        "certificate": dict(failures.numbers),
        "failed_checks": [one.sentence for one in certificate.checks if one.passed is False],
        "failed_checks_of_calm": [one.sentence for one in of_calm.checks if one.passed is False],
        "evaluations": found.evaluations,
        "finished_but_not_stored": found.unstored,
        "worker_kills": workers.kills,
        "run_kills": lives.kills,
        "steps": steps,
        "calm_seconds": calm_seconds,
        "seconds": time.perf_counter() - clock,
    }
    print(json.dumps(details), file=sys.stderr)
    report(
        [
            Figure("chaos.labels", len(lives.ever_stored), "labels"),
            Figure("chaos.lost_labels", lives.lost + found.unstored, "labels"),
            Figure("chaos.repeated_labels", found.repeated, "labels"),
            Figure("chaos.identical", int(not differ)),
            Figure("chaos.failures_counted", int(counted >= found.mishaps.total())),
            Figure("chaos.mishaps", found.mishaps.total()),
            Figure("chaos.kills", workers.kills + lives.kills, "kills"),
        ],
        "chaos",
        details,
    )


if __name__ == "__main__":
    main()
