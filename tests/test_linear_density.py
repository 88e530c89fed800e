"""The linear density potential: its rows, its file, its learner, its repulsion."""

import json
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.geometry.neighbours import pairs
from hyperatom.potentials.compiled_potential import SKIN
from hyperatom.potentials.feature_rows import RowMaker
from hyperatom.potentials.features.density import DensitySettings
from hyperatom.potentials.linear_density import LinearDensityModel, LinearDensityPotential
from hyperatom.potentials.linear_learner import LinearDensityLearner
from hyperatom.potentials.repulsion import ENERGY, WIDTH, repulsion, repulsion_radii

CUTOFF = 3.7
TRICLINIC = np.array([[5.0, 0.0, 0.0], [1.8, 4.6, 0.0], [-1.0, 0.9, 5.3]])
SPECIES = (8, 1, 14)  # deliberately not ascending
CASES = {
    "triclinic": (TRICLINIC, (1, 1, 1), (8, 1, 8, 1, 1, 8)),
    "thinner than the cutoff": (np.diag([2.4, 6.0, 3.1]), (1, 1, 1), (8, 8, 1, 1, 1, 8)),
    "slab": (np.diag([4.0, 5.0, 0.0]), (1, 1, 0), (1, 8, 1, 1, 8, 8)),
    "isolated": (np.zeros((3, 3)), (0, 0, 0), (8, 1, 1, 8, 1, 8)),
    "one atom": (0.6 * TRICLINIC, (1, 1, 1), (8,)),
    "three species": (TRICLINIC, (1, 1, 1), (14, 8, 1, 8, 14, 1, 8)),
}


def configuration(name, seed=0):
    cell, periodic, numbers = CASES[name]
    rng = np.random.default_rng(seed)
    n_atoms = len(numbers)
    places = np.array([[i % 2, i // 2 % 2, i // 4] for i in range(n_atoms)]) / 2.0
    box = cell + np.diag(np.where(np.diag(cell) == 0.0, 4.0, 0.0))
    positions = (places + rng.uniform(-0.07, 0.07, (n_atoms, 3))) @ box
    masses = np.full(n_atoms, 10.0)
    return Configuration(numbers, positions, cell, np.array(periodic, dtype=bool), masses)


@cache
def model_of(species, precision="float64", rich=False):
    """Few features; one number of neighbour slots for all, so that little is compiled."""
    settings = {
        "n_radial": 4, "max_degree": 1, "power_spectrum_radial": 2, "power_spectrum_degree": 1
    }  # fmt: skip
    if rich:
        settings = {
            "n_radial": 3, "max_degree": 2, "power_spectrum_radial": 2, "power_spectrum_degree": 2,
            "bispectrum_radial": 1, "bispectrum_degree": 2,
            "trispectrum_radial": 1, "trispectrum_degree": 1,
        }  # fmt: skip
    model = LinearDensityModel(
        DensitySettings(species=species, cutoff=CUTOFF, **settings), precision
    )
    model.capacity = dict.fromkeys((0.0, SKIN), (32,) * len(species))
    return model


def random_potential(species, radius=1.2, seed=1, rich=False):
    model = model_of(species, rich=rich)
    rng = np.random.default_rng(seed)
    factor = np.triu(rng.normal(size=(model.n_unknowns, model.n_unknowns)))
    factor[np.diag_indices(model.n_unknowns)] += 30.0
    return LinearDensityPotential(
        model,
        rng.normal(size=(len(species), model.features.n_features)) / 3.0,
        rng.normal(size=len(species)),
        np.full((len(species), len(species)), radius),
        rng.uniform(0.1, 1.0, model.n_unknowns),
        factor,
        noise=1e-3,
        inflation=1.3,
    )


# Rows


@pytest.mark.parametrize("name", CASES)
def test_rows_times_weights_are_energy_forces_and_virial(name):
    here = configuration(name)
    species = SPECIES if name == "three species" else SPECIES[:2]
    potential = random_potential(species, 2.2, rich=name == "triclinic")
    nothing = potential.model.parameters(
        0.0 * potential.weights, 0.0 * potential.constants, potential.radii
    )
    rows = RowMaker(potential.model).make(here)
    unknowns = np.concatenate([potential.weights.ravel(), potential.constants])
    energy, forces, virial = potential.model.evaluate(potential.parameters, here)
    floor, floor_forces, floor_virial = potential.model.evaluate(nothing, here)
    assert rows.energy @ unknowns == pytest.approx(energy - floor, abs=1e-9)
    np.testing.assert_allclose(
        (rows.forces @ unknowns).reshape(-1, 3), forces - floor_forces, atol=1e-9
    )
    np.testing.assert_allclose(rows.virial @ unknowns, virial - floor_virial, atol=1e-9)
    assert np.abs(virial).max() > 1e-2
    assert np.abs(forces).max() > 1e-2 or here.n_atoms == 1
    # The same features, summed, are what the predicted error is made of.
    totals = potential.model.totals(here, here.positions[None], here.cell[None])
    np.testing.assert_allclose(totals, rows.energy, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["triclinic", "slab", "isolated"])
def test_forces_are_minus_the_gradient_with_the_repulsion(name):
    here = configuration(name)
    potential = random_potential(SPECIES[:2], radius=3.0)
    direction = np.random.default_rng(2).normal(size=(here.n_atoms, 3))
    step = 1e-4
    ends = [
        potential.evaluate(here.with_positions(here.positions + s * step * direction)).energy
        for s in (-2, -1, 1, 2)
    ]
    slope = (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * step)
    expected = -np.sum(potential.evaluate(here).forces * direction)
    assert slope == pytest.approx(expected, rel=1e-7, abs=1e-8)


def test_predicted_error_is_that_of_the_weights_and_the_noise():
    potential, here = random_potential(SPECIES[:2]), configuration("triclinic")
    factor = potential.factor
    covariance = np.linalg.inv(factor.T @ factor) * np.outer(potential.scales, potential.scales)
    features = potential.model.totals(here, here.positions[None], here.cell[None])[0]
    expected = 1.3 * np.sqrt(features @ covariance @ features + 6 * 1e-3**2)
    assert potential.evaluate(here).energy_error == pytest.approx(expected, rel=1e-9)


# Species


def test_an_unknown_species_is_named():
    potential = random_potential(SPECIES[:2])
    with pytest.raises(InputError, match=r"nothing of Si; it was made for O, H"):
        potential.evaluate(configuration("three species"))


def test_the_order_of_atoms_does_not_matter():
    potential, here = random_potential(SPECIES), configuration("three species")
    order = np.random.default_rng(3).permutation(here.n_atoms)
    there = Configuration(
        here.numbers[order], here.positions[order], here.cell, here.periodic, here.masses[order]
    )
    one, other = potential.evaluate(here), potential.evaluate(there)
    assert other.energy == pytest.approx(one.energy, rel=1e-12)
    np.testing.assert_allclose(other.forces, one.forces[order], atol=1e-11)
    assert other.energy_error == pytest.approx(one.energy_error, rel=1e-10)


# The file


def test_what_is_loaded_is_bit_equal(tmp_path):
    potential, here = random_potential(SPECIES[:2]), configuration("triclinic")
    potential.model.reserve(here)
    path = tmp_path / "guide.npz"
    potential.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["guide.npz"]
    loaded = LinearDensityPotential.load(path)
    one, other = potential.evaluate(here), loaded.evaluate(here)
    assert one.energy == other.energy
    assert one.energy_error == other.energy_error
    np.testing.assert_array_equal(one.forces, other.forces)
    np.testing.assert_array_equal(one.stress, other.stress)
    assert loaded.digest() == potential.digest()
    with np.load(path, allow_pickle=False) as file:
        assert json.loads(str(file["header"]))["format"].startswith("hyperatom")
        assert all(file[name].dtype != object for name in file.files)


def test_other_parameters_have_another_digest():
    made = [random_potential(SPECIES[:2], *given) for given in ((1.0, 1), (1.1, 1), (1.0, 2))]
    digests = {potential.digest() for potential in made}
    assert len(digests) == 3


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_file_cut_off_is_a_plain_error(tmp_path, share):
    path = tmp_path / "guide.npz"
    random_potential(SPECIES[:2]).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="not a readable potential"):
        LinearDensityPotential.load(path)


def test_a_file_of_another_kind_is_a_plain_error(tmp_path):
    with pytest.raises(InputError, match="not a readable potential"):
        LinearDensityPotential.load(tmp_path / "missing.npz")
    (tmp_path / "text.npz").write_text("weights: none\n")
    with pytest.raises(InputError, match="not a readable potential"):
        LinearDensityPotential.load(tmp_path / "text.npz")
    np.savez(tmp_path / "pickle.npz", header=np.array([{"format": 1}], dtype=object))
    with pytest.raises(InputError, match="not a readable potential"):
        LinearDensityPotential.load(tmp_path / "pickle.npz")
    path = tmp_path / "old.npz"
    random_potential(SPECIES[:2]).save(path)
    with np.load(path) as file:
        arrays = dict(file)
    arrays["header"] = np.array(json.dumps({**json.loads(str(arrays["header"])), "format": "0"}))
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="format '0'"):
        LinearDensityPotential.load(path)


# Dynamics


def test_single_precision_follows_double_precision():
    double, here = random_potential(SPECIES[:2]), configuration("triclinic")
    single = LinearDensityPotential(
        model_of(SPECIES[:2], "float32"),
        double.weights, double.constants, double.radii, double.scales, double.factor, 1e-3, 1.3,
    )  # fmt: skip
    momenta = 0.3 * np.random.default_rng(5).normal(size=(here.n_atoms, 3))
    one = double.trajectory(here, momenta, 0.1, 30, 10)
    other = single.trajectory(here, momenta, 0.1, 30, 10)
    assert np.abs(one.positions - here.positions).max() > 0.05
    np.testing.assert_allclose(other.positions, one.positions, atol=2e-5)
    np.testing.assert_allclose(other.momenta, one.momenta, atol=2e-4)
    np.testing.assert_allclose(other.energies, one.energies, atol=2e-5)
    np.testing.assert_allclose(other.errors, one.errors, rtol=1e-3)
    assert np.abs(other.positions - one.positions).max() > 1e-10
    # Evaluation is in double precision for both.
    assert single.evaluate(here).energy == pytest.approx(double.evaluate(here).energy, rel=1e-12)


def test_checked_points_carry_the_energies_and_errors_of_an_evaluation():
    potential, here = random_potential(SPECIES[:2]), configuration("triclinic")
    momenta = 0.3 * np.random.default_rng(6).normal(size=(here.n_atoms, 3))
    path = potential.trajectory(here, momenta, 0.1, 20, 10)
    for energy, error, waypoint in zip(path.energies, path.errors, path.waypoints, strict=True):
        there = potential.evaluate(here.with_positions(waypoint))
        assert energy == pytest.approx(there.energy, abs=1e-10)
        assert error == pytest.approx(there.energy_error, rel=1e-9)


def test_a_path_that_runs_away_has_infinite_error():
    potential, here = random_potential(SPECIES[:2]), configuration("triclinic")
    path = potential.trajectory(here, np.full((here.n_atoms, 3), 1e7), 10.0, 20, 10)
    assert np.isnan(path.positions).all()
    assert np.isinf(path.errors[-1])
    assert np.isfinite(path.errors[0])


# Repulsion


def repulsion_at(distances, r0):
    displacements = np.zeros((3, len(distances), 1))
    displacements[0, :, 0] = distances
    with jax.enable_x64(True):
        kind = jnp.zeros(len(distances), dtype=jnp.int32)
        return 2.0 * np.asarray(
            repulsion(jnp.array([[r0]]), jnp.asarray(displacements), kind, (1,))
        )


def test_repulsion_is_smooth_at_its_end_and_linear_inside():
    r0 = 2.0
    h = 1e-3
    r = np.array([r0 - h, r0, r0 + h, 1.5 * r0])
    values = repulsion_at(r, r0)
    assert values[0] == pytest.approx(ENERGY * (h / (WIDTH * r0)) ** 3, rel=1e-4)
    np.testing.assert_array_equal(values[1:], 0.0)
    r = np.linspace(0.05, 2.2, 2151)
    values = repulsion_at(r, r0)
    slope = np.gradient(values, r)
    assert np.all(np.diff(values) <= 0.0)
    # Far inside the slope tends to -5 E0/(w r0), and never exceeds it by more than an eighth.
    limit = 5.0 * ENERGY / (WIDTH * r0)
    assert slope[1] == pytest.approx(-limit, rel=0.1)
    assert np.abs(slope).max() < 1.126 * limit


def test_repulsion_radii_are_a_fifth_closer_than_the_start():
    here = Configuration(
        [8, 1, 1],
        [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.2, 0.0]],
        np.zeros((3, 3)), np.zeros(3, dtype=bool), [16.0, 1.0, 1.0],
    )  # fmt: skip
    radii = repulsion_radii(here, (8, 1), CUTOFF)
    assert radii[0, 1] == radii[1, 0] == pytest.approx(0.8)
    assert radii[1, 1] == pytest.approx(0.8 * np.hypot(1.0, 1.2))
    # Two oxygens never meet: 0.7 times twice the covalent radius of 0.66 Å.
    assert radii[0, 0] == pytest.approx(0.7 * 2 * 0.66)


def test_repulsion_radii_do_not_depend_on_the_order_of_the_species():
    here = configuration("three species")
    radii = [repulsion_radii(here, species, CUTOFF) for species in ((1, 8, 14), (14, 1, 8))]
    order = [2, 0, 1]
    np.testing.assert_allclose(radii[1], radii[0][np.ix_(order, order)], rtol=1e-12)


# The learner


def morse_label(here):
    """A smooth pair potential with a truth to learn: energy, forces and stress by numpy."""
    i, j, lattice = pairs(here.positions, here.cell, here.periodic, CUTOFF)
    vectors = here.positions[j] + lattice @ here.cell - here.positions[i]
    r = np.linalg.norm(vectors, axis=1)
    depth = np.where(here.numbers[i] == here.numbers[j], 0.5, 0.8)
    e = np.exp(-1.4 * (r - 2.5))
    fade, slope = (
        (1.0 - (r / CUTOFF) ** 2) ** 3,
        -6.0 * r / CUTOFF**2 * (1 - (r / CUTOFF) ** 2) ** 2,
    )
    energy = depth * (e * e - 2.0 * e)
    derivative = fade * depth * 1.4 * 2.0 * (e - e * e) + slope * energy
    pull = (derivative / r)[:, None] * vectors
    forces = np.zeros((here.n_atoms, 3))
    np.add.at(forces, i, pull)
    np.add.at(forces, j, -pull)
    virial = vectors.T @ pull
    stress = (virial / here.volume)[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    # Atoms have energies of their own, far larger than what binds them.
    return Evaluation(float(np.sum(fade * energy)) - 40.0 * here.n_atoms, forces, stress)


def crystal(seed, width=0.22):
    # Bounded displacements: what a linear model makes of unseen short distances is another matter.
    grid = np.array([[i, j, k] for i in range(2) for j in range(2) for k in range(2)], dtype=float)
    rng = np.random.default_rng(seed)
    positions = 2.5 * grid + width * rng.uniform(-1.0, 1.0, (8, 3))
    numbers = np.where(grid.sum(axis=1) % 2 == 0, 8, 1)
    cell = 5.0 * np.eye(3)
    return Configuration(numbers, positions, cell, np.ones(3, dtype=bool), np.full(8, 10.0))


@cache
def learner_model():
    settings = DensitySettings(
        species=SPECIES[:2], cutoff=CUTOFF, n_radial=9, max_degree=1,
        power_spectrum_radial=1, power_spectrum_degree=1,
    )  # fmt: skip
    model = LinearDensityModel(settings)
    model.capacity = dict.fromkeys((0.0, SKIN), (32, 32))
    return model


def taught(n_labels):
    learner = LinearDensityLearner(learner_model(), crystal(0, 0.0))
    for seed in range(n_labels):
        learner.add(crystal(seed), morse_label(crystal(seed)))
        learner.fit()
    return learner


@pytest.fixture(scope="module")
def learner():
    return taught(20)


def test_the_labels_are_right():
    here = crystal(1)
    label = morse_label(here)
    direction = np.random.default_rng(7).normal(size=(8, 3))
    ends = [
        morse_label(here.with_positions(here.positions + s * 1e-4 * direction)).energy
        for s in (-1, 1)
    ]
    assert (ends[1] - ends[0]) / 2e-4 == pytest.approx(-np.sum(label.forces * direction), rel=1e-5)


def test_it_learns_a_crystal(learner):
    potential = learner.fit()
    unseen = [crystal(seed) for seed in range(1000, 1040)]
    truth, found = [morse_label(c) for c in unseen], [potential.evaluate(c) for c in unseen]
    energy = np.array([[t.energy, f.energy] for t, f in zip(truth, found, strict=True)]).T
    forces = np.array([[t.forces, f.forces] for t, f in zip(truth, found, strict=True)])
    stress = np.array([[t.stress, f.stress] for t, f in zip(truth, found, strict=True)])
    assert np.std(energy[1] - energy[0]) < 0.05 * np.std(energy[0])
    assert np.std(forces[:, 1] - forces[:, 0]) < 0.05 * np.std(forces[:, 0])
    assert np.std(stress[:, 1] - stress[:, 0]) < 0.05 * np.std(stress[:, 0])
    # No less certain than it may be; the fit is better than the noise it admits to at least.
    ratio = (energy[1] - energy[0]) / np.array([f.energy_error for f in found])
    assert np.sqrt(np.mean(ratio**2)) < 1.5


def test_it_recognises_the_noise_of_its_labels():
    noisy = LinearDensityLearner(learner_model(), crystal(0, 0.0))
    rng = np.random.default_rng(8)
    for seed in range(16):
        truth = morse_label(crystal(seed))
        noisy.add(
            crystal(seed),
            Evaluation(
                truth.energy + 0.02 * np.sqrt(8.0) * rng.normal(),
                truth.forces + 0.1 * rng.normal(size=(8, 3)),
            ),
        )
    assert noisy.hyperparameters.noise["forces"] == pytest.approx(0.1, rel=0.15)
    assert 0.01 < noisy.hyperparameters.noise["energy"] < 0.04


def test_virials_that_weights_could_fit_exactly_are_not_taken_for_exact():
    """Fewer of them than features, and noisy: evidence must not settle at no noise at all."""
    settings = DensitySettings(
        species=SPECIES[:2], cutoff=CUTOFF, n_radial=9, max_degree=2,
        power_spectrum_radial=3, power_spectrum_degree=2,
    )  # fmt: skip
    model = LinearDensityModel(settings)
    model.capacity = dict.fromkeys((0.0, SKIN), (32, 32))
    noisy = LinearDensityLearner(model, crystal(0, 0.0))
    rng = np.random.default_rng(9)
    for seed in range(16):
        here = crystal(seed)
        truth = morse_label(here)
        noise = 0.3 * np.sqrt(8.0) / here.volume * rng.normal(size=6)
        forces = truth.forces + 0.05 * rng.normal(size=(8, 3))
        noisy.add(here, Evaluation(truth.energy, forces, truth.stress + noise))
    assert 6 * noisy.n_labels < model.n_unknowns
    assert noisy.hyperparameters.noise["virial"] == pytest.approx(0.3, rel=0.3)
    assert noisy.hyperparameters.noise["forces"] == pytest.approx(0.05, rel=0.2)


def test_it_is_less_certain_where_it_has_not_been(learner):
    potential = learner.fit()
    known = np.mean([potential.evaluate(crystal(s)).energy_error for s in range(2000, 2005)])
    strange = np.mean([potential.evaluate(crystal(s, 0.6)).energy_error for s in range(2000, 2005)])
    assert strange > 3.0 * known


def test_the_same_labels_in_the_same_order_give_the_same_potential():
    digests = {taught(4).fit().digest() for _ in range(2)}
    assert len(digests) == 1
    assert taught(5).fit().digest() not in digests


def test_a_fit_is_frozen(learner):
    few = taught(5)
    before = few.fit()
    here, digest = crystal(50), before.digest()
    energy = before.evaluate(here).energy
    few.add(crystal(51), morse_label(crystal(51)))
    assert few.fit() is not before
    assert few.fit() is few.fit()
    assert before.evaluate(here).energy == energy
    assert before.digest() == digest
    assert few.fit().evaluate(here).energy != energy


def test_labels_far_off_are_forgotten():
    spoilt = LinearDensityLearner(learner_model(), crystal(0, 0.0), energy_window=20.0)
    for seed in range(3):
        wrong = morse_label(crystal(seed, 0.4))
        spoilt.add(crystal(seed, 0.4), Evaluation(wrong.energy + 500.0, 3.0 * wrong.forces))
    for seed in range(12):
        spoilt.add(crystal(seed), morse_label(crystal(seed)))
    assert spoilt.forgotten == 3
    assert spoilt.n_labels == 12
    assert len(spoilt.labels) == 15

    # What is left of the first label is its energy per atom, which the constants make good.
    unseen = [crystal(seed) for seed in range(1000, 1020)]
    truth = np.array([morse_label(c).energy for c in unseen])
    found = np.array([spoilt.fit().evaluate(c).energy for c in unseen])
    assert np.abs(found - truth).max() < 0.05 * np.std(truth)


def test_forgetting_never_forgets_everything():
    here = crystal(0)
    learner = LinearDensityLearner(learner_model(), here, energy_window=1.0)
    for energy in (0.0, 100.0, 300.0, 600.0, 1000.0, 1500.0):
        learner.add(here, Evaluation(energy, np.zeros((8, 3))))
        assert learner.n_labels >= 1
        assert np.isfinite(learner.fit().evaluate(here).energy)


def test_few_labels_leave_directions_that_only_the_prior_holds(learner):
    learner.fit()
    few = taught(1)
    assert few.unseen > learner.unseen
    for one in (few, learner):
        assert np.isfinite(one.fit().weights).all()
