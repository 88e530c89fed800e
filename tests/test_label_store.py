"""The label store loses nothing, changes nothing, and pays for nothing twice."""

import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hyperatom.configuration import Configuration
from hyperatom.errors import HyperatomError, ReferenceFailure, RunDirectoryError
from hyperatom.evaluation import Evaluation
from hyperatom.references import label_database
from hyperatom.references.file_locks import locks_work
from hyperatom.references.label import FailedAttempt, label_key
from hyperatom.references.label_store import LabelStore
from hyperatom.references.stored import StoredReference

TESTS = Path(__file__).parent
SETTINGS = '{"calculator":"well"}'


def configuration_number(number):
    rng = np.random.default_rng(number)
    return Configuration(
        numbers=[14, 8, 8],
        positions=rng.normal(size=(3, 3)),
        cell=np.diag([5.0, 6.0, 7.0]) + 0.1 * rng.normal(size=(3, 3)),
        periodic=[True, True, True],
        masses=[28.0, 16.0, 15.999],
    )


def well(configuration):
    """A harmonic well."""
    x = configuration.positions
    return Evaluation(
        energy=float(0.5 * np.sum(x**2)),
        forces=-x,
        stress=np.arange(6) / 3.0,
        energy_error=0.1 / 3.0,
        origin="well",
        seconds=0.25,
    )


class Well:
    """An analytic reference that counts, fails where the first x is negative, and takes a while."""

    def __init__(self, identity=SETTINGS, wait=0.0):
        self.identity = identity
        self.calls = 0
        self.wait = wait

    def evaluate(self, configuration):
        self.calls += 1
        time.sleep(self.wait)
        if configuration.positions[0, 0] < 0:
            raise ReferenceFailure("The well has no left side.", "Stay right.")
        return well(configuration)

    def close(self):
        pass


RIGHT, LEFT = configuration_number(0), configuration_number(4)
assert RIGHT.positions[0, 0] > 0 > LEFT.positions[0, 0]


@pytest.fixture
def store(tmp_path):
    with LabelStore(tmp_path / "labels.sqlite") as store:
        yield store


def assert_same_bits(one, two):
    for name in ("energy", "forces", "stress", "energy_error"):
        values = getattr(one, name), getattr(two, name)
        bits = [None if value is None else np.asarray(value).tobytes() for value in values]
        assert bits[0] == bits[1], name
    assert (one.origin, one.seconds) == (two.origin, two.seconds)


def test_everything_returns_bit_for_bit(store):
    odd = np.array([[5e-324, -0.0, 0.1], [1 / 3, 1e300, np.nextafter(1, 2)], [np.pi, -1e-17, 7]])
    configuration = replace(RIGHT, positions=odd, periodic=[True, False, True])
    evaluation = replace(well(RIGHT), energy=-0.0, forces=odd[::-1], stress=None, energy_error=None)
    store.add(configuration, evaluation, SETTINGS, attempts=2, provenance="walker 3, step 7")
    label = store.get(label_key(configuration, SETTINGS))
    assert_same_bits(label.evaluation, evaluation)
    for name in ("numbers", "positions", "cell", "periodic", "masses"):
        one, two = getattr(label.configuration, name), getattr(configuration, name)
        assert (one.dtype, one.shape, one.tobytes()) == (two.dtype, two.shape, two.tobytes())
    assert (label.attempts, label.provenance, label.identity) == (2, "walker 3, step 7", SETTINGS)


def test_iteration_in_order_of_arrival_and_from_a_label_on(store, monkeypatch):
    monkeypatch.setattr(label_database, "_PAGE", 3)
    order = np.random.default_rng(1).permutation(10)
    for number in order:
        configuration = configuration_number(number)
        store.add(configuration, well(configuration), SETTINGS if number < 5 else "other")
    keys = [label_key(configuration_number(n), SETTINGS if n < 5 else "other") for n in order]
    assert [label.key for label in store] == keys
    seventh = list(store)[6].index
    assert [label.key for label in store.labels(after=seventh)] == keys[7:]
    assert {label.identity for label in store.labels("other")} == {"other"}
    assert (len(store), store.count("other"), store.count_failures()) == (10, 5, 0)


def test_first_writer_wins(store):
    store.add(RIGHT, well(RIGHT), SETTINGS)
    second = store.add(RIGHT, replace(well(RIGHT), energy=99.0), SETTINGS)
    assert_same_bits(second.evaluation, well(RIGHT))
    assert len(store) == 1


def test_repeated_evaluation_costs_nothing(tmp_path):
    reference = Well()
    with LabelStore(tmp_path / "labels") as store:
        stored = StoredReference(reference, store)
        first = stored.evaluate(RIGHT)
        again = stored.evaluate(RIGHT)
        assert (stored.counts.calls, stored.counts.hits, stored.counts.failures) == (1, 1, 0)
        assert store.get(stored.key(RIGHT)).configuration.digest() == RIGHT.digest()
    with LabelStore(tmp_path / "labels") as store:
        later = StoredReference(reference, store).evaluate(RIGHT)
    assert reference.calls == 1
    for evaluation in (first, again, later):
        assert_same_bits(evaluation, well(RIGHT))


def test_other_settings_or_other_atoms_are_another_label(store):
    base = label_key(RIGHT, SETTINGS)
    nudged = RIGHT.positions.copy()
    nudged[2, 2] = np.nextafter(nudged[2, 2], 1e9)
    others = [
        (RIGHT, SETTINGS + " "),
        (replace(RIGHT, positions=nudged), SETTINGS),
        (replace(RIGHT, numbers=[14, 8, 9]), SETTINGS),
        (replace(RIGHT, periodic=[True, True, False]), SETTINGS),
        (replace(RIGHT, cell=RIGHT.cell * (1 + 1e-15)), SETTINGS),
    ]
    assert len({base, *(label_key(*other) for other in others)}) == 6
    assert label_key(replace(RIGHT, masses=[1.0, 1.0, 1.0]), SETTINGS) == base
    StoredReference(Well("a"), store).evaluate(RIGHT)
    other = StoredReference(Well("b"), store)
    other.evaluate(RIGHT)
    assert (other.counts.calls, len(store)) == (1, 2)


def test_failures_are_remembered_until_forgotten(tmp_path):
    reference = Well()
    for _ in range(2):  # the second time from the file alone
        with LabelStore(tmp_path / "labels") as store:
            stored = StoredReference(reference, store, provenance="test")
            for _ in range(2):
                with pytest.raises(ReferenceFailure, match="no left side") as caught:
                    stored.evaluate(LEFT)
                assert caught.value.cure == "Stay right."
            assert (len(store), store.count_failures()) == (0, 1)
    assert reference.calls == 1
    with LabelStore(tmp_path / "labels") as store:
        (failure,) = store.failures()
        assert failure.configuration.digest() == LEFT.digest()
        assert failure.provenance == "test"
        assert store.forget_failures("other settings") == 0
        assert store.forget_failures(SETTINGS) == 1
        with pytest.raises(ReferenceFailure):
            StoredReference(reference, store).evaluate(LEFT)
    assert reference.calls == 2


def test_interruptions_and_broken_set_ups_are_not_stored_as_failures(store):
    class Interrupted(Well):
        def evaluate(self, configuration):
            raise trouble

    for trouble in (KeyboardInterrupt(), HyperatomError("The engine changed under the run.")):
        with pytest.raises(type(trouble)):
            StoredReference(Interrupted(), store).evaluate(RIGHT)
    assert store.count_failures() == 0


def test_threads_that_ask_the_same_pay_once(store):
    reference = Well(wait=0.1)
    stored = StoredReference(reference, store)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(stored.evaluate, [RIGHT] * 8))
        list(threads.map(stored.evaluate, [configuration_number(0)] * 8))
    assert (reference.calls, stored.counts.calls, stored.counts.hits) == (1, 1, 15)


# Several processes, sudden death

WRITER = """
import sys
from dataclasses import replace
from test_label_store import SETTINGS, LabelStore, configuration_number, well
path, name, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
store = LabelStore(path)
for number in range(first, last):
    configuration = configuration_number(number)
    evaluation = replace(well(configuration), origin=name)
    label = store.add(configuration, evaluation, SETTINGS)
    print(number, label.evaluation.origin, flush=True)
"""


def start_writer(path, name, first, last):
    arguments = [sys.executable, "-c", WRITER, str(path), name, str(first), str(last)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=TESTS)


def test_kill_9_of_writers_loses_nothing_that_was_stored(tmp_path):
    path = tmp_path / "labels"
    writers = [start_writer(path, f"w{n}", 10_000 * n, 10_000 * (n + 1)) for n in range(2)]
    seen = []
    for writer in writers:
        seen += [writer.stdout.readline() for _ in range(40)]
    for writer in writers:
        writer.kill()
    for writer in writers:
        seen += [line for line in writer.communicate()[0].splitlines(True) if line.endswith("\n")]
    with LabelStore(path) as store:
        store.check()
        assert 80 <= len(seen) <= len(store) <= len(seen) + 2
        for line in seen:
            number, name = line.split()
            configuration = configuration_number(int(number))
            label = store.get(label_key(configuration, SETTINGS))
            assert_same_bits(label.evaluation, replace(well(configuration), origin=name))
        store.add(RIGHT, well(RIGHT), "after")


def test_processes_that_create_and_write_together_agree(tmp_path):
    path = tmp_path / "labels"
    writers = [start_writer(path, f"w{n}", 0, 20) for n in range(4)]
    said = [writer.communicate()[0].split("\n")[:-1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4
    assert said[0] == said[1] == said[2] == said[3]  # each was told the same first writer
    with LabelStore(path) as store:
        store.check()
        assert len(store) == 20


def test_threads_write_together(store):
    def write(number):
        configuration = configuration_number(number % 20)
        return store.add(configuration, replace(well(configuration), origin=str(number)), SETTINGS)

    with ThreadPoolExecutor(4) as threads:
        labels = list(threads.map(write, range(40)))
    assert len(store) == 20
    assert all(labels[n].evaluation.origin == labels[n + 20].evaluation.origin for n in range(20))


# Disks and files


def test_full_disk_is_explained_and_the_answer_kept(store):
    for number in range(20):
        store.add(configuration_number(number), well(configuration_number(number)), SETTINGS)
    pages = store._database.connection.execute("PRAGMA page_count").fetchone()[0]
    store._database.connection.execute(f"PRAGMA max_page_count = {pages}")
    reference, number = Well(), 100
    stored = StoredReference(reference, store)

    def fill():
        nonlocal number
        while number < 200:
            number += 1
            stored.evaluate(replace(RIGHT, positions=RIGHT.positions + 0.01 * number))

    with pytest.raises(HyperatomError, match="Make room"):
        fill()
    calls, labels = reference.calls, len(store)
    store.check()
    assert labels == 20 + calls - 1
    store._database.connection.execute("PRAGMA max_page_count = 1000000")
    stored.evaluate(replace(RIGHT, positions=RIGHT.positions + 0.01 * number))
    assert (reference.calls, len(store)) == (calls, labels + 1)


def test_no_engine_is_started_for_a_disk_without_room(store, monkeypatch):
    monkeypatch.setattr(label_database, "_ROOM", 10**18)
    reference = Well()
    with pytest.raises(HyperatomError, match="no space is left"):
        StoredReference(reference, store).evaluate(RIGHT)
    assert reference.calls == 0


def write_ten(path):
    with LabelStore(path) as store:
        for number in range(10):
            configuration = configuration_number(number)
            store.add(configuration, well(configuration), SETTINGS)


def test_a_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "labels"
    write_ten(path)
    content = bytearray(path.read_bytes())
    content[content.index(well(configuration_number(4)).forces.tobytes()) + 3] ^= 1
    path.write_bytes(content)
    with LabelStore(path) as store:
        assert store.get(label_key(configuration_number(3), SETTINGS)) is not None
        with pytest.raises(RunDirectoryError, match="damaged"):
            store.get(label_key(configuration_number(4), SETTINGS))
        with pytest.raises(RunDirectoryError, match="damaged"):
            store.check()


def test_a_truncated_file_is_noticed(tmp_path):
    path = tmp_path / "labels"
    write_ten(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def read():
        with LabelStore(path) as store:
            store.check()

    with pytest.raises(RunDirectoryError, match="damaged"):
        read()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_text("not a database\n" * 100), "damaged"),
        (lambda path: path.mkdir(), "cannot be used"),
        (lambda path: sqlite(path, "CREATE TABLE recipes (name)"), "not a label store"),
    ],
)
def test_files_that_are_no_label_stores(tmp_path, spoil, words):
    spoil(tmp_path / "labels")
    with pytest.raises(RunDirectoryError, match=words):
        LabelStore(tmp_path / "labels")


def test_another_format_is_named(tmp_path):
    write_ten(tmp_path / "labels")
    sqlite(tmp_path / "labels", "PRAGMA user_version = 99")
    with pytest.raises(RunDirectoryError, match="format 99"):
        LabelStore(tmp_path / "labels")


def test_a_store_that_stays_busy_is_explained(tmp_path, monkeypatch):
    write_ten(tmp_path / "labels")
    monkeypatch.setattr(label_database, "_BUSY_SECONDS", 0.2)
    holder = sqlite3.connect(tmp_path / "labels", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with LabelStore(tmp_path / "labels") as store:
        with pytest.raises(RunDirectoryError, match="busy"):
            store.add(RIGHT, well(RIGHT), "other")
        assert len(store) == 10  # reading goes on
        holder.execute("ROLLBACK")
        store.add(RIGHT, well(RIGHT), "other")
    holder.close()


def sqlite(path, command):
    connection = sqlite3.connect(path)
    connection.execute(command)
    connection.commit()
    connection.close()


def test_extended_xyz_is_read_back_by_ase_to_the_last_bit(store, tmp_path):
    import ase.io

    molecule = replace(RIGHT, cell=np.zeros((3, 3)), periodic=[False] * 3)
    slab = replace(RIGHT, periodic=[True, False, True])
    store.add(RIGHT, well(RIGHT), SETTINGS)
    store.add(molecule, replace(well(molecule), stress=None), SETTINGS)
    store.add(slab, replace(well(slab), stress=None), SETTINGS)
    assert store.export_extxyz(tmp_path / "labels.xyz") == 3
    frames = ase.io.read(tmp_path / "labels.xyz", ":")
    for atoms, configuration in zip(frames, (RIGHT, molecule, slab), strict=True):
        evaluation = well(configuration)
        np.testing.assert_array_equal(atoms.numbers, configuration.numbers)
        np.testing.assert_array_equal(atoms.positions, configuration.positions)
        np.testing.assert_array_equal(np.asarray(atoms.cell), configuration.cell)
        np.testing.assert_array_equal(atoms.pbc, configuration.periodic)
        np.testing.assert_array_equal(atoms.get_masses(), configuration.masses)
        assert atoms.get_potential_energy() == evaluation.energy
        np.testing.assert_array_equal(atoms.get_forces(), evaluation.forces)
    np.testing.assert_array_equal(frames[0].get_stress(), well(RIGHT).stress)


# Attempts, older files, shared synchronisations, disks without locks


def test_attempts_that_came_to_nothing_are_kept_one_by_one(store):
    attempts = [
        FailedAttempt("a", 1, "crash", "It crashed.", 1.5, "node1", provenance="walker 0"),
        FailedAttempt("b", 1, "time-out", "It hung."),
        FailedAttempt("a", 2, "crash", "It crashed."),
    ]
    for attempt in attempts:
        store.add_attempt(attempt)
    assert [replace(one, date="") for one in store.attempts()] == attempts
    assert [one.number for one in store.attempts("a")] == [1, 2]
    assert store.count_attempts() == {"crash": 2, "time-out": 1}
    assert (store.count_attempts_at("a"), store.count_attempts_at("c")) == (2, 0)


VERSION_1 = """
CREATE TABLE labels (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL,
    numbers BLOB, positions BLOB, cell BLOB, periodic BLOB, masses BLOB, energy BLOB, forces BLOB,
    stress BLOB, energy_error BLOB, checksum BLOB, identity TEXT, origin TEXT, seconds REAL,
    host TEXT, date TEXT, attempts INTEGER, provenance TEXT);
CREATE TABLE failures (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL,
    numbers BLOB, positions BLOB, cell BLOB, periodic BLOB, masses BLOB, problem TEXT, cure TEXT,
    checksum BLOB, identity TEXT, origin TEXT, seconds REAL, host TEXT, date TEXT,
    attempts INTEGER, provenance TEXT);
PRAGMA application_id = 0x48594C53;
PRAGMA user_version = 1;
"""


def test_a_store_of_the_first_format_is_taken_over(tmp_path):
    write_ten(tmp_path / "new")
    old = sqlite3.connect(tmp_path / "old")
    old.executescript(VERSION_1)
    names = [column[1] for column in old.execute("PRAGMA table_info(labels)")]
    new = sqlite3.connect(tmp_path / "new")
    rows = new.execute(f"SELECT {', '.join(names)} FROM labels").fetchall()
    old.executemany(f"INSERT INTO labels VALUES ({', '.join('?' * len(names))})", rows)
    old.commit()
    old.close()
    new.close()
    for _ in range(2):
        with LabelStore(tmp_path / "old") as store, LabelStore(tmp_path / "new") as other:
            store.check()
            for one, two in zip(list(store)[:10], other, strict=True):
                assert_same_bits(one.evaluation, two.evaluation)
                assert (one.key, one.date, one.notes) == (two.key, two.date, {})
            store.add_attempt(FailedAttempt("a", 1, "crash", "It crashed."))
            store.add(RIGHT, well(RIGHT), "later", notes={"scf_cycles": 9})
            assert store.get(label_key(RIGHT, "later")).notes == {"scf_cycles": 9}


def test_writers_share_synchronisations_and_each_returns_only_when_its_label_is_on_disk(
    tmp_path, monkeypatch
):
    path = tmp_path / "labels"
    with LabelStore(path) as store, ThreadPoolExecutor(16) as threads:
        batches = []
        write = store._database._write

        def slowly(batch):
            time.sleep(0.02)
            write(batch)
            batches.append(len(batch))

        monkeypatch.setattr(store._database, "_write", slowly)

        def add(number):
            configuration = configuration_number(number)
            label = store.add(configuration, well(configuration), SETTINGS)
            with LabelStore(path) as other:  # another connection sees what is committed alone
                assert other.get(label.key) is not None
            return label.index

        indices = list(threads.map(add, range(64)))
    assert sorted(indices) == list(range(1, 65))
    assert sum(batches) == 64
    assert max(batches) > 1


def test_one_writer_s_trouble_is_told_to_all_who_shared_it(store, monkeypatch):
    def trouble(batch):
        time.sleep(0.05)
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(store._database, "_write", trouble)

    def add(number):
        configuration = configuration_number(number)
        with pytest.raises(HyperatomError):
            store.add(configuration, well(configuration), SETTINGS)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(24)))
    monkeypatch.undo()
    store.add(RIGHT, well(RIGHT), SETTINGS)
    assert len(store) == 1


def test_a_disk_whose_locks_do_not_hold_is_refused(tmp_path, monkeypatch):
    assert locks_work(tmp_path)
    write_ten(tmp_path / "labels")
    with monkeypatch.context() as broken:
        broken.setattr("fcntl.lockf", lambda *_: None)  # granted, and nothing locked
        assert not locks_work(tmp_path)
        with pytest.raises(RunDirectoryError, match=r"locks do not work.*no locks"):
            LabelStore(tmp_path / "labels")

    def refused(*_):
        raise OSError(37, "No locks available")

    with monkeypatch.context() as broken:
        broken.setattr("fcntl.lockf", refused)
        with pytest.raises(RunDirectoryError, match="locks do not work"):
            LabelStore(tmp_path / "labels")
    with LabelStore(tmp_path / "labels") as store:
        store.check()
        assert len(store) == 10
    assert not list(tmp_path.glob(".locks-*"))
