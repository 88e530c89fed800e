"""Predicted errors against errors made: known answers of normal errors."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from hyperatom.fitting.errors_of_potentials import assess
from hyperatom.fitting.trust import Trust, trust
from hyperatom.potentials.families.calculator import CalculatorSettings
from hyperatom.potentials.family import FitTask, family_of
from hyperatom.report.potential_page import write_potential_page
from labelled_frames import labelled_frames

FRAMES = labelled_frames(8)


def made_up(factor, n=20_000):
    rng = np.random.default_rng(0)
    predicted = 1e-3 * rng.lognormal(0.0, 1.0, n)
    return Trust(predicted, factor * predicted * rng.normal(size=n))


def test_errors_that_are_half_of_what_is_made():
    found = made_up(2.0)
    assert found.scale == pytest.approx(2.0, rel=0.02)
    assert found.coverage(0.68) == pytest.approx(0.68, abs=0.01)
    assert found.coverage(0.95) == pytest.approx(0.95, abs=0.01)
    # Within half a sigma lie 38.3 %: 0.68 corresponds to 0.994 sigma.
    assert found.coverage(0.68, rescaled=False) == pytest.approx(0.381, abs=0.012)
    assert 0.5 < found.rank_correlation < 0.8
    assert "times 2: 68% and 95%" in found.sentence()


def test_a_few_outliers_do_not_set_the_scale():
    found = made_up(2.0)
    found.found[::200] *= 100.0
    assert found.scale == pytest.approx(2.0, rel=0.03)
    assert np.sqrt(np.mean((found.found / found.predicted) ** 2)) > 10.0


def test_ranks_of_errors_that_are_known_exactly_and_not_at_all():
    predicted = np.linspace(1.0, 2.0, 50)
    assert Trust(predicted, -(predicted**2)).rank_correlation == pytest.approx(1.0)
    shuffled = np.random.default_rng(1).permutation(predicted)
    assert abs(Trust(predicted, shuffled).rank_correlation) < 0.4
    assert np.isnan(Trust(np.ones(50), predicted).rank_correlation)
    assert np.isnan(made_up(1.0, 3).rank_correlation)
    assert "Rank" not in made_up(1.0, 3).sentence()


def test_the_rank_that_perfectly_known_errors_would_have():
    found = made_up(2.0, 500)
    best, spread = found.rank_at_best
    assert 0.0 < spread < 0.05
    assert abs(found.rank_correlation - best) < 4.0 * spread
    # Sizes that differ less tell less.
    alike = Trust(1.0 + 0.2 * found.predicted / found.predicted.max(), found.found)
    assert alike.rank_at_best[0] < 0.2
    assert "would have 0." in found.sentence()
    assert found.numbers()["rank_correlation_at_best"] == best


def test_it_is_told_of_a_potential_that_predicts_errors(tmp_path):
    keywords = {"sigma": 1.4, "epsilon": 0.1, "rc": 3.6, "ro": 2.5, "smooth": True}
    settings = CalculatorSettings(calculator="ase.calculators.lj.LennardJones", keywords=keywords)
    potential = (
        family_of(settings).fit(FitTask(settings, (1, 8), FRAMES, (), np.zeros(2))).potential
    )
    found = assess(potential, FRAMES, timed=False)
    # All frames have as many atoms, and the error is the root mean square of these very frames.
    rms = np.sqrt(np.mean(found.trust.found**2))
    np.testing.assert_allclose(found.trust.predicted, rms, rtol=1e-6)
    assert found.numbers()["predicted_error_scale"] == found.trust.scale
    assert "rank_correlation" not in found.numbers()
    write_potential_page(tmp_path / "page.html", "soft pairs", {"frames": found})
    assert "Predicted errors of energies" in (tmp_path / "page.html").read_text()
    silent = replace(potential, known_errors=None)
    assert assess(silent, FRAMES, timed=False).trust is None
    assert trust(SimpleNamespace(), FRAMES, found.energies) is None
