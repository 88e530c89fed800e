"""Paths are as long as gives most effective samples per call: against numbers known in advance."""

from math import erfc

import numpy as np
import pytest

from hyperatom.campaign.chain_store import Step
from hyperatom.campaign.path_length import JudgedPath, best_segments, remaining_correlation
from hyperatom.campaign.schedule import Schedule
from hyperatom.campaign.settings import load_settings
from hyperatom.units import BOLTZMANN
from test_probation import INPUT

TEMPERATURE, N_ATOMS = 300.0, 50
THERMAL = BOLTZMANN * TEMPERATURE
VARIANCE = 0.5 * (3 * N_ATOMS - 3) * THERMAL**2


def paths(correlation, error, segments, n_paths=400, seed=1):
    """Paths along which energy and guide error (k_BT) forget themselves by `correlation` each."""
    rng = np.random.default_rng(seed)
    lost = np.sqrt(2.0 * (1.0 - correlation**segments))
    return [
        JudgedPath(segments, change, wrong)
        for change, wrong in zip(
            np.sqrt(VARIANCE) * lost * rng.normal(size=n_paths),
            THERMAL * error * lost * rng.normal(size=n_paths),
            strict=True,
        )
    ]


@pytest.mark.parametrize("correlation", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("segments", [1, 3])
def test_the_correlation_that_a_segment_leaves_is_found(correlation, segments):
    found = remaining_correlation(paths(correlation, 0.1, segments), VARIANCE)
    # 1 - r^s is known to sqrt(2/400) of itself.
    spread = np.sqrt(2.0 / 400.0) * (1.0 - correlation**segments)
    allowed = spread / (segments * correlation ** (segments - 1))
    assert abs(found - correlation) < 3.5 * allowed + 0.01


def test_a_few_paths_do_not_outweigh_what_is_expected_of_a_crystal():
    assert remaining_correlation([], VARIANCE) == pytest.approx(0.5, abs=0.011)
    assert best_segments([], TEMPERATURE, N_ATOMS, 5) == 1


def samples_per_call(correlation, error, segments):
    d = 1.0 - correlation**segments
    moved = erfc(0.5 * error * np.sqrt(d)) * d
    return moved / (2.0 - moved)


@pytest.mark.parametrize("correlation", [0.05, 0.5, 0.85])
@pytest.mark.parametrize("error", [0.02, 0.8, 4.0])
def test_no_other_number_of_segments_gives_many_more_samples(correlation, error):
    chosen = best_segments(paths(correlation, error, 2), TEMPERATURE, N_ATOMS, 8)
    gains = [samples_per_call(correlation, error, s) for s in range(1, 9)]
    assert gains[chosen - 1] > 0.85 * max(gains)


def test_a_good_guide_goes_far_only_where_that_pays():
    assert best_segments(paths(0.85, 0.02, 2), TEMPERATURE, N_ATOMS, 8) == 8
    forgetful = paths(0.0, 0.02, 1, n_paths=4000)
    assert best_segments(forgetful, TEMPERATURE, N_ATOMS, 8) == 1
    # A guide that is wrong by many k_BT is asked for short paths.
    assert best_segments(paths(0.5, 8.0, 2), TEMPERATURE, N_ATOMS, 8) == 1


def test_the_schedule_grows_by_one_and_shrinks_again():
    text = INPUT.replace("segments: 1", "segments: 3")
    schedule = Schedule(load_settings(text, "input.yaml"), N_ATOMS)
    lengths = []
    rng = np.random.default_rng(2)
    for number in range(1, 61):
        # Right for 30 paths, then wrong by 8 k_BT.
        wrong = THERMAL * (0.02 if number <= 30 else 8.0) * rng.normal()
        change = np.sqrt(VARIANCE) * rng.normal()
        record = {
            "guide_drift": 0.1 * THERMAL,
            "guide_energy_before": 0.0,
            "guide_energy_after": change - wrong,
            "checks": [10] * schedule.segments,
        }
        schedule.take_note(
            Step(
                0, number, "learn", "guide", record, 0.0, "", "", "there", change, 0.5, 0.0, False,
                "here", 0.0,
            )
        )  # fmt: skip
        lengths.append(schedule.segments)
    assert np.abs(np.diff(lengths)).max() == 1
    assert max(lengths[:30]) > 1
    assert lengths[-1] == 1
