"""Killed at random moments and resumed, a run makes the chain it would have made."""

import sys
from pathlib import Path

import numpy as np
import pytest

from hyperatom.campaign.chain_store import Step
from hyperatom.campaign.schedule import Schedule
from hyperatom.campaign.settings import load_settings
from hyperatom.references.label_store import LabelStore

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from kill_resume import kill_and_resume

ALUMINIUM = """
configuration: {crystal: aluminium}
temperature: 300
reference:
  calculator: ase:counted_engine.counted
  keywords: {engine: ase.calculators.emt.EMT}
guide: {cutoff: 3.5, radial_functions: 4, power_channels: 2, power_degree: 1,
        bispectrum_channels: 0, bispectrum_degree: 0}
sampling: {length: 60, segments: 2, time_step: 4}
learn: {calls: 9, probation: 2}
produce: {proposals: 6, guide_samples: 5}
walkers: 2
"""
PAIR = ALUMINIUM.replace(
    "guide:",
    """  cheap:
    calculator: ase:counted_engine.counted
    keywords: {engine: ase.calculators.emt.EMT, asap_cutoff: true}
guide:""",
).replace("proposals: 6", "proposals: 10")


@pytest.mark.slow
@pytest.mark.parametrize(("text", "seed"), [(ALUMINIUM, 1), (PAIR, 9)], ids=["one engine", "pair"])
def test_killed_and_resumed(
    text: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each session would compile the same programs again.
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    differences, seen = kill_and_resume(text, tmp_path, 3, np.random.default_rng(seed))
    assert differences == []
    assert seen.kills.total() == 3
    assert len(seen.kills) > 1, "all kills in one phase"
    assert (seen.lost, seen.repeated) == (0, 0)
    if text is PAIR:
        assert seen.kills["produce"] > 0, "the cheap engine judges production alone"
        with LabelStore(seen.run / "labels.db") as store:
            assert [store.count(identity) > 0 for identity in store.identities()] == [True, True]


def test_schedule_remembers_vetoes() -> None:
    """Whether walkers are stranded follows from the steps on disk, so that a resumed run knows."""
    schedule = Schedule(load_settings(ALUMINIUM, "input"), 4)

    def take(asked: bool) -> None:
        schedule.take_note(_step(asked))

    for asked, stranded in (
        *((True, False), (False, False), (False, False), (False, False)),
        *((False, True), (False, True), (True, False), (False, False)),
    ):
        take(asked)
        assert schedule.stranded == stranded


def _step(asked: bool) -> Step:
    return Step(
        walker=0,
        number=1,
        phase="learn",
        guide="",
        record={},
        log_ratio=0.0,
        veto="" if asked else "too far",
        failure="",
        proposed_label="",
        proposed_energy=-1.0 if asked else None,
        uniform=0.5,
        log_acceptance=None,
        accepted=False,
        state_label="",
        state_energy=0.0,
    )
