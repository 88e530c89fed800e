"""The guide samples itself after production: resumed to the last bit, and of use to averages."""

from pathlib import Path

import numpy as np
import pytest

from hyperatom.campaign.assembly import create, opened
from hyperatom.campaign.averages import gather
from hyperatom.campaign.guide_chain import BURN_IN
from hyperatom.campaign.verification import verify
from hyperatom.report.collect import collect
from test_probation import Stopped, StopsAt, go

INPUT = """
configuration: {crystal: aluminium, repeat: [2, 1, 1]}
temperature: 300
reference: {calculator: "ase:ase.calculators.emt.EMT"}
guide: {cutoff: 4.5, radial_functions: 6, power_channels: 2, power_degree: 2,
        bispectrum_channels: 0, bispectrum_degree: 0}
sampling: {length: 60, segments: 2, time_step: 4}
learn: {calls: 40, window: 10, acceptance: 0.8, probation: 3}
produce: {proposals: 40, guide_samples: 60}
walkers: 2
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("guide") / "run"
    create(INPUT, Path("input.yaml"), path)
    assert go(path, StopsAt()).phases[-1] == "average"
    return path


def samples_of(path):
    with opened(path, StopsAt()) as campaign:
        guide = campaign.frozen()["guide"]
        return [campaign.guide_chain.samples(guide, walker) for walker in campaign.walkers]


@pytest.mark.slow
def test_an_interrupted_chain_goes_on_bit_for_bit(run, tmp_path):
    other = tmp_path / "run"
    create(INPUT, Path("input.yaml"), other)
    for count in (1, 10, 20):
        with pytest.raises(Stopped):
            go(other, StopsAt("average", count))
    go(other, StopsAt())
    for whole, pieces in zip(samples_of(run), samples_of(other), strict=True):
        assert len(whole[0]) == 60
        np.testing.assert_array_equal(whole[0], pieces[0])
        np.testing.assert_array_equal(whole[1], pieces[1])


def test_its_energies_are_the_guides_own(run):
    with opened(run, StopsAt()) as campaign:
        guide = campaign.frozen_path().guide
        energies, positions, cells = campaign.guide_chain.samples(guide.digest(), 1)
        for k in (0, 30, 59):
            here = campaign.start.with_cell(positions[k], cells[k])
            assert guide.evaluate(here).energy == energies[k]
        assert len(np.unique(energies)) > 30


def test_both_chains_tell_the_same_and_the_guide_sharpens(run):
    with opened(run, StopsAt()) as campaign:
        sampled = gather(campaign.chain, campaign.guide_chain, 300.0)
        steps = campaign.chain.steps(0, "produce")
    assert sampled is not None
    assert sampled.energies.shape == sampled.labels.shape == (80, 2)
    assert sampled.free_positions[0].shape == (60 - BURN_IN, 8, 3)
    # A walker's first judgements are those of its first steps.
    assert list(sampled.labels[:3, 0]) == [step.proposed_label for step in steps[:3]]
    assert list(sampled.labels[1:3, 1]) == [step.state_label for step in steps[:2]]
    data = collect(run)
    plain, sharp = data.energy, data.sharpened_energy
    assert plain is not None
    assert sharp is not None
    assert abs(sharp.value - plain.value) < 3.0 * np.hypot(sharp.error, plain.error)
    assert sharp.error < plain.error
    assert data.ledger.calls_per_sharpened_sample < data.ledger.calls_per_independent_sample
    check = next(c for c in verify(run).checks if c.name == "the guide's own chain")
    assert check.passed
    assert float(check.numbers["overlap"]) > 0.7


def test_without_guide_samples_averages_are_the_chains_own(tmp_path):
    path = tmp_path / "run"
    text = INPUT.replace("guide_samples: 60", "guide_samples: 0").replace(
        "proposals: 40", "proposals: 4"
    )
    create(text, Path("input.yaml"), path)
    assert go(path, StopsAt()).phases[-1] == "produce"
    assert collect(path).sharpened_energy is None
