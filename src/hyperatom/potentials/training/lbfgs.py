"""Limited-memory BFGS over all labels at once, every member with a line search of its own.

Nocedal, Math. Comput. 35, 773 (1980); Liu and Nocedal, Math. Program. 45, 503 (1989): two loops
over the latest steps s and changes y of the gradient give the direction. The line search brackets a
step that satisfies the strong Wolfe conditions and zooms in on it by cubic interpolation (Nocedal
and Wright, Numerical Optimization, 2nd ed., algorithms 3.5 and 3.6, 7.4).

It is written here and not taken from SciPy, whose state cannot be saved, nor from optax, which
compiles the loss into several places of its line search: what is compiled here is the loss with its
gradient, once, for all members side by side. Everything else is a few products of vectors.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.training.batches import Batch
from hyperatom.potentials.training.losses import n_rows, squared_loss
from hyperatom.potentials.training.problem import TrainingProblem

Array = NDArray[np.float64]
Stacks = tuple[Batch, ...]

DECREASE, CURVATURE = 1.0e-4, 0.9
"""Constants of the strong Wolfe conditions."""


class _State(NamedTuple):
    # All with members in front; `steps` and `changes` (n_members, memory, n), zero where unused.
    vectors: Array
    values: Array
    gradients: Array
    steps: Array
    changes: Array


class _Point(NamedTuple):
    length: float
    value: float
    slope: float
    gradient: Array


Search = Generator[float, tuple[float, Array], _Point]


@dataclass(frozen=True)
class LimitedMemoryBFGS:
    """`memory` steps are remembered; an epoch is `iterations` steps, each a pass or a few."""

    memory: int = 20
    iterations: int = 1
    line_search_steps: int = 20

    def compile(self, problem: TrainingProblem, stacks: Stacks) -> "CompiledBFGS":
        """See `Trainer`."""
        return CompiledBFGS(self, problem, stacks)


class CompiledBFGS:
    """See `CompiledTrainer`."""

    def __init__(
        self, settings: LimitedMemoryBFGS, problem: TrainingProblem, stacks: Stacks
    ) -> None:
        self._settings = settings
        self._problem = problem
        self._stacks = stacks
        self._rows = n_rows(stacks, problem)

    def _at(self, vectors: Array) -> tuple[Array, Array]:
        values, gradients = _losses(
            self._problem, jnp.asarray(vectors), self._stacks, jnp.asarray(self._rows)
        )
        return np.nan_to_num(np.asarray(values), nan=np.inf), np.asarray(gradients)

    def start(self, vectors: jax.Array) -> _State:
        """See `CompiledTrainer`."""
        begin = np.array(vectors)
        memory = np.zeros((len(begin), self._settings.memory, begin.shape[1]))
        return _State(begin, *self._at(begin), memory, memory.copy())

    def advance(self, state: _State, rng: np.random.Generator) -> _State:
        """One epoch; nothing in it is random."""
        del rng
        state = _State(*(np.array(array) for array in state))
        for _ in range(self._settings.iterations):
            state = self._step(state)
        return state

    def vectors(self, state: _State) -> jax.Array:
        """See `CompiledTrainer`."""
        return jnp.asarray(state.vectors)

    def _step(self, state: _State) -> _State:
        n_members = len(state.vectors)
        directions = np.array(
            [
                two_loops(state.gradients[k], state.steps[k], state.changes[k])
                for k in range(n_members)
            ]
        )
        searches: dict[int, Search] = {}
        lengths, found = np.zeros(n_members), {}
        for k in range(n_members):
            slope = float(directions[k] @ state.gradients[k])
            begun = _Point(0.0, float(state.values[k]), slope, state.gradients[k])
            searches[k] = search(begun, directions[k], self._settings.line_search_steps)
            lengths[k] = next(searches[k])
        # Members whose search has ended stay where they are while the others are looked after.
        while searches:
            values, gradients = self._at(state.vectors + lengths[:, None] * directions)
            for k in list(searches):
                try:
                    lengths[k] = searches[k].send((float(values[k]), gradients[k]))
                except StopIteration as ended:
                    found[k] = ended.value
                    lengths[k] = ended.value.length
                    del searches[k]
        after = [found[k] for k in range(n_members)]
        moved = np.array([point.length for point in after])[:, None] * directions
        gradients = np.array([point.gradient for point in after])
        change = gradients - state.gradients
        steps, changes = state.steps.copy(), state.changes.copy()
        for k in range(n_members):
            # A pair without positive curvature would spoil the direction; it can come of rounding.
            if moved[k] @ change[k] > 1e-14 * (change[k] @ change[k]):
                steps[k] = np.vstack([steps[k, 1:], moved[k]])
                changes[k] = np.vstack([changes[k, 1:], change[k]])
            elif after[k].length == 0.0:
                # Where no step helps, what is remembered is forgotten: steepest descent is next.
                steps[k], changes[k] = 0.0, 0.0
        return _State(
            state.vectors + moved,
            np.array([point.value for point in after]),
            gradients,
            steps,
            changes,
        )


@jax.jit
def _losses(
    problem: TrainingProblem, vectors: jax.Array, stacks: Stacks, rows: jax.Array
) -> tuple[jax.Array, jax.Array]:
    # Divided by the number of residuals, so that the first step, along the gradient, is small.
    def loss(vector: jax.Array) -> jax.Array:
        return squared_loss(problem, vector, stacks) / rows

    values, gradients = jax.vmap(jax.value_and_grad(loss))(vectors)
    return values, gradients


def two_loops(gradient: Array, steps: Array, changes: Array) -> Array:
    """-H g, with H from the remembered steps and changes (memory, n), the latest last; (n,)."""
    used = [k for k in range(len(steps)) if steps[k] @ changes[k] > 0.0]
    direction = -gradient
    weights = {}
    for k in reversed(used):
        weights[k] = (steps[k] @ direction) / (steps[k] @ changes[k])
        direction = direction - weights[k] * changes[k]
    if used:
        last = used[-1]
        direction = direction * (steps[last] @ changes[last]) / (changes[last] @ changes[last])
    else:
        direction = direction / max(1.0, float(np.linalg.norm(gradient)))
    for k in used:
        back = (changes[k] @ direction) / (steps[k] @ changes[k])
        direction = direction + (weights[k] - back) * steps[k]
    return np.asarray(direction)


def search(begun: _Point, direction: Array, steps: int) -> Search:
    """Yields lengths to try, is sent (value, gradient) there, returns where it ends.

    The length is zero where no lower value was found in `steps` tries.
    """
    before, length = begun, 1.0
    low: _Point = begun
    high: _Point | None = None
    best = begun
    for _ in range(steps):
        value, gradient = yield length
        here = _Point(length, value, float(direction @ gradient), gradient)
        if here.value < best.value:
            best = here
        rises = here.value > begun.value + DECREASE * length * begun.slope
        if not np.isfinite(here.value) or rises or (here.value >= low.value and low is not begun):
            high = here
        elif abs(here.slope) <= -CURVATURE * begun.slope:
            return here
        elif here.slope * ((high.length if high else np.inf) - low.length) >= 0.0:
            low, high = here, low
        else:
            low = here
        if high is None:
            before, length = here, 2.0 * length
        else:
            length = _between(low, high)
            if abs(high.length - low.length) < 1e-12 * max(1.0, before.length):
                break
    return best


def _between(low: _Point, high: _Point) -> float:
    # The minimum of the cubic through both values and slopes, kept away from the ends.
    width = high.length - low.length
    middle = low.length + 0.5 * width
    if not (np.isfinite(high.value) and np.isfinite(high.slope)):
        return low.length + 0.1 * width
    first = low.slope + high.slope - 3.0 * (high.value - low.value) / width
    square = first * first - low.slope * high.slope
    if square < 0.0:
        return middle
    root = np.copysign(np.sqrt(square), width)
    below = high.slope - low.slope + 2.0 * root
    if below == 0.0:
        return middle
    length = high.length - width * (high.slope + root - first) / below
    near, far = sorted((low.length + 0.1 * width, low.length + 0.9 * width))
    return float(length) if near <= length <= far else middle
