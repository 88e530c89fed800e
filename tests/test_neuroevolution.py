"""Neuroevolution potentials: physics, and files made here whose energies calorine computed."""

import numpy as np
import pytest

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.interchange.nep import read_nep
from hyperatom.potentials.features import near_slots
from potential_suite import CASES, check_cutoff, check_physics

NUMBERS = {"O": 8, "Si": 14, "H": 1}
CELL = np.array([[4.2, 0.3, 0.0], [-0.4, 4.6, 0.5], [0.2, 0.1, 5.1]])
POSITIONS = np.array(
    [
        [0.1, 0.0, 0.2],
        [1.9, 0.3, 0.1],
        [0.2, 2.1, 0.4],
        [2.0, 2.3, 2.4],
        [0.3, 0.2, 2.6],
        [2.3, 2.2, 4.4],
        [3.5, 3.5, 1.8],
    ]
)


def write_nep(path, kind, symbols, zbl=None, cutoff=(6.0, 3.5), many_body=(4, 2, 1)):
    """A potential of random numbers, always the same ones for the same arguments."""
    generator = np.random.default_rng(17)
    n = len(symbols)
    lines = [f"{kind} {n} " + " ".join(symbols)]
    if zbl is not None:
        lines.append("zbl {:g} {:g}".format(*zbl))
    lines.append("cutoff " + " ".join(map(str, cutoff)) + " 100 50")
    lines += ["n_max 3 2", "basis_size 4 5", "l_max " + " ".join(map(str, many_body)), "ANN 6 0"]
    size = 4 + 3 * (many_body[0] + bool(many_body[1]) + bool(many_body[2]))
    networks = [6 * size + 12 + (kind == "nep5")] * (1 if kind[:4] == "nep3" else n)
    numbers = [
        *generator.normal(size=sum(networks) + 1) * 0.4,
        *generator.normal(size=n * n * (4 * 5 + 3 * 6)) * 0.5,
        *generator.uniform(0.3, 1.0, size),
    ]
    if zbl == (0, 0):
        for _ in range(n * (n + 1) // 2):
            numbers += [1.5, 2.6, *generator.uniform(0.2, 2.0, 8)]
    path.write_text("\n".join([*lines, *(f"{x:.7e}" for x in numbers)]) + "\n")
    return path


# Energy in eV and force on the first atom in eV/Å, by calorine 3.1 (cutoffs of species: 4.1).
CALORINE = {
    "nep3": (
        {"kind": "nep3", "symbols": ["Si"]},
        -0.28984725194477423,
        [-0.41237325711321693, -0.3906713197506132, 0.05760021328990892],
    ),
    "nep3, flexible repulsion": (
        {"kind": "nep3_zbl", "symbols": ["O", "Si"], "zbl": (0, 0)},
        24.51520829569664,
        [-63.71271154496919, -84.89854136801077, -19.950580187897405],
    ),
    "nep4": (
        {"kind": "nep4", "symbols": ["O", "Si", "H"], "many_body": (3, 2, 0)},
        3.584956855273252,
        [-0.1545982081768003, -0.38682988803667834, 0.21842359591411203],
    ),
    "nep4, universal repulsion": (
        {"kind": "nep4_zbl", "symbols": ["O", "Si"], "zbl": (1.5, 2.5)},
        8.098269154451193,
        [-8.740833933149045, -3.7367939458927024, -0.05449189525226801],
    ),
    "nep4, cutoffs of species": (
        {"kind": "nep4", "symbols": ["O", "Si"], "cutoff": (5.0, 4.0, 6.0, 3.5)},
        4.453958764484163,
        [0.12432485220870522, -0.021516696936830997, -0.1962437671159214],
    ),
    "nep5": (
        {"kind": "nep5", "symbols": ["O", "Si"]},
        0.9127866771212184,
        [0.13495736257330082, 0.08945764535641283, 0.049174804526611195],
    ),
}


@pytest.fixture(scope="module")
def potential(tmp_path_factory):
    path = tmp_path_factory.mktemp("nep") / "nep.txt"
    return read_nep(write_nep(path, "nep4_zbl", ["O", "Si"], (1.8, 2.6), (3.75, 3.1), (3, 2, 1)))


@pytest.mark.parametrize("case", CASES)
def test_physics(potential, case):
    check_physics(potential, case, spacing=2.4)


def test_it_ends_at_the_cutoff(potential):
    check_cutoff(potential)


@pytest.mark.parametrize("case", CALORINE)
def test_energies_and_forces_of_calorine(tmp_path, case):
    arguments, energy, force = CALORINE[case]
    potential = read_nep(write_nep(tmp_path / "nep.txt", **arguments))
    symbols = arguments["symbols"] * 2 + arguments["symbols"][:1]
    here = Configuration(
        np.array([NUMBERS[symbol] for symbol in symbols]),
        POSITIONS[: len(symbols)],
        CELL,
        np.ones(3, dtype=bool),
        np.ones(len(symbols)),
    )
    found = potential.evaluate(here)
    assert found.energy == pytest.approx(energy, abs=1e-11)
    np.testing.assert_allclose(found.forces[0], force, atol=1e-11)


@pytest.mark.slow
def test_near_neighbours_in_few_slots_or_in_all_give_the_same(potential, tmp_path, monkeypatch):
    arguments = CALORINE["nep3"][0]
    here = Configuration(
        np.full(3, 14), POSITIONS[:3], 0.7 * CELL, np.ones(3, dtype=bool), np.ones(3)
    )
    found = []
    # All slots because few are not worth it; few that suffice; few that do not.
    for margin, worth in ((1.0, 1000), (1.0, 1), (0.1, 1)):
        monkeypatch.setattr(near_slots, "MARGIN", margin)
        monkeypatch.setattr(near_slots, "WORTH", worth)
        potential = read_nep(write_nep(tmp_path / "nep.txt", **arguments))
        found.append(potential.evaluate(here))
    for one in found[1:]:
        assert one.energy == pytest.approx(found[0].energy, abs=1e-12)
        np.testing.assert_allclose(one.forces, found[0].forces, atol=1e-12)


def test_windows_line_ends_are_read(tmp_path):
    path = write_nep(tmp_path / "nep.txt", "nep3", ["Si"])
    digest = read_nep(path).digest()
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_nep(path).digest() == digest


def replaced(old, new):
    return lambda text: text.replace(old, new, 1)


DAMAGE = {
    "cut off": (lambda text: text[: len(text) // 2 // 15 * 15], "its header asks for"),
    "one number too many": (lambda text: text + "1.0\n", "its header asks for"),
    "charges": (replaced("nep3", "nep4_charge1"), "line 1: 'nep4_charge1'"),
    "dipole": (replaced("nep3", "nep4_dipole"), "line 1: 'nep4_dipole'"),
    "second version": (replaced("nep3", "nep"), "line 1: 'nep'"),
    "number of species": (replaced("nep3 1", "nep3 2"), "line 1"),
    "unknown symbol": (replaced("Si", "Xy"), "line 1"),
    "order of the header": (replaced("n_max", "n_min"), "line 3: expected 'n_max'"),
    "word for a number": (replaced("cutoff 6.0", "cutoff six"), "line 2: cutoff"),
    "two hidden layers": (replaced("ANN 6 0", "ANN 6 6"), "line 6: ANN"),
    "mixed degrees": (replaced("l_max 4 2 1", "l_max 4 2 1 1"), "line 5: l_max"),
    "damaged number": (lambda text: text[:-5] + "x\n", "is not one number"),
    "not a number": (lambda text: text[:-14] + "nan\n", "not a finite number"),
    "ranges of the repulsion": (
        lambda text: text.replace("nep3", "nep3_zbl").replace("cutoff", "zbl 1 2 0.65\ncutoff"),
        "line 2: zbl 1 2 0.65",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_file_is_refused(tmp_path, case):
    damage, words = DAMAGE[case]
    path = write_nep(tmp_path / "nep.txt", "nep3", ["Si"])
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match=words):
        read_nep(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.txt"):
        read_nep(tmp_path / "nothing.txt")
