"""Where physically informed networks start: Morse bonds, at the distances of the data."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from hyperatom.potentials.committee_fit import _labels
from hyperatom.potentials.energies_of_atoms import energies_of_atoms
from hyperatom.potentials.families.physically_informed import _architecture
from hyperatom.potentials.family import FitTask
from hyperatom.potentials.family_catalogue import checked_settings, find_family
from hyperatom.potentials.physically_informed_fit import (
    morse_pairs,
    nearest_neighbours,
    some_of,
)
from hyperatom.potentials.repulsion import closest_radii
from hyperatom.potentials.training.batches import pack
from hyperatom.potentials.training.parameter_vector import ParameterVector
from hyperatom.potentials.training.problem import Noise, TrainingProblem
from hyperatom.potentials.training.training import Look
from labelled_frames import labelled_frames

SPECIES = (1, 8)
FRAMES = labelled_frames(8)
FAMILY = find_family("physically_informed")
SETTINGS = checked_settings(FAMILY, {"kind": FAMILY.name, **FAMILY.small})


def stacks_of(frames, terms):
    radii = closest_radii([frame.configuration for frame in frames], SPECIES, terms.cutoff)
    return pack(_labels(frames, SPECIES, radii), terms)


def test_the_first_bonds_are_those_of_morse():
    nearest = np.array([[2.0, 2.5], [2.5, 3.1]])
    r = np.linspace(1.5, 4.0, 6)[:, None, None]
    big_a, alpha, big_b, beta = np.moveaxis(morse_pairs(nearest, 0.7, 4.0), 2, 0)
    found = np.exp(big_a - alpha * (r - nearest)) - np.exp(big_b - beta * (r - nearest))
    fading = np.exp(-4.0 / nearest * (r - nearest))
    np.testing.assert_allclose(found, 0.7 * (fading**2 - 2.0 * fading), rtol=1e-12)


def test_lengths_of_bonds_are_medians_of_nearest_neighbours_or_radii_of_those_that_never_meet():
    from ase.data import covalent_radii

    architecture = _architecture(SETTINGS, (1, 6, 8))
    terms = architecture.terms
    stacks = pack(_labels(FRAMES, terms.species, np.full((3, 3), 1e-3)), terms)
    found = nearest_neighbours(stacks, terms.species, terms.cutoff)
    np.testing.assert_array_equal(found, found.T)
    assert found[1, 1] == 2.0 * covalent_radii[6]
    assert found[0, 1] == covalent_radii[1] + covalent_radii[6]
    ways = []
    for own, other in ((1, 8), (8, 1)):
        closest = []
        for frame in FRAMES:
            here = frame.configuration
            images = np.array(list(np.ndindex(3, 3, 3))) - 1
            there = here.positions[here.numbers == other] + (images @ here.cell)[:, None]
            apart = here.positions[here.numbers == own][:, None, None] - there
            closest.extend(np.linalg.norm(apart, axis=3).min(axis=(1, 2)))
        ways.append(np.median(closest))
    assert found[0, 2] == pytest.approx(min(ways), abs=1e-12)


@pytest.mark.slow
def test_bonds_alone_know_most_and_networks_begin_silent():
    architecture = _architecture(SETTINGS, SPECIES)
    stacks = stacks_of(FRAMES, architecture.terms)
    task = FitTask(SETTINGS, SPECIES, FRAMES, (), energies_of_atoms(FRAMES, SPECIES), seed=3)
    first, second = architecture.starts(task, stacks, Noise())
    parameters = ParameterVector(first)
    problem = TrainingProblem(architecture.terms, parameters, Noise())
    np.testing.assert_array_equal(first["pairs"], second["pairs"])
    assert not np.array_equal(first["networks"][0]["layers"][0], second["networks"][0]["layers"][0])
    rest = architecture.rest(first, task.constants)
    same = Look(problem).errors(problem.start([first, second, rest]), stacks)
    np.testing.assert_allclose(same.loss, same.loss[0], rtol=1e-10)
    forces = np.concatenate([frame.evaluation.forces.ravel() for frame in FRAMES])
    assert same.forces[0] < 0.25 * forces.std()
    features = np.concatenate([x.ravel() for x in jax.tree.leaves(first["networks"][0]["layers"])])
    assert np.abs(features).max() > 0.1
    # A fit that starts from another goes on with its members.
    members = jax.tree.map(lambda *leaves: np.stack(leaves), second, first)
    start = type("Fitted", (), {"parameters": {"members": members}})
    resumed = architecture.starts(replace(task, start=start), stacks, Noise())
    np.testing.assert_array_equal(parameters.vector(resumed[0]), parameters.vector(second))


def test_some_of_the_labels_are_whole_batches_of_every_class():
    architecture = _architecture(SETTINGS, SPECIES)
    stacks = stacks_of(FRAMES, architecture.terms)
    for few in (some_of(stacks, 1), some_of(stacks, 10**6)):
        assert [one.slots for one in few] == [one.slots for one in stacks]
        assert all(one.n_batches >= 1 for one in few)
    assert sum(one.n_batches for one in some_of(stacks, 10**6)) == sum(
        one.n_batches for one in stacks
    )
