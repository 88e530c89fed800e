"""A learned correction on top of a given potential, and one potential for atoms counted anew."""

import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms

from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.interchange.ase_calculator import PotentialCalculator
from hyperatom.potentials.combined_potentials import total, with_species
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.features.density import DensitySettings
from hyperatom.potentials.linear_density import LinearDensityModel, LinearDensityPotential
from hyperatom.potentials.linear_learner import LinearDensityLearner
from potential_suite import check_physics, make_configuration
from test_compiled_potential import CUTOFF, LONG, Breathing, pair_energy

STRENGTHS = np.array([[1.0, 0.6, 0.2], [0.6, 0.3, 0.5], [0.2, 0.5, 0.9]])
WINDOWS = CompiledPotential(CompiledModel((8, 1, 14), CUTOFF, pair_energy), STRENGTHS, "windows")
SETTINGS = DensitySettings(
    species=(1, 8), cutoff=3.0, n_radial=4, max_degree=1, power_spectrum_radial=2,
    power_spectrum_degree=1,
)  # fmt: skip


def test_atoms_counted_in_another_order_have_the_same_energy():
    here = make_configuration((8, 1), "triclinic", 2.0)
    other = with_species(WINDOWS, (1, 8))
    assert with_species(WINDOWS, (8, 1, 14)) is WINDOWS
    one, two = WINDOWS.evaluate(here), other.evaluate(here)
    assert two.energy == pytest.approx(one.energy, abs=1e-12)
    np.testing.assert_allclose(two.forces, one.forces, atol=1e-12)
    np.testing.assert_allclose(two.stress, one.stress, atol=1e-12)
    with pytest.raises(InputError, match="knows nothing of Al"):
        with_species(WINDOWS, (1, 13))


def coloured():
    """A long-range energy that sees species and neighbours."""

    class Coloured(Breathing):
        def energy(self, parameters, positions, cell, displacements, species, slots, prepared):
            of_slot = np.repeat(np.arange(len(slots)), slots)
            near = pair_energy(parameters, displacements, species, slots)
            assert len(of_slot) == displacements.shape[2]
            return jnp.sum(near * (1.0 + species)) ** 2 * 1e-3

    return CompiledPotential(CompiledModel((8, 1, 14), CUTOFF, None, Coloured()), STRENGTHS, "seen")


def test_long_range_energies_are_reordered_too():
    here = make_configuration((8, 1), "slab", 2.0)
    one, two = coloured().evaluate(here), with_species(coloured(), (1, 8)).evaluate(here)
    assert abs(one.energy) > 1e-3
    assert two.energy == pytest.approx(one.energy, abs=1e-12)
    np.testing.assert_allclose(two.forces, one.forces, atol=1e-12)


def learned_on(baseline, n_labels=6):
    """A fit to labels of the baseline plus a pair energy of another strength."""
    model = LinearDensityModel(SETTINGS, baseline=baseline)
    truth = CompiledPotential(CompiledModel((1, 8), CUTOFF, pair_energy), SMALL, "small")
    labels = []
    for seed in range(n_labels):
        here = make_configuration((8, 1), "triclinic", 2.2, seed)
        parts = [truth.evaluate(here), baseline.evaluate(here)]
        energy, forces, stress = (
            sum(getattr(part, name) for part in parts) for name in ("energy", "forces", "stress")
        )
        labels.append((here, Evaluation(energy, forces, stress)))
    learner = LinearDensityLearner(model, labels[0][0])
    for label in labels:
        learner.add(*label)
    return learner.fit(), labels


SMALL = np.array([[0.1, 0.05], [0.05, 0.2]])
BASELINE = total([with_species(WINDOWS, (8, 1)), LONG])


def test_what_is_learned_is_the_difference():
    potential, labels = learned_on(BASELINE)
    without = LinearDensityModel(SETTINGS)
    learner = LinearDensityLearner(without, labels[0][0])
    for label in labels:
        learner.add(*label)
    test = make_configuration((8, 1), "triclinic", 2.2, 99)
    spread = [
        np.abs(fit.evaluate(test).forces - _truth(test)).max() for fit in (potential, learner.fit())
    ]
    assert spread[0] < 0.3 * spread[1]
    for case in ("triclinic", "slab"):
        check_physics(potential, case, 2.2, extensive=False, species=(1, 8))


def _truth(here):
    small = CompiledPotential(CompiledModel((1, 8), CUTOFF, pair_energy), SMALL, "small")
    return small.evaluate(here).forces + BASELINE.evaluate(here).forces


def test_a_file_remembers_its_baseline(tmp_path):
    potential, labels = learned_on(BASELINE, 2)
    potential.save(tmp_path / "guide.npz")
    again = LinearDensityPotential.load(tmp_path / "guide.npz", potential.model)
    assert again.digest() == potential.digest()
    assert again.evaluate(labels[0][0]).energy == potential.evaluate(labels[0][0]).energy
    with pytest.raises(InputError, match="another baseline"):
        LinearDensityPotential.load(tmp_path / "guide.npz")
    other = LinearDensityModel(SETTINGS, baseline=WINDOWS)
    with pytest.raises(InputError, match="another baseline"):
        LinearDensityPotential.load(tmp_path / "guide.npz", other)


def test_as_an_ase_calculator():
    potential, labels = learned_on(BASELINE, 2)
    here, _ = labels[0]
    atoms = Atoms(here.numbers, here.positions, cell=here.cell, pbc=True)
    atoms.calc = PotentialCalculator(potential)
    found = potential.evaluate(here)
    assert atoms.get_potential_energy() == found.energy
    np.testing.assert_array_equal(atoms.get_forces(), found.forces)
    np.testing.assert_array_equal(atoms.get_stress(), found.stress)
    assert atoms.calc.results["energy_error"] == found.energy_error
    atoms.pbc = False
    atoms.cell = None
    assert "stress" not in atoms.calc.results or atoms.get_potential_energy() is not None
