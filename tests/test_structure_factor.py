"""Structure factors: ideal gas, Bragg peaks, conventions, both routes, and liquid argon."""

import numpy as np
import pytest

from hyperatom.analysis.radial_distribution import RadialDistribution
from hyperatom.analysis.scattering import form_factors, in_convention, neutron_lengths, total
from hyperatom.analysis.structure_factor import (
    FourierStructureFactor,
    PairDistribution,
    StructureFactor,
)
from hyperatom.errors import InputError
from hyperatom.trajectory import Trajectory
from liquid import argon, fcc, trajectory

TRICLINIC = np.array([[14.0, 0.0, 0.0], [4.0, 13.0, 0.0], [-2.0, 3.0, 16.0]])


def gas(n_frames: int = 60) -> Trajectory:
    rng = np.random.default_rng(1)
    return trajectory([14] * 20 + [8] * 40, rng.random((n_frames, 60, 3)) @ TRICLINIC, TRICLINIC)


def test_ideal_gas() -> None:
    for convention in ("faber-ziman", "ashcroft-langreth"):
        found = StructureFactor(6.0, 24, convention).compute(gas())
        for name, curve in found.curves.items():
            limit = 0.0 if name == "Si-O" and convention == "ashcroft-langreth" else 1.0
            pull = (curve.y - limit) / curve.error
            assert abs(np.mean(pull)) < 1.0, name
            assert 0.6 < np.std(pull) < 1.5, name
            assert (curve.error > 0.0).all()
    assert set(found.curves) == {"Si-Si", "Si-O", "O-O", "total", "x-ray", "neutron"}
    assert found.notes[0].startswith("The smallest q")


def test_bragg_peaks_of_an_fcc_crystal() -> None:
    """N where h, k, l of the cubic cell are all even or all odd, zero elsewhere."""
    positions = fcc(3, 4.0)
    found = StructureFactor(6.0, 600, vectors_per_bin=10_000).compute(
        trajectory([18] * 108, positions[None], 12.0 * np.eye(3))
    )
    curve = found.curves["total"]
    unit = 2.0 * np.pi / 4.0
    n = np.round((curve.x / unit) ** 2, 6)
    # h, k, l of the supercell are three times as long: 27 = 3^2 + 3^2 + 3^2 = 5^2 + 1 + 1, of whose
    # 4 + 12 half-space vectors the first four are Bragg vectors, and so on.
    for square, share in ((3, 4 / 16), (4, 3 / 15), (8, 6 / 18)):
        (peak,) = curve.y[np.isclose(n, square, atol=1e-3)]
        assert peak == pytest.approx(108.0 * share), square
    assert curve.y[np.isclose(n, 4.0 / 9.0, atol=1e-3)][0] == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(curve.error).all()  # a single frame


def test_conventions_are_the_same_intensity() -> None:
    rng = np.random.default_rng(2)
    partials = rng.random((2, 2, 5))
    partials[1, 0] = partials[0, 1]
    c, w = np.array([0.3, 0.7]), rng.random((2, 5))
    fz = in_convention("faber-ziman", partials, c, ["Si", "O"])
    direct = sum(
        c[a] * c[b] * w[a] * w[b] * (fz[name] - 1.0) * (2.0 if a != b else 1.0)
        for (a, b), name in (((0, 0), "Si-Si"), ((0, 1), "Si-O"), ((1, 1), "O-O"))
    )
    np.testing.assert_allclose(
        total("faber-ziman", partials, c, w), 1.0 + direct / (c @ w) ** 2, rtol=1e-12
    )
    bt = in_convention("bhatia-thornton", partials, c, ["Si", "O"])
    mean, spread = c @ w, w[0] - w[1]
    intensity = mean**2 * bt["NN"] + 2 * mean * spread * bt["NC"] + spread**2 * bt["CC"]
    al = total("ashcroft-langreth", partials, c, w) * (c @ w**2)
    np.testing.assert_allclose(intensity, al, rtol=1e-12)
    with pytest.raises(InputError, match="two species, found 1"):
        in_convention("bhatia-thornton", partials[:1, :1], c[:1], ["Si"])
    with pytest.raises(InputError, match="Unknown convention"):
        in_convention("ziman", partials, c, ["Si", "O"])  # type: ignore[arg-type]


def test_tables() -> None:
    """Sears, Neutron News 3, 26 (1992); forward X-ray scattering is the number of electrons."""
    np.testing.assert_allclose(neutron_lengths(["Si", "O", "D"]), [4.15, 5.805, 6.67], atol=0.005)
    np.testing.assert_allclose(form_factors(["Si", "O"], np.zeros(1))[:, 0], [14, 8], atol=0.01)
    with pytest.raises(InputError, match="no neutron scattering length for Po"):
        neutron_lengths(["Po"])


def test_both_routes_agree_within_their_errors() -> None:
    """Liquid argon: the transform of g(r) up to half the cell, against the atoms themselves."""
    liquid = argon()
    half = 0.5 * float(liquid.frames(0, 1).cells[0, 0, 0])
    direct = StructureFactor(12.0, 48, vectors_per_bin=30).compute(liquid).curves["total"]
    distribution = RadialDistribution(half, 400).compute(liquid)
    fourier = FourierStructureFactor(12.0, 480, "ashcroft-langreth", lorch=False).compute(
        distribution
    )
    other = fourier.curves["total"]
    chosen = direct.x > 4.0  # truncation at half the cell ripples around the first peak
    y = np.interp(direct.x[chosen], other.x, other.y)
    error = np.hypot(direct.error[chosen], np.interp(direct.x[chosen], other.x, other.error))
    # The transform stops where g - 1 is still about 0.05: ripples of 4 pi rho r_max 0.05/q^2.
    ripples = 4.0 * np.pi * 0.02072 * half * 0.05 / direct.x[chosen] ** 2
    pull = (direct.y[chosen] - y) / np.hypot(error, ripples)
    assert np.sqrt(np.mean(pull**2)) < 1.3
    assert np.abs(pull).max() < 4.5  # a cell of 108 atoms is not quite isotropic
    np.testing.assert_allclose(direct.y[~chosen], np.interp(direct.x[~chosen], other.x, other.y),
                               atol=0.25)  # fmt: skip


def test_liquid_argon_against_published_values() -> None:
    """Yarnell et al., Phys. Rev. A 7, 2130 (1973): S(q) peaks near 2.0 1/Å with 2.7 at 85 K.

    Rahman 1964 at 94.4 K: g(r) peaks at 3.7 Å with 2.8, S(q) near 2.0 1/Å.
    """
    liquid = argon()
    s = StructureFactor(4.0, 40).compute(liquid.select(0, None, 2)).curves["total"]
    top = int(np.argmax(s.y))
    assert 1.85 < s.x[top] < 2.15
    assert 2.2 < s.y[top] < 3.0
    g = RadialDistribution(8.0, 160).compute(liquid).first_peak("Ar-Ar")
    assert g.position.value == pytest.approx(3.7, abs=0.06)
    assert g.height.value == pytest.approx(2.83, abs=0.15)
    assert 11.0 < g.coordination.value < 13.5


def test_pair_distribution_function() -> None:
    """An ideal gas has none; of a pair at fixed distance, resolution pi/q_max is what remains."""
    distribution = RadialDistribution(6.0, 120).compute(gas())
    for radiation in ("neutron", "x-ray"):
        found = PairDistribution(radiation, 20.0).compute(distribution)
        curve = found.curves[radiation]
        pull = (curve.y / curve.error)[20:]
        assert 0.6 < np.std(pull) < 1.6
    assert found.y.unit == "1/Å^2"
    liquid = RadialDistribution(8.0, 160).compute(argon())
    sharp = PairDistribution("neutron", None).compute(liquid).curves["neutron"]
    fine = PairDistribution("neutron", 40.0).compute(liquid).curves["neutron"]
    np.testing.assert_allclose(fine.y[60:130], sharp.y[60:130], atol=0.07)


def test_plain_errors() -> None:
    with pytest.raises(InputError, match="No reciprocal vector of the cell"):
        StructureFactor(0.1, 10).compute(gas(1))
    with pytest.raises(InputError, match="impossible"):
        StructureFactor(-1.0)
    free = trajectory([18], np.zeros((1, 1, 3)), np.zeros((3, 3)), periodic=False)
    with pytest.raises(InputError, match="no reciprocal lattice"):
        StructureFactor().compute(free)
    with pytest.raises(InputError, match="says nothing of q below"):
        FourierStructureFactor(0.3).compute(RadialDistribution(5.0, 50).compute(gas(2)))
