"""SNAP: the bispectrum in closed form, derivatives, symmetries and bad files."""

import jax
import numpy as np
import pytest
from scipy.special import eval_chebyu

from hyperatom.errors import InputError
from hyperatom.interchange.lammps_snap import read_snap
from hyperatom.potentials.features.hyperspherical import (
    HypersphericalBispectrum,
    sphere_quadrature,
)
from hyperatom.potentials.spectral_neighbour_analysis import (
    SpectralNeighbourSettings,
    SpectralNeighbourSpecies,
    n_coefficients,
    spectral_neighbour_analysis,
)
from potential_suite import check_cutoff, check_physics, make_configuration

DEGREE = 3


def make_potential(**choices):
    settings = SpectralNeighbourSettings(1.9, DEGREE, **choices)
    rng = np.random.default_rng(4)
    species = tuple(
        SpectralNeighbourSpecies(
            number,
            radius,
            weight,
            0.1 * rng.normal(size=n_coefficients(settings)),
            (1.2 + 0.1 * weight, 0.4),
        )
        for number, radius, weight in ((14, 1.0, 1.0), (6, 0.8, 0.6))
    )
    return spectral_neighbour_analysis(settings, species, "two species")


LINEAR = make_potential(inner_switch=True)
QUADRATIC = make_potential(quadratic=True, normalised=True)


@pytest.mark.parametrize("case", ["triclinic", "thinner than the cutoff", "one atom"])
def test_physics_linear(case):
    check_physics(LINEAR, case, spacing=2.2)


def test_physics_quadratic():
    check_physics(QUADRATIC, "triclinic", spacing=2.2)


def test_cutoff():
    check_cutoff(LINEAR)


def test_the_quadrature_averages_even_polynomials_exactly():
    """Moments of the 3-sphere: <w^2k> = Catalan(k) / 4^k, <w^2 x^2> = 1/24 and others."""
    for degree in (6, 9, 12):
        (w, x, y, _), weights = sphere_quadrature(degree)
        assert weights.sum() == pytest.approx(1.0, abs=1e-14)
        catalan = (1.0, 1.0, 2.0, 5.0, 14.0, 42.0, 132.0)
        for k in range(degree // 2 + 1):
            assert weights @ w ** (2 * k) == pytest.approx(catalan[k] / 4**k, abs=1e-14)
        assert weights @ (w * x) ** 2 == pytest.approx(1.0 / 24.0, abs=1e-14)
        assert weights @ (w * x * y) ** 2 == pytest.approx(1.0 / 192.0, abs=1e-14)
    (w, x, *_), weights = sphere_quadrature(6)
    assert abs(weights @ (w * x) ** 4 - 9.0 / 1920.0) > 1e-6


@pytest.mark.slow
def test_two_neighbours_have_a_bispectrum_in_closed_form():
    """Means of characters: <U_a U_b U_c'> = U_c(q . q') / (c + 1) for two points q and q'."""
    bispectrum = HypersphericalBispectrum(5)
    rng = np.random.default_rng(3)
    unit = rng.normal(size=(3, 1, 2))
    unit /= np.linalg.norm(unit, axis=0)
    angle = rng.uniform(0.2, 2.9, (1, 2))
    points = np.concatenate([np.cos(angle)[None], np.sin(angle) * unit])[:, 0]
    u = [eval_chebyu(n, points[:, 0] @ points[:, 1]) / (n + 1) for n in range(6)]
    weight = np.array([[1.0, 0.7]])
    with jax.enable_x64(True):
        density = bispectrum.density(unit, angle, weight)
        found = np.asarray(bispectrum.components(density))[0]
        slopes = rng.normal(size=(1, len(found)))
        expansion = float(bispectrum.expansion(density, slopes)[0])
    one, other = weight[0]
    for triple, value in zip(bispectrum.triples, found, strict=True):
        mixed = sum(u[n] for n in triple)
        expected = one**3 + other**3 + (one * one * other + one * other * other) * mixed
        assert value == pytest.approx(expected, abs=1e-12)
    assert expansion == pytest.approx(float(slopes[0] @ found), abs=1e-12)


def test_the_atom_without_neighbours():
    """With `relative` its energy is the constant alone, without it every component counts once."""
    here = make_configuration((14,), "one isolated atom", 2.0)
    coefficients = np.arange(1.0, 1.0 + n_coefficients(SpectralNeighbourSettings(2.0, DEGREE)))
    factors = np.array([c + 1.0 for *_, c in HypersphericalBispectrum(DEGREE).triples])
    alone = coefficients[0] + factors @ coefficients[1:]
    for relative, expected in ((True, coefficients[0]), (False, alone)):
        settings = SpectralNeighbourSettings(2.0, DEGREE, relative=relative)
        species = SpectralNeighbourSpecies(14, 1.0, 1.0, coefficients)
        potential = spectral_neighbour_analysis(settings, (species,), "one")
        assert potential.evaluate(here).energy == pytest.approx(expected, rel=1e-12)


COEFFICIENTS = "# UNITS: metal\n2 6\nA 1.0 1.0\n" + "0.1\n" * 6 + "B 0.8 0.6\n" + "0.2\n" * 6
PARAMETERS = "# comment\nrcutfac 1.9\ntwojmax 2\n\nrfac0 0.99\nrmin0 0 # none\nbzeroflag 0\n"


def read(folder, coefficients=COEFFICIENTS, parameters=PARAMETERS, names=("A", "B")):
    for name, text in (("coefficients", coefficients), ("parameters", parameters)):
        (folder / name).write_bytes(text.encode())
    return read_snap(folder / "coefficients", folder / "parameters", (14, 6), names)


def test_files_with_any_line_ends(tmp_path):
    unix = read(tmp_path)
    windows = read(tmp_path, COEFFICIENTS.replace("\n", "\r\n"), PARAMETERS.replace("\n", "\r\n"))
    assert unix.digest() == windows.digest()
    assert unix.cutoff == pytest.approx(3.8)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"coefficients": COEFFICIENTS[:-6]}, r"line 15.*14 lines with content"),
        ({"coefficients": ""}, "no entries"),
        ({"coefficients": COEFFICIENTS.replace("0.2\n", "x\n", 1)}, "line 11.*'x' stands"),
        ({"parameters": PARAMETERS.replace("2\n", "3\n", 1)}, "line 3: A has 6 .* ask for 9"),
        ({"parameters": PARAMETERS + "quadraticflag 1\n"}, "A has 6 coefficients"),
        ({"parameters": PARAMETERS + "chemflag 1\n"}, "chemflag 1"),
        ({"parameters": PARAMETERS + "bzeroflag 2\n"}, "line 8: bzeroflag is 2"),
        ({"parameters": PARAMETERS + "temperature 3\n"}, "line 8: the keyword temperature"),
        ({"parameters": PARAMETERS.replace("rcutfac 1.9", "")}, "lacks rcutfac"),
        ({"parameters": PARAMETERS + "switchinnerflag 1\n"}, "switchinnerflag is 1"),
        ({"parameters": PARAMETERS + "rfac0 1.5\n"}, "rfac0 1.5"),
        ({"names": ("A", "C")}, "has no C; it knows A, B"),
    ],
)
def test_bad_files_are_named(changes, match, tmp_path):
    with pytest.raises(InputError, match=match):
        read(tmp_path, **changes)
