"""Guarded engines: the numbers are the engine's own, and nothing that it does hurts the run."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hyperatom.configuration import Configuration
from hyperatom.errors import HyperatomError, InputError, ReferenceFailure
from hyperatom.interchange.ase_atoms import from_ase, to_ase
from hyperatom.references import engine_process
from hyperatom.references.ase_calculator import AseReference
from hyperatom.references.engine_process import EngineProcess, EngineTimeOut
from hyperatom.references.engines.tblite import GFN1_XTB
from misbehaving_engines import BY_MASS

TESTS = Path(__file__).parent


@pytest.fixture(autouse=True)
def _engines_can_be_imported(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)


def atoms_at(x, periodic=(False, False, False)):
    """Two atoms; x > 1 is where the engines of `misbehaving_engines` misbehave."""
    return Configuration(
        numbers=[1, 8],
        positions=[[x, 0.1, 1 / 3], [0.2, -0.7, 0.9]],
        cell=np.eye(3) * 5.0,
        periodic=periodic,
        masses=[1.0, 16.0],
    )


GOOD, BAD = atoms_at(0.5), atoms_at(1.5)


def engine(trick="none", retry=None, **settings):
    settings.setdefault("time_out", 20.0)
    return AseReference("misbehaving_engines.Engine", {"trick": trick}, retry, **settings)


def assert_answers(reference, configuration=GOOD):
    evaluation = reference.evaluate(configuration)
    assert evaluation.energy == 0.5 * np.sum(configuration.positions**2)
    np.testing.assert_array_equal(evaluation.forces, -configuration.positions)
    return evaluation


# The embedded engine


@pytest.fixture(scope="module")
def quartz():
    from ase.spacegroup import crystal

    atoms = crystal(
        ["Si", "O"],
        [(0.4697, 0, 2 / 3), (0.4135, 0.2669, 0.7858)],
        spacegroup=154,
        cellpar=[4.916, 4.916, 5.4054, 90, 90, 120],
    )
    atoms.rattle(0.05, seed=1)
    return from_ase(atoms)


@pytest.fixture(scope="module")
def xtb():
    with AseReference.from_preset(GFN1_XTB) as reference:
        yield reference


def test_tblite_equals_tblite_called_directly(xtb, quartz):
    from tblite.ase import TBLite

    atoms = to_ase(quartz)
    atoms.calc = TBLite(**GFN1_XTB.keywords)
    evaluation = xtb.evaluate(quartz)
    assert evaluation.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-10)
    np.testing.assert_allclose(evaluation.forces, atoms.get_forces(), rtol=0, atol=1e-10)
    np.testing.assert_allclose(evaluation.stress, atoms.get_stress(), rtol=0, atol=1e-10)


def test_energy_is_a_function_of_the_positions_alone(xtb, quartz):
    """The same bits whatever came before, and in another process."""
    moved = quartz.with_positions(quartz.positions + 0.02 * np.sin(np.arange(27)).reshape(9, 3))
    first, other = xtb.evaluate(quartz), xtb.evaluate(moved)
    again, other_again = xtb.evaluate(quartz), None
    with AseReference.from_preset(GFN1_XTB) as fresh:
        assert fresh.identity == xtb.identity
        other_again = fresh.evaluate(moved)
    for one, two in ((first, again), (other, other_again)):
        assert one.energy.hex() == two.energy.hex()
        assert one.forces.tobytes() == two.forces.tobytes()
        assert one.stress.tobytes() == two.stress.tobytes()


def test_forces_are_minus_the_gradient(xtb, quartz):
    direction = np.random.default_rng(2).normal(size=(9, 3))
    direction /= np.linalg.norm(direction)

    def slope(step):
        ahead, behind = (
            xtb.evaluate(quartz.with_positions(quartz.positions + sign * step * direction)).energy
            for sign in (1, -1)
        )
        return (ahead - behind) / (2 * step)

    extrapolated = (4 * slope(0.01) - slope(0.02)) / 3
    forces = xtb.evaluate(quartz).forces
    # tblite's own forces and energies differ by some 1e-4 eV/Å here, at any accuracy setting.
    assert extrapolated == pytest.approx(-np.sum(forces * direction), abs=2e-4)


@pytest.mark.parametrize(("voigt", "i", "j"), [(0, 0, 0), (3, 1, 2), (5, 0, 1)])
def test_stress_is_the_strain_derivative(xtb, quartz, voigt, i, j):
    """stress = dE/d(strain) / V, tension positive, xx yy zz yz xz xy."""
    step, energies = 1e-3, []
    for sign in (1, -1):
        strain = np.zeros((3, 3))
        strain[i, j] += sign * step / 2
        strain[j, i] += sign * step / 2
        deform = np.eye(3) + strain
        strained = Configuration(
            quartz.numbers,
            quartz.positions @ deform,
            quartz.cell @ deform,
            quartz.periodic,
            quartz.masses,
        )
        energies.append(xtb.evaluate(strained).energy)
    slope = (energies[0] - energies[1]) / (2 * step) / quartz.volume
    assert xtb.evaluate(quartz).stress[voigt] == pytest.approx(slope, abs=2e-5)


def test_scf_that_does_not_converge_is_a_failure_and_the_retry_a_cure(quartz, xtb):
    hurried = {**GFN1_XTB.keywords, "max_iterations": 2}
    with (
        AseReference(GFN1_XTB.calculator, hurried) as reference,
        pytest.raises(ReferenceFailure, match="not converged in 2 cycles"),
    ):
        reference.evaluate(quartz)
    with AseReference(GFN1_XTB.calculator, hurried, GFN1_XTB.retry_keywords) as reference:
        evaluation = reference.evaluate(quartz)
    assert evaluation.attempts == 2
    # The cautious settings lead elsewhere by no more than the convergence threshold.
    assert evaluation.energy == pytest.approx(xtb.evaluate(quartz).energy, abs=1e-7)


def test_identity_tells_settings_apart_but_not_threads_and_time_outs(xtb):
    keywords = dict(GFN1_XTB.keywords)
    reordered = dict(reversed(keywords.items()))
    path, retry = GFN1_XTB.calculator, GFN1_XTB.retry_keywords
    with AseReference(f"ase:{path}", reordered, retry, threads=2, time_out=5.0) as same:
        assert same.identity == xtb.identity
    assert "tblite 0." in xtb.identity
    for other in (
        (path, {**keywords, "accuracy": 0.2}, retry),
        (path, keywords, None),
    ):
        with AseReference(*other) as reference:
            assert reference.identity != xtb.identity
    with AseReference(path, keywords, retry, note="patched") as reference:
        assert reference.identity != xtb.identity


# Engines on a bad day


@pytest.mark.parametrize(
    ("trick", "words"),
    [
        ("raises", "SCF not converged"),
        ("exits", "SystemExit"),
        ("leaves", "ended with status 7"),
        ("segfaults", "SIGSEGV"),
        ("closes_all_files", "crashed|failed"),
        ("nan_energy", "energy is not finite"),
        ("infinite_forces", "forces is not finite"),
        ("wrong_forces", r"forces has shape \(3, 3\) instead of \(2, 3\)"),
        ("wrong_energy", r"energy has shape \(2,\)"),
        ("wrong_stress", r"stress has shape \(7,\)"),
        ("moves_atoms", "changed the positions"),
        ("changes_species", "changed the numbers"),
        ("says_unconverged", "has not converged"),
    ],
)
def test_misbehaviour_is_a_failure_and_the_next_evaluation_is_fine(shared_engine, trick, words):
    bad = atoms_at(1.5, (True, True, True))
    bad = replace(bad, masses=[BY_MASS.index(trick), 16.0])
    with pytest.raises(ReferenceFailure, match=words):
        shared_engine.evaluate(bad)
    assert_answers(shared_engine)


@pytest.fixture(scope="module")
def shared_engine():
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)
        with engine("by_mass") as reference:
            yield reference


def test_hanging_engine_is_stopped_in_time(tmp_path):
    """Even if it holds Python's lock; what it has started ends with it."""
    note = tmp_path / "processes"
    keywords = {"trick": "hangs_holding_the_lock", "file": str(note)}
    with AseReference("misbehaving_engines.Engine", keywords, time_out=1.0) as reference:
        start = time.monotonic()
        with pytest.raises(ReferenceFailure, match="no answer within 1 s"):
            reference.evaluate(BAD)
        assert time.monotonic() - start < 5.0
        assert_gone(note)
        assert_answers(reference)


@pytest.mark.parametrize("trick", ["raises", "nan_energy", "segfaults", "says_unconverged"])
def test_second_attempt_with_other_keywords(trick):
    with engine(trick, {"trick": "none"}) as reference:
        assert assert_answers(reference, GOOD).attempts == 1
        assert assert_answers(reference, BAD).attempts == 2


def test_second_attempt_is_the_last():
    with engine("raises", {"trick": "nan_energy"}) as reference:
        with pytest.raises(ReferenceFailure, match="not finite") as caught:
            reference.evaluate(BAD)
        assert caught.value.attempts == 2


def test_garbage_goes_to_the_log(tmp_path, monkeypatch):
    monkeypatch.setattr(engine_process, "_LARGEST_LOG", 1_500_000)
    with engine("prints_garbage", log_directory=tmp_path) as reference:
        for _ in range(5):
            assert_answers(reference, BAD)
    assert 1_000_000 < (tmp_path / "engine-1.log").stat().st_size < 3_000_000


def test_failure_quotes_the_last_words_of_a_crashed_engine(tmp_path):
    with engine("segfaults", log_directory=tmp_path) as reference:
        with pytest.raises(ReferenceFailure, match="the last it printed was"):
            reference.evaluate(BAD)
        assert "last words" in (tmp_path / "engine-1.log").read_text()


def test_floats_survive_exactly():
    """Subnormal, huge and unrepresentable decimals, through both directions of the pipe."""
    positions = [[5e-324, 0.1, -0.0], [1 / 3, 1e150, np.nextafter(1.0, 2.0)]]
    odd = Configuration([1, 8], positions, np.eye(3), [False] * 3, [1.0, 16.0])
    with engine() as reference:
        assert reference.evaluate(odd).forces.tobytes() == (-odd.positions).tobytes()


def test_process_is_set_up_as_promised():
    with engine("threads") as reference:
        assert reference.evaluate(BAD).energy == 1
    with engine("threads", threads=3) as reference:
        assert reference.evaluate(BAD).energy == 3
    with engine("loaded_jax") as reference:
        assert reference.evaluate(BAD).energy == 0


def test_calculator_is_new_each_time():
    with engine("counts_calls") as reference:
        assert [reference.evaluate(BAD).energy for _ in range(3)] == [1, 1, 1]


def test_stress_only_where_all_directions_are_periodic():
    with engine() as reference:
        assert reference.evaluate(atoms_at(0.5, (True, True, False))).stress is None
        assert reference.evaluate(atoms_at(0.5, (True, True, True))).stress.shape == (6,)
    with engine("no_stress") as reference:
        assert assert_answers(reference, atoms_at(1.5, (True, True, True))).stress is None


def test_energy_is_the_force_consistent_one():
    with engine("smeared") as reference:
        assert reference.evaluate(BAD).energy == 0.5 * np.sum(BAD.positions**2) - 1.0


def test_several_threads_share_the_workers():
    with engine("process", workers=2) as reference, ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(reference.evaluate, [BAD] * 6))
    assert len({answer.energy for answer in answers}) == 2


def test_closing_during_an_evaluation_is_not_a_failure_of_the_configuration():
    reference = engine("hangs")
    timer = threading.Timer(0.5, reference.close)
    timer.start()
    with pytest.raises(HyperatomError, match="closed") as caught:
        reference.evaluate(BAD)
    assert not isinstance(caught.value, ReferenceFailure)
    with pytest.raises(HyperatomError, match="closed"):
        reference.evaluate(GOOD)


def test_end_from_outside_is_not_a_failure_of_the_configuration():
    """A batch system that ends the job must not leave a rejection in the label store."""
    process = EngineProcess(
        "misbehaving_engines.Engine", {"trick": "hangs"}, time_out=20.0, threads=1
    )
    process.start()
    threading.Timer(0.5, os.kill, (process.pid, signal.SIGTERM)).start()
    with pytest.raises(HyperatomError, match="SIGTERM") as caught:
        process.compute(BAD, {"trick": "hangs"})
    assert not isinstance(caught.value, ReferenceFailure)
    process.close()


def test_time_out_is_not_tried_twice():
    with engine("hangs", {"trick": "none"}, time_out=0.5) as reference:
        reference.evaluate(GOOD)
        with pytest.raises(EngineTimeOut):
            reference.evaluate(BAD)


# Signals


def assert_gone(note):
    for pid in note.read_text().split():
        deadline = time.monotonic() + 5.0
        while alive(int(pid)):
            assert time.monotonic() < deadline, f"process {pid} outlived the run"
            time.sleep(0.02)


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def run_script(script, tmp_path):
    return subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "processes")],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


SCRIPT = """
import signal, sys
# A parent started in the background of a shell without job control ignores it otherwise.
signal.signal(signal.SIGINT, signal.default_int_handler)
from test_ase_reference import BAD, GOOD, AseReference
keywords = {"trick": "hangs_holding_the_lock", "file": sys.argv[1]}
reference = AseReference("misbehaving_engines.Engine", keywords)
reference.evaluate(GOOD)
try:
    reference.evaluate(BAD)
except KeyboardInterrupt:
    print(reference.evaluate(GOOD).energy)
"""


def wait_for(path):
    deadline = time.monotonic() + 15.0
    while not path.exists() or not path.read_text().endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_kill_9_of_the_parent_ends_the_engine(tmp_path):
    parent = run_script(SCRIPT, tmp_path)
    wait_for(tmp_path / "processes")
    parent.kill()
    parent.communicate()
    assert_gone(tmp_path / "processes")


def test_ctrl_c_reaches_the_parent_which_can_go_on(tmp_path):
    parent = run_script(SCRIPT, tmp_path)
    wait_for(tmp_path / "processes")
    os.killpg(parent.pid, signal.SIGINT)  # as the terminal does: to the whole group
    output, _ = parent.communicate(timeout=15.0)
    assert float(output) == 0.5 * np.sum(GOOD.positions**2)
    assert_gone(tmp_path / "processes")


# What the user may have mistyped


@pytest.mark.parametrize(
    ("path", "keywords", "words"),
    [
        ("TBLite", {}, "not an import path"),
        ("tblit.ase.TBLite", {}, "Did you mean 'tblite'"),
        ("tblite.asee.TBLite", {}, "Did you mean 'ase'"),
        ("tblite.ase.TBlite", {}, "Did you mean 'TBLite'"),
        ("deepmd.calculator.DP", {}, "pip install deepmd-kit"),
        ("misbehaving_engines.refuses", {}, "no pseudopotential found"),
        ("tblite.ase.TBLite", {"acuracy": 0.1}, "Did you mean 'accuracy'"),  # codespell:ignore
        ("tblite.ase.TBLite", {"accuracy": object()}, "JSON"),
        ("tblite.ase.TBLite", {"accuracy": float("nan")}, "JSON"),
    ],
)
def test_unusable_engines_are_explained(path, keywords, words):
    with pytest.raises(InputError, match=words):
        AseReference(path, keywords)
