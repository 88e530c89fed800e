"""Symmetry functions and Chebyshev features against their definitions, neighbour by neighbour."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperatom.errors import InputError
from hyperatom.potentials.features.angular_sums import legendre_coefficients
from hyperatom.potentials.features.chebyshev_features import ChebyshevFeatures
from hyperatom.potentials.features.cutoff_functions import SHAPES, CutoffFunction
from hyperatom.potentials.features.symmetry_functions import (
    ANY,
    AngularFunction,
    RadialFunction,
    SymmetryFunctions,
)

SPECIES = (8, 14)
SLOTS = (16, 24)
CUTOFF = 4.0
KINDS = np.repeat(SPECIES, SLOTS)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def surroundings(seed=0):
    """Vectors to the slots of two atoms (3, 2, n): near, beyond the cutoff, and empty slots."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(3, 2, sum(SLOTS)))
    directions /= np.linalg.norm(directions, axis=0)
    vectors = directions * rng.uniform(1.0, 4.6, directions.shape[1:])
    vectors[:, :, ::7] = np.array([2.0 * CUTOFF, 0.0, 0.0])[:, None, None]
    return vectors


def by_definition(function, vectors, window):
    """The value of one function for one atom, vectors (3, n)."""

    def gaussian(r):
        return math.exp(-function.eta * (r - function.shift) ** 2)

    def cut(r):
        return float(window(jnp.asarray(r), function.cutoff))

    distances = np.linalg.norm(vectors, axis=0)
    near = [j for j, r in enumerate(distances) if r < function.cutoff]
    total = 0.0
    if isinstance(function, RadialFunction):
        for j in near:
            weight = KINDS[j] if function.neighbour == ANY else KINDS[j] == function.neighbour
            total += weight * gaussian(distances[j]) * cut(distances[j])
        return total
    for j, k in itertools.combinations(near, 2):
        if function.neighbours == (ANY, ANY):
            weight = KINDS[j] * KINDS[k]
        else:
            weight = tuple(sorted((KINDS[j], KINDS[k]))) == function.neighbours
        lengths = [distances[j], distances[k]]
        if function.narrow:
            lengths.append(np.linalg.norm(vectors[:, j] - vectors[:, k]))
        cosine = vectors[:, j] @ vectors[:, k] / (distances[j] * distances[k])
        angle = 2.0 ** (1.0 - function.zeta) * (1.0 + function.sign * cosine) ** function.zeta
        total += weight * angle * math.prod(gaussian(r) * cut(r) for r in lengths)
    return total


FUNCTIONS = (
    AngularFunction((14, 8), 0.1, 1.0, 2.0, CUTOFF, 0.3),
    RadialFunction(8, 0.7, 1.2, CUTOFF),
    AngularFunction((14, 14), 0.02, -1.0, 1.0, CUTOFF, narrow=False),
    AngularFunction((8, 8), 0.05, -1.0, 2.5, 3.0),
    RadialFunction(ANY, 0.3, 0.0, 3.5),
    AngularFunction((ANY, ANY), 0.04, 1.0, 4.0, CUTOFF),
    AngularFunction((14, 14), 0.3, 1.0, 3.0, CUTOFF, 0.1, narrow=False),
    RadialFunction(14, 0.1, 0.0, CUTOFF),
    AngularFunction((8, 14), 0.3, 0.5, 1.0, CUTOFF, narrow=False),
    AngularFunction((8, 8), 0.3, 0.5, 1.0, CUTOFF, narrow=False),
    AngularFunction((14, 14), 0.03, 1.0, 16.0, CUTOFF),
)


@pytest.mark.parametrize("factorise", [True, False])
def test_values_follow_the_definitions_in_the_order_given(factorise):
    window = CutoffFunction("tanh")
    features = SymmetryFunctions(SPECIES, FUNCTIONS, window, factorise)
    vectors = surroundings()
    found = np.array(jax.jit(features, static_argnums=1)(jnp.asarray(vectors), SLOTS))
    expected = [[by_definition(f, vectors[:, i], window) for f in FUNCTIONS] for i in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


def test_factorised_sums_are_the_direct_ones_with_their_derivatives():
    wide = [
        AngularFunction(pair, eta, sign, zeta, CUTOFF, narrow=False)
        for pair in ((8, 8), (8, 14), (14, 14))
        for eta in (0.0, 0.2)
        for sign in (-1.0, 1.0)
        for zeta in (1.0, 2.0, 3.0)
    ]
    vectors = jnp.asarray(surroundings(1))
    weights = jnp.arange(1.0, len(wide) + 1.0)
    values, slopes = [], []
    for factorise in (True, False):
        features = SymmetryFunctions(SPECIES, wide, CutoffFunction(), factorise)

        def energy(v, features=features):
            values = features(v, SLOTS)
            return jnp.sum(values @ weights), values

        slope, value = jax.jit(jax.grad(energy, has_aux=True))(vectors)
        values.append(np.array(value))
        slopes.append(np.array(slope))
    np.testing.assert_allclose(values[0], values[1], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-9, atol=1e-10)
    assert np.isfinite(slopes).all()


def test_legendre_coefficients_of_a_power():
    x = np.linspace(-1.0, 1.0, 7)
    for sign, zeta in ((1.0, 1), (-1.0, 4), (0.5, 16)):
        series = np.polynomial.legendre.legval(x, legendre_coefficients(sign, zeta))
        np.testing.assert_allclose(series, 2.0 * ((1.0 + sign * x) / 2.0) ** zeta, atol=1e-13)


def test_a_straight_angle_has_a_derivative():
    """Neighbours in line, seen at the same and at opposite directions, at integer zeta or not."""
    functions = [
        AngularFunction((8, 8), 0.1, sign, zeta, CUTOFF, narrow=narrow)
        for sign in (-1.0, 1.0)
        for zeta in (1.0, 1.5, 2.0)
        for narrow in (True, False)
    ]
    features = SymmetryFunctions((8,), functions, CutoffFunction(), factorise=False)
    vectors = jnp.array([[-1.0, 1.0, 2.0, 8.0], [0.0] * 4, [0.0] * 4])[:, None, :]
    slopes = jax.jit(jax.jacrev(lambda v: features(v, (4,))))(vectors)
    assert np.isfinite(np.array(slopes)).all()
    assert np.abs(slopes).max() > 0.1


@pytest.mark.parametrize("shape", SHAPES)
def test_cutoff_functions_go_from_one_to_zero(shape):
    inner = 0.3 if "polynomial" in shape or shape in ("cosine", "exponential") else 0.0
    window = CutoffFunction(shape, inner)
    r = jnp.array([0.0, 0.3 * CUTOFF, 2.0, CUTOFF * (1.0 - 1e-7), CUTOFF, CUTOFF + 0.1, 9.0])
    values = np.array(window(r, CUTOFF))
    slopes = np.array(jax.vmap(jax.grad(lambda x: window(x, CUTOFF)))(r))
    assert np.isfinite(slopes).all()
    assert values[0] == pytest.approx(np.tanh(1.0) ** 3 if shape == "tanh" else 1.0)
    if inner:
        assert values[1] == pytest.approx(1.0, abs=1e-12)
        np.testing.assert_allclose(slopes[0], 0.0, atol=1e-12)
    np.testing.assert_array_equal(values[4:], 0.0)
    np.testing.assert_array_equal(slopes[4:], 0.0)
    if shape != "hard":
        np.testing.assert_allclose([values[3], slopes[3]], 0.0, atol=1e-6)
        assert 0.0 < values[2] < 1.0


def test_middle_of_the_cutoff_functions():
    """All symmetric shapes are one half there; the others have closed forms."""
    half = dict.fromkeys(SHAPES, 0.5)
    half["hard"] = 1.0
    half["tanh"] = math.tanh(0.5) ** 3
    half["normalised tanh"] = (math.tanh(0.5) / math.tanh(1.0)) ** 3
    half["exponential"] = math.exp(1.0 - 1.0 / (1.0 - 0.25))
    for shape, value in half.items():
        found = CutoffFunction(shape)(jnp.asarray(1.5), 3.0)
        assert float(found) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("weights", [None, (-1.0, 1.0), (2.0, -1.0)])
def test_chebyshev_features_follow_their_definition(weights):
    features = ChebyshevFeatures(SPECIES, weights, CUTOFF, 5, 3.0, 4)
    vectors = surroundings(2)
    found = np.array(jax.jit(features, static_argnums=1)(jnp.asarray(vectors), SLOTS))
    for atom in range(2):
        own = vectors[:, atom]
        distance = np.linalg.norm(own, axis=0)
        expected = []
        for kinds in ((1.0, 1.0),) if weights is None else ((1.0, 1.0), weights):
            w = np.repeat(kinds, SLOTS)
            radial = np.where(distance < CUTOFF, 0.5 * np.cos(np.pi * distance / CUTOFF) + 0.5, 0)
            angular = np.where(distance < 3.0, 0.5 * np.cos(np.pi * distance / 3.0) + 0.5, 0)
            inside = np.minimum(2.0 * distance / CUTOFF - 1.0, 1.0)
            expected += [np.sum(w * radial * np.cos(n * np.arccos(inside))) for n in range(6)]
            for n in range(5):
                expected.append(
                    sum(
                        w[j]
                        * w[k]
                        * angular[j]
                        * angular[k]
                        * np.cos(n * np.arccos(own[:, j] @ own[:, k] / distance[j] / distance[k]))
                        for j, k in itertools.combinations(np.flatnonzero(angular), 2)
                    )
                )
        np.testing.assert_allclose(found[atom], expected, rtol=1e-10, atol=1e-12)


def test_what_cannot_be_is_named():
    with pytest.raises(InputError, match="no continuous derivative"):
        AngularFunction((8, 8), 0.1, 1.0, 0.5, CUTOFF)
    with pytest.raises(InputError, match="no continuous derivative"):
        AngularFunction((8, 8), 0.1, -1.5, 2.0, CUTOFF)
    with pytest.raises(InputError, match="potential is for"):
        SymmetryFunctions((8,), [RadialFunction(14, 0.1, 0.0, CUTOFF)], CutoffFunction())
    with pytest.raises(InputError, match="no cutoff function called"):
        CutoffFunction("cubic")
    with pytest.raises(InputError, match="inner radius"):
        CutoffFunction("cosine", 1.0)
    with pytest.raises(InputError, match="Chebyshev features"):
        ChebyshevFeatures(SPECIES, None, 0.0, 3, 3.0, 2)
