"""A guide that fails its probation goes back to learning; resuming agrees to the last bit."""

from pathlib import Path

import pytest

from hyperatom.campaign.assembly import create, opened
from hyperatom.campaign.campaign import Campaign
from hyperatom.campaign.chain_store import ChainStore, Phase, Seconds, Step
from hyperatom.campaign.schedule import Schedule
from hyperatom.campaign.settings import load_settings

INPUT = """
configuration: {crystal: aluminium}
temperature: 300
reference: {calculator: "ase:ase.calculators.emt.EMT"}
guide: {cutoff: 3.5, radial_functions: 4, power_channels: 2, power_degree: 1,
        bispectrum_channels: 0, bispectrum_degree: 0}
sampling: {length: 60, segments: 1, time_step: 4}
learn: {calls: 60, window: 5, acceptance: 0.6, probation: 3}
produce: {proposals: 4}
walkers: 2
"""


class Stopped(Exception):
    """The campaign was interrupted on purpose."""


class StopsAt:
    """A monitor that interrupts when a step of a phase is on disk for the n-th time."""

    def __init__(self, phase: str = "", count: int = 0) -> None:
        self.wanted, self.left = phase, count
        self.phases: list[str] = []

    def phase(self, phase: Phase, schedule: Schedule) -> None:
        self.phases.append(phase)

    def step(self, step: Step, seconds: Seconds) -> None:
        if step.phase == self.wanted:
            self.left -= 1
            if self.left == 0:
                raise Stopped

    def free_sample(self, seconds: float) -> None:
        if self.wanted == "average":
            self.left -= 1
            if self.left == 0:
                raise Stopped


def steps_of(run: Path) -> list[Step]:
    chain = ChainStore(run / "chain.db")
    try:
        return chain.steps()
    finally:
        chain.close()


def frozen_at(run: Path) -> int:
    chain = ChainStore(run / "chain.db")
    try:
        frozen = chain.frozen()
        assert frozen is not None
        return int(frozen["number"])
    finally:
        chain.close()


def go(run: Path, monitor: StopsAt) -> StopsAt:
    with opened(run, monitor) as campaign:
        campaign.run()
    return monitor


@pytest.fixture
def first_guide_fails(monkeypatch):
    """No guide frozen before step 12 passes: a rule that looks at the chain alone."""
    passed = Campaign._passed

    def strict(self: Campaign) -> bool:
        return self.frozen()["number"] >= 12 and passed(self)

    monkeypatch.setattr(Campaign, "_passed", strict)


def test_probation_counts_its_own_proposals_alone():
    schedule = Schedule(load_settings(INPUT, "input.yaml"), 4)

    def take(phase: Phase, accepted: bool) -> None:
        numbers = dict.fromkeys(("log_ratio", "uniform", "proposed_energy", "state_energy"), 0.0)
        texts = dict.fromkeys(("guide", "veto", "failure", "proposed_label", "state_label"), "")
        shape = {"full": True, "guide_drift": 0.01, "checks": [1]}
        shape |= {"guide_energy_before": 0.0, "guide_energy_after": 0.0}
        schedule.take_note(
            Step(
                0, 1, phase, record=shape, log_acceptance=0.0, accepted=accepted, **numbers, **texts
            )
        )

    for _ in range(5):
        take("learn", True)
    assert (schedule.acceptance, schedule.finished) == (1.0, True)
    for accepted in (True, False, False):
        take("probe", accepted)
    assert schedule.acceptance == pytest.approx(1.0 / 3.0)
    assert not schedule.finished
    take("learn", True)
    assert schedule.acceptance == pytest.approx(0.5)


@pytest.mark.slow
def test_a_failed_probation_is_learned_from_and_never_counts(tmp_path, first_guide_fails):
    whole = tmp_path / "whole"
    create(INPUT, Path("input.yaml"), whole)
    monitor = go(whole, StopsAt())
    assert monitor.phases[:3] == ["learn", "probe", "learn"]
    assert monitor.phases[-3:] == ["probe", "produce", "average"]
    steps = steps_of(whole)
    produced = [step for step in steps if step.phase == "produce"]
    assert len(produced) == 2 * 4
    freeze = frozen_at(whole)
    assert freeze >= 12
    # Between the freeze and the first step that counts lies a whole probation, by the same guide.
    assert min(step.number for step in produced) == freeze + 3 + 1
    assert len({step.guide for step in steps if step.number > freeze}) == 1
    # The guide that failed was another one: it has been taught by its own probation.
    assert len({step.guide for step in steps if step.phase == "probe"}) >= 2

    stopped = tmp_path / "stopped"
    create(INPUT, Path("input.yaml"), stopped)
    for phase, count in (("learn", 3), ("probe", 4), ("probe", 5), ("probe", 2), ("produce", 3)):
        with pytest.raises(Stopped):
            go(stopped, StopsAt(phase, count))
    go(stopped, StopsAt())
    assert steps_of(stopped) == steps
