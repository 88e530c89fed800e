"""The label farm: many labels at once, each paid for once, whoever dies meanwhile."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from farm_places import energy, engine, lines, place
from hyperatom.errors import HyperatomError, InputError, ReferenceFailure
from hyperatom.evaluation import Evaluation
from hyperatom.references.farm.in_process import InProcess
from hyperatom.references.farm.label_farm import LabelFarm
from hyperatom.references.farm.local_processes import LocalProcesses, shares_of_cores
from hyperatom.references.farm.task import Withdrawn
from hyperatom.references.label_store import LabelStore
from hyperatom.references.stored import StoredReference

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src"
TALLY = "HYPERATOM_TEST_TALLY"


@pytest.fixture(autouse=True)
def tally(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(SOURCE)]))
    path = tmp_path / "tally"
    path.touch()
    monkeypatch.setenv(TALLY, str(path))
    return path


@pytest.fixture
def store(tmp_path):
    with LabelStore(tmp_path / "labels.db") as store:
        yield store


class Slow:
    """An analytic reference that notes the order in which it was asked."""

    identity = '{"calculator":"slow"}'

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.asked = []
        self.lock = threading.Lock()

    def evaluate(self, configuration):
        with self.lock:
            self.asked.append(configuration.digest())
        time.sleep(self.seconds)
        return Evaluation(float(energy(configuration)), -configuration.positions)

    def close(self):
        pass


# Attempts


def test_labels_come_back_stored_whatever_their_cells(store):
    farm = LabelFarm(InProcess(Slow(), workers=3))
    reference = StoredReference(farm, store)
    futures = [reference.request(place(n)) for n in range(20)]
    for n, future in enumerate(futures):
        assert future.result(10.0).energy == energy(place(n))
        assert store.get(reference.key(place(n))).configuration.digest() == place(n).digest()
    assert (reference.counts.calls, reference.counts.hits) == (20, 0)
    assert reference.evaluate(place(3)).energy == energy(place(3))
    assert reference.counts.hits == 1
    farm.close()
    with pytest.raises(HyperatomError, match="closed"):
        reference.evaluate(place(30))


def test_equal_questions_share_one_computation(store):
    slow = Slow(0.2)
    reference = StoredReference(LabelFarm(InProcess(slow, workers=4)), store)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(reference.evaluate, [place(1)] * 8))
    assert len({answer.energy for answer in answers}) == 1
    assert (len(slow.asked), reference.counts.calls, reference.counts.hits) == (1, 1, 7)
    reference.close()


def test_an_unconverged_label_is_tried_again_with_tightened_keywords(store, tally):
    with engine("Picky", {"patient": True}) as picky:
        reference = StoredReference(LabelFarm(LocalProcesses(picky, 1)), store)
        bad = place(0, x=1.5)
        assert reference.evaluate(bad).energy == energy(bad)
    label = store.get(reference.key(bad))
    assert label.attempts == 2
    (attempt,) = store.attempts(label.key)
    assert (attempt.number, attempt.kind) == (1, "exception")
    assert "SCF not converged" in attempt.problem
    assert lines(tally) == {"impatient": 1, "done": 1}


def test_a_label_that_keeps_failing_is_put_into_quarantine(store, tally):
    with engine("Picky") as picky:
        reference = StoredReference(LabelFarm(LocalProcesses(picky, 1), attempts=4), store)
        bad = place(0, x=1.5)
        for _ in range(3):
            with pytest.raises(ReferenceFailure, match="SCF not converged"):
                reference.evaluate(bad)
        assert lines(tally) == {"impatient": 4}
        assert store.count_attempts() == {"exception": 4}
        assert store.failure(reference.key(bad)).attempts == 4
        store.forget_failures(key=reference.key(bad))
        with pytest.raises(ReferenceFailure):
            reference.evaluate(bad)
        assert lines(tally) == {"impatient": 8}


def test_attempts_go_on_where_an_earlier_life_of_the_run_stopped(store, tally):
    """Each attempt is on disk before the next begins; a resumed run goes on counting."""
    bad = place(0, x=1.5)

    class Killed(BaseException):
        pass

    def fall_over(attempt):
        store.add_attempt(attempt)
        if attempt.number == 2:
            raise Killed

    with engine("Picky") as picky:
        farm = LabelFarm(LocalProcesses(picky, 1), attempts=3)
        reference = StoredReference(farm, store)
        farm.on_failed_attempt = fall_over
        with pytest.raises(Killed):
            reference.evaluate(bad)
        assert store.failure(reference.key(bad)) is None
    with engine("Picky") as picky:
        reference = StoredReference(LabelFarm(LocalProcesses(picky, 1), attempts=3), store)
        with pytest.raises(ReferenceFailure):
            reference.evaluate(bad)
    assert [one.number for one in store.attempts()] == [1, 2, 3]
    assert lines(tally) == {"impatient": 3}


# Speculation


def test_what_is_needed_goes_before_what_may_be_needed(store):
    slow = Slow(0.05)
    reference = StoredReference(LabelFarm(InProcess(slow, workers=1)), store)
    futures = [reference.request(place(n), speculative=n > 0) for n in range(5)]
    futures.append(reference.request(place(9)))
    wait(futures)
    # The first was under way already when the last came.
    assert slow.asked[:2] == [place(0).digest(), place(9).digest()]
    reference.close()


def test_a_loser_of_speculation_frees_its_engine_at_once(store):
    with engine(seconds=30.0, time_out=100.0) as slow:
        reference = StoredReference(LabelFarm(LocalProcesses(slow, 1)), store)
        loser = reference.request(place(1), speculative=True)
        waiting = reference.request(place(2), speculative=True)
        while not any(one.busy for one in reference.reference.activity()):
            time.sleep(0.02)
        start = time.monotonic()
        reference.withdraw(place(2))
        reference.withdraw(place(1))
        for future in (loser, waiting):
            with pytest.raises(Withdrawn):
                future.result(10.0)
        assert time.monotonic() - start < 10.0
        assert (store.count(), store.count_failures(), store.count_attempts()) == (0, 0, {})


def test_a_label_that_two_want_is_computed_until_nobody_does(store):
    reference = StoredReference(LabelFarm(InProcess(Slow(0.3))), store)
    one, other = reference.request(place(1)), reference.request(place(1))
    reference.withdraw(place(1))
    assert one.result(10.0) is other.result(10.0)
    reference.close()


# Cores


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no pinning here")
def test_engines_are_confined_to_their_cores():
    cores = sorted(os.sched_getaffinity(0))
    with engine(workers=1) as reference:
        reference.pin([cores[-1:]])
        reference.attempt(place(1), tightened=False)
        pid = reference._processes[0].pid
        assert os.sched_getaffinity(pid) == set(cores[-1:])
    assert shares_of_cores(len(cores), 1) == [(core,) for core in cores]
    with pytest.raises(InputError, match="fewer workers"):
        shares_of_cores(len(cores) + 1, 1)
