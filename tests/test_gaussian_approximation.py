"""Gaussian approximation potentials: physics, and files made here whose energies QUIP computed."""

import numpy as np
import pytest

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.interchange.gap import read_gap
from hyperatom.potentials.readouts.sparse_gaussian_process import dot_product_kernel
from potential_suite import CASES, check_cutoff, check_physics

CELL = np.array([[4.2, 0.3, 0.0], [-0.4, 4.6, 0.5], [0.2, 0.1, 5.1]])
POSITIONS = np.array(
    [[0.1, 0.0, 0.2], [1.9, 0.3, 0.1], [0.2, 2.1, 0.4], [2.0, 2.3, 2.4], [0.3, 0.2, 2.6]]
)
SOAP = "soap cutoff=3.6 cutoff_transition_width=0.8 n_max=3 l_max=2 atom_sigma=0.5"
TERMS = {
    "distance_2b cutoff=3.9 cutoff_transition_width=1.0 Z1=14 Z2=14": 1,
    "distance_2b cutoff=3.4 Z1=8 Z2=14": 1,
    "angle_3b cutoff=3.0 cutoff_transition_width=0.7 Z=14 Z1=8 Z2=8": 3,
    "angle_3b cutoff=3.1 cutoff_transition_width=0.7 Z=8 Z1=14 Z2=8": 3,
    SOAP + " n_species=2 Z=8 species_Z={14 8 }": 64,
    SOAP + " n_species=2 Z=14 species_Z={14 8 }": 64,
}


def write_gap(folder, terms=TERMS):
    """A GAP of random numbers, always the same ones for the same terms."""
    generator = np.random.default_rng(23)
    lines = [
        "<GAP_1>",
        '<Potential label="GAP_1" init_args="IP GAP label=GAP_1"/>',
        '<GAP_params label="GAP_1" gap_version="1769700636">',
        '<GAP_data do_core="F">',
        *(f'<e0 Z="{z}" value="{-0.1 * z}"/>' for z in (8, 14)),
        "</GAP_data>",
        f'<gpSparse label="GAP_1" n_coordinate="{len(terms)}" fitted="T">',
    ]
    for number, (words, size) in enumerate(terms.items(), start=1):
        points = generator.uniform(1.0, 4.0, (4, size))
        if size > 3:
            points[:, -1] = 0.0
            points /= np.linalg.norm(points, axis=1)[:, None]
        name = f"gap.xml.sparseX.GAP_1{number}"
        (folder / name).write_text("".join(f"{x:.20e}\n" for x in points.ravel()))
        kind = 'covariance_type="2" zeta="3.0"' if size > 3 else 'covariance_type="1"'
        lines += [
            (
                f'<gpCoordinates label="GAP_1{number}" dimensions="{size}" signal_variance="0.7"'
                f' signal_mean="0.0" sparsified="T" n_permutations="1" {kind} n_sparseX="4"'
                f' sparseX_filename="{name}">'
            ),
            "" if size > 3 else "<theta>" + " 1.1 0.9 1.3"[: 4 * size] + "</theta>",
            f"<descriptor>{words}</descriptor>",
            '<permutation i="1">' + " ".join(str(i + 1) for i in range(size)) + "</permutation>",
            *(
                f'<sparseX i="{i + 1}" alpha="{x!r}" sparseCutoff="{0.7 + 0.1 * i}"/>'
                for i, x in enumerate(generator.normal(size=4).tolist())
            ),
            "</gpCoordinates>",
        ]
    lines += ["</gpSparse>", "</GAP_params>", "</GAP_1>"]
    (folder / "gap.xml").write_text("\n".join(lines) + "\n")
    return folder / "gap.xml"


def example():
    numbers = np.array([14, 8, 8, 14, 8])
    return Configuration(numbers, POSITIONS, CELL, np.ones(3, dtype=bool), np.ones(5))


@pytest.fixture(scope="module")
def potential(tmp_path_factory):
    return read_gap(write_gap(tmp_path_factory.mktemp("gap")))


@pytest.mark.parametrize("case", CASES)
def test_physics(potential, case):
    check_physics(potential, case, spacing=2.3)


def test_it_ends_at_the_cutoff(potential):
    check_cutoff(potential)


def test_energy_and_forces_of_quip(potential):
    """By quippy 0.10.3, from the same file."""
    found = potential.evaluate(example())
    assert found.energy == pytest.approx(QUIP_ENERGY, abs=1e-9)
    np.testing.assert_allclose(found.forces[:2], QUIP_FORCES, atol=1e-9)


QUIP_ENERGY = -3.7922611189881685
QUIP_FORCES = [
    [1.1280970935452768, -0.3330511261265087, 1.4214306015970644],
    [0.07023796869887687, -0.7213060169931398, -1.3635141434979416],
]


def test_quip_itself(tmp_path):
    """Where quippy is installed, the same file read by both."""
    quippy = pytest.importorskip("quippy.potential")
    from hyperatom.interchange.ase_atoms import to_ase

    path = write_gap(tmp_path)
    atoms = to_ase(example())
    atoms.calc = quippy.Potential("", param_filename=str(path))
    found = read_gap(path).evaluate(example())
    assert found.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(found.forces, atoms.get_forces(), atol=1e-8)
    np.testing.assert_allclose(found.stress, atoms.get_stress(), atol=1e-9)


def test_kernel_with_a_broken_exponent_is_a_power():
    x, points = np.array([[0.6, 0.8], [-1.0, 0.0]]), np.array([[1.0, 0.0]])
    found = np.asarray(dot_product_kernel(x, points, 2.5))
    np.testing.assert_allclose(found, [[0.6**2.5], [0.0]], rtol=1e-6)


def test_windows_line_ends_are_read(tmp_path, potential):
    path = write_gap(tmp_path)
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert read_gap(path).digest() == potential.digest()


def replaced(old, new):
    return lambda text: text.replace(old, new, 1)


DAMAGE = {
    "cut off": (lambda text: text[: len(text) // 2], "gap.xml, line [0-9]+: not XML"),
    "fewer terms": (replaced('n_coordinate="6"', 'n_coordinate="7"'), "announces 7"),
    "core": (replaced('do_core="F"', 'do_core="T"'), "core potential"),
    "sum": (replaced("IP GAP", "Sum init_args_pot1={IP Glue}"), "more than a GAP"),
    "descriptor": (replaced("angle_3b", "distance_Nb"), "distance_Nb"),
    "kernel": (replaced('covariance_type="1"', 'covariance_type="4"'), "covariance_type 4"),
    "keyword": (replaced("n_max=3", "n_max=3 radial_decay=-0.5"), "radial_decay=-0.5"),
    "no cutoff": (replaced("cutoff=3.9 ", ""), "has no cutoff"),
    "size of SOAP": (replaced("n_max=3", "n_max=4"), "expected"),
    "weight": (replaced('alpha="', 'alpha="x'), "alpha of GAP_11"),
    "no zero of energy": (replaced('<e0 Z="8"', '<e0 Z="9"'), "e0 of O"),
    "number of points": (replaced('n_sparseX="4"', 'n_sparseX="5"'), "announces 5"),
    "theta": (replaced(" 1.1<", " 1.1 1.2<"), "2 theta"),
    "checksum": (
        replaced('GAP_11">', 'GAP_11" sparseX_md5sum="00">'),
        "its checksum differs",
    ),
    "constant": (replaced("<descriptor>soap", "<descriptor>soap covariance_sigma0=0.1"), "sigma0"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_file_is_refused(tmp_path, case):
    damage, words = DAMAGE[case]
    path = write_gap(tmp_path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match=words):
        read_gap(path)


def test_damaged_sparse_points_are_refused(tmp_path):
    path = write_gap(tmp_path)
    file = tmp_path / "gap.xml.sparseX.GAP_15"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:100]))
    with pytest.raises(InputError, match="GAP_15 ends at line 100"):
        read_gap(path)
    file.write_text("\n".join(["one", *lines[1:]]))
    with pytest.raises(InputError, match="GAP_15: line 1 is"):
        read_gap(path)
    file.unlink()
    with pytest.raises(InputError, match="GAP_15, the sparse points"):
        read_gap(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.xml"):
        read_gap(tmp_path / "nothing.xml")
