"""Forces and stress of local atomic energies against finite differences of the energy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperatom.geometry.cells import complete_cell
from hyperatom.geometry.neighbours import find_neighbours
from hyperatom.potentials.features.density import DensityFeatures, DensitySettings
from hyperatom.potentials.local_energy import energy_and_forces, energy_forces_virial

CUTOFF = 3.7
TRICLINIC = np.array([[5.0, 0.0, 0.0], [1.8, 4.6, 0.0], [-1.0, 0.9, 5.3]])
CASES = {
    "triclinic": (TRICLINIC, (True, True, True), 6, 2),
    "thinner than the cutoff": (np.diag([2.4, 6.0, 3.1]), (True, True, True), 4, 2),
    "slab": (np.diag([4.0, 5.0, 0.0]), (True, True, False), 6, 2),
    "isolated": (np.zeros((3, 3)), (False, False, False), 5, 2),
    "one atom": (TRICLINIC * 0.6, (True, True, True), 1, 1),
    "one isolated atom": (np.zeros((3, 3)), (False, False, False), 1, 1),
    "four species": (TRICLINIC, (True, True, True), 9, 4),
}
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


class Case:
    """A random configuration and a random smooth potential on the density features."""

    def __init__(self, name):
        self.cell, periodic, n_atoms, self.n_species = CASES[name]
        self.periodic = np.array(periodic)
        rng = np.random.default_rng(11)
        box = complete_cell(self.cell, self.periodic)
        box = np.where(self.periodic[:, None], box, 4.0 * box)
        # Positions on a jittered grid, some of them outside the cell.
        fractional = (rng.permutation(27)[:n_atoms, None] // [9, 3, 1] % 3) / 3.0
        fractional = fractional + rng.uniform(-0.06, 0.06, (n_atoms, 3))
        self.positions = (fractional + rng.integers(-1, 2, (n_atoms, 3))) @ box
        if not self.periodic.all():
            self.positions = fractional @ box
        self.species = np.arange(n_atoms) % self.n_species
        self.features = DensityFeatures(
            DensitySettings(
                species=tuple(range(1, self.n_species + 1)),
                cutoff=CUTOFF,
                n_radial=3,
                max_degree=3,
                power_spectrum_radial=2,
                power_spectrum_degree=3,
                bispectrum_radial=1 if self.n_species < 3 else 0,
                bispectrum_degree=2 if self.n_species < 3 else 0,
            )
        )
        self.compiled = jax.jit(self.from_neighbours, static_argnames=("block", "function"))
        self.weights = jnp.asarray(rng.normal(size=(self.n_species, self.features.n_features)))

    def atomic_energy(self, weights, displacements, central_species, slots):
        features = self.features(displacements, slots)
        return jnp.tanh(0.05 * jnp.sum(features * weights[central_species], axis=1))

    def from_neighbours(self, positions, neighbours, block, function):
        species = jnp.asarray(self.species)
        return function(self.atomic_energy, self.weights, positions, species, neighbours, block)

    def evaluate(
        self,
        positions=None,
        cell=None,
        block=None,
        function=energy_forces_virial,
        capacity=None,
        cutoff=CUTOFF,
        precision=np.float64,
    ):
        positions = self.positions if positions is None else positions
        cell = self.cell if cell is None else cell
        neighbours = find_neighbours(
            positions, cell, self.periodic, self.species, self.n_species, cutoff, capacity
        )
        return self.compiled(jnp.asarray(positions, dtype=precision), neighbours, block, function)


@pytest.fixture(scope="module")
def cases():
    with jax.enable_x64(True):
        return {name: Case(name) for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_forces_are_minus_the_gradient_of_the_energy(name, cases):
    case = cases[name]
    forces = np.asarray(case.evaluate().forces)
    rng = np.random.default_rng(0)
    step = 1e-4
    for _ in range(3):
        direction = rng.normal(size=forces.shape)
        ends = [case.evaluate(case.positions + s * step * direction).energy for s in (-2, -1, 1, 2)]
        slope = float(ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * step)
        expected = -float(np.sum(forces * direction))
        assert slope == pytest.approx(expected, rel=1e-6, abs=1e-9)
    np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-12)
    if len(forces) > 1:
        assert np.abs(forces).max() > 1e-3


@pytest.mark.parametrize("name", [n for n in CASES if all(CASES[n][1])])
def test_stress_is_the_strain_derivative_of_the_energy(name, cases):
    case = cases[name]
    virial = np.asarray(case.evaluate().virial)
    assert np.abs(virial).max() > 1e-3
    step = 1e-4
    for component, (a, b) in enumerate(VOIGT):
        ends = []
        for s in (-2, -1, 1, 2):
            strain = np.zeros((3, 3))
            strain[a, b] += 0.5 * s * step
            strain[b, a] += 0.5 * s * step
            deformation = np.eye(3) + strain
            ends.append(case.evaluate(case.positions @ deformation, case.cell @ deformation).energy)
        slope = float(ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * step)
        assert slope == pytest.approx(virial[component], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("block", [1, 4, 5, 8])
def test_the_size_of_the_blocks_changes_nothing(block, cases):
    case = cases["four species"]
    whole, parts = case.evaluate(block=9), case.evaluate(block=block)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
    energy, forces = case.evaluate(block=block, function=energy_and_forces)
    np.testing.assert_allclose(energy, whole.energy)
    np.testing.assert_allclose(forces, whole.forces, rtol=1e-12, atol=1e-13)


def test_energy_is_extensive_and_an_isolated_atom_feels_nothing(cases):
    single = float(cases["triclinic"].evaluate().energy)
    lonely = cases["one isolated atom"].evaluate()
    np.testing.assert_array_equal(lonely.forces, 0.0)
    assert float(lonely.energy) == 0.0
    double = Case("triclinic")
    double.positions = np.concatenate([double.positions, double.positions + double.cell[1]])
    double.species = np.tile(double.species, 2)
    double.cell = np.diag([1.0, 2.0, 1.0]) @ double.cell
    assert float(double.evaluate().energy) == pytest.approx(2.0 * single, rel=1e-12)


def test_a_longer_list_changes_nothing(cases):
    case = cases["triclinic"]
    long = case.evaluate(cutoff=CUTOFF + 1.0, capacity=(80, 72))
    for a, b in zip(case.evaluate(), long, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def test_single_precision_is_kept_single_and_close(cases):
    case = Case("triclinic")
    double = cases["triclinic"].evaluate()
    case.weights = case.weights.astype(jnp.float32)
    single = case.evaluate(precision=np.float32)
    assert single.forces.dtype == jnp.float32
    np.testing.assert_allclose(single.forces, double.forces, atol=2e-5)
    np.testing.assert_allclose(single.energy, double.energy, rtol=1e-5)
