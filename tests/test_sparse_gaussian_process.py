"""Sparse Gaussian processes that are fitted: exact limits, rows, errors."""

from dataclasses import replace
from functools import cache

import jax
import numpy as np
import pytest

from hyperatom.potentials.energies_of_atoms import energies_of_atoms
from hyperatom.potentials.family import FitTask
from hyperatom.potentials.family_catalogue import find_family
from hyperatom.potentials.kernel_rows import KernelRows
from hyperatom.potentials.many_configurations import evaluate_many
from hyperatom.potentials.readouts.bayesian_linear import (
    Hyperparameters,
    NormalEquations,
    posterior,
)
from hyperatom.potentials.readouts.sparse_gaussian_process import (
    dot_product_covariance,
    dot_product_totals,
    kernel_weights,
    maximise_evidence_of_terms,
    predictive_variance,
    sparse_factor,
    whitened,
)
from hyperatom.potentials.sparse_fit import Candidates, SparseModel
from labelled_frames import labelled_frames

SIGMA, DELTA = 0.05, 1.7


def environments(n_frames, n_atoms=4, n_features=6, seed=0):
    """Normalised vectors: the atoms of each of the frames."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_frames, n_atoms, n_features)) + 0.5
    return x / np.linalg.norm(x, axis=2, keepdims=True)


def fitted_to_energies(x, energies, points, exponent):
    factor = sparse_factor(dot_product_covariance(points, exponent))
    rows = whitened(factor, np.array([dot_product_totals(one, points, exponent)[0] for one in x]))
    equations = NormalEquations(len(points))
    equations.add("energy", rows, energies)
    scales = np.full(len(points), DELTA)
    return factor, posterior(equations, scales, Hyperparameters(1.0, {"energy": SIGMA}))


@pytest.mark.parametrize("exponent", [2.0, 3.0, 2.5])
def test_with_every_environment_a_point_it_is_the_exact_process(exponent):
    """Mean and variance of energies against the dense formulas: covariances of sums of atoms."""
    n_data = 5
    x = environments(n_data + 3, n_features=12, seed=1)
    kernel = DELTA**2 * np.einsum("aif,bjf->abij", x, x).clip(0.0) ** exponent
    if float(exponent).is_integer():
        kernel = DELTA**2 * np.einsum("aif,bjf->abij", x, x) ** exponent
    covariance = kernel.sum(axis=(2, 3))
    energies = np.random.default_rng(2).normal(size=n_data)
    seen, new = covariance[:n_data, :n_data], covariance[n_data:, :n_data]
    inverse = np.linalg.inv(seen + SIGMA**2 * np.eye(n_data))
    mean = new @ inverse @ energies
    variance = np.diag(covariance)[n_data:] - np.einsum("at,ts,as->a", new, inverse, new)

    points = x[:n_data].reshape(-1, 12)
    factor, solution = fitted_to_energies(x[:n_data], energies, points, exponent)
    found = [dot_product_totals(one, points, exponent) for one in x[n_data:]]
    rows = whitened(factor, np.array([totals for totals, _ in found]))
    unsaid = [DELTA**2 * (own - row @ row) for (_, own), row in zip(found, rows, strict=True)]
    np.testing.assert_allclose(rows @ solution.weights, mean, rtol=1e-5)
    sums = np.array([totals for totals, _ in found])
    np.testing.assert_allclose(sums @ kernel_weights(factor, solution.weights), mean, rtol=1e-5)
    told = predictive_variance(rows, np.array(unsaid), solution.scales, solution.factor)
    np.testing.assert_allclose(told.sum(axis=1), variance, rtol=1e-4)


def test_the_moment_says_the_same_as_all_pairs():
    x, points = environments(1, 9)[0], environments(1, 5, seed=3)[0]
    totals, prior = dot_product_totals(x, points, 2.0)
    np.testing.assert_allclose(totals, ((x @ points.T) ** 2).sum(axis=0), rtol=1e-12)
    assert prior == pytest.approx(((x @ x.T) ** 2).sum(), rel=1e-12)


def test_points_that_are_copies_do_no_harm():
    points = np.repeat(environments(1, 6)[0], 3, axis=0)
    factor = sparse_factor(dot_product_covariance(points, 2.0))
    assert np.isfinite(factor).all()
    np.testing.assert_allclose(factor @ factor.T, (points @ points.T) ** 2, atol=1e-6)


def test_evidence_finds_signals_and_noise():
    """Two terms of which one is five times the other, and noise, from many rows."""
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(2000, 80))
    groups = (slice(0, 40), slice(40, 80))
    weights = np.concatenate([0.3 * rng.normal(size=40), 1.5 * rng.normal(size=40)])
    equations = NormalEquations(80)
    equations.add("energy", rows, rows @ weights + 0.2 * rng.normal(size=2000))
    signals, noise = maximise_evidence_of_terms(
        equations, groups, 10.0, np.ones(2), {"energy": 1.0}, {}, 30, {"energy": 1e-6}
    )
    # The deviation of n numbers is known to 1/sqrt(2 n) of itself: three of these.
    np.testing.assert_allclose(signals, [0.3, 1.5], rtol=0.34)
    assert noise["energy"] == pytest.approx(0.2, rel=0.05)
    _, stated = maximise_evidence_of_terms(
        equations, groups, 10.0, np.ones(2), {"energy": 1.0}, {"energy": 0.7}, 3, {"energy": 1e-6}
    )
    assert stated["energy"] == 0.7


FAMILIES = [pytest.param(name, marks=pytest.mark.slow) for name in ("gap", "flare")]
FRAMES = labelled_frames(16)
SPECIES = (1, 8)


@cache
def fitted(name, **changes):
    family = find_family(name)
    settings = family.settings(kind=name, **{**family.small, "inducing_points": 25, **changes})
    constants = energies_of_atoms(FRAMES[:10], SPECIES)
    task = FitTask(settings, SPECIES, FRAMES[:10], FRAMES[10:], constants)
    return family.fit(task).potential


@pytest.mark.parametrize("name", FAMILIES)
def test_rows_are_derivatives_of_what_the_potential_says(name):
    """Rows times weights against energies, forces and virials of the assembled potential."""
    check_rows(fitted(name))


@pytest.mark.slow
def test_rows_of_triplets():
    check_rows(fitted("gap", triplet_points=8, triplet_cutoff=2.8, degree=1))


def check_rows(potential):
    model = potential.model
    terms, owns = model.form.terms, potential.parameters["terms"]
    maker = KernelRows(model, terms, owns)
    rng = np.random.default_rng(6)
    weights = [rng.normal(size=len(factor)) for factor in maker.factors]
    moved = replace(
        potential,
        parameters={
            "constants": np.array([0.3, -0.2]),
            "radii": np.full((2, 2), 0.1),
            "terms": model.form.weighted(owns, weights),
        },
    )
    white = [factor.T @ part for factor, part in zip(maker.factors, weights, strict=True)]
    unknowns = np.concatenate([*white, [0.3, -0.2]])
    here = FRAMES[3].configuration
    rows, found = maker.make(here), evaluate_many(moved, [here])[0]
    assert rows.energy[0] @ unknowns == pytest.approx(found.energy, rel=1e-9)
    size = np.abs(found.forces).max()
    np.testing.assert_allclose(
        (rows.forces @ unknowns).reshape(-1, 3), found.forces, atol=1e-8 * size
    )
    np.testing.assert_allclose(rows.virial @ unknowns / here.volume, found.stress, atol=1e-8 * size)


@pytest.mark.slow
@pytest.mark.parametrize("features", [None, 12])
def test_the_polynomial_is_the_sum_of_kernels(features):
    """Atomic energies of the mapped matrix against sum_s alpha_s (p . p_s)^2, and its error."""
    form = fitted("flare").model.form
    model = SparseModel(replace(form, n_features=features), "float64")
    terms = model.form.terms
    owns = model.form.chosen(Candidates(model, FRAMES[:6], 0), np.ones((2, 2)), 0)
    rng = np.random.default_rng(8)
    weights = [rng.normal(size=len(own["points"])) for own in owns]
    here = FRAMES[12].configuration
    inputs = model.inputs.make(terms, owns, here, here.positions, here.cell)
    for own, mapped, part, features_of in zip(
        owns, model.form.weighted(owns, weights), weights, inputs, strict=True
    ):
        d = features_of[:, own["columns"]] * own["factors"]
        p = d / np.sqrt((d**2).sum(axis=1) + own["softness"])[:, None]
        assert len(own["columns"]) == (features or features_of.shape[1])
        expected = ((p @ own["points"].T) ** 2) @ part
        with jax.enable_x64(True):
            for k, term in enumerate(terms):
                found = np.asarray(term.energy(mapped, features_of, np.full(len(p), k)))
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
        size = np.einsum("if,jf->ij", p, p)
        assert terms[0].totals(own, features_of)[1] == pytest.approx((size**2).sum(), rel=1e-10)


@pytest.mark.parametrize("name", FAMILIES)
def test_predicted_errors_grow_away_from_the_data(name):
    potential, here = fitted(name), FRAMES[12].configuration
    cells = np.array([(1.0 - squeeze) * here.cell for squeeze in (0.0, 0.05, 0.1, 0.15)])
    places = np.array([(1.0 - squeeze) * here.positions for squeeze in (0.0, 0.05, 0.1, 0.15)])
    errors = potential.errors(here, places, cells)
    assert np.all(np.diff(errors) > 0.0)
    assert errors[-1] > 5.0 * errors[0]
