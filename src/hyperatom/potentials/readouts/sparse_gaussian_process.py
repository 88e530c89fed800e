"""Sparse Gaussian process: atomic energies as sums of kernels with few inducing points.

    e(x) = sum_s alpha_s k(x, x_s),   alpha ~ N(0, delta^2 K_ss^-1)

Energies, forces and virials y are linear functionals of atomic energies, so that rows K_ys (sums
and derivatives of k(x, x_s)) say what the points say of them: y = K_ys alpha + noise, the
deterministic training conditional (Quiñonero-Candela and Rasmussen, J. Mach. Learn. Res. 6, 1939
(2005); Bartók and Csányi, Int. J. Quantum Chem. 115, 1051 (2015)).

With K_ss = L L^T and alpha = delta L^-T u, the rows V = K_ys L^-T have weights u of unit variance,
and the posterior is that of `bayesian_linear`:

    M = delta^2 V^T Lambda^-1 V + 1,   u = delta M^-1 V^T Lambda^-1 y

whose condition does not know that of K_ss (Foster et al., J. Mach. Learn. Res. 10, 857 (2009)).
Signals delta of each term and noise levels Lambda maximise the evidence, as in `bayesian_linear`,

    delta_g^2 <- |delta_g u_g|^2 / gamma_g,   gamma_g = n_g - tr_g(M^-1).

The variance of an energy E is that of the projected process with the prior's own variance,

    var E = delta^2 [k(E, E) - |L^-1 k_sE|^2] + delta^2 v^T M^-1 v,   v = L^-1 k_sE:

what the points cannot say of E, and what the data did not say of the points. The second is widened
by what frames were missed by (`misfit`); the first knows no data, and where atoms are alike their
shares add up although many frames have told of such atoms: each has a size of its own, corrected
afterwards (`predicted_errors`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from hyperatom.potentials.readouts.bayesian_linear import (
    Hyperparameters,
    NormalEquations,
    inverse,
    posterior,
    renewed_noise,
)
from hyperatom.potentials.readouts.misfit import parameter_variance

Array = NDArray[np.float64]

JITTER: Final = 1.0e-8
"""Added to the diagonal of K_ss, per mean of the diagonal: weights stay below 1e4 delta."""


def dot_product_kernel(x: jax.Array, points: jax.Array, exponent: float) -> jax.Array:
    """(x . x_s)^exponent, (..., n_points); `x` (..., n_features), `points` (n_points, n_features).

    Where the exponent is not a whole number, products below zero count as zero.
    """
    return jnp.asarray(_power(x @ points.T, exponent))


def dot_product_slopes(
    x: jax.Array, slopes: jax.Array, points: jax.Array, exponent: float
) -> tuple[jax.Array, jax.Array]:
    """The kernel and its derivatives along displacements.

    | array    | shape                              | meaning                                  |
    |----------|------------------------------------|------------------------------------------|
    | `x`      | (n_block, n_features)              | normalised features                      |
    | `slopes` | (n_block, n_slots, 3, n_features)  | dx/dr of each neighbour                  |
    | `points` | (n_points, n_features)             | inducing points                          |
    | returns  | (n_block, n_points), (n_block, n_slots, 3, n_points)                          |
    """
    product = x @ points.T
    along = (exponent * _power(product, exponent - 1.0))[:, None, None, :]
    return _power(product, exponent), along * (slopes @ points.T)


def dot_product_covariance(points: Array, exponent: float) -> Array:
    """K_ss, (n_points, n_points), of `points` (n_points, n_features)."""
    return np.asarray(_power(points @ points.T, exponent))


def dot_product_totals(x: Array, points: Array, exponent: float) -> tuple[Array, float]:
    """Sums over atoms: k(E, x_s) = sum_i k(x_i, x_s) and k(E, E) = sum_ij k(x_i, x_j).

    `x` (n_atoms, n_features); returns (n_points,) and a scalar. With exponent 2 both are made of
    the moment C = sum_i x_i x_i^T, whatever the numbers of atoms and points: x_s^T C x_s and |C|^2.
    """
    if exponent == 2.0:
        moment = x.T @ x
        return np.einsum("sf,sf->s", points @ moment, points), float(np.sum(moment**2))
    totals, prior = np.zeros(len(points)), 0.0
    for start in range(0, len(x), ROWS):
        some = x[start : start + ROWS]
        totals += _power(some @ points.T, exponent).sum(axis=0)
        prior += float(_power(some @ x.T, exponent).sum())
    return totals, prior


ROWS: Final = 256
"""Atoms whose kernels with all others are held at a time."""


def _power(product: Any, exponent: float) -> Any:
    if float(exponent).is_integer():
        return product ** int(exponent)
    where = np.where if isinstance(product, np.ndarray) else jnp.where
    positive = product > 0.0
    return where(positive, where(positive, product, 1.0) ** exponent, 0.0)


def gaussian_kernel(x: jax.Array, points: jax.Array, widths: Any) -> jax.Array:
    """exp(-|(x - x_s) / widths|^2 / 2), (..., n_points); `widths` (n_features,)."""
    scaled, at = x / widths, points / widths
    exponent = scaled @ at.T - 0.5 * jnp.sum(at * at, axis=1)
    return jnp.exp(exponent - 0.5 * jnp.sum(scaled * scaled, axis=-1, keepdims=True))


def sparse_factor(covariance: Array) -> Array:
    """L of K_ss + jitter, lower, (n_points, n_points); more jitter where rounding calls for it."""
    unit = np.eye(len(covariance)) * float(np.mean(np.diag(covariance)))
    jitter = JITTER
    while True:
        try:
            return np.asarray(cholesky(covariance + jitter * unit, lower=True, check_finite=False))
        except np.linalg.LinAlgError:
            jitter *= 10.0


def whitened(factor: Array, rows: Array) -> Array:
    """V = K L^-T of rows K (..., n_points)."""
    flat = rows.reshape(-1, len(factor))
    solved = solve_triangular(factor, flat.T, lower=True, check_finite=False)
    return np.asarray(solved.T.reshape(rows.shape))


def kernel_weights(factor: Array, weights: Array) -> Array:
    """alpha = L^-T w of whitened weights w (n_points,), which hold delta."""
    return np.asarray(solve_triangular(factor, weights, lower=True, trans="T", check_finite=False))


def prior_scales(groups: Sequence[slice], signals: Array, n_unknowns: int, rest: float) -> Array:
    """Prior standard deviation of each whitened weight, (n_unknowns,), `rest` outside the groups.

    `signals` (n_groups,) are the delta of each term.
    """
    scales = np.full(n_unknowns, rest)
    for group, signal in zip(groups, signals, strict=True):
        scales[group] = signal
    return scales


def maximise_evidence_of_terms(
    equations: NormalEquations,
    groups: Sequence[slice],
    rest: float,
    signals: Array,
    noise: Mapping[str, float],
    stated: Mapping[str, float],
    sweeps: int,
    noise_floor: Mapping[str, float],
) -> tuple[Array, dict[str, float]]:
    """Re-estimate the signal of each term and the noise that is not `stated`, `sweeps` times.

    Returns signals (n_groups,) in eV and noise by kind.
    """
    signals, levels = np.array(signals, dtype=float), {**noise, **stated}
    for _ in range(sweeps):
        scales = prior_scales(groups, signals, equations.n_features, rest)
        solution = posterior(equations, scales, Hyperparameters(1.0, levels))
        covariance = inverse(solution.factor)
        levels = {
            **renewed_noise(equations, solution, covariance, levels, noise_floor),
            **stated,
        }
        unexplained = np.diag(covariance)
        for number, group in enumerate(groups):
            size = group.stop - group.start
            determined = max(size - float(unexplained[group].sum()), 1e-3)
            found = float(np.sum(solution.weights[group] ** 2)) / determined
            # A term that explains nothing shrinks step by step, and may come back.
            signals[number] = max(np.sqrt(found), signals[number] / 3.0, 1e-6)
    return signals, levels


def predictive_variance(
    whitened_rows: Array,
    prior: Array,
    scales: Array,
    posterior_factor: Array,
    misfit: Array | None = None,
) -> Array:
    """The parts of var E of n energies, (n, 2) in eV^2: what data, and what points did not say.

    The first with what `misfit` adds to it.

    | array              | shape                    | meaning                                      |
    |--------------------|--------------------------|----------------------------------------------|
    | `whitened_rows`    | (n, n_unknowns)          | v, and numbers of atoms in the last columns  |
    | `prior`            | (n,)                     | delta^2 [k(E, E) - |L^-1 k_sE|^2], eV^2      |
    | `scales`           | (n_unknowns,)            | prior standard deviations, delta, eV         |
    | `posterior_factor` | (n_unknowns, n_unknowns) | upper triangular R, M = R^T R                |
    | `misfit`           | (n_frames, n_unknowns)   | as `misfits` made it; None: nothing missed   |
    """
    untold = parameter_variance(posterior_factor, misfit, whitened_rows * scales)
    return np.stack([untold, np.maximum(prior, 0.0)], axis=1)
