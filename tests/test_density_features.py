"""Density features: symmetries, smoothness, and the mathematics of their parts."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import eval_legendre, sph_harm_y

from hyperatom.errors import InputError
from hyperatom.geometry.neighbours import find_neighbours
from hyperatom.potentials.features.bispectrum import bispectrum, coupling
from hyperatom.potentials.features.density import DensityFeatures, DensitySettings
from hyperatom.potentials.features.power_spectrum import power_spectrum
from hyperatom.potentials.features.radial import radial_functions
from hyperatom.potentials.features.spherical_harmonics import real_spherical_harmonics
from hyperatom.potentials.features.trispectrum import coupled, pairs_of_degrees, trispectrum

CELL = np.array([[5.0, 0.0, 0.0], [1.5, 4.5, 0.0], [-1.0, 0.8, 5.2]])
PERIODIC = np.ones(3, dtype=bool)
SETTINGS = DensitySettings(
    species=(8, 14),
    cutoff=4.0,
    n_radial=4,
    max_degree=4,
    crowding=2.0,
    power_spectrum_radial=4,
    power_spectrum_degree=4,
    bispectrum_radial=1,
    bispectrum_degree=3,
    trispectrum_radial=1,
    trispectrum_degree=2,
)
FEATURES = DensityFeatures(SETTINGS)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def random_cell(seed=0, n_atoms=7):
    rng = np.random.default_rng(seed)
    return rng.uniform(size=(n_atoms, 3)) @ CELL, rng.integers(0, 2, n_atoms)


@partial(jax.jit, static_argnums=(0, 2))
def compiled(features, displacements, slots):
    return features(displacements, slots)


def features_of(positions, species, cell=CELL, features=FEATURES):
    found = find_neighbours(positions, cell, PERIODIC, species, 2, features.settings.cutoff)
    vectors = positions[found.index] + np.moveaxis(found.shift, 0, 2) - positions[:, None]
    return np.asarray(compiled(features, jnp.asarray(np.moveaxis(vectors, 2, 0)), found.slots))


def directions(n, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1)[:, None]


harmonics = jax.jit(real_spherical_harmonics, static_argnums=3)
radial = jax.jit(radial_functions, static_argnums=(1, 2, 3))


def harmonics_of(units, max_degree):
    return np.asarray(harmonics(*jnp.asarray(units.T[:, None, :]), max_degree))[0]


@pytest.mark.parametrize("max_degree", [0, 1, 4, 9])
def test_spherical_harmonics_agree_with_scipy(max_degree):
    units = directions(20)
    ours = harmonics_of(units, max_degree)
    theta, phi = np.arccos(units[:, 2]), np.arctan2(units[:, 1], units[:, 0])
    for degree in range(max_degree + 1):
        scale = np.sqrt(4.0 * np.pi / (2 * degree + 1))
        for m in range(-degree, degree + 1):
            value = scale * sph_harm_y(degree, abs(m), theta, phi) * (-1) ** m
            part = value.real if m >= 0 else value.imag
            part = part * (1.0 if m == 0 else np.sqrt(2.0))
            np.testing.assert_allclose(ours[degree**2 + degree + m], part, atol=1e-12)


def test_addition_theorem():
    u, v = directions(30, 1), directions(30, 2)
    products = harmonics_of(u, 10) * harmonics_of(v, 10)
    for degree in range(11):
        total = products[degree**2 : (degree + 1) ** 2].sum(axis=0)
        np.testing.assert_allclose(total, eval_legendre(degree, np.sum(u * v, axis=1)), atol=1e-12)


@pytest.mark.parametrize("crowding", [0.0, 3.0])
def test_radial_functions_leave_the_cutoff_with_two_continuous_derivatives(crowding):
    cutoff = 5.0

    def value(r):
        return radial_functions(r[None, None], cutoff, 6, crowding)[0, :, 0]

    first = jax.jacfwd(value)
    second = jax.jacfwd(first)
    for derivative in map(jax.jit, (value, first, second)):
        inside = np.asarray(derivative(jnp.float64(cutoff - 1e-7)))
        np.testing.assert_allclose(inside, 0.0, atol=1e-5)
        beyond = np.asarray(derivative(jnp.float64(cutoff + 0.3)))
        np.testing.assert_array_equal(beyond, 0.0)
    # They are different functions: none is a combination of the others.
    r = jnp.linspace(0.5, 4.5, 60)[None]
    functions = np.asarray(radial(r, cutoff, 6, crowding))[0]
    assert np.linalg.matrix_rank(functions, tol=1e-6) == 6


def test_density_is_the_sum_over_neighbours():
    rng = np.random.default_rng(4)
    vectors = rng.uniform(-2.0, 2.0, size=(3, 1, 5))
    density = np.asarray(jax.jit(lambda x: FEATURES.density(x, (2, 3)))(vectors))[0]
    distance = np.linalg.norm(vectors, axis=0)
    along = np.asarray(radial(jnp.asarray(distance), 4.0, 4, 2.0))[0]
    around = harmonics_of((vectors / distance)[:, 0].T, 4)
    for species, slots in enumerate((slice(0, 2), slice(2, 5))):
        expected = along[:, slots] @ around[:, slots].T
        np.testing.assert_allclose(density[4 * species : 4 * species + 4], expected, atol=1e-13)


def test_features_are_invariant_under_rotation_and_inversion():
    positions, species = random_cell()
    before = features_of(positions, species)
    for seed in range(3):
        turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
        for matrix in (turn, -turn):
            after = features_of(positions @ matrix, species, CELL @ matrix)
            np.testing.assert_allclose(after, before, rtol=1e-10, atol=1e-10)
    for name, columns in FEATURES.blocks.items():
        assert np.all(np.std(before[:, columns], axis=0) > 1e-8), name


def test_features_follow_permutation_translation_and_replication():
    positions, species = random_cell()
    before = features_of(positions, species)
    order = np.random.default_rng(1).permutation(len(species))
    np.testing.assert_allclose(features_of(positions[order], species[order]), before[order])
    np.testing.assert_allclose(
        features_of(positions + np.array([7.0, -3.0, 11.0]), species), before
    )
    double = np.diag([2.0, 1.0, 1.0]) @ CELL
    twice = features_of(
        np.concatenate([positions, positions + CELL[0]]), np.tile(species, 2), double
    )
    np.testing.assert_allclose(twice, np.concatenate([before, before]))


def test_features_tell_the_species_of_neighbours_apart():
    positions, species = random_cell()
    swapped = features_of(positions, 1 - species)
    assert np.abs(swapped - features_of(positions, species)).max() > 0.1


def test_gradients_agree_with_finite_differences():
    rng = np.random.default_rng(2)
    vectors = jnp.asarray(rng.uniform(-2.5, 2.5, size=(3, 2, 6)))
    weights = jnp.asarray(rng.normal(size=FEATURES.n_features))

    @jax.jit
    def energy(x):
        return (FEATURES(x, (3, 3)) @ weights).sum()

    gradient = np.asarray(jax.jit(jax.grad(energy))(vectors))
    for place in [(0, 0, 0), (1, 1, 4), (2, 0, 5)]:
        step = jnp.zeros_like(vectors).at[place].set(1e-5)
        numeric = float(energy(vectors + step) - energy(vectors - step)) / 2e-5
        assert gradient[place] == pytest.approx(numeric, rel=1e-7)


def test_coupling_is_the_invariant_and_symmetric():
    for degrees in [(1, 1, 2), (2, 2, 2), (1, 2, 3), (2, 3, 3)]:
        coefficients = coupling(*degrees)
        turn = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
        units = directions(60, 3)
        rotated = coefficients
        for axis, degree in enumerate(degrees):
            columns = slice(degree**2, (degree + 1) ** 2)
            here = harmonics_of(units, degree)[columns].T
            there = harmonics_of(units @ turn, degree)[columns].T
            wigner = np.linalg.lstsq(here, there, rcond=None)[0]
            rotated = np.moveaxis(np.tensordot(rotated, wigner, axes=(axis, 1)), -1, axis)
        np.testing.assert_allclose(rotated, coefficients, atol=1e-11)
        assert np.sum(coefficients**2) == pytest.approx(1.0)
    np.testing.assert_allclose(coupling(1, 1, 2), coupling(1, 1, 2).swapaxes(0, 1), atol=1e-14)
    # z z (3 z^2 - 1)/2 couples positively; y, x to xy with equal strength as y, z to yz.
    assert coupling(1, 1, 2)[0, 2, 0] == pytest.approx(coupling(1, 1, 2)[0, 1, 1])


def test_bispectrum_equals_the_full_contraction_and_repeats_nothing():
    density = jnp.asarray(np.random.default_rng(6).normal(size=(3, 3, 9)))
    ours = np.asarray(jax.jit(bispectrum, static_argnums=1)(density, 2))
    full = []
    for degrees in [(0, 0, 0), (0, 1, 1), (0, 2, 2), (1, 1, 2), (2, 2, 2)]:
        parts = [np.asarray(density)[:, :, d**2 : (d + 1) ** 2] for d in degrees]
        all_channels = np.einsum("iam,ibn,ico,mno->iabc", *parts, coupling(*degrees))
        full.append(all_channels.reshape(3, -1))
    every = np.concatenate(full, axis=1)
    # The same set of numbers, each once.
    distinct = np.unique(np.round(every[0], 10))
    assert len(distinct) == ours.shape[1]
    np.testing.assert_allclose(np.sort(ours[0]), distinct, atol=1e-9)


@pytest.mark.parametrize(("n_channels", "max_degree"), [(1, 2), (2, 2), (1, 3)])
def test_trispectrum_spans_all_products_of_pairs_and_repeats_nothing(n_channels, max_degree):
    """On more densities than functions: full rank, and every other product is a sum of them."""
    rng = np.random.default_rng(4)
    density = jnp.asarray(rng.normal(size=(300, n_channels, (max_degree + 1) ** 2)))
    ours = np.array(trispectrum(density, max_degree))
    ours /= np.linalg.norm(ours, axis=0)
    assert np.linalg.matrix_rank(ours, tol=1e-8) == ours.shape[1] < 300
    for pairs in pairs_of_degrees(n_channels, max_degree):
        tensors = np.asarray(coupled(density, max_degree, pairs))
        every = np.einsum("ipk,iqk->ipq", tensors, tensors).reshape(300, -1)
        every /= np.linalg.norm(every, axis=0)
        left = every - ours @ np.linalg.lstsq(ours, every, rcond=None)[0]
        assert np.abs(left).max() < 1e-8


def test_pairs_are_coupled_as_defined():
    """Each written out by itself."""
    rng = np.random.default_rng(5)
    density = rng.normal(size=(1, 2, 9))
    pairs = pairs_of_degrees(2, 2)[2]
    tensors = np.asarray(coupled(jnp.asarray(density), 2, pairs))[0]
    place = 0
    for first, second, a, b in pairs.blocks:
        left = density[0][:, first * first : (first + 1) ** 2]
        right = density[0][:, second * second : (second + 1) ** 2]
        for c, d in zip(a, b, strict=True):
            expected = np.einsum("m,n,mnk->k", left[c], right[d], coupling(first, second, 2))
            np.testing.assert_allclose(tensors[place], expected, atol=1e-13)
            place += 1
    assert place == len(tensors)


def test_power_spectrum_is_a_double_sum_of_legendre_polynomials():
    rng = np.random.default_rng(8)
    units, weights = directions(6, 9), rng.normal(size=(2, 6))
    density = weights @ harmonics_of(units, 3).T
    spectrum = jax.jit(power_spectrum, static_argnums=(1, 2))
    ours = np.asarray(spectrum(jnp.asarray(density[None]), 3, False))[0]
    cosine = np.clip(units @ units.T, -1.0, 1.0)
    expected = [
        weights[a] @ eval_legendre(degree, cosine) @ weights[b] / np.sqrt(2 * degree + 1)
        for degree in range(4)
        for a, b in ((0, 0), (0, 1), (1, 1))
    ]
    np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_sizes_and_refusals():
    eighty = DensitySettings((14, 8), radial=False, power_spectrum_diagonal=True)
    assert DensityFeatures(eighty).n_features == 80
    positions, species = random_cell()
    assert features_of(positions, species).shape == (7, FEATURES.n_features)
    assert sum(block.stop - block.start for block in FEATURES.blocks.values()) == (
        FEATURES.n_features
    )
    with pytest.raises(InputError, match="max_degree"):
        DensitySettings((8,), max_degree=2, power_spectrum_degree=3)


@pytest.mark.parametrize("diagonal", [False, True])
def test_a_weighted_sum_is_that_of_the_invariants(diagonal):
    """Values and derivatives, in the density and in the weights, without making a feature."""
    settings = DensitySettings(
        (1, 8), 4.0, 3, 3, power_spectrum_radial=3, power_spectrum_degree=3,
        power_spectrum_diagonal=diagonal, bispectrum_radial=2, bispectrum_degree=2,
        trispectrum_radial=1, trispectrum_degree=2,
    )  # fmt: skip
    features = DensityFeatures(settings)
    rng = np.random.default_rng(0)
    density = rng.normal(size=(5, features.n_channels, features.n_lm))
    weights = rng.normal(size=(2, features.n_features))
    species = np.array([0, 1, 1, 0, 1])
    push = rng.normal(size=density.shape)

    def made(density, weights):
        return jnp.sum(features.invariants(density) * weights[species], axis=1)

    def short(density, weights):
        return features.weighted_sum(density, weights, species)

    def all_of(function):
        """The values, both slopes of a sum of squares and, as forces are fitted, the slope in the
        weights of a slope in the density."""

        def slope_along(weights):
            return jnp.vdot(push, jax.grad(lambda d: function(d, weights).sum())(density))

        squares = jax.grad(lambda d, w: (function(d, w) ** 2).sum(), (0, 1))
        return jax.jit(lambda d, w: (function(d, w), *squares(d, w), jax.grad(slope_along)(w)))(
            density, weights
        )

    with jax.enable_x64(True):
        for one, other in zip(all_of(short), all_of(made), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)
