"""Refits of a guide: nothing is compiled for a label more, and few epochs suffice."""

from contextlib import contextmanager

import jax
import numpy as np
import pytest

from hyperatom.potentials.energies_of_atoms import energies_of_atoms
from hyperatom.potentials.family import FitTask
from hyperatom.potentials.family_catalogue import find_family
from hyperatom.potentials.training.batches import TrainingLabel, pack, power_of_two
from labelled_frames import labelled_frames
from training_case import morse_labels, network_terms

SPECIES = (1, 8)
FRAMES = labelled_frames(12)
COMPILED = "/jax/core/compile/backend_compile_duration"


@contextmanager
def compilations():
    """Programs that XLA compiles meanwhile."""
    found = []
    watching = True

    def note(event, seconds, **details):
        if watching and event == COMPILED:
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(note)
    yield found
    watching = False


def test_compilations_are_counted():
    with compilations() as found:
        jax.jit(lambda x: 3.0 * x + np.pi)(np.ones(7)).block_until_ready()
    assert found


def test_shapes_of_batches_hardly_depend_on_the_labels():
    labels = morse_labels(30)
    terms = network_terms()

    def shapes(count):
        stacks = pack(labels[:count], terms, atoms_per_batch=48, shapes=1)
        return [leaf.shape for leaf in jax.tree.leaves(stacks)], stacks[0].n_batches

    few, many = shapes(17), shapes(30)
    assert shapes(18)[0] == few[0]
    assert many[0] != few[0]
    # What is filled is what there is, and a filled batch is never behind an empty one.
    (stack,) = pack(labels, terms, atoms_per_batch=48, shapes=1)
    assert len(stack.weight) == power_of_two(stack.n_batches) == 8
    assert stack.n_batches == 5
    assert (np.asarray(stack.member).sum(axis=(1, 2)) > 0.0).sum() == 5
    assert stack.weight.sum() == 30
    assert stack.weight[stack.n_batches :].sum() == 0
    assert isinstance(labels[0], TrainingLabel)


def test_powers_of_two():
    assert [power_of_two(n) for n in (1, 2, 3, 4, 5, 8, 9, 100)] == [1, 2, 4, 4, 8, 8, 16, 128]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["behler_parrinello", "ace"])
def test_a_fit_to_one_label_more_compiles_nothing_and_needs_few_epochs(kind):
    family = find_family(kind)
    own = {**family.small, "members": 2, "epochs": 40, "patience": 8}
    settings = family.settings(**own)
    latest, epochs, counts = None, [], []
    for count in (9, 10, 11):
        training = FRAMES[:count]
        constants = energies_of_atoms(training, SPECIES)
        task = FitTask(settings, SPECIES, training, (), constants, start=latest)
        with compilations() as found:
            result = family.fit(task)
        latest = result.potential
        epochs.append(result.curve[-2].amount)
        counts.append(len(found))
    # What other tests have compiled is there already.
    assert counts[0] > 0
    # The second fit is the first that starts from a potential; the third is like it.
    assert counts[2] == 0
    assert max(epochs[1:]) < epochs[0]
