"""Studies: a harmonic crystal by three routes, interruption, six dimensions, plain words."""

import json
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.io import write
from typer.testing import CliRunner

from hyperatom.analysis.density_map import DensityMap
from hyperatom.cli.main import app
from hyperatom.errors import InputError, RunDirectoryError
from hyperatom.frames import FramesInMemory
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.simulation import simulation as simulating
from hyperatom.simulation.movers import PotentialMover
from hyperatom.structures.quasicrystal.katz_gratias import katz_gratias
from hyperatom.studies import samples, study, study_directory
from hyperatom.studies.observations import energies, heat_capacity
from hyperatom.studies.page import investigate, write_page
from hyperatom.studies.parts import Part, learning_temperatures, motion_settings
from hyperatom.studies.pictures import draw_densities
from hyperatom.studies.settings import (
    CampaignParts,
    MapSettings,
    load_study_settings,
    template,
)
from hyperatom.studies.six_dimensions import lift_runs, phason_jumps
from hyperatom.studies.study import opened
from hyperatom.studies.study_directory import amend, create
from hyperatom.trajectory import Trajectory
from hyperatom.units import BOLTZMANN, FEMTOSECOND
from study_monitors import Watching, WatchingCampaigns

PERIOD = 60.0  # fs
EDGE = 3.0  # Å

INPUT = {
    "series": [
        {
            "name": "springs",
            "configuration": {"file": "springs.extxyz"},
            "potential": {"file": "springs"},
        }
    ],
    "temperatures": [400, 200, 300],
    "dynamic": {
        "bath": {"name": "langevin", "relaxation": 30.0},
        "time_step": 6.0,
        "equilibration": 0.6,
        "length": 240.0,
        "sample_every": 60.0,
    },
    "minima": {"frames": 4, "force": 1e-4},
    "maps": {"spacing": 0.5},
}


class Springs:
    """Each atom on a spring of its own: U = k/2 sum |r - r_0|^2, to the nearest image."""

    def prepare(self, configuration):
        return np.array(configuration.positions), np.array(configuration.cell)

    def energy(self, parameters, positions, cell, displacements, species, slots, prepared):
        home, box = prepared
        away = (positions - home) @ jnp.linalg.inv(box)
        away = (away - jnp.round(away)) @ box
        return 0.5 * parameters * jnp.sum(away**2)


@pytest.fixture(scope="module")
def made():
    """Compiled once for all tests."""
    stiffness = 26.9815385 * (2.0 * np.pi / (PERIOD * FEMTOSECOND)) ** 2
    model = CompiledModel([13], 2.0, None, Springs())
    return PotentialMover(CompiledPotential(model, np.float64(stiffness), "springs"))


@pytest.fixture
def springs(tmp_path, monkeypatch, made):
    """Eight aluminium atoms that vibrate with one period, and what moves them."""
    places = np.array(list(np.ndindex(2, 2, 2)), dtype=float) * EDGE
    write(tmp_path / "springs.extxyz", Atoms("Al8", places, cell=[2 * EDGE] * 3, pbc=True))
    model = made.potential.model

    def make_mover(settings, configuration, folder, logs):
        model.reserve(configuration)
        return made

    for room in (study, study_directory, samples):
        monkeypatch.setattr(room, "make_mover", make_mover)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def started(folder, name, **changes):
    source = folder / f"{name}.yaml"
    source.write_text(yaml.safe_dump(INPUT | changes))
    create(source.read_text(), source, folder / name)
    return folder / name


def go_on(path, watching=None):
    watching = watching or Watching()
    with opened(path) as work:
        work.run(watching)
        found = investigate(work, lambda fraction, words: None)
        write_page(work, found)
    return found, watching


@pytest.mark.slow
def test_springs_have_the_heat_capacity_of_dulong_and_petit_by_three_routes(springs):
    found, watching = go_on(started(springs, "study"))
    assert [told[:3] for told in watching.told] == [
        (f"springs, dynamics at {t} K", k, 3) for k, t in enumerate((400, 300, 200), start=1)
    ]
    assert watching.told[0][3] is None
    assert watching.told[2][3] > 0.0
    harmonic = 3.0 * 7 / 8
    observed = found.observations["heat-capacity"]["springs"]
    for way in ("fluctuation", "slope", "MBAR"):
        curve = observed.curves[way]
        assert (curve.error < 0.12).all(), way
        assert (np.abs(curve.y - harmonic) < 3.0 * curve.error).all(), way
        # The errors are not so wide that half of the kinetic part would be missed.
        assert (np.abs(curve.y - harmonic + 0.65) > 3.0 * curve.error).all(), way
    # Of springs, paths with the same random numbers are the same but for their scale.
    assert np.ptp(observed.curves["fluctuation"].y) > 0.01
    slope = observed.numbers["slope over all temperatures"]
    assert slope.error < 0.05
    assert abs(slope.value - harmonic) < 3.0 * slope.error
    # All minima are one: vibration is everything.
    np.testing.assert_allclose(observed.curves["inherent structures"].y, 0.0, atol=1e-3)
    split = found.observations["energy"]["springs"].curves
    assert (split["inherent structure"].y < 1e-6).all()
    # Nothing diffuses: bounds of D, which are those of what the springs allow, 3 k_B T / k.
    (bound,) = found.observations["diffusion"]["springs"].curves.values()
    stiffness = 26.9815385 * (2.0 * np.pi / (PERIOD * FEMTOSECOND)) ** 2
    there = found.observations["displacement"]["springs"].curves["Al"].y
    np.testing.assert_allclose(there, 6.0 * BOLTZMANN * bound.x / stiffness * 7 / 8, rtol=0.15)
    assert (bound.y < 1e-6).all()
    assert (bound.y > 0.0).all()
    page = (springs / "study" / "report.html").read_text()
    for words in ("Dulong", "fluctuation", "springs", "machine-learned dynamics", "isosurface"):
        assert words in page
    assert not re.search(r'<(?:script|link|img)[^>]*(?:src|href)="https?:', page)
    assert (springs / "study" / "heat-capacity-springs.csv").is_file()
    assert len(list((springs / "study" / "springs").glob("density-*.cube"))) == 3


EXACT = {
    "series": [{"name": "aluminium", "configuration": {"crystal": "aluminium"}}],
    "temperatures": [150, 300],
    "method": "exact",
    "campaign": {
        "reference": {"calculator": "ase:ase.calculators.emt.EMT"},
        "guide": {
            "cutoff": 4.0,
            "radial_functions": 5,
            "power_channels": 2,
            "power_degree": 1,
            "bispectrum_channels": 0,
        },
        "sampling": {"time_step": 3.0, "length": 90.0, "segments": 2},
        "learn": {"calls": 16, "window": 5, "probation": 3},
        "produce": {"proposals": 240, "guide_samples": 0},
    },
    "minima": {"frames": 2, "force": 0.01},
}


@pytest.mark.slow
def test_an_exact_study_samples_the_reference_itself(tmp_path, monkeypatch):
    """Each temperature is a campaign: energies are the reference's, C_V is near the harmonic."""
    from ase.calculators.emt import EMT

    from hyperatom.interchange.ase_atoms import to_ase

    source = tmp_path / "exact.yaml"
    source.write_text(yaml.safe_dump(EXACT))
    # As the command does, with a folder named from where one stands.
    monkeypatch.chdir(tmp_path)
    create(source.read_text(), source, Path("exact"))
    found, watching = go_on(Path("exact"), WatchingCampaigns())
    assert [told[0] for told in watching.told] == [
        f"aluminium, exact chain at {kelvin} K" for kelvin in (150, 300)
    ]
    with opened(tmp_path / "exact") as work:
        (member,) = work.members()
        paths = [part.path for part in work.runs(member.settings)]
        # The hotter guide began with the labels of the colder chain, in a copy of its own.
        assert [(path / "taught.db").is_file() for path in paths] == [False, True]
        for part in work.runs(member.settings):
            chain = samples.samples_of(part, work.settings)
            assert chain.kind == "exact"
            assert len(chain) == 240
            assert len(set(chain.energies.tolist())) > 10
            for number in range(0, 240, 5):
                atoms = to_ase(chain.configuration(number))
                atoms.calc = EMT()
                theirs = atoms.get_potential_energy()
                assert chain.energies[number] == pytest.approx(theirs, abs=1e-6)
    observed = found.observations["heat-capacity"]["aluminium"]
    assert observed.kind == "exact"
    harmonic = 3.0 * 3 / 4
    slope = observed.numbers["slope over all temperatures"]
    assert slope.error < 0.4
    assert abs(slope.value - harmonic) < 4.0 * slope.error
    assert all("diffusion" not in name for name in found.observations)
    assert any("follow no clock" in problem for problem in found.problems)
    # The minimum on the frozen guide is the reference's crystal.
    atoms = to_ase(member.configuration)
    atoms.calc = EMT()
    minimum = found.observations["energy"]["aluminium"].curves["inherent structure"].y
    np.testing.assert_allclose(minimum, atoms.get_potential_energy() / 4, atol=0.01)
    assert "aluminium" in (tmp_path / "exact" / "report.html").read_text()
    # Finished chains are not run again.
    assert go_on(tmp_path / "exact", WatchingCampaigns())[1].told == []


@pytest.mark.slow
def test_a_guide_of_two_temperatures_knows_both(tmp_path):
    """One campaign at each; the joint guide predicts the labels of both, the hot one its own."""
    from hyperatom.references.label_store import LabelStore
    from hyperatom.simulation.movers import make_mover

    campaign = EXACT["campaign"] | {
        "learn": {"calls": 8, "window": 5, "probation": 1},
        "produce": {"proposals": 1, "guide_samples": 0},
        "temperature": [900, 30],
    }
    dynamic = {"time_step": 4.0, "equilibration": 0.0, "length": 0.4, "sample_every": 20.0}
    source = tmp_path / "joint.yaml"
    content = {"method": "dynamic", "campaign": campaign, "dynamic": dynamic}
    source.write_text(yaml.safe_dump(EXACT | content | {"minima": {"frames": 0}}))
    path = tmp_path / "joint"
    create(source.read_text(), source, path)
    watching = WatchingCampaigns()
    with opened(path) as work:
        work.run(watching)
    assert [told[0] for told in watching.told] == [
        "aluminium, learning the guide at 30 K",
        "aluminium, learning the guide at 900 K",
        "aluminium, one guide of all labels",
        "aluminium, dynamics at 300 K",
        "aluminium, dynamics at 150 K",
    ]
    labels = {}
    for kelvin in (30, 900):
        store = LabelStore(path / "aluminium" / f"guide-{kelvin}K" / "labels.db", read_only=True)
        labels[kelvin] = [(one.configuration, one.evaluation.energy) for one in store.labels()]
        store.close()

    def error(name, kelvin):
        part = Part("motion", work.settings.series[0], 300.0, path, path / name)
        wanted = motion_settings(work.settings, part)
        start = labels[kelvin][0][0]
        mover = make_mover(wanted, start, path / "aluminium", None)
        found = [mover.evaluate(one).energy - energy for one, energy in labels[kelvin]]
        return float(np.abs(found).mean()) / start.n_atoms

    for kelvin in (30, 900):
        assert error("guide", kelvin) < 2e-3
    assert error("guide", 30) < error("guide-900K", 30)
    text = (path / "aluminium" / "guide" / "log.txt").read_text()
    assert f"a guide of {sum(map(len, labels.values()))} labels" in text


class Mending(WatchingCampaigns):
    """A monitor that counts places where a guide was not sure, and interrupts at one of them."""

    def __init__(self, interrupt_at=0):
        super().__init__()
        self.interrupt_at, self.mended = interrupt_at, []

    def mending(self, part, number, problem):
        self.mended.append((part.kelvin, number, problem))
        if number == self.interrupt_at:
            raise KeyboardInterrupt


def unsure(folder, name, **dynamic):
    """A study whose guide has learned at 20 K what moves at 700 K."""
    campaign = EXACT["campaign"] | {
        "learn": {"calls": 8, "window": 5, "probation": 1},
        "produce": {"proposals": 1, "guide_samples": 0},
        "temperature": 20,
    }
    given = {"time_step": 4.0, "equilibration": 0.0, "length": 2.0, "sample_every": 20.0}
    content = {
        "method": "dynamic",
        "temperatures": [100, 700],
        "campaign": campaign,
        "dynamic": given | {"trust": 0.5} | dynamic,
        "minima": {"frames": 0},
        "check": {"frames": 9},
    }
    source = folder / f"{name}.yaml"
    source.write_text(yaml.safe_dump(EXACT | content))
    create(source.read_text(), source, folder / name)
    return folder / name


@pytest.mark.slow
def test_where_a_guide_is_not_sure_the_reference_is_asked(tmp_path, monkeypatch):
    """Stopped paths teach; all temperatures share the last guide; a restart changes nothing."""
    from ase.calculators.emt import EMT

    from hyperatom.interchange.ase_atoms import to_ase
    from hyperatom.references.label_store import LabelStore

    monkeypatch.setattr(simulating, "STRETCH", 4 * 5)

    def whole(path, watching):
        with opened(path) as work:
            work.run(watching)
        return watching

    plain = unsure(tmp_path, "plain")
    told = whole(plain, Mending())
    assert told.mended
    assert all("'trust' allows" in problem for *_, problem in told.mended)
    # The hottest comes first.
    assert [kelvin for kelvin, *_ in told.mended] == [700.0] * len(told.mended)
    assert [number for _, number, _ in told.mended] == list(range(1, len(told.mended) + 1))
    with LabelStore(plain / "aluminium" / "further.db", read_only=True) as store:
        assert len(store) == len(told.mended)
    with opened(plain) as work:
        assert work.n_further(work.settings.series[0]) == len(told.mended)
        found = investigate(work, lambda *_: None)
        again = investigate(work, lambda *_: None)
    assert any(f"not sure at {len(told.mended)} places" in line for line in found.lines())
    # What the reference says of some frames, paid for once.
    for kelvin in (100, 700):
        kept = plain / "aluminium" / f"{kelvin}K" / "reference.db"
        with LabelStore(kept, read_only=True) as store:
            labels = list(store.labels())
        assert len(labels) == 9
        for label in labels[:2]:
            atoms = to_ase(label.configuration)
            atoms.calc = EMT()
            assert label.evaluation.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
    key = "slope over all temperatures, of the reference"
    observed, repeated = (
        one.observations["heat-capacity"]["aluminium"].numbers for one in (found, again)
    )
    assert observed[key] == repeated[key]
    assert observed[key].error > observed["slope over all temperatures"].error
    text = (plain / "aluminium" / "guide" / "log.txt").read_text()
    assert text.count("a guide of") == 1 + len(told.mended)

    broken = unsure(tmp_path, "broken")
    with pytest.raises(KeyboardInterrupt):
        whole(broken, Mending(interrupt_at=len(told.mended)))
    whole(broken, Mending())
    for one in ("guide/guide.npz", "700K/motion.db", "100K/motion.db"):
        found, wanted = (path / "aluminium" / one for path in (broken, plain))
        if one.endswith("npz"):
            with np.load(found) as left, np.load(wanted) as right:
                assert all(np.array_equal(left[key], right[key]) for key in left)
    with opened(broken) as left, opened(plain) as right:
        for mine, theirs in zip(
            *(w.runs(w.settings.series[0]) for w in (left, right)), strict=True
        ):
            found, wanted = (
                samples.samples_of(mine, left.settings),
                samples.samples_of(theirs, right.settings),
            )
            np.testing.assert_array_equal(found.energies, wanted.energies)

    with pytest.raises(simulating.SimulationStopped, match=r"beyond the 0\.5 meV/atom"):
        whole(unsure(tmp_path, "none", further_labels=0), Mending())
    if len(told.mended) > 1:
        with pytest.raises(simulating.SimulationStopped, match="after 1 labels of such places"):
            whole(unsure(tmp_path, "one", further_labels=1), Mending())


def test_where_guides_learn():
    settings = load_study_settings(template(), "template")
    member = settings.series[0]
    assert learning_temperatures(settings, member) == (300, 900)
    single = settings.model_copy(update={"campaign": CampaignParts(temperature=600)})
    assert learning_temperatures(single, member) == (600,)
    own = member.model_copy(update={"campaign": CampaignParts(temperature=(900, 450, 900))})
    assert learning_temperatures(single, own) == (450, 900)


def contents(path):
    """Everything that a study has found, as it stands in files."""
    kept = {p.name: p.read_text() for p in sorted(path.glob("*.csv"))}
    kept |= {f"{p.parent.name}/{p.name}": p.read_text() for p in path.glob("*/*/minima.json")}
    return kept | {p.name: p.read_text() for p in path.glob("*/*.cube")}


@pytest.mark.slow
def test_an_interrupted_study_goes_on_bit_for_bit(springs, monkeypatch):
    monkeypatch.setattr(simulating, "STRETCH", 8 * 40)
    brief = INPUT["dynamic"] | {"length": 3.0}
    whole = started(springs, "whole", dynamic=brief)
    go_on(whole)
    broken = started(springs, "broken", dynamic=brief)
    # In the middle of the second run; then with the third one half made, as kill -9 leaves it.
    with pytest.raises(KeyboardInterrupt):
        go_on(broken, Watching(after=20))
    assert [p.name for p in sorted(broken.glob("*/*/finished.json"))] == ["finished.json"]
    (broken / "springs" / "200K").mkdir()
    (broken / "springs" / "200K" / "input.yaml").write_text("half")
    _, watching = go_on(broken)
    assert [told[1] for told in watching.told] == [2, 3]
    assert contents(whole) == contents(broken)
    assert len(contents(whole)) > 6


@pytest.mark.slow
def test_minima_are_not_looked_for_twice_unless_asked_otherwise(springs, monkeypatch):
    path = started(springs, "study", dynamic=INPUT["dynamic"] | {"length": 3.0})
    found, _ = go_on(path)
    kept = path / "springs" / "200K" / "minima.json"
    content = json.loads(kept.read_text())
    content["found"]["inherent structure"]["value"] = -1.0
    kept.write_text(json.dumps(content))
    found, _ = go_on(path)
    assert found.observations["energy"]["springs"].curves["inherent structure"].y[0] == -1.0
    content["settings"]["frames"] = 5
    kept.write_text(json.dumps(content))
    found, _ = go_on(path)
    assert abs(found.observations["energy"]["springs"].curves["inherent structure"].y[0]) < 1e-6


def test_a_planted_flip_is_seen_from_six_dimensions():
    """One aluminium atom flips to a ghost site half way and stays there."""
    from hyperatom.analysis.hyperspace.candidate_sites import candidate_sites

    approximant = katz_gratias(1, 1, 6.36)
    sites = candidate_sites(approximant.cut)
    home = np.array(approximant.configuration.positions)
    ghosts = sites.sites.parallel[~sites.occupied]
    cell = np.array(approximant.configuration.cell)
    apart = ghosts[None] - home[:, None]
    apart -= np.round(apart @ np.linalg.inv(cell)) @ cell
    lengths = np.linalg.norm(apart, axis=2)
    others = ghosts[:, None] - home[None]
    others -= np.round(others @ np.linalg.inv(cell)) @ cell
    crowd = np.sort(np.linalg.norm(others, axis=2), axis=1)[:, 1]
    atom, ghost = np.argwhere((lengths < 2.0) & (lengths > 1.0) & (crowd[None] > 1.0))[0]
    rng = np.random.default_rng(3)
    frames = home + rng.normal(0.0, 0.1, (400, *home.shape))
    frames[200:, atom] += apart[atom, ghost]
    chosen = approximant.configuration
    trajectory = Trajectory(
        chosen.numbers, chosen.masses, chosen.periodic, FramesInMemory(frames, cell),
        times=np.arange(400) * 50.0, kind="machine-learned dynamics",
    )  # fmt: skip
    (lifted,) = lift_runs(approximant, [(600.0, trajectory)], MapSettings(smoothing=500.0))
    assert lifted.on_its_sites
    (jumps,) = lifted.jumps
    assert len(jumps) == 1
    assert (jumps.atom[0], jumps.frame[0]) == (atom, 20)
    observed = phason_jumps([lifted], trajectory.kind)
    exposure = 122 * 0.5 * 39
    assert observed.curves["shorter than a bond"].y[0] == pytest.approx(1.0 / exposure)
    assert observed.numbers["atoms on ghost sites at 600 K"].value == pytest.approx(0.5)
    assert "1 of 1 jumps" in observed.notes[0]
    maps = {600.0: DensityMap("all", 0.5).compute(trajectory)}
    _, rings = draw_densities(maps, [lifted]).axes[0].collections
    sizes = rings.get_sizes()
    assert (sizes > 1.0).sum() == 1
    assert sizes.max() == pytest.approx(30.0)


def test_two_straight_lines_of_energies_give_their_slope():
    """Exactly known means: <U> = c k_BT with c of one's own, whatever fluctuates."""
    from hyperatom.units import BOLTZMANN

    rng = np.random.default_rng(5)
    runs = []
    for t in (300.0, 500.0, 900.0):
        noise = rng.normal(0.0, 0.02, 2000)
        energy = 8 * (2.25 * BOLTZMANN * t) + noise - noise.mean()
        runs.append(
            (
                t,
                Trajectory(
                    np.full(8, 13), np.full(8, 27.0), np.ones(3, dtype=bool),
                    FramesInMemory(np.zeros((2000, 8, 3)), np.eye(3) * 9.0, energies=energy),
                ),
            )
        )  # fmt: skip
    slope = heat_capacity(runs, {}).numbers["slope over all temperatures"]
    assert slope.value == pytest.approx(2.25 + 1.5 * 7 / 8, abs=1e-6)
    assert energies(runs, {}).numbers["<U> at 500 K"].value == pytest.approx(2.25 * BOLTZMANN * 500)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"temperatures": [300]}, ("temperatures", "2 items")),
        ({"temperatures": [300, 300]}, ("a temperature is given twice",)),
        ({"temperature": [300, 400]}, ("did you mean 'temperatures'?",)),
        ({"series": []}, ("series",)),
        ({"check": {"frames": 2}}, ("check.frames", "4 frames or more")),
        ({"series": [{"name": "nothing"}]}, ("'configuration'", "'approximant'")),
        ({"series": [INPUT["series"][0]] * 2}, ("share the name 'springs'",)),
        ({"dynamic": {"bath": {"name": "nve"}}}, ("langevin",)),
        ({"method": "exact"}, ("the reference", "springs")),
        ({"experiment": {"heat": ["a.csv"]}}, ("heat-capacity",)),
        ({"experiment": {"heat-capacity": ["nowhere.csv"]}}, ("nowhere.csv",)),
        (
            {"series": [{"name": "qc", "approximant": {"order": "4/2"}}]},
            ("qc", "lowest terms", "2/1"),
        ),
        (
            {"series": [{"name": "qc", "approximant": {"lattice_constant": 12.7}}]},
            ("qc", "another convention"),
        ),
        (
            {"series": [INPUT["series"][0] | {"approximant": {"order": "1/1"}}]},
            ("springs", "not that of the approximant"),
        ),
        (
            {"series": [{"name": "b", "configuration": {"crystal": "Al13Ru5"}}]},
            ("Al13Ru4",),
        ),
        (
            {
                "series": [{"name": "b", "configuration": {"crystal": "Al13Ru4"}}],
                "campaign": {"reference": {"calculator": "gfn7"}},
            },
            ("b: 'gfn7' is not an engine",),
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(springs, changes, words):
    source = springs / "wrong.yaml"
    source.write_text(yaml.safe_dump(INPUT | changes))
    ran = CliRunner().invoke(app, ["study", "heat-capacity", str(source)])
    assert ran.exit_code == 2, ran.output
    said = " ".join(ran.output.split())
    for word in words:
        assert word in said
    assert "Traceback" not in said
    assert not Path("wrong-study").exists()


def test_a_folder_in_use_and_one_that_is_none(springs):
    path = started(springs, "study")
    source = springs / "study.yaml"
    run = CliRunner().invoke
    again = run(app, ["study", "heat-capacity", str(source), "--directory", str(path)])
    assert again.exit_code == 2
    assert f"--resume {path}" in " ".join(again.output.split())
    assert run(app, ["study", "heat-capacity", "--resume", "nowhere"]).exit_code == 2
    assert run(app, ["study", "heat-capacity"]).exit_code == 2


def test_an_input_that_asks_for_more_of_the_same_runs(springs, monkeypatch):
    """Runs stay as they are; what is made of them is made anew; a kill leaves one of two inputs."""
    monkeypatch.chdir(springs)
    short = {"dynamic": INPUT["dynamic"] | {"length": 12.0}}
    path = started(springs, "study", **short)
    go_on(path)
    stores = sorted(path.glob("springs/*K/motion.db"))
    moved = [store.read_bytes() for store in stores]
    assert len(moved) == 3

    def asked(**changes):
        source = springs / "more.yaml"
        source.write_text(yaml.safe_dump(INPUT | short | changes))
        arguments = ["study", "heat-capacity", "more.yaml", "--resume", "study"]
        return CliRunner().invoke(app, arguments)

    ran = asked(minima={"frames": 6, "force": 1e-4}, title="six")
    assert ran.exit_code == 0, ran.output
    assert [store.read_bytes() for store in stores] == moved
    for file in path.glob("springs/*K/minima.json"):
        assert json.loads(file.read_text())["settings"]["frames"] == 6
    assert "minima.frames" in (path / "log.txt").read_text()
    assert "six" in (path / "report.html").read_text()
    go_on(path)  # as an input of its own

    refused = asked(dynamic=short["dynamic"] | {"length": 24.0}, title="seven")
    assert refused.exit_code == 2
    assert "it differs in dynamic.length" in " ".join(refused.output.split())
    assert "six" in (path / "input.yaml").read_text()

    # Killed between the two files that know the input.
    kept = (path / "input.yaml").read_text()
    source = springs / "more.yaml"
    source.write_text(yaml.safe_dump(INPUT | short | {"title": "eight"}))
    amend(source.read_text(), source, path)
    (path / "input.yaml").write_text(kept)
    with opened(path) as work:
        assert work.settings.title == "six"
    (path / "input.yaml").write_text(kept + "seed: 1\n")
    with pytest.raises(RunDirectoryError, match="was changed after the run began"), opened(path):
        pass


def test_the_template_is_an_input(tmp_path):
    settings = load_study_settings(template(), "template")
    assert settings.kelvins == (300, 450, 600, 750, 900)
    schema = CliRunner().invoke(app, ["study", "heat-capacity", "--schema"])
    assert "temperatures" in json.loads(schema.output)["properties"]
    with pytest.raises(InputError, match="did you mean"):
        load_study_settings(template() + "sed: 1\n", "template")
