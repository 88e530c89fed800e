"""Executors of other libraries as label farms: the same labels, and what they lose is noted."""

import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hyperatom.campaign.settings import load_settings
from hyperatom.configuration import Configuration
from hyperatom.errors import HyperatomError, InputError, ReferenceFailure
from hyperatom.references.ase_calculator import AseReference
from hyperatom.references.farm.executor_farm import ExecutorFarm, ExecutorKind
from hyperatom.references.farm.label_farm import LabelFarm
from hyperatom.references.farm.task import WorkerRefusal
from hyperatom.references.label_store import LabelStore
from hyperatom.references.stored import StoredReference

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src"


@pytest.fixture(autouse=True)
def _engines_can_be_imported(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(SOURCE)]))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def store(tmp_path):
    with LabelStore(tmp_path / "labels.db") as store:
        yield store


def place(number, x=None):
    positions = np.random.default_rng(number).uniform(0.0, 0.9, (2, 3))
    if x is not None:
        positions[0, 0] = x
    cell = np.eye(3) * (5.0 + 0.01 * number)
    return Configuration([1, 8], positions, cell, [True] * 3, [1.0, 16.0])


def farm(kind, name="Harmonic", identity=None, **keywords):
    with AseReference(f"farm_engines.{name}", keywords, {"patient": True}) as engine:
        return LabelFarm(
            ExecutorFarm(kind, engine.description, identity or engine.identity), attempts=2
        )


def check(kind, store):
    """Labels, an attempt that comes to nothing, an engine that refuses."""
    picky = farm(kind, "Picky")
    reference = StoredReference(picky, store)
    numbers = [place(n) for n in range(3)] + [place(9, x=1.5)]
    futures = [reference.request(one) for one in numbers]
    for one, future in zip(numbers, futures, strict=True):
        assert future.result(120.0).energy == 0.5 * np.sum(one.positions**2)
    assert store.count_attempts() == {"exception": 1}
    assert len(picky.activity()) == 1
    reference.close()


def test_a_pool_of_the_standard_library(store):
    check(ExecutorKind(lambda: ProcessPoolExecutor(1)), store)


def test_a_broken_pool_is_made_anew_and_the_loss_noted(store, tmp_path, monkeypatch):
    monkeypatch.setenv("HYPERATOM_TEST_TALLY", str(tmp_path / "tally"))
    doomed = farm(ExecutorKind(lambda: ProcessPoolExecutor(1)), "Doomed")
    reference = StoredReference(doomed, store)
    with pytest.raises(ReferenceFailure, match="executor lost the label"):
        reference.evaluate(place(1, x=2.0))
    assert store.count_attempts() == {"worker lost": 2}
    assert reference.evaluate(place(2)).energy == 0.5 * np.sum(place(2).positions ** 2)
    reference.close()


def test_another_version_of_the_engine_is_refused(store):
    kind = ExecutorKind(lambda: ProcessPoolExecutor(1))
    reference = StoredReference(farm(kind, identity='{"version":"of yesterday"}'), store)
    with pytest.raises(WorkerRefusal, match="another engine"):
        reference.evaluate(place(1))
    assert (store.count_failures(), store.count_attempts()) == (0, {})
    reference.close()
    with pytest.raises(HyperatomError, match="closed"):
        reference.evaluate(place(1))


@pytest.mark.slow
def test_executorlib(store):
    pytest.importorskip("executorlib")
    from hyperatom.references.farm.with_executorlib import executor_kind

    check(executor_kind(1, {"block_allocation": True}), store)
    with pytest.raises(InputError, match="SlurmClusterExecutor"):
        executor_kind(1, {"executor": "PbsExecutor"})
    with pytest.raises(InputError, match="colour"):
        executor_kind(1, {"colour": "blue"}).make()


@pytest.mark.slow
def test_parsl(store):
    pytest.importorskip("parsl")
    from hyperatom.references.farm.with_parsl import executor_kind

    check(executor_kind(1, {}), store)
    with pytest.raises(InputError, match="no option"):
        executor_kind(1, {"colour": "blue"})
    with pytest.raises(InputError, match="import path"):
        executor_kind(1, {"config": "nowhere.config"}).make()


@pytest.mark.slow
def test_dask(store):
    pytest.importorskip("distributed")
    from hyperatom.references.farm.with_dask import executor_kind

    check(executor_kind(1, {}), store)
    with pytest.raises(InputError, match="does not answer"):
        executor_kind(None, {"scheduler_file": "nowhere.json", "timeout": 1}).make()


@pytest.mark.parametrize("library", ["executorlib", "parsl", "dask"])
def test_a_missing_library_is_named(library, monkeypatch):
    import importlib

    for name in ("executorlib", "parsl", "parsl.concurrent", "distributed"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    module = importlib.import_module(f"hyperatom.references.farm.with_{library}")
    with pytest.raises(InputError, match=r"pip install 'hyperatom\["):
        module.executor_kind(1, {})


def test_the_input_names_a_queue_and_its_folder_together():
    text = "configuration: {crystal: silicon}\ntemperature: 300\nfarm: "
    assert load_settings(text + "{backend: queue, queue: q}", "x").farm.silence == 120.0
    for wrong in ("{backend: queue}", "{queue: q}", "{backend: slurm}"):
        with pytest.raises(InputError, match="farm"):
            load_settings(text + wrong, "x")
