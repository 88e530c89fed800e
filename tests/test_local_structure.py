"""Coordination, angles, Steinhardt, rings, density maps: crystals and gases of known answers."""

from math import sqrt
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk

from hyperatom.analysis.bond_angles import BondAngles
from hyperatom.analysis.bond_orientation import BondOrientation
from hyperatom.analysis.bonds import bonds_of
from hyperatom.analysis.coordination import Coordination
from hyperatom.analysis.density_map import DensityMap
from hyperatom.analysis.local_environments import CommonNeighbours, LocalEnvironments
from hyperatom.analysis.rings import Rings, rings_of
from hyperatom.errors import InputError
from hyperatom.trajectory import Trajectory
from liquid import fcc, trajectory

DIAMOND = bulk("Si", "diamond", a=5.43, cubic=True).repeat(3)


def crystal(noise: float = 0.0, n_frames: int = 1) -> Trajectory:
    rng = np.random.default_rng(1)
    positions = DIAMOND.positions + noise * rng.normal(size=(n_frames, len(DIAMOND), 3))
    return trajectory([14] * len(DIAMOND), positions, DIAMOND.cell.array)


def beta_cristobalite(repeat: int = 2) -> Trajectory:
    """Idealised: an oxygen in the middle of each bond of a diamond lattice."""
    atoms = bulk("Si", "diamond", a=7.16, cubic=True).repeat(repeat)
    (frame,) = (b for _, b in bonds_of(trajectory([14] * len(atoms), atoms.positions[None],
                                                  atoms.cell.array), 3.3))  # fmt: skip
    once = frame.first < frame.second
    middle = atoms.positions[frame.first[once]] + frame.vector[once] / 2.0
    numbers = [14] * len(atoms) + [8] * len(middle)
    return trajectory(numbers, np.concatenate([atoms.positions, middle])[None], atoms.cell.array)


def test_coordination_of_silica() -> None:
    found = Coordination("Si", "O", 2.0).compute(beta_cristobalite())
    (number,) = found.numbers.values()
    assert number.value == 4.0
    assert np.isnan(number.error)
    assert found.curves["Si-O"].y.tolist() == [0, 0, 0, 0, 1]
    (back,) = Coordination("O", "Si", 2.0).compute(beta_cristobalite()).numbers.values()
    assert back.value == 2.0
    noisy = Coordination("Si", "Si", 2.6).compute(crystal(0.15, 40))
    (number,) = noisy.numbers.values()
    assert 3.0 < number.value < 4.0
    assert 0.0 < number.error < 0.02
    assert sum(noisy.curves["Si-Si"].y) == pytest.approx(1.0)


def test_bond_angles() -> None:
    tetrahedral = np.degrees(np.arccos(-1.0 / 3.0))
    found = BondAngles("Si", "Si", 2.6).compute(crystal())
    assert found.numbers["Si-Si-Si mean"].value == pytest.approx(tetrahedral)
    curve = found.curves["Si-Si-Si"]
    assert curve.x[np.argmax(curve.y)] == pytest.approx(tetrahedral, abs=0.5)
    assert curve.y.sum() * 1.0 == pytest.approx(1.0)
    silica = beta_cristobalite()
    straight = BondAngles("O", "Si", {"Si-O": 2.0}).compute(silica)
    assert straight.numbers["Si-O-Si mean"].value == pytest.approx(180.0)
    inside = BondAngles("Si", "O", {"Si-O": 2.0}).compute(silica)
    assert inside.numbers["O-Si-O mean"].value == pytest.approx(tetrahedral)
    rng = np.random.default_rng(2)
    gas = trajectory([18] * 200, 20.0 * rng.random((40, 200, 3)), 20.0 * np.eye(3))
    flat = BondAngles(cutoffs=4.0, bins=12, per_solid_angle=True).compute(gas)
    curve = flat.curves["all-all-all"]
    pull = (curve.y - 0.5) / curve.error
    assert np.abs(pull).max() < 4.0
    with pytest.raises(InputError, match="No angle Si-O-Si was found"):
        BondAngles("O", "Si", 1.0).compute(silica)


@pytest.mark.parametrize(
    ("positions", "edge", "cutoff", "q4", "q6"),
    [
        (fcc(3, 4.0), 12.0, 3.4, 0.19094, 0.57452),
        (np.stack(np.meshgrid(*[np.arange(4.0)] * 3), -1).reshape(-1, 3) * 3.0, 12.0, 3.5,
         0.76376, 0.35355),
    ],
)  # fmt: skip
def test_steinhardt_of_perfect_crystals(
    positions: np.ndarray, edge: float, cutoff: float, q4: float, q6: float
) -> None:
    """fcc and simple cubic, Steinhardt et al. 1983, table I (also w_6 of fcc: -0.01316)."""
    frame = trajectory([18] * len(positions), positions[None], edge * np.eye(3))
    for l, value in ((4, q4), (6, q6)):  # noqa: E741
        for averaged in (False, True):
            found = BondOrientation(l, cutoff, averaged).compute(frame)
            name = f"mean {'averaged ' if averaged else ''}q_{l}"
            assert found.numbers[name].value == pytest.approx(value, abs=1e-5)
    if cutoff == 3.4:
        w6 = BondOrientation(6, cutoff).compute(frame).numbers["mean w_6"].value
        assert w6 == pytest.approx(-0.01316, abs=1e-5)


def test_environments_of_silica() -> None:
    found = LocalEnvironments({"Si-O": 2.0}).compute(beta_cristobalite())
    values = {name: one.value for name, one in found.numbers.items()}
    assert values == {"O with Si2": 1.0, "Si with O4": 1.0}
    assert all(np.isnan(one.error) for one in found.numbers.values())
    noisy = LocalEnvironments(2.6).compute(crystal(0.15, 40))
    assert sum(one.value for one in noisy.numbers.values()) == pytest.approx(1.0)
    four = noisy.numbers["Si with Si4"]
    fraction = Coordination("Si", "Si", 2.6).compute(crystal(0.15, 40)).curves["Si-Si"].y[4]
    assert four.value == pytest.approx(fraction)
    assert 0.0 < four.error < 0.03
    lonely = LocalEnvironments(0.5).compute(crystal())
    assert set(lonely.numbers) == {"Si with nobody"}


@pytest.mark.parametrize(
    ("atoms", "cutoff", "name"),
    [
        (bulk("Cu", "fcc", a=3.6, cubic=True).repeat(2), 3.07, "fcc"),
        (bulk("Mg", "hcp", a=3.2, c=3.2 * sqrt(8.0 / 3.0)).repeat(3), 3.86, "hcp"),
        (bulk("Fe", "bcc", a=2.87, cubic=True).repeat(3), 3.46, "bcc"),
        (bulk("Cu", "fcc", a=3.6), 3.07, "fcc"),  # a single atom among its images
    ],
)
def test_common_neighbours_of_crystals(atoms: ase.Atoms, cutoff: float, name: str) -> None:
    def of(noise: float, n_frames: int) -> dict[str, float]:
        rng = np.random.default_rng(5)
        x = atoms.positions + noise * rng.normal(size=(n_frames, len(atoms), 3))
        frames = trajectory(atoms.numbers.tolist(), x, atoms.cell.array)
        found = CommonNeighbours(cutoff).compute(frames).numbers
        return {key.split()[1]: one.value for key, one in found.items()}

    assert of(0.0, 1) == {name: 1.0}
    if len(atoms) > 1:
        warm = of(0.05, 4)
        assert max(warm, key=lambda key: warm[key]) == name
        assert of(0.4, 2).get(name, 0.0) < 0.1


def test_steinhardt_knows_no_direction() -> None:
    rng = np.random.default_rng(3)
    positions = rng.normal(size=(1, 30, 3)) * 3.0
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    for averaged in (False, True):
        one, other = (
            BondOrientation(5, 4.0, averaged).compute(
                trajectory([18] * 30, x, np.zeros((3, 3)), periodic=False)
            )
            for x in (positions, positions @ turn * np.sign(np.linalg.det(turn)))
        )
        for name in one.numbers:
            assert one.numbers[name].value == pytest.approx(other.numbers[name].value, abs=1e-12)
    with pytest.raises(InputError, match="has a neighbour within"):
        BondOrientation(6, 0.1).compute(crystal())


def test_rings_of_crystals() -> None:
    """Diamond: two six-rings an atom, none shorter (12 pass through each atom, 12/6 = 2)."""
    found = Rings(2.6, 8).compute(crystal()).curves["atoms"]
    counts = dict(zip(found.x, found.y, strict=True))
    assert counts[6.0] == 2.0
    assert counts[3.0] == counts[4.0] == counts[5.0] == counts[7.0] == 0.0
    silica = Rings({"Si-O": 2.0}, 12, "Si").compute(beta_cristobalite()).curves["Si"]
    counts = dict(zip(silica.x, silica.y, strict=True))
    assert counts[6.0] == 2.0
    assert sum(silica.y) == 2.0


def test_rings_of_small_graphs() -> None:
    """A square with a tail, a pentagon, and a ring through the cell, which is none."""
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0, 0]], dtype=float)
    angles = 2.0 * np.pi * np.arange(5) / 5.0
    radius = 0.5 / np.sin(np.pi / 5.0)
    pentagon = np.stack([10 + radius * np.cos(angles), radius * np.sin(angles), 0 * angles], 1)
    positions = np.concatenate([square, pentagon])
    free = trajectory([6] * 10, positions[None], np.zeros((3, 3)), periodic=False)
    ((_, bonds),) = bonds_of(free, 1.2)
    four, five = rings_of(bonds, 10, 8)
    assert sorted(four[0].tolist()) == [0, 1, 2, 3]
    assert sorted(five[0].tolist()) == [5, 6, 7, 8, 9]
    line = trajectory([6] * 4, np.arange(4.0)[None, :, None] * np.array([1.0, 0, 0]),
                      np.diag([4.0, 9.0, 9.0]))  # fmt: skip
    ((_, bonds),) = bonds_of(line, 1.2)
    assert rings_of(bonds, 4, 8) == []


def test_density_map(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    cell = np.array([[4.0, 0, 0], [1.0, 5.0, 0], [0, 0.5, 6.0]])
    positions = rng.random((400, 30, 3)) @ cell - 3.0
    gas = trajectory([14] * 10 + [8] * 20, positions, cell)
    found = DensityMap("O", 1.0).compute(gas)
    volume = abs(np.linalg.det(cell))
    assert found.density.mean() == pytest.approx(20.0 / volume)
    pull = (found.density - 20.0 / volume) / found.error
    assert 0.7 < np.std(pull) < 1.4
    found.to_cube(tmp_path / "o.cube")
    with (tmp_path / "o.cube").open() as file:
        read = ase.io.cube.read_cube(file)
    np.testing.assert_allclose(read["data"] / 0.5291772105638411**3, found.density, rtol=1e-3)
    np.testing.assert_allclose(read["atoms"].cell.array, cell, atol=1e-3)
    found.to_vtk(tmp_path / "o.vtk")
    text = (tmp_path / "o.vtk").read_text().splitlines()
    at = text.index("SCALARS density double 1") + 2
    values = np.array([float(x) for x in text[at : at + found.density.size]])
    np.testing.assert_allclose(
        values.reshape(found.density.shape[::-1]).T, found.density, rtol=1e-6
    )
    assert set(found.observation.curves) == {"a", "b", "c"}
    with pytest.raises(InputError, match="no atom of species 'Na'"):
        DensityMap("Na").compute(gas)


def test_a_known_neighbour_distance() -> None:
    ((_, bonds),) = bonds_of(crystal(), 2.6)
    np.testing.assert_allclose(bonds.distance, 5.43 * sqrt(3.0) / 4.0)
    with pytest.raises(InputError, match="no pair of species 'Si-O'"):
        list(bonds_of(crystal(), {"Si-O": 2.0}))
