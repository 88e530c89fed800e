"""How wrong an energy is expected to be, in parts: what was not learned, and what no fit can mend.

    sigma^2 = sum_k c_k^2 v_k

v_1 is the variance of the parameters (of a posterior widened by `readouts.misfit`, or of the
members of a committee), v_2 the noise, n_atoms s^2, v_3 that of a prior, of what no parameter can
say. Each misses by its own factor c_k: where a potential cannot follow its data, errors of the rows
of a frame go together, and a posterior that takes them for independent is far too sure, while s is
about right, and a prior that knows no data far too doubtful.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ENOUGH: Final = 5
"""Errors that were found, from which on predicted ones are corrected."""

SPREAD: Final = 3.0
"""Of ln(c_k^2) about that of one c for the first two, which remains where nothing tells them apart,
and about that by which a third would explain all alone."""


def parts_of(*variances: Any) -> Array:
    """The variances of each energy, (n, n_parts), each of (n,) or one number, in eV^2."""
    return np.stack(np.broadcast_arrays(*variances), axis=1)


def deviation(inflations: Any, variances: Array) -> Array:
    """sigma in eV, (n,), of variances (n, n_parts) in eV^2; `inflations` (n_parts,), or one."""
    return np.asarray(np.sqrt(variances @ np.broadcast_to(inflations, variances.shape[1]) ** 2))


def inflations_of(wrong: Array, variances: Array) -> Array:
    """The c_k, (n_parts,), under which errors that were found are the most likely.

    `wrong` (n,) in eV are errors of energies that were not learned, taken as normal, `variances`
    (n, n_parts) in eV^2 what was predicted of them. Ones where there are fewer than `ENOUGH`.
    """
    from scipy.optimize import minimize

    if len(wrong) < ENOUGH:
        return np.ones(variances.shape[1])
    # The scale of a prior's variance, far beyond the others, says nothing about theirs.
    known = variances[:, :2].sum(axis=1)
    parts = (known if k < 2 else part for k, part in enumerate(variances.T))
    centres = np.array([np.log(np.mean(wrong**2 / part)) for part in parts])

    def unlikely(logarithms: Array) -> float:
        variance = variances @ np.exp(logarithms)
        prior = np.sum(((logarithms - centres) / SPREAD) ** 2)
        return float(np.sum(np.log(variance) + wrong**2 / variance) + prior)

    found = minimize(unlikely, centres, method="Nelder-Mead", options={"maxiter": 1000}).x
    return np.asarray(np.exp(0.5 * found))
