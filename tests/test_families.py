"""Every family of learned potentials, found by its file: physics, fits, a toy of one file."""

import json
import textwrap
from dataclasses import replace
from functools import cache

import jax
import numpy as np
import pytest
import typer.testing
import yaml

from hyperatom.campaign.assembly import create, opened
from hyperatom.campaign.monitor import Unwatched
from hyperatom.campaign.settings import Settings, load_settings
from hyperatom.cli.main import app
from hyperatom.errors import InputError
from hyperatom.fitting.errors_of_potentials import assess
from hyperatom.fitting.settings import load_fit_settings, template
from hyperatom.interchange.ase_atoms import to_ase
from hyperatom.interchange.ase_calculator import PotentialCalculator
from hyperatom.interchange.potential_formats import read_potential
from hyperatom.potentials import families
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.energies_of_atoms import energies_of_atoms
from hyperatom.potentials.family import FitTask
from hyperatom.potentials.family_catalogue import (
    checked_settings,
    find_family,
    known_families,
    settings_schema,
)
from hyperatom.potentials.family_learner import FamilyLearner
from hyperatom.potentials.fitted_files import load_fitted
from hyperatom.potentials.network_fit import _rescaled
from labelled_frames import labelled_frames
from potential_suite import CASES, check_cutoff, check_physics
from test_compiled_potential import CUTOFF, pair_energy

SPECIES = (1, 8)
FRAMES = labelled_frames(24)
FAMILIES = [
    pytest.param(name, marks=() if name == "linear_density" else pytest.mark.slow)
    for name in known_families()
]


@cache
def fitted(name):
    family = find_family(name)
    settings = checked_settings(family, {"kind": name, **family.small})
    return family.fit(
        FitTask(
            settings,
            SPECIES,
            FRAMES[:18],
            FRAMES[18:],
            energies_of_atoms(FRAMES[:18], SPECIES),
            seconds=60.0,
        )
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", FAMILIES)
def test_physics(name, case):
    check_physics(fitted(name).potential, case, spacing=1.7)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_cutoff_is_smooth(name):
    check_cutoff(fitted(name).potential)


@pytest.mark.parametrize("name", FAMILIES)
def test_it_learns(name):
    result = fitted(name)
    energies = np.array([f.evaluation.energy / f.configuration.n_atoms for f in FRAMES])
    forces = np.concatenate([frame.evaluation.forces.ravel() for frame in FRAMES])
    found = assess(result.potential, FRAMES[18:], timed=False).total
    if find_family(name).unknowns(result.potential.settings, SPECIES) != len(SPECIES):
        # Where there is more to learn than the energies of atoms.
        assert found.energy < 0.3e3 * energies.std()
        assert found.forces < 0.3e3 * forces.std()
    assert result.curve[-1].validation[0] == pytest.approx(1e-3 * found.energy, rel=1e-3)
    assert result.curve[-1].validation[1] == pytest.approx(1e-3 * found.forces, rel=1e-3)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_loaded_is_bit_equal(name, tmp_path):
    potential, here = fitted(name).potential, FRAMES[0].configuration
    path = tmp_path / "potential.npz"
    potential.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["potential.npz"]
    loaded = load_fitted(path)
    one, other = potential.evaluate(here), loaded.evaluate(here)
    assert one.energy == other.energy
    assert one.energy_error == other.energy_error
    np.testing.assert_array_equal(one.forces, other.forces)
    np.testing.assert_array_equal(one.stress, other.stress)
    assert loaded.digest() == potential.digest()
    assert loaded.digest() != replace(potential, parameters=_doubled(potential)).digest()
    with np.load(path, allow_pickle=False) as file:
        assert all(file[key].dtype != object for key in file.files)
    atoms = to_ase(here)
    atoms.calc = PotentialCalculator(read_potential(path))
    assert atoms.get_potential_energy() == one.energy
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="not a readable potential"):
        load_fitted(path)


def _doubled(potential):
    import jax

    return jax.tree.map(lambda leaf: 2.0 * np.asarray(leaf), potential.parameters)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_settings_explain_themselves(name):
    family = find_family(name)
    assert family.settings.model_fields["kind"].default == name
    for key, entry in family.settings.model_fields.items():
        assert entry.description, key
    guide = load_settings(
        f"{{configuration: {{crystal: silicon}}, temperature: 300, guide: {{kind: {name}}}}}", "x"
    ).guide
    assert isinstance(guide, family.settings)
    assert guide.baseline.file is None
    assert f"GuideSettings_{name}" in json.dumps(settings_schema(Settings))


@pytest.mark.slow
def test_networks_differ_where_they_were_not_taught_and_go_on_where_they_ended():
    potential = fitted("behler_parrinello").potential
    here = FRAMES[20].configuration
    squeezed = here.with_cell(0.9 * here.positions, 0.9 * here.cell)
    assert potential.evaluate(squeezed).energy_error > 3.0 * potential.evaluate(here).energy_error
    # The networks of a finished fit are the same functions in the scaling of other frames.
    task = FitTask(
        potential.settings, SPECIES, FRAMES[:9], (), energies_of_atoms(FRAMES[:9], SPECIES),
        start=potential,
    )  # fmt: skip
    features = potential.model.atomic_energy.architecture.features
    own = potential.parameters["members"]
    for number in range(len(SPECIES)):
        shift, stretch = own[number]["shift"][0] + 0.3, own[number]["stretch"][0] * 1.7
        moved = _rescaled(
            {key: jax.tree.map(lambda leaf: leaf[0], own[number][key]) for key in own[number]},
            shift, stretch,
        )  # fmt: skip
        x = np.random.default_rng(number).normal(size=(5, features.n_features))
        before = own[number]["layers"][0]
        old = ((x - own[number]["shift"][0]) * own[number]["stretch"][0]) @ before[0][0]
        new = ((x - shift) * stretch) @ moved[0][0] + moved[0][1]
        np.testing.assert_allclose(new, old + before[1][0], atol=1e-10)
    resumed = find_family("behler_parrinello").fit(task)
    assert resumed.curve[0].training[0] < 0.2 * fitted("behler_parrinello").curve[0].training[0]


def test_a_kind_that_does_not_exist_is_named():
    text = "data: {files: [a.xyz]}\npotential: {kind: linear_densty}"  # codespell:ignore
    with pytest.raises(InputError, match="Did you mean 'linear_density'"):
        load_fit_settings(text, "fit.yaml")
    text = "data: {files: [a.xyz]}\npotential: {cut_off: 3}"
    with pytest.raises(InputError, match="did you mean 'cutoff'"):
        load_fit_settings(text, "fit.yaml")


def test_the_template_of_a_fit_states_the_defaults():
    assert load_fit_settings(template(), "template") == load_fit_settings(
        yaml.safe_dump({"data": {"files": ["training.xyz"]}}), "minimal"
    )


TOY = '''
"""A toy: one constant for each species."""

from typing import Literal

from pydantic import Field

from hyperatom.potentials.family import Family, FamilySettings, FitResult


class ToySettings(FamilySettings):
    """Nothing but constants."""

    kind: Literal["toy"] = Field("toy", description="family")
    colour: str = Field("red", description="no meaning at all")


def energy(parameters, displacements, central, slots):
    return parameters[central] + 0.0 * (displacements[0] * 0.0).sum(axis=1)


def assemble(settings, species, parameters, knowledge):
    from hyperatom.potentials.compiled_potential import CompiledModel
    from hyperatom.potentials.fitted import FittedPotential

    model = CompiledModel(species, settings.cutoff, energy)
    return FittedPotential(model, parameters, "toy", family="toy", settings=settings)


def fit(task):
    return FitResult(assemble(task.settings, task.species, task.constants, None))


FAMILIES = (Family("toy", "constants alone", ToySettings, fit, assemble),)
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "toy_of_the_tests.py").write_text(textwrap.dedent(TOY))
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(folder)])
    known_families.cache_clear()
    yield
    monkeypatch.undo()
    known_families.cache_clear()


def test_one_file_is_all_that_a_family_needs(toy, tmp_path):
    run = typer.testing.CliRunner()
    listed = run.invoke(app, ["list", "potentials"]).output
    assert "constants alone" in listed
    described = json.loads(run.invoke(app, ["schema"]).output)
    assert "colour" in described["$defs"]["GuideSettings_toy"]["properties"]
    settings = load_settings(
        "{configuration: {crystal: silicon}, temperature: 300, guide: {kind: toy, colour: blue}}",
        "input.yaml",
    )
    assert settings.guide.colour == "blue"
    with pytest.raises(InputError, match="did you mean 'colour'"):
        load_settings(
            "{configuration: {crystal: silicon}, temperature: 1, guide: {kind: toy, color: blue}}",
            "input.yaml",
        )
    write_frames(FRAMES, tmp_path / "soft.xyz")
    (tmp_path / "fit.yaml").write_text(
        "data: {files: [soft.xyz]}\npotential: {kind: toy, cutoff: 3}"
    )
    told = run.invoke(app, ["fit", str(tmp_path / "fit.yaml")])
    assert told.exit_code == 0, told.output
    told = run.invoke(
        app, ["evaluate", str(tmp_path / "fit/potential.npz"), str(tmp_path / "soft.xyz"), "--json"]
    )
    assert json.loads(told.output)["frames"] == 24
    # The suite that every family passes would judge it too.
    assert "toy" in known_families()
    check_physics(load_fitted(tmp_path / "fit/potential.npz"), "triclinic", spacing=1.7)


def write_frames(frames, path):
    import ase.io
    from ase.calculators.singlepoint import SinglePointCalculator

    written = []
    for frame in frames:
        atoms = to_ase(frame.configuration)
        evaluation = frame.evaluation
        atoms.calc = SinglePointCalculator(
            atoms, energy=evaluation.energy, forces=evaluation.forces, stress=evaluation.stress
        )
        atoms.info["config_type"] = frame.group
        written.append(atoms)
    ase.io.write(path, written, format="extxyz")


def test_a_toy_guides_a_campaign_that_resumes_bit_for_bit(toy, tmp_path):
    """Constants alone push no atom: paths are straight, and the reference judges them."""
    text = textwrap.dedent(
        """
        configuration: {crystal: aluminium}
        temperature: 300
        reference: {calculator: "ase:ase.calculators.emt.EMT"}
        guide: {kind: toy, cutoff: 3}
        sampling: {length: 5, segments: 1}
        learn: {calls: 6, window: 5, probation: 1}
        produce: {proposals: 3, guide_samples: 3}
        """
    )
    source = tmp_path / "toy.yaml"
    source.write_text(text)
    ends = []
    for name in ("one", "other"):
        path = tmp_path / name
        create(text, source, path)
        for _ in range(2):  # the second time learns again what is on disk
            with opened(path, Unwatched()) as campaign:
                campaign.run()
                steps = campaign.chain.steps()
                guide = campaign.frozen_path().guide
        assert guide.family == "toy"
        ends.append([(step.number, step.state_energy, step.guide) for step in steps])
    assert ends[0] == ends[1]
    assert {step.guide for step in steps if step.phase == "produce"} == {guide.digest()}


def test_the_learner_of_any_family_is_a_function_of_its_labels():
    family = find_family("linear_density")
    settings = family.settings(**family.small)
    digests = []
    for _ in range(2):
        learner = FamilyLearner(family, settings, FRAMES[0].configuration)
        for count, frame in enumerate(FRAMES[:8], 1):
            learner.add(frame.configuration, frame.evaluation)
            if count in (3, 6, 8):
                guide = learner.fit()
        digests.append(guide.digest())
    assert digests[0] == digests[1]
    assert learner.n_labels == 8
    assert 0.0 < learner.floor(guide) < 1.0


def test_a_guide_of_any_kind_learns_what_a_baseline_leaves(toy, tmp_path):
    """Constants on top of windows: energies, forces and errors of the sum, saved as constants."""
    family = find_family("toy")
    windows = CompiledPotential(
        CompiledModel((1, 8), CUTOFF, pair_energy), np.array([[1.0, 0.6], [0.6, 0.3]]), "windows"
    )
    settings = checked_settings(family, {"kind": "toy", "cutoff": 3.0})
    here = FRAMES[0].configuration
    learner = FamilyLearner(family, settings, here, baseline=windows)
    bare = FamilyLearner(family, settings, here)
    for frame in FRAMES[:3]:
        told = windows.evaluate(frame.configuration)
        label = replace(told, energy=told.energy + 4 * 1.5 - 4 * 0.25)
        learner.add(frame.configuration, label)
        bare.add(frame.configuration, label)
    guide, other = learner.fit(), bare.fit()
    unseen = FRAMES[5].configuration
    expected = windows.evaluate(unseen)
    assert guide.evaluate(unseen).energy == pytest.approx(expected.energy + 5.0, abs=1e-9)
    np.testing.assert_allclose(guide.evaluate(unseen).forces, expected.forces, atol=1e-12)
    assert other.evaluate(unseen).energy != pytest.approx(expected.energy + 5.0, abs=1e-3)
    guide.save(tmp_path / "guide.npz")
    again = learner.load(tmp_path / "guide.npz")
    assert again.digest() == guide.digest()
    assert again.evaluate(unseen).energy == guide.evaluate(unseen).energy
    assert again.model is guide.model
    momenta = np.zeros(unseen.positions.shape)
    path = guide.trajectory(unseen, momenta, 0.01, 2, 2)
    assert path.energies[0] == pytest.approx(guide.evaluate(unseen).energy, abs=1e-9)


@pytest.mark.parametrize("name", FAMILIES)
def test_single_precision_follows_double_precision_and_knows_its_errors(name):
    """As `hyperatom md` takes it."""
    potential, here = fitted(name).potential, FRAMES[0].configuration
    single = potential.in_precision("float32")
    assert single.model.precision == "float32"
    one, other = potential.evaluate(here), single.evaluate(here)
    np.testing.assert_allclose(other.forces, one.forces, atol=1e-3)
    if potential.known_errors is not None:
        assert other.energy_error == pytest.approx(one.energy_error, rel=1e-6)
