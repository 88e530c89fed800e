"""`hyperatom build`: what it writes and says, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
from ase.io import read
from PIL import Image
from typer.testing import CliRunner

from hyperatom.campaign.assembly import starting_configuration
from hyperatom.campaign.settings import load_settings
from hyperatom.cli.main import app
from hyperatom.structures.catalogue import catalogue
from hyperatom.structures.crystals import CRYSTALS


def build(*arguments):
    return CliRunner().invoke(app, ["build", *map(str, arguments)])


def said(*arguments) -> dict[str, str]:
    """What is printed, line by line, by title."""
    result = build(*arguments)
    assert result.exit_code == 0, result.output
    return {line[:18].strip(): line[19:] for line in result.stdout.splitlines()}


def test_without_a_name_everything_is_listed():
    result = build()
    assert result.exit_code == 0
    for name in catalogue():
        assert f"\n{name} " in f"\n{result.stdout}"
    assert set(CRYSTALS) < set(catalogue())


def test_a_crystal_by_name_is_written_and_described(tmp_path):
    file = tmp_path / "start.cif"
    facts = said("Al13Ru4", "--repeat", 1, 2, 1, "-o", file)
    assert facts["atoms"] == "204"
    assert facts["composition"] == "Al 156 (76.5%), Ru 48 (23.5%)"
    assert facts["space group"] == "C2/m (12)"
    assert facts["shortest (Å)"].startswith("Al-Al 2.586, Al-Ru 2.402")
    assert facts["density"] == "0.06475 per Å³, 4.776 g/cm³"
    assert len(read(file)) == 204


def test_every_relative_starts_a_campaign():
    """The names of `hyperatom build` are those of `configuration: {crystal: ...}`."""
    for name in CRYSTALS:
        text = f"configuration: {{crystal: {name}}}\ntemperature: 300\n"
        settings = load_settings(text, "input.yaml")
        assert starting_configuration(settings, Path()).periodic.all()


def test_a_periodic_tiling_becomes_a_plane_of_atoms(tmp_path):
    file = tmp_path / "plane.extxyz"
    facts = said("penrose", "--order", "2/1", "--edge", 3, "--species", "Pd", "-o", file)
    assert facts["tiles"] == "94 thick rhombs, 58 thin rhombs"
    atoms = read(file)
    assert atoms.get_chemical_formula() == "Pd152"
    assert atoms.pbc.tolist() == [True, True, False]
    distances = atoms.get_all_distances(mic=True)
    shortest = distances[distances > 0].min()
    assert shortest == pytest.approx(3.0 * 2.0 * np.sin(np.pi / 10))  # the thin rhomb's diagonal
    assert (np.abs(distances - 3.0) < 1e-6).sum() == 2 * 304


def test_a_patch_and_a_chain(tmp_path):
    facts = said("dodecagonal", "--radius", 6, "-o", tmp_path / "patch.xyz")
    assert int(facts["atoms"]) == len(read(tmp_path / "patch.xyz"))
    facts = said("fibonacci", "--order", "8/5", "--edge", 2, "-o", tmp_path / "chain.extxyz")
    assert facts["intervals"] == "8 long, 5 short"
    chain = read(tmp_path / "chain.extxyz")
    assert chain.cell[0, 0] == pytest.approx(2 * (8 * (1 + np.sqrt(5)) / 2 + 5))
    assert chain.pbc.tolist() == [True, False, False]


def test_the_icosahedral_approximant():
    facts = said("katz-gratias", "--order", "1/1", "--lattice-constant", 6.36)
    assert facts["atoms"] == "122"
    assert facts["cell (Å, °)"].startswith("12.3797 x 12.3797 x 12.3797")
    assert facts["classes"] == "67 n, 49 n', 6 bc"


def test_an_approximant_with_an_order_for_each_axis():
    """Orthorhombic: a = 2 c A (p tau + q) along each axis."""
    facts = said("katz-gratias", "--order", "1/1,1/1,2/1", "--lattice-constant", 6.42)
    assert facts["cell (Å, °)"].startswith("12.4965 x 12.4965 x 20.2198; 90.00, 90.00, 90.00")
    assert float(facts["density"].split()[0]) == pytest.approx(0.0653, rel=0.02)


def test_overlapping_sites_are_refused_or_thinned():
    """An offset at which sites of one flip are both inside: the message names the cures."""
    offset = ("katz-gratias", "--lattice-constant", 6.36, "--offset", "0.1,0.2,0.3")
    refused = build(*offset)
    assert refused.exit_code == 2
    assert "Sites overlap" in refused.output
    kept, thinned = (int(said(*offset, "--overlaps", how)["atoms"]) for how in ("keep", "thin"))
    assert 115 <= thinned < kept


@pytest.mark.parametrize(
    "arguments",
    [
        ("penrose", "--radius", 5),
        ("penrose", "--order", "1/1"),
        ("ammann-beenker", "--order", "3/2"),
        ("dodecagonal", "--radius", 4),
        ("fibonacci",),
        ("katz-gratias", "--order", "1/1"),
        ("gamma-brass",),
    ],
)
def test_pictures_are_drawn(arguments, tmp_path):
    file = tmp_path / "picture.png"
    assert f"Drew {file}" in build(*arguments, "--plot", file).stdout
    with Image.open(file) as picture:
        colours = picture.convert("RGB").getcolors(2**24)
    assert len(colours) > 50


def test_pictures_may_be_vectors(tmp_path):
    """One polygon per tile: as many paths in the file as there are tiles, and more."""
    file = tmp_path / "picture.svg"
    facts = said("penrose", "--radius", 5, "--plot", file)
    tiles = sum(int(words.split()[0]) for words in facts["tiles"].split(","))
    assert file.read_text().count("<path") >= tiles


@pytest.mark.parametrize(
    ("arguments", "sentences"),
    [
        (["penrosse"], ["nothing called 'penrosse'", "Did you mean 'penrose'?"]),
        (["al13ru4"], ["Did you mean 'Al13Ru4'?"]),
        (["xyzzy42"], ["'hyperatom build' lists what there is."]),
        (
            ["penrose", "--lattice-constant", "6.4"],
            ["penrose has no --lattice-constant", "--radius"],
        ),
        (["dodecagonal", "--order", "1/1"], ["too far from sqrt 3", "7/4"]),
        (["penrose", "--lattice-constant", "6"], ["penrose has no --lattice-constant"]),
        (["silicon", "--radius", "3"], ["silicon has no --radius", "--repeat"]),
        (["silicon", "--repeat", "0", "1", "1"], ["counted from 1"]),
        (["penrose", "--order", "4/2"], ["not in lowest terms", "2/1"]),
        (["katz-gratias", "--order", "1/1,2/1"], ["names 2 orders", "1/1,1/1,2/1"]),
        (["katz-gratias", "--order", "1/1,4/2,1/1"], ["not in lowest terms", "2/1"]),
        (["penrose", "--order", "two"], ["'two' is not an order p/q"]),
        (["penrose", "--order", "2/1", "--radius", "5"], ["has no radius"]),
        (["penrose", "--radius", "0"], ["out of range"]),
        (["penrose", "--offset", "1/2,0,0,0,0"], ["add up to 1/2"]),
        (["penrose", "--offset", "a,b"], ["not a list of numbers"]),
        (["penrose", "--species", "Qq"], ["'Qq' is no chemical symbol"]),
        (["penrose", "--edge", "-1"], ["out of range"]),
        (["fibonacci", "--radius", "0"], ["out of range"]),
        (["katz-gratias", "--lattice-constant", "12.9"], ["another convention"]),
        (["katz-gratias", "--overlaps", "merge"], ["Choose refuse, thin or keep."]),
        (["silicon", "-o", "silicon.nonsense"], ["ASE cannot write silicon.nonsense"]),
        (["silicon", "-o", "no/such/folder.xyz"], ["cannot be written"]),
        (["silicon", "--plot", "picture.nonsense"], ["cannot be written as .nonsense"]),
        (["penrose", "--order", "1/1", "-o", "plane.vasp"], ["not periodic in three directions"]),
    ],
)
def test_problems_are_said_in_plain_words(arguments, sentences, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = build(*arguments)
    assert result.exit_code == 2
    for sentence in sentences:
        assert sentence in result.output
    assert "Traceback" not in result.output
