"""Atomic cluster expansion of mixed fields: five bodies by brute force, spans, fits, slopes."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import eval_legendre

from hyperatom.errors import InputError
from hyperatom.potentials.committee_fit import _labels
from hyperatom.potentials.energies_of_atoms import energies_of_atoms
from hyperatom.potentials.family import FitTask
from hyperatom.potentials.family_catalogue import find_family
from hyperatom.potentials.features.bispectrum import bispectrum
from hyperatom.potentials.features.field_products import FieldProducts
from hyperatom.potentials.features.spherical_harmonics import real_spherical_harmonics
from hyperatom.potentials.training import linear_rows
from hyperatom.potentials.training.batches import pack
from hyperatom.potentials.training.losses import squared_loss
from hyperatom.potentials.training.parameter_vector import ParameterVector
from hyperatom.potentials.training.problem import Noise, TrainingProblem
from labelled_frames import labelled_frames

SPECIES = (1, 8)
FRAMES = labelled_frames(10)


def directions(rng, count):
    vectors = rng.normal(size=(count, 3))
    return vectors / np.linalg.norm(vectors, axis=1)[:, None]


def fine_quadrature():
    """Far finer than any of ours."""
    z, weight = np.polynomial.legendre.leggauss(16)
    around = 2 * np.pi * np.arange(32) / 32
    sine = np.sqrt(1 - z * z)
    points = [
        [s * np.cos(a), s * np.sin(a), h] for h, s in zip(z, sine, strict=True) for a in around
    ]
    return np.array(points), np.repeat(weight, 32) / 64


def test_the_invariants_are_sums_over_pairs_triples_and_quadruples_of_neighbours():
    """Written with Legendre polynomials of the angles between neighbours alone."""
    rng = np.random.default_rng(0)
    degree, count = 2, 4
    there, size = directions(rng, count), rng.normal(size=(count, degree + 1))
    with jax.enable_x64(True):
        x, y, z = (jnp.asarray(there[None, :, k]) for k in range(3))
        harmonics = np.asarray(real_spherical_harmonics(x, y, z, degree))[0]
        sums = (np.repeat(size, 2 * np.arange(degree + 1) + 1, axis=1).T * harmonics).sum(axis=1)
        fields = [jnp.asarray(sums[n * n : (n + 1) ** 2])[:, None, None] for n in range(degree + 1)]
        found = np.asarray(FieldProducts(1, degree, 1, degree)(fields))[:, 0]
    assert len(found) == FieldProducts(1, degree, 1, degree).n_features
    points, weight = fine_quadrature()
    seen = [sum(size[j, n] * eval_legendre(n, points @ there[j]) for n in range(degree + 1))
            for j in range(count)]  # fmt: skip
    expected = [size[:, 0].sum()]
    every = range(count)
    for n in range(degree + 1):
        pairs = sum(
            size[j, n] * size[k, n] * eval_legendre(n, there[j] @ there[k])
            for j in every for k in every
        )  # fmt: skip
        expected.append(pairs / (2 * n + 1))
    for n in range(degree + 1):
        shape = [weight * eval_legendre(n, points @ there[j]) for j in every]
        triples = [
            size[j, n] * np.sum(shape[j] * seen[k] * seen[m])
            for j in every for k in every for m in every
        ]  # fmt: skip
        expected.append(sum(triples))
    for n in range(degree + 1):
        kernel = (2 * n + 1) * eval_legendre(n, points @ points.T)
        left = [weight * seen[j] * seen[k] for j in every for k in every]
        expected.append(sum(one @ kernel @ other for one in left for other in left))
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_enough_fields_span_all_products_of_three_channels():
    """Two channels to degree two: every invariant of third order is a sum of ours."""
    rng = np.random.default_rng(1)
    n_atoms, n_channels, degree = 120, 2, 2
    density = rng.normal(size=(n_atoms, n_channels, 9))
    products = FieldProducts(14, degree, 14, degree)
    mixing = rng.normal(size=(degree + 1, 14, n_channels))
    with jax.enable_x64(True):
        fields = [
            jnp.einsum("fc,icm->mfi", mixing[n], density[:, :, n * n : (n + 1) ** 2])
            for n in range(degree + 1)
        ]
        ours = np.asarray(products(fields)).T
        third = np.asarray(bispectrum(jnp.asarray(density), degree))
    own = slice(14 * (degree + 2), 14 * (2 * degree + 3))
    left = np.linalg.lstsq(ours[:, own], third, rcond=None)[0]
    np.testing.assert_allclose(ours[:, own] @ left, third, atol=1e-8)
    assert np.linalg.matrix_rank(ours[:, own]) == third.shape[1]


def test_products_of_more_fields_than_there_are_are_refused():
    with pytest.raises(InputError, match="no fewer fields"):
        FieldProducts(2, 2, 3, 2)
    with pytest.raises(InputError, match="no lower degree"):
        FieldProducts(3, 2, 3, 3)


@cache
def fitted(embedding, members=1, epochs=3):
    family = find_family("ace")
    own = {**family.small, "embedding": embedding, "members": members, "epochs": epochs}
    settings = family.settings(**own)
    task = FitTask(settings, SPECIES, FRAMES, (), energies_of_atoms(FRAMES, SPECIES))
    return task, family.fit(task).potential


def problem_of(potential, chosen):
    """Terms, parameters (those that `chosen` says yes to) and batches of the fit."""
    expansion = potential.model.atomic_energy.architecture
    tree = jax.tree.map(lambda leaf: leaf[0], potential.parameters["members"])
    parameters = ParameterVector(tree, trained=chosen)
    problem = TrainingProblem(expansion.terms, parameters, Noise())
    labels = _labels(FRAMES, SPECIES, potential.parameters["radii"])
    return problem, parameters.vector(tree), pack(labels, expansion.terms, atoms_per_batch=40)


def linear(way):
    return way[0] == "species" and way[2] in ("weights", "offset")


def test_what_is_trained_is_what_the_potential_computes():
    _, potential = fitted("network")
    problem, vector, stacks = problem_of(potential, lambda way: True)
    labels = _labels(FRAMES, SPECIES, potential.parameters["radii"])
    rest = {one.evaluation.energy: frame for one, frame in zip(labels, FRAMES, strict=True)}
    with jax.enable_x64(True):
        predict = jax.jit(problem.predict)
        for stack in stacks:
            for number in range(stack.n_batches):
                batch = stack.number(number)
                energies, forces, _ = predict(jnp.asarray(vector), batch)
                for place in np.flatnonzero(batch.weight):
                    frame = rest[float(batch.energy[place])]
                    told = potential.evaluate(frame.configuration)
                    given = frame.evaluation.energy - float(batch.energy[place])
                    assert float(energies[place]) + given == pytest.approx(told.energy, abs=1e-9)
                    atoms = np.flatnonzero(batch.member[place])
                    repelled = frame.evaluation.forces - np.asarray(batch.forces)[:, atoms].T
                    np.testing.assert_allclose(
                        np.asarray(forces)[:, atoms].T + repelled, told.forces, atol=1e-9
                    )


def test_the_gradient_of_the_loss_is_its_slope():
    """Through the density backward, and through its derivative forward."""
    _, potential = fitted("network")
    problem, vector, stacks = problem_of(potential, lambda way: way[-1] not in ("shift", "stretch"))
    rng = np.random.default_rng(3)
    direction = rng.normal(size=len(vector))
    loss = jax.jit(partial(squared_loss, problem))
    with jax.enable_x64(True):
        gradient = np.asarray(jax.jit(jax.grad(partial(squared_loss, problem)))(vector, stacks))
        step = 1e-6
        ends = [float(loss(vector + s * step * direction, stacks)) for s in (-1.0, 1.0)]
    slope = (ends[1] - ends[0]) / (2 * step)
    assert gradient @ direction == pytest.approx(slope, rel=1e-5)


def test_columns_of_a_linear_problem_are_the_derivatives_of_its_rows(monkeypatch):
    _, potential = fitted("linear")
    problem, _, stacks = problem_of(potential, linear)
    by_columns = list(linear_rows.linear_rows(problem, stacks))
    monkeypatch.setattr(TrainingProblem, "n_residuals", lambda self, batch: 0)
    by_rows = list(linear_rows.linear_rows(problem, stacks))
    for one, other in zip(by_columns, by_rows, strict=True):
        scale = np.abs(other.matrix).max()
        np.testing.assert_allclose(one.matrix, other.matrix, atol=1e-9 * scale)
        np.testing.assert_allclose(one.targets, other.targets, rtol=1e-12)


def test_the_linear_expansion_is_the_least_squares_solution():
    """Nothing near it in weights and constants explains the labels better."""
    _, potential = fitted("linear")
    problem, vector, stacks = problem_of(potential, linear)
    rows = list(linear_rows.linear_rows(problem, stacks))
    matrix = np.concatenate([one.matrix for one in rows])
    targets = np.concatenate([one.targets for one in rows])
    found = np.sum((matrix @ vector - targets) ** 2)
    best = np.linalg.lstsq(matrix, targets, rcond=1e-9)[0]
    least = np.sum((matrix @ best - targets) ** 2)
    assert least <= found < 1.3 * least + 1e-6 * np.sum(targets**2)


def test_a_network_begins_as_the_linear_expansion():
    """Whitened and folded again: both are found in closed form, and the network is silent."""
    (_, straight), (_, curved) = fitted("linear"), fitted("network", epochs=0)
    here = FRAMES[0].configuration
    one, other = straight.evaluate(here), curved.evaluate(here)
    assert other.energy == pytest.approx(one.energy, abs=1e-8)
    np.testing.assert_allclose(other.forces, one.forces, atol=1e-7)
    (species,) = {len(part["layers"]) for part in curved.parameters["members"]["species"]}
    assert species == 2
    assert "whitening" not in curved.parameters["members"]["species"][0]


@pytest.mark.slow
def test_members_differ_and_their_spread_is_the_error():
    _, potential = fitted("network", members=2, epochs=10)
    here = FRAMES[0].configuration
    squeezed = here.with_cell(0.85 * here.positions, 0.85 * here.cell)
    assert potential.evaluate(squeezed).energy_error > 2.0 * potential.evaluate(here).energy_error
