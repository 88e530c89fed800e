"""Campaigns for benchmarks: run one in a folder, or take it from there; read its production."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperatom.campaign.assembly import create, load_configuration, opened
from hyperatom.campaign.chain_store import ChainStore, Seconds, Step
from hyperatom.campaign.states import States
from hyperatom.configuration import Configuration
from hyperatom.evaluation import Evaluation
from hyperatom.references.label_store import LabelStore


class Progress:
    """Tells on the error stream that the run is alive."""

    def __init__(self) -> None:
        self.calls = 0
        self.free = 0
        self.accepted: list[bool] = []

    def phase(self, phase: str, schedule: Any) -> None:  # noqa: ARG002
        print(f"-- {phase}", file=sys.stderr, flush=True)
        self.accepted = []

    def step(self, step: Step, seconds: Seconds) -> None:
        self.calls += step.asked
        self.accepted.append(step.accepted)
        if step.phase != "produce" or step.number % 20 == 0:
            print(
                f"{step.number} {step.phase} calls {self.calls} length "
                f"{step.record.get('length', 0.0):.0f} fs, accepted "
                f"{np.mean(self.accepted[-20:]):.2f}, {seconds.total:.2f} s {step.veto}",
                file=sys.stderr,
                flush=True,
            )

    def free_sample(self, seconds: float) -> None:  # noqa: ARG002
        self.free += 1
        if self.free % 200 == 0:
            print(f"{self.free} samples of the guide", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Production:
    """What a finished campaign sampled with one frozen guide.

    | field            | meaning                                                     |
    |------------------|-------------------------------------------------------------|
    | `configurations` | counted states of the chain, rejected ones again            |
    | `evaluations`    | what the reference said of them; of a ring sums over beads  |
    | `energies`       | the reference's, eV, (n_samples,); of a ring a bead's mean  |
    | `calls`          | reference calls behind them                                 |
    | `learning_calls` | everything paid before: first label, learning, probation    |
    | `acceptance`     | of the counted proposals                                    |
    | `steps`          | all steps of the chain, from the start                      |
    """

    configurations: list[Configuration]
    evaluations: list[Evaluation]
    energies: NDArray[np.float64]
    calls: int
    learning_calls: int
    acceptance: float
    steps: list[Step]
    seconds: dict[tuple[int, int], Seconds]


def run_campaign(text: str, folder: Path) -> Path:
    """Run a campaign to its end in `folder`, or go on with the one that is there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not (folder / "header.json").exists():
        create(text, Path("benchmark.yaml"), folder)
    with opened(folder, Progress()) as campaign:
        campaign.run()
    return folder


def production(run: Path) -> Production:
    """Read a finished campaign of one walker."""
    chain, labels = ChainStore(run / "chain.db"), LabelStore(run / "labels.db")
    start = load_configuration(run / "start.npz")
    try:
        steps, seconds = chain.steps(), chain.seconds()
        counted = [step for step in steps if step.phase == "produce"]
        states = States(labels, start).after(counted)
    finally:
        chain.close()
        labels.close()
    return Production(
        [state.configuration for state in states],
        [state.evaluation for state in states],
        np.array([step.state_energy for step in counted]),
        sum(step.asked for step in counted),
        sum(step.asked for step in steps if step.phase != "produce"),
        float(np.mean([step.accepted for step in counted])),
        steps,
        seconds,
    )
