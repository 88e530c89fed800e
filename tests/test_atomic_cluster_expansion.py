"""The atomic cluster expansion: physics on difficult cells, and files that are damaged."""

from itertools import product

import numpy as np
import pytest
from scipy.special import sph_harm_y

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.interchange.ace import read_ace
from hyperatom.potentials.atomic_cluster_expansion import (
    Bond,
    ClusterExpansion,
    ClusterFunction,
    Embedding,
    atomic_cluster_expansion,
)
from hyperatom.potentials.features.product_tree import build_tree, canonical, sums_of_products
from potential_suite import check_cutoff, check_forces, check_physics, make_configuration

KINDS = [
    ((0,), (2,), (0,)),
    ((1, 1), (1, 1), (1, 1)),
    ((0, 1, 1), (1, 1, 2), (1, 1, 2)),
    ((0, 1, 1, 1), (1, 1, 2, 2), (1, 1, 1, 1)),
    ((0, 1, 1, 1, 1), (2, 1, 1, 2, 2), (1, 1, 0, 1, 1)),
]


def coupled(degrees):
    """All m that sum to zero, and the mean of the product of these harmonics over the sphere.

    A sum of products with these means as coefficients is invariant under rotation.
    """
    z, weight = np.polynomial.legendre.leggauss(sum(degrees) + 1)
    found = []
    for orders in product(*(range(-degree, degree + 1) for degree in degrees)):
        if sum(orders) == 0:
            values = [
                sph_harm_y(degree, m, np.arccos(z), 0.0)
                for degree, m in zip(degrees, orders, strict=True)
            ]
            found.append((orders, float(np.sum(weight * np.prod(values, axis=0).real))))
    orders, means = zip(*found, strict=True)
    return np.array(orders), np.array(means) / np.linalg.norm(means)


def expansion_of(inner_cutoff="distance"):
    """Oxygen and silicon, functions of one to five factors, bonds that all differ.

    The cutoff has no last step: its curvature jumps, which finite differences would feel.
    """
    rng = np.random.default_rng(4)
    bonds = {
        (i, j): Bond(
            ("ChebExpCos", "SBessel")[i],
            5.0 - i,
            3.6 + 0.3 * (i + j),
            0.0,
            rng.normal(size=(2, 3, 3)),
            core=4.0,
            core_exponent=1.0,
            inner=0.0 if inner_cutoff == "density" else 2.2 - 0.2 * i,
            inner_width=0.0 if inner_cutoff == "density" else 0.8,
        )
        for i in (0, 1)
        for j in (0, 1)
    }
    functions = []
    for central in (0, 1):
        for species, radial, degrees in KINDS:
            orders, means = coupled(degrees)
            coefficients = np.outer(means, 0.2 * rng.normal(size=2))
            functions.append(
                ClusterFunction(central, species, radial, degrees, orders, coefficients)
            )
    embeddings = (
        Embedding("FinnisSinclairShiftedScaled", (1.0, 0.5), (1.0, 0.5), 12.0, 9.0),
        Embedding("FinnisSinclairShiftedScaled", (1.0, -0.3), (1.0, 0.7), 12.0, 9.0),
    )
    return ClusterExpansion((8, 14), (0.0, 0.0), embeddings, bonds, tuple(functions), inner_cutoff)


POTENTIALS = {
    kind: atomic_cluster_expansion(expansion_of(kind), kind) for kind in ("distance", "density")
}


@pytest.mark.parametrize("case", ["thinner than the cutoff", "isolated", "one isolated atom"])
def test_physics(case):
    check_physics(POTENTIALS["distance"], case, spacing=2.0)


def test_physics_of_a_core_without_inner_cutoff():
    potential = POTENTIALS["density"]
    check_forces(potential, make_configuration(potential.species, "isolated", 1.7))


def test_it_ends_at_the_cutoff():
    check_cutoff(POTENTIALS["distance"])


def test_products_and_their_slopes_are_those_of_complex_numbers():
    import jax
    import jax.numpy as jnp

    channels = np.array([[0, 1], [2, 3], [4, -1], [5, 6]])
    rng = np.random.default_rng(0)
    products = set()
    while len(products) < 150:
        chosen = rng.integers(0, 4, rng.integers(2, 7))
        products.add(canonical((int(c), 0 if c == 2 else int(rng.choice([-1, 1]))) for c in chosen))
    products = sorted(products)
    coefficients = rng.normal(size=(2, len(products)))
    values = rng.normal(size=(7, 8))

    def expected(values):
        total = 0.0
        for factors, weights in zip(products, coefficients.T, strict=True):
            terms = [
                values[channels[c, 0]] + (1j * m * values[channels[c, 1]] if m else 0.0)
                for c, m in factors
            ]
            total = total + weights[:, None] * np.prod(terms, axis=0).real
        return total

    tree = build_tree(products, channels, len(values))
    with jax.enable_x64(True):
        sums, pull = jax.vjp(
            lambda v: sums_of_products(
                jax.tree.map(jnp.asarray, tree), jnp.asarray(coefficients), v
            ),
            jnp.asarray(values),
        )
        np.testing.assert_allclose(sums, expected(values), rtol=1e-12, atol=1e-12)
        weights = rng.normal(size=sums.shape)
        (slope,) = pull(weights)
    step = 1e-6
    for row in range(7):
        moved = np.zeros_like(values)
        moved[row] = step
        change = expected(values + moved) - expected(values - moved)
        difference = np.sum(weights * change, axis=0) / (2 * step)
        np.testing.assert_allclose(slope[row], difference, rtol=1e-5, atol=1e-5)


SMALL = """elements: [Si]
E0: [-1.25]
deltaSplineBins: 0.001
embeddings:
  0: {ndensity: 1, FS_parameters: [1, 1], npoti: FinnisSinclair, rho_core_cutoff: 100, \
drho_core_cutoff: 20}
bonds:
  [0, 0]: {nradmax: 1, lmax: 1, nradbasemax: 2, radbasename: ChebExpCos, radparameters: [5.0], \
radcoefficients: [[[1.0, 0.5], [0.5, 1.0]]], prehc: 0, lambdahc: 0, rcut: 4.0, dcut: 0.01, \
rcut_in: 0, dcut_in: 0, inner_cutoff_type: distance}
functions:
  0:
    - {mu0: 0, rank: 1, ndensity: 1, num_ms_combs: 1, mus: [0], ns: [2], ls: [0], ms_combs: [0], \
ctildes: [0.5]}
    - {mu0: 0, rank: 2, ndensity: 1, num_ms_combs: 2, mus: [0, 0], ns: [1, 1], ls: [1, 1], \
ms_combs: [0, 0, 1, -1], ctildes: [0.25, -0.5]}
"""

PAIR = Configuration(
    np.array([14, 14]),
    np.array([[0.0, 0.0, 0.0], [1.5, 1.0, 0.5]]),
    np.zeros((3, 3)),
    np.zeros(3, dtype=bool),
    np.ones(2),
)


def written(folder, text):
    path = folder / "silicon.yace"
    path.write_bytes(text.encode())
    return path


def test_windows_line_ends_change_nothing(tmp_path):
    plain = read_ace(written(tmp_path, SMALL))
    energy = plain.evaluate(PAIR).energy
    assert plain.evaluate(PAIR.with_positions(3.0 * PAIR.positions)).energy == -2.5
    # A pair's two functions by hand: with one neighbour, sum_m |A_1m|^2 = 3 R^2.
    r = np.linalg.norm(PAIR.positions[1])
    x = 1.0 - 2.0 * np.expm1(5.0 * (1.0 - r / 4.0)) / np.expm1(5.0)
    first = 0.5 + 0.5 * np.cos(np.pi * r / 4.0)
    second = 0.5 * (1.0 - x) * first
    by_hand = 0.5 * second + 0.25 * 3.0 * (0.5 * first + second) ** 2
    assert energy == pytest.approx(2.0 * (by_hand - 1.25), rel=1e-12)
    windows = read_ace(written(tmp_path, SMALL.replace("\n", "\r\n")))
    assert windows.digest() == plain.digest()


SMALL_TEXT = """nelements=1
elements: Si

lmax=1

embedding-function: FinnisSinclair
2 FS parameters:  1.000000 1.000000
core energy-cutoff parameters: 100.0 20.0
E0: -1.25

radbasename=ChebExpCos
nradbase=2
nradmax=1
cutoffmax=4.0
deltaSplineBins=0.001
core repulsion parameters: 0.0 0.0
radparameter= 5.0
cutoff= 4.0
dcut= 0.01
crad= 1.0 0.5
 0.5 1.0

rankmax=2
ndensitymax=1

num_c_tilde_max=2
num_ms_combinations_max=2
total_basis_size_rank1: 1
ctilde_basis_func: rank=1 ndens=1 mu0=0 mu=( 0 )
n=( 2 )
l=( 0 )
num_ms=1
< 0 >:  0.5
total_basis_size: 1
ctilde_basis_func: rank=2 ndens=1 mu0=0 mu=( 0  0 )
n=( 1  1 )
l=( 1  1 )
num_ms=2
< 0  0 >:  0.25
< 1  -1 >:  -0.5
"""


def test_both_formats_say_the_same(tmp_path):
    import jax

    yaml, text = (
        read_ace(written(tmp_path, content)).parameters for content in (SMALL, SMALL_TEXT)
    )
    jax.tree.map(np.testing.assert_array_equal, text, yaml)


DAMAGES = {
    "cut off": (SMALL[:-40], "line"),
    "no functions": (SMALL[: SMALL.index("functions:")], "'functions' is missing"),
    "species without functions": (
        SMALL.replace("  0:\n    -", "  1:\n    -"),
        "entry 0 is missing",
    ),
    "one coefficient less": (SMALL.replace("[0.25, -0.5]", "[0.25]"), "line 11.*'ctildes' has 1"),
    "radial table too small": (SMALL.replace("[0.5, 1.0]]]", "[0.5]]]"), "line 7.*radcoefficients"),
    "a word for a number": (SMALL.replace("rcut: 4.0", "rcut: four"), "line 7: 'rcut' is 'four'"),
    "not a number": (SMALL.replace("rcut: 4.0", "rcut: .nan"), "line 7: 'rcut' is nan"),
    "unknown radial basis": (SMALL.replace("ChebExpCos", "Wavelet"), "radial basis 'Wavelet'"),
    "unknown embedding": (SMALL.replace("FinnisSinclair", "Square"), "embedding 'Square'"),
    "unknown inner cutoff": (SMALL.replace("type: distance", "type: wall"), "inner cutoff 'wall'"),
    "a core of ZBL": (SMALL.replace("type: distance", "type: zbl"), "inner cutoff 'zbl'"),
    "unknown element": (SMALL.replace("[Si]", "[Xx]"), "element 'Xx'"),
    "m that do not sum to zero": (SMALL.replace("1, -1]", "1, 1]"), "line 11.*sum to zero"),
    "radial function that is not there": (SMALL.replace("ns: [2]", "ns: [3]"), "n = 3"),
    "neighbour that is not there": (SMALL.replace("mus: [0]", "mus: [1]"), "'mus' holds 1"),
    "jump of the embedding": (
        SMALL.replace("prehc: 0", "prehc: 1").replace(
            "drho_core_cutoff: 20", "drho_core_cutoff: 0"
        ),
        "drho_core_cutoff",
    ),
    "jump of the core": (SMALL.replace("rcut_in: 0", "rcut_in: 1"), "'dcut_in' of zero"),
    "a B-basis": ("global: {}\nspecies: []\n", "pace_yaml2yace"),
    "no YAML mapping": ("hello", "is no .yace file"),
    "empty": ("", "is no .yace file"),
    "text cut off": ("nelements=1\nelements: Si\nlmax=3\n", "line 3: the file ends too early"),
    "text cut off in a function": (SMALL_TEXT[:-6], "a number was expected|ends too early"),
    "text with more": (SMALL_TEXT + "1.0\n", "more in the file"),
    "text with another word": ("nelements=1\nelement: Si\n", "line 2: 'elements'"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named(tmp_path, damage):
    text, message = DAMAGES[damage]
    assert text != SMALL
    with pytest.raises(InputError, match=message):
        read_ace(written(tmp_path, text))


def test_what_the_file_does_not_know_is_named(tmp_path):
    potential = read_ace(written(tmp_path, SMALL))
    other = Configuration(np.array([14, 8]), PAIR.positions, PAIR.cell, PAIR.periodic, PAIR.masses)
    with pytest.raises(InputError, match="knows nothing of O"):
        potential.evaluate(other)
    with pytest.raises(InputError, match="cannot be read"):
        read_ace(tmp_path / "missing.yace")
