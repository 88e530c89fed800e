"""What the parameters are wrong by where no weights can follow the data.

The posterior of `bayesian_linear` takes all that weights miss for noise, independent from row to
row; where it is the form of the potential that cannot follow, it is the same for frames that are
alike, and hits the directions of feature space in which they lie. What frames did miss says which:

    S = M^-1 [sum_i D phi_i (r_i / s_i^2)^2 phi_i^T D] M^-1,   r_i = y_i - phi_i w

the covariance of estimates under a wrong model (H. White, Econometrica 48, 817 (1980)), over rows
of energies, s_i^2 the variance of each. Few frames know few directions, and S says zero of all
others; as covariances of few samples are (O. Ledoit and M. Wolf, J. Multivar. Anal. 88, 365
(2004)), it is drawn half-way to what knows them all, here to the posterior at its size:

    var E = phi^T D (M^-1 + S / g) D phi,   g = geometric mean over the frames of S over M^-1.

Its size is corrected afterwards (`predicted_errors`).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from hyperatom.potentials.readouts.bayesian_linear import Posterior, variance

Array = NDArray[np.float64]


def misfits(solution: Posterior, rows: Array, missed: Array, variances: Array) -> Array:
    """L with L^T L = S / g, (n_frames, n_unknowns), or as many rows as unknowns if these are fewer.

    `rows` (n_frames, n_unknowns) are features of energies in feature units, `missed` r (n_frames,)
    in eV, `variances` s^2 (n_frames,) in eV^2. No rows of L where nothing was missed.
    """
    scaled = rows * solution.scales
    pulled = cho_solve((solution.factor, False), scaled.T, check_finite=False).T
    pulled = pulled * (missed / variances)[:, None]
    known, found = np.sum((scaled @ pulled.T) ** 2, axis=1), variance(solution.factor, scaled)
    if not np.all(known > 0.0):
        return np.zeros((0, rows.shape[1]))
    pulled = pulled / np.exp(0.5 * np.mean(np.log(known / found)))
    if len(pulled) > pulled.shape[1]:
        pulled = np.linalg.qr(pulled, mode="r")
    return np.asarray(pulled)


def parameter_variance(factor: Array, misfit: Array | None, scaled: Array) -> Array:
    """var E of the equation above, (n,) in eV^2, of rows D phi (n, n_unknowns).

    `factor` R is upper triangular, M = R^T R; `misfit` L as `misfits` made it, or None, as in files
    of earlier versions: then S is zero.
    """
    if misfit is None:
        return variance(factor, scaled)
    return np.asarray(variance(factor, scaled) + np.sum((scaled @ misfit.T) ** 2, axis=1))
