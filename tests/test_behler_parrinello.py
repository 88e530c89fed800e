"""Behler-Parrinello potentials: physics, charges, and files of n2p2 and aenet written and read."""

import re

import numpy as np
import pytest

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.interchange.aenet import read_aenet
from hyperatom.interchange.aenet_writing import write_aenet
from hyperatom.interchange.n2p2 import read_n2p2
from hyperatom.interchange.n2p2_writing import write_n2p2
from hyperatom.interchange.potential_formats import read_potential, recognise
from hyperatom.potentials.behler_parrinello import (
    ElementNetwork,
    JoinedFeatures,
    behler_parrinello,
)
from hyperatom.potentials.charge_equilibration import (
    COULOMB,
    ChargeEquilibration,
    Screening,
    charge_equilibrated,
)
from hyperatom.potentials.features.chebyshev_features import ChebyshevFeatures
from hyperatom.potentials.features.cutoff_functions import CutoffFunction
from hyperatom.potentials.features.symmetry_functions import (
    ANY,
    AngularFunction,
    RadialFunction,
    SymmetryFunctions,
)
from hyperatom.potentials.readouts.networks import ACTIVATIONS, random_network
from potential_suite import CASES, check_cutoff, check_physics, make_configuration

SPECIES = (1, 8)
CUTOFF = 3.6
FUNCTIONS = (
    RadialFunction(8, 0.8, 1.1, CUTOFF),
    RadialFunction(1, 0.4, 0.0, CUTOFF),
    RadialFunction(ANY, 0.2, 0.5, CUTOFF),
    AngularFunction((1, 8), 0.1, 1.0, 2.0, CUTOFF),
    AngularFunction((8, 8), 0.05, -1.0, 1.0, CUTOFF, narrow=False),
    AngularFunction((8, 8), 0.05, 1.0, 4.0, CUTOFF, narrow=False),
)
COLUMNS = ((1, 0, 3, 5), (0, 1, 2, 3, 4, 5))


def random_parameters(n_inputs, activations, seed=0):
    rng = np.random.default_rng(seed)
    return [
        {
            "shift": rng.uniform(0.0, 0.5, n),
            "stretch": rng.uniform(0.5, 1.5, n),
            "layers": random_network([n + extra, *[4] * (len(activations) - 1), 1], rng),
            "scale": np.float64(0.7 + 0.1 * place),
            "offset": np.float64(-2.0 - place),
        }
        for place, (n, extra) in enumerate(n_inputs)
    ]


def symmetry_function_potential(activations=("tanh", "softplus", "linear"), seed=0):
    features = SymmetryFunctions(SPECIES, FUNCTIONS, CutoffFunction("polynomial 2", 0.2))
    networks = [ElementNetwork(columns, activations) for columns in COLUMNS]
    parameters = random_parameters([(4, 0), (6, 0)], activations, seed)
    return behler_parrinello(features, networks, parameters, "random")


def chebyshev_potential():
    parts = [
        ChebyshevFeatures(SPECIES, weights, CUTOFF, 3, 3.2, 3) for weights in ((-1, 1), (1, -1))
    ]
    activations = ("tanh", "twisted tanh", "linear")
    networks = [ElementNetwork(tuple(range(start, start + 16)), activations) for start in (0, 16)]
    parameters = random_parameters([(16, 0), (16, 0)], activations)
    return behler_parrinello(JoinedFeatures(parts), networks, parameters, "random")


def charged_potential(screening):
    features = SymmetryFunctions(SPECIES, FUNCTIONS[:4], CutoffFunction("cosine"))
    networks = [ElementNetwork((0, 1), ("tanh", "linear")) for _ in SPECIES]
    parameters = {
        "energies": random_parameters([(2, 1), (2, 1)], ("tanh", "linear")),
        "electronegativities": random_parameters([(2, 0), (2, 0)], ("tanh", "linear"), 1),
        "hardness": np.array([6.0, 9.0]),
        "width": np.array([0.4, 0.7]),
    }
    equilibration = ChargeEquilibration(features, networks, networks, screening)
    return charge_equilibrated(equilibration, parameters, "random")


SYMMETRY = symmetry_function_potential()
CHEBYSHEV = chebyshev_potential()
SCREENED = charged_potential(Screening(1.0, 2.5))


@pytest.mark.parametrize("case", CASES)
def test_physics_of_symmetry_functions(case):
    check_physics(SYMMETRY, case, spacing=1.7)


@pytest.mark.parametrize("case", ["thinner than the cutoff"])
def test_physics_of_chebyshev_features(case):
    check_physics(CHEBYSHEV, case, spacing=1.7)


@pytest.mark.parametrize("case", ["isolated", "one isolated atom"])
def test_physics_of_charges(case):
    check_physics(SCREENED, case, spacing=1.7)


@pytest.mark.parametrize("potential", [SYMMETRY, CHEBYSHEV], ids=["symmetry", "chebyshev"])
def test_the_cutoff_is_smooth(potential):
    check_cutoff(potential)


def test_charges_are_neutral():
    here = make_configuration(SPECIES, "isolated", 1.7)
    bare = charged_potential(None)
    charges = bare.model.long_range.charges_of(bare, here)
    assert charges.sum() == pytest.approx(0.0, abs=1e-12)
    assert np.abs(charges).max() > 0.01


def test_two_atoms_share_the_charge_that_pays_most():
    """Without networks' neighbours: Q = (chi_2 - chi_1) / (J_1 + J_2 + ... - 2 gamma)."""
    from scipy.special import erf

    bare = charged_potential(None)
    distance = 5.0
    here = Configuration(
        [1, 8], [[0.0, 0.0, 0.0], [distance, 0.0, 0.0]], np.zeros((3, 3)), [False] * 3, np.ones(2)
    )
    first, second = bare.model.long_range.charges_of(bare, here)
    own = bare.parameters["electronegativities"]

    def output(parameters, extra=()):
        values = np.concatenate([-parameters["shift"] * parameters["stretch"], extra])
        (w1, b1), (w2, b2) = parameters["layers"]
        value = (np.tanh(values @ w1 + b1) @ w2 + b2)[0]
        return parameters["offset"] + parameters["scale"] * value

    chi = [output(parameters) for parameters in own]
    width, hardness = bare.parameters["width"], bare.parameters["hardness"]
    gamma = COULOMB * erf(distance / np.sqrt(2 * np.sum(width**2))) / distance
    stiffness = np.sum(hardness + COULOMB / (np.sqrt(np.pi) * width)) - 2.0 * gamma
    assert first == pytest.approx((chi[1] - chi[0]) / stiffness, rel=1e-10)
    assert second == pytest.approx(-first, rel=1e-10)
    short = [
        output(parameters, [charge])
        for parameters, charge in zip(bare.parameters["energies"], (first, second), strict=True)
    ]
    itself = 0.5 * COULOMB / np.sqrt(np.pi) * np.sum(np.array([first, second]) ** 2 / width)
    expected = sum(short) + gamma * first * second + itself
    assert bare.evaluate(here).energy == pytest.approx(expected, rel=1e-10)
    # Beyond the screening the pair is whole, and no charge acts on itself.
    assert SCREENED.evaluate(here).energy == pytest.approx(expected - itself, rel=1e-10)


def test_charges_in_a_periodic_cell_are_refused():
    with pytest.raises(InputError, match="isolated clusters"):
        SCREENED.evaluate(make_configuration(SPECIES, "slab", 1.7))


def test_a_network_that_does_not_fit_is_named():
    features = SYMMETRY.model.atomic_energy.features
    networks = [ElementNetwork((0, 1, 2), ("tanh", "linear"))] * 2
    parameters = random_parameters([(4, 0), (4, 0)], ("tanh", "linear"))
    with pytest.raises(InputError, match="4 inputs for 3"):
        behler_parrinello(features, networks, parameters, "wrong")
    with pytest.raises(InputError, match="no activation function called sine"):
        ElementNetwork((0,), ("sine",))
    with pytest.raises(InputError, match="no single number"):
        random_network([3, 2], np.random.default_rng(0))


def test_activations_at_one():
    expected = {
        "linear": 1.0,
        "tanh": 0.7615941559557649,
        "scaled tanh": 1.7159 * np.tanh(2.0 / 3.0),
        "twisted tanh": 1.7159 * np.tanh(2.0 / 3.0) + 0.1,
        "logistic": 0.7310585786300049,
        "reverse logistic": 0.2689414213699951,
        "softplus": 1.3132616875182228,
        "rectifier": 1.0,
        "gaussian": 0.6065306597126334,
        "cosine": 0.5403023058681398,
        "exponential": 0.36787944117144233,
        "harmonic": 1.0,
    }
    assert set(expected) == set(ACTIVATIONS)
    for name, value in expected.items():
        assert float(ACTIVATIONS[name](np.float32(1.0))) == pytest.approx(value, rel=1e-6)
    assert float(ACTIVATIONS["rectifier"](np.float32(-1.0))) == 0.0
    assert float(ACTIVATIONS["harmonic"](np.float32(-2.0))) == 4.0


HERE = make_configuration(SPECIES, "triclinic", 1.7)


@pytest.mark.parametrize("units", ["eV-Angstrom", "Hartree-Bohr"])
def test_n2p2_files_hold_the_potential(tmp_path, units):
    write_n2p2(SYMMETRY, tmp_path, units)
    again = read_n2p2(tmp_path, units)
    found, expected = again.evaluate(HERE), SYMMETRY.evaluate(HERE)
    assert found.energy == pytest.approx(expected.energy, rel=1e-12)
    np.testing.assert_allclose(found.forces, expected.forces, atol=1e-11)
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert read_n2p2(tmp_path, units).digest() == again.digest()
    assert recognise(tmp_path).name == "n2p2"
    assert read_potential(tmp_path, units=units).digest() == again.digest()


def test_an_output_that_is_not_linear_is_scaled_by_conv_energy(tmp_path):
    potential = symmetry_function_potential(("logistic", "gaussian"))
    with pytest.raises(InputError, match="different scales"):
        write_n2p2(potential, tmp_path)
    for own in potential.parameters:
        own["scale"] = np.float64(0.3)
    write_n2p2(potential, tmp_path)
    assert "conv_energy" in (tmp_path / "input.nn").read_text()
    again = read_n2p2(tmp_path, "eV-Angstrom")
    assert [float(own["scale"]) for own in again.parameters] == pytest.approx([0.3, 0.3])


def test_aenet_files_hold_the_potential(tmp_path):
    write_aenet(CHEBYSHEV, tmp_path)
    again = read_aenet(sorted(tmp_path.iterdir()))
    found, expected = again.evaluate(HERE), CHEBYSHEV.evaluate(HERE)
    assert found.energy == pytest.approx(expected.energy, rel=1e-10)
    np.testing.assert_allclose(found.forces, expected.forces, atol=1e-9)
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert read_aenet(sorted(tmp_path.iterdir())).digest() == again.digest()
    assert recognise(tmp_path).name == "aenet"


def test_what_a_format_cannot_hold_is_refused(tmp_path):
    with pytest.raises(InputError, match="not one of networks of symmetry functions"):
        write_n2p2(CHEBYSHEV, tmp_path)
    with pytest.raises(InputError, match="not one of networks of symmetry functions"):
        write_n2p2(SCREENED, tmp_path)
    with pytest.raises(InputError, match="Chebyshev features"):
        write_aenet(SYMMETRY, tmp_path)
    with pytest.raises(InputError, match="no activation function 'twisted tanh'"):
        write_n2p2(symmetry_function_potential(("twisted tanh", "linear")), tmp_path)


DAMAGES = {
    # file, pattern, replacement, what the message says
    "unknown keyword": ("input.nn", r"^cutoff_type", "use_noise\ncutoff_type", "'use_noise'"),
    "unknown cutoff": ("input.nn", r"^cutoff_type 6", "cutoff_type 9", "type 9"),
    "polynomial function": (
        "input.nn",
        r"^symfunction_short H   2 .*$",
        "symfunction_short H 21 H O 0.0 3.0 0.0 90.0 p2",
        "type 21",
    ),
    "foreign species": (
        "input.nn",
        r"^symfunction_short H   2 H ",
        "symfunction_short H 2 He",
        "not among the elements",
    ),
    "no species": ("input.nn", r"^symfunction_short H   2 H ", "symfunction_short H 2 Q", "'Q'"),
    "cut in a line": ("input.nn", r"(symfunction_short H   2 \w+ +\S+).*", r"\1", "5 words"),
    "no cutoff": ("input.nn", r"^cutoff_type.*$", "", "no keyword 'cutoff_type'"),
    "other shape": (
        "input.nn",
        r"^global_nodes_short 4 4",
        "global_nodes_short 4 5",
        "4-4-5-1",
    ),
    "strange activation": ("input.nn", r"short t p l", "short t q l", "'q'"),
    "another generation": ("input.nn", r"^cutoff_type", "nnp_type 3G\ncutoff_type", "'3G'"),
    "twice": ("input.nn", r"^(cutoff_type.*)$", r"\1\n\1", "twice"),
    "scaling cut off": ("scaling.data", r"(?s)\n[^\n]*\n\Z", "\n", "9 lines for 10"),
    "scaling of others": ("scaling.data", r"^ +1 +2 ", " 1 3 ", "function 3 of element 1"),
    "scaling by nothing": ("scaling.data", r"\S+$", "0.0", "without a spread"),
    "weights cut off": ("weights.008.data", r"(?s)\n[^\n]*\n\Z", "\n", "weights and biases"),
    "not a number": ("weights.008.data", r"\S+ a", "zero a", "a number is expected"),
    "not finite": ("weights.008.data", r"\S+ a", "nan a", "not finite"),
    "out of order": ("weights.008.data", r" a +1 +0 ", " b 1 0 ", "weight of layer 1"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_n2p2_folder_is_refused(tmp_path, damage):
    name, pattern, replacement, message = DAMAGES[damage]
    write_n2p2(SYMMETRY, tmp_path)
    text = (tmp_path / name).read_text()
    damaged, count = re.subn(pattern, replacement, text, count=1, flags=re.MULTILINE)
    assert count == 1
    (tmp_path / name).write_text(damaged)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        read_n2p2(tmp_path, "eV-Angstrom")
    assert name in str(caught.value)
    assert "line" in str(caught.value) or "has" in str(caught.value)


def test_a_missing_file_and_unknown_units_are_refused(tmp_path):
    write_n2p2(SYMMETRY, tmp_path)
    with pytest.raises(InputError, match="no units"):
        read_n2p2(tmp_path, "kcal")
    (tmp_path / "weights.001.data").unlink()
    with pytest.raises(InputError, match=r"weights\.001\.data cannot be read"):
        read_n2p2(tmp_path, "eV-Angstrom")


def test_a_damaged_aenet_file_is_refused(tmp_path):
    write_aenet(CHEBYSHEV, tmp_path)
    files = sorted(tmp_path.iterdir())
    text = files[0].read_text()
    lines = text.splitlines()

    def refused(content, message):
        files[0].write_text(content)
        with pytest.raises(InputError, match=message) as caught:
            read_aenet(files)
        assert "H.nn.ascii" in str(caught.value)

    refused("\n".join(lines[: len(lines) // 2]), "too early|are expected|not all numbers")
    refused(text.replace("Chebyshev\n", "Wavelets\n"), "basis 'Wavelets'")
    refused(text.replace("E+00", "E+00x", 1), "not all numbers")
    refused("\n".join(["4", "16", "80", *lines[3:]]), "80 weights")
    refused(text + "1.0\n", "more than a network file")
    refused((tmp_path / "O.nn.ascii").read_text(), "both for O")
    files[0].write_text(text)
    with pytest.raises(InputError, match="lacks a species of the other networks"):
        read_aenet([files[0], _renamed(files[1], tmp_path)])
    with pytest.raises(InputError, match="cannot be read"):
        read_aenet([tmp_path / "Si.nn"])


def _renamed(file, folder):
    # A network for silicon in surroundings of hydrogen and oxygen alone.
    other = folder / "Si.nn.ascii"
    other.write_text(file.read_text().replace("\nO\n", "\nSi\n"))
    return other
