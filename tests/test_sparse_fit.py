"""Predicted errors of sparse Gaussian processes, on frames of order and of disorder."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from scipy.stats import spearmanr

from hyperatom.evaluation import Evaluation
from hyperatom.interchange.ase_atoms import from_ase
from hyperatom.potentials.energies_of_atoms import energies_of_atoms
from hyperatom.potentials.family import FitTask, LabelledFrame
from hyperatom.potentials.family_catalogue import checked_settings, find_family


def frames(seed, n):
    """Copper, half of the frames nearly at rest and half hot; and how hot."""
    rng = np.random.default_rng(seed)
    made, widths = [], []
    for number in range(n):
        width = (0.02, 0.15)[number % 2]
        atoms = bulk("Cu", cubic=True) * (2, 2, 1)
        atoms.positions += rng.normal(scale=width, size=atoms.positions.shape)
        atoms.calc = EMT()
        evaluation = Evaluation(atoms.get_potential_energy(), atoms.get_forces(), None)
        made.append(LabelledFrame(from_ase(atoms), evaluation))
        widths.append(width)
    return made, np.array(widths)


def squeezed(factor):
    """What makes a crystal of another size."""
    return lambda atoms: atoms.set_cell(factor * atoms.cell, scale_atoms=True)


@pytest.mark.parametrize("kind", ["gap", "flare"])
def test_atoms_that_are_alike_are_no_reason_for_doubt(kind):
    """What points cannot say adds up where atoms are alike; the frames that were learned know."""
    family = find_family(kind)
    settings = checked_settings(family, {"kind": kind, **family.small, "cutoff": 4.5})
    (training, _), (validation, _), (test, widths) = frames(0, 40), frames(1, 20), frames(2, 60)
    task = FitTask(settings, (29,), training, validation, energies_of_atoms(training, (29,)))
    potential = family.fit(task).potential
    found = [potential.evaluate(one.configuration) for one in test]
    wrong = np.array([a.energy - b.evaluation.energy for a, b in zip(found, test, strict=True)])
    told = np.array([one.energy_error for one in found])
    hot = widths > 0.1
    assert np.abs(wrong[hot]).mean() > 2.0 * np.abs(wrong[~hot]).mean()
    assert told[hot].mean() > 1.5 * told[~hot].mean()
    assert spearmanr(told, np.abs(wrong)).statistic > 0.3
    assert 0.5 < np.sqrt(np.mean((wrong / told) ** 2)) < 2.0
    # Whatever was never seen is still doubted: a surface, and crystals of another size.
    for strange in (lambda one: one.center(vacuum=6.0, axis=2), squeezed(0.95), squeezed(1.05)):
        atoms = bulk("Cu", cubic=True) * (2, 2, 1)
        strange(atoms)
        assert potential.evaluate(from_ase(atoms)).energy_error > 5.0 * told.max()


def test_files_of_earlier_versions_have_one_factor_for_both_parts():
    """Two numbers where there are three now: the first is that of data and of points."""
    from dataclasses import replace

    family = find_family("gap")
    settings = checked_settings(family, {"kind": "gap", **family.small})
    training, _ = frames(0, 8)
    task = FitTask(settings, (29,), training, [], energies_of_atoms(training, (29,)))
    potential = family.fit(task).potential
    here = training[1].configuration
    three, two = (
        replace(potential, knowledge={**potential.knowledge, "inflation": np.array(factors)})
        for factors in ((2.0, 0.5, 2.0), (2.0, 0.5))
    )
    assert two.evaluate(here).energy_error == three.evaluate(here).energy_error
