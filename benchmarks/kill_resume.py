"""kill -9 at random moments, resume each time: is the chain that of an undisturbed run?

    python benchmarks/kill_resume.py [--kills 20] [--seed 0]

Moments are uniform over the *work* of an undisturbed run (its steps, and the freeze), so that
start-up, which each resumed session repeats, does not attract them all; two moments lie in the
freeze on purpose, and every seventh kill hits the start-up itself. Only the process of the run is
killed: its engine must die with it. The engine notes every finished evaluation.

| figure             | meaning                                                                   |
|--------------------|---------------------------------------------------------------------------|
| `.identical`       | 1 if chain, frozen facts, guide and labels are equal, bit for bit         |
| `.lost_labels`     | labels once in the store and later missing                                |
| `.repeated_labels` | evaluations of configurations that were in the store already              |
| `.interrupted_evaluations` | evaluations that ended before the kill but were not stored yet    |
| `.kills`           | kills of the runs with one and with two walkers                           |
"""

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from counted_engine import TALLY, question

QUARTZ = """
configuration: {{crystal: alpha-quartz}}
temperature: 300
reference:
  calculator: ase:counted_engine.counted
  keywords: {{engine: tblite.ase.TBLite, method: GFN1-xTB, accuracy: 0.1, verbosity: 0}}
guide: {{cutoff: 4, radial_functions: 6, power_channels: 3, power_degree: 2,
        bispectrum_channels: 0, bispectrum_degree: 0}}
sampling: {{length: 60, segments: 2}}
learn: {{calls: {calls}, probation: 2}}
produce: {{proposals: {proposals}, guide_samples: 12}}
walkers: {walkers}
seed: 4
"""

HERE = Path(__file__).parent


class _Announcer:
    """Prints how far the run is: steps on disk, one once it is frozen, samples of the guide."""

    campaign: Any = None
    lock = threading.Lock()

    def phase(self, phase: str, schedule: Any) -> None:  # noqa: ARG002
        frozen = self.campaign.chain.frozen()
        self.position = len(self.campaign.chain.steps()) + (frozen is not None)
        if frozen is not None:
            self.position += self.campaign.guide_chain.count(frozen["guide"])
        print(f"{self.position} {phase}\n", end="", flush=True)

    def step(self, step: Any, seconds: Any) -> None:  # noqa: ARG002
        self._advance(step.phase)

    def free_sample(self, seconds: float) -> None:  # noqa: ARG002
        self._advance("average")

    def _advance(self, phase: str) -> None:
        with self.lock:  # walkers report from threads of their own
            self.position += 1
            print(f"{self.position} {phase}\n", end="", flush=True)


def drive(source: Path, run: Path) -> None:
    """Start a run, or go on with it: what `hyperatom run` and `hyperatom resume` do."""
    from hyperatom.campaign.assembly import create, opened

    if not (run / "header.json").exists():
        shutil.rmtree(run, ignore_errors=True)  # half made: nothing was computed in it
        create(source.read_text(), source, run)
    announcer = _Announcer()
    with opened(run, announcer) as campaign:
        announcer.campaign = campaign
        campaign.run()


@dataclass
class Watched:
    """A run in sessions, each with an end, and what was seen of labels."""

    source: Path
    run: Path
    stored: set[str] = field(default_factory=set)
    lost: int = 0
    repeated: int = 0
    interrupted: int = 0
    kills: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.tally = self.run.with_suffix(".tally")
        self.tally.touch()
        self.times: dict[int, float] = {}

    def session(self, moment: float | None = None, start_up: float | None = None) -> bool:
        """Run until a moment (position in the run; its fraction: see `gaps`), or to the end.

        With `start_up`, the kill comes this many seconds after the launch.
        """
        evaluated_before = len(self.evaluations())
        path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, TALLY: str(self.tally), "PYTHONPATH": path}
        launched = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, __file__, "--drive", str(self.source), str(self.run)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        if start_up is not None:
            time.sleep(start_up)
            process.kill()
        else:
            for line in process.stdout:
                position = int(line.split()[0])
                self.times.setdefault(position, time.perf_counter() - launched)
                if moment is not None and position >= int(moment):
                    time.sleep((moment % 1.0) * self.gaps.get(int(moment), self.usual_gap))
                    process.kill()
                    break
        errors = process.stderr.read()
        killed = process.wait() == -9
        if not killed and process.returncode != 0:
            raise RuntimeError(f"the run ended with status {process.returncode}:\n{errors}")
        self._inspect(evaluated_before)
        if killed:
            self.kills[self.phase() if start_up is None else "start-up"] += 1
        return not killed

    gaps: dict[int, float] = field(default_factory=dict)
    usual_gap: float = 0.2
    complete: int = 1_000_000
    """Steps of the whole run."""

    def evaluations(self) -> list[str]:
        """Every question that an engine answered to the end, in order."""
        return self.tally.read_text().split()

    def phase(self) -> str:
        """What the run on disk is in the middle of."""
        chain = Chain.of(self.run)
        if not chain.steps:
            return "first label"
        if chain.facts.get("frozen", "null") != "null":
            if len(chain.steps) >= self.complete:
                return "average"
            return "probe" if chain.steps[-1][2] in ("learn", "probe") else "produce"
        settings = [json.loads(step[3]) for step in chain.steps]
        asked = sum(s["proposed_energy"] is not None or bool(s["failure"]) for s in settings)
        calls = int(self.source.read_text().split("learn: {calls: ")[1].split(",")[0])
        return "freeze" if asked >= calls else "learn"

    def _inspect(self, evaluated_before: int) -> None:
        # What was in the store when the session began must not have been evaluated in it, and
        # nothing may have been evaluated twice in it: it is stored before it is used.
        fresh = self.evaluations()[evaluated_before:]
        self.repeated += sum(digest in self.stored for digest in fresh)
        self.repeated += len(fresh) - len(set(fresh))
        now = stored_questions(self.run)
        self.lost += len(self.stored - now)
        self.interrupted += len(set(fresh) - now)
        self.stored |= now


@dataclass(frozen=True)
class Chain:
    """Everything in chain.db but the seconds."""

    steps: list[tuple[Any, ...]]
    facts: dict[str, str]

    @classmethod
    def of(cls, run: Path) -> "Chain":
        """Read, without a lock."""
        if not (run / "chain.db").exists():
            return cls([], {})
        connection = sqlite3.connect(run / "chain.db")
        try:
            steps = connection.execute("SELECT * FROM steps ORDER BY number, walker").fetchall()
            facts = dict(connection.execute("SELECT * FROM facts").fetchall())
        except sqlite3.OperationalError:  # killed before the tables were made
            return cls([], {})
        finally:
            connection.close()
        return cls(steps, facts)


def stored_labels(run: Path) -> list[Any]:
    """The labels of a run."""
    from hyperatom.references.label_store import LabelStore

    if not (run / "labels.db").exists():
        return []
    with LabelStore(run / "labels.db") as store:
        return list(store)


def stored_questions(run: Path) -> set[str]:
    """The questions whose answers are stored."""
    return {
        question(label.configuration.digest(), json.loads(label.identity)["keywords"])
        for label in stored_labels(run)
    }


def differences(one: Path, other: Path) -> list[str]:
    """In words, where two finished runs differ; empty if they agree bit for bit."""
    from hyperatom.potentials.linear_density import LinearDensityPotential

    found = []
    a, b = Chain.of(one), Chain.of(other)
    if len(a.steps) != len(b.steps):
        found.append(f"{len(a.steps)} steps against {len(b.steps)}")
    for left, right in zip(a.steps, b.steps, strict=False):
        if left != right:
            found.append(f"step {left[1]} of walker {left[0]} ({left[2]})")
            break
    if a.facts != b.facts:
        found.append("facts")
    guides = [LinearDensityPotential.load(run / "guide.npz").digest() for run in (one, other)]
    if guides[0] != guides[1]:
        found.append("guides")
    chains = []
    for run in (one, other):
        connection = sqlite3.connect(run / "guide_chain.db")
        rows = "SELECT * FROM samples ORDER BY guide, walker, number"
        chains.append(connection.execute(rows).fetchall())
        connection.close()
    if chains[0] != chains[1] or not chains[0]:
        found.append("guide chains")
    answers = [
        {
            label.key: (label.evaluation.energy, label.evaluation.forces.tobytes())
            for label in stored_labels(run)
        }
        for run in (one, other)
    ]
    if answers[0] != answers[1]:
        found.append("labels")
    return found


def kill_and_resume(
    text: str, folder: Path, kills: int, rng: np.random.Generator
) -> tuple[list[str], Watched]:
    """Run undisturbed, then with kills; return the differences and what was seen."""
    source = folder / "input.yaml"
    source.write_text(text)
    undisturbed = Watched(source, folder / "undisturbed")
    undisturbed.session()
    times = undisturbed.times
    if set(undisturbed.evaluations()) != stored_questions(undisturbed.run):
        raise RuntimeError("the tally of the engine does not agree with the label store")
    end = max(times)
    gaps = {p: times[p + 1] - times[p] for p in times if p + 1 in times}
    usual = float(np.median(list(gaps.values())))
    # First steps compile; a kill in there teaches nothing about the run.
    gaps = {p: min(gap, 3.0 * usual) for p, gap in gaps.items()}
    frozen_at = next(p for p in sorted(times) if p >= _frozen_position(undisturbed.run))
    moments = rng.uniform(0.0, end, kills)
    # Two between the last lesson and the frozen guide, which is a matter of milliseconds.
    freezes = rng.random(2) ** 3 if kills > 3 else 0.1 * rng.random(1)
    moments[: len(freezes)] = frozen_at - 1 + freezes

    complete = len(Chain.of(undisturbed.run).steps)
    watched = Watched(source, folder / "killed", gaps=gaps, usual_gap=usual, complete=complete)
    for number, moment in enumerate(sorted(moments)):
        if number % 7 == 3:
            watched.session(start_up=float(rng.uniform(0.0, min(times.values()))))
        if watched.session(float(moment)):
            break
        print(f"killed at {moment:.2f} of {end}: {watched.phase()}", file=sys.stderr, flush=True)
    watched.session()
    return differences(undisturbed.run, watched.run), watched


def _frozen_position(run: Path) -> int:
    learning = [step for step in Chain.of(run).steps if step[2] in ("start", "learn")]
    return len(learning) + 1


def main() -> None:
    from figures import Figure, report

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drive", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--kills", type=int, default=20, help="of the run with one walker")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.drive:
        drive(*given.drive)
        return
    rng = np.random.default_rng(given.seed)
    clock = time.perf_counter()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for walkers, kills, calls in ((1, given.kills, 16), (2, max(1, given.kills // 2), 16)):
            folder = Path(temporary, f"{walkers}")
            folder.mkdir()
            text = QUARTZ.format(calls=calls, proposals=14 // walkers, walkers=walkers)
            differ, watched = kill_and_resume(text, folder, kills, rng)
            found[f"{walkers} walkers"] = {
                "differences": differ,
                "lost": watched.lost,
                "repeated": watched.repeated,
                "interrupted": watched.interrupted,
                "kills": dict(watched.kills),
                "steps": len(Chain.of(watched.run).steps),
            }
            print(json.dumps(found), file=sys.stderr, flush=True)
    runs = list(found.values())
    report(
        [
            Figure("kill_resume.identical", int(not any(r["differences"] for r in runs))),
            Figure("kill_resume.lost_labels", sum(r["lost"] for r in runs), "labels"),
            Figure("kill_resume.repeated_labels", sum(r["repeated"] for r in runs), "labels"),
            Figure("kill_resume.interrupted_evaluations", sum(r["interrupted"] for r in runs)),
            Figure("kill_resume.kills", sum(sum(r["kills"].values()) for r in runs), "kills"),
            Figure("kill_resume.seconds", round(time.perf_counter() - clock), "s"),
        ],
        "kill_resume",
        found,
    )


if __name__ == "__main__":
    main()
