"""The adapted bond-order potential against the same sums written with loops."""

from itertools import product

import jax
import numpy as np
import pytest

from hyperatom.configuration import Configuration
from hyperatom.potentials.bond_order import FURTHEST, LEAST, WINDOW, BondOrderEnergy
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.features.chebyshev_features import ChebyshevFeatures
from potential_suite import check_cutoff, check_physics

SPECIES = (6, 14)
CUTOFF = 4.0
FEATURES = ChebyshevFeatures(SPECIES, [-1.0, 1.0], CUTOFF, 2, 3.0, 1)


def made_up(seed=0, adapted=1.0):
    rng = np.random.default_rng(seed)
    base = np.array([-1.4, 2.2, 0.0, 1.1])
    n = FEATURES.n_features
    return {
        "pairs": base + 0.1 * rng.normal(size=(2, 2, 4)),
        "lengths": 2.0 + 0.1 * rng.normal(size=(2, 2)),
        "centres": np.array([0.6, -0.3, 0.4, 1.5]) + 0.1 * rng.normal(size=(2, 4)),
        "offset": np.array([-1.0, -2.0]),
        "networks": [
            {
                "shift": rng.normal(size=n),
                "whitening": 0.1 * np.eye(n) + 0.01 * rng.normal(size=(n, n)),
                "layers": [
                    (rng.normal(size=(n, 3)), rng.normal(size=3)),
                    (0.1 * adapted * rng.normal(size=(3, 8)), np.zeros(8)),
                ],
            }
            for _ in SPECIES
        ],
    }


def potential(parameters):
    energy = BondOrderEnergy(FEATURES, CUTOFF, "tanh", SPECIES)
    return CompiledPotential(CompiledModel(SPECIES, CUTOFF, energy), parameters, "bond order")


def window(r):
    x = max(CUTOFF - r, 0.0) ** 4
    return x / (WINDOW**4 + x)


def by_loops(parameters, here):
    """A cluster, without periodic images."""
    kinds = [SPECIES.index(z) for z in here.numbers]
    x, n = here.positions, here.n_atoms
    vectors = x[None] - x[:, None]
    r = np.linalg.norm(vectors, axis=2)
    total = 0.0
    for i in range(n):
        near = [j for j in range(n) if j != i and r[i, j] < CUTOFF]
        by_kind = [[j for j in near if kinds[j] == s] for s in range(2)]
        slots = tuple(len(found) + 1 for found in by_kind)
        padded = [
            vector
            for found in by_kind
            for vector in [*(vectors[i, j] for j in found), np.array([3 * CUTOFF, 0, 0])]
        ]
        with jax.enable_x64(True):
            features = np.asarray(FEATURES(np.array(padded).T[:, None, :], slots))[0]
        own = parameters["networks"][kinds[i]]
        (w1, b1), (w2, b2) = own["layers"]
        y = np.tanh((features - own["shift"]) @ own["whitening"] @ w1 + b1) @ w2 + b2
        d = FURTHEST * np.tanh(y / FURTHEST)
        a, h, sigma, rate = parameters["centres"][kinds[i]]
        a, h, sigma, rate = a * np.exp(d[4]), h + d[5], sigma * np.exp(d[6]), rate * np.exp(d[7])

        def shade(j, i=i, near=near, rate=rate):
            return np.prod(
                [
                    1 - window(r[i, k]) * np.exp(-rate * (r[i, k] + r[j, k] - r[i, j]))
                    for k in near
                    if k != j
                ]
            )

        bonds, promoted = 0.0, 0.0
        for j in near:
            cosines = {k: vectors[i, j] @ vectors[i, k] / (r[i, j] * r[i, k]) for k in near}
            z = a**2 * sum(
                shade(k) * (cosines[k] - h) ** 2 * window(r[i, k]) for k in near if k != j
            )
            order = shade(j) / np.sqrt(1 + z)
            big_a, alpha, big_b, beta = parameters["pairs"][kinds[i], kinds[j]]
            length = r[i, j] - parameters["lengths"][kinds[i], kinds[j]]
            bonds += window(r[i, j]) * (
                np.exp(big_a + d[0] - alpha * np.exp(d[1]) * length)
                - order * np.exp(big_b + d[2] - beta * np.exp(d[3]) * length)
            )
            promoted += order * window(r[i, j])
        total += 0.5 * bonds - sigma * (np.sqrt(promoted + LEAST) - np.sqrt(LEAST))
        total += parameters["offset"][kinds[i]]
    return total


def cluster(seed=1):
    rng = np.random.default_rng(seed)
    grid = np.array(list(product((0.0, 1.9), repeat=3)))[:7]
    positions = grid + rng.uniform(-0.2, 0.2, grid.shape)
    numbers = np.array([6, 14, 14, 6, 6, 14, 6])
    return Configuration(numbers, positions, np.zeros((3, 3)), np.zeros(3, bool), np.ones(7))


def test_it_is_the_sum_of_its_equations():
    here = cluster()
    energies = []
    for adapted in (0.0, 1.0):
        parameters = made_up(adapted=adapted)
        energies.append(by_loops(parameters, here))
        found = potential(parameters).evaluate(here).energy
        assert found == pytest.approx(energies[-1], abs=1e-10)
    assert abs(energies[1] - energies[0]) > 0.05


def test_an_atom_between_two_others_parts_them():
    """Far from all else, with no bending: in the middle of a bond, most of the bond is gone."""
    parameters = made_up(adapted=0.0)
    parameters["centres"][:, 0] = 0.0
    parameters["centres"][:, 2] = 0.0
    shaded = potential(parameters)

    def energy(*places):
        n = len(places)
        positions = np.array([[x, y, 0.0] for x, y in places])
        free = np.zeros((3, 3)), np.zeros(3, bool)
        return shaded.evaluate(Configuration(np.full(n, 6), positions, *free, np.ones(n))).energy

    alone = energy((0, 0))
    pair = energy((0, 0), (2.6, 0)) - 2 * alone
    near = energy((0, 0), (1.3, 0)) - 2 * alone
    line = energy((0, 0), (2.6, 0), (1.3, 0)) - 3 * alone - 2 * near
    assert abs(line - pair) > 0.3 * abs(pair)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["triclinic", "thinner than the cutoff", "slab", "one atom"])
def test_physics(case):
    check_physics(potential(made_up()), case, spacing=2.0)


def test_the_cutoff_is_smooth():
    check_cutoff(potential(made_up()))
