"""Global extended Kalman filter: every observation corrects all parameters at once.

    K = P H^T (lambda R + H P H^T)^-1
    theta <- theta - K r,    P <- (P - K H P) / lambda + q

with r the residuals of `rows` observations, H their derivatives, R = 1 (residuals are in units of
their noise), the forgetting factor lambda <- lambda_0 lambda + 1 - lambda_0, and a little process
noise q that keeps P from freezing.

Blank and Brown, J. Chemom. 8, 391 (1994); Singraber, Morawietz, Behler and Dellago, J. Chem.
Theory Comput. 15, 3075 (2019). Observations are energies and force components in turn, in an order
drawn for every epoch; as there, only a part of the forces is used, drawn anew, since neighbouring
ones say much the same. For a linear potential with lambda = 1 and q = 0 this is recursive least
squares: one epoch gives the exact answer, with covariance P.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.training.adam import places_of
from hyperatom.potentials.training.batches import Batch
from hyperatom.potentials.training.problem import TrainingProblem

Stacks = tuple[Batch, ...]


class _State(NamedTuple):
    # Members in front; one lambda for all.
    vectors: jax.Array
    covariance: jax.Array
    forgetting: jax.Array


@dataclass(frozen=True)
class ExtendedKalmanFilter:
    """Settings of the filter.

    | field             | meaning                                                              |
    |-------------------|----------------------------------------------------------------------|
    | `spread`          | standard deviation of every unknown before the first observation, where the problem has no prior |
    | `forgetting`      | first lambda; below one, early linearisations are forgotten          |
    | `forgetting_rate` | lambda_0, by which lambda goes to one                                |
    | `process_noise`   | q                                                                    |
    | `rows`            | observations in one update                                           |
    | `force_fraction`  | of force and virial components used in an epoch                      |
    """  # noqa: E501

    spread: float = 1.0
    forgetting: float = 0.98
    forgetting_rate: float = 0.9987
    process_noise: float = 1.0e-8
    rows: int = 16
    force_fraction: float = 0.1

    def compile(self, problem: TrainingProblem, stacks: Stacks) -> "CompiledFilter":
        """See `Trainer`."""
        return CompiledFilter(self, problem, stacks)


class CompiledFilter:
    """See `CompiledTrainer`."""

    def __init__(
        self, settings: ExtendedKalmanFilter, problem: TrainingProblem, stacks: Stacks
    ) -> None:
        self._settings = settings
        self._problem = problem
        self._stacks = stacks
        self._places = places_of(stacks)

    def start(self, vectors: jax.Array) -> _State:
        """See `CompiledTrainer`."""
        vectors = jnp.array(vectors)
        precision, _ = self._problem.prior
        variance = np.where(
            precision > 0.0, 1.0 / np.maximum(precision, 1e-300), self._settings.spread**2
        )
        covariance = jnp.broadcast_to(
            jnp.diag(jnp.asarray(variance)), (len(vectors), *(2 * (vectors.shape[1],)))
        )
        return _State(vectors, jnp.array(covariance), jnp.asarray(self._settings.forgetting))

    def advance(self, state: _State, rng: np.random.Generator) -> _State:
        """Every energy and a part of the forces and virials once, in an order drawn by `rng`."""
        for place in rng.permutation(len(self._places)):
            number, within = self._places[place]
            stack = self._stacks[number]
            which, count = self._observations(stack, within, rng)
            state = _update(
                self._settings,
                self._problem,
                state,
                stack,
                jnp.asarray(within),
                jnp.asarray(which),
                jnp.asarray(count),
            )
        return state

    def _observations(
        self, stack: Batch, number: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int32], int]:
        # Numbers of residuals, (n_updates, rows), the last filled up with a number beyond all, and
        # how many updates there are in fact.
        weights = [np.asarray(stack.weight[number])]
        if not self._problem.energies_alone:
            weights.append(np.tile(np.asarray(stack.force_weight[number]), 3))
            weights.append(np.repeat(np.asarray(stack.virial_weight[number]), 6))
        n_energies = len(weights[0])
        every = np.flatnonzero(np.concatenate(weights) > 0.0)
        energies, others = every[every < n_energies], every[every >= n_energies]
        count = round(self._settings.force_fraction * len(others))
        chosen = rng.permutation(others)[:count]
        order = rng.permutation(np.concatenate([energies, chosen]))
        # As many updates for every batch of a stack, so that they share a compiled program.
        total = n_energies
        if len(weights) > 1:
            total += round(self._settings.force_fraction * (len(weights[1]) + len(weights[2])))
        rows = self._settings.rows
        n_updates = -(-total // rows)
        n_residuals = sum(len(one) for one in weights)
        filled = np.full(n_updates * rows, n_residuals, dtype=np.int32)
        filled[: len(order)] = order
        return filled.reshape(n_updates, rows), -(-len(order) // rows)

    def vectors(self, state: _State) -> jax.Array:
        """See `CompiledTrainer`."""
        return state.vectors


# The covariance is large and written in place.
@partial(jax.jit, static_argnums=0, donate_argnums=2)
def _update(
    settings: ExtendedKalmanFilter,
    problem: TrainingProblem,
    state: _State,
    stack: Batch,
    number: jax.Array,
    which: jax.Array,
    n_updates: jax.Array,
) -> _State:
    batch = stack.number(number)

    def of_member(
        vector: jax.Array, covariance: jax.Array, forgetting: jax.Array, places: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        residuals, pull = jax.vjp(lambda v: problem.residuals(v, batch), vector)
        # A place beyond the last residual is no observation: a row of zeros changes nothing.
        seeds = jax.nn.one_hot(places, len(residuals), dtype=residuals.dtype)
        rows = jax.vmap(lambda seed: pull(seed)[0])(seeds)
        found = (seeds @ residuals).astype(jnp.float64)
        spread = rows @ covariance
        inner = spread @ rows.T + forgetting * jnp.eye(len(places))
        factor = jax.scipy.linalg.cho_factor(inner)
        gain = jax.scipy.linalg.cho_solve(factor, spread)
        after = (covariance - spread.T @ gain) / forgetting
        after = 0.5 * (after + after.T) + settings.process_noise * jnp.eye(len(vector))
        return vector - found @ gain, after

    def one(place: jax.Array, state: _State) -> _State:
        vectors, covariance = jax.vmap(of_member, (0, 0, None, None))(
            state.vectors, state.covariance, state.forgetting, which[place]
        )
        rate = settings.forgetting_rate
        return _State(vectors, covariance, rate * state.forgetting + 1.0 - rate)

    result: _State = jax.lax.fori_loop(0, n_updates, one, state)
    return result
