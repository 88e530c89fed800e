"""A trajectory of a deliberately biased potential, weighed; and the commands analyse and audit."""

import json
import math
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from typer.testing import CliRunner

from hyperatom.analysis.audit import audit
from hyperatom.analysis.catalogue import OBSERVABLES, choose
from hyperatom.analysis.radial_distribution import RadialDistribution
from hyperatom.cli.main import app
from hyperatom.errors import InputError
from liquid import KB, trajectory

T, K, BOND = 300.0, 2.0, 1.6


def molecules(
    length: float, n: int, seed: int, stiffness: float = K
) -> tuple[np.ndarray, np.ndarray]:
    """Ten pairs of atoms, bonds d drawn exactly from k/2 (d - length)^2: positions, bonds."""
    rng = np.random.default_rng(seed)
    bonds = length + rng.normal(0.0, math.sqrt(KB * T / stiffness), (n, 10))
    positions = np.zeros((n, 20, 3))
    positions[:, :, 0] = np.repeat(8.0 * np.arange(10), 2)
    positions[:, 1::2, 0] += bonds
    return positions, bonds


def energy(bonds: np.ndarray, length: float) -> np.ndarray:
    return K / 2.0 * np.sum((bonds - length) ** 2, axis=1)


def test_a_biased_guide_is_mended_where_it_overlaps() -> None:
    positions, bonds = molecules(BOND + 0.03, 3_000, 1)
    samples = trajectory([14, 8] * 10, positions, np.zeros((3, 3)), periodic=False,
                         energies=energy(bonds, BOND + 0.03))  # fmt: skip
    truth = energy(bonds, BOND) - 7.0
    found = audit(samples, samples.energies, truth, T)
    assert found.reweighted is not None
    # Kish's fraction of a shifted Gaussian: exp(-beta k shift^2) for each bond.
    exact = math.exp(-10 * K * 0.03**2 / (KB * T))
    assert found.fraction == pytest.approx(exact, rel=0.15)
    observable = RadialDistribution(2.5, 50)
    plain, mended = (observable.compute(one) for one in (found.plain, found.reweighted))
    drawn, _ = molecules(BOND, 3_000, 2)
    reference = observable.compute(
        trajectory([14, 8] * 10, drawn, np.zeros((3, 3)), periodic=False)
    )
    seen = reference.g["Si-O"] > 0.05 * reference.g["Si-O"].max()

    def pulls(one: object) -> np.ndarray:
        error = np.hypot(one.error["Si-O"], reference.error["Si-O"])
        return np.abs((one.g["Si-O"] - reference.g["Si-O"]) / error)[seen]

    assert pulls(plain).max() > 4.0
    assert pulls(mended).max() < 3.5
    assert mended.kind == "reweighted"
    # Free energies: both wells are alike, so that the difference is the offset.
    free = found.numbers["free energy F_D - F_M"]
    assert abs(free.value + 7.0 / 20.0) < 4.0 * free.error
    assert "overlap" in found.verdict
    lines = found.compare(plain.observation, mended.observation)
    assert any(line.startswith("Si-O mean distance") for line in lines)
    assert any("differs most at r" in line for line in lines)


def test_no_overlap_is_said() -> None:
    positions, bonds = molecules(BOND + 0.3, 2000, 3)
    samples = trajectory([14, 8] * 10, positions, np.zeros((3, 3)), periodic=False)
    found = audit(samples, energy(bonds, BOND + 0.3), energy(bonds, BOND), T)
    assert found.reweighted is None
    assert found.verdict.startswith("No overlap")
    assert "free energy F_D - F_M" not in found.numbers
    with pytest.raises(InputError, match="Only 0 frames"):
        audit(samples, np.full(2000, np.nan), energy(bonds, BOND), T)


def lennard_jones_run(path: Path, n_frames: int = 40) -> None:
    from ase.build import bulk
    from ase.calculators.lj import LennardJones

    atoms = bulk("Ar", "fcc", a=5.4, cubic=True)
    rng = np.random.default_rng(4)
    frames = []
    for number in range(n_frames):
        frame = Atoms("Ar4", positions=atoms.positions + rng.normal(0.0, 0.1, (4, 3)),
                      cell=atoms.cell, pbc=True)  # fmt: skip
        frame.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=5.0)
        frame.get_potential_energy()
        frame.info["time"] = 10.0 * number
        frames.append(frame)
    ase.io.write(path, frames)


def test_analyse_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cold.extxyz", "hot.traj"):
        lennard_jones_run(tmp_path / name)
    (tmp_path / "measured.csv").write_text("r,g\n3.0,0.1\n3.8,2.9\n")
    result = CliRunner().invoke(
        app,
        ["analyse", "cold.extxyz", "hot.traj", "-w", "rdf,thermodynamics,heat-capacity,msd",
         "-T", "90", "--set", "rdf.r_max=5", "--set", "rdf.bins=50", "-o", "out",
         "--experiment", "rdf=measured.csv"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "potential energy" in result.output
    assert "eV/atom" in result.output
    content = json.loads((tmp_path / "out" / "rdf-1.json").read_text())
    assert len(content["curves"]["total"]["x"]) == 50
    assert content["x"]["unit"] == "angstrom"
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert "measured" in page
    assert "cold.extxyz" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert (tmp_path / "out" / "msd.svg").read_text().startswith("<svg")
    usual = CliRunner().invoke(app, ["analyse", "cold.extxyz", "-o", "usual"])
    assert usual.exit_code == 0, usual.output
    assert "Left out: thermodynamics" in usual.output
    picture = CliRunner().invoke(
        app, ["analyse", "cold.extxyz", "-w", "coordination", "-o", "png", "--figures", "png"]
    )
    assert picture.exit_code == 0, picture.output
    assert (tmp_path / "png" / "coordination.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.traj"], "There is no trajectory"),
        (["cold.extxyz", "-w", "rdff"], "Did you mean 'rdf'?"),
        (["cold.extxyz", "--set", "rdf.rmax=3"], "Did you mean 'r_max'?"),
        (["cold.extxyz", "--set", "rmax"], "does not set a parameter"),
        (["cold.extxyz", "-w", "msd", "--kind", "exact"], "follow no clock"),
        (["cold.extxyz", "-w", "heat-capacity"], "needs the temperature"),
        (["cold.extxyz", "--skip", "400"], "Choose fewer frames to skip"),
        (["cold.extxyz", "--kind", "perfect"], "Unknown kind"),
        (["cold.extxyz", "--experiment", "x.csv"], "does not say what was measured"),
    ],
)
def test_what_goes_wrong_is_said_plainly(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lennard_jones_run(tmp_path / "cold.extxyz", 5)
    result = CliRunner().invoke(app, ["analyse", *arguments])
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output


def test_the_list_of_observables() -> None:
    result = CliRunner().invoke(app, ["analyse"])
    assert result.exit_code == 0
    for name in OBSERVABLES:
        assert name in result.output
    assert "rdf" in choose([])


def test_audit_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lennard_jones_run(tmp_path / "run.extxyz", 30)
    common = ["audit", "-t", "run.extxyz", "--reference", "ase:ase.calculators.lj.LennardJones",
              "-T", "300"]  # fmt: skip
    close = CliRunner().invoke(
        app, [*common, "--keywords", '{"sigma": 3.4, "epsilon": 0.0103, "rc": 5.0}']
    )
    assert close.exit_code == 0, close.output
    assert "Good overlap" in close.output
    assert "standard errors" in close.output
    assert (tmp_path / "audit" / "audit.html").exists()
    far = CliRunner().invoke(
        app, [*common, "--keywords", '{"sigma": 4.4, "epsilon": 0.1, "rc": 5.0}']
    )
    assert far.exit_code == 1, far.output
    assert "No overlap" in far.output
    moved = CliRunner().invoke(app, [*common, "-w", "msd"])
    assert moved.exit_code == 2
    assert "cannot be reweighted" in moved.output
