"""The file queue: workers that share only a folder with the run, and die as they please."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from farm_places import energy, engine, lines, place
from hyperatom.errors import HyperatomError, ReferenceFailure, RunDirectoryError
from hyperatom.references.farm.file_queue import FileQueue, Patience
from hyperatom.references.farm.label_farm import LabelFarm
from hyperatom.references.farm.queue_farm import QueueFarm, activity, run_name
from hyperatom.references.farm.task import Withdrawn
from hyperatom.references.label_store import LabelStore
from hyperatom.references.stored import StoredReference

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src"


@pytest.fixture(autouse=True)
def tally(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(SOURCE)]))
    path = tmp_path / "tally"
    path.touch()
    monkeypatch.setenv("HYPERATOM_TEST_TALLY", str(path))
    return path


@pytest.fixture
def store(tmp_path):
    with LabelStore(tmp_path / "labels.db") as store:
        yield store


def start_worker(queue, *options):
    command = "from hyperatom.cli.main import run; run()"
    return subprocess.Popen(
        [sys.executable, "-c", command, "worker", str(queue), "--beat", "0.2", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(*workers):
    for worker in workers:
        worker.terminate()
    return [worker.communicate(timeout=30) for worker in workers]


def queue_farm(folder, name="Harmonic", silence=2.0, attempts=3, **keywords):
    with engine(name, **keywords) as here:
        backend = QueueFarm(
            FileQueue(folder), here.description, here.identity, "run-1", silence=silence
        )
    return LabelFarm(backend, attempts=attempts)


def until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def busy(farm):
    return sum(one.busy for one in farm.activity())


@pytest.mark.slow
def test_three_processes_that_share_only_a_folder(tmp_path, store, tally):
    """The run and two workers; one of them is killed -9 with a task in its hands."""
    folder = tmp_path / "queue"
    farm = queue_farm(folder, seconds=1.0)
    reference = StoredReference(farm, store)
    futures = [reference.request(place(n), f"label {n}") for n in range(6)]
    workers = [start_worker(folder) for _ in range(2)]
    until(lambda: busy(farm) == 2)
    assert {one.doing.split()[0] for one in farm.activity()} == {"label"}
    workers[0].kill()
    killed = time.monotonic()
    until(lambda: store.count_attempts() == {"worker lost": 1})
    assert time.monotonic() - killed < 2.0 + 3.0  # silence, and time to notice on a busy machine
    for n, future in enumerate(futures):
        assert future.result(30.0).energy == energy(place(n))
    assert len(store) == 6
    assert lines(tally) == {"done": 6}  # the killed one's engine died with it
    assert max(store.get(reference.key(place(n))).attempts for n in range(6)) == 2
    until(lambda: not list(farm.backend.queue.arrived("run-1")))
    (_, _), (said, complained) = end(*workers)
    assert "told to end" in said, complained
    assert farm.activity() == []
    farm.close()


@pytest.mark.slow
def test_workers_finish_for_a_run_that_has_died(tmp_path, store, tally):
    folder = tmp_path / "queue"
    first = queue_farm(folder, seconds=1.0)
    begun = StoredReference(first, store)
    begun.request(place(1))
    begun.request(place(2))
    worker = start_worker(folder)
    until(lambda: busy(first) == 1)
    first.close()  # as kill -9 would, but for the task that nobody had begun
    until(lambda: lines(tally) == {"done": 1})
    until(lambda: not busy(first))
    # Another is under way when the run comes back for it.
    resumed = queue_farm(folder, seconds=1.0)
    reference = StoredReference(resumed, store)
    assert len(store) == 1
    reference.request(place(3))
    until(lambda: busy(resumed) == 1)
    resumed.close()
    again = queue_farm(folder, seconds=1.0)
    assert StoredReference(again, store).evaluate(place(3)).energy == energy(place(3))
    assert lines(tally) == {"done": 2}
    again.close()
    end(worker)


@pytest.mark.slow
def test_a_worker_told_to_end_gives_its_task_back(tmp_path, store, tally):
    folder = tmp_path / "queue"
    farm = queue_farm(folder, seconds=1.5)
    future = StoredReference(farm, store).request(place(1))
    first = start_worker(folder)
    until(lambda: busy(farm) == 1)
    first.send_signal(signal.SIGUSR1)  # Slurm: #SBATCH --signal=B:USR1@60
    first.communicate(timeout=30)
    assert first.returncode == 0
    assert len(farm.backend.queue.waiting()) == 1
    second = start_worker(folder, "--labels", "1")
    assert future.result(60.0).energy == energy(place(1))
    assert store.count_attempts() == {}
    assert "1 labels done" in second.communicate(timeout=30)[0]
    farm.close()


@pytest.mark.slow
def test_a_configuration_that_kills_workers_ends_in_quarantine(tmp_path, store, tally):
    folder = tmp_path / "queue"
    farm = queue_farm(folder, "Doomed", silence=1.0, attempts=2)
    reference = StoredReference(farm, store)
    future = reference.request(place(1, x=2.0))
    for _ in range(2):
        start_worker(folder).wait(timeout=60)
    with pytest.raises(ReferenceFailure, match="taken for dead"):
        future.result(60.0)
    assert store.failure(reference.key(place(1, x=2.0))).attempts == 2
    assert store.count_attempts() == {"worker lost": 2}
    farm.close()


@pytest.mark.slow
def test_no_task_is_begun_that_cannot_be_finished(tmp_path, store, tally):
    folder = tmp_path / "queue"
    farm = queue_farm(folder, seconds=1.0)
    reference = StoredReference(farm, store)
    first = reference.request(place(1))
    worker = start_worker(folder, "--walltime", "3")
    first.result(60.0)
    later = [reference.request(place(n)) for n in range(2, 8)]
    said, _ = worker.communicate(timeout=60)
    assert "fits into the time" in said or "out of time" in said
    assert 1 <= lines(tally)["done"] <= 3
    done = [future for future in later if future.done()]
    assert len(farm.backend.queue.waiting()) == 6 - len(done)
    assert store.count_attempts() == {}
    farm.close()


@pytest.mark.slow
def test_a_withdrawn_label_frees_its_worker(tmp_path, store, tally):
    folder = tmp_path / "queue"
    farm = queue_farm(folder, seconds=1.0)
    with engine(seconds=50.0) as slow:
        other = LabelFarm(
            QueueFarm(FileQueue(folder), slow.description, slow.identity, "run-2", silence=30.0)
        )
    worker = start_worker(folder)
    loser = other.submit(place(1), provenance="speculation", speculative=True)
    until(lambda: busy(farm) == 1)
    other.withdraw(next(iter(other._under_way)))
    with pytest.raises(Withdrawn):
        loser.result(5.0)
    assert StoredReference(farm, store).evaluate(place(2)).energy == energy(place(2))
    assert lines(tally) == {"done": 1}
    end(worker)
    farm.close()
    other.close()


@pytest.mark.slow
def test_a_worker_with_another_engine_refuses_and_the_task_stays(tmp_path, store):
    folder = tmp_path / "queue"
    with engine() as here:
        other = here.identity.replace("sha256:", "sha256:0")
        farm = LabelFarm(QueueFarm(FileQueue(folder), here.description, other, "run-1"))
    StoredReference(farm, store).request(place(1))
    worker = start_worker(folder)
    _, complaint = worker.communicate(timeout=60)
    assert worker.returncode == 2
    assert "another engine than the run" in complaint
    assert "same version" in complaint
    assert len(farm.backend.queue.waiting()) == 1
    farm.close()


def test_what_a_late_worker_brings_is_not_lost(tmp_path, store):
    """Taken for dead while its disk was away: it delivers, and the second attempt is withdrawn."""
    from hyperatom.references.ase_calculator import EngineEvaluation
    from hyperatom.references.farm.file_queue import Lease
    from hyperatom.references.farm.task import outcome_text, task_from_text

    farm = queue_farm(tmp_path / "queue", silence=0.5)
    queue = farm.backend.queue
    future = StoredReference(farm, store).request(place(1))
    until(lambda: len(queue.waiting()) == 1)
    (name,) = queue.waiting()
    task, _, identity = task_from_text(queue.take(name, "sleepy"))
    lease = Lease(name, "sleepy")
    until(lambda: len(queue.waiting()) == 1)  # its second attempt
    answer = EngineEvaluation(float(energy(place(1))), -place(1).positions, host="far")
    queue.finish(lease, outcome_text(task.key, task.configuration, identity, answer))
    assert future.result(10.0).energy == energy(place(1))
    until(lambda: not queue.waiting())
    assert store.count_attempts() == {"worker lost": 1}
    assert store.get(task.key).host == "far"
    farm.close()


def test_an_outcome_s_file_outlives_a_store_that_cannot_grow(tmp_path, store, monkeypatch):
    from hyperatom.references.ase_calculator import EngineEvaluation
    from hyperatom.references.farm.file_queue import Lease
    from hyperatom.references.farm.task import outcome_text, task_from_text

    farm = queue_farm(tmp_path / "queue")
    queue = farm.backend.queue
    future = StoredReference(farm, store).request(place(1))
    until(lambda: len(queue.waiting()) == 1)
    (name,) = queue.waiting()
    task, _, identity = task_from_text(queue.take(name, "worker"))
    answer = EngineEvaluation(float(energy(place(1))), -place(1).positions)

    def full(batch):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(store._database, "_write", full)
        text = outcome_text(task.key, task.configuration, identity, answer)
        queue.finish(Lease(name, "worker"), text)
        with pytest.raises(HyperatomError):
            future.result(10.0)
    assert len(queue.arrived("run-1")) == 1
    farm.close()
    resumed = queue_farm(tmp_path / "queue")
    StoredReference(resumed, store)
    assert store.get(task.key).evaluation.energy == energy(place(1))
    assert queue.arrived("run-1") == []
    resumed.close()


def test_outcomes_that_cannot_be_read_are_attempts_that_came_to_nothing(tmp_path, store):
    farm = queue_farm(tmp_path / "queue", attempts=2)
    queue = farm.backend.queue
    future = StoredReference(farm, store).request(place(1))
    for attempt in (1, 2):
        until(lambda: len(queue.waiting()) == 1)
        (name,) = queue.waiting()
        assert name.attempt == attempt
        queue.remove(name)
        (queue.outcomes_of("run-1") / f"{name.key}.{attempt}.json").write_text('{"key": "half')
    with pytest.raises(ReferenceFailure, match="cannot be read"):
        future.result(10.0)
    farm.close()


def test_only_one_worker_gets_a_task(tmp_path):
    queue = FileQueue(tmp_path / "queue")
    names = [queue.put(False, "run", f"{n:064x}", 1, "text") for n in range(50)]
    with ThreadPoolExecutor(8) as threads:
        got = list(
            threads.map(
                lambda worker: [name for name in names if queue.take(name, f"w{worker}")],
                range(8),
            )
        )
    assert sorted(name for mine in got for name in mine) == sorted(names)
    assert queue.waiting() == []


def test_urgent_tasks_come_first_and_foreign_files_are_left_alone(tmp_path):
    queue = FileQueue(tmp_path / "queue")
    queue.put(True, "run", "a", 1, "")
    queue.put(False, "run", "b", 1, "")
    queue.put(False, "run", "c", 1, "")
    (queue.folder("waiting") / ".nfs0001").touch()
    assert [name.key for name in queue.waiting()] == ["b", "c", "a"]


def test_folders_that_are_no_queues(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").touch()
    with pytest.raises(RunDirectoryError, match="not a queue"):
        FileQueue(tmp_path / "home")
    queue = FileQueue(tmp_path / "queue")
    (queue.path / "queue.json").write_text('{"format": 99}')
    with pytest.raises(RunDirectoryError, match="format 99"):
        FileQueue(tmp_path / "queue")
    (queue.path / "queue.json").write_text("")
    with pytest.raises(RunDirectoryError, match="damaged"):
        FileQueue(tmp_path / "queue")


def test_a_full_disk_under_the_queue_is_explained(tmp_path, store, monkeypatch):
    farm = queue_farm(tmp_path / "queue")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(farm.backend.queue, "write", full)
    with pytest.raises(HyperatomError, match=r"No space left.*Make room"):
        StoredReference(farm, store).evaluate(place(1))
    assert store.count_failures() == 0
    farm.close()


def test_looks_become_seldom_but_never_burden_the_disk():
    patience = Patience()
    assert patience.pause(0.0) == pytest.approx(0.002, rel=0.5)
    assert patience.pause(0.005) == pytest.approx(0.1)
    patience.start -= 5.0
    assert patience.pause(0.0) == pytest.approx(0.01, rel=0.1)
    patience.start -= 10_000.0
    assert patience.pause(0.0) == 1.0


def test_runs_have_names_of_their_own(tmp_path):
    assert run_name(tmp_path / "quartz run") == run_name(tmp_path / "quartz run")
    assert run_name(tmp_path / "a") != run_name(tmp_path / "b")
    assert "." not in run_name(tmp_path / "x.y@z")


def test_messages_return_bit_for_bit():
    from hyperatom.references.ase_calculator import EngineEvaluation, EngineNotFinite
    from hyperatom.references.farm.task import (
        Task,
        outcome_from_text,
        outcome_text,
        task_from_text,
        task_text,
    )

    odd = np.array([[5e-324, -0.0, 0.1], [1 / 3, 1e300, np.nextafter(1, 2)]])
    configuration = replace(place(1), positions=odd)
    task = Task("key", configuration, 3, True, True, "walker 1", 2.5)
    back, settings, identity = task_from_text(task_text(task, {"calculator": "x"}, "who"))
    assert back.configuration.digest() == configuration.digest()
    assert (back.attempt, back.tightened, back.speculative, back.provenance) == (
        3,
        True,
        True,
        "walker 1",
    )
    assert (settings, identity) == ({"calculator": "x"}, "who")
    answer = EngineEvaluation(
        -0.1, odd, np.arange(6) / 3, 1 / 3, "engine", 1.5, 1, "host", {"scf_cycles": 7}
    )
    found = outcome_from_text(outcome_text("key", configuration, "who", answer)).answer
    for name in ("energy", "forces", "stress", "energy_error"):
        one, other = np.asarray(getattr(found, name)), np.asarray(getattr(answer, name))
        assert one.tobytes() == other.tobytes()
    assert (found.host, found.notes, found.origin) == ("host", {"scf_cycles": 7}, "engine")
    failure = EngineNotFinite("The energy is not finite.", "Look.")
    again = outcome_from_text(outcome_text("key", configuration, "who", failure)).answer
    assert (type(again), again.problem, again.cure) == (
        EngineNotFinite,
        failure.problem,
        failure.cure,
    )


def test_the_view_of_workers(tmp_path):
    queue = FileQueue(tmp_path / "queue")
    queue.show_life("w1", {"host": "node7", "doing": "walker 3", "busy": True, "seconds": 2.0})
    (one,) = activity(queue)
    assert (one.worker, one.host, one.doing, one.busy) == ("w1", "node7", "walker 3", True)
    assert 0.0 <= one.silent < 5.0
    assert one.seconds >= 2.0
