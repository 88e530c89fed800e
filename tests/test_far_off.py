"""Frames of another calculation are named; a bad potential, or few frames, accuse nobody."""

from dataclasses import replace

import numpy as np

from hyperatom.fitting.errors_of_potentials import assess
from hyperatom.fitting.far_off import far_off
from hyperatom.potentials.families.calculator import CalculatorSettings
from hyperatom.potentials.family import FitTask, family_of
from hyperatom.report.potential_page import write_potential_page
from labelled_frames import labelled_frames

FRAMES = [replace(one, source=f"frame {k}") for k, one in enumerate(labelled_frames(4) * 15)]
USUAL = 1e-3 * np.random.default_rng(0).normal(size=len(FRAMES))


def test_two_of_sixty_from_a_calculation_with_an_offset_are_named_the_farthest_first():
    wrong = USUAL.copy()
    wrong[[7, 30]] = -0.041, -0.054
    told = far_off(FRAMES, wrong)
    assert told.startswith("2 of 60 energies are far off, where half of all errors are below 0.")
    assert "frame 30 -54 meV/atom; frame 7 -41 meV/atom. Are they" in told


def test_nobody_is_accused_without_reason():
    assert far_off(FRAMES, USUAL) == ""
    # One potential that is bad at a third of the frames; too few frames to say what is usual.
    wrong = USUAL.copy()
    wrong[::3] = 0.05
    assert far_off(FRAMES, wrong) == ""
    assert far_off(FRAMES[:10], np.append(USUAL[:9], 0.05)) == ""


def test_the_page_of_a_potential_tells_it(tmp_path):
    """All labels are the potential's own, but for noise and the zero of energy of one frame."""
    keywords = {"sigma": 1.4, "epsilon": 0.1, "rc": 3.6, "ro": 2.5, "smooth": True}
    settings = CalculatorSettings(calculator="ase.calculators.lj.LennardJones", keywords=keywords)
    task = FitTask(settings, (1, 8), FRAMES[:4], (), np.zeros(2))
    potential = family_of(settings).fit(task).potential
    wrong = USUAL.copy()
    wrong[3] = 0.4
    labels = []
    for frame, error in zip(FRAMES, wrong, strict=True):
        known = potential.evaluate(frame.configuration)
        energy = known.energy - error * frame.configuration.n_atoms
        labels.append(replace(frame, evaluation=replace(known, energy=energy)))
    found = assess(potential, labels, timed=False, trusted=False)
    assert "1 of 60 energies" in found.far_off
    assert "frame 3 +400 meV/atom" in found.far_off
    write_potential_page(tmp_path / "page.html", "one odd frame", {"frames": found})
    assert "frame 3 +400 meV/atom" in (tmp_path / "page.html").read_text()
