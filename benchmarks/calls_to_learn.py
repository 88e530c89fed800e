"""How many reference calls until long trajectories are accepted, counted from zero?

    python benchmarks/calls_to_learn.py [--seeds 0 1 2] [--repeat 2 2 2] [--folder DIR]
    python benchmarks/calls_to_learn.py --read RUN [RUN ...]

A proposal counts if its path had its full length, at least 200 fs; the goal is an acceptance of 0.8
over 20 such proposals, one after the other. Learning proposals that were cut short lie in between
without counting, but their calls count, as does the first label.

| figure                 | unit     | meaning                                                      |
|------------------------|----------|--------------------------------------------------------------|
| `.calls`               | calls    | reference calls when the goal was first met                  |
| `.acceptance`          |          | over the 20 proposals there                                  |
| `.cut`                 |          | proposals cut short among them                               |
| `.error`               | meV/atom | standard deviation of D(x') - D(x) over sqrt(2), error of    |
|                        |          | one configuration; D = U of guide - U of reference           |
| `.error_of_difference` | meV/atom | without the sqrt(2): what acceptance feels                   |
| `.trajectory`          | fs       | mean length of the 20 paths                                  |
| `..._frozen`           |          | the same over all proposals of the frozen guide              |
| `.seconds_...`         | s        | of the whole run; `total` is wall time                       |
| `.overhead`            |          | (total - guide - fit - reference) / total                    |

Of several seeds, the medians are the figures; every seed's are in the results' details.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from campaign_runs import run_campaign
from figures import Figure, report
from hyperatom.campaign.assembly import load_configuration
from hyperatom.campaign.chain_store import ChainStore, Step
from hyperatom.units import MILLI

INPUT = """
title: alpha-quartz
configuration: {{crystal: alpha-quartz, repeat: {repeat}}}
temperature: 300
seed: {seed}
"""

FULL_LENGTH = 200.0
WINDOW = 20
GOAL = 0.8

UNITS = {
    "calls": "calls",
    "error": "meV/atom",
    "error_of_difference": "meV/atom",
    "error_frozen": "meV/atom",
    "trajectory": "fs",
    "trajectory_frozen": "fs",
}


@dataclass(frozen=True)
class Proposal:
    """A step after the start; `difference` is D(x) - D(x') in meV/atom, NaN if not asked."""

    step: Step
    calls: int
    difference: float

    @property
    def full(self) -> bool:
        """Was the whole path run, and was it long?"""
        return self.step.full and self.step.record.get("length", 0.0) >= FULL_LENGTH


def proposals(steps: Sequence[Step], n_atoms: int) -> list[Proposal]:
    """The steps in order of time, with calls counted over all walkers."""
    calls, found = 0, []
    state: dict[int, float] = {}
    for step in steps:
        calls += step.asked
        record = step.record
        if step.phase != "start":
            difference = np.nan
            if step.proposed_energy is not None and "guide_energy_after" in record:
                change = step.proposed_energy - state[step.walker]
                guide = record["guide_energy_after"] - record["guide_energy_before"]
                difference = (change - guide) / n_atoms / MILLI
            found.append(Proposal(step, calls, difference))
        state[step.walker] = step.state_energy
    return found


def error_of_difference(some: Sequence[Proposal]) -> float:
    """Standard deviation of D(x') - D(x), meV/atom."""
    differences = np.array([p.difference for p in some])
    return float(np.nanstd(differences)) if np.isfinite(differences).any() else float("nan")


def measure(run: Path) -> dict[str, float]:
    """All figures of one run but the wall time."""
    chain = ChainStore(run / "chain.db")
    try:
        steps, seconds = chain.steps(), list(chain.seconds().values())
    finally:
        chain.close()
    every = proposals(steps, load_configuration(run / "start.npz").n_atoms)
    full = [p for p in every if p.full]
    result: dict[str, float] = {}
    for end in range(WINDOW, len(full) + 1):
        window = full[end - WINDOW : end]
        acceptance = float(np.mean([p.step.accepted for p in window]))
        if acceptance >= GOAL:
            between = every[every.index(window[0]) : every.index(window[-1]) + 1]
            result |= {
                "calls": window[-1].calls,
                "acceptance": acceptance,
                "cut": len(between) - WINDOW,
                "error": error_of_difference(window) / np.sqrt(2.0),
                "error_of_difference": error_of_difference(window),
                "trajectory": float(np.mean([p.step.record["length"] for p in window])),
            }
            break
    frozen = [p for p in every if p.step.phase == "produce"]
    if frozen:
        result |= {
            "acceptance_frozen": float(np.mean([p.step.accepted for p in frozen])),
            "vetoed_frozen": float(np.mean([bool(p.step.veto) for p in frozen])),
            "error_frozen": error_of_difference(frozen) / np.sqrt(2.0),
            "trajectory_frozen": float(np.mean([p.step.record["length"] for p in frozen])),
            "proposals_frozen": len(frozen),
        }
    for kind in ("guide", "fit", "reference"):
        result[f"seconds_{kind}"] = sum(getattr(s, kind) for s in seconds)
    result["seconds_total"] = sum(s.total for s in seconds)
    return result


def with_overhead(result: dict[str, float], wall: float | None) -> dict[str, float]:
    """Add the overhead, of wall time where it is known."""
    total = wall if wall is not None else result["seconds_total"]
    useful = sum(result[f"seconds_{kind}"] for kind in ("guide", "fit", "reference"))
    return {**result, "seconds_total": total, "overhead": (total - useful) / total}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--repeat", type=int, nargs=3, default=[2, 2, 2])
    parser.add_argument("--calls", type=int, help="calls spent on learning at most")
    parser.add_argument("--proposals", type=int, help="of the frozen guide")
    parser.add_argument("--folder", type=Path, help="where the runs are kept (default: nowhere)")
    parser.add_argument("--read", type=Path, nargs="+", help="measure finished runs instead")
    given = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    if given.read:
        for run in given.read:
            found[run.name] = with_overhead(measure(run), None)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            for seed in given.seeds:
                text = INPUT.format(repeat=given.repeat, seed=seed)
                if given.calls:
                    text += f"learn: {{calls: {given.calls}}}\n"
                # The guide's own samples, which sharpen averages, tell nothing about learning.
                proposals = f"proposals: {given.proposals}, " if given.proposals else ""
                text += f"produce: {{{proposals}guide_samples: 0}}\n"
                clock = time.perf_counter()
                run = run_campaign(text, (given.folder or Path(temporary)) / f"seed-{seed}")
                wall = time.perf_counter() - clock
                found[f"seed {seed}"] = with_overhead(measure(run), wall)
    medians: dict[str, Any] = {}
    for name in dict.fromkeys(name for one in found.values() for name in one):
        values = [one[name] for one in found.values() if name in one]
        medians[name] = round(float(np.median(values)), 4)
    if not all("calls" in one for one in found.values()):
        medians |= {"calls": None}  # where one seed never met the goal, no median tells the truth
    figures = [
        Figure(f"calls_to_learn.{n}", v, "s" if n.startswith("seconds") else UNITS.get(n, ""))
        for n, v in medians.items()
    ]
    name = "calls_to_learn"
    if given.read or given.repeat != [2, 2, 2]:
        name += "_other"  # the kept results are those of the 72-atom case
    report(figures, name, {"repeat": given.repeat, "runs": found})


if __name__ == "__main__":
    main()
