"""Coulomb energies: Madelung constants, independence of the splitting, the limits of isolation."""

import jax
import numpy as np
import pytest
from ase.build import bulk

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.interchange.ase_atoms import from_ase
from hyperatom.potentials.classical.pair_sum import pair_potential
from hyperatom.potentials.ewald import COULOMB_CONSTANT, wave_vectors
from potential_suite import check_physics, make_configuration

# Nearest-neighbour Madelung constants: Sakamoto, J. Chem. Phys. 28, 164 (1958), and Crandall and
# Delord, J. Phys. A 20, 2279 (1987); per formula unit, for charges of +-1 (fluorite: +2, -1).
MADELUNG = {
    "rocksalt": (1.747564594633, 0.5, ("Na", "Cl"), (1.0, -1.0)),
    "cesiumchloride": (1.762674773070, 3**0.5 / 2, ("Na", "Cl"), (1.0, -1.0)),
    "zincblende": (1.638055053388, 3**0.5 / 4, ("Na", "Cl"), (1.0, -1.0)),
    "fluorite": (5.038784879846, 3**0.5 / 4, ("Ca", "F"), (2.0, -1.0)),
}
NOTHING = {"strength": 0.0}


def charges_alone(species, charges, cutoff=6.0, **settings):
    """A potential of point charges and nothing else."""
    return pair_potential(
        "charges",
        species,
        lambda pair, distance: pair["strength"] * distance,
        NOTHING,
        cutoff,
        "cut",
        charges=charges,
        **settings,
    )


IONS = charges_alone((11, 17), (1.0, -1.0))
SHARPER = charges_alone((11, 17), (1.0, -1.0), 8.0, splitting=1.1, accuracy=1e-12)


@pytest.mark.parametrize("structure", MADELUNG)
def test_madelung_constants(structure):
    constant, nearest, (cation, anion), charges = MADELUNG[structure]
    a = 5.0
    formula = cation + anion + (anion if structure == "fluorite" else "")
    crystal = from_ase(bulk(formula, structure, a=a))
    potential = IONS
    if structure == "fluorite":
        potential = charges_alone((20, 9), charges)
    found = -potential.evaluate(crystal).energy * nearest * a / COULOMB_CONSTANT
    assert found == pytest.approx(constant, rel=1e-9)


def neutral(case):
    """A configuration of the suite with as many positive as negative charges."""
    return make_configuration((11, 17), case, 2.4)


@pytest.mark.parametrize("case", ["triclinic", "thinner than the cutoff"])
def test_splitting_does_not_matter(case):
    """Energy, forces and stress of disordered ions, to 1e-9."""
    here = neutral(case)
    one, other = IONS.evaluate(here), SHARPER.evaluate(here)
    assert one.energy == pytest.approx(other.energy, rel=1e-9)
    np.testing.assert_allclose(one.forces, other.forces, atol=5e-9)
    np.testing.assert_allclose(one.stress, other.stress, atol=1e-9)


@pytest.mark.parametrize("case", ["triclinic", "thinner than the cutoff", "isolated"])
def test_physics(case):
    check_physics(IONS, case, spacing=2.4)


def test_isolated_ions_attract_as_coulomb_says_at_any_distance():
    """Two ions far beyond the cutoff, and three with a net charge."""
    for positions, numbers in (
        ([[0.0, 0.0, 0.0], [50.0, 0.0, 0.0]], [11, 17]),
        ([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 9.0, 1.0]], [11, 11, 17]),
    ):
        positions = np.array(positions)
        charge = np.where(np.array(numbers) == 11, 1.0, -1.0)
        ions = Configuration(
            np.array(numbers), positions, np.zeros((3, 3)), np.zeros(3, bool), np.ones(len(charge))
        )
        i, j = np.triu_indices(len(charge), 1)
        distance = np.linalg.norm(positions[i] - positions[j], axis=1)
        expected = COULOMB_CONSTANT * np.sum(charge[i] * charge[j] / distance)
        assert IONS.evaluate(ions).energy == pytest.approx(expected, rel=1e-9)


def test_pressure_is_a_third_of_the_energy_density():
    """Coulomb energies scale as 1/length, so the trace of the virial is minus the energy."""
    here = neutral("triclinic")
    found = IONS.evaluate(here)
    assert found.stress[:3].sum() * here.volume == pytest.approx(-found.energy, rel=1e-8)


def test_a_skewed_cell_of_the_same_crystal_costs_no_more_waves():
    """The waves are counted on the reduced cell."""
    cell = 5.0 * np.eye(3)
    skewed = np.array([[1, 0, 0], [3, 1, 0], [-2, 4, 1]]) @ cell
    counts = [[len(n) for n in wave_vectors(c, 0.7, 1e-10)[1:]] for c in (cell, skewed)]
    assert counts[0] == counts[1]
    sites = from_ase(bulk("NaCl", "rocksalt", a=5.0, cubic=True))
    other = Configuration(sites.numbers, sites.positions, skewed, sites.periodic, sites.masses)
    assert IONS.evaluate(other).energy == pytest.approx(IONS.evaluate(sites).energy, rel=1e-10)


def test_single_precision_is_no_garbage():
    """Forces of a float32 trajectory, as its first kick, to 1e-4 of their size."""
    here = neutral("triclinic")
    single = charges_alone((11, 17), (1.0, -1.0), precision="float32")
    still = np.zeros_like(here.positions)
    step = 1e-3
    kick = single.trajectory(here, still, step, 1, 1)
    forces = IONS.evaluate(here).forces
    np.testing.assert_allclose(kick.momenta / step, forces, atol=1e-4 * np.abs(forces).max())
    assert kick.energies[0] == pytest.approx(IONS.evaluate(here).energy, rel=1e-5)


def test_charges_can_be_learned():
    """The energy is quadratic in the charges: its derivative with their scale is twice itself."""
    here = neutral("isolated")
    with jax.enable_x64(True):
        lists = IONS.model.lists(here, skin=0.0).make(here.positions)
        arguments = IONS.model._arguments(IONS.parameters, here)

        def energy(parameters):
            everything = (parameters, *arguments[1:])
            model = IONS.model
            return model._energy_forces_virial(everything, here.positions, here.cell, lists).energy

        slope = jax.grad(energy)(jax.tree.map(jax.numpy.asarray, IONS.parameters))["charges"]
    expected = 2.0 * IONS.evaluate(here).energy
    assert float(slope @ np.array([1.0, -1.0])) == pytest.approx(expected, rel=1e-8)


def test_what_has_no_coulomb_energy_is_refused():
    charged = make_configuration((11, 11, 17), "triclinic", 2.4)
    with pytest.raises(InputError, match=r"has the charge \+2 e"):
        IONS.evaluate(charged)
    for case in ("slab", "wire"):
        with pytest.raises(InputError, match="periodic along some directions only"):
            IONS.evaluate(neutral(case))
    with pytest.raises(InputError, match="relative accuracy"):
        charges_alone((11, 17), (1.0, -1.0), accuracy=2.0)
    with pytest.raises(InputError, match="3 charges"):
        charges_alone((11, 17), (1.0, -1.0, 2.0))


def test_one_atom_and_the_smallest_cell():
    """A lattice of one charge is refused; of one neutral atom it has no energy."""
    lattice = make_configuration((11,), "one atom", 2.4)
    with pytest.raises(InputError, match="charge"):
        IONS.evaluate(lattice)
    assert charges_alone((11,), (0.0,)).evaluate(lattice).energy == 0.0
    # Two ions, all other neighbours images of themselves.
    ions = from_ase(bulk("NaCl", "rocksalt", a=3.0))
    expected = -1.747564594633 * COULOMB_CONSTANT / 1.5
    assert IONS.evaluate(ions).energy == pytest.approx(expected, rel=1e-9)
