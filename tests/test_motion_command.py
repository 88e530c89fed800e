"""`hyperatom md`: settings, files, restart, walkers, swarms, plain words for what goes wrong."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from hyperatom.campaign.settings import load_settings
from hyperatom.cli.main import app
from hyperatom.contracts import Dynamics
from hyperatom.dynamics.langevin import Friction, Langevin
from hyperatom.dynamics.stepped_dynamics import run_stepwise
from hyperatom.dynamics.thermal_bath import Ramp
from hyperatom.errors import HyperatomError, InputError
from hyperatom.interchange.trajectory_files import read_trajectory
from hyperatom.simulation import simulation as simulating
from hyperatom.simulation.assembly import all_walkers, create, opened, stored_motion
from hyperatom.simulation.settings import load_motion_settings, template
from hyperatom.simulation.simulation import Simulation, SimulationStopped, stretch_of
from hyperatom.simulation.summary import drift
from hyperatom.simulation.time_step_check import check_time_step
from hyperatom.units import FEMTOSECOND

METAL = """units metal
pair_style lj/cut 5.35
pair_coeff 1 1 0.39 2.62
"""

INPUT = {
    "configuration": {"crystal": "aluminium"},
    "potential": {"file": "Al.lammps", "species": ["Al"]},
    "ensemble": {"name": "langevin"},
    "temperature": 300,
    "time_step": 2.0,
    "length": 0.12,
    "sample_every": 10,
}


class Silent:
    """A monitor that may interrupt."""

    def __init__(self, after=10**9):
        self.left = after

    def stretch(self, walker, step, steps, seconds, row):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "Al.lammps").write_text(METAL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(simulating, "STRETCH", 4 * 20)  # 20 steps, 4 samples
    return tmp_path


def written(folder, name="al.yaml", **changes):
    path = folder / name
    content = {key: value for key, value in (INPUT | changes).items() if value is not None}
    path.write_text(yaml.safe_dump(content))
    return path


def moved(folder, name, monitor=None, **changes):
    """A simulation run to its end, or until the monitor interrupts."""
    source = written(folder, f"{name}.yaml", **changes)
    path = folder / name
    create(source.read_text(), source, path)
    go_on(path, monitor)
    return path


def go_on(path, monitor=None):
    with opened(path, monitor or Silent()) as simulation:
        simulation.run()


def content(path, walker=0):
    with stored_motion(path) as (_, __, store):
        count = store.count(walker)
        frames = store.frames(walker, 0, count)
        return frames, store.rows(walker), store.state(walker)


def assert_same(one, other, walker=0):
    (frames, rows, state), (frames_, rows_, state_) = content(one, walker), content(other, walker)
    assert rows == rows_
    for name in ("positions", "velocities", "cells"):
        np.testing.assert_array_equal(getattr(frames, name), getattr(frames_, name))
    np.testing.assert_array_equal(state.momenta, state_.momenta)
    assert state.step == state_.step


@pytest.mark.parametrize(
    "ensemble",
    [
        "nve",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("langevin", "velocity-rescaling")),
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("nose-hoover", "cell-rescaling")),
    ],
)
def test_an_interrupted_simulation_goes_on_bit_for_bit(folder, ensemble):
    changes = {
        "ensemble": {"name": ensemble, "cell": "triclinic"},
        "precision": "float32" if ensemble == "langevin" else "float64",
    }
    whole = moved(folder, "whole", **changes)
    broken = folder / "broken"
    with pytest.raises(KeyboardInterrupt):
        moved(folder, "broken", Silent(after=1), **changes)
    assert content(broken)[2].step == 20
    go_on(broken)
    assert content(broken)[2].step == 60
    assert_same(whole, broken)
    frames, rows, _ = content(whole)
    assert len(frames) == 13
    assert np.ptp([row.conserved for row in rows]) < 0.02 * max(row.kinetic for row in rows)
    assert (np.ptp(frames.cells, axis=0).max() > 1e-5) == (ensemble == "cell-rescaling")


def test_the_command_writes_what_readers_take_and_says_numbers(folder):
    source = written(folder, ensemble={"name": "nve"})
    ran = CliRunner().invoke(app, ["md", str(source)])
    assert ran.exit_code == 0, ran.output
    for words in (
        "shortest vibrational period about ",
        "meV/atom/ps",
        "eV/atom (n_eff",
        "13 frames",
    ):
        assert words in ran.output
    read = read_trajectory(folder / "al-md" / "trajectory.h5")
    assert read.time_step == pytest.approx(10.0)
    frames, (here, rows, _) = read.frames(0, 13), content(folder / "al-md")
    np.testing.assert_allclose(frames.positions, here.positions)
    np.testing.assert_allclose(frames.velocities, here.velocities)
    np.testing.assert_allclose(read.energies, [row.energy for row in rows])
    # Velocities are those of the positions (central differences, five steps either way).
    moving = (frames.positions[2:] - frames.positions[:-2]) / 20.0
    assert np.abs(moving - frames.velocities[1:-1]).max() < 0.2 * np.abs(frames.velocities).max()
    again = CliRunner().invoke(app, ["md", str(source)])
    assert again.exit_code == 2
    assert "hyperatom md --resume" in again.output
    finished = CliRunner().invoke(app, ["md", "--resume", "al-md"])
    assert finished.exit_code == 0


def test_all_walkers_are_analysed_at_once(folder):
    path = moved(folder, "swarm", walkers=3)
    together = all_walkers(path)
    own = [content(path, walker)[0].positions for walker in range(3)]
    np.testing.assert_array_equal(together.frames(0, 39).positions, np.concatenate(own))
    assert together.walkers.tolist() == [0] * 13 + [1] * 13 + [2] * 13
    assert together.time_step == pytest.approx(10.0)
    asked = ["analyse", str(path), "-w", "vacf", "--set", "vacf.longest=40"]
    assert CliRunner().invoke(app, asked).exit_code == 0
    for command in ("status", "report", "watch"):
        refused = CliRunner().invoke(app, [command, str(path)])
        assert refused.exit_code == 2
        assert "is a simulation of 'hyperatom md'" in refused.stderr


def test_walkers_differ_and_threads_change_nothing(folder):
    side_by_side = moved(folder, "threads", walkers=3, threads=3)
    serial = moved(folder, "serial", walkers=3, threads=1)
    for walker in range(3):
        assert_same(side_by_side, serial, walker)
    assert not np.array_equal(content(serial, 0)[0].positions, content(serial, 1)[0].positions)


def test_the_length_of_stretches_changes_nothing_but_round_off(folder, monkeypatch):
    short = moved(folder, "short", temperature=[300, 600])
    monkeypatch.setattr(simulating, "STRETCH", 4 * 60)
    long = moved(folder, "long", temperature=[300, 600])
    np.testing.assert_allclose(content(short)[0].positions, content(long)[0].positions, atol=1e-8)
    for one, other in zip(content(short)[1], content(long)[1], strict=True):
        assert one.conserved == pytest.approx(other.conserved, abs=1e-8)


def test_atoms_are_followed_through_the_walls_of_the_cell(folder):
    crystal = moved(folder, "hot", temperature=3000, ensemble={"name": "nve"}, length=0.2)
    frames, _, state = content(crystal)
    assert np.abs(np.diff(frames.positions, axis=0)).max() < 1.0
    unwrapped = state.positions + state.images @ state.cell
    np.testing.assert_allclose(unwrapped, frames.positions[-1], atol=1e-12)


def metal(seed=0):
    from hyperatom.interchange.potential_formats import read_potential
    from hyperatom.structures.crystals import build_crystal

    potential = read_potential(Path("Al.lammps"), None, ("Al",))
    start = build_crystal("aluminium", (1, 1, 1))
    rng = np.random.default_rng(seed)
    return potential, start.with_positions(start.positions + rng.normal(size=(4, 3)) * 0.05)


def test_step_by_step_is_the_compiled_loop(folder):
    potential, start = metal()
    potential.model.reserve(start)
    p = np.random.default_rng(1).normal(size=(4, 3))
    bath = Friction(Ramp(0.03, 1e-5), 1.0, np.array([1, 2], dtype=np.uint32))
    dynamics = Dynamics(Langevin(), bath, (0.0,))
    compiled = potential.model.run(potential.parameters, start, p, 0.2, 20, 10, dynamics, 7)

    def forces(positions, cell):
        found = potential.evaluate(start.with_cell(positions, cell))
        return found.energy, found.forces, np.zeros((3, 3))

    stepped = run_stepwise(forces, start, p, 0.2, 20, 10, dynamics, 7)
    np.testing.assert_allclose(stepped.waypoints, compiled.waypoints, atol=1e-10)
    np.testing.assert_allclose(stepped.checked_momenta, compiled.checked_momenta, atol=1e-9)
    np.testing.assert_allclose(stepped.energies, compiled.energies, atol=1e-10)


def test_the_fastest_vibration_is_that_of_the_whole_matrix(folder):
    potential, start = metal()
    columns = []
    for k in range(12):
        shift = np.zeros(12)
        shift[k] = 1e-3
        ends = [
            potential.evaluate(start.with_positions(start.positions + s * shift.reshape(4, 3)))
            for s in (1, -1)
        ]
        columns.append((ends[1].forces - ends[0].forces).ravel() / 2e-3)
    mass = start.masses[0]
    omega = np.sqrt(np.linalg.eigvalsh(np.array(columns) / mass).max())
    period = 2.0 * np.pi / omega / FEMTOSECOND
    found = check_time_step(potential.evaluate, start, 2.0)
    assert found.period == pytest.approx(period, rel=0.05)
    assert not found.warning
    assert "would be safe" in check_time_step(potential.evaluate, start, 7.0).warning
    with pytest.raises(InputError, match="explodes"):
        check_time_step(potential.evaluate, start, 19.0).demand()


EMT = {
    "configuration": {"crystal": "aluminium"},
    "potential": {"calculator": "ase:ase.calculators.emt.EMT"},
    "ensemble": {"name": "nve"},
    "time_step": 2.0,
    "sample_every": 4.0,
    "length": 0.02,
}


def test_plain_first_principles_dynamics_agrees_with_ase(folder):
    path = moved(folder, "emt", **EMT)
    frames, rows, _ = content(path)
    from ase import Atoms, units
    from ase.calculators import emt
    from ase.md.verlet import VelocityVerlet

    with stored_motion(path) as (_, start, __):
        atoms = Atoms(numbers=start.numbers, positions=frames.positions[0], cell=start.cell,
                      pbc=True, calculator=emt.EMT(), masses=start.masses)  # fmt: skip
    atoms.set_velocities(frames.velocities[0] / units.fs)
    VelocityVerlet(atoms, 2.0 * units.fs).run(10)
    np.testing.assert_allclose(frames.positions[-1], atoms.positions, atol=1e-9)
    assert rows[-1].energy == pytest.approx(atoms.get_potential_energy(), abs=1e-9)


def test_killed_and_resumed(folder):
    changes = EMT | {"length": 0.16, "sample_every": 2.0}
    whole = moved(folder, "whole", **changes)
    source = written(folder, "killed.yaml", **changes)
    path = folder / "killed"
    create(source.read_text(), source, path)
    code = "from hyperatom.cli.main import run; run()"
    process = subprocess.Popen([sys.executable, "-c", code, "md", "--resume", str(path)],
                               env=os.environ, stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        deadline = time.monotonic() + 120.0
        while time.monotonic() < deadline:
            state = content(path)[2] if content_exists(path) else None
            if state is not None and state.step >= 4:
                break
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert 4 <= content(path)[2].step < 80
    go_on(path)
    assert_same(whole, path)


def content_exists(path):
    with stored_motion(path) as (_, __, store):
        return store.count(0) > 0


def test_a_path_beyond_trust_is_stopped_and_what_was_before_kept(folder):
    path = moved(folder, "sure")
    fresh = folder / "unsure"
    source = written(folder, "unsure.yaml")
    create(source.read_text(), source, fresh)
    with opened(fresh, Silent()) as simulation:
        doubtful = Doubtful(simulation.mover, 0.015)
        broken = Simulation(simulation.settings, simulation.starts, doubtful, simulation.store,
                            Silent())  # fmt: skip
        with pytest.raises(SimulationStopped, match="meV/atom there, beyond the 10 meV/atom"):
            broken.run()
    frames, _, state = content(fresh)
    assert state.step == 20
    np.testing.assert_array_equal(frames.positions, content(path)[0].positions[:5])


class Doubtful:
    """A mover whose predicted error grows by `rate` eV in each of its stretches."""

    def __init__(self, mover, rate):
        self.mover, self.error, self.rate = mover, 0.0, rate
        self.run = mover.run

    def errors(self, configuration, path):
        self.error += self.rate
        return np.full(len(path.energies), self.error * 2)


@pytest.mark.slow
def test_explosions_are_stopped_in_plain_words(folder):
    with pytest.raises(SimulationStopped, match=r"(exploded|ran away) shortly before"):
        # Fine for the crystal, far too long for atoms at such a temperature.
        moved(folder, "bang", temperature=90000, time_step=10.0, ensemble={"name": "nve"})
    barostat = {"name": "cell-rescaling", "cell_relaxation": 1.0, "compressibility": 1.0}
    with pytest.raises(SimulationStopped, match=r"(cell|ran away)"):
        moved(folder, "burst", ensemble=barostat, pressure=1000.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"temperatures": 3}, "did you mean 'temperature'"),
        ({"ensemble": {"names": "nve"}}, "did you mean 'name'"),
        ({"ensemble": {"name": "nvt"}}, "cell-rescaling"),
        ({"pressure": 1.0}, "'cell-rescaling' alone"),
        ({"length": 0}, "greater than 0"),
        ({"length": 0.001}, "shorter than sample_every"),
        ({"length": None}, "'length' is missing"),
        ({"sample_every": 3}, "no multiple"),
        ({"time_step": -1}, "greater than 0"),
        ({"time_step": 500}, "less than or equal"),
        ({"walkers": 0}, "greater than or equal"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": [300, 0]}, "outside 0 to"),
        ({"ensemble": {"name": "nve"}, "temperature": [300, 600]}, "no heat bath"),
        ({"potential": {}}, "'file' or 'calculator'"),
        ({"potential": {"file": "Al.lammps", "calculator": "emt"}}, "not both"),
        ({"configuration": None}, "exactly one of 'start'"),
    ],
)
def test_impossible_settings(folder, changes, words):
    source = written(folder, **changes)
    with pytest.raises(InputError, match=words):
        load_motion_settings(source.read_text(), "input")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"potential": {"file": "missing.sw", "species": ["Al"]}}, "no file or folder"),
        ({"configuration": {"crystal": "silicon"}}, "knows nothing of Si"),
        ({"time_step": 20.0, "sample_every": 20.0, "ensemble": {"name": "nve"}}, "cannot work"),
        ({"ensemble": {"name": "langevin", "relaxation": 3.0}}, "less than four time steps"),
        ({"start": "nowhere", "configuration": None, "potential": {}}, "no run directory"),
        (
            {
                "configuration": {"file": "cluster.xyz"},
                "ensemble": {"name": "cell-rescaling"},
                "pressure": 1.0,
            },
            "periodic in all directions",
        ),
    ],
)
def test_impossible_simulations_leave_nothing_behind(folder, changes, words):
    from ase import Atoms
    from ase.io import write

    write(folder / "cluster.xyz", Atoms("Al2", [[0, 0, 0], [0, 0, 2.4]]))
    source = written(folder, **changes)
    ran = CliRunner().invoke(app, ["md", str(source)])
    assert ran.exit_code == 2, ran.output
    assert words in " ".join(ran.output.split())
    assert not (folder / "al-md").exists()


def test_a_changed_potential_is_noticed(folder):
    path = moved(folder, "al")
    (folder / "Al.lammps").write_text(METAL.replace("2.62", "2.63"))
    with pytest.raises(HyperatomError, match="has changed since"):
        go_on(path)


def test_the_template_is_valid_but_for_what_it_says(folder):
    settings = load_motion_settings(template(), "template")
    assert settings.length == 10.0
    assert settings.potential.calculator == "gfn1-xtb"
    ran = CliRunner().invoke(app, ["md", "--schema"])
    assert "compressibility" in ran.output


def test_inputs_in_documents_and_examples_are_valid():
    root = Path(__file__).parents[1]
    pages = [root / "docs" / name for name in ("dynamics.md", "path_integrals.md")]
    text = "".join(page.read_text() for page in pages)
    found = [
        one for one in re.findall(r"^```yaml\n(.*?)^```", text, re.S | re.M) if "ensemble:" in one
    ]
    found += [path.read_text() for path in (root / "examples" / "dynamics").glob("*.yaml")]
    assert len(found) == 6
    for one in found:
        assert load_motion_settings(one, "input").n_steps > 0


def test_stretches_are_whole_and_divide_samples(folder, monkeypatch):
    settings = load_motion_settings(
        written(folder, sample_every=200, length=1.0).read_text(), "input"
    )
    monkeypatch.setattr(simulating, "STRETCH", 30 * 8)
    assert stretch_of(settings, 8) == (25, 25)
    assert stretch_of(settings.model_copy(update={"sample_every": 10.0}), 8) == (30, 5)


def test_drift_knows_its_error():
    rng = np.random.default_rng(0)
    z = []
    for _ in range(200):
        noise = rng.normal(size=400)
        noise = noise + np.roll(noise, 1) + np.roll(noise, 2)
        slope, error = drift(0.02 * np.arange(400) * 0.5 + noise, 0.5)
        z.append((slope - 0.02) / error)
    assert abs(np.mean(z)) < 0.25
    assert 0.7 < np.std(z) < 1.4


ALUMINIUM = """
configuration: {crystal: aluminium}
temperature: 300
reference: {calculator: "ase:ase.calculators.emt.EMT"}
guide: {cutoff: 3.5, radial_functions: 4, power_channels: 2, power_degree: 1,
        bispectrum_channels: 0, bispectrum_degree: 0}
sampling: {length: 60, segments: 2, time_step: 4}
learn: {calls: 9, probation: 2}
produce: {proposals: 6, guide_samples: 0}
"""


@pytest.mark.slow
def test_a_swarm_starts_from_exact_samples_of_a_run(folder):
    (folder / "run.yaml").write_text(ALUMINIUM)
    assert (
        CliRunner().invoke(app, ["run", "run.yaml", "--no-report", "-d", "al-run"]).exit_code == 0
    )
    swarm = {"start": "al-run", "ensemble": {"name": "nve"}, "walkers": 3, "length": 0.06,
             "potential": {"trust": 500.0}, "configuration": None, "temperature": 300}  # fmt: skip
    path = moved(folder, "swarm", **swarm)
    from hyperatom.campaign.chain_store import ChainStore
    from hyperatom.references.label_store import LabelStore

    assert load_settings(ALUMINIUM, "input").walkers == 1
    chain, labels = ChainStore(folder / "al-run/chain.db"), LabelStore(folder / "al-run/labels.db")
    states = [labels.get(s.state_label).configuration for s in chain.steps(0, "produce")]
    for walker, sample in zip(range(3), (1, 3, 5), strict=True):
        frames, rows, _ = content(path, walker)
        np.testing.assert_allclose(frames.positions[0], states[sample].positions, atol=1e-12)
        assert rows[0].error > 0.0
        assert rows[0].conserved == pytest.approx(rows[-1].conserved, abs=2e-3)
    with pytest.raises(InputError, match="6 samples that count; 7 walkers"):
        moved(folder, "greedy", **(swarm | {"walkers": 7}))
    unsure = replace_trust(swarm, 1e-3)
    with pytest.raises(SimulationStopped, match="'trust' allows"):
        moved(folder, "unsure", **unsure)


def replace_trust(swarm, trust):
    return swarm | {"potential": {"trust": trust}}
