"""Replica exchange: every rung exact, ladders that do not overlap named in plain words."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

import cases_exchange
from cases_exchange import (
    DEEP,
    SHARES,
    TEMPERATURES,
    moment,
    random_numbers,
    run_ladder,
    share_ladder,
    temperature_ladder,
)
from exact_rows import CASES, SEEDS, assert_all_within, cases_of, rows_of
from hyperatom.analysis.ladder import (
    choose_temperatures,
    count_round_trips,
    expected_exchange,
    measure_gaps,
    require_exchanges,
    require_overlap,
)
from hyperatom.errors import InputError
from hyperatom.sampling.canonical import Canonical
from hyperatom.sampling.displacement import Displacement
from hyperatom.sampling.guide_ladder import Between
from hyperatom.sampling.metropolis import ChainState
from hyperatom.sampling.replica_exchange import (
    Exchange,
    ReplicaExchange,
    Rung,
    exchange,
    exchange_log_acceptance,
    follow_walkers,
)
from targets import HarmonicCrystal, isolated


@pytest.mark.parametrize("name", cases_of(cases_exchange))
def test_exact(name: str) -> None:
    assert_all_within(CASES[name](1.0, SEEDS))


def test_without_exchanges_the_coldest_rung_stays_where_it_began() -> None:
    x, _, _ = run_ladder(temperature_ladder(TEMPERATURES[:2]), 1, 300)
    alone = [run_ladder(temperature_ladder((300.0, 300.1)), seed, 300, False)[0] for seed in SEEDS]
    assert max(one.min() for one in alone) > 0.0
    assert moment(1, 300.0) < -0.4
    assert x[:, 1].min() < 0.0


def chain_state(x: float) -> ChainState:
    there = isolated([[x, 0.0, 0.0]], [1.0])
    return ChainState(there, DEEP.evaluate(there))


def test_the_log_acceptance_is_that_of_temperatures_and_of_couplings() -> None:
    cold, hot = Canonical(300.0), Canonical(500.0)
    one, other = chain_state(0.9), chain_state(0.3)
    found = exchange_log_acceptance(one, other, cold, hot)
    beta = 1.0 / cold.thermal_energy - 1.0 / hot.thermal_energy
    assert found == pytest.approx(beta * (one.evaluation.energy - other.evaluation.energy))
    guide = cases_exchange.SHALLOW
    deviations = [
        s.evaluation.energy - guide.evaluate(s.configuration).energy for s in (one, other)
    ]
    rungs = Between(cold, 0.2, guide), Between(cold, 0.7, guide)
    found = exchange_log_acceptance(one, other, *rungs)
    expected = (0.2 - 0.7) * (deviations[0] - deviations[1]) / cold.thermal_energy
    assert found == pytest.approx(expected)


def test_a_round_is_a_function_of_its_random_numbers_on_one_core_or_two() -> None:
    ladder = share_ladder()
    states = [ChainState(s, ladder.reference.evaluate(s)) for s in [chain_state(1.0).configuration]]
    states *= len(SHARES)
    one = ladder.round(states, 7, random_numbers(1, 7))
    with ThreadPoolExecutor(2) as pool:
        two = ladder.round(states, 7, random_numbers(1, 7), pool.map)
    assert [e.gap for e in one.exchanges] == [1]
    assert one.exchanges == two.exchanges
    for a, b in zip(one.states, two.states, strict=True):
        np.testing.assert_array_equal(a.configuration.positions, b.configuration.positions)


def test_walkers_are_followed_through_exchanges() -> None:
    rungs = [Canonical(300.0)] * 3
    states = [chain_state(x) for x in (0.9, 1.0, 1.1)]
    rounds = []
    now = list(states)
    rng = np.random.default_rng(1)
    for number in range(4):
        # Equal ensembles: everything is accepted.
        now, exchanges = exchange(now, rungs, number % 2, rng)
        rounds.append(exchanges)
    history = follow_walkers(rounds, 3)
    assert history[0] == [0, 1, 2]
    assert [states.index(state) for state in now] == history[-1]
    assert history[2] == [1, 2, 0]


# Diagnostics


def test_expected_exchanges_are_those_of_a_harmonic_crystal() -> None:
    """Exact samples of 21 modes at two temperatures."""
    crystal = HarmonicCrystal()
    rng = np.random.default_rng(2)
    t = np.array([300.0, 420.0])
    energies = 0.5 * rng.chisquare(21, (2, 40_000)) * t[:, None]
    log_acceptance = (1.0 / t[0] - 1.0 / t[1]) * (energies[0] - energies[1])
    (gap,) = measure_gaps(["300 K", "420 K"], [log_acceptance])
    expected = expected_exchange(300.0, 420.0, crystal.ensemble.degrees_of_freedom(8))
    assert gap.acceptance.value == pytest.approx(expected, abs=4.0 * gap.acceptance.error)
    assert gap.name == "300 K - 420 K"
    assert expected_exchange(420.0, 300.0, 21) == expected
    assert expected_exchange(300.0, 300.0, 21) == pytest.approx(1.0)


def test_a_chosen_ladder_has_the_overlap_that_was_wanted() -> None:
    for degrees, wanted in ((21, 0.3), (213, 0.25), (645, 0.2)):
        ladder = choose_temperatures(300.0, 900.0, degrees, wanted)
        found = [expected_exchange(a, b, degrees) for a, b in pairwise(ladder)]
        assert min(found) >= wanted - 1e-9
        wider = np.geomspace(300.0, 900.0, len(ladder) - 1)
        assert len(wider) < 2 or expected_exchange(wider[0], wider[1], degrees) < wanted
        require_overlap(ladder, degrees)
    assert len(choose_temperatures(300.0, 310.0, 21)) == 2


def test_a_gap_without_overlap_is_named_and_can_be_mended() -> None:
    with pytest.raises(InputError, match=r"400 K and 900 K do not overlap \(gap 2 of") as problem:
        require_overlap([300.0, 400.0, 900.0], 213)
    assert "more between them: " in problem.value.cure
    between = [float(t) for t in problem.value.cure.split(": ")[1].rstrip(" K.").split(", ")]
    require_overlap([300.0, 400.0, *between, 900.0], 213)
    with pytest.raises(InputError, match="Gap 1 of the ladder, from 300 K to 300 K"):
        require_overlap([300.0, 300.0], 10)


def test_a_broken_gap_of_a_run_is_named() -> None:
    gaps = measure_gaps(["300 K", "350 K", "900 K"], [np.zeros(10), np.full(12, -9.0)])
    with pytest.raises(InputError, match=r"350 K - 900 K \(gap 2 of 2\): of 12 exchanges") as found:
        require_exchanges(gaps)
    assert "0.0001" in found.value.problem
    require_exchanges(gaps[:1])
    require_exchanges([])


def test_round_trips_are_counted() -> None:
    # Walker 0 goes up and comes back twice; walker 1 never leaves the middle for long.
    at = [[0, 1, 2], [1, 0, 2], [1, 2, 0], [1, 0, 2], [0, 1, 2], [1, 0, 2], [1, 2, 0], [0, 2, 1]]
    found = count_round_trips(at)
    assert found.trips == 2
    assert found.duration == pytest.approx((4 + 3) / 2)
    assert found.upward[0] == 1.0
    assert found.upward[-1] == 0.0
    assert found.warning == ""
    stuck = count_round_trips([[0, 1, 2]] * 5)
    assert stuck.trips == 0
    assert np.isnan(stuck.duration)
    assert "both ends" in stuck.warning


def test_a_good_ladder_is_travelled() -> None:
    _, exchanges, _ = run_ladder(temperature_ladder(TEMPERATURES), 1, 400)
    found = count_round_trips(follow_walkers(exchanges, len(TEMPERATURES)))
    assert found.trips > 10
    assert np.all(np.diff(found.upward) < 0.0)
    offered = [
        [e.log_acceptance for one in exchanges for e in one if e.gap == gap] for gap in range(3)
    ]
    gaps = measure_gaps([f"{t:.0f} K" for t in TEMPERATURES], offered)
    require_exchanges(gaps)
    accepted = [
        np.mean([e.accepted for one in exchanges for e in one if e.gap == g]) for g in range(3)
    ]
    for gap, rate in zip(gaps, accepted, strict=True):
        assert gap.attempts == 200
        assert gap.acceptance.value == pytest.approx(rate, abs=0.12)


def test_plain_words() -> None:
    rung = Rung("300 K", Canonical(300.0), Displacement(0.1))
    with pytest.raises(InputError, match="ladder of 1 rungs"):
        ReplicaExchange([rung], DEEP)
    with pytest.raises(InputError, match=r"share of 1\.2"):
        Between(Canonical(300.0), 1.2, DEEP)
    with pytest.raises(InputError, match="no ladder from 900 K to 300 K"):
        choose_temperatures(900.0, 300.0, 21)
    assert rows_of("x", [np.zeros(3)], 0.0)[0].z == 0.0
    assert Exchange(0, 0.0, 0.5, True).accepted
