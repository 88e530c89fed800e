"""Residuals and losses against the potential itself, finite differences, and what is known."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperatom.analysis.acceptance_forecast import expected_acceptance, largest_deviation
from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.potentials.behler_parrinello import (
    BehlerParrinelloEnergy,
    behler_parrinello,
    network_sums,
)
from hyperatom.potentials.training.batches import TrainingLabel, pack, slot_classes, split
from hyperatom.potentials.training.local_terms import DirectTerms, FeatureTerms
from hyperatom.potentials.training.losses import (
    energy_spread,
    n_rows,
    sigma_noise,
    squared_loss,
)
from hyperatom.potentials.training.parameter_vector import ParameterVector
from hyperatom.potentials.training.problem import Noise, TrainingProblem, group_numbers
from hyperatom.units import BOLTZMANN
from training_case import (
    CUTOFF,
    FEATURES,
    FUNCTIONS,
    NETWORK,
    SPECIES,
    morse_labels,
    network_terms,
    network_tree,
)


@pytest.fixture(scope="module")
def labels():
    return morse_labels(7)


@pytest.fixture(scope="module")
def problem():
    return TrainingProblem(network_terms(), ParameterVector(network_tree(0)))


@pytest.fixture(scope="module")
def stacks(problem, labels):
    return pack(labels, problem.terms, atoms_per_batch=16, shapes=1)


@pytest.fixture(scope="module")
def loss(problem, stacks):
    compiled = jax.jit(jax.value_and_grad(partial(squared_loss, problem)))

    def evaluate(vector):
        with jax.enable_x64(True):
            value, gradient = compiled(jnp.asarray(vector), stacks)
            return float(value), np.asarray(gradient)

    return evaluate


def sum_by_hand(problem, labels, potential):
    total = 0.0
    for label in labels:
        here, said = label.configuration, label.evaluation
        found, n_atoms = potential.evaluate(here), here.n_atoms
        variance = n_atoms * problem.noise.energy**2 + (said.energy_error or 0.0) ** 2
        squares = (found.energy - said.energy) ** 2 / variance
        squares += np.sum((found.forces - said.forces) ** 2) / problem.noise.forces**2
        if said.stress is not None:
            apart = here.volume * (found.stress - said.stress)
            squares += np.sum(apart**2) / (n_atoms * problem.noise.virial**2)
        total += 0.5 * label.weight * squares
    return total


def test_the_loss_is_that_of_the_frozen_potential(problem, labels, loss, stacks):
    """Packing, slots, blocks and pairs seen from both sides, against `CompiledPotential`."""
    tree = network_tree(3)
    potential = behler_parrinello(FEATURES, [NETWORK] * 2, tree, "being trained")
    value, _ = loss(problem.start([tree])[0])
    assert value == pytest.approx(sum_by_hand(problem, labels, potential), rel=1e-10)
    n_periodic = sum(label.evaluation.stress is not None for label in labels)
    n_atoms = sum(label.configuration.n_atoms for label in labels)
    assert n_rows(stacks, problem) == len(labels) + 3 * n_atoms + 6 * n_periodic


def test_weights_noisy_references_and_labels_without_forces(problem, labels, loss):
    changed = [
        replace(
            label,
            weight=0.3 + number,
            evaluation=replace(
                label.evaluation, energy_error=0.1 * number, forces=label.evaluation.forces * 1.0
            ),
        )
        for number, label in enumerate(labels)
    ]
    tree = network_tree(3)
    potential = behler_parrinello(FEATURES, [NETWORK] * 2, tree, "being trained")
    packed = pack(changed, problem.terms, atoms_per_batch=16, shapes=1)
    vector = problem.start([tree])[0]
    with jax.enable_x64(True):
        value = float(squared_loss(problem, jnp.asarray(vector), packed))
    assert value == pytest.approx(sum_by_hand(problem, changed, potential), rel=1e-10)
    bare = [
        replace(
            label,
            evaluation=Evaluation(
                label.evaluation.energy, np.full_like(label.evaluation.forces, np.nan)
            ),
        )
        for label in labels
    ]
    with jax.enable_x64(True):
        value = float(
            squared_loss(problem, jnp.asarray(vector), pack(bare, problem.terms, shapes=1))
        )
    alone = replace(problem, noise=Noise(forces=np.inf, virial=np.inf))
    assert alone.energies_alone
    with jax.enable_x64(True):
        same = float(
            squared_loss(alone, jnp.asarray(vector), pack(labels, problem.terms, shapes=1))
        )
    assert value == pytest.approx(same, rel=1e-12)


def test_gradients_against_finite_differences(problem, loss):
    vector = problem.start([network_tree(3)])[0]
    _, gradient = loss(vector)
    rng = np.random.default_rng(0)
    for _ in range(3):
        direction = rng.normal(size=len(vector))
        step = 1e-5
        ends = [loss(vector + s * step * direction)[0] for s in (-2, -1, 1, 2)]
        slope = (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * step)
        assert gradient @ direction == pytest.approx(slope, rel=1e-7)


def test_direct_terms_and_blocks_change_nothing(problem, labels, loss):
    """Derivatives through the features, three atoms at a time, against stored slopes."""
    energy = BehlerParrinelloEnergy(FEATURES, [NETWORK] * 2)
    direct = replace(problem, terms=DirectTerms(SPECIES, CUTOFF, energy, block=3))
    vector = problem.start([network_tree(3)])[0]
    packed = pack(labels, direct.terms, atoms_per_batch=16, shapes=1)
    assert packed[0].species.shape[1] > 1
    with jax.enable_x64(True):
        gradient = jax.jit(jax.value_and_grad(partial(squared_loss, direct)))
        value, slope = gradient(jnp.asarray(vector), packed)
    expected, known = loss(vector)
    assert float(value) == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(slope, known, rtol=1e-8, atol=1e-8 * np.abs(known).max())


def test_single_precision_is_close(problem, labels, loss):
    packed = pack(labels, problem.terms, atoms_per_batch=16, shapes=1, precision="float32")
    vector = problem.start([network_tree(3)])[0]
    with jax.enable_x64(True):
        value, gradient = jax.value_and_grad(partial(squared_loss, problem))(
            jnp.asarray(vector), packed
        )
    expected, known = loss(vector)
    assert packed[0].forces.dtype == np.float32
    assert gradient.dtype == np.float64
    assert float(value) == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(gradient, known, atol=1e-3 * np.abs(known).max())


def test_only_trained_numbers_are_in_the_vector():
    tree = network_tree(1)
    parameters = ParameterVector(tree)
    vector = parameters.vector(tree)
    n_of_one = len(FUNCTIONS) * 6 + 6 + 6 + 1 + 2
    assert len(vector) == parameters.n_parameters == 2 * n_of_one
    back = parameters.arrays(vector + 1.0)
    np.testing.assert_array_equal(back[1]["shift"], tree[1]["shift"])
    np.testing.assert_array_equal(back[1]["layers"][0][0], tree[1]["layers"][0][0] + 1.0)
    assert back[0]["offset"] == tree[0]["offset"] + 1.0


def test_offsets_of_groups_make_the_loss_a_variance(labels):
    """At the best offsets the energy part is the sum of squared deviations from group means."""
    noise = Noise(energy=0.01, forces=np.inf, virial=np.inf)
    parameters = ParameterVector(network_tree(0))
    problem = TrainingProblem(network_terms(), parameters, noise, n_groups=2)
    packed = pack(labels, problem.terms, shapes=1)
    tree = network_tree(3)
    potential = behler_parrinello(FEATURES, [NETWORK] * 2, tree, "being trained")
    errors = np.array(
        [potential.evaluate(one.configuration).energy - one.evaluation.energy for one in labels]
    )
    groups = np.array([label.group for label in labels])
    roots = np.array([np.sqrt(label.configuration.n_atoms) * noise.energy for label in labels])
    scaled = errors / roots
    means = np.array([scaled[groups == group].mean() for group in (0, 1)])
    vector = problem.start([tree])[0]
    vector[-2:] = means

    def at(vector):
        with jax.enable_x64(True):
            value = float(squared_loss(problem, jnp.asarray(vector), packed))
        return value - 0.5 * 1e-4 * np.sum(vector[-2:] ** 2)

    deviations = scaled - means[groups]
    assert at(vector) == pytest.approx(0.5 * deviations @ deviations, rel=1e-9)
    for change in ((0.1, 0.0), (0.0, -0.1)):
        assert at(vector + np.concatenate([np.zeros(len(vector) - 2), change])) > at(vector)
    spread = energy_spread(errors, groups)
    by_hand = sum(np.sum((errors[groups == g] - errors[groups == g].mean()) ** 2) for g in (0, 1))
    assert spread.n_effective == len(labels) - 2
    assert spread.sigma == pytest.approx(np.sqrt(by_hand / (len(labels) - 2)), rel=1e-12)


def test_the_spread_and_its_error():
    rng = np.random.default_rng(4)
    errors = 0.3 * rng.normal(size=(400, 50)) + rng.normal(size=(400, 1)) * 0.0
    found = [energy_spread(row + 7.0, np.zeros(50, dtype=int)) for row in errors]
    sigmas = np.array([one.sigma for one in found])
    # The mean of 400 estimates, and their scatter against the error that each claims.
    assert sigmas.mean() == pytest.approx(0.3, abs=4 * sigmas.std() / 20)
    claimed = np.mean([one.standard_error for one in found])
    assert claimed == pytest.approx(sigmas.std(), rel=0.15)
    assert np.isnan(energy_spread(np.ones(2), np.arange(2)).sigma)


def test_acceptance_against_a_simulated_test():
    """P = <min(1, exp(-beta dH))> for independent Gaussian errors at both ends."""
    sigma, temperature = 0.05, 400.0
    beta = 1.0 / (BOLTZMANN * temperature)
    rng = np.random.default_rng(5)
    # End points of the guide's own ensemble come with weights exp(-beta delta) of the reference.
    before = sigma * rng.normal(size=200_000) - beta * sigma**2
    after = sigma * rng.normal(size=200_000)
    accepted = np.minimum(1.0, np.exp(-beta * (after - before)))
    error = accepted.std() / np.sqrt(len(accepted))
    assert expected_acceptance(sigma, temperature) == pytest.approx(accepted.mean(), abs=4 * error)
    assert largest_deviation(expected_acceptance(sigma, temperature), temperature) == pytest.approx(
        sigma
    )


def test_sigma_noise_counts_errors_in_kt(labels):
    noise = sigma_noise(labels[1:3], 300.0)
    residual = BOLTZMANN * 300.0 / (np.sqrt(8) * noise.energy)
    assert 0.5 * residual**2 == pytest.approx(1.0)


def test_groups_are_compositions(labels):
    grouped = group_numbers(labels)
    for one in grouped:
        for other in grouped:
            same = sorted(one.configuration.numbers) == sorted(other.configuration.numbers)
            assert (one.group == other.group) == same


def test_classes_of_slots_are_the_cheapest():
    slots = np.array([[8], [8], [16], [64], [64], [64]])
    n_atoms = np.array([10, 10, 10, 2, 2, 2])
    classes = slot_classes(slots, n_atoms)
    assert [top for top, _ in classes] == [(8,), (16,), (64,)]
    assert sorted(np.concatenate([members for _, members in classes])) == list(range(6))
    assert len(slot_classes(np.full((5, 1), 24), np.full(5, 3))) == 1


def test_bad_labels_are_named(labels, problem):
    with pytest.raises(InputError, match="no label"):
        pack([], problem.terms)
    with pytest.raises(InputError, match="noise of the forces is 0"):
        Noise(forces=0.0)
    here = labels[0].configuration
    gold = Configuration(
        np.full(here.n_atoms, 79), here.positions, here.cell, here.periodic, here.masses
    )
    with pytest.raises(InputError, match="holds Au; the potential is for Ar, Kr"):
        pack([TrainingLabel(gold, labels[0].evaluation)], problem.terms)
    with pytest.raises(InputError, match="cannot be divided"):
        split(labels, 1.5, 0)


def test_validation_is_drawn_by_seed(labels):
    training, validation = split(labels, 0.3, seed=1)
    assert len(validation) == 2
    assert {id(one) for one in training} | {id(one) for one in validation} == set(map(id, labels))
    assert split(labels, 0.3, seed=1)[1] == validation
    assert any(split(labels, 0.3, seed=k)[1] != validation for k in range(2, 6))


def test_features_that_know_their_centre():
    """`of_centre` hands the species of the atom on; here it doubles the features of krypton."""

    def doubled(displacements, central_species, slots):
        return FEATURES(displacements, slots) * (1.0 + central_species[:, None])

    terms = FeatureTerms(
        SPECIES,
        CUTOFF,
        len(FUNCTIONS),
        doubled,
        partial(network_sums, [NETWORK] * 2),
        of_centre=True,
    )
    label = morse_labels(2)[1]
    (one,), (two,) = pack([label], network_terms()), pack([label], terms)
    factor = 1.0 + one.species[0, 0]
    np.testing.assert_allclose(two.inputs[0, 0], one.inputs[0, 0] * factor[:, None])
    np.testing.assert_allclose(two.slopes[0], one.slopes[0] * factor[:, None, None])
