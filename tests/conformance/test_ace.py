"""Files of pacemaker's atomic cluster expansion, against slow sums and against pacemaker.

The data folder ships no such file; the tests write theirs.
"""

import itertools
from functools import cache

import numpy as np
import pytest
from scipy.special import sph_harm_y

from hyperatom.configuration import Configuration
from hyperatom.interchange.ace import read_ace

EMBEDDING = "{{ndensity: 2, FS_parameters: [1, 1, {weight}, 0.5], npoti: {name}, {core}}}"
CORE = "rho_core_cutoff: 40.0, drho_core_cutoff: 25.0"
SHAPES = {
    # order: the first of these bonds is that of O around O, the last that of Si around Si
    (0, 0): ("ChebExpCos", 5.25, 4.2, 0.4, 6.0, 1.1, 1.9, 0.5),
    (0, 1): ("ChebExpCos", 4.0, 4.6, 0.01, 3.0, 0.8, 1.8, 0.4),
    (1, 0): ("SBessel", 4.0, 4.6, 0.01, 3.0, 0.8, 1.8, 0.4),
    (1, 1): ("ChebPow", 2.0, 5.0, 0.01, 0.0, 0.0, 0.0, 0.0),
}
N_FUNCTIONS, N_RADIAL, MAX_DEGREE = 4, 2, 2
SHIFTS = (-1.5, 0.25)
WEIGHTS = (0.7, -0.4)
EMBEDDINGS = ("FinnisSinclair", "FinnisSinclairShiftedScaled")


def radial_coefficients(pair):
    rng = np.random.default_rng(10 + pair[0] + 2 * pair[1])
    return rng.normal(size=(N_RADIAL, MAX_DEGREE + 1, N_FUNCTIONS))


def functions(central):
    """(neighbour species, n, l, all m that sum to zero, coefficients), one to five factors."""
    rng = np.random.default_rng(20 + central)
    kinds = [
        ((0,), (3,), (0,)),
        ((1,), (1,), (0,)),
        ((0, 1), (1, 2), (1, 1)),
        ((1, 1), (2, 2), (2, 2)),
        ((0, 0, 1), (1, 2, 1), (1, 1, 2)),
        ((0, 1, 1, 1), (1, 1, 2, 2), (1, 1, 2, 2)),
        ((0, 0, 1, 1, 1), (1, 1, 1, 2, 2), (0, 1, 1, 0, 0)),
        ((0, 1, 1, 1, 1), (2, 1, 1, 2, 2), (1, 1, 0, 1, 1)),
        ((1, 1, 1, 1, 0, 0), (1, 1, 1, 1, 1, 1), (1, 1, 0, 0, 1, 1)),
    ]
    for species, n, degrees in kinds:
        orders = [
            m
            for m in itertools.product(*(range(-degree, degree + 1) for degree in degrees))
            if sum(m) == 0
        ]
        coefficients = rng.normal(size=(len(orders), 2)) * 0.2 ** len(n)
        yield species, n, degrees, orders, coefficients


def write_yace(path, inner="distance"):
    lines = ["elements: [O, Si]", f"E0: {list(SHIFTS)}", "deltaSplineBins: 0.001", "embeddings:"]
    for central, (weight, name) in enumerate(zip(WEIGHTS, EMBEDDINGS, strict=True)):
        text = EMBEDDING.format(weight=weight, name=name, core=CORE)
        lines.append(f"  {central}: {text}")
    lines.append("bonds:")
    for pair, (basis, parameter, cutoff, width, core, exponent, r_in, d_in) in SHAPES.items():
        table = radial_coefficients(pair).tolist()
        lines.append(
            f"  [{pair[0]}, {pair[1]}]: {{nradmax: {N_RADIAL}, lmax: {MAX_DEGREE}, "
            f"nradbasemax: {N_FUNCTIONS}, radbasename: {basis}, radparameters: [{parameter}], "
            f"radcoefficients: {table}, prehc: {core}, lambdahc: {exponent}, rcut: {cutoff}, "
            f"dcut: {width}, rcut_in: {r_in}, dcut_in: {d_in}, inner_cutoff_type: {inner}}}"
        )
    lines.append("functions:")
    for central in (0, 1):
        lines.append(f"  {central}:")
        for species, n, degrees, orders, coefficients in functions(central):
            lines.append(
                f"    - {{mu0: {central}, rank: {len(n)}, ndensity: 2, "
                f"num_ms_combs: {len(orders)}, mus: {list(species)}, ns: {list(n)}, "
                f"ls: {list(degrees)}, ms_combs: {list(itertools.chain(*orders))}, "
                f"ctildes: {coefficients.ravel().tolist()}}}"
            )
    path.write_text("\n".join(lines) + "\n")
    return path


def chebyshev(n, x):
    return np.cos(n * np.arccos(np.clip(x, -1.0, 1.0)))


def radial(pair, r):
    """g_k(r), one of the few formulas that must be written twice."""
    basis, parameter, cutoff, width, *_ = SHAPES[pair]
    if r >= cutoff:
        return np.zeros(N_FUNCTIONS)
    t = r / cutoff
    if basis == "ChebExpCos":
        x = 1.0 - 2.0 * (np.exp(-parameter * (t - 1.0)) - 1.0) / (np.exp(parameter) - 1.0)
        window = 0.5 * (1.0 + np.cos(np.pi * t))
        if r > cutoff - width:
            window *= 0.5 * (1.0 + np.cos(np.pi * (r - cutoff + width) / width))
        rest = [0.5 * (1.0 - chebyshev(k, x)) for k in range(1, N_FUNCTIONS)]
        return window * np.array([1.0, *rest])
    if basis == "ChebPow":
        x = 2.0 * (1.0 - (1.0 - t) ** parameter) - 1.0
        return np.array([0.5 * (1.0 - chebyshev(k, x)) for k in range(1, N_FUNCTIONS + 1)])
    return bessel_matrix(cutoff) @ two_bessel(r, cutoff)


def two_bessel(r, cutoff):
    n = np.arange(N_FUNCTIONS)
    return (-1.0) ** n * (np.sinc((n + 1) * r / cutoff) + np.sinc((n + 2) * r / cutoff))


@cache
def bessel_matrix(cutoff):
    """Gram and Schmidt on a fine grid: the functions of SBessel are orthonormal."""
    grid = np.linspace(0.0, cutoff, 20001)
    values = np.array([two_bessel(r, cutoff) for r in grid])
    overlaps = values.T @ (values * (grid**2 * grid[1])[:, None])
    return np.linalg.inv(np.linalg.cholesky(overlaps))


def step(r, inner, width):
    """From zero at inner - width to one at inner, with vanishing first and second derivative."""
    if width == 0.0:
        return 1.0
    t = np.clip((r - inner + width) / width, 0.0, 1.0)
    return t**3 * (10.0 - 15.0 * t + 6.0 * t**2)


def slow_energy(here):
    """Every product of every function, atom by atom."""
    species = (here.numbers == 14).astype(int)
    ranges = [range(-2, 3) if periodic else (0,) for periodic in here.periodic]
    images = np.array(list(itertools.product(*ranges))) @ here.cell
    energy = 0.0
    for i, central in enumerate(species):
        single = np.zeros((2, N_FUNCTIONS))
        base = np.zeros((2, N_RADIAL, MAX_DEGREE + 1, 2 * MAX_DEGREE + 1), dtype=complex)
        core = 0.0
        for j, neighbour in enumerate(species):
            for vector in here.positions[j] + images - here.positions[i]:
                r = np.linalg.norm(vector)
                pair = (central, neighbour)
                _, _, cutoff, _, prefactor, exponent, inner, width = SHAPES[pair]
                if not 1e-9 < r < cutoff:
                    continue
                inside = step(r, inner, width)
                values = inside * radial(pair, r)
                core += (
                    (1.0 - inside) * prefactor * np.exp(-exponent * r * r) / r
                    * 0.5 * (1.0 + np.cos(np.pi * r / cutoff))
                )  # fmt: skip
                single[neighbour] += values
                own = radial_coefficients(pair) @ values
                polar, azimuth = np.arccos(vector[2] / r), np.arctan2(vector[1], vector[0])
                for degree in range(MAX_DEGREE + 1):
                    for m in range(-degree, degree + 1):
                        harmonic = np.sqrt(4.0 * np.pi) * sph_harm_y(degree, m, polar, azimuth)
                        base[neighbour, :, degree, m] += own[:, degree] * harmonic
        densities = np.zeros(2)
        for mu, n, degrees, orders, coefficients in functions(central):
            for m, coefficient in zip(orders, coefficients, strict=True):
                if len(n) == 1:
                    product = single[mu[0], n[0] - 1]
                else:
                    product = np.prod(
                        [base[s, k - 1, d, o] for s, k, d, o in zip(mu, n, degrees, m, strict=True)]
                    ).real
                densities += coefficient * product
        second = (finnis_sinclair, shifted_scaled)[central](densities[1])
        fading = 1.0 - step(core, 40.0, 25.0)
        energy += SHIFTS[central] + core
        energy += fading * (densities[0] + WEIGHTS[central] * second)
    return energy


def finnis_sinclair(density):
    return np.sign(density) * np.sqrt(abs(density))


def shifted_scaled(density):
    size, fading = abs(density), np.exp(-abs(density))
    return np.sign(density) * (np.sqrt(size + 0.25 * fading) - 0.5 * fading)


def silica(seed, shortest):
    """A few atoms in a sheared cell; some distances are inside the inner cutoffs."""
    rng = np.random.default_rng(seed)
    cell = np.array([[5.2, 0.0, 0.0], [1.4, 4.9, 0.0], [-0.9, 0.8, 5.6]])
    while True:
        positions = rng.random((6, 3)) @ cell
        here = Configuration(
            np.array([14, 8, 8, 14, 8, 8]), positions, cell, np.ones(3, dtype=bool), np.ones(6)
        )
        from hyperatom.geometry.neighbours import minimum_distance

        if minimum_distance(positions, cell, here.periodic) > shortest:
            return here


def test_energies_are_those_of_slow_sums(tmp_path):
    potential = read_ace(write_yace(tmp_path / "silica.yace"))
    loose, dense = silica(1, 1.9), silica(2, 1.45)
    potential.model.reserve(dense)
    for here in (loose, dense):
        expected = slow_energy(here)
        assert abs(expected - 4 * SHIFTS[0] - 2 * SHIFTS[1]) > 0.5
        assert potential.evaluate(here).energy == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("kind", ["density", "distance"])
def test_pacemaker_agrees(tmp_path, kind):
    """Only where pacemaker itself is installed; its radial functions are interpolated."""
    pyace = pytest.importorskip("pyace")
    from ase import Atoms

    path = write_yace(tmp_path / "silica.yace", inner=kind)
    potential = read_ace(path)
    loose, dense = silica(1, 1.9), silica(2, 1.45)
    potential.model.reserve(dense)
    for here in (loose, dense):
        atoms = Atoms(here.numbers, positions=here.positions, cell=here.cell, pbc=True)
        atoms.calc = pyace.PyACECalculator(str(path))
        found = potential.evaluate(here)
        assert found.energy == pytest.approx(atoms.get_potential_energy(), abs=6e-6)
        np.testing.assert_allclose(found.forces, atoms.get_forces(), atol=1e-5)
        # Random coefficients do not couple to an invariant: the shear stress is not symmetric.
        np.testing.assert_allclose(found.stress[:3], atoms.get_stress()[:3], atol=1e-6)
