"""Averages sharpened by the guide are still the reference's, and their error bars are honest."""

import jax
import numpy as np
import pytest

from hyperatom.analysis.control_variate import Judgements, sharpen, sharpen_mean
from hyperatom.analysis.statistics import estimate_mean
from hyperatom.errors import InputError
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from targets import AnalyticGuide, AnalyticReference, DoubleWells, sample

WELLS = DoubleWells()
TILTED = (1.15, 0.25, 1.0, 0.02, 5.8)
"""A guide whose energy is off by about 0.3 k_BT, with half the tilt between the wells."""
FAR = (0.6, -0.3, 1.0, 0.0, 3.0)
POWERS = (1, 2, 3, 4)


def moments(positions):
    """Mean of x^k over the two particles, (..., 4)."""
    return np.stack([(positions[..., 0] ** k).mean(axis=-1) for k in POWERS], axis=-1)


def energy(parameters, positions):
    """eV, of every configuration of an array (..., 2, 3)."""
    with jax.enable_x64(True):
        flat = jax.vmap(lambda x: WELLS.energy(parameters, x))(positions.reshape(-1, 2, 3))
        return np.asarray(flat).reshape(positions.shape[:-2])


def run(parameters, seed, n_samples=800, n_free=3000):
    """Both chains: what was judged by the reference, and the guide alone with itself as judge."""
    thermal_energy = WELLS.thermal_energy
    guide = AnalyticGuide(WELLS.energy, parameters)
    proposal = GuidedTrajectory(guide, WELLS.ensemble, 28.0, 112.0, check_every=4)
    start = WELLS.start(seed)
    chain = sample(proposal, WELLS.reference, WELLS.ensemble, start, n_samples, 300 + seed)
    alone = AnalyticReference(WELLS.energy, parameters)
    free = sample(proposal, alone, WELLS.ensemble, start, n_free, 400 + seed)

    present = np.concatenate([start.positions[None], chain.positions[:-1]])
    proposed = np.array([t.proposed.configuration.positions for t in chain.transitions])
    ends = np.stack([proposed, present], axis=1)
    p = np.exp(np.minimum([t.log_acceptance for t in chain.transitions], 0.0))
    energies, guessed = energy(WELLS.right, ends), energy(parameters, ends)
    judgements = Judgements(
        np.stack([p, 1.0 - p], axis=1),
        (energies - guessed) / thermal_energy,
        np.full(n_samples, seed),
    )
    return chain, free, ends, judgements, energies / thermal_energy, guessed / thermal_energy


SOFT = tuple(0.9 * x if k in (0, 1, 4) else x for k, x in enumerate(WELLS.right))
GUIDES = {"half the tilt": TILTED, "forces scaled by 0.9": SOFT}


@pytest.fixture(scope="module", params=GUIDES)
def runs(request):
    return request.param, [run(GUIDES[request.param], seed) for seed in (1, 2, 3)]


def test_sharpened_averages_are_those_of_the_reference(runs):
    name, chains = runs
    exact = np.array([WELLS.average(lambda x, k=k: x**k) for k in POWERS])
    deviations, gains = [], []
    for chain, free, ends, judgements, _, _ in chains:
        found = sharpen(moments(ends), moments(ends), judgements, [moments(free.positions)])
        assert found.helped
        assert found.disagreement < 3.0
        deviations.append((found.value - exact) / found.error)
        plain = [estimate_mean(moments(chain.positions)[:, k], "", "exact") for k in range(4)]
        gains.append([(one.error / e) ** 2 for one, e in zip(plain, found.error, strict=True)])
    together = np.sum(deviations, axis=0) / np.sqrt(len(chains))
    assert np.all(np.abs(deviations) < 3.5), np.round(deviations, 1)
    assert np.all(np.abs(together) < 3.0), together.round(1)
    # The plain average of the guide is far off, so that agreement is no accident.
    _, _, _, judgements, _, _ = chains[0]
    biased = np.mean([moments(c[1].positions).mean(axis=0) for c in chains], axis=0)
    if name == "half the tilt":
        assert np.abs((biased - exact) / found.error).max() > 5.0
        assert np.median(gains) > 3.0, np.round(gains, 1)
        assert judgements.overlap > 0.8


def test_energy_with_the_guides_energy_as_control(runs):
    _, chains = runs
    exact = WELLS.mean_energy()
    deviations = []
    for _, free, _, judgements, energies, guessed in chains:
        alone = energy(GUIDES[runs[0]], free.positions) / WELLS.thermal_energy
        found = sharpen_mean(energies, guessed, judgements, [alone], "k_BT")
        deviations.append((found.value - exact) / found.error)
    assert np.all(np.abs(deviations) < 3.5), np.round(deviations, 1)
    assert abs(np.sum(deviations)) / np.sqrt(len(chains)) < 3.0


def gaussian(rng, n, wrong=0.0, good=0.2):
    """Independent judgements of a Gaussian target with an almost Gaussian guide, all accepted.

    Target N(0, 1); guide N(good, 1): U_D - U_M = good x, up to a constant.
    """
    x = rng.standard_normal((n, 2))
    probability = np.tile([1.0, 0.0], (n, 1))
    log_weight = good * x
    free = rng.standard_normal(10 * n) + good + wrong
    return x, Judgements(probability, log_weight, np.zeros(n, dtype=int)), free


def test_error_bars_cover_as_often_as_they_promise():
    rng = np.random.default_rng(3)
    deviations, gains = [], []
    for _ in range(300):
        x, judgements, free = gaussian(rng, 120)
        found = sharpen(x, x, judgements, [free])
        deviations.append(float(found.value / found.error))
        gains.append(float(found.n_effective) / 120.0)
    inside = np.mean(np.abs(deviations) < 1.0)
    assert 0.61 < inside < 0.75  # 68 % and the spread of 300 trials
    assert abs(np.mean(deviations)) < 3.0 / np.sqrt(300)
    # var(x) / var(residual) is about 1 / (good^2 + ...), less what the short free chain costs.
    assert 5.0 < np.median(gains) < 25.0


def test_a_guide_too_wrong_to_help_is_left_out():
    _, free, ends, judgements, _, _ = run(FAR, 1, 200, 400)
    found = sharpen(moments(ends), moments(ends), judgements, [moments(free.positions)])
    assert judgements.overlap < 0.7
    assert not found.helped


def test_a_guide_chain_elsewhere_is_ignored():
    rng = np.random.default_rng(4)
    x, judgements, free = gaussian(rng, 400, wrong=1.0)
    found = sharpen(x, x, judgements, [free])
    assert not found.helped
    assert found.disagreement > 4.0
    assert float(found.value) == pytest.approx(x[:, 0].mean(), abs=1e-12)
    estimate = sharpen_mean(x, x, judgements, [free], "Å")
    assert estimate.n_effective <= 400.0


def test_outside_the_guides_region_only_the_reference_speaks():
    rng = np.random.default_rng(5)
    deviations = []
    for _ in range(40):
        x = rng.standard_normal((500, 2))
        inside = x < 1.0
        log_weight = np.where(inside, 0.1 * x, -np.inf)
        free = rng.standard_normal(20_000) + 0.1
        judgements = Judgements(np.tile([1.0, 0.0], (500, 1)), log_weight, np.zeros(500, dtype=int))
        found = sharpen(x, x, judgements, [free[free < 1.0]])
        assert found.helped
        deviations.append(float(found.value / found.error))
    assert abs(np.mean(deviations)) < 3.0 / np.sqrt(40)


def test_too_little_to_go_by():
    x, judgements, free = gaussian(np.random.default_rng(6), 5)
    assert not sharpen(x, x, judgements, [free]).helped
    assert np.isfinite(float(sharpen(x, x, judgements, [free]).value))
    with pytest.raises(InputError, match="add up to one"):
        Judgements(np.ones((2, 2)), np.zeros((2, 2)), np.zeros(2))
    with pytest.raises(InputError, match="tables of shape"):
        Judgements(np.ones((3, 2)), np.zeros((2, 2)), np.zeros(2))
