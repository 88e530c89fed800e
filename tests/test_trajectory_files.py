"""The same trajectory written in five formats comes back the same; damaged files in plain words."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.frames import FramesInMemory, FramesInTurn
from hyperatom.interchange.trajectory_files import read_trajectory
from hyperatom.trajectory import Trajectory
from hyperatom.units import FEMTOSECOND

CELL = np.array([[7.0, 0.0, 0.0], [2.0, 6.5, 0.0], [-1.0, 1.5, 8.0]])


def frames(n_frames: int = 7, seed: int = 1) -> list[Atoms]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n_frames):
        atoms = Atoms("Si2O4", cell=CELL * (1.0 + 0.01 * number), pbc=True)
        atoms.set_scaled_positions(rng.random((6, 3)))
        atoms.set_velocities(rng.normal(size=(6, 3)))
        atoms.info["time"] = 2.0 * number
        atoms.calc = SinglePointCalculator(
            atoms, energy=-10.0 - number, forces=rng.normal(size=(6, 3)),
            stress=rng.normal(size=6),
        )  # fmt: skip
        found.append(atoms)
    return found


def write_dump(path: Path, written: list[Atoms], element: bool = True) -> None:
    lines = []
    for number, atoms in enumerate(written):
        a = np.diag(atoms.cell.array)
        lines += ["ITEM: UNITS", "metal"] if number == 0 else []
        lines += ["ITEM: TIMESTEP", str(10 * number), "ITEM: NUMBER OF ATOMS", str(len(atoms))]
        lines += ["ITEM: BOX BOUNDS pp pp pp", *(f"0.0 {x:.12f}" for x in a)]
        lines += [f"ITEM: ATOMS id type {'element ' if element else ''}x y z"]
        for i in np.random.default_rng(number).permutation(len(atoms)):
            name = f"{atoms.symbols[i]} " if element else ""
            x = " ".join(f"{v:.12f}" for v in atoms.positions[i])
            lines.append(f"{i + 1} {1 if atoms.symbols[i] == 'Si' else 2} {name}{x}")
    path.write_text("\n".join(lines) + "\n")


def boxes(n_frames: int = 4) -> list[Atoms]:
    rng = np.random.default_rng(2)
    found = []
    for number in range(n_frames):
        atoms = Atoms("Si2O4", cell=[5.0 + 0.1 * number, 6.0, 7.0], pbc=True)
        atoms.set_scaled_positions(rng.random((6, 3)))
        found.append(atoms)
    return found


@pytest.mark.parametrize("name", ["run.extxyz", "run.traj"])
def test_ase_formats_come_back_whole(name: str, tmp_path: Path) -> None:
    written = frames()
    ase.io.write(tmp_path / name, written)
    trajectory = read_trajectory(tmp_path / name)
    assert len(trajectory) == 7
    assert trajectory.periodic.all()
    for number, atoms in enumerate(written):
        read = trajectory.frames(number, number + 1)
        np.testing.assert_allclose(read.positions[0], atoms.positions, atol=1e-7)
        np.testing.assert_allclose(read.cells[0], atoms.cell.array, atol=1e-7)
        velocities = atoms.get_velocities() * FEMTOSECOND
        np.testing.assert_allclose(read.velocities[0], velocities, atol=1e-7)
        np.testing.assert_allclose(read.energies[0], atoms.get_potential_energy())
        np.testing.assert_allclose(read.forces[0], atoms.get_forces(), atol=1e-7)
        np.testing.assert_allclose(read.stresses[0], atoms.get_stress(), atol=1e-7)
    np.testing.assert_allclose(trajectory.energies, -10.0 - np.arange(7))
    np.testing.assert_allclose(trajectory.volumes, [a.get_volume() for a in written])
    assert trajectory.time_step == pytest.approx(2.0)
    assert read_trajectory(tmp_path / name, time_step=0.5).time_step == 0.5


def test_lammps_dump(tmp_path: Path) -> None:
    written = boxes()
    write_dump(tmp_path / "run.lammpstrj", written)
    trajectory = read_trajectory(tmp_path / "run.lammpstrj")
    assert trajectory.numbers.tolist() == [14, 14, 8, 8, 8, 8]
    for number, atoms in enumerate(written):
        read = trajectory.frames(number, number + 1)
        np.testing.assert_allclose(read.positions[0], atoms.positions, atol=1e-9)
        np.testing.assert_allclose(read.cells[0], atoms.cell.array, atol=1e-9)
    write_dump(tmp_path / "types", written, element=False)
    with pytest.raises(InputError, match="does not name elements"):
        read_trajectory(tmp_path / "types")
    typed = read_trajectory(tmp_path / "types", species=["Si", "O"])
    assert typed.numbers.tolist() == [14, 14, 8, 8, 8, 8]
    text = (tmp_path / "types").read_text()
    (tmp_path / "cut.dump").write_text(text[: len(text) - 60])
    with pytest.raises(InputError, match="ends in the middle of frame 3"):
        read_trajectory(tmp_path / "cut.dump", species=["Si", "O"])


def test_times_of_a_lammps_dump(tmp_path: Path) -> None:
    written = boxes(2)
    write_dump(tmp_path / "run.dump", written)
    text = (tmp_path / "run.dump").read_text()
    for step in (0, 10):
        text = text.replace(
            f"ITEM: TIMESTEP\n{step}\n",
            f"ITEM: TIME\n{step * 0.0005}\nITEM: TIMESTEP\n{step}\n",
        )
    (tmp_path / "run.dump").write_text(text)
    trajectory = read_trajectory(tmp_path / "run.dump")
    assert trajectory.time_step == pytest.approx(5.0)
    np.testing.assert_allclose(trajectory.frames(1, 2).positions[0], written[1].positions)


@pytest.mark.parametrize("moving", [False, True])
def test_xdatcar(moving: bool, tmp_path: Path) -> None:
    written = boxes()
    if not moving:
        for atoms in written:
            atoms.set_cell([5.0, 6.0, 7.0], scale_atoms=True)
        ase.io.write(tmp_path / "XDATCAR", written, format="vasp-xdatcar")
    else:
        lines = []
        for number, atoms in enumerate(written):
            lines += ["SiO2", "1.0", *(" ".join(map(str, row)) for row in atoms.cell.array)]
            lines += ["Si O", "2 4", f"Direct configuration= {number + 1}"]
            lines += [" ".join(f"{x:.10f}" for x in row) for row in atoms.get_scaled_positions()]
        (tmp_path / "XDATCAR").write_text("\n".join(lines) + "\n")
    trajectory = read_trajectory(tmp_path / "XDATCAR")
    assert len(trajectory) == 4
    for number, atoms in enumerate(written):
        read = trajectory.frames(number, number + 1)
        np.testing.assert_allclose(read.positions[0], atoms.positions, atol=1e-6)
        np.testing.assert_allclose(read.cells[0], atoms.cell.array, atol=1e-6)
    text = (tmp_path / "XDATCAR").read_text().rstrip().splitlines()
    (tmp_path / "XDATCAR_cut").write_text("\n".join(text[:-2]))
    with pytest.raises(InputError, match="frame 3: 4 of 6 atoms"):
        read_trajectory(tmp_path / "XDATCAR_cut")


@pytest.mark.parametrize("moving", [False, True])
def test_h5md(moving: bool, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    written = boxes()
    with h5py.File(tmp_path / "run.h5", "w") as file:
        group = file.create_group("particles/atoms")
        group["species"] = written[0].numbers
        group["position/value"] = np.stack([a.positions for a in written]) / 10.0
        group["position/value"].attrs["unit"] = "nm"
        group["position/time"] = 0.002
        group["position/time"].attrs["unit"] = "ps"
        group["velocity/value"] = np.ones((4, 6, 3))
        group["velocity/value"].attrs["unit"] = "nm ps-1"
        box = group.create_group("box")
        box.attrs["boundary"] = [b"periodic"] * 3
        if moving:
            box["edges/value"] = np.stack([np.diag(a.cell.array) for a in written]) / 10.0
        else:
            box["edges"] = written[0].cell.array / 10.0
    trajectory = read_trajectory(tmp_path / "run.h5")
    assert trajectory.time_step == pytest.approx(2.0)
    read = trajectory.frames(1, 4, 2)
    np.testing.assert_allclose(read.positions[1], written[3].positions)
    np.testing.assert_allclose(read.cells[1], written[3 if moving else 0].cell.array)
    np.testing.assert_allclose(read.velocities, 0.01)
    (tmp_path / "cut.h5").write_bytes((tmp_path / "run.h5").read_bytes()[:600])
    with pytest.raises(InputError, match="cannot be opened as HDF5"):
        read_trajectory(tmp_path / "cut.h5")


def test_truncated_and_foreign_files(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "run.extxyz", frames(3))
    text = (tmp_path / "run.extxyz").read_text()
    (tmp_path / "cut.extxyz").write_text(text[: text.rfind("O ")])
    with pytest.raises(InputError, match="middle of frame 2: 5 of 6 atoms") as caught:
        read_trajectory(tmp_path / "cut.extxyz")
    assert "after its 2 whole frames" in caught.value.cure
    (tmp_path / "words.xyz").write_text("no atoms here\n")
    with pytest.raises(InputError, match="should begin with a number of atoms"):
        read_trajectory(tmp_path / "words.xyz")
    ase.io.write(tmp_path / "run.traj", frames(3))
    (tmp_path / "cut.traj").write_bytes((tmp_path / "run.traj").read_bytes()[:700])
    with pytest.raises(InputError, match=r"cannot be read as traj|holds no frame"):
        read_trajectory(tmp_path / "cut.traj").frames(0, 3)
    (tmp_path / "empty.extxyz").write_text("")
    with pytest.raises(InputError, match="holds no frame"):
        read_trajectory(tmp_path / "empty.extxyz")
    (tmp_path / "what.bin").write_text("what\n")
    with pytest.raises(InputError, match="no known trajectory format"):
        read_trajectory(tmp_path / "what.bin")
    with pytest.raises(InputError, match="There is no trajectory"):
        read_trajectory(tmp_path / "missing.traj")


def test_mixed_compositions(tmp_path: Path) -> None:
    mixed = [*frames(2), Atoms("Si3O3", positions=np.zeros((6, 3)), cell=CELL, pbc=True)]
    ase.io.write(tmp_path / "mixed.extxyz", mixed)
    with pytest.raises(InputError, match=r"Frame 2 .* differ in their numbers of atoms"):
        read_trajectory(tmp_path / "mixed.extxyz").frames(0, 3)
    swapped = frames(2)
    swapped[1] = swapped[1][[5, 1, 2, 3, 4, 0]]
    ase.io.write(tmp_path / "order.traj", swapped)
    with pytest.raises(InputError, match="another order"):
        read_trajectory(tmp_path / "order.traj").frames(0, 2)


def trajectory(**changes: object) -> Trajectory:
    rng = np.random.default_rng(3)
    given: dict[str, object] = {
        "numbers": [14, 8], "masses": [28.0, 16.0], "periodic": [True] * 3,
        "source": FramesInMemory(rng.random((10, 2, 3)), 5.0 * np.eye(3)),
        "times": 0.5 * np.arange(10),
    }  # fmt: skip
    return Trajectory(**(given | changes))  # type: ignore[arg-type]


def test_bad_trajectories_in_plain_words() -> None:
    broken = np.random.default_rng(4).random((10, 2, 3))
    broken[6, 1, 2] = np.nan
    with pytest.raises(InputError, match="Frame 6 of the trajectory holds positions"):
        list(trajectory(source=FramesInMemory(broken, 5.0 * np.eye(3))).chunks())
    with pytest.raises(InputError, match="periodic but has no cell"):
        trajectory(source=FramesInMemory(np.ones((10, 2, 3)), np.zeros((3, 3)))).frames(0, 1)
    with pytest.raises(InputError, match="no density"):
        _ = trajectory(periodic=[True, True, False]).volumes
    with pytest.raises(InputError, match="does not say at which times"):
        _ = trajectory(times=None).time_step
    with pytest.raises(InputError, match="Monte Carlo chain: its steps follow no clock"):
        _ = trajectory(kind="exact").time_step
    with pytest.raises(InputError, match="not equidistant"):
        _ = trajectory(times=np.arange(10.0) ** 2).time_step
    with pytest.raises(InputError, match="no atom of species 'Na'"):
        trajectory().members("Na")
    with pytest.raises(InputError, match="energy of each frame"):
        _ = trajectory().energies
    with pytest.raises(InputError, match="needs at least one configuration"):
        trajectory(source=FramesInMemory(np.zeros((0, 2, 3)), np.eye(3)))
    with pytest.raises(InputError, match="No frame of"):
        trajectory().select(20)
    with pytest.raises(InputError, match="has 10 entries, but 3 times"):
        trajectory(times=[0.0, 1.0, 2.0])


def test_selection_and_chunks() -> None:
    whole = trajectory()
    part = whole.select(2, None, 3)
    np.testing.assert_allclose(part.times, [1.0, 2.5, 4.0])
    read = np.concatenate([f.positions for _, f in part.chunks(40 * 2**20)])
    np.testing.assert_array_equal(read, whole.source.read(2, 10, 3).positions)
    assert part.select(1).times.tolist() == [2.5, 4.0]
    assert part.configuration(2).positions.tolist() == read[2].tolist()


def test_sources_in_turn_are_one_source() -> None:
    x = np.random.default_rng(3).normal(size=(11, 2, 3))
    whole = FramesInMemory(x, CELL, energies=np.arange(11.0))
    parts = FramesInTurn(
        tuple(
            FramesInMemory(x[part], CELL, energies=np.arange(11.0)[part])
            for part in (slice(0, 4), slice(4, 5), slice(5, 11))
        )
    )
    assert len(parts) == 11
    for start, stop, step in ((0, 11, 1), (1, 10, 3), (4, 5, 1), (3, 8, 2), (5, 7, 4)):
        ours, theirs = parts.read(start, stop, step), whole.read(start, stop, step)
        np.testing.assert_array_equal(ours.positions, theirs.positions)
        np.testing.assert_array_equal(ours.energies, theirs.energies)
        assert ours.velocities is None


def test_configurations_with_swapped_species() -> None:
    one = Configuration(np.array([14, 8]), np.eye(2, 3), np.eye(3), np.ones(3), np.ones(2))
    other = Configuration(np.array([8, 14]), np.eye(2, 3), np.eye(3), np.ones(3), np.ones(2))
    swapped = Trajectory.from_configurations([one, other])
    assert swapped.numbers.tolist() == [8, 14]
    positions = swapped.frames(0, 2).positions
    np.testing.assert_array_equal(positions[0], positions[1][::-1])
    with pytest.raises(InputError, match="another order"):
        Trajectory.from_configurations([one, other], times=[0.0, 1.0])
