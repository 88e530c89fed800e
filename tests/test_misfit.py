"""What a model that cannot follow its data is wrong by: formula, size, and whom it warns of."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from hyperatom.potentials.readouts.bayesian_linear import (
    Hyperparameters,
    NormalEquations,
    posterior,
)
from hyperatom.potentials.readouts.misfit import misfits, parameter_variance

NOISE = 0.05


def fitted(rows, targets, scales):
    equations = NormalEquations(rows.shape[1])
    equations.add("energy", rows, targets)
    return posterior(equations, scales, Hyperparameters(0.5, {"energy": NOISE}))


@pytest.mark.parametrize("n_frames", [7, 60])
def test_it_is_the_covariance_of_estimates_under_a_wrong_model(n_frames):
    """Dense matrices say the same, with fewer frames than unknowns and with more."""
    rng = np.random.default_rng(0)
    n_unknowns = 12
    rows, targets = rng.normal(size=(n_frames, n_unknowns)), rng.normal(size=n_frames)
    scales = rng.uniform(0.5, 2.0, n_unknowns)
    variances = rng.uniform(0.5, 2.0, n_frames) * NOISE**2
    solution = fitted(rows, targets, scales)
    missed = rows @ solution.weights - targets

    inverse = np.linalg.inv(solution.factor.T @ solution.factor)
    scaled = rows * scales
    inner = sum(
        np.outer(row, row) * (r / s) ** 2
        for row, r, s in zip(scaled, missed, variances, strict=True)
    )
    sandwich = inverse @ inner @ inverse
    known = np.einsum("ia,ab,ib->i", scaled, sandwich, scaled)
    size = np.exp(np.mean(np.log(known / np.einsum("ia,ab,ib->i", scaled, inverse, scaled))))

    made = misfits(solution, rows, missed, variances)
    assert made.shape == (min(n_frames, n_unknowns), n_unknowns)
    new = rng.normal(size=(5, n_unknowns))
    expected = np.einsum("ia,ab,ib->i", new, inverse + sandwich / size, new)
    np.testing.assert_allclose(parameter_variance(solution.factor, made, new), expected, rtol=1e-8)


def test_frames_like_those_that_were_missed_are_told_beforehand():
    """Groups of frames with an energy that no feature has: the posterior does not know which."""
    rng = np.random.default_rng(1)
    n_groups, n_unknowns = 12, 40
    centres = rng.normal(size=(n_groups, n_unknowns))
    unheard_of = np.geomspace(0.01, 3.0, n_groups)
    truth = rng.normal(size=n_unknowns)

    def frames(of_each):
        group = np.repeat(np.arange(n_groups), of_each)
        rows = centres[group] + 0.3 * rng.normal(size=(len(group), n_unknowns))
        noise = rng.normal(size=len(group))
        return rows, rows @ truth + unheard_of[group] * noise

    new, told = frames(30)
    assert np.abs(told - new @ truth).max() > 1.0
    scales, variances = np.ones(n_unknowns), np.full(20 * n_groups, NOISE**2)
    wrong, alone, widened = [], [], []
    for _ in range(30):
        rows, targets = frames(20)
        solution = fitted(rows, targets, scales)
        made = misfits(solution, rows, rows @ solution.weights - targets, variances)
        wrong.append((new @ (solution.weights - truth)) ** 2)
        alone.append(parameter_variance(solution.factor, made[:0], new))
        widened.append(parameter_variance(solution.factor, made, new))
    found, posterior_alone, told_so = (np.mean(one, axis=0) for one in (wrong, alone, widened))
    assert spearmanr(told_so, found)[0] > 0.6
    assert spearmanr(told_so, found)[0] > spearmanr(posterior_alone, found)[0] + 0.2
    # Its ratio to what is found varies less, too: one number mends it.
    spread, spread_alone = (np.std(np.log(one / found)) for one in (told_so, posterior_alone))
    assert spread < 0.8 * spread_alone


def test_where_nothing_was_missed_there_is_the_posterior_alone():
    rows = np.random.default_rng(2).normal(size=(6, 9))
    solution = fitted(rows, np.zeros(6), np.ones(9))
    made = misfits(solution, rows, np.zeros(6), np.full(6, NOISE**2))
    assert made.shape == (0, 9)
    alone = parameter_variance(solution.factor, made, rows)
    np.testing.assert_allclose(np.sqrt(alone), solution.standard_deviation(rows), rtol=1e-12)
    # Files of earlier versions hold no misfits.
    np.testing.assert_array_equal(parameter_variance(solution.factor, None, rows), alone)
