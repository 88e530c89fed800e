"""Adam and AdamW, batch by batch, with a schedule of the learning rate.

Kingma and Ba, ICLR 2015; Loshchilov and Hutter, ICLR 2019. The rules are those of `optax`. The
order of the batches is drawn anew in every epoch; which configurations share a batch was drawn when
they were packed. Prior and weight decay act on parameters, not on offsets of groups alone.
"""

from dataclasses import dataclass
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
        import optax

        self._stacks = stacks
        self._places = places_of(stacks)
        steps = settings.decay_epochs * len(self._places)
        rate: Any = settings.learning_rate
        if settings.schedule == "cosine":
            rate = optax.cosine_decay_schedule(rate, steps, alpha=settings.final_rate)
        elif settings.schedule == "exponential":
            rate = optax.exponential_decay(
                rate, steps, settings.final_rate, end_value=rate * settings.final_rate
            )
        method = optax.adamw(rate, weight_decay=settings.weight_decay)
        if np.isfinite(settings.clip):
            method = optax.chain(optax.clip_by_global_norm(settings.clip), method)
        # Every batch stands for its share of all residuals; so does its part of the prior.
        rows = n_rows(stacks, problem) / len(self._places)
        share = 1.0 / len(self._places)

        def loss(vector: jax.Array, batch: Batch) -> jax.Array:
            own = batch_loss(problem, vector, batch) + share * prior_loss(problem, vector)
            return own / rows

        def step(vector: jax.Array, memory: Any, batch: Batch) -> tuple[jax.Array, Any]:
            gradient = jax.grad(loss)(vector, batch)
            updates, memory = method.update(gradient, memory, vector)
            return optax.apply_updates(vector, updates), memory

        def of_stack(state: Any, stack: Batch, number: jax.Array) -> Any:
            return jax.vmap(step, (0, 0, None))(state[0], state[1], stack.number(number))

        self._method = method
        self._step = jax.jit(of_stack)

    def start(self, vectors: jax.Array) -> Any:
        """See `CompiledTrainer`."""
        vectors = jnp.asarray(vectors)
        return vectors, jax.vmap(self._method.init)(vectors)

    def advance(self, state: Any, rng: np.random.Generator) -> Any:
        """Every batch once, in an order drawn with `rng`."""
        for place in rng.permutation(len(self._places)):
            stack, number = self._places[place]
            state = self._step(state, self._stacks[stack], jnp.asarray(number))
        return state

    def vectors(self, state: Any) -> jax.Array:
        """See `CompiledTrainer`."""
        vectors: jax.Array = state[0]
        return vectors


def places_of(stacks: Stacks) -> list[tuple[int, int]]:
    """Number of the stack, and number in it, of each batch."""
    return [(k, number) for k, stack in enumerate(stacks) for number in range(stack.n_batches)]
