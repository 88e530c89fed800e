"""Potentials that are linear in what is trained: rows of the least-squares problem.

    r(theta) = Phi theta + r(0)

Weights of basis functions, of sparse points, of the last layer of a network: the derivatives of the
residuals do not depend on theta, so one pass makes the whole matrix, forces and virials included.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.training.batches import Batch
from hyperatom.potentials.training.problem import TrainingProblem

Array = NDArray[np.float64]

ROWS = 64
"""Derivatives at a time."""

COLUMNS = 8
"""Unit vectors at a time, where there are fewer unknowns than residuals."""


@dataclass(frozen=True, eq=False)
class LinearRows:
    """Of one batch: Phi (n_rows, n_unknowns) and targets -r(0) (n_rows,), in units of the noise.

    `kinds` (n_rows,) is 0 for energies, 1 for forces, 2 for virials. Padding is left out.
    """

    matrix: Array
    targets: Array
    kinds: NDArray[np.int64]


KINDS = ("energy", "forces", "virial")
"""Names of `LinearRows.kinds`."""


def linear_rows(problem: TrainingProblem, stacks: tuple[Batch, ...]) -> Iterator[LinearRows]:
    """The rows of each batch in turn."""
    with jax.enable_x64(True):
        for stack in stacks:
            for number in range(stack.n_batches):
                batch = stack.number(number)
                residuals, matrix = _matrix(problem, batch)
                weights = [batch.weight]
                if not problem.energies_alone:
                    weights += [np.tile(batch.force_weight, 3), np.repeat(batch.virial_weight, 6)]
                kept = np.concatenate(weights) > 0.0
                kinds = np.repeat(np.arange(len(weights)), [len(one) for one in weights])
                yield LinearRows(
                    np.asarray(matrix, dtype=np.float64)[kept],
                    -np.asarray(residuals, dtype=np.float64)[kept],
                    kinds[kept],
                )


@jax.jit
def _matrix(problem: TrainingProblem, batch: Batch) -> tuple[jax.Array, jax.Array]:
    origin = jnp.zeros(problem.n_unknowns)
    if problem.n_unknowns < problem.n_residuals(batch):
        return _by_columns(problem, batch)
    residuals, pull = jax.vjp(lambda vector: problem.residuals(vector, batch), origin)
    n_residuals = len(residuals)
    n_blocks = -(-n_residuals // ROWS)
    places = jnp.arange(n_blocks * ROWS).reshape(n_blocks, ROWS)

    def of_block(which: jax.Array) -> jax.Array:
        seeds = jax.nn.one_hot(which, n_residuals, dtype=residuals.dtype)
        rows: jax.Array = jax.vmap(lambda seed: pull(seed)[0])(seeds)
        return rows

    rows = jax.lax.map(of_block, places).reshape(n_blocks * ROWS, -1)
    return residuals, rows[:n_residuals]


def _by_columns(problem: TrainingProblem, batch: Batch) -> tuple[jax.Array, jax.Array]:
    # A linear function is known from its values at the origin and at the unit vectors.
    n_unknowns = problem.n_unknowns
    at_origin = problem.residuals(jnp.zeros(n_unknowns), batch)
    n_blocks = -(-n_unknowns // COLUMNS)
    places = jnp.arange(n_blocks * COLUMNS).reshape(n_blocks, COLUMNS)

    def of_block(which: jax.Array) -> jax.Array:
        vectors = jax.nn.one_hot(which, n_unknowns)
        columns: jax.Array = jax.vmap(problem.residuals, (0, None))(vectors, batch) - at_origin
        return columns

    columns = jax.lax.map(of_block, places).reshape(n_blocks * COLUMNS, -1)
    return at_origin, columns[:n_unknowns].T
