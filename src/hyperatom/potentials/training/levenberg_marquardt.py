"""Levenberg-Marquardt: Newton steps for sums of squares, as long as the model of them is good.

    (J^T J + A + mu D) d = -J^T r - A (theta - mean)

with A the precision of the prior and D the largest diagonal that J^T J + A has had (Marquardt, J.
Soc. Ind. Appl. Math. 11, 431 (1963); Moré 1978). A step is taken where the loss falls; mu follows
Nielsen (IMM-REP-1999-05): times max(1/3, 1 - (2 gain - 1)^3) after a step, and times 2, 4, 8, ...
after a refusal, with gain the fall of the loss over the one that the linear model foretold.

Rows of J are derivatives backward of a block of residuals at a time, and only J^T J is kept.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from hyperatom.potentials.training.batches import Batch
from hyperatom.potentials.training.losses import squared_loss, sum_over
from hyperatom.potentials.training.problem import TrainingProblem

Array = NDArray[np.float64]
Stacks = tuple[Batch, ...]


class _State(NamedTuple):
    # Members in front.
    vectors: Array
    values: Array
    damping: Array
    growth: Array
    diagonal: Array


@dataclass(frozen=True)
class LevenbergMarquardt:
    """`damping` is the first mu; `rows` of J are made at a time; `tries` of mu in one epoch."""

    damping: float = 1.0e-2
    rows: int = 32
    tries: int = 10

    def compile(self, problem: TrainingProblem, stacks: Stacks) -> "CompiledMarquardt":
        """See `Trainer`."""
        return CompiledMarquardt(self, problem, stacks)


class CompiledMarquardt:
    """See `CompiledTrainer`."""

    def __init__(
        self, settings: LevenbergMarquardt, problem: TrainingProblem, stacks: Stacks
    ) -> None:
        self._settings = settings
        self._problem = problem
        self._stacks = stacks

    def _at(self, vectors: Array) -> Array:
        values = np.asarray(_losses(self._problem, jnp.asarray(vectors), self._stacks))
        return np.asarray(np.nan_to_num(values, nan=np.inf))

    def start(self, vectors: jax.Array) -> _State:
        """See `CompiledTrainer`."""
        begin = np.array(vectors)
        n_members = len(begin)
        return _State(
            begin,
            self._at(begin),
            np.full(n_members, self._settings.damping),
            np.full(n_members, 2.0),
            np.zeros_like(begin),
        )

    def advance(self, state: _State, rng: np.random.Generator) -> _State:
        """One J^T J, and the damping with which a step lowers the loss; nothing is random."""
        del rng
        vectors, values, damping, growth, diagonal = (np.array(array) for array in state)
        hessians, slopes = self._equations(vectors)
        diagonal = np.maximum(diagonal, np.diagonal(hessians, axis1=1, axis2=2))
        floor = 1e-12 * diagonal.max(axis=1, keepdims=True)
        waiting = np.ones(len(vectors), dtype=bool)
        for _ in range(self._settings.tries):
            steps = np.zeros_like(vectors)
            for k in np.flatnonzero(waiting):
                damped = hessians[k] + np.diag(damping[k] * np.maximum(diagonal[k], floor[k]))
                steps[k] = _solve(damped, -slopes[k])
            tried = self._at(vectors + steps)
            for k in np.flatnonzero(waiting):
                foretold = -steps[k] @ (slopes[k] + 0.5 * hessians[k] @ steps[k])
                gain = (values[k] - tried[k]) / max(foretold, 1e-300)
                if gain > 0.0:
                    vectors[k] += steps[k]
                    values[k] = tried[k]
                    damping[k] *= max(1.0 / 3.0, 1.0 - (2.0 * gain - 1.0) ** 3)
                    growth[k], waiting[k] = 2.0, False
                else:
                    damping[k] *= growth[k]
                    growth[k] *= 2.0
            if not waiting.any():
                break
        growth[waiting] = 2.0
        return _State(vectors, values, damping, growth, diagonal)

    def _equations(self, vectors: Array) -> tuple[Array, Array]:
        n_members, n = vectors.shape
        hessians, slopes = np.zeros((n_members, n, n)), np.zeros((n_members, n))
        for stack in self._stacks:
            gram, moment = _equations_of(
                self._settings.rows, self._problem, jnp.asarray(vectors), stack
            )
            hessians += np.asarray(gram)
            slopes += np.asarray(moment)
        precision, mean = self._problem.prior
        hessians[:, np.arange(n), np.arange(n)] += precision
        return hessians, slopes + precision * (vectors - mean)

    def vectors(self, state: _State) -> jax.Array:
        """See `CompiledTrainer`."""
        return jnp.asarray(state.vectors)


@jax.jit
def _losses(problem: TrainingProblem, vectors: jax.Array, stacks: Stacks) -> jax.Array:
    return jax.vmap(lambda vector: squared_loss(problem, vector, stacks))(vectors)


@partial(jax.jit, static_argnums=0)
def _equations_of(
    rows: int, problem: TrainingProblem, vectors: jax.Array, stack: Batch
) -> tuple[jax.Array, jax.Array]:
    n = vectors.shape[1]

    def of_member(vector: jax.Array) -> Any:
        def one(batch: Batch) -> tuple[jax.Array, jax.Array]:
            return normal_equations(problem, vector, batch, rows)

        return sum_over(one, stack, (jnp.zeros((n, n)), jnp.zeros(n)))

    gram, moment = jax.vmap(of_member)(vectors)
    return gram, moment


def normal_equations(
    problem: TrainingProblem, vector: jax.Array, batch: Batch, rows: int
) -> tuple[jax.Array, jax.Array]:
    """J^T J (n, n) and J^T r (n,) of one batch, `rows` derivatives at a time."""
    residuals, pull = jax.vjp(lambda v: problem.residuals(v, batch), vector)
    n_residuals = len(residuals)
    n_blocks = -(-n_residuals // rows)
    places = jnp.arange(n_blocks * rows).reshape(n_blocks, rows)

    def add(total: Any, which: jax.Array) -> tuple[Any, None]:
        # Places beyond the last residual give rows of zeros.
        seeds = jax.nn.one_hot(which, n_residuals, dtype=residuals.dtype)
        jacobian = jax.vmap(lambda seed: pull(seed)[0])(seeds).astype(jnp.float64)
        own = seeds.astype(jnp.float64) @ residuals.astype(jnp.float64)
        return (total[0] + jacobian.T @ jacobian, total[1] + jacobian.T @ own), None

    n = len(vector)
    start = (jnp.zeros((n, n)), jnp.zeros(n))
    result: tuple[jax.Array, jax.Array] = jax.lax.scan(add, start, places)[0]
    return result


def _solve(matrix: Array, right: Array) -> Array:
    try:
        return np.asarray(cho_solve(cho_factor(matrix, check_finite=False), right))
    except LinAlgError:
        return np.zeros_like(right)
