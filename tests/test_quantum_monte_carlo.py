"""Noisy engines: errors that are true, numbers that repeat themselves, files that keep orbitals.

They live in an environment of their own (`make engines-qmc`, or $HYPERATOM_QMC_PYTHON).
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.references.ase_calculator import AseReference
from hyperatom.references.engine_catalogue import engine_presets, find_engine
from hyperatom.references.label_store import LabelStore
from hyperatom.references.quantum_monte_carlo import standard_error

ROOT = Path(__file__).parents[1]
HARTREE = 27.211386
HYDROGEN = Configuration(
    [1, 1], [[0, 0, 0], [0, 0, 0.74]], np.zeros((3, 3)), [False] * 3, [1.008] * 2
)
FEW = {
    "pyqmc": {"walkers": 50, "blocks": 32, "iterations": 3, "steps": 5},
    "jqmc": {"walkers": 64, "measurements": 64, "iterations": 4, "optimisation": 16},
}


def python_with(engine):
    """The interpreter of the environment of these engines; skips where it is not there."""
    python = os.environ.get("HYPERATOM_QMC_PYTHON", str(ROOT / ".venv-qmc" / "bin" / "python"))
    if not Path(python).exists():
        pytest.skip(f"{engine} is not installed: make engines-qmc")
    if lacking := engine_presets()[engine].missing(python):
        pytest.skip(f"{python} lacks {lacking}: make engines-qmc")
    return python


@pytest.mark.slow
@pytest.mark.parametrize("engine", FEW)
def test_it_knows_its_error_and_repeats_itself(engine, tmp_path):
    """H2 at 0.74 Å: exactly -1.1745 hartree; variational energies lie above it."""
    few = {**FEW[engine], "basis": "ccpvdz", "ecp": None}
    chosen = find_engine(engine, few, {}).prepared(HYDROGEN)
    with AseReference.from_preset(chosen, python=python_with(engine)) as reference:
        evaluation = reference.evaluate(HYDROGEN)
        again = reference.evaluate(HYDROGEN)
        assert engine in reference.identity
    assert 0.0 < evaluation.energy_error < 0.05 * HARTREE
    assert abs(evaluation.energy + 1.17 * HARTREE) < 5.0 * evaluation.energy_error + 0.5
    assert again.energy == evaluation.energy
    with LabelStore(tmp_path / "labels.db") as store:
        label = store.add(HYDROGEN, evaluation, reference.identity)
        assert label.evaluation.energy_error == evaluation.energy_error


@pytest.mark.slow
def test_without_a_jastrow_factor_the_energy_is_that_of_hartree_fock():
    """-1.128709 hartree in cc-pVDZ (PySCF): an exact check of file, orbitals and error."""
    keywords = {"basis": "ccpvdz", "ecp": None, "jastrow": False, **FEW["jqmc"]}
    chosen = find_engine("jqmc", {**keywords, "measurements": 256}, {}).prepared(HYDROGEN)
    with AseReference.from_preset(chosen, python=python_with("jqmc")) as reference:
        evaluation = reference.evaluate(HYDROGEN)
    assert evaluation.energy_error < 0.02 * HARTREE
    assert abs(evaluation.energy + 1.128709 * HARTREE) < 4.0 * evaluation.energy_error


ORBITALS = """
from pathlib import Path
import numpy as np
from ase import Atoms
from jqmc.molecular_orbital import compute_MOs
from jqmc.trexio_wrapper import read_trexio_file
from hyperatom.references.quantum_monte_carlo import hartree_fock
from hyperatom.references.trexio_file import write_trexio
water = Atoms("H2O", [[0, 0, 0.1], [0.76, 0.1, -0.5], [-0.75, 0.2, -0.45]])
field = hartree_fock(water, "ccecpccpvtz", "ccecp")
write_trexio(field, Path("water.h5"))
_, _, orbitals, _, _, potential = read_trexio_file("water.h5", True)
places = 1.5 * np.random.default_rng(0).normal(size=(7, 3))
expected = field.mol.eval_gto("GTOval_sph", places) @ field.mo_coeff[:, field.mo_occ > 0]
print(abs(np.asarray(compute_MOs(orbitals, places)).T - expected).max(), potential.num_ecps)
"""


@pytest.mark.slow
def test_orbitals_arrive_as_they_left(tmp_path):
    """s, p, d and f orbitals of water by a TREXIO file, at points, against PySCF's own."""
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    done = subprocess.run(
        [python_with("jqmc"), "-c", ORBITALS],
        cwd=tmp_path,
        env={**os.environ, **root, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    difference, potentials = done.stdout.split()[-2:]
    assert float(difference) < 1e-12
    assert int(potentials) == 12


@pytest.mark.parametrize("engine", FEW)
def test_crystals_and_odd_electrons_are_refused(engine):
    atom = Configuration([1], [[0, 0, 0]], np.zeros((3, 3)), [False] * 3, [1.008])
    with pytest.raises(InputError, match="the number of electrons is odd"):
        engine_presets()[engine].prepared(atom)
    crystal = Configuration([2], [[0, 0, 0]], np.eye(3), [True] * 3, [4.0])
    with pytest.raises(InputError, match="describes molecules"):
        engine_presets()[engine].prepared(crystal)


def test_blocking_knows_how_correlated_a_series_is():
    """An autoregressive series of correlation a: the error is sqrt[(1 + a) / (1 - a)] larger."""
    rng, a, n = np.random.default_rng(0), 0.8, 4096
    errors = []
    for _ in range(20):
        series = rng.normal(size=n)
        for i in range(1, n):
            series[i] = a * series[i - 1] + np.sqrt(1 - a**2) * series[i]
        errors.append(standard_error(series))
    expected = np.sqrt((1 + a) / (1 - a) / n)
    # The largest of several noisy estimates leans to the high side.
    assert expected < np.mean(errors) < 1.3 * expected
