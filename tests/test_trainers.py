"""Trainers: known minima, networks of a Morse set, committees, and training that was killed."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperatom.errors import InputError
from hyperatom.potentials.training.adam import Adam
from hyperatom.potentials.training.batches import pack
from hyperatom.potentials.training.extended_kalman import ExtendedKalmanFilter
from hyperatom.potentials.training.lbfgs import LimitedMemoryBFGS, _Point, search
from hyperatom.potentials.training.levenberg_marquardt import (
    LevenbergMarquardt,
    normal_equations,
)
from hyperatom.potentials.training.losses import squared_loss
from hyperatom.potentials.training.parameter_vector import ParameterVector
from hyperatom.potentials.training.problem import Noise, TrainingProblem
from hyperatom.potentials.training.training import Look, Schedule, train
from training_case import linear_terms, linear_tree, morse_labels, network_terms, network_tree

NOISE = Noise(energy=0.01, forces=0.1, virial=0.1)


@pytest.fixture(scope="module")
def labels():
    return morse_labels(10)


@pytest.fixture(scope="module")
def linear(labels):
    """Linear least squares with a prior: problem, batches, exact solution, exact loss."""
    problem = TrainingProblem(
        linear_terms(), ParameterVector(linear_tree()), NOISE, prior_precision=0.5
    )
    stacks = pack(labels, problem.terms, atoms_per_batch=40, shapes=1)
    with jax.enable_x64(True):
        zero = jnp.zeros(problem.n_unknowns)
        rows, targets = [], []
        for stack in stacks:
            for number in range(stack.n_batches):
                batch = stack.number(number)
                targets.append(np.asarray(problem.residuals(zero, batch)))
                rows.append(np.asarray(jax.jacrev(problem.residuals)(zero, batch)))
    matrix, target = np.concatenate(rows), np.concatenate(targets)
    precision = matrix.T @ matrix + 0.5 * np.eye(len(zero))
    solution = np.linalg.solve(precision, -matrix.T @ target)
    return problem, stacks, solution


@pytest.fixture(scope="module")
def network():
    problem = TrainingProblem(network_terms(), ParameterVector(network_tree(0)), NOISE)
    training = pack(morse_labels(60, seed=1), problem.terms, atoms_per_batch=64, shapes=1)
    validation = pack(morse_labels(8, seed=2), problem.terms, atoms_per_batch=64, shapes=1)
    start = problem.start([network_tree(seed) for seed in (1, 2, 3)])
    return problem, training, validation, start


def test_lbfgs_solves_a_linear_problem(linear):
    problem, stacks, solution = linear
    start = np.zeros((1, problem.n_unknowns))
    trained = train(problem, LimitedMemoryBFGS(iterations=50), start, stacks, None, Schedule(4))
    np.testing.assert_allclose(trained.best, solution, atol=1e-4 * np.abs(solution).max())


def test_levenberg_marquardt_solves_a_linear_problem_in_a_step(linear):
    problem, stacks, solution = linear
    start = np.ones((1, problem.n_unknowns))
    trainer = LevenbergMarquardt(damping=1e-12)
    trained = train(problem, trainer, start, stacks, None, Schedule(1))
    np.testing.assert_allclose(trained.best, solution, atol=1e-7 * np.abs(solution).max())


def test_the_kalman_filter_is_recursive_least_squares(linear):
    """One epoch over every observation: the exact answer, and the posterior covariance."""
    problem, stacks, solution = linear
    trainer = ExtendedKalmanFilter(forgetting=1.0, process_noise=0.0, force_fraction=1.0)
    start = np.zeros((1, problem.n_unknowns))
    with jax.enable_x64(True):
        compiled = trainer.compile(problem, stacks)
        state = compiled.start(jnp.asarray(start))
        state = compiled.advance(state, np.random.default_rng(0))
        hessian = sum(
            np.asarray(normal_equations(problem, jnp.zeros(len(solution)), stack.number(k), 64)[0])
            for stack in stacks
            for k in range(stack.n_batches)
        )
    covariance = np.linalg.inv(hessian + 0.5 * np.eye(len(solution)))
    np.testing.assert_allclose(state.vectors[0], solution, atol=1e-7 * np.abs(solution).max())
    np.testing.assert_allclose(
        state.covariance[0], covariance, atol=1e-7 * np.abs(covariance).max()
    )


@pytest.mark.slow
def test_adam_reaches_the_minimum_of_a_linear_problem(linear):
    problem, stacks, solution = linear
    start = np.zeros((1, problem.n_unknowns))
    trainer = Adam(learning_rate=0.02, decay_epochs=3000, final_rate=1e-3)
    trained = train(problem, trainer, start, stacks, None, Schedule(3000, 3000, report=3000))
    with jax.enable_x64(True):
        loss = jax.jit(lambda vector: squared_loss(problem, vector, stacks))
        lowest, begun = float(loss(solution)), float(loss(start[0]))
        reached = float(loss(trained.best))
    # Directions that hardly matter are slow: the loss must be there, not every weight.
    assert reached - lowest < 1e-4 * (begun - lowest)


# Trainer, epochs, and the error of forces (eV/Å) that they must reach on labels never seen.
TRAINERS = {
    "L-BFGS": (LimitedMemoryBFGS(), 100, 0.25),
    "Levenberg-Marquardt": (LevenbergMarquardt(), 20, 0.18),
    "Kalman": (ExtendedKalmanFilter(), 10, 0.22),
    "Adam": (Adam(0.01, decay_epochs=300), 120, 0.31),
}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=() if name == "L-BFGS" else pytest.mark.slow) for name in TRAINERS
    ],
)
def committee(request, network):
    """Three members, trained in one run."""
    problem, training, validation, start = network
    trainer, epochs, wanted = TRAINERS[request.param]
    schedule = Schedule(epochs, patience=1000)
    trained = train(problem, trainer, start, training, validation, schedule)
    return trainer, epochs, wanted, trained


def test_networks_learn_the_morse_potential(committee):
    """On labels never seen: energies to 15 meV/atom; they start from over 100, forces from 0.5."""
    _, _, wanted, trained = committee
    assert trained.finished
    final = trained.history[-1]
    assert np.median(final[:, 0]) < 0.015
    assert np.median(final[:, 1]) < wanted


def test_members_of_a_committee_are_what_they_are_alone(network, committee):
    problem, training, validation, start = network
    trainer, _, _, together = committee
    alone = train(problem, trainer, start[1:2], training, validation, Schedule(3, 1000))
    np.testing.assert_allclose(alone.history[:, 0, :5], together.history[:3, 1, :5], rtol=1e-7)


def test_training_that_was_killed_goes_on_bit_for_bit(network, committee, tmp_path):
    problem, training, validation, start = network
    trainer, epochs, _, whole = committee
    place = tmp_path / "training.npz"
    arguments = (problem, trainer, start, training, validation)
    train(*arguments, Schedule(epochs // 3, 1000), checkpoint=place)
    resumed = train(*arguments, Schedule(epochs, 1000), checkpoint=place)
    np.testing.assert_array_equal(resumed.vectors, whole.vectors)
    np.testing.assert_array_equal(resumed.history[..., :5], whole.history[..., :5])


def test_a_wrong_checkpoint_is_refused(network, tmp_path):
    problem, training, validation, start = network
    place = tmp_path / "training.npz"
    arguments = (problem, LimitedMemoryBFGS(), start, training, validation, Schedule(1))
    train(*arguments, checkpoint=place)
    with pytest.raises(InputError, match="checkpoint of another training"):
        train(*arguments, seed=1, checkpoint=place)
    place.write_bytes(place.read_bytes()[:100])
    with pytest.raises(InputError, match="not a readable checkpoint"):
        train(*arguments, checkpoint=place)


def test_patience_and_progress(network):
    """Training stops when validation no longer gains; what is kept is the best, not the last."""
    problem, training, validation, start = network
    lines = []
    schedule = Schedule(400, patience=5, report=5)
    trainer = LimitedMemoryBFGS()
    trained = train(problem, trainer, start, training, validation, schedule, progress=lines.append)
    for member, epoch in enumerate(trained.epochs):
        losses = trained.history[:, member, 4]
        ended = min(epoch + 5, len(losses))
        assert trained.losses[member] == losses[:ended].min()
    assert lines[0].epoch == 5
    assert "meV/atom" in str(lines[0])
    assert "s left" in str(lines[0])
    assert np.argmin(trained.losses) == np.flatnonzero((trained.vectors == trained.best).all(1))[0]


def test_a_search_meets_the_strong_wolfe_conditions():
    """On a function whose first step is far too long, and on one where it is far too short."""
    for scale in (1e-3, 1.0, 50.0):

        def at(x, scale=scale):
            return np.cosh(scale * x[0] - 1.0), scale * np.sinh(scale * x - 1.0)

        value, gradient = at(np.zeros(1))
        direction = -gradient
        begun = _Point(0.0, value, float(direction @ gradient), gradient)
        steps = search(begun, direction, 40)
        length = next(steps)
        while True:
            try:
                length = steps.send(at(length * direction))
            except StopIteration as ended:
                found = ended.value
                break
        assert found.value <= value + 1e-4 * found.length * begun.slope
        assert abs(found.slope) <= 0.9 * abs(begun.slope)


def test_one_configuration_far_off_does_not_decide_alone(network):
    """The robust loss is the mean of log(1 + L) over configurations, each judged alone."""
    problem, _, validation, start = network
    look = Look(problem)
    vectors = start[:1]
    found = look.errors(vectors, validation)
    of_each = []
    for stack in validation:
        for place in np.argwhere(np.asarray(stack.weight) > 0.0):
            batch, row = (int(one) for one in place)
            alone = np.zeros_like(stack.weight)
            alone[batch, row] = 1.0
            atoms = alone[..., None] * np.asarray(stack.member)
            masked = replace(
                stack,
                weight=np.asarray(stack.weight) * alone,
                virial_weight=np.asarray(stack.virial_weight) * alone,
                force_weight=np.asarray(stack.force_weight) * atoms.sum(axis=1),
            )
            of_each.append(float(look.errors(vectors, (masked,)).loss[0]))
    assert len(of_each) > 2
    assert max(of_each) > 1.5 * min(of_each)
    assert found.robust[0] == pytest.approx(np.mean(np.log1p(of_each)), rel=1e-6)
