"""Motion in time, on paths of known statistics: Langevin particles, a chain of two masses."""

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from hyperatom.analysis.arrhenius import arrhenius
from hyperatom.analysis.green_kubo import IonicConductivity, Viscosity, integrated
from hyperatom.analysis.jumps import Jumps
from hyperatom.analysis.mean_squared_displacement import (
    MeanSquaredDisplacement,
    regimes,
    squared_displacement,
)
from hyperatom.analysis.radial_distribution import RadialDistribution
from hyperatom.analysis.statistics import Estimate
from hyperatom.analysis.unwrapped import atom_series
from hyperatom.analysis.van_hove import DistinctVanHove, VanHove
from hyperatom.analysis.vibrations import (
    VelocityAutocorrelation,
    VibrationalDensityOfStates,
)
from hyperatom.errors import InputError
from hyperatom.trajectory import Trajectory
from liquid import FS, KB, argon, trajectory

CELL = np.array([[9.0, 0.0, 0.0], [3.0, 8.0, 0.0], [-2.0, 1.5, 10.0]])


def langevin(
    n_atoms: int = 300, n_frames: int = 1500, step: float = 20.0, gamma: float = 0.01,
    mass: float = 40.0, temperature: float = 300.0, seed: int = 1,
) -> Trajectory:  # fmt: skip
    """Free Langevin particles, the Ornstein-Uhlenbeck process drawn exactly; gamma in 1/fs.

    D = k_B T/(m gamma). Wrapped into a triclinic cell.
    """
    rng = np.random.default_rng(seed)
    speed = math.sqrt(KB * temperature / mass) * FS  # Å/fs
    c = math.exp(-gamma * step)
    # Joint law of the next velocity and the displacement of a step (Chandrasekhar 1943).
    vv = 1.0 - c * c
    xv = (1.0 - c) ** 2 / gamma
    xx = (2.0 * gamma * step - 3.0 + 4.0 * c - c * c) / gamma**2
    factor = np.linalg.cholesky(np.array([[vv, xv], [xv, xx]]))
    shape = (n_frames, n_atoms, 3)
    noise = np.einsum("ij,j...->i...", factor, rng.normal(size=(2, *shape)))
    noise[0, 0] = rng.normal(size=shape[1:])
    v = lfilter([1.0], [1.0, -c], noise[0], axis=0)
    x = np.concatenate([np.zeros((1, *shape[1:])), (1.0 - c) / gamma * v[:-1] + noise[1, 1:]])
    x = speed * np.cumsum(x, axis=0) + rng.random(shape[1:]) * 9.0
    wrapped = (x @ np.linalg.inv(CELL) % 1.0) @ CELL
    return trajectory([18] * n_atoms, wrapped, CELL, "machine-learned dynamics", [mass] * n_atoms,
                      step * np.arange(n_frames), speed * v)  # fmt: skip


def exact_diffusion() -> float:
    """k_B T/(m gamma), cm^2/s."""
    return KB * 300.0 / (40.0 * (0.01 / FS)) * FS * 0.1


def test_squared_displacement_is_the_direct_sum() -> None:
    x = np.random.default_rng(2).normal(size=(6, 50)).cumsum(axis=1) + 1e4
    direct = [np.mean(np.sum((x[:, m:] - x[:, : 50 - m]) ** 2, axis=0)) for m in range(50)]
    np.testing.assert_allclose(squared_displacement(x, 50), direct, rtol=1e-7, atol=1e-7)
    assert np.isnan(squared_displacement(x, 60)[50:]).all()


def test_diffusion_of_langevin_particles() -> None:
    pulls = []
    for seed in range(6):
        samples = langevin(seed=seed)
        found = MeanSquaredDisplacement().compute(samples)
        d = found.numbers["diffusion of Ar"]
        pulls.append((d.value * 300 / 299 - exact_diffusion()) / d.error)
        assert 0.0 < d.error < 0.06 * exact_diffusion()
    assert np.abs(pulls).max() < 3.0
    assert np.std(pulls) > 0.3
    curve = found.curves["Ar"]
    t, tau = curve.x[1:], 100.0
    exact = 6.0 * exact_diffusion() / 0.1 * (t - tau * (1.0 - np.exp(-t / tau))) * 299 / 300
    assert np.abs((curve.y[1:] - exact) / curve.error[1:]).max() < 4.5
    assert found.y.unit == "Å^2"
    assert any("diffusive from" in note for note in found.notes)


def test_regimes() -> None:
    t = np.linspace(0.0, 1e4, 5001)
    harmonic = 3.0 * (1.0 - np.exp(-((t / 60.0) ** 2)))
    found = regimes(t, harmonic)
    assert set(found) == {"ballistic", "plateau"}
    assert t[found["plateau"][0]] > 60.0
    caged = harmonic + 6.0 * 2e-3 * t
    found = regimes(t, caged)
    assert "diffusive" in found
    assert t[found["diffusive"][0]] > 500.0


def test_paths_without_jumps_across_the_cell() -> None:
    """Unwrapped from a shearing, breathing cell, and far larger than the memory allowed."""
    rng = np.random.default_rng(3)
    scaled = np.cumsum(rng.normal(0.0, 0.05, (400, 5, 3)), axis=0)
    cells = CELL * (1.0 + 0.02 * np.sin(np.arange(400) / 30.0))[:, None, None]
    inside = trajectory([18] * 5, (scaled % 1.0) @ cells, cells)
    with atom_series(inside, "positions", unwrap=True, drift=False) as paths:
        start = np.floor(scaled[0])
        exact = (scaled - start) @ cells
        np.testing.assert_allclose(paths, exact.transpose(1, 2, 0), atol=1e-9)


def test_a_file_holds_what_memory_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = langevin(10, 300)
    whole = MeanSquaredDisplacement().compute(samples)
    monkeypatch.setattr("hyperatom.analysis.unwrapped.MEMORY", 1000)
    monkeypatch.setattr("hyperatom.trajectory.CHUNK_BYTES", 10_000)
    piecewise = MeanSquaredDisplacement().compute(samples)
    np.testing.assert_allclose(piecewise.curves["Ar"].y, whole.curves["Ar"].y, atol=1e-9)


def test_mean_squared_displacement_of_mdanalysis() -> None:
    mda = pytest.importorskip("MDAnalysis", reason="not installed: pip install hyperatom[peers]")
    pytest.importorskip("tidynamics")
    from MDAnalysis.analysis.msd import EinsteinMSD

    samples = argon()
    positions = samples.frames(0, len(samples)).positions
    positions = positions - positions.mean(axis=1, keepdims=True)
    universe = mda.Universe.empty(108, trajectory=True)
    universe.load_new(positions.astype(np.float32))
    theirs = EinsteinMSD(universe, msd_type="xyz", fft=True).run()
    ours = MeanSquaredDisplacement(largest=1.0).compute(samples).curves["Ar"]
    timeseries = theirs.results.timeseries
    np.testing.assert_allclose(ours.y[1:300], timeseries[1:300], rtol=1e-4)


def test_rahmans_argon() -> None:
    """D = 2.43e-5 cm^2/s at 94.4 K (Rahman 1964, 864 atoms); a cell of 108 slows it by a tenth."""
    found = MeanSquaredDisplacement(viscosity=2.8e-4, temperature=94.4).compute(argon())
    d = found.numbers["diffusion of Ar, infinite cell"]
    assert d.value == pytest.approx(2.43e-5, rel=0.2)
    assert d.value > found.numbers["diffusion of Ar"].value


def chain(n_cells: int = 6, n_frames: int = 40_000, step: float = 4.0) -> tuple[Trajectory, set]:
    """A ring of masses 10 and 40 amu on springs, its normal modes running exactly."""
    k, light, heavy = 3.0, 10.0, 40.0
    n = 2 * n_cells
    m = np.tile([light, heavy], n_cells)
    stiffness = 2.0 * k * np.eye(n)
    for i in range(n):
        stiffness[i, (i + 1) % n] -= k
        stiffness[(i + 1) % n, i] -= k
    square, modes = np.linalg.eigh(stiffness / np.sqrt(np.outer(m, m)))
    omega = np.sqrt(np.maximum(square[1:], 0.0)) * FS  # 1/fs
    rng = np.random.default_rng(4)
    t = step * np.arange(n_frames)
    amplitude = rng.rayleigh(1.0, size=(3, n - 1)) * 0.01
    phase = rng.random((3, n - 1)) * 2.0 * np.pi
    v = np.empty((n_frames, n, 3))
    x = np.empty_like(v)
    for axis in range(3):
        angle = np.outer(t, omega) + phase[axis]
        v[:, :, axis] = (amplitude[axis] * np.cos(angle)) @ modes[:, 1:].T / np.sqrt(m)
        x[:, :, axis] = (amplitude[axis] / omega * np.sin(angle)) @ modes[:, 1:].T / np.sqrt(m)
    # The textbook: two branches at q a = 2 pi j/n_cells (Ashcroft and Mermin, problem 22.2).
    frequencies = set()
    for j in range(n_cells):
        root = math.sqrt(
            (1 / light + 1 / heavy) ** 2
            - 4 * math.sin(math.pi * j / n_cells) ** 2 / (light * heavy)
        )
        for sign in (-1, 1):
            w2 = k * (1 / light + 1 / heavy + sign * root)
            if w2 > 1e-9:
                frequencies.add(round(math.sqrt(w2) * FS / (2 * math.pi) * 1e3, 6))
    numbers = [5, 20] * n_cells
    return trajectory(numbers, x, 50 * np.eye(3), "machine-learned dynamics",
                      m.tolist(), t, v), frequencies  # fmt: skip


def test_vibrations_of_a_chain_of_two_masses() -> None:
    samples, frequencies = chain()
    for one in (samples, trajectory([5, 20] * 6, samples.frames(0, 40_000).positions,
                                    50 * np.eye(3), masses=samples.masses.tolist(),
                                    times=samples.times)):  # fmt: skip
        found = VibrationalDensityOfStates(0.05).compute(one)
        total = found.curves["total"]
        spacing = total.x[1] - total.x[0]
        inside = (total.y[1:-1] > total.y[:-2]) & (total.y[1:-1] > total.y[2:])
        peaks = total.x[1:-1][inside & (total.y[1:-1] > 0.05 * total.y.max())]
        assert len(peaks) == len(frequencies)
        for peak, exact in zip(peaks, sorted(frequencies), strict=True):
            assert abs(peak - exact) < spacing
        np.testing.assert_allclose(np.sum(total.y) * spacing, 1.0)
        np.testing.assert_allclose(
            found.curves["B"].y + found.curves["Ca"].y, total.y, rtol=1e-9, atol=1e-12
        )
    # Without weights the light atoms dominate.
    plain = VibrationalDensityOfStates(0.05, "plain").compute(samples).curves
    mass = VibrationalDensityOfStates(0.05, "mass").compute(samples).curves
    assert plain["B"].y.sum() > mass["B"].y.sum()
    neutron = VibrationalDensityOfStates(0.05, "neutron").compute(samples)
    assert "neutron" in neutron.quantity


def test_velocity_autocorrelation_of_langevin_particles() -> None:
    """exp(-gamma t); its integral is D."""
    curve = VelocityAutocorrelation(400.0).compute(langevin()).curves["Ar"]
    pull = (curve.y[1:] - np.exp(-0.01 * curve.x[1:])) / curve.error[1:]
    assert np.abs(pull).max() < 4.0
    assert 0.3 < np.std(pull) < 2.5


def test_van_hove_of_langevin_particles() -> None:
    """A Gaussian: Maxwell's distribution of distances."""
    found = VanHove([1000.0], r_max=8.0, bins=40).compute(langevin())
    curve = found.curves["1000 fs"]
    t = 1000.0
    variance = 2.0 * exact_diffusion() / 0.1 * (t - 100.0 * (1.0 - math.exp(-t / 100.0)))
    r = curve.x
    gauss = 4.0 * np.pi * r**2 * np.exp(-(r**2) / 2 / variance) / (2 * np.pi * variance) ** 1.5
    likely = gauss > 0.02
    assert np.abs((curve.y - gauss) / curve.error)[likely].max() < 4.5
    with pytest.raises(InputError, match="not within the path"):
        VanHove([1e9]).compute(langevin(5, 100))


def test_distinct_van_hove_of_langevin_particles() -> None:
    """Particles that do not feel each other: 1 - 1/N at every time and distance."""
    found = DistinctVanHove([0.0, 1000.0], r_max=4.0, bins=20).compute(langevin(200, 600))
    for name, curve in found.curves.items():
        pull = (curve.y - 199.0 / 200.0)[3:] / curve.error[3:]
        assert np.abs(pull).max() < 4.5, name
        assert np.std(pull) > 0.3
        assert curve.error[-1] < 0.02


def test_distinct_van_hove_of_a_liquid() -> None:
    """At time zero the radial distribution; later the hole of an atom is filled by others."""
    samples = argon()
    some = samples.select(0, None, max(1, (len(samples)) // 60))
    found = DistinctVanHove([0.0, 4.0e4], r_max=7.0, bins=70).compute(samples)
    g = RadialDistribution(7.0, 70).compute(some)
    at_once, later = found.curves["0 fs"], found.curves["40000 fs"]
    assert np.abs(at_once.y - g.g["total"]).max() < 0.25 * g.g["total"].max() / 10
    assert at_once.y[:25].max() == 0.0
    assert later.y[5:25].mean() == pytest.approx(1.0, abs=0.15)
    with pytest.raises(InputError, match="not within the path"):
        DistinctVanHove([1.0e9]).compute(samples)


def test_an_image_of_an_atom_is_another_atom() -> None:
    """One particle alone in a cell of 3 Å that moves by 1 Å: its six nearest images around it."""
    x = np.array([[[0.0, 0.0, 0.0]], [[1.0, 0.0, 0.0]]])
    pair = trajectory([18], x, 3.0 * np.eye(3), times=np.array([0.0, 10.0]))
    found = DistinctVanHove(10.0, r_max=2.5, bins=5).compute(pair).curves["10 fs"]
    shell = 4.0 / 3.0 * np.pi * np.diff(np.linspace(0.0, 2.5, 6) ** 3)
    np.testing.assert_allclose(found.y * shell / 27.0, [0, 0, 0, 0, 1])  # at (-2, 0, 0)


def test_jumps_are_counted() -> None:
    """Vibrations of 0.3 Å about sites, hops of 3 Å at 0.2 per ps and atom."""
    rng = np.random.default_rng(5)
    n_frames, n_atoms, step, rate = 6000, 40, 5.0, 2e-4
    hops = rng.random((n_frames, n_atoms)) < rate * step
    ways = rng.normal(size=(n_frames, n_atoms, 3))
    ways *= 3.0 / np.linalg.norm(ways, axis=-1, keepdims=True)
    site = np.cumsum(hops[..., None] * ways, axis=0)
    x = np.zeros((n_frames, n_atoms + 1, 3))  # one heavy atom holds the frame of reference
    x[:, :-1] = site + rng.normal(0.0, 0.17, site.shape)
    samples = trajectory(
        [11] * n_atoms + [92], x % 12.0, 12.0 * np.eye(3), masses=[23.0] * n_atoms + [1e9],
        times=step * np.arange(n_frames),
    )  # fmt: skip
    found = Jumps(1.5, 100.0).compute(samples)
    r = found.numbers["jump rate of Na"]
    true = hops.sum() / (n_atoms * n_frames * step / 1000.0)
    assert r.value == pytest.approx(true, rel=0.06)  # two hops in one window are one
    assert 0.0 < r.error < 0.2 * r.value
    still = Jumps(1.5, 100.0).compute(
        trajectory([11] * 3, np.zeros((100, 3, 3)), 12.0 * np.eye(3), times=5.0 * np.arange(100))
    ).numbers["jump rate of Na"]  # fmt: skip
    assert still.value == 0.0
    assert still.error > 0.0


def test_arrhenius() -> None:
    rng = np.random.default_rng(6)
    values = {}
    for t in (600.0, 700.0, 800.0, 1000.0):
        exact = 1e-3 * math.exp(-0.4 / (KB * t))
        values[t] = Estimate(
            exact * (1 + 0.03 * rng.normal()), 0.03 * exact, 50, 1, "cm^2/s", "as given"
        )
    found = arrhenius(values).numbers
    assert abs(found["activation energy"].value - 0.4) < 3 * found["activation energy"].error
    assert abs(found["prefactor"].value - 1e-3) < 3 * found["prefactor"].error
    with pytest.raises(InputError, match="three temperatures or more, found 1"):
        arrhenius({600.0: values[600.0]})


def test_green_kubo_of_a_known_current() -> None:
    """<J(0)J(t)> = exp(-t/tau): the integral is tau."""
    rng = np.random.default_rng(7)
    tau, step = 50.0, 2.0
    c = math.exp(-step / tau)
    noise = rng.normal(size=(400_000, 3))
    noise[1:] *= math.sqrt(1 - c * c)
    current = lfilter([1.0], [1.0, -c], noise, axis=0)
    found = integrated([current], step, 500.0, 1.0, "fs", "as given", "integral")
    value = found.numbers["integral"]
    assert abs(value.value - tau) < 4.0 * value.error
    assert value.error < 0.1 * tau


def test_nernst_einstein() -> None:
    """Independent ions: sigma = n q^2 D/(k_B T)."""
    samples = langevin(100, 4000)
    # The centre of mass is free here, so that the current has all its fluctuations.
    found = IonicConductivity(300.0, {"Ar": 1.0}, 800.0).compute(samples)
    sigma = found.numbers["ionic conductivity"]
    density = 100 / abs(np.linalg.det(CELL))
    exact = density * exact_diffusion() / 0.1 / (KB * 300.0) * 1.602176634e6
    assert abs(sigma.value - exact) < 3.5 * sigma.error
    with pytest.raises(InputError, match="Not every species has a charge"):
        IonicConductivity(300.0, {}).compute(samples)
    with pytest.raises(InputError, match="does not hold stresses"):
        Viscosity(300.0).compute(samples)


@pytest.mark.parametrize(
    "observable",
    [MeanSquaredDisplacement(), VibrationalDensityOfStates(), VelocityAutocorrelation(), Jumps(),
     VanHove(), DistinctVanHove(), Viscosity(300.0)],
)  # fmt: skip
def test_motion_is_refused_on_monte_carlo_chains(observable: MeanSquaredDisplacement) -> None:
    positions = np.random.default_rng(8).random((50, 4, 3))
    sampled = trajectory([18] * 4, positions, 9.0 * np.eye(3), "exact", times=np.arange(50.0))
    with pytest.raises(InputError, match="follow no clock"):
        observable.compute(sampled)


def test_the_way_into_a_plateau_is_no_diffusion():
    """An overdamped atom on a spring: a slope of one at first, then bounded."""
    times = np.arange(1.0, 4000.0)
    bounded = 0.3 * (1.0 - np.exp(-times / 300.0))
    assert "plateau" in regimes(times, bounded)
    assert "diffusive" not in regimes(times, bounded)
    assert "diffusive" in regimes(times, 0.3 * times)
    caged = 0.3 * np.where(times < 300.0, times / 300.0, (times / 300.0) ** 0.5)
    assert "diffusive" not in regimes(times, caged)
