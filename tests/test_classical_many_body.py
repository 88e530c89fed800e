"""Stillinger-Weber, Tersoff and embedded atoms: derivatives, symmetries, limits and bad files."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hyperatom.errors import InputError
from hyperatom.interchange.ase_atoms import from_ase
from hyperatom.interchange.lammps import read_lammps
from hyperatom.interchange.lammps_eam import read_eam, read_eam_alloy
from hyperatom.interchange.lammps_stillinger_weber import read_stillinger_weber
from hyperatom.interchange.lammps_tersoff import read_tersoff
from hyperatom.potentials.classical.stillinger_weber import silicon
from hyperatom.potentials.tabulated import hermite_coefficients, interpolate
from potential_suite import check_cutoff, check_physics, make_configuration

STILLINGER_WEBER = """# UNITS: metal
A A A 2.0 2.1 1.7 20.0 1.20 -0.333 7.0 0.60 4.0 0.0 0.0
B B B 1.5 1.9 1.6 18.0 1.10 -0.300 6.5 0.70 4.0 1.0 0.0
A B B 1.8 2.0 1.65 19.0 1.15 -0.320
      6.8 0.65 4.0 0.0 0.0
B A A 1.8 2.0 1.65 17.0 1.05 -0.310 6.8 0.65 4.0 0.0 0.0
A A B 1.9 0 0 16 0 -0.3 0 0 0 0 0
A B A 1.9 0 0 16 0 -0.3 0 0 0 0 0
B A B 1.7 0 0 15 0 -0.4 0 0 0 0 0
B B A 1.7 0 0 15 0 -0.4 0 0 0 0 0
"""


def tersoff_text():
    """Two species, m = 3 and m = 1, every angular term at work."""
    lines = ["# UNITS: metal"]
    for a in "AB":
        for b in "AB":
            for c in "AB":
                k = 4 * "AB".index(a) + 2 * "AB".index(b) + "AB".index(c)
                m, own = 3 if a == "A" else 1, 3 if a != b == c else k
                numbers = (m, 1 + 0.02 * k, 0.4 + 0.1 * k, 2 + 0.1 * k, 1.2 + 0.05 * k)
                numbers += (-0.4 + 0.02 * k, 0.78 + 0.01 * k, 0.3 + 0.02 * k, 1.4, 90 + k)
                numbers += (2.7 + 0.05 * (b == c), 0.2 + 0.01 * own, 2.5, 900 + 5 * own)
                lines.append(" ".join([a, b, c, *map(str, numbers)]))
    return "\n".join(lines) + "\n"


DISTANCES = 0.05 * np.arange(81)


def setfl_text(finnis_sinclair=False):
    """Two species with smooth tables that end at 4 Å."""

    def block(values):
        return "\n".join(f"{value:.12e}" for value in values) + "\n"

    window = np.maximum(1.0 - DISTANCES / 3.9, 0.0) ** 3
    density = 0.1 * np.arange(401)
    text = "one\ntwo\nthree\n2 A B\n401 0.1 81 0.05 4.0\n"
    for k in range(2):
        text += f"{k + 1} 10.0 4.0 fcc\n" + block(-(1.0 + 0.2 * k) * np.sqrt(density + 0.01))
        for other in range(2 if finnis_sinclair else 1):
            text += block((2.0 + k + 0.5 * other) * window)
    for strength in (3.0, 4.0, 5.0):
        text += block(strength * window * (DISTANCES - 0.5))
    return text


FUNCFL = "comment\n8 16.0 4.0 fcc\n401 0.1 81 0.05 4.0\n" + "\n".join(
    " ".join(f"{x:.10e}" for x in values)
    for values in (
        -np.sqrt(0.1 * np.arange(401) + 0.01),
        2.0 * np.maximum(1.0 - DISTANCES / 3.9, 0.0) ** 2,
        2.0 * np.maximum(1.0 - DISTANCES / 3.9, 0.0) ** 3,
    )
)


def written(folder, text, name="potential"):
    path = folder / name
    path.write_bytes(text.encode())
    return path


KINDS = {
    "Stillinger-Weber": (read_stillinger_weber, STILLINGER_WEBER),
    "Tersoff": (read_tersoff, tersoff_text()),
    "eam/alloy": (read_eam_alloy, setfl_text()),
    "eam/fs": (
        lambda path, species, names: read_eam_alloy(path, species, names, True),
        setfl_text(True),
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def potential(request, tmp_path_factory):
    read, text = KINDS[request.param]
    path = written(tmp_path_factory.mktemp("potentials"), text)
    return read(path, (14, 6), ["A", "B"])


@pytest.mark.parametrize("case", ["triclinic", "thinner than the cutoff", "one atom"])
def test_physics(potential, case):
    # Tables are only once differentiable at their knots: finite differences see it.
    tolerance = 1e-4 if "embedded" in potential.name else 1e-6
    check_physics(potential, case, spacing=2.3, tolerance=tolerance)


def test_cutoff(potential):
    check_cutoff(potential)


def test_silicon_of_stillinger_and_weber():
    """Four bonds of energy e per two atoms, no angle strained, neither force nor stress."""
    from ase.build import bulk

    found = silicon().evaluate(from_ase(bulk("Si", "diamond", a=5.431, cubic=True)))
    assert found.energy / 8 == pytest.approx(-2.0 * 2.1683, abs=1e-6)
    np.testing.assert_allclose(found.forces, 0.0, atol=1e-10)
    np.testing.assert_allclose(found.stress, 0.0, atol=2e-4)


def test_overlapping_atoms_have_no_energy():
    here = make_configuration((14,), "isolated", 2.4)
    positions = here.positions.copy()
    positions[1] = positions[0]
    with pytest.raises(InputError, match="closest atoms are 0 Å apart"):
        silicon().evaluate(here.with_positions(positions))


def test_a_hermite_table_is_exact_for_a_cubic_between_inner_knots():
    knots = np.arange(12.0)
    cubic = np.polynomial.Polynomial([1.0, -0.5, 0.3, -0.02])
    coefficients = hermite_coefficients(cubic(knots))[None]
    places = np.linspace(2.0, 9.0, 50)
    found = interpolate(coefficients, np.zeros(50, dtype=int), places)
    np.testing.assert_allclose(found, cubic(places), rtol=1e-5)
    beyond = interpolate(coefficients, np.zeros(1, dtype=int), np.array([15.0]))
    np.testing.assert_allclose(beyond, cubic(11.0), rtol=1e-5)


def test_beyond_the_greatest_density_the_embedding_is_a_straight_line(tmp_path):
    """Ever denser, the second difference of the energy in the density vanishes."""
    text = setfl_text().replace("401 0.1 81", "401 0.001 81")
    potential = read_eam_alloy(written(tmp_path, text), (14, 6), ["A", "B"])
    table = potential.parameters
    slope = table["embedding"][0, -1] @ np.arange(4) / 0.001
    here = make_configuration((14,), "isolated", 1.6)
    start = potential.evaluate(here).energy
    twice = dict(table, density=2.0 * table["density"])
    energy, _, _ = potential.model.evaluate(twice, here)
    zero, _, _ = potential.model.evaluate(dict(table, density=0.0 * table["density"]), here)
    n = here.n_atoms
    level = table["embedding"][0, -1].sum() - slope * 0.4
    pairs = zero - n * table["embedding"][0, 0, 0]
    assert start - pairs - n * level == pytest.approx(0.5 * (energy - pairs - n * level), rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_windows_line_ends_change_nothing(kind, tmp_path):
    read, text = KINDS[kind]
    unix = read(written(tmp_path, text), (14, 6), ["A", "B"])
    windows = read(written(tmp_path, text.replace("\n", "\r\n")), (14, 6), ["A", "B"])
    assert unix.digest() == windows.digest()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_off_anywhere_is_refused(kind, tmp_path):
    read, text = KINDS[kind]
    for share in (0.0, 0.3, 0.9):
        path = written(tmp_path, text[: int(share * len(text))])
        with pytest.raises(InputError, match=str(path)):
            read(path, (14, 6), ["A", "B"])


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_elements_units_and_words_are_named(kind, tmp_path):
    read, text = KINDS[kind]
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "absent", (14, 6), ["A", "B"])
    with pytest.raises(InputError, match="C"):
        read(written(tmp_path, text), (14, 6), ["A", "C"])
    with pytest.raises(InputError, match="real units"):
        read(written(tmp_path, "# UNITS: real\n" + text), (14, 6), ["A", "B"])
    lines = text.splitlines()
    lines[-1] = lines[-1].replace("0", "zero", 1)
    with pytest.raises(InputError, match=f"line {len(lines)}.*zero"):
        read(written(tmp_path, "\n".join(lines)), (14, 6), ["A", "B"])


@pytest.mark.parametrize(
    ("before", "after", "match"),
    [
        ("B A A 1.8", "B A A 1.9", "epsilon of the pair"),
        ("A B A 1.9 0 0 16", "A B A 1.9 0 0 17", "lambda of the angle"),
        ("B B A", "B A A", "second entry"),
    ],
)
def test_energies_that_depend_on_the_order_of_atoms_are_refused(before, after, match, tmp_path):
    path = written(tmp_path, STILLINGER_WEBER.replace(before, after))
    with pytest.raises(InputError, match=match):
        read_stillinger_weber(path, (14, 6), ["A", "B"])


def test_impossible_tersoff_entries_are_refused(tmp_path):
    path = written(tmp_path, tersoff_text().replace("A A A 3", "A A A 2"))
    with pytest.raises(InputError, match=r"line 2: m is 2"):
        read_tersoff(path, (14, 6), ["A", "B"])
    path = written(tmp_path, tersoff_text().replace(" 915", " 916", 1))
    with pytest.raises(InputError, match="A of the repulsion is 916"):
        read_tersoff(path, (14, 6), ["A", "B"])


def test_tables_that_end_before_the_cutoff_are_refused(tmp_path):
    path = written(tmp_path, setfl_text().replace("81 0.05 4.0", "81 0.05 4.5"))
    with pytest.raises(InputError, match=r"line 5: the tables end at 4.05 Å, before the cutoff"):
        read_eam_alloy(path, (14, 6), ["A", "B"])


def test_funcfl(tmp_path):
    path = written(tmp_path, FUNCFL)
    check_cutoff(read_eam([path], (8,)))
    with pytest.raises(InputError, match="ends where the rest of rho"):
        read_eam([written(tmp_path, FUNCFL[:-100])], (8,))
    with pytest.raises(InputError, match="line 7: there are values behind the end"):
        read_eam([written(tmp_path, FUNCFL + "\n" + FUNCFL.splitlines()[-1])], (8,))


@pytest.mark.parametrize(
    ("commands", "match"),
    [
        (["pair_style reax/c NULL"], "reax/c is not understood"),
        (["pair_style sw", "pair_coeff * * potential NULL B"], "NULL is not available"),
        (["pair_style sw", "pair_coeff * * potential A"], "names A for 2 species"),
        (["pair_style sw"], "no pair_coeff"),
        (["pair_coeff * * potential A B"], "before pair_style"),
        (["pair_style lj/cut 5.0", "pair_coeff 1 3 0.1 2.0"], "names no atom types"),
        (["pair_style lj/cut 5.0", "pair_coeff 1 1 0.1 2.0"], "no pair_coeff .* types 1 and 2"),
        (["pair_style lj/cut 5.0", "pair_modify tail yes"], "tail yes is not understood"),
        (["pair_style lj/cut", "pair_coeff * * 0.1 2.0"], "1 numbers should be"),
        (["units real"], "units is not understood"),
        ([], "no pair_style"),
    ],
)
def test_commands_that_are_not_understood_are_named(commands, match, tmp_path):
    written(tmp_path, STILLINGER_WEBER)
    with pytest.raises(InputError, match=match):
        read_lammps(commands, tmp_path, ("Si", "C"))


def test_overlaid_styles_add_up(tmp_path):
    written(tmp_path, STILLINGER_WEBER)
    bonds = ["pair_coeff * * potential A B"]
    repulsion = ["pair_coeff 1 1 14 14", "pair_coeff 2 2 6 6", "pair_coeff 1 2 14 6"]
    both = read_lammps(
        [
            "pair_style hybrid/overlay sw/omp zbl 1.0 2.0  # two at once",
            "pair_coeff * * sw potential A B",
            *(line.replace("14", "zbl 14", 1) for line in repulsion[:1]),
            "pair_coeff 2 2 zbl 6 6",
            "pair_coeff 1 2 zbl 14 6",
        ],
        tmp_path,
        ("Si", "C"),
    )
    parts = [
        read_lammps(["pair_style sw", *bonds], tmp_path, ("Si", "C")),
        read_lammps(["pair_style zbl 1.0 2.0", *repulsion], tmp_path, ("Si", "C")),
    ]
    here = make_configuration((14, 6), "isolated", 1.8)
    energies = [part.evaluate(here).energy for part in parts]
    assert min(map(abs, energies)) > 1e-3
    assert both.evaluate(here).energy == pytest.approx(sum(energies), abs=1e-10)


def test_the_example_runs(tmp_path):
    script = Path(__file__).resolve().parents[1] / "examples" / "silicon_melt.py"
    done = subprocess.run(
        [sys.executable, script, "--quick", "--output", tmp_path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "First peak at" in done.stdout
    assert (tmp_path / "silicon_liquid_rdf.csv").is_file()
