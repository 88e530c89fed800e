"""QUIP's Stillinger-Weber silicon against the numbers in QUIP's own tests, and damaged files."""

import json

import numpy as np
import pytest
from ase.data import atomic_numbers
from shared_data import conformance

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.interchange.potential_formats import read_potential
from hyperatom.interchange.quip_stillinger_weber import read_quip_stillinger_weber


def test_silicon():
    folder = conformance("gap_quip")
    expected = json.loads((folder / "SW_expected.json").read_text())
    numbers = np.full(len(expected["positions"]), atomic_numbers["Si"])
    here = Configuration(
        numbers, expected["positions"], np.diag(expected["cell"]), [True] * 3, np.ones(len(numbers))
    )
    found = read_potential(folder / "SW_pot.xml").evaluate(here)
    # QUIP prints positions and forces to 1e-8.
    assert found.energy == pytest.approx(expected["energy"], abs=1e-6)
    np.testing.assert_allclose(found.forces, np.array(expected["forces"]).reshape(-1, 3), atol=1e-6)


PAIR = (
    '<per_pair_data atnum_i="14" atnum_j="14" AA="7.0" BB="0.6" '
    'p="4" q="0" a="1.8" sigma="2.1" eps="2.2" />'
)
TRIPLET = (
    '<per_triplet_data atnum_c="14" atnum_j="14" atnum_k="14" '
    'lambda="21.0" gamma="1.2" eps="2.2" />'
)
TYPE = '<per_type_data type="1" atomic_num="14" />'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"<SW_params>{TYPE}{PAIR}{TRIPLET}", "not readable XML"),
        (f"<SW_params>{TYPE}{PAIR}</SW_params>", "lacks pairs or triplets"),
        (f"<SW_params>{PAIR}{TRIPLET}</SW_params>", "names no species"),
        (
            f"<SW_params>{TYPE}{PAIR.replace('7.0', 'seven')}{TRIPLET}</SW_params>",
            "'AA' of a per_pair_data is 'seven'",
        ),
        (
            f"<SW_params>{TYPE}{PAIR}{TRIPLET}{TRIPLET.replace('1.2', '1.3')}</SW_params>",
            "gamma of Si differs",
        ),
        (
            f"<SW_params>{TYPE}{PAIR.replace('14', '6', 1)}{TRIPLET}</SW_params>",
            "atomic number 6, which has no per_type_data",
        ),
    ],
)
def test_damaged_files(content, said, tmp_path):
    path = tmp_path / "sw.xml"
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        read_quip_stillinger_weber(path)
