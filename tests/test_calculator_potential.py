"""ASE calculators as potentials: bit for bit what they say, also inside the compiled loop."""

from dataclasses import replace

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

from hyperatom.errors import InputError
from hyperatom.interchange.ase_atoms import to_ase
from hyperatom.potentials.families.calculator import CalculatorSettings
from hyperatom.potentials.family import FitTask, family_of
from labelled_frames import labelled_frames

FRAMES = labelled_frames(4, species=(29, 79), spread=0.02)
HERE = FRAMES[0].configuration.with_cell(
    FRAMES[0].configuration.positions * 1.4, FRAMES[0].configuration.cell * 1.4
)
SPECIES = (29, 79)


class Brittle(Calculator):
    """A spring to the origin that breaks at a distance, and knows no stress."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        if np.abs(self.atoms.positions).max() > 20.0:
            raise RuntimeError("it broke")
        self.results = {
            "energy": float((self.atoms.positions**2).sum()),
            "free_energy": float((self.atoms.positions**2).sum()) - 1.0,
            "forces": -2.0 * self.atoms.positions,
        }


def fitted(calculator, frames=FRAMES, **keywords):
    settings = CalculatorSettings(calculator=calculator, keywords=keywords)
    task = FitTask(settings, SPECIES, frames, (), np.zeros(2))
    return family_of(settings).fit(task).potential


def test_it_says_what_the_calculator_says_to_the_last_bit():
    potential = fitted("ase:ase.calculators.emt.EMT")
    bare = replace(potential, parameters=np.zeros(2))
    atoms = to_ase(HERE)
    atoms.calc = EMT()
    found = bare.evaluate(HERE)
    assert found.energy == atoms.get_potential_energy()
    np.testing.assert_array_equal(found.forces, atoms.get_forces())
    np.testing.assert_allclose(found.stress, atoms.get_stress(), rtol=1e-12)
    shifted = replace(potential, parameters=np.array([1.0, -3.0])).evaluate(HERE)
    assert shifted.energy == pytest.approx(found.energy + 4 * 1.0 - 4 * 3.0, abs=1e-12)


def test_energies_of_atoms_are_what_the_labels_ask_for():
    bare = fitted("ase:ase.calculators.emt.EMT")
    frames = []
    for frame in FRAMES:
        said = replace(bare, parameters=np.array([0.5, 2.0])).evaluate(frame.configuration)
        frames.append(replace(frame, evaluation=replace(said, energy_error=None)))
    frames.append(replace(frames[0], configuration=_less_gold(frames[0].configuration)))
    frames[-1] = replace(
        frames[-1],
        evaluation=replace(bare, parameters=np.array([0.5, 2.0])).evaluate(
            frames[-1].configuration
        ),
    )
    potential = fitted("ase:ase.calculators.emt.EMT", frames)
    np.testing.assert_allclose(potential.parameters, [0.5, 2.0], atol=1e-9)
    assert potential.evaluate(HERE).energy_error == pytest.approx(0.0, abs=1e-9)


def _less_gold(here):
    numbers = here.numbers.copy()
    numbers[1] = 29
    return replace(here, numbers=numbers)


def test_where_it_fails_a_path_ends_as_no_number():
    potential = fitted("test_calculator_potential.Brittle")
    there = potential.trajectory(HERE, np.zeros(HERE.positions.shape), 0.01, 4, 2)
    assert there.finite
    assert potential.evaluate(HERE).stress is None
    free = replace(potential, parameters=np.zeros(2)).evaluate(HERE).energy
    assert free == pytest.approx((HERE.positions**2).sum() - 1.0, abs=1e-12)
    kicked = potential.trajectory(HERE, np.full(HERE.positions.shape, 1e4), 0.01, 4, 2)
    assert not kicked.finite
    with pytest.raises(InputError, match="no finite energy"):
        potential.evaluate(HERE.with_positions(HERE.positions + 30.0))


@pytest.mark.parametrize(
    ("path", "keywords", "said"),
    [
        ("ase:ase.calculators.emt.EMTT", {}, "no calculator"),
        ("ase:no_such_engine.Engine", {}, "no calculator"),
        ("EMT", {}, "no calculator"),
        ("ase:ase.units.kB", {}, "not a calculator"),
        ("ase:ase.calculators.emt.EMT", {"atoms": 3}, "not accept"),
    ],
)
def test_what_cannot_be_called_is_explained(path, keywords, said):
    with pytest.raises(InputError, match=said):
        fitted(path, **keywords)
