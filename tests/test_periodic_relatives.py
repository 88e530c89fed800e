"""Crystals related to quasicrystals: atoms, space groups, distances, and other people's files."""

from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pytest
from ase.data import chemical_symbols
from ase.io import iread

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.geometry.neighbours import minimum_distance, pairs
from hyperatom.interchange.ase_atoms import from_ase
from hyperatom.structures.crystals import build_crystal
from hyperatom.structures.periodic_relatives import PERIODIC_RELATIVES
from hyperatom.structures.space_group import space_group

EXPECTED = {
    "Al13Ru4": ({"Al": 78, "Ru": 24}, "C2/m (12)", 2.402),
    "Al13Fe4": ({"Al": 78, "Fe": 24}, "C2/m (12)", 2.373),
    "Al12W": ({"Al": 24, "W": 2}, "Im-3 (204)", 2.726),
    "Bergman-MgZnAl": ({"Al": 2, "Zn": 96, "Mg": 64}, "Im-3 (204)", 2.442),
    "Tsai-YbCd": ({"Cd": 144, "Yb": 24}, "Imm2 (44)", 2.788),
    "beta-manganese": ({"Mn": 20}, "P4_132 (213)", 2.365),
    "gamma-brass": ({"Cu": 20, "Zn": 32}, "I-43m (217)", 2.547),
    "MgCu2": ({"Mg": 8, "Cu": 16}, "Fd-3m (227)", 7.034 / np.sqrt(8.0)),
    "MgZn2": ({"Mg": 4, "Zn": 8}, "P6_3/mmc (194)", 2.566),
}

DATA = Path(__file__).parents[2] / "shared" / "data" / "qc_approximants.xyz"

SAME = {
    "Al12W_cI26": "Al12W",
    "betaMn_cP20": "beta-manganese",
    "gammaBrass_Cu5Zn8_cI52": "gamma-brass",
    "Bergman_Mg32(Al,Zn)49_cI162_1-1approximant": "Bergman-MgZnAl",
}


def composition(configuration: Configuration) -> dict[str, int]:
    return {
        chemical_symbols[z]: int((configuration.numbers == z).sum()) for z in configuration.species
    }


def shortest(configuration: Configuration) -> float:
    return minimum_distance(configuration.positions, configuration.cell, configuration.periodic)


def shells(configuration: Configuration) -> dict[tuple[int, int], np.ndarray]:
    """Distances below 5 Å between each two species (ascending), in order."""
    first, second, lattice = pairs(
        configuration.positions, configuration.cell, configuration.periodic, 5.0
    )
    vectors = configuration.positions[second] + lattice @ configuration.cell
    distances = np.linalg.norm(vectors - configuration.positions[first], axis=1)
    kinds = np.sort([configuration.numbers[first], configuration.numbers[second]], axis=0)
    found = {}
    for a, b in combinations_with_replacement(configuration.species, 2):
        found[a, b] = np.sort(distances[(kinds[0] == a) & (kinds[1] == b)])
    return found


@pytest.mark.parametrize("name", PERIODIC_RELATIVES)
def test_composition_and_space_group(name):
    crystal = build_crystal(name, (1, 1, 1))
    atoms, group, _ = EXPECTED[name]
    assert composition(crystal) == atoms
    assert space_group(crystal) == group


@pytest.mark.parametrize("name", PERIODIC_RELATIVES)
def test_shortest_distances(name):
    assert shortest(build_crystal(name, (1, 1, 1))) == pytest.approx(EXPECTED[name][2], abs=0.005)


def test_distances_of_al13fe4_are_the_published_ones():
    """Grin et al. 1994: Fe-Al 2.374, Al-Al 2.533, Fe-Fe 2.902 Å."""
    found = shells(build_crystal("Al13Fe4", (1, 1, 1)))
    assert found[13, 26][0] == pytest.approx(2.374, abs=0.01)
    assert found[13, 13][0] == pytest.approx(2.533, abs=0.01)
    assert found[26, 26][0] == pytest.approx(2.902, abs=0.02)


def test_volume_of_al13ru4():
    crystal = build_crystal("Al13Ru4", (1, 1, 1))
    assert crystal.volume / crystal.n_atoms == pytest.approx(15.44, abs=0.01)
    assert shells(crystal)[13, 44][0] == pytest.approx(2.40, abs=0.05)


@pytest.mark.parametrize(
    ("name", "clusters"),
    [
        (
            "Bergman-MgZnAl",
            [
                ("Al", 1, 0.0),
                ("Zn", 12, 2.48),
                ("Mg", 20, 4.50),
                ("Zn", 12, 4.93),
                ("Mg Zn", 60, 6.78),
            ],
        ),
        ("Tsai-YbCd", [("Cd", 4, 1.84), ("Cd", 20, 4.17), ("Yb", 12, 5.55), ("Cd", 30, 6.44)]),
    ],
)
def test_shells_of_clusters(name, clusters):
    """Species, number and mean radius (Å) of each shell about the centre; gaps between shells."""
    crystal = build_crystal(name, (2, 2, 2))
    centre = crystal.cell.sum(axis=0) / 2.0
    radii = np.linalg.norm(crystal.positions - centre, axis=1)
    order = np.argsort(radii)
    start = 0
    for symbols, count, radius in clusters:
        shell = order[start : start + count]
        assert {chemical_symbols[z] for z in crystal.numbers[shell]} == set(symbols.split())
        assert radii[shell].mean() == pytest.approx(radius, abs=0.15)
        start += count
        assert radii[order[start]] - radii[shell].max() > 0.15
    # The directions of each shell have no preferred axis, as those of an icosahedral one.
    for shell in np.split(order[:start], np.cumsum([count for _, count, _ in clusters])[:-1]):
        if len(shell) >= 12:
            axes = crystal.positions[shell] - centre
            axes /= np.linalg.norm(axes, axis=1)[:, None]
            np.testing.assert_allclose(axes.T @ axes / len(axes), np.eye(3) / 3.0, atol=0.04)


@pytest.mark.parametrize("other", SAME)
def test_crystals_agree_with_a_public_collection(other):
    """Same distances, counted for each pair of species, as in an independent file of the phase."""
    if not DATA.is_file():
        pytest.skip("the collection of approximants is not here")
    theirs = next(from_ase(a) for a in iread(DATA) if a.info["name"] == other)
    mine = build_crystal(SAME[other], (1, 1, 1))
    expected, found = shells(theirs), shells(mine)
    assert found.keys() == expected.keys()
    for pair, distances in expected.items():
        repeated = np.repeat(distances, mine.n_atoms // theirs.n_atoms)
        np.testing.assert_allclose(found[pair], repeated, atol=2e-3)


def test_space_group_of_nothing_periodic():
    crystal = build_crystal("silicon", (1, 1, 1))
    assert space_group(crystal) == "Fd-3m (227)"
    molecule = Configuration(
        crystal.numbers, crystal.positions, crystal.cell, [True, True, False], crystal.masses
    )
    with pytest.raises(InputError, match="has no space group"):
        space_group(molecule)
    twice = Configuration([14, 14], np.zeros((2, 3)), np.eye(3) * 5, [True] * 3, [28.0, 28.0])
    with pytest.raises(InputError, match="finds no space group"):
        space_group(twice)
