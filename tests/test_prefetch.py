"""Prefetch: labels asked for ahead of their time, and the chain bit for bit the same."""

import threading
import time
from concurrent.futures import Future

import numpy as np
import pytest

from hyperatom.configuration import Configuration
from hyperatom.contracts import Proposed
from hyperatom.errors import ReferenceFailure
from hyperatom.evaluation import Evaluation
from hyperatom.references.farm.in_process import InProcess
from hyperatom.references.farm.label_farm import LabelFarm
from hyperatom.references.label_store import LabelStore
from hyperatom.references.stored import StoredReference
from hyperatom.sampling.canonical import Canonical
from hyperatom.sampling.metropolis import ChainState, metropolis
from hyperatom.sampling.prefetch import Prefetch

ENSEMBLE = Canonical(3000.0)
START = Configuration([18], [[0.3, 0.0, 0.0]], np.zeros((3, 3)), [False] * 3, [40.0])


def energy(configuration):
    """A skewed well."""
    x = configuration.positions
    return float(np.sum(0.5 * x**2 + 0.2 * x**3 + 0.1 * x**4))


class Well:
    """Has no answer where x is above 0.9 Å."""

    identity = '{"calculator":"skewed well"}'

    def __init__(self, seconds=0.0):
        self.seconds, self.asked, self.lock = seconds, [], threading.Lock()

    def evaluate(self, configuration):
        with self.lock:
            self.asked.append(configuration.digest())
        time.sleep(self.seconds)
        if configuration.positions[0, 0] > 0.9:
            raise ReferenceFailure("Too far to the right.")
        return Evaluation(energy(configuration), -configuration.positions)

    def close(self):
        pass


class Jump:
    """A random displacement, vetoed now and then; the guide is wrong by a tenth of an eV."""

    def propose(self, configuration, rng):
        moved = configuration.with_positions(
            configuration.positions + rng.normal(0.0, 0.35, configuration.positions.shape)
        )
        veto = "on a whim" if rng.random() < 0.15 else None
        record = {"guide": energy(moved) - energy(configuration) + 0.1 * rng.normal()}
        return Proposed(moved, float(0.1 * rng.normal()), veto, record)


def random_numbers(number):
    return np.random.default_rng([7, number])


def expect(proposed):
    return proposed.log_ratio - proposed.record["guide"] / ENSEMBLE.thermal_energy


def serial(reference, n_steps):
    state, chain = ChainState(START, Evaluation(energy(START), -START.positions)), []
    for number in range(1, n_steps + 1):
        rng = random_numbers(number)
        proposed = Jump().propose(state.configuration, rng)
        state, transition = metropolis(state, proposed, reference, ENSEMBLE, rng)
        chain.append((state.configuration.digest(), transition.uniform, transition.accepted))
    return chain


def ahead(reference, n_steps, depth, **settings):
    prefetch = Prefetch(Jump(), reference, random_numbers, depth, n_steps, **settings)
    state, chain = ChainState(START, Evaluation(energy(START), -START.positions)), []
    for number in range(1, n_steps + 1):
        proposed, rng, _ = prefetch.propose(number, state.configuration)
        state, transition = metropolis(state, proposed, reference, ENSEMBLE, rng)
        prefetch.settle(transition)
        chain.append((state.configuration.digest(), transition.uniform, transition.accepted))
    return chain


@pytest.fixture
def farmed(tmp_path):
    stores = []

    def make(seconds, workers):
        stores.append(LabelStore(tmp_path / f"labels-{len(stores)}.db"))
        well = Well(seconds)
        return well, StoredReference(LabelFarm(InProcess(well, workers), attempts=1), stores[-1])

    yield make
    for store in stores:
        store.close()


@pytest.mark.parametrize("depth", [0, 1, 2, 7])
@pytest.mark.parametrize("settings", [{}, {"expect": expect}])
def test_the_chain_is_that_of_the_serial_run(farmed, depth, settings):
    calm = serial(farmed(0.0, 1)[1], 120)
    outcomes = [accepted for _, _, accepted in calm]
    assert 0.3 < np.mean(outcomes) < 0.9  # both branches are taken often
    _, reference = farmed(0.001, 4)
    assert ahead(reference, 120, depth, **settings) == calm
    reference.close()


def test_good_guesses_are_labels_there_in_time(farmed):
    """With a guide that is good, most steps find their label asked for before they began."""
    well, reference = farmed(0.02, 4)
    chain = ahead(reference, 40, 3, expect=expect)
    reference.close()
    asked_before = [label for label in reference.store if label.provenance.endswith("ahead")]
    used = {digest for digest, _, accepted in chain if accepted}
    in_time = [label for label in asked_before if label.configuration.digest() in used]
    assert len(in_time) > 0.6 * len(used)
    assert len(well.asked) == len(set(well.asked))


class Recorder:
    """A farm whose labels come when the test says so."""

    def __init__(self):
        self.requests, self.withdrawn = {}, []

    def request(self, configuration, provenance=None, *, speculative):
        future = self.requests.setdefault(configuration.digest(), Future())
        future.speculative = speculative
        return future

    def withdraw(self, configuration):
        self.withdrawn.append(configuration.digest())


class Step:
    """Moves by one Å: up in odd steps, down in even ones."""

    def propose(self, configuration, rng):
        rng.random()
        return Proposed(configuration.with_positions(configuration.positions + 1.0), 0.0)


def test_both_branches_are_asked_for_and_the_loser_is_withdrawn():
    farm = Recorder()
    prefetch = Prefetch(Step(), farm, random_numbers, 2, 10)
    proposed, rng, _ = prefetch.propose(1, START)
    assert any(future.speculative for future in farm.requests.values())
    up = START.with_positions(START.positions + 1.0)
    twice = START.with_positions(START.positions + 2.0)
    # Rejected and proposed again from where it was, this move is the same configuration.
    assert {up.digest(), twice.digest()} < set(farm.requests)
    farm.requests[up.digest()].set_result(Evaluation(1e6, np.zeros((1, 3))))
    state = ChainState(START, Evaluation(0.0, np.zeros((1, 3))))

    class Answer:
        def evaluate(self, configuration):
            return farm.requests[configuration.digest()].result()

    state, transition = metropolis(state, proposed, Answer(), ENSEMBLE, rng)
    assert not transition.accepted
    prefetch.settle(transition)
    assert twice.digest() in farm.withdrawn
    assert up.digest() not in farm.withdrawn
    prefetch.propose(2, state.configuration)
    assert farm.requests[up.digest()].speculative is False


def test_nothing_is_asked_for_beyond_the_last_step():
    farm = Recorder()
    Prefetch(Step(), farm, random_numbers, 10, 3).propose(1, START)
    digests = {START.with_positions(START.positions + n).digest() for n in (1.0, 2.0, 3.0)}
    assert set(farm.requests) <= digests


def test_abandoning_withdraws_everything():
    farm = Recorder()
    prefetch = Prefetch(Step(), farm, random_numbers, 4, 10)
    prefetch.propose(1, START)
    prefetch.abandon()
    assert set(farm.withdrawn) == set(farm.requests)
