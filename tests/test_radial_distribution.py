"""Radial distribution functions, against ideal gases, crystals and each other."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from hyperatom.analysis.radial_distribution import RadialDistribution, RadialDistributionResult
from hyperatom.configuration import Configuration
from hyperatom.errors import InputError

TRICLINIC = np.array([[7.0, 0.0, 0.0], [2.0, 6.5, 0.0], [-1.0, 1.5, 8.0]])


def configuration(
    numbers: list[int], positions: np.ndarray, cell: np.ndarray, periodic: bool = True
) -> Configuration:
    return Configuration(
        np.array(numbers), positions, cell, np.full(3, periodic), np.ones(len(numbers))
    )


def ideal_gas(n_configurations: int, seed: int) -> list[Configuration]:
    rng = np.random.default_rng(seed)
    numbers = [14] * 20 + [8] * 40
    return [
        configuration(numbers, rng.random((60, 3)) @ TRICLINIC, TRICLINIC)
        for _ in range(n_configurations)
    ]


def fcc(repeat: int, constant: float = 4.0) -> Configuration:
    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    shifts = np.stack(np.meshgrid(*[np.arange(repeat)] * 3), axis=-1).reshape(-1, 3)
    positions = constant * (shifts[:, None] + corners).reshape(-1, 3)
    return configuration([18] * len(positions), positions, constant * repeat * np.eye(3))


def test_ideal_gas_is_flat_within_its_errors() -> None:
    # 3.2 Å is less than half the thinnest direction: no atom meets its own image.
    result = RadialDistribution(3.2, 16).compute(ideal_gas(400, 1), kind="exact")
    n_atoms = {"Si-Si": 20, "Si-O": math.inf, "O-O": 40, "total": 60}
    assert result.pairs == tuple(n_atoms)
    pulls = []
    for pair, n in n_atoms.items():
        seen = result.error[pair] > 0.0
        pulls.append(((result.g[pair] - (1.0 - 1.0 / n)) / result.error[pair])[seen])
    together = np.concatenate([p[4:] for p in pulls])  # inner bins are too rare for Gauss
    assert 0.75 < np.std(together) < 1.2
    assert abs(result.g["total"][-4:].mean() - (1 - 1 / 60)) < 0.02


def test_ideal_gas_beyond_the_cell() -> None:
    """Own images lie on the lattice; other pairs stay flat to any distance."""
    result = RadialDistribution(15.0, 10).compute(ideal_gas(30, 2))
    np.testing.assert_allclose(result.g["Si-O"][4:], 1.0, atol=0.02)


def test_fcc_shells() -> None:
    """12, 6, 24, 12, 24, 8 neighbours at a sqrt(n/2), even in a cell of one cubic unit."""
    for crystal in (fcc(1), fcc(2)):
        result = RadialDistribution(7.21, 103).compute([crystal])
        ends = 4.0 * np.sqrt((np.arange(1, 7) + 0.5) / 2.0)
        shells = np.diff([0.0, *(result.coordination("Ar-Ar", r).value for r in ends)])
        np.testing.assert_allclose(shells, [12, 6, 24, 12, 24, 8])
    peak = result.first_peak("Ar-Ar")
    assert peak.coordination.value == 12
    assert peak.mean_distance.value == pytest.approx(4.0 / math.sqrt(2.0), abs=0.035)
    assert math.isnan(peak.height.error)  # one configuration


def test_replication_and_thin_cells() -> None:
    """A cell far thinner than r_max counts every image, and a replicated one gives the same g."""
    rng = np.random.default_rng(3)
    cell = np.array([[2.9, 0.0, 0.0], [1.4, 2.6, 0.0], [0.3, 0.8, 9.0]])
    positions = rng.random((4, 3)) @ cell
    small = configuration([14, 8, 8, 1], positions, cell)
    shifts = [[i, j, k] for i in range(3) for j in range(2) for k in range(2)]
    big = configuration(
        [14, 8, 8, 1] * 12,
        np.concatenate([positions + np.array(s) @ cell for s in shifts]),
        np.diag([3, 2, 2]) @ cell,
    )
    one = RadialDistribution(9.3, 61).compute([small])
    twelve = RadialDistribution(9.3, 61).compute([big])
    for pair in one.pairs:
        np.testing.assert_allclose(one.g[pair], twelve.g[pair], rtol=1e-9, atol=1e-12)
    images = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3), axis=-1).reshape(-1, 3) @ cell
    difference = positions[None, :, None] - positions[:, None, None] + images
    distance = np.linalg.norm(difference, axis=-1)
    direct, _ = np.histogram(distance[distance > 1e-9], bins=61, range=(0.0, 9.3))
    np.testing.assert_array_equal(one.counts["total"][0], direct)


def test_partials_sum_to_total() -> None:
    result = RadialDistribution(6.0, 50).compute(ideal_gas(5, 4))
    c = {"Si": 1 / 3, "O": 2 / 3}
    total = (
        c["Si"] ** 2 * result.g["Si-Si"]
        + 2 * c["Si"] * c["O"] * result.g["Si-O"]
        + c["O"] ** 2 * result.g["O-O"]
    )
    np.testing.assert_allclose(result.g["total"], total, rtol=1e-12)


def molecule(rng: np.random.Generator, spread: float = 0.03) -> Configuration:
    """A bent triatomic without a cell."""
    positions = np.array([[0.0, 0.0, 0.0], [1.6, 0.0, 0.0], [0.0, 1.6, 0.0]])
    return configuration(
        [14, 8, 8], positions + rng.normal(0.0, spread, (3, 3)), np.zeros((3, 3)), periodic=False
    )


def test_without_a_cell() -> None:
    rng = np.random.default_rng(5)
    result = RadialDistribution(4.0, 80).compute([molecule(rng) for _ in range(200)])
    shell = result.r**2 + result.r[0] ** 2 / 3.0
    assert np.average(result.g["total"], weights=shell) == pytest.approx(1.0)
    assert result.coordination("Si-O", 2.5).value == 2.0
    assert result.coordination("O-Si", 2.5).value == 1.0


def test_first_peak_knows_where_and_how_sure() -> None:
    rng = np.random.default_rng(6)
    result = RadialDistribution(4.0, 200).compute([molecule(rng) for _ in range(2000)])
    peak = result.first_peak("O-Si")
    # Each component of the difference has a spread of 0.03 sqrt(2): the two transverse ones
    # lengthen the mean distance by sigma^2/r.
    sigma = 0.03 * math.sqrt(2.0)
    expected = 1.6 + sigma**2 / 1.6
    assert abs(peak.mean_distance.value - expected) < 4 * peak.mean_distance.error + 1e-4
    # The two bonds of a molecule share the silicon, at right angles: independent to first order.
    assert peak.mean_distance.error == pytest.approx(sigma / math.sqrt(2 * 2000), rel=0.15)
    assert abs(peak.position.value - 1.6) < 4 * peak.position.error
    assert 0.0 < peak.position.error < 0.01
    assert peak.coordination.value == pytest.approx(1.0)
    # All 6 ordered pairs lie within 4 Å, so that V = sphere 9/6; Gaussian peak, three bins.
    volume = 4.0 / 3.0 * math.pi * 4.0**3 * 9 / 6
    top = volume / (1 * 2) * 2 / (math.sqrt(2.0 * math.pi) * sigma) / (4.0 * math.pi * 1.6**2)
    height = top * (1.0 + 2.0 * math.exp(-(0.02**2) / (2.0 * sigma**2))) / 3.0
    assert abs(peak.height.value - height) < 4 * peak.height.error
    assert peak.height.error < 0.05 * height
    assert len(result.first_peak_series("Si-O")) == 2000


def test_repeated_configurations_widen_the_bands() -> None:
    rng = np.random.default_rng(7)
    distinct = [molecule(rng) for _ in range(600)]
    repeated = [c for c in distinct for _ in range(5)]
    once = RadialDistribution(4.0, 40).compute(distinct)
    five = RadialDistribution(4.0, 40).compute(repeated)
    np.testing.assert_allclose(five.g["Si-O"], once.g["Si-O"])
    filled = once.g["Si-O"] > 0.2
    ratio = five.error["Si-O"][filled] / once.error["Si-O"][filled]
    assert 0.9 < ratio.mean() < 1.25  # five times the samples, not five times the knowledge
    assert five.n_effective["Si-O"] < 1.15 * 600


def test_weights_select() -> None:
    gas = ideal_gas(6, 8)
    weighted = RadialDistribution(5.0, 20).compute(gas, weights=[1, 1, 0, 2, 0, 0])
    chosen = RadialDistribution(5.0, 20).compute([gas[0], gas[1], gas[3], gas[3]])
    np.testing.assert_allclose(weighted.g["Si-O"], chosen.g["Si-O"])


def test_walkers_are_kept_apart() -> None:
    gas = ideal_gas(40, 9)
    result = RadialDistribution(5.0, 20).compute(gas, walkers=[0, 1] * 20)
    np.testing.assert_allclose(result.g["O-O"], RadialDistribution(5.0, 20).compute(gas).g["O-O"])


@pytest.fixture
def small() -> RadialDistributionResult:
    return RadialDistribution(4.0, 8).compute(ideal_gas(10, 10), kind="exact")


def test_files(small: RadialDistributionResult, tmp_path: Path) -> None:
    small.to_csv(tmp_path / "g.csv")
    header = (tmp_path / "g.csv").read_text().splitlines()[0]
    assert header.startswith("r (angstrom),g Si-Si,error Si-Si,g Si-O")
    table = np.loadtxt(tmp_path / "g.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(table[:, 3], small.g["Si-O"], rtol=1e-8)
    small.to_json(tmp_path / "g.json")
    content = json.loads((tmp_path / "g.json").read_text())
    assert content["kind"] == "exact"
    assert content["x"]["unit"] == "angstrom"
    assert content["curves"]["O-O"]["y"] == pytest.approx(small.g["O-O"].tolist())


def test_plot(small: RadialDistributionResult) -> None:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    small.plot(axes, ["Si-O"])
    assert axes.get_xlabel() == "distance r (Å)"
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), small.g["Si-O"])


def test_plain_errors(small: RadialDistributionResult) -> None:
    with pytest.raises(InputError, match="no pair of species 'Na-O'"):
        small.first_peak("Na-O")
    with pytest.raises(InputError, match="impossible"):
        RadialDistribution(-1.0, 10)
    with pytest.raises(InputError, match="at least one configuration"):
        RadialDistribution().compute([])
    with pytest.raises(InputError, match="differ in their numbers of atoms"):
        RadialDistribution().compute([fcc(1), fcc(2)])
    with pytest.raises(InputError, match="none negative"):
        RadialDistribution().compute([fcc(1)], weights=[-1.0])
    lonely = RadialDistribution(1.0, 5).compute([fcc(1)])
    assert math.isnan(lonely.n_effective["Ar-Ar"])
    with pytest.raises(InputError, match="No pair Ar-Ar was found"):
        lonely.first_peak("Ar-Ar")
