"""Losses: the sum of squared residuals, and sigma, the spread of total-energy errors.

    loss = 1/2 sum r^2 + 1/2 sum_p precision_p (theta_p - mean_p)^2

Acceptance of guided trajectories depends on the errors of the guide through one number alone, the
standard deviation sigma of its total-energy error over the ensemble; a constant error costs
nothing, and errors of forces matter only as far as they become errors of energies:

    P = erfc(beta sigma / 2)

for end points that are independent and errors that are Gaussian (from <exp(-beta dH)> = 1, with
dH of variance 2 sigma^2). The variance within groups of equal atoms is the minimum over one offset
for each group of the sum of squares, so the `sigma` objective is the squared loss with offsets
(`TrainingProblem.n_groups`): it stays a sum over labels, and every trainer can minimise it. What
acceptance a spread means is told by `analysis/acceptance_forecast.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.training.batches import Batch, TrainingLabel
from hyperatom.potentials.training.problem import Noise, TrainingProblem
from hyperatom.units import BOLTZMANN

Array = NDArray[np.float64]
Stacks = tuple[Batch, ...]


def squared_loss(problem: TrainingProblem, vector: jax.Array, stacks: Stacks) -> jax.Array:
    """The loss over all batches; its gradient adds up batch by batch, in little memory."""
    total = prior_loss(problem, vector)
    for stack in stacks:
        total = total + _stacked_loss(problem, stack)(vector)
    return total


def prior_loss(problem: TrainingProblem, vector: jax.Array) -> jax.Array:
    """Minus the logarithm of the prior, up to a constant."""
    precision, mean = (jnp.asarray(array) for array in problem.prior)
    return 0.5 * jnp.sum(precision * (vector - mean) ** 2)


def batch_loss(problem: TrainingProblem, vector: jax.Array, batch: Batch) -> jax.Array:
    """Half the sum of squares of one batch, in double precision."""
    return 0.5 * jnp.sum(problem.residuals(vector, batch).astype(jnp.float64) ** 2)


def _stacked_loss(problem: TrainingProblem, stack: Batch) -> Callable[[jax.Array], jax.Array]:
    # Gradients are added while the batches pass: a plain derivative of the loop would keep what
    # every batch needs for its way back.
    @jax.custom_vjp
    def loss(vector: jax.Array) -> jax.Array:
        def one(batch: Batch) -> jax.Array:
            return batch_loss(problem, vector, batch)

        return jnp.asarray(sum_over(one, stack, jnp.zeros((), jnp.float64)))

    def forward(vector: jax.Array) -> tuple[jax.Array, jax.Array]:
        def one(batch: Batch) -> Any:
            return jax.value_and_grad(batch_loss, argnums=1)(problem, vector, batch)

        start = (jnp.zeros((), jnp.float64), jnp.zeros_like(vector))
        value, gradient = sum_over(one, stack, start)
        return value, gradient

    def backward(gradient: jax.Array, weight: jax.Array) -> tuple[jax.Array]:
        return (weight * gradient,)

    loss.defvjp(forward, backward)
    return loss


def sum_over(function: Callable[[Batch], Any], stack: Batch, start: Any) -> Any:
    """`start` plus the sum of a function's trees of arrays over all filled batches of a stack.

    It cannot be differentiated: the number of batches is data.
    """

    def add(number: jax.Array, total: Any) -> Any:
        return jax.tree.map(jnp.add, total, function(stack.number(number)))

    return jax.lax.fori_loop(0, stack.filled(), add, start)


def n_rows(stacks: Stacks, problem: TrainingProblem) -> float:
    """How many residuals there are, padding left out."""
    total = 0.0
    for stack in stacks:
        total += float(np.sum(stack.weight > 0.0))
        if not problem.energies_alone:
            total += 3.0 * float(np.sum(stack.force_weight > 0.0))
            total += 6.0 * float(np.sum(stack.virial_weight > 0.0))
    return total


@dataclass(frozen=True)
class EnergySpread:
    """The standard deviation of total-energy errors within groups.

    | field            | unit    | meaning                                                       |
    |------------------|---------|---------------------------------------------------------------|
    | `sigma`          | eV      | standard deviation within groups, of the total energy         |
    | `standard_error` | eV      | of sigma, from the fourth moment of the errors                |
    | `n_effective`    | -       | labels less one for each group                                |
    """

    sigma: float
    standard_error: float
    n_effective: int


def energy_spread(errors: Array, groups: NDArray[np.int64]) -> EnergySpread:
    """The spread of total-energy errors (n,), eV, within `groups` (n,); NaN where none has two."""
    centred = np.array(errors, dtype=np.float64)
    names, place = np.unique(groups, return_inverse=True)
    counts = np.bincount(place)
    centred -= (np.bincount(place, errors) / counts)[place]
    degrees = int(len(centred) - len(names))
    if degrees < 1:
        return EnergySpread(float("nan"), float("nan"), degrees)
    variance = float(centred @ centred) / degrees
    kurtosis = float(np.mean(centred**4)) / max(float(np.mean(centred**2)) ** 2, 1e-300)
    relative = np.sqrt(max(kurtosis - 1.0, 0.0) / len(centred))
    sigma = float(np.sqrt(variance))
    return EnergySpread(sigma, 0.5 * sigma * float(relative), degrees)


def sigma_noise(
    labels: Sequence[TrainingLabel], temperature: float, force_noise: float = 5.0e-2
) -> Noise:
    """Noise in which an energy error of kT / sqrt(2) is one residual.

    Then half the squared energy residual is (error / kT)^2, whose mean is b^2 = (beta sigma)^2.
    `temperature` in K, `force_noise` in eV/Å.
    """
    n_atoms = float(np.mean([label.configuration.n_atoms for label in labels]))
    energy = BOLTZMANN * temperature / np.sqrt(2.0 * n_atoms)
    return Noise(energy=float(energy), forces=force_noise, virial=float("inf"))
