"""The streaming readout against direct dense algebra, and against noise that we chose."""

from itertools import pairwise

import numpy as np
import pytest

from hyperatom.potentials.readouts.bayesian_linear import (
    Hyperparameters,
    NormalEquations,
    maximise_evidence,
    posterior,
)

KINDS = {"energy": 0.02, "forces": 0.3}
FLOOR = {"energy": 1e-6, "forces": 1e-6}


class Problem:
    """Rows of two kinds, of unequal widths, with weights drawn from the prior."""

    def __init__(self, seed, n_features=25, counts=(40, 300), alpha=0.5):
        self.rng = np.random.default_rng(seed)
        self.scales = self.rng.uniform(0.2, 5.0, n_features)
        self.hyper = Hyperparameters(alpha, dict(KINDS))
        self.weights = self.scales * self.rng.normal(size=n_features) / np.sqrt(alpha)
        self.rows, self.targets = {}, {}
        for (kind, sigma), count in zip(KINDS.items(), counts, strict=True):
            self.rows[kind] = self.draw(count)
            noise = sigma * self.rng.normal(size=count)
            self.targets[kind] = self.rows[kind] @ self.weights + noise

    def draw(self, count):
        return self.rng.normal(size=(count, len(self.scales))) / self.scales

    def equations(self, chunk=10**9):
        equations = NormalEquations(len(self.scales))
        for kind, rows in self.rows.items():
            for first in range(0, len(rows), chunk):
                part = slice(first, first + chunk)
                equations.add(kind, rows[part], self.targets[kind][part])
        return equations

    def log_evidence(self, alpha, noise):
        """log N(y; 0, Phi D^2 Phi^T / alpha + sigma^2), with all rows at once."""
        rows = np.concatenate([self.rows[kind] for kind in KINDS]) * self.scales
        y = np.concatenate([self.targets[kind] for kind in KINDS])
        sigma = np.concatenate([np.full(len(self.targets[k]), noise[k]) for k in KINDS])
        covariance = rows @ rows.T / alpha + np.diag(sigma**2)
        return -0.5 * (y @ np.linalg.solve(covariance, y) + np.linalg.slogdet(covariance)[1])


def test_posterior_is_the_direct_solution():
    problem = Problem(1)
    found = posterior(problem.equations(), problem.scales, problem.hyper)
    # The same by least squares on whitened rows, the prior being rows of its own.
    rows = np.concatenate(
        [problem.rows[kind] / sigma for kind, sigma in KINDS.items()]
        + [np.sqrt(problem.hyper.prior_precision) * np.diag(1.0 / problem.scales)]
    )
    targets = np.concatenate(
        [problem.targets[kind] / sigma for kind, sigma in KINDS.items()]
        + [np.zeros(len(problem.scales))]
    )
    weights = np.linalg.lstsq(rows, targets, rcond=None)[0]
    np.testing.assert_allclose(found.weights, weights, rtol=1e-9, atol=1e-10)
    covariance = np.linalg.inv(rows.T @ rows)
    features = problem.draw(6).reshape(2, 3, -1)
    expected = np.sqrt(np.einsum("abi,ij,abj->ab", features, covariance, features))
    np.testing.assert_allclose(found.standard_deviation(features), expected, rtol=1e-9)
    assert found.unseen == 0


def test_label_by_label_is_the_same_as_all_at_once():
    problem = Problem(2)
    whole = problem.equations()
    for chunk in (1, 7):
        parts = problem.equations(chunk)
        assert parts.count == whole.count
        for kind in KINDS:
            np.testing.assert_allclose(parts.gram[kind], whole.gram[kind], rtol=1e-12, atol=1e-12)
        one = posterior(whole, problem.scales, problem.hyper)
        other = posterior(parts, problem.scales, problem.hyper)
        np.testing.assert_allclose(other.weights, one.weights, rtol=1e-9, atol=1e-11)


def test_residual_is_the_sum_of_squares():
    problem = Problem(3)
    equations = problem.equations()
    weights = problem.weights * 1.1
    for kind in KINDS:
        direct = np.sum((problem.targets[kind] - problem.rows[kind] @ weights) ** 2)
        assert equations.residual(kind, weights) == pytest.approx(direct, rel=1e-9)


def test_evidence_is_at_its_maximum():
    problem = Problem(4)
    wrong = Hyperparameters(0.01, {"energy": 0.5, "forces": 0.05})
    found = maximise_evidence(problem.equations(), problem.scales, wrong, 40, FLOOR)
    best = problem.log_evidence(found.prior_precision, found.noise)
    assert best > problem.log_evidence(wrong.prior_precision, wrong.noise) + 100.0
    for factor in (0.9, 1.1):
        assert best > problem.log_evidence(factor * found.prior_precision, found.noise)
        for kind in KINDS:
            noise = {**found.noise, kind: factor * found.noise[kind]}
            assert best > problem.log_evidence(found.prior_precision, noise)
    # And flat there: a step a hundred times smaller changes it by second order only.
    for kind in KINDS:
        ends = [
            problem.log_evidence(
                found.prior_precision, {**found.noise, kind: f * found.noise[kind]}
            )
            for f in (0.999, 1.001)
        ]
        assert abs(ends[1] - ends[0]) / 0.002 < 0.05


def test_evidence_ends_where_a_sweep_changes_little():
    problem = Problem(4)
    start = Hyperparameters(0.01, {"energy": 0.5, "forces": 0.05})
    equations = problem.equations()
    sweeps = [maximise_evidence(equations, problem.scales, start, n, FLOOR) for n in range(1, 41)]
    ended = maximise_evidence(equations, problem.scales, start, 40, FLOOR, tolerance=0.02)
    number = sweeps.index(ended)
    assert 1 < number < 39
    changes = [
        abs(now.prior_precision / before.prior_precision - 1.0) for before, now in pairwise(sweeps)
    ]
    assert changes[number - 1] < 0.02
    assert ended.prior_precision == pytest.approx(sweeps[-1].prior_precision, rel=0.05)


def test_evidence_recovers_the_noise_that_was_put_in():
    ratios = []
    for seed in range(16):
        problem = Problem(10 + seed, counts=(120, 400))
        start = Hyperparameters(1.0, {"energy": 1.0, "forces": 1.0})
        found = maximise_evidence(problem.equations(), problem.scales, start, 25, FLOOR)
        ratios.append(
            [found.noise[kind] / sigma for kind, sigma in KINDS.items()]
            + [np.sqrt(0.5 / found.prior_precision)]
        )
    mean, error = np.mean(ratios, axis=0), np.std(ratios, axis=0, ddof=1) / np.sqrt(16)
    assert np.all(error < [0.05, 0.03, 0.08])
    assert np.all(np.abs(mean - 1.0) < 3.0 * error + 0.01)


def test_the_noise_never_falls_below_the_floor_or_too_fast():
    problem = Problem(5)
    exact = NormalEquations(len(problem.scales))
    for kind, rows in problem.rows.items():
        exact.add(kind, rows, rows @ problem.weights)
    once = maximise_evidence(exact, problem.scales, problem.hyper, 1, FLOOR)
    assert once.noise["energy"] == pytest.approx(KINDS["energy"] / 3.0)
    floor = {"energy": 1e-3, "forces": 2e-3}
    found = maximise_evidence(exact, problem.scales, problem.hyper, 30, floor)
    assert found.noise == floor


def test_predicted_deviations_are_the_ones_found():
    squares = []
    for seed in range(60):
        problem = Problem(100 + seed, counts=(6, 15))
        found = posterior(problem.equations(), problem.scales, problem.hyper)
        features = problem.draw(1)
        error = features @ (found.weights - problem.weights)
        squares.append((error / found.standard_deviation(features)) ** 2)
    # 60 independent draws of chi square with one degree: mean 1, standard deviation sqrt 2.
    assert np.mean(squares) == pytest.approx(1.0, abs=3.0 * np.sqrt(2.0 / 60.0))


def test_hardly_any_rows_leave_the_prior():
    problem = Problem(6, counts=(1, 1))
    found = posterior(problem.equations(), problem.scales, problem.hyper)
    n = len(problem.scales)
    assert n - 6 <= found.unseen <= n - 2
    features = problem.draw(50)
    prior = np.linalg.norm(features * problem.scales, axis=1) / np.sqrt(0.5)
    ratio = found.standard_deviation(features) / prior
    assert np.all(ratio <= 1.0 + 1e-12)
    assert np.mean(ratio) > 0.9


@pytest.mark.parametrize("size", [1.0, 1e6])
def test_thousands_of_collinear_features_stay_finite(size):
    rng = np.random.default_rng(7)
    n_features, rank = 1500, 20
    mixing = rng.normal(size=(rank, n_features)) / np.sqrt(rank)
    hidden = size * rng.normal(size=(500, rank))
    rows = hidden @ mixing
    targets = hidden @ rng.normal(size=rank) + 0.01 * rng.normal(size=500)
    equations = NormalEquations(n_features)
    equations.add("energy", rows, targets)
    scales = np.ones(n_features)
    hyper = Hyperparameters(1e-3, {"energy": 0.01})
    found = posterior(equations, scales, hyper)
    assert np.isfinite(found.weights).all()
    if size == 1.0:
        assert found.unseen == n_features - rank
    else:  # rounding asked for so much jitter that it outweighs some of the directions
        assert n_features - rank <= found.unseen < n_features
    np.testing.assert_allclose(rows @ found.weights, targets, atol=0.1)
    seen, unseen = rows[:1], rng.normal(size=(1, n_features))
    assert found.standard_deviation(seen)[0] < 0.01
    # The prior's own, 1/sqrt(1e-3) for each feature; or what rounding leaves of it.
    assert found.standard_deviation(unseen)[0] > (500.0 if size == 1.0 else 0.05)
    again = maximise_evidence(equations, scales, hyper, 1, FLOOR)
    assert np.isfinite([again.prior_precision, again.noise["energy"]]).all()
    # Sums of squares resolve residuals down to 1e-7 of the targets.
    assert again.noise["energy"] == pytest.approx(0.01, rel=0.15, abs=1e-6 * size)


def test_a_column_that_was_never_seen_does_no_harm():
    problem = Problem(8)
    for rows in problem.rows.values():
        rows[:, 3] = 0.0
    found = posterior(problem.equations(), problem.scales, problem.hyper)
    assert found.unseen == 1
    assert found.weights[3] == pytest.approx(0.0, abs=1e-12)
    only = np.zeros((1, len(problem.scales)))
    only[0, 3] = 1.0
    expected = problem.scales[3] / np.sqrt(0.5)
    assert found.standard_deviation(only)[0] == pytest.approx(expected, rel=1e-9)
