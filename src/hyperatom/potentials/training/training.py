"""The loop that every trainer shares: validation, early stopping, checkpoints, several at once.

Members of a committee differ in where they start. They are trained side by side in one compiled
run over one pass through the data, and each stops when it would have stopped alone: what one member
becomes does not depend on the others, up to round-off.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.potentials.training.batches import Batch
from hyperatom.potentials.training.checkpoints import digest_of, read_checkpoint, write_checkpoint
from hyperatom.potentials.training.losses import sum_over
from hyperatom.potentials.training.problem import Errors, TrainingProblem, errors_of
from hyperatom.units import MILLI

Array = NDArray[np.float64]
Stacks = tuple[Batch, ...]

CHECKPOINT_SECONDS = 10.0
"""Wall time between checkpoints, at the least."""


class CompiledTrainer(Protocol):
    """A trainer at work on one problem and one set of labels."""

    def start(self, vectors: jax.Array) -> Any:
        """State before the first epoch, a tree of arrays; `vectors` (n_members, n_unknowns)."""
        ...

    def advance(self, state: Any, rng: np.random.Generator) -> Any:
        """State after one epoch more."""
        ...

    def vectors(self, state: Any) -> jax.Array:
        """The unknowns, (n_members, n_unknowns)."""
        ...


class Trainer(Protocol):
    """A way to make a loss small; its fields are its settings."""

    def compile(self, problem: TrainingProblem, stacks: Stacks) -> CompiledTrainer:
        """The trainer for these batches."""
        ...


@dataclass(frozen=True)
class Schedule:
    """When training ends.

    | field      | unit   | meaning                                                               |
    |------------|--------|-----------------------------------------------------------------------|
    | `epochs`   | -      | passes through the labels at the most                                 |
    | `patience` | epochs | without a better validation loss, after which a member stops          |
    | `seconds`  | s      | wall time at the most; what is reached then depends on the machine    |
    | `report`   | epochs | between two looks at the training errors, which cost a pass           |
    | `improvement` | -   | a loss is better when it is lower by this part of itself              |
    """

    epochs: int = 500
    patience: int = 50
    seconds: float = float("inf")
    report: int = 10
    improvement: float = 1.0e-4


@dataclass(frozen=True, eq=False)
class TrainingProgress:
    """Where training is; `training` and `validation` errors have one number for each member."""

    epoch: int
    epochs: int
    training: Errors
    validation: Errors
    seconds: float
    seconds_left: float

    def __str__(self) -> str:
        """One line: medians over the members, with units."""

        def pair(name: str) -> str:
            known, unseen = (
                float(np.median(getattr(errors, name))) / MILLI
                for errors in (self.training, self.validation)
            )
            return f"{known:.3g} ({unseen:.3g})"

        return (
            f"epoch {self.epoch} of {self.epochs}: training (validation) RMSE energy"
            f" {pair('energy')} meV/atom, forces {pair('forces')} meV/Å,"
            f" {self.seconds_left:.0f} s left"
        )


@dataclass(frozen=True, eq=False)
class Trained:
    """What came of it.

    | field       | shape                   | meaning                                           |
    |-------------|-------------------------|---------------------------------------------------|
    | `vectors`   | (n_members, n_unknowns) | those of the best validation loss of each member  |
    | `losses`    | (n_members,)            | that loss                                         |
    | `epochs`    | (n_members,)            | when it was reached                               |
    | `history`   | (n_epochs, n_members, 10)| fields of `Errors`, of validation, then training |
    | `seconds`   | scalar                  | wall time, that of earlier runs included          |
    | `finished`  | scalar                  | false where the wall time ran out                 |

    Training errors in the history are NaN where they were not looked at.
    """

    vectors: Array
    losses: Array
    epochs: NDArray[np.int64]
    history: Array
    seconds: float
    finished: bool

    @property
    def best(self) -> Array:
        """The unknowns of the member with the lowest validation loss, (n_unknowns,)."""
        return np.asarray(self.vectors[int(np.argmin(self.losses))])


@dataclass(frozen=True, eq=False)
class _Standing:
    # What is known after some epochs, besides the state of the trainer.
    epoch: int
    best: Array
    losses: Array
    epochs: NDArray[np.int64]
    stopped: NDArray[np.bool_]
    seconds: float
    history: list[Array] = field(default_factory=list)


def train(
    problem: TrainingProblem,
    trainer: Trainer,
    start: Array,
    training: Stacks,
    validation: Stacks | None = None,
    schedule: Schedule | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Trained:
    """Train every member from its own vector of `start` (n_members, n_unknowns).

    Everything random is a function of `seed` and the epoch. Where `checkpoint` exists, training
    goes on from it, and gives what it would have given without a break, to the last bit. When to
    stop the robust validation loss decides; without `validation` the training loss.

    Raises `InputError` for a checkpoint of something else, and where no finite loss was found.
    """
    schedule = schedule or Schedule()
    start = np.atleast_2d(np.asarray(start, dtype=np.float64))
    with jax.enable_x64(True):
        training = _on_device(training)
        judged_by = "loss" if validation is None else "robust"
        validation = training if validation is None else _on_device(validation)
        compiled = trainer.compile(problem, training)
        look = Look(problem)
        state = compiled.start(jnp.asarray(start))
        first = getattr(look.errors(start, validation), judged_by)
        standing = _beginning(start, first)
        digest = "" if checkpoint is None else _digest(problem, trainer, start, training, seed)
        if checkpoint is not None and checkpoint.exists():
            state, standing = _resume(checkpoint, state, digest)
        began = time.perf_counter() - standing.seconds
        written = time.perf_counter()
        while standing.epoch < schedule.epochs and not standing.stopped.all():
            if standing.seconds > schedule.seconds:
                break
            epoch = standing.epoch + 1
            state = compiled.advance(state, np.random.default_rng([seed, epoch]))
            vectors = compiled.vectors(state)
            seen = look.errors(vectors, validation)
            losses = getattr(seen, judged_by)
            standing = _judged(standing, epoch, np.asarray(vectors), losses, schedule)
            reported = epoch % schedule.report == 0 or standing.stopped.all()
            known = look.errors(vectors, training) if reported else _nothing(len(start))
            standing.history.append(np.stack([*seen, *known], axis=1))
            standing = replace(standing, seconds=time.perf_counter() - began)
            if progress is not None and reported:
                left = _seconds_left(standing, schedule)
                progress(
                    TrainingProgress(epoch, schedule.epochs, known, seen, standing.seconds, left)
                )
            if checkpoint is not None and time.perf_counter() - written > CHECKPOINT_SECONDS:
                _write(checkpoint, state, standing, digest)
                written = time.perf_counter()
        if checkpoint is not None:
            _write(checkpoint, state, standing, digest)
    if not np.isfinite(standing.losses).all():
        raise InputError(
            "Training found no finite loss.",
            "Look for overlapping atoms among the labels, or take a smaller learning rate.",
        )
    finished = bool(standing.epoch >= schedule.epochs or standing.stopped.all())
    history = np.array(standing.history).reshape(-1, len(start), 2 * len(Errors._fields))
    return Trained(
        standing.best, standing.losses, standing.epochs, history, standing.seconds, finished
    )


class Look:
    """Errors of many members over many batches, compiled once for each shape."""

    def __init__(self, problem: TrainingProblem) -> None:
        self._problem = problem

    def errors(self, vectors: Any, stacks: Stacks) -> Errors:
        """One number of each kind for each of `vectors` (n_members, n_unknowns)."""
        with jax.enable_x64(True):
            sums = sum(
                np.asarray(_sums(self._problem, jnp.asarray(vectors), stack)) for stack in stacks
            )
        return errors_of(np.asarray(sums), self._problem.energies_alone)


@jax.jit
def _sums(problem: TrainingProblem, vectors: jax.Array, stack: Batch) -> jax.Array:
    def of_batch(batch: Batch) -> jax.Array:
        return jax.vmap(problem.sums, (0, None))(vectors, batch)

    return jnp.asarray(sum_over(of_batch, stack, jnp.zeros((len(vectors), 10))))


def _on_device(stacks: Stacks) -> Stacks:
    moved: Stacks = jax.tree.map(jnp.asarray, stacks)
    return moved


def _nothing(n_members: int) -> Errors:
    return Errors(*np.full((len(Errors._fields), n_members), np.nan))


def _beginning(start: Array, losses: Array) -> _Standing:
    losses = np.nan_to_num(losses, nan=np.inf)
    nothing = np.zeros(len(start), dtype=np.int64)
    return _Standing(0, start.copy(), losses, nothing, nothing.astype(bool), 0.0)


def _judged(
    standing: _Standing, epoch: int, vectors: Array, losses: Array, schedule: Schedule
) -> _Standing:
    losses = np.nan_to_num(losses, nan=np.inf)
    better = (losses < standing.losses) & ~standing.stopped
    # Any gain is kept; patience is renewed by a gain that is worth the name.
    renewed = better & (losses < (1.0 - schedule.improvement) * standing.losses)
    epochs = np.where(renewed, epoch, standing.epochs)
    return replace(
        standing,
        epoch=epoch,
        best=np.where(better[:, None], vectors, standing.best),
        losses=np.where(better, losses, standing.losses),
        epochs=epochs,
        stopped=standing.stopped | (epoch - epochs >= schedule.patience),
    )


def _seconds_left(standing: _Standing, schedule: Schedule) -> float:
    per_epoch = standing.seconds / max(standing.epoch, 1)
    left = per_epoch * (schedule.epochs - standing.epoch)
    return float(min(left, max(schedule.seconds - standing.seconds, 0.0)))


def _digest(
    problem: TrainingProblem, trainer: Trainer, start: Array, training: Stacks, seed: int
) -> str:
    labels = [
        array
        for stack in training
        for array in (stack.energy, stack.forces, stack.virial, stack.weight)
    ]
    words = repr((type(trainer).__name__, trainer, problem.noise, problem.n_groups, seed))
    return digest_of(words, [start, *problem.prior, *labels])


def _write(path: Path, state: Any, standing: _Standing, digest: str) -> None:
    arrays = {f"state {k}": leaf for k, leaf in enumerate(jax.tree.leaves(state))}
    arrays |= {
        "best": standing.best,
        "losses": standing.losses,
        "epochs": standing.epochs,
        "stopped": standing.stopped,
        "history": np.array(standing.history),
    }
    header = {"digest": digest, "epoch": standing.epoch, "seconds": standing.seconds}
    write_checkpoint(path, header, arrays)


def _resume(path: Path, state: Any, digest: str) -> tuple[Any, _Standing]:
    header, arrays = read_checkpoint(path, digest)
    leaves, structure = jax.tree.flatten(state)
    saved = [jnp.asarray(arrays[f"state {k}"], dtype=leaf.dtype) for k, leaf in enumerate(leaves)]
    return jax.tree.unflatten(structure, saved), _Standing(
        int(header["epoch"]),
        arrays["best"],
        arrays["losses"],
        arrays["epochs"],
        arrays["stopped"],
        float(header["seconds"]),
        list(arrays["history"]),
    )
