"""Pair potentials and Vashishta's angles: known values, the shared physics, what is refused."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.interchange.lammps_vashishta import read_vashishta
from hyperatom.potentials.classical.buckingham import bks_silica, buckingham, ttam_silica
from hyperatom.potentials.classical.lennard_jones import lennard_jones
from hyperatom.potentials.classical.morse import morse
from hyperatom.potentials.classical.vashishta import vashishta
from hyperatom.potentials.classical.ziegler_biersack_littmark import ziegler_biersack_littmark
from hyperatom.potentials.combined_potentials import total
from hyperatom.potentials.ewald import COULOMB_CONSTANT
from potential_suite import check_cutoff, check_physics, make_configuration

PAIR = (18, 10)
EPSILON = np.array([[0.0104, 0.006], [0.006, 0.003]])
SIGMA = np.array([[2.4, 2.2], [2.2, 2.0]])


def silica_like(saturation=0.0, decay=1.0, reach=2.9):
    """Parameters of the size of silica's, with a cutoff that the tests can afford."""
    strength = np.zeros((2, 2, 2))
    strength[1, 0, 0], strength[0, 1, 1] = 20.0, 5.0
    # Angles between unlike neighbours too, which the published ones do not have.
    strength[0, 0, 1] = strength[0, 1, 0] = 2.0
    return vashishta(
        (14, 8),
        strength=[[0.82, 163.9], [163.9, 743.8]],
        exponent=[[11, 9], [9, 7]],
        charge_product=[[2.56, -1.28], [-1.28, 0.64]],
        screening=4.43,
        dipole=[[0.0, 44.2], [44.2, 22.1]],
        dipole_screening=2.5,
        dispersion=[[0.0, 10.0], [10.0, 0.0]],
        cutoff=5.0,
        angle_strength=strength,
        angle_cosine=-1.0 / 3.0,
        angle_saturation=saturation,
        angle_decay=decay,
        angle_reach=reach,
    )


POTENTIALS = {
    "Lennard-Jones": lennard_jones(PAIR, EPSILON, SIGMA, 5.0),
    "Lennard-Jones, force-shifted": lennard_jones(PAIR, EPSILON, SIGMA, 5.0, "force-shifted"),
    "Morse": morse(PAIR, 0.3, 1.4, 2.5, 5.0),
    "Buckingham": buckingham(PAIR, 900.0, 0.32, 30.0, 5.0),
    "ZBL": ziegler_biersack_littmark((14, 8), 2.0, 4.0),
    "Vashishta": silica_like(),
    "Vashishta, saturated": silica_like(saturation=5.0),
}
BROAD = ("Vashishta",)
"""Tested in most cells; the others, which share their code, in the most difficult one."""
MOST = ("triclinic", "thinner than the cutoff", "slab", "isolated")


@pytest.mark.parametrize(
    ("name", "case"),
    [
        (name, case)
        for name in POTENTIALS
        for case in (MOST if name in BROAD else ("thinner than the cutoff",))
    ],
)
def test_physics(name, case):
    check_physics(POTENTIALS[name], case, spacing=2.4)


@pytest.mark.parametrize("name", POTENTIALS)
def test_ends_smoothly_at_the_cutoff(name):
    check_cutoff(POTENTIALS[name])


def pair_of(species, distance):
    positions = np.array([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]])
    return Configuration(
        np.array(species), positions, np.zeros((3, 3)), np.zeros(3, bool), np.ones(2)
    )


def test_lennard_jones_has_its_well_where_it_should():
    for truncation, added in (("cut", 0.0), ("shifted", 4 * (2.4 / 5) ** 6 * (1 - (2.4 / 5) ** 6))):
        potential = lennard_jones((18,), 0.0104, 2.4, 5.0, truncation)
        bottom = potential.evaluate(pair_of((18, 18), 2.4 * 2 ** (1 / 6)))
        assert bottom.energy == pytest.approx(-0.0104 * (1.0 - added), rel=1e-12)
        np.testing.assert_allclose(bottom.forces, 0.0, atol=1e-13)
        crossing = potential.evaluate(pair_of((18, 18), 2.4))
        assert crossing.energy == pytest.approx(0.0104 * added, abs=1e-13)
        assert crossing.forces[1, 0] == pytest.approx(24 * 0.0104 / 2.4, rel=1e-3)
    # A plain cut has a step at the cutoff, which the others do not have.
    step = 4 * 0.0104 * (2.4 / 5) ** 6 * ((2.4 / 5) ** 6 - 1)
    stepped = lennard_jones((18,), 0.0104, 2.4, 5.0, "cut").evaluate(pair_of((18, 18), 4.9999))
    assert stepped.energy == pytest.approx(step, rel=1e-3)


def test_each_pair_has_its_own_cutoff():
    cutoff = np.array([[5.0, 4.0], [4.0, 3.0]])
    potential = lennard_jones(PAIR, EPSILON, SIGMA, cutoff, "force-shifted")
    for species, end in (((18, 18), 5.0), ((18, 10), 4.0), ((10, 10), 3.0)):
        assert potential.evaluate(pair_of(species, end + 1e-9)).energy == 0.0
        assert potential.evaluate(pair_of(species, end - 0.2)).energy < 0.0


def test_morse_oscillates_with_its_curvature():
    """At the minimum: depth D, and the force constant 2 D a^2."""
    potential = morse((18,), 0.3, 1.4, 2.5, 6.0, "cut")
    assert potential.evaluate(pair_of((18, 18), 2.5)).energy == pytest.approx(-0.3, rel=1e-12)
    pull = potential.evaluate(pair_of((18, 18), 2.5 + 1e-5)).forces[0, 0]
    assert pull / 1e-5 == pytest.approx(2 * 0.3 * 1.4**2, rel=1e-4)


def test_zbl_is_the_screened_repulsion_below_and_nothing_above():
    """The universal function, shifted below `inner`; force and its slope vanish at the end."""
    potential = ziegler_biersack_littmark((73,), 4.0, 4.8)

    def universal(r):
        x = r * 2 * 73**0.23 / 0.46850
        screening = (
            0.18175 * np.exp(-3.19980 * x)
            + 0.50986 * np.exp(-0.94229 * x)
            + 0.28022 * np.exp(-0.40290 * x)
            + 0.02817 * np.exp(-0.20162 * x)
        )
        return COULOMB_CONSTANT * 73**2 / r * screening

    energies = [potential.evaluate(pair_of((73, 73), r)).energy for r in (0.5, 1.5, 3.9)]
    steps = np.diff([universal(r) for r in (0.5, 1.5, 3.9)])
    np.testing.assert_allclose(np.diff(energies), steps, rtol=1e-10)
    # The constant: -E + w E'/2 - w^2 E''/12 at the outer distance, by finite differences.
    w, h = 0.8, 1e-4
    below, at, above = (universal(4.8 + s * h) for s in (-1, 0, 1))
    slope, curvature = (above - below) / (2 * h), (above - 2 * at + below) / h**2
    assert energies[2] - universal(3.9) == pytest.approx(
        -at + w * slope / 2 - w**2 * curvature / 12, rel=1e-5
    )
    forces = [potential.evaluate(pair_of((73, 73), 4.8 - d)).forces[0, 0] for d in (1e-3, 2e-3)]
    assert forces[1] / forces[0] == pytest.approx(4.0, rel=1e-2)


def test_zbl_adds_to_another_potential():
    here = make_configuration((14, 8), "triclinic", 2.4)
    parts = POTENTIALS["ZBL"], POTENTIALS["Vashishta"]
    both = total(parts).evaluate(here)
    assert both.energy == pytest.approx(sum(p.evaluate(here).energy for p in parts), rel=1e-12)


def test_moments_are_the_sum_over_angles():
    """A saturation too small to matter takes the other road: every angle one by one."""
    tiny = silica_like(saturation=1e-12)
    here = make_configuration((14, 8), "triclinic", 2.0)
    ours, theirs = POTENTIALS["Vashishta"].evaluate(here), tiny.evaluate(here)
    assert ours.energy == pytest.approx(theirs.energy, rel=1e-11)
    np.testing.assert_allclose(ours.forces, theirs.forces, atol=1e-9)


def test_angles_by_hand():
    """Three atoms with a right angle, and many more neighbours than are worked out one by one."""
    for saturation in (0.0, 5.0):
        with_angles = silica_like(saturation)
        without = silica_like(saturation, reach=0.5)
        positions = np.array([[0.0, 0.0, 0.0], [1.7, 0.0, 0.0], [0.0, 1.8, 0.0]])
        water = Configuration(
            np.array([14, 8, 8]), positions, np.zeros((3, 3)), np.zeros(3, bool), np.ones(3)
        )
        found = with_angles.evaluate(water).energy - without.evaluate(water).energy
        decay = {r: np.exp(1.0 / (r - 2.9)) for r in (1.7, 1.8, np.hypot(1.7, 1.8))}
        misfit = (0.0 + 1 / 3) ** 2
        expected = 5.0 * misfit / (1 + saturation * misfit) * decay[1.7] * decay[1.8]
        # At an oxygen: the angle between silicon and oxygen has no strength.
        assert found == pytest.approx(expected, rel=1e-10)
    dense = make_configuration((14, 8), "triclinic", 1.0)
    check = [silica_like(s, reach=2.9).evaluate(dense).energy for s in (0.0, 1e-13)]
    assert check[0] == pytest.approx(check[1], rel=1e-9)


def test_silica_parameters():
    """Minima of the Si-O pair as published, and the core where the bare energy has its abyss."""
    distances = np.array([0.9, 1.2, 1.4, 1.7, 2.0])
    bare, cured, other = (
        [potential.evaluate(pair_of((14, 8), r)).energy for r in distances]
        for potential in (bks_silica(8.0, core=False), bks_silica(8.0), ttam_silica(8.0))
    )
    assert bare[0] < cured[2] < cured[0]
    np.testing.assert_allclose(bare[2:], cured[2:], atol=0.05)
    for energies in (cured, other):
        assert np.argmin(energies[1:]) == 1
    # The amplitudes in eV that are in use for TTAM (e.g. 10722 for Si-O and 1757 for O-O).
    amplitude = ttam_silica().parameters["pair"]["amplitude"]
    assert amplitude[0, 1] == pytest.approx(10722.0, abs=1.0)
    assert amplitude[1, 1] == pytest.approx(1757.0, abs=0.2)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="not symmetric"):
        lennard_jones(PAIR, [[1.0, 2.0], [3.0, 4.0]], 2.0, 5.0)
    with pytest.raises(InputError, match="shape"):
        lennard_jones(PAIR, [1.0, 2.0, 3.0], 2.0, 5.0)
    with pytest.raises(InputError, match="no truncation called 'soft'"):
        lennard_jones(PAIR, 1.0, 2.0, 5.0, "soft")
    with pytest.raises(InputError, match="not positive"):
        morse(PAIR, 1.0, 2.0, 2.0, 0.0)
    with pytest.raises(InputError, match=r"between 4\.8 and 4\.0"):
        ziegler_biersack_littmark((73,), 4.8, 4.0)


ENTRY = "{} {} {} 100.0 7 {} {} 4.0 {} 3.0\n  0.0 6.0 {} 1.0 2.6 0.0 -0.33\n"


def vashishta_text():
    charge = {"Si": 1.6, "O": -0.8}
    text = "# UNITS: metal\n"
    for a in charge:
        for b in charge:
            for c in charge:
                angle = 5.0 if b == c != a else 0.0
                text += ENTRY.format(a, b, c, charge[a], charge[b], 20.0, angle)
    return text


def test_vashishta_files_windows_line_ends_included(tmp_path):
    here = make_configuration((14, 8), "triclinic", 2.0)
    energies = []
    for number, text in enumerate((vashishta_text(), vashishta_text().replace("\n", "\r\n"))):
        path = tmp_path / f"{number}.vashishta"
        path.write_bytes(text.encode())
        energies.append(read_vashishta(path, (14, 8)).evaluate(here).energy)
    assert energies[0] == energies[1]
    renamed = tmp_path / "renamed.vashishta"
    renamed.write_text(vashishta_text().replace("Si", "A").replace("O ", "B "))
    assert read_vashishta(renamed, (14, 8), ("A", "B")).evaluate(here).energy == energies[0]


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda text: text[:-20], "line 16: the last entry has"),
        (lambda text: text[: text.rindex("O O O")], "no entry for O O O"),
        (lambda text: text.replace("metal", "real"), "in real units"),
        (lambda text: text + text.split("metal\n")[1], "second entry for Si Si Si"),
        (lambda text: text.replace("100.0 7", "1OO.0 7", 1), "line 2: '1OO.0' stands where"),
        (lambda text: text.replace("100.0 7", "nan 7", 1), "H is nan"),
        (lambda text: text.replace("Si O O 100.0", "Si O O 101.0"), "other way round"),
        (lambda text: text.replace("O", "Ge"), "no entry for Si Si O"),
        (lambda text: "# UNITS: metal\n", "no entries"),
    ],
)
def test_damaged_vashishta_files(tmp_path, damage, complaint):
    path = tmp_path / "damaged.vashishta"
    path.write_text(damage(vashishta_text()))
    with pytest.raises(InputError, match=complaint) as caught:
        read_vashishta(path, (14, 8))
    assert "damaged.vashishta" in str(caught.value)
    with pytest.raises(InputError, match="does not exist"):
        read_vashishta(tmp_path / "absent.vashishta", (14, 8))


def test_melt_quench_example_runs(tmp_path, monkeypatch):
    """The example on one cell of cristobalite: its first peaks are those of silica."""
    example = Path(__file__).parents[1] / "examples" / "silica_melt_quench.py"
    monkeypatch.setattr(sys, "argv", [str(example), "--quick", "--output", str(tmp_path)])
    runpy.run_path(str(example), run_name="__main__")
    r, *columns = np.loadtxt(tmp_path / "silica_glass_rdf.csv", delimiter=",", skiprows=1).T
    names = (tmp_path / "silica_glass_rdf.csv").read_text().split("\n")[0].split(",")[1:]
    peak = r[np.argmax(columns[names.index("g Si-O")])]
    assert 1.5 < peak < 1.75
    assert (tmp_path / "silica_glass_rdf.png").stat().st_size > 10_000
