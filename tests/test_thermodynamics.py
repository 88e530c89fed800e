"""Fluctuation formulae on ensembles that can be drawn exactly: harmonic crystals, ideal cells."""

import numpy as np
import pytest

from hyperatom.analysis.heat_capacity import HeatCapacity, HeatCapacityCurve
from hyperatom.analysis.multistate import State, multistate, with_errors
from hyperatom.analysis.thermodynamics import ElasticConstants, Thermodynamics
from hyperatom.errors import InputError
from hyperatom.trajectory import Trajectory
from liquid import KB, trajectory

N = 8
GPA = 0.006241509125883258


def harmonic(temperature: float, n_samples: int, seed: int) -> Trajectory:
    """U = k/2 sum |u|^2 over the 3(N-1) modes of relative motion, drawn exactly."""
    rng = np.random.default_rng([seed, int(temperature)])
    u = rng.normal(0.0, np.sqrt(KB * temperature / 2.0), (n_samples, N, 3))
    u -= u.mean(axis=1, keepdims=True)
    energies = -31.0 + np.sum(u**2, axis=(1, 2))
    return trajectory([14] * N, u, 9.0 * np.eye(3), "exact", energies=energies)


def test_heat_capacity_of_a_harmonic_crystal_by_three_routes() -> None:
    """3 k_B (N-1)/N within one per cent."""
    exact = 3.0 * (N - 1) / N
    temperatures = (250.0, 300.0, 360.0, 430.0)
    runs = [(t, harmonic(t, 20_000, 1)) for t in temperatures]
    found = HeatCapacityCurve().compute(runs)
    for name, curve in found.curves.items():
        assert (curve.error > 0.0).all()
        pull = (curve.y - exact) / curve.error
        assert np.abs(pull).max() < 3.5, name
        together = np.average(curve.y, weights=curve.error**-2)
        assert together == pytest.approx(exact, rel=0.01), name
    # MBAR borrows from the neighbours.
    assert found.curves["MBAR"].error[1] < found.curves["fluctuation"].error[1]
    assert "Dulong and Petit: 2.625" in found.notes[-1]
    single = HeatCapacity(300.0).compute(runs[1][1])
    c = single.numbers["C_V"]
    assert abs(c.value - exact) < 3.5 * c.error
    assert c.error < 0.01 * exact
    assert single.kind == "exact"


def test_mbar() -> None:
    """Free energies of a harmonic crystal, beta F = -n/2 ln(T) + beta U_0, n = 3 (N-1)."""
    states = [State(t, harmonic(t, 2000, 2).energies) for t in (250.0, 300.0, 360.0)]
    value, error, joined = with_errors(states, lambda m: m.free_energies[1:])
    t = np.array([300.0, 360.0])
    exact = -1.5 * (N - 1) * np.log(t / 250.0) - 31.0 / KB * (1.0 / t - 1.0 / 250.0)
    assert np.abs((value - exact) / error).max() < 4.0
    assert joined.connected
    assert joined.effective(300.0) > 2000
    between = joined.average(joined.energies, 330.0)
    assert between == pytest.approx(-31.0 + 1.5 * (N - 1) * KB * 330.0, abs=0.005)
    far = multistate([State(t, harmonic(t, 500, 3).energies) for t in (10.0, 3000.0)])
    assert not far.connected
    with pytest.raises(InputError, match="several temperatures; there is 1"):
        multistate(states[:1])


def cells(temperature: float, stiffness: np.ndarray, n: int) -> np.ndarray:
    """Small strains drawn from exp[-V eps C eps / 2 k_B T], triclinic mean cell."""
    rng = np.random.default_rng(5)
    h0 = np.array([[20.0, 0.0, 0.0], [3.0, 18.0, 0.0], [-2.0, 1.0, 22.0]])
    volume = np.linalg.det(h0)
    covariance = KB * temperature / volume * np.linalg.inv(stiffness * GPA)
    voigt = rng.multivariate_normal(np.zeros(6), covariance, n)
    strain = np.empty((n, 3, 3))
    for k, (i, j) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
        strain[:, i, j] = strain[:, j, i] = voigt[:, k] * (1.0 if i == j else 0.5)
    return h0 @ (np.eye(3) + strain)


def test_elastic_constants_and_compressibility() -> None:
    stiffness = np.array([
        [87, 7, 12, -18, 0, 0], [7, 87, 12, 18, 0, 0], [12, 12, 106, 0, 0, 0],
        [-18, 18, 0, 58, 0, 0], [0, 0, 0, 0, 58, -18], [0, 0, 0, 0, -18, 40],
    ], dtype=float)  # fmt: skip
    drawn = cells(300.0, stiffness, 8_000)
    positions = np.zeros((len(drawn), 1, 3))
    samples = trajectory([14], positions, drawn, "exact", energies=np.zeros(len(drawn)))
    found = ElasticConstants(300.0).compute(samples)
    for i in range(6):
        for j in range(i, 6):
            c = found.numbers[f"C{i + 1}{j + 1}"]
            assert abs(c.value - stiffness[i, j]) < 4.5 * c.error, (i, j)
    assert found.numbers["C11"].error < 3.0
    compliance = np.linalg.inv(stiffness)[:3, :3].sum()
    reuss = found.numbers["bulk modulus (Reuss)"]
    assert abs(reuss.value - 1.0 / compliance) < 4.0 * reuss.error
    thermo = Thermodynamics(300.0, pressure=0.0).compute(samples).numbers
    assert abs(thermo["bulk modulus"].value - 1.0 / compliance) < 4.0 * thermo["bulk modulus"].error
    assert thermo["compressibility"].value == pytest.approx(compliance, rel=0.05)
    fixed = trajectory([14], positions[:10], np.eye(3) * 9.0)
    with pytest.raises(InputError, match="does not fluctuate in all six strains"):
        ElasticConstants(300.0).compute(fixed)


def test_expansion_and_density() -> None:
    """V = V_0 (1 + a H + noise): cov(V, H) is known, var(H) being k_B T^2 C."""
    rng = np.random.default_rng(6)
    n, t = 40_000, 300.0
    energy = rng.normal(0.0, np.sqrt(12.0 * KB**2 * t**2), n)
    volume = 200.0 * (1.0 + 0.3 * energy + 0.01 * rng.normal(size=n))
    cell = np.cbrt(volume)[:, None, None] * np.eye(3)
    samples = trajectory([14] * 8, np.zeros((n, 8, 3)), cell, masses=[28.0855] * 8,
                         energies=energy)  # fmt: skip
    found = Thermodynamics(t, pressure=0.0).compute(samples).numbers
    alpha = 0.3 * 12.0 * KB**2 * t**2 / (KB * t**2) * 1e6
    assert abs(found["thermal expansion"].value - alpha) < 4.0 * found["thermal expansion"].error
    assert found["thermal expansion"].error < 0.02 * alpha
    assert found["density"].value == pytest.approx(8 * 28.0855 / 200.0 * 1.66053904, rel=1e-3)
    internal = found["internal energy"].value - found["potential energy"].value
    assert internal == pytest.approx(1.5 * KB * t * 7 / 8)
    fixed = harmonic(300.0, 100, 7)
    observed = Thermodynamics(300.0).compute(fixed)
    assert set(observed.numbers) == {"potential energy", "internal energy"}
    assert "cell is fixed" in observed.notes[0]


def test_weights_count() -> None:
    """Samples at 300 K weighted to 330 K have its energy and heat capacity."""
    hot = 330.0
    cold = harmonic(300.0, 200_000, 8)
    u = cold.energies + 31.0
    weight = np.exp(-u * (1.0 / (KB * hot) - 1.0 / (KB * 300.0)))
    weighted = trajectory([14] * N, cold.frames(0, len(cold)).positions, 9.0 * np.eye(3),
                          "reweighted", energies=cold.energies, weights=weight)  # fmt: skip
    energy = Thermodynamics(hot).compute(weighted).numbers["potential energy"]
    exact = (-31.0 + 1.5 * (N - 1) * KB * hot) / N
    assert abs(energy.value - exact) < 4.0 * energy.error
    c = HeatCapacity(hot).compute(weighted).numbers["C_V"]
    assert abs(c.value - 3.0 * (N - 1) / N) < 4.0 * c.error
    assert c.kind == "reweighted"


def test_plain_errors() -> None:
    with pytest.raises(InputError, match="two temperatures or more"):
        HeatCapacityCurve().compute([(300.0, harmonic(300.0, 10, 9))])
    with pytest.raises(InputError, match="impossible"):
        Thermodynamics(-1.0)
