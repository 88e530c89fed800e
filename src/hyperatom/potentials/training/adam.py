"""Adam and AdamW, batch by batch, with a schedule of the learning rate.

Kingma and Ba, ICLR 2015; Loshchilov and Hutter, ICLR 2019. The rules are those of `optax`. The
order of the batches is drawn anew in every epoch; which configurations share a batch was drawn when
they were packed. Prior and weight decay act on parameters, not on offsets of groups alone.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from hyperatom.potentials.training.batches import Batch
from hyperatom.potentials.training.losses import batch_loss, n_rows, prior_loss
from hyperatom.potentials.training.problem import TrainingProblem

Stacks = tuple[Batch, ...]


@dataclass(frozen=True)
class Adam:
    """Settings of Adam; with a `weight_decay` it is AdamW.

    | field            | unit      | meaning                                                      |
    |------------------|-----------|--------------------------------------------------------------|
    | `learning_rate`  | -         | of the first epoch                                           |
    | `final_rate`     | -         | of the last one, after `decay_epochs`, as a part of the first|
    | `schedule`       | -         | `cosine`, `exponential`, or `constant`                       |
    | `decay_epochs`   | epochs    | over which the rate falls                                    |
    | `weight_decay`   | 1/epoch   | of AdamW, in units of the learning rate                      |
    | `clip`           | -         | greatest norm of a gradient, per residual                    |
    """

    learning_rate: float = 5.0e-3
    final_rate: float = 1.0e-2
    schedule: Literal["cosine", "exponential", "constant"] = "cosine"
    decay_epochs: int = 500
    weight_decay: float = 0.0
    clip: float = float("inf")

    def compile(self, problem: TrainingProblem, stacks: Stacks) -> "CompiledAdam":
        """See `Trainer`."""
        return CompiledAdam(self, problem, stacks)


class CompiledAdam:
    """See `CompiledTrainer`."""

    def __init__(self, settings: Adam, problem: TrainingProblem, stacks: Stacks) -> None:
        self._settings = settings
        self._problem = problem
        self._stacks = stacks
        self._places = places_of(stacks)
        # Every batch stands for its share of all residuals; so does its part of the prior.
        self._rows = n_rows(stacks, problem) / len(self._places)

    def start(self, vectors: jax.Array) -> Any:
        """See `CompiledTrainer`."""
        vectors = jnp.asarray(vectors)
        memory = jax.vmap(_method(self._settings).init)(vectors)
        return vectors, memory, jnp.zeros((), jnp.int32)

    def advance(self, state: Any, rng: np.random.Generator) -> Any:
        """Every batch once, in an order drawn with `rng`."""
        for place in rng.permutation(len(self._places)):
            stack, number = self._places[place]
            state = _step(
                self._settings,
                self._problem,
                state,
                self._stacks[stack],
                jnp.asarray(number),
                jnp.asarray(self._rows),
                jnp.asarray(float(len(self._places))),
            )
        return state

    def vectors(self, state: Any) -> jax.Array:
        """See `CompiledTrainer`."""
        vectors: jax.Array = state[0]
        return vectors


def _method(settings: Adam) -> Any:
    import optax

    # At a rate of one: the schedule counts batches, whose number is data.
    method = optax.adamw(1.0, weight_decay=settings.weight_decay)
    if np.isfinite(settings.clip):
        method = optax.chain(optax.clip_by_global_norm(settings.clip), method)
    return method


def learning_rate(settings: Adam, epochs: jax.Array) -> jax.Array:
    """The rate after so many `epochs`, which need not be whole.

    `cosine`: f + (1 - f) (1 + cos(pi t)) / 2, `exponential`: f^t, with f the final part of the rate
    and t = epochs / decay_epochs up to one.
    """
    passed = jnp.minimum(epochs / settings.decay_epochs, 1.0)
    final = settings.final_rate
    if settings.schedule == "cosine":
        part = final + (1.0 - final) * 0.5 * (1.0 + jnp.cos(jnp.pi * passed))
    elif settings.schedule == "exponential":
        part = final**passed
    else:
        part = jnp.ones_like(passed)
    return settings.learning_rate * part


@partial(jax.jit, static_argnums=0)
def _step(
    settings: Adam,
    problem: TrainingProblem,
    state: Any,
    stack: Batch,
    number: jax.Array,
    rows: jax.Array,
    n_batches: jax.Array,
) -> Any:
    import optax

    vectors, memory, count = state
    batch = stack.number(number)
    rate = learning_rate(settings, count / n_batches)

    def loss(vector: jax.Array) -> jax.Array:
        own = batch_loss(problem, vector, batch) + prior_loss(problem, vector) / n_batches
        return own / rows

    def of_member(vector: jax.Array, memory: Any) -> tuple[jax.Array, Any]:
        updates, memory = _method(settings).update(jax.grad(loss)(vector), memory, vector)
        return optax.apply_updates(vector, rate * updates), memory

    return *jax.vmap(of_member)(vectors, memory), count + 1


def places_of(stacks: Stacks) -> list[tuple[int, int]]:
    """Number of the stack, and number in it, of each batch."""
    return [(k, number) for k, stack in enumerate(stacks) for number in range(stack.n_batches)]
