"""Ladders of references, extra chances and penalties: exact averages, and what they rest on."""

import numpy as np
import pytest

import cases_acceptance
from cases_acceptance import BALL, Noisy, harmonic, noisy_ball, noisy_wells
from cases_composite import MOVE, TRUTH, WELLS, Formula, wells
from exact_rows import CASES, SEEDS, Row, assert_all_within, cases_of
from hyperatom.configuration import Configuration
from hyperatom.contracts import Proposed
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.sampling.canonical import Canonical
from hyperatom.sampling.delayed_acceptance import Remembering, delayed_acceptance
from hyperatom.sampling.extra_chance import ExtraChance
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from hyperatom.sampling.metropolis import ChainState, Transition, first_accepted, metropolis
from hyperatom.sampling.penalty import Penalty
from targets import AnalyticGuide, isolated, sample


@pytest.mark.parametrize("name", cases_of(cases_acceptance))
def test_exact(name: str) -> None:
    assert_all_within(CASES[name](1.0, SEEDS))


def test_a_screen_saves_calls_of_the_dearer_reference() -> None:
    middle, dear = Formula(wells(WELLS.soft).energy), Formula(TRUTH.energy)
    cheap = Formula(wells(WELLS.displaced).energy)
    proposal = delayed_acceptance(MOVE, [cheap, middle], WELLS.ensemble)
    chain = sample(proposal, dear, WELLS.ensemble, WELLS.start(1), 1000, 1)
    # Each was asked about the start, and once about each configuration that came as far as it.
    vetoed = sum(t.proposed.veto is not None for t in chain.transitions)
    assert cheap.calls == 1001
    assert dear.calls == 1001 - vetoed
    assert dear.calls < middle.calls < 0.7 * cheap.calls
    assert chain.acceptance > 0.2


def test_what_is_remembered_is_bounded() -> None:
    counted = Formula(TRUTH.energy)
    memory = Remembering(counted, size=2)
    a, b, c = (WELLS.start(seed) for seed in (1, 2, 3))
    for one in (a, b, a, b, c, a):
        memory.evaluate(one)
    assert counted.calls == 4
    assert memory.evaluate(a).energy == TRUTH.energy(a)


# Extra chances


def chances(n: int) -> ExtraChance:
    guide = AnalyticGuide(WELLS.energy, WELLS.soft)
    path = GuidedTrajectory(
        guide, WELLS.ensemble, time_step=34.0, length=102.0, spread=0.3, check_every=3
    )
    return ExtraChance(path, n)


def test_one_chance_is_a_guided_trajectory() -> None:
    start = WELLS.start(1)
    several = chances(1)
    (only,) = several.candidates(start, np.random.default_rng(2))
    plain = several.path.propose(start, np.random.default_rng(2))
    np.testing.assert_array_equal(only.configuration.positions, plain.configuration.positions)
    assert only.log_ratio == plain.log_ratio


def test_more_chances_are_accepted_more_often_and_run_only_when_needed() -> None:
    accepted = {}
    for n in (1, 3):
        several, counted = chances(n), Formula(TRUTH.energy)
        state = ChainState(WELLS.start(1), TRUTH.evaluate(WELLS.start(1)))
        rng = np.random.default_rng(3)
        moved = asked = 0
        for _ in range(150):
            candidates = several.candidates(state.configuration, rng)
            after, judged = first_accepted(state, candidates, counted, WELLS.ensemble, rng)
            assert len({t.uniform for t in judged}) == 1
            assert [t.accepted for t in judged[:-1]] == [False] * (len(judged) - 1)
            moved += after is not state
            asked += sum(t.proposed.veto is None for t in judged)
            state = after
        accepted[n] = moved / 150
        assert counted.calls == asked
        assert asked < 150 * n or n == 1
    assert accepted[3] > accepted[1] + 0.05


def test_no_chance_after_a_veto() -> None:
    here = WELLS.start(1)
    vetoed = [Proposed(here, 0.0, "too uncertain"), Proposed(here, 10.0)]
    state = ChainState(here, TRUTH.evaluate(here))
    after, judged = first_accepted(state, vetoed, TRUTH, WELLS.ensemble, np.random.default_rng(1))
    assert after is state
    assert len(judged) == 1


# Penalties


class Unpaid(Penalty):
    """A mutation: asks again, and pays nothing for the noise."""

    def log_penalty(
        self, configuration: Configuration, evaluation: Evaluation, ensemble: Canonical
    ) -> float:
        return 0.0


def worst(rows: list[Row]) -> float:
    return max(abs(row.z) for row in rows)


def test_noise_that_is_not_paid_for_heats() -> None:
    rows = noisy_ball(1.0, Unpaid(), 5000, SEEDS)
    assert rows[0].z > 6.0
    assert rows[0].measured > 3.5


def test_uneven_noise_that_is_not_paid_for_pulls() -> None:
    assert worst(noisy_wells(Unpaid(), 5000, SEEDS)) > 5.0
    assert worst(noisy_wells(Unpaid(ask_again=False), 5000, SEEDS)) > 5.0


def test_kept_energies_are_low_by_the_variance_over_the_thermal_energy() -> None:
    rows = noisy_ball(0.7, Unpaid(ask_again=False), 4000, SEEDS)
    # `Unpaid` corrects energies all the same; even noise needs no payment when it is kept.
    assert_all_within(rows)


def test_the_correction_series_of_ceperley_and_dewing() -> None:
    ensemble = Canonical(300.0)
    one = isolated([[0.0, 0.0, 0.0]], [1.0])
    for n in (5, 12, 30):
        for x in (0.05, 0.3):
            error = x * ensemble.thermal_energy
            evaluation = Evaluation(0.3, np.zeros((1, 3)), None, error)
            found = Penalty(estimates=n).log_penalty(one, evaluation, ensemble)
            series = x**2 / 2 + x**4 / (4 * (n + 1)) + x**6 / (3 * (n + 1) * (n + 3))
            assert found == pytest.approx(series, rel=1e-6, abs=x**8)
            assert Penalty().log_penalty(one, evaluation, ensemble) == pytest.approx(x**2 / 2)


def test_an_estimated_penalty_has_the_mean_that_it_must() -> None:
    """<f> = exp(-x^2/2) and the corrected variance x^2, over chi-square distributed estimates."""
    ensemble = Canonical(300.0)
    one = isolated([[0.0, 0.0, 0.0]], [1.0])
    n, x = 8, 0.9
    rng = np.random.default_rng(9)
    estimates = x * np.sqrt(rng.chisquare(n - 1, 20_000) / (n - 1))
    penalty = Penalty(estimates=n)
    factors, squares = [], []
    for estimate in estimates:
        evaluation = Evaluation(0.0, np.zeros((1, 3)), None, estimate * ensemble.thermal_energy)
        factors.append(np.exp(-penalty.log_penalty(one, evaluation, ensemble)))
        energy = penalty.unbiased_energy(one, evaluation, ensemble)
        squares.append(energy / ensemble.thermal_energy)
    weighted = np.array(factors)
    assert weighted.mean() == pytest.approx(np.exp(-(x**2) / 2), rel=0.01)
    assert np.average(squares, weights=weighted) == pytest.approx(x**2, rel=0.01)


def judged(penalty: Penalty | None, error: float | None, repeat: bool = False) -> Transition:
    class Source(Noisy):
        def evaluate(self, configuration: Configuration) -> Evaluation:
            found = super().evaluate(configuration)
            energy = 0.1 if repeat else found.energy
            return Evaluation(energy, found.forces, None, error, "the dice")

    reference = Source(harmonic(), BALL, 0.5, 1)
    start = isolated([[0.1, 0.0, 0.0]], [1.0])
    state = ChainState(start, reference.evaluate(start))
    proposed = Proposed(start.with_positions(start.positions + 0.1), 0.0)
    rng = np.random.default_rng(1)
    return metropolis(state, proposed, reference, BALL, rng, penalty)[1]


def test_plain_words() -> None:
    with pytest.raises(InputError, match=r"standard error of every energy.*the dice\) gave none"):
        judged(Penalty(), None)
    with pytest.raises(InputError, match="gave none"):
        judged(Penalty(ask_again=False), None)
    with pytest.raises(InputError, match="very same energy when asked again"):
        judged(Penalty(), 0.01, repeat=True)
    with pytest.raises(InputError, match="from 2 estimates cannot be corrected"):
        Penalty(estimates=2)
    with pytest.raises(InputError, match="0 chances"):
        chances(0)
    assert judged(Penalty(), 0.01).present is not None
    assert judged(None, 0.01).present is None


def test_noise_beyond_what_few_estimates_can_correct_is_rejected() -> None:
    transition = judged(Penalty(estimates=5), 3.0 * BALL.thermal_energy)
    assert transition.log_acceptance == -np.inf
    assert transition.probability == 0.0


def test_the_probability_of_a_transition() -> None:
    transition = judged(None, 0.01)
    expected = min(1.0, np.exp(transition.log_acceptance))
    assert transition.probability == pytest.approx(expected)
