"""Pairs of engines in campaigns: exact with a wrong cheap one, replayed, resumed, paid for once."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from hyperatom.campaign.assembly import create, opened
from hyperatom.campaign.verification import verify
from hyperatom.references.label_store import LabelStore
from hyperatom.report.collect import collect
from hyperatom.sampling.delayed_acceptance import REFUSED
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from stepped_campaign import chain, stepper, z_score
from targets import AnalyticGuide, AnalyticReference, LennardJonesCluster
from test_probation import Stopped, StopsAt, go

DIMER = LennardJonesCluster(2)

INPUT = """
configuration: {crystal: aluminium}
temperature: 300
reference:
  calculator: "ase:ase.calculators.emt.EMT"
  cheap: {calculator: "ase:ase.calculators.emt.EMT", keywords: {asap_cutoff: true}}
guide: {cutoff: 3.5, radial_functions: 4, power_channels: 2, power_degree: 1,
        bispectrum_channels: 0, bispectrum_degree: 0}
sampling: {length: 60, segments: 1, time_step: 4}
learn: {calls: 12, window: 5, acceptance: 0.6, probation: 2}
produce: {proposals: 12, guide_samples: 3}
walkers: 2
"""


@pytest.mark.slow
def test_a_wrong_cheap_engine_and_a_wrong_guide_leave_the_ensemble_alone(tmp_path):
    """Mean distance and energy of an argon dimer, by quadrature for the expensive one."""
    cheap = AnalyticReference(DIMER.energy, (0.007, 3.5, 0.0008))
    cheap.identity = "cheap"
    guide = AnalyticGuide(DIMER.energy, DIMER.soft)
    path = GuidedTrajectory(guide, DIMER.ensemble, time_step=40.0, length=1200.0, check_every=5)
    energies, distances = [], []
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        more = f"seed: {seed}"
        steps = stepper(tmp_path / str(seed), DIMER.reference, DIMER.start(seed), more, cheap)
        states, made = chain(steps, path, 600)
        energies.append([state.evaluation.energy for state in states])
        positions = np.array([state.configuration.positions for state in states])
        distances.append(np.linalg.norm(positions[:, 0] - positions[:, 1], axis=1))
        refused = sum(step.veto == REFUSED for step in made)
        assert 0.03 * len(made) < refused < 0.6 * len(made)
        # What the cheap one refused was not asked of the expensive one.
        assert sum(step.asked for step in made) == len(made) - refused
        assert steps.cheap.counts.calls == len(made) + 1
    energy = DIMER.dimer_average(lambda r: DIMER.pair_energy(DIMER.right, r * r))
    assert abs(z_score(energies, energy)) < 4.0
    assert abs(z_score(distances, DIMER.dimer_average(lambda r: r))) < 4.0


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("pair") / "run"
    create(INPUT, Path("input.yaml"), path)
    go(path, StopsAt())
    return path


def steps_of(path):
    with opened(path, StopsAt()) as campaign:
        return campaign.chain.steps()


def checks_of(path):
    return {check.name: check for check in verify(path).checks}


@pytest.mark.slow
def test_both_decisions_are_replayed_and_both_engines_counted(run):
    checks = checks_of(run)
    assert checks["decisions"].passed
    assert checks["decisions"].numbers["screens"] == 24
    assert checks["paths"].passed
    assert checks["paths"].numbers["forward_angstrom"] == 0.0
    assert "both engines" in checks["labels"].sentence
    steps = steps_of(run)
    assert not any("screens" in step.record for step in steps if step.phase != "produce")
    ledger = collect(run).ledger
    with LabelStore(run / "labels.db") as store:
        identities = store.identities()
        assert len(identities) == 2
        cheap = store.count(identities[1])
    assert ledger.calls_cheap == cheap
    # Each proposal once, and each walker's place when production began.
    assert cheap == 24 + 2
    assert ledger.calls == sum(step.asked for step in steps)
    assert "screened by" in collect(run).system.engine


@pytest.mark.slow
def test_a_forged_verdict_of_the_cheap_engine_is_found(run, tmp_path):
    """A decision turned round, an energy that the label does not have."""
    (step, *_) = [s for s in steps_of(run) if s.phase == "produce" and not s.veto]
    database = sqlite3.connect(run / "chain.db")
    where = "WHERE walker = ? AND number = ?", (step.walker, step.number)
    (original,) = database.execute(f"SELECT content FROM steps {where[0]}", where[1]).fetchone()
    try:
        for name, value in (("energy_after", 0.0), ("uniform", 1.0 - 1e-12), ("log_ratio", 50.0)):
            content = json.loads(original)
            content["record"]["screens"][0][name] = value
            if name == "uniform":  # it would have refused unless it was downhill
                content["record"]["screens"][0]["accepted"] = False
            with database:
                database.execute(
                    f"UPDATE steps SET content = ? {where[0]}", (json.dumps(content), *where[1])
                )
            assert checks_of(run)["decisions"].passed is False, name
    finally:
        with database:
            database.execute(f"UPDATE steps SET content = ? {where[0]}", (original, *where[1]))
        database.close()
    assert checks_of(run)["decisions"].passed


@pytest.mark.slow
def test_interrupted_it_goes_on_bit_for_bit(run, tmp_path):
    other = tmp_path / "run"
    create(INPUT, Path("input.yaml"), other)
    for phase, count in (("learn", 3), ("produce", 5), ("produce", 4)):
        with pytest.raises(Stopped):
            go(other, StopsAt(phase, count))
    go(other, StopsAt())
    assert steps_of(other) == steps_of(run)


@pytest.mark.slow
def test_labels_asked_for_ahead_of_need_make_the_same_chain(run, tmp_path):
    other = tmp_path / "run"
    create(INPUT + "farm: {workers: 2, ahead: 1}\n", Path("input.yaml"), other)
    go(other, StopsAt())
    assert steps_of(other) == steps_of(run)
