"""Bayesian linear regression that grows label by label.

    y = Phi w + noise,  w ~ N(0, D^2 / alpha),  noise of kind k ~ N(0, sigma_k^2)

Posterior (Bishop, Pattern Recognition and Machine Learning, eqs. 3.53-3.54), in the scaled
weights v = w / D:

    M = sum_k D G_k D / sigma_k^2 + alpha,   v = M^-1 sum_k D b_k / sigma_k^2,   cov(v) = M^-1

with the Gram matrices G_k = Phi_k^T Phi_k and moments b_k = Phi_k^T y_k, which is all that a label
leaves behind: adding one costs its own rows, never a pass over the others. Kinds of rows (energy,
forces, stress) keep separate Gram matrices, so that their noise levels can be re-estimated at any
time by evidence maximisation (MacKay, Neural Computation 4, 415 (1992)):

    alpha <- gamma / |v|^2,            gamma   = n_features - alpha tr(M^-1)
    sigma_k^2 <- |y_k - Phi_k w|^2 / (n_k - gamma_k),  gamma_k = tr(M^-1 D G_k D) / sigma_k^2
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri, dtrtri

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Hyperparameters:
    """`prior_precision` alpha (dimensionless); `noise` sigma of each kind, in its rows' unit."""

    prior_precision: float
    noise: Mapping[str, float]


@dataclass
class NormalEquations:
    """What all rows seen so far leave behind, by kind.

    | field    | shape                    | unit          | meaning            |
    |----------|--------------------------|---------------|--------------------|
    | `gram`   | (n_features, n_features) | feature^2     | Phi^T Phi          |
    | `moment` | (n_features,)            | feature x y   | Phi^T y            |
    | `square` | scalar                   | y^2           | y^T y              |
    | `count`  | scalar                   | -             | number of rows     |
    """

    n_features: int
    gram: dict[str, Array] = field(default_factory=dict)
    moment: dict[str, Array] = field(default_factory=dict)
    square: dict[str, float] = field(default_factory=dict)
    count: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, rows: Array, targets: Array) -> None:
        """Add rows (n_rows, n_features) and their targets (n_rows,)."""
        if kind not in self.gram:
            self.gram[kind] = np.zeros((self.n_features, self.n_features))
            self.moment[kind] = np.zeros(self.n_features)
            self.square[kind], self.count[kind] = 0.0, 0
        self.gram[kind] += rows.T @ rows
        self.moment[kind] += rows.T @ targets
        self.square[kind] += float(targets @ targets)
        self.count[kind] += len(targets)

    def residual(self, kind: str, weights: Array) -> float:
        """|y - Phi w|^2 over all rows of a kind; never negative."""
        value = (
            self.square[kind]
            - 2.0 * weights @ self.moment[kind]
            + weights @ self.gram[kind] @ weights
        )
        return max(float(value), 1e-14 * self.square[kind])


@dataclass(frozen=True, eq=False)
class Posterior:
    """The distribution of the weights given all rows.

    | field     | shape                    | meaning                                            |
    |-----------|--------------------------|----------------------------------------------------|
    | `weights` | (n_features,)            | posterior mean, per unit of feature                |
    | `scales`  | (n_features,)            | prior standard deviations D, up to alpha           |
    | `factor`  | (n_features, n_features) | upper triangular R with M = R^T R                  |
    | `ridge`   | scalar                   | alpha, and jitter where rounding called for it     |
    """

    weights: Array
    scales: Array
    factor: Array
    ridge: float

    @property
    def unseen(self) -> int:
        """Directions of feature space that rest on the prior: alpha tr(M^-1), rounded.

        Collinear rows leave many. Costs as much as a Cholesky factorisation.
        """
        inverse, failed = dtrtri(self.factor)
        assert failed == 0
        return round(self.ridge * float(np.sum(np.triu(inverse) ** 2)))

    def standard_deviation(self, features: Array) -> Array:
        """sqrt(phi^T cov(w) phi) for rows phi (..., n_features), in the unit of y."""
        scaled = (features * self.scales).reshape(-1, len(self.scales))
        return np.asarray(np.sqrt(variance(self.factor, scaled)).reshape(features.shape[:-1]))


def variance(factor: Array, scaled: Array) -> Array:
    """phi^T D M^-1 D phi, (n,), of rows D phi (n, n_features); M = R^T R, `factor` R."""
    solved = solve_triangular(factor, scaled.T, trans="T", check_finite=False)
    return np.asarray((solved**2).sum(axis=0))


def _precision(equations: NormalEquations, scales: Array, hyper: Hyperparameters) -> Array:
    data = sum(
        (gram / hyper.noise[kind] ** 2 for kind, gram in equations.gram.items()),
        np.zeros((equations.n_features, equations.n_features)),
    )
    return np.asarray(scales[:, None] * data * scales[None, :])


def posterior(equations: NormalEquations, scales: Array, hyper: Hyperparameters) -> Posterior:
    """Solve by Cholesky; where rounding makes it indefinite, jitter is added until it is not."""
    n = equations.n_features
    precision = _precision(equations, scales, hyper)
    diagonal = np.diag_indices(n)
    ridge = hyper.prior_precision
    precision[diagonal] += ridge
    jitter = np.finfo(float).eps * np.trace(precision) / n
    while True:
        try:
            factor = cholesky(precision, check_finite=False)
            break
        except np.linalg.LinAlgError:
            precision[diagonal] += jitter
            ridge += jitter
            jitter *= 10.0
    moment = sum((m / hyper.noise[kind] ** 2 for kind, m in equations.moment.items()), np.zeros(n))
    weights = scales * cho_solve((factor, False), scales * moment, check_finite=False)
    return Posterior(weights, scales, factor, ridge)


def inverse(factor: Array) -> Array:
    """(R^T R)^-1, R upper triangular, at a third of the cost of solving for the unit matrix."""
    upper, failed = dpotri(factor)
    assert failed == 0
    return np.asarray(np.triu(upper) + np.triu(upper, 1).T)


def maximise_evidence(
    equations: NormalEquations,
    scales: Array,
    hyper: Hyperparameters,
    sweeps: int,
    noise_floor: Mapping[str, float],
    tolerance: float = 0.0,
) -> Hyperparameters:
    """Re-estimate alpha and every noise level by MacKay's fixed point, at most `sweeps` times.

    Fewer where a sweep changes none of them by more than the part `tolerance` of itself.
    A kind with few rows that the weights can fit exactly says nothing of its noise: no estimate
    falls below `noise_floor`, nor below a third of the last one in one sweep.
    """
    for _ in range(sweeps):
        solution = posterior(equations, scales, hyper)
        covariance = inverse(solution.factor)
        scaled_weights = solution.weights / scales
        effective = equations.n_features - hyper.prior_precision * np.trace(covariance)
        norm = float(scaled_weights @ scaled_weights)
        noise = renewed_noise(equations, solution, covariance, hyper.noise, noise_floor)
        alpha = max(float(effective), 1e-3) / norm if norm > 0.0 else hyper.prior_precision
        changes = [alpha / hyper.prior_precision, *(noise[k] / hyper.noise[k] for k in noise)]
        hyper = replace(hyper, prior_precision=alpha, noise=noise)
        if max(abs(change - 1.0) for change in changes) < tolerance:
            break
    return hyper


def renewed_noise(
    equations: NormalEquations,
    solution: Posterior,
    covariance: Array,
    noise: Mapping[str, float],
    noise_floor: Mapping[str, float],
) -> dict[str, float]:
    """Noise of each kind by one step of the fixed point; `covariance` is M^-1."""
    scales, renewed = solution.scales, dict(noise)
    for kind, gram in equations.gram.items():
        scaled_gram = scales[:, None] * gram * scales[None, :]
        explained = float(np.sum(covariance * scaled_gram)) / noise[kind] ** 2
        free = max(equations.count[kind] - explained, 0.1 * equations.count[kind])
        found = float(np.sqrt(equations.residual(kind, solution.weights) / free))
        renewed[kind] = max(found, noise[kind] / 3.0, noise_floor[kind])
    return renewed
