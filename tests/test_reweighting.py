"""Reweighting, the choice between it and Metropolis, and the forecast: against what is known."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import cases_exchange
from cases_exchange import UNIT, deep_well, moment, run_ladder, shallow_well, temperature_ladder
from exact_rows import SEEDS
from hyperatom.analysis.acceptance_forecast import (
    AcceptanceForecast,
    calls_per_sample,
    expected_acceptance,
    largest_deviation,
)
from hyperatom.analysis.reweighting import combine, measure_overlap, reweight, weights_of
from hyperatom.analysis.strategy import choose_strategy
from hyperatom.errors import InputError
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from hyperatom.units import BOLTZMANN
from targets import AnalyticGuide, HarmonicCrystal, sample

GAUSSIAN = 0.7
"""b of the Gaussian pair: M is N(0, 1), D is N(0.7, 1), so that log(D/M) has variance b^2."""


def gaussian_chain(rng: np.random.Generator, n: int, memory: float) -> np.ndarray:
    """Correlated samples of N(0, 1)."""
    x = np.empty(n)
    x[0] = rng.standard_normal()
    kick = math.sqrt(1.0 - memory**2) * rng.standard_normal(n)
    for k in range(1, n):
        x[k] = memory * x[k - 1] + kick[k]
    return x


def log_weight(x: np.ndarray) -> np.ndarray:
    return GAUSSIAN * x - 0.5 * GAUSSIAN**2


def test_a_reweighted_mean_and_its_error_are_right() -> None:
    """Of 60 runs with correlated samples the mean is right and the error bars are as stated."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        walkers = [gaussian_chain(rng, 400, 0.5) for _ in range(2)]
        estimate, overlap = reweight(walkers, [log_weight(x) for x in walkers], "Å")
        found.append(((estimate.value - GAUSSIAN) / estimate.error, overlap.kish))
    z, kish = np.array(found).T
    assert abs(z.mean()) < 3.0 / math.sqrt(40)
    assert 0.75 < z.std() < 1.3
    assert np.median(kish) == pytest.approx(math.exp(-(GAUSSIAN**2)), abs=0.05)
    assert estimate.kind == "reweighted"
    # Half the samples by correlation 0.5 (g = 3), the rest by the weights.
    assert 100 < estimate.n_effective < 400


def test_skewed_wells_from_a_wrong_guide() -> None:
    """A guide's own chain, weighed: <x>, <x^2>, <x^3> of the deep wells."""
    ladder = cases_exchange.ReplicaExchange(
        [cases_exchange.Rung(str(k), cases_exchange.Pulled(0.0), cases_exchange.Along(1.9))
         for k in range(2)],
        cases_exchange.SHALLOW, moves=3,
    )  # fmt: skip
    walkers = [run_ladder(ladder, seed, 700, exchanging=True)[0][30:, 0] for seed in SEEDS]
    logs = [np.array([(shallow_well(x) - deep_well(x)) / UNIT for x in one]) for one in walkers]
    for power in (1, 2, 3):
        estimate, overlap = reweight([one**power for one in walkers], logs, "")
        assert overlap.warning == ""
        z = (estimate.value - moment(power, 300.0)) / estimate.error
        assert abs(z) < 3.0, (power, z)
        plain = np.mean(np.concatenate(walkers) ** power)
        assert abs(plain - moment(power, 300.0)) > 3.0 * estimate.error or power == 2


def test_temperatures_are_combined() -> None:
    """All rungs of a ladder but the coldest, combined for the coldest and for one in between."""
    temperatures = (450.0, 800.0, 1500.0)
    x = run_ladder(temperature_ladder(temperatures), 5, 830)[0][30:]
    samples = x.T.ravel()
    energies = np.array([deep_well(one) for one in samples])
    reduced = np.array([energies / (BOLTZMANN * t) for t in temperatures])
    counts = [len(x)] * 3
    for wanted in (350.0, 600.0):
        for power in (1, 2):
            found = combine(samples**power, reduced, counts, energies / (BOLTZMANN * wanted), "Å")
            z = (found.mean.value - moment(power, wanted)) / found.mean.error
            assert abs(z) < 3.0, (wanted, power, z)
    grid = np.linspace(-3.0, 3.0, 4001)
    well = np.array([deep_well(one) for one in grid])
    z_of = {t: np.sum(np.exp(-well / (BOLTZMANN * t))) for t in (*temperatures, 600.0)}
    exact = -np.log(z_of[600.0] / z_of[450.0])
    assert found.free_energy.value == pytest.approx(exact, abs=4.0 * found.free_energy.error)
    assert found.free_energies[2] == pytest.approx(-np.log(z_of[1500.0] / z_of[450.0]), abs=0.1)
    np.testing.assert_allclose(found.mixing.sum(axis=1), 1.0)


def test_one_state_combined_is_plain_reweighting() -> None:
    x = gaussian_chain(np.random.default_rng(3), 1500, 0.3)
    plain, overlap = reweight(x, log_weight(x), "")
    found = combine(x, 0.5 * x[None] ** 2, [len(x)], 0.5 * (x - GAUSSIAN) ** 2, "")
    assert found.mean.value == pytest.approx(plain.value)
    assert found.mean.error == pytest.approx(plain.error, rel=0.5)
    assert found.overlap.kish == pytest.approx(overlap.kish)
    assert found.free_energy.value == pytest.approx(0.0, abs=4.0 * found.free_energy.error)


@pytest.mark.slow
def test_pymbar_leaves_the_precision_of_the_process_alone() -> None:
    x = np.random.default_rng(4).standard_normal(200)
    combine(x, np.stack([0.5 * x**2, 0.5 * (x - 0.1) ** 2]), [100, 100], 0.5 * x**2, "")
    assert jnp.ones(1).dtype == np.float32


def test_too_little_overlap_is_told() -> None:
    rng = np.random.default_rng(5)
    far = measure_overlap(4.0 * rng.standard_normal(300))
    assert "A single sample carries" in far.warning
    few = measure_overlap(2.0 * rng.standard_normal(100_000))
    assert few.kish == pytest.approx(math.exp(-4.0), rel=0.5)
    assert "Only " in few.warning
    assert measure_overlap(np.zeros(10)).warning == ""
    assert measure_overlap(np.zeros(10)).kish == 1.0
    np.testing.assert_array_equal(weights_of([0.0, -np.inf]), [2.0, 0.0])
    with pytest.raises(InputError, match="No sample has a usable weight"):
        weights_of([-np.inf, -np.inf])
    with pytest.raises(InputError, match="3 values cannot be weighed by 2"):
        reweight(np.zeros(3), np.zeros(2), "")
    with pytest.raises(InputError, match="counts that add up"):
        combine(np.zeros(3), np.zeros((1, 3)), [2], np.zeros(3), "")


# Forecast


def shifted_guide() -> tuple[HarmonicCrystal, np.ndarray, float]:
    """A guide whose minimum is displaced: U_D - U_M is linear in x, so Gaussian, exactly.

    Its variance is k_BT sum o L o, o the displacement of the sites and L the spring matrix.
    """
    crystal = HarmonicCrystal()
    off = 0.04 * np.sin(np.arange(24).reshape(8, 3) ** 2 + 1.0)
    off -= off.mean(axis=0)
    deviation = math.sqrt(
        crystal.ensemble.thermal_energy * float(np.sum(off * (crystal.laplacian @ off)))
    )
    return crystal, off, deviation


def test_the_forecast_is_what_a_chain_finds() -> None:
    crystal, off, deviation = shifted_guide()
    guide = AnalyticGuide(crystal.energy, (1.0, crystal.sites + off, crystal.laplacian))
    start = crystal.start(1)
    for segments, n_steps in ((3, 14), (1, 3)):
        path = GuidedTrajectory(
            guide, crystal.ensemble, time_step=2.5, length=2.5 * n_steps, segments=segments,
            spread=0.0, check_every=n_steps,
        )  # fmt: skip
        chain = sample(path, crystal.reference, crystal.ensemble, start, 150, 11)
        # The path's own correlation of U_D - U_M: every mode turns by omega t in each segment.
        time = 2.5 * n_steps * 0.09822694788464063
        turn = np.cos(crystal.frequencies * time) ** segments
        root = np.sqrt(crystal.masses)
        _, vectors = np.linalg.eigh(crystal.laplacian / np.outer(root, root))
        amplitude = (vectors[:, 1:].T @ (root[:, None] * off)) ** 2 * crystal.frequencies[
            :, None
        ] ** 2
        correlation = float(np.sum(turn[:, None] * amplitude) / np.sum(amplitude))
        forecast = expected_acceptance(deviation, 300.0, correlation)
        error = math.sqrt(forecast * (1.0 - forecast) / 150)
        assert 0.2 < forecast < 0.9
        assert chain.acceptance == pytest.approx(forecast, abs=3.5 * error), (segments, correlation)


def test_numbers_of_the_forecast() -> None:
    # 72 atoms at 300 K: acceptance one half needs 0.34 meV/atom.
    assert largest_deviation(0.5, 300.0) / 72 == pytest.approx(0.34e-3, abs=0.005e-3)
    assert expected_acceptance(largest_deviation(0.3, 1000.0, 0.4), 1000.0, 0.4) == pytest.approx(
        0.3
    )
    assert expected_acceptance(0.0, 300.0) == 1.0
    assert calls_per_sample(1.0) == 1.0
    assert calls_per_sample(0.0) == math.inf
    forecast = AcceptanceForecast(0.02, 72, memory=100.0)
    assert forecast.acceptance(300.0, n_atoms=288) == pytest.approx(
        expected_acceptance(0.04, 300.0)
    )
    assert forecast.acceptance(600.0, n_atoms=288) == pytest.approx(forecast.acceptance(300.0))
    kept = math.exp(-0.5)
    assert forecast.acceptance(300.0, 50.0) == pytest.approx(expected_acceptance(0.02, 300.0, kept))
    lines = forecast.lines([300.0, 1000.0], [50.0, math.inf], [72, 100_000])
    assert len(lines) == 9
    assert "72 atoms, 300 K, paths of 50 fs: acceptance 0.7" in lines[1]
    assert "hopeless" in lines[6]
    with pytest.raises(InputError, match="no acceptance at 0 K"):
        expected_acceptance(0.1, 0.0)


# Strategy


def test_the_crossover_lies_at_one_point_two() -> None:
    thermal_energy = BOLTZMANN * 300.0
    chosen = [choose_strategy(b * thermal_energy, 300.0).name for b in (0.3, 1.1, 1.25, 2.0)]
    assert chosen == ["reweighting", "reweighting", "metropolis", "metropolis"]


def test_the_costs_are_those_of_samples() -> None:
    """Calls per independent sample of both ways, measured on the Gaussian pair at b = 0.7."""
    rng = np.random.default_rng(6)
    strategy = choose_strategy(GAUSSIAN * UNIT, 300.0)
    x = rng.standard_normal(20_000)
    _, overlap = reweight(x, log_weight(x), "")
    assert 1.0 / overlap.kish == pytest.approx(strategy.reweighting_calls, rel=0.05)
    # Independent samples of M as proposals for D.
    state, moved = 0.7, 0
    for proposed, u in zip(x, rng.random(20_000), strict=True):
        if u < math.exp(min(0.0, GAUSSIAN * (proposed - state))):
            state, moved = proposed, moved + 1
    p = moved / 20_000
    assert (2.0 - p) / p == pytest.approx(strategy.metropolis_calls, rel=0.05)


def test_workers_tails_and_reasons() -> None:
    many = choose_strategy(1.4 * UNIT, 300.0, workers=16, walkers=2, reference_seconds=60.0)
    assert many.name == "reweighting"
    assert "16 calls at a time against 2" in many.reason
    tails = choose_strategy(0.8 * UNIT, 300.0, kish=0.02)
    assert tails.name == "metropolis"
    assert tails.reweighting_calls == pytest.approx(50.0)
    assert "0.02 of the samples are left" in tails.reason
    assert choose_strategy(1e3, 300.0).name == "metropolis"
    with pytest.raises(InputError, match="No strategy follows"):
        choose_strategy(math.nan, 300.0)
