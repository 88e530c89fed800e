"""Symmetry functions that are chosen from data, and networks on them."""

import numpy as np
import pytest
from pydantic import ValidationError

from hyperatom.potentials.families.behler_parrinello import (
    FAMILIES,
    BehlerParrinelloSettings,
    SymmetryFunctionSettings,
)
from hyperatom.potentials.family import FitTask
from hyperatom.potentials.family_learner import FamilyLearner
from hyperatom.potentials.features.cutoff_functions import CutoffFunction
from hyperatom.potentials.features.symmetry_functions import (
    AngularFunction,
    RadialFunction,
    SymmetryFunctions,
)
from hyperatom.potentials.fitted_files import load_fitted
from hyperatom.potentials.network_fit import scaling_of
from hyperatom.potentials.symmetry_function_choice import chosen, pool, values
from labelled_frames import labelled_frames

SPECIES = (1, 8)
CUTOFF = 3.6
FAMILY = FAMILIES[0]
SMALL = {**FAMILY.small, "descriptors": "symmetry_functions", "functions": 8, "epochs": 60}


def configurations(n, seed=0):
    return [frame.configuration for frame in labelled_frames(n, seed)]


def task(settings, frames, start=None):
    constants = np.array([-2.0, -16.0])
    return FitTask(settings, SPECIES, frames, [], constants, start=start)


def test_the_pool_covers_all_lengths_of_all_species_and_pairs():
    functions = pool((8, 1), CUTOFF, 3.0)
    radial = [one for one in functions if isinstance(one, RadialFunction)]
    angular = [one for one in functions if isinstance(one, AngularFunction)]
    assert len(radial) == 2 * 13
    assert len(angular) == 3 * 7 * 3 * 2
    assert len(set(functions)) == len(functions)
    for neighbour in SPECIES:
        own = [one for one in radial if one.neighbour == neighbour]
        centred = sorted(one.eta**-0.5 for one in own if one.shift == 0.0)
        np.testing.assert_allclose([centred[0], centred[-1]], [CUTOFF / 6.0, CUTOFF])
        shifts = sorted(one.shift for one in own if one.shift > 0.0)
        np.testing.assert_allclose(np.diff(np.log(shifts)), np.log(6.0) / 6.0)
        assert shifts[-1] < CUTOFF


def test_values_are_those_of_each_atom_alone():
    features = SymmetryFunctions(SPECIES, pool(SPECIES, CUTOFF, 3.0)[::9], CutoffFunction())
    here = configurations(2)
    rows, kinds = values(features, here)
    assert rows.shape == (16, features.n_features)
    assert kinds.tolist() == [0, 1] * 8
    again, _ = values(features, here[1:])
    np.testing.assert_allclose(rows[8:], again, rtol=1e-12)
    # One radial function by hand.
    function = features.functions[0]
    first = here[0]
    images = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), axis=-1).reshape(-1, 3) @ first.cell
    neighbours = first.positions[first.numbers == function.neighbour]
    r = np.linalg.norm(neighbours[:, None] + images - first.positions[0], axis=2).ravel()
    r = r[(r > 1e-9) & (r < CUTOFF)]
    window = 0.5 * (np.cos(np.pi * r / CUTOFF) + 1.0)
    by_hand = np.sum(np.exp(-function.eta * (r - function.shift) ** 2) * window)
    assert rows[0, 0] == pytest.approx(by_hand, rel=1e-10)


def left_over(columns, rows):
    """Part of the rows' squares that combinations of the columns do not make."""
    basis = np.linalg.qr(rows[:, columns])[0]
    return float(np.sum((rows - basis @ (basis.T @ rows)) ** 2) / np.sum(rows**2))


def test_the_chosen_say_more_about_the_rest_than_others_do():
    functions = pool(SPECIES, CUTOFF, 3.0)
    here = configurations(12)
    found, n_atoms = chosen(functions, SPECIES, here, 12, 0)
    assert n_atoms == 96
    assert len(set(found)) == 12
    assert [functions.index(one) for one in found] == sorted(functions.index(one) for one in found)
    assert chosen(functions, SPECIES, here, 12, 0)[0] == found
    rows, kinds = values(SymmetryFunctions(SPECIES, functions, CutoffFunction()), here)
    for kind, (shift, stretch) in enumerate(scaling_of(rows, kinds, 2)):
        rows[kinds == kind] = (rows[kinds == kind] - shift) * stretch
    ours = left_over([functions.index(one) for one in found], rows)
    rng = np.random.default_rng(1)
    others = [left_over(rng.choice(len(functions), 12, replace=False), rows) for _ in range(50)]
    assert ours < 0.05
    assert ours < min(others)


def test_a_potential_remembers_its_functions(tmp_path):
    settings = BehlerParrinelloSettings(**SMALL)
    frames = labelled_frames(12)
    fitted = FAMILY.fit(task(settings, frames)).potential
    own = fitted.settings
    assert len(own.symmetry_functions) == 8
    assert own.chosen_by == 96
    assert FAMILY.unknowns(settings, SPECIES) == FAMILY.unknowns(own, SPECIES)
    fitted.save(tmp_path / "network.potential")
    again = load_fitted(tmp_path / "network.potential")
    here = frames[3].configuration
    assert again.evaluate(here).energy == fitted.evaluate(here).energy
    assert np.array_equal(again.evaluate(here).forces, fitted.evaluate(here).forces)
    # It has learned: much better than the mean energy, on frames it has not seen.
    unseen = labelled_frames(8, seed=5)
    wrong = [fitted.evaluate(f.configuration).forces - f.evaluation.forces for f in unseen]
    size = np.std([f.evaluation.forces for f in unseen])
    assert np.sqrt(np.mean(np.square(wrong))) < 0.4 * size
    # Given functions are taken as they are; a start keeps its own until atoms are twice as many.
    given = BehlerParrinelloSettings(**{**SMALL, "symmetry_functions": own.symmetry_functions[:3]})
    assert FAMILY.fit(task(given, frames[:2])).potential.settings == given
    more = FAMILY.fit(task(settings, labelled_frames(13, seed=2), fitted)).potential
    assert more.settings == own


def test_a_guide_chooses_anew_as_labels_become_more():
    settings = BehlerParrinelloSettings(**{**SMALL, "epochs": 5})
    frames = labelled_frames(4)
    learner = FamilyLearner(FAMILY, settings, frames[0].configuration)
    chosen_by = []
    for frame in frames:
        learner.add(frame.configuration, frame.evaluation)
        guide = learner.fit()
        chosen_by.append(guide.settings.chosen_by)
        found = guide.evaluate(frame.configuration)
        assert np.isfinite(found.energy)
        # What is compiled belongs to the functions that were chosen.
        assert guide.model.atomic_energy.architecture.features.n_features == 8
        functions = guide.model.atomic_energy.architecture.features.functions
        first = guide.settings.symmetry_functions[0]
        assert (functions[0].eta, functions[0].shift) == (first.eta, first.shift)
    assert chosen_by == [8, 16, 16, 32]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"neighbours": ["Xx"], "eta": 1.0}, "no element 'Xx'"),
        ({"neighbours": ["O"], "eta": -1.0}, "eta"),
        ({"neighbours": ["O", "H"], "eta": 1.0, "zeta": 0.5}, "zeta"),
        ({"neighbours": ["O", "H", "O"], "eta": 1.0}, "neighbours"),
    ],
)
def test_functions_that_make_no_sense_are_refused(wrong, said):
    with pytest.raises(ValidationError, match=said):
        BehlerParrinelloSettings(descriptors="symmetry_functions", symmetry_functions=[wrong])


def test_functions_beside_other_descriptors_are_refused():
    with pytest.raises(ValidationError, match="write descriptors: symmetry_functions"):
        BehlerParrinelloSettings(symmetry_functions=[{"neighbours": ["O"], "eta": 1.0}])


def test_a_species_that_the_potential_is_not_for_is_refused():
    from hyperatom.errors import InputError

    of_silicon = [SymmetryFunctionSettings(neighbours=["Si"], eta=1.0)]
    settings = BehlerParrinelloSettings(**{**SMALL, "symmetry_functions": of_silicon})
    with pytest.raises(InputError, match="List every species"):
        FAMILY.fit(task(settings, labelled_frames(2)))
