"""Rings of beads in `hyperatom md`: the motion of the centroid, the ensemble, restart, analysis."""

import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from hyperatom.analysis.statistics import estimate_mean
from hyperatom.cli.analyse import open_source
from hyperatom.cli.main import app
from hyperatom.dynamics.compiled_dynamics import CompiledDynamics, at_rest
from hyperatom.errors import InputError
from hyperatom.ring_polymer import RingPolymer, normal_modes
from hyperatom.sampling.momenta import draw_atoms
from hyperatom.simulation.assembly import all_walkers, create, stored_motion
from hyperatom.simulation.equations import equations_of_motion, moving_masses
from hyperatom.simulation.settings import load_motion_settings
from hyperatom.units import BOLTZMANN
from ring_targets import oscillator
from targets import isolated
from test_motion_command import INPUT as BASE
from test_motion_command import Silent, assert_same, content, go_on, moved
from test_motion_command import folder as folder

MASSES = np.array([1.0, 3.0])
STIFFNESS = 0.8
"""eV/Å^2, of a spring between two atoms."""

FREQUENCY = float(np.sqrt(STIFFNESS * (1.0 / MASSES).sum()))
TEMPERATURE = 120.0


def forces_of_spring(parameters, positions, cell, neighbours):
    """Of each bead its own: two atoms at a time."""
    apart = positions[0::2] - positions[1::2]
    forces = jnp.stack([-STIFFNESS * apart, STIFFNESS * apart], axis=1).reshape(-1, 3)
    return 0.5 * STIFFNESS * jnp.sum(apart**2), forces, jnp.zeros((3, 3))


LOOP = CompiledDynamics(forces_of_spring)


def move(ring, momenta, time_step, n_steps, check_every, dynamics):
    return LOOP.run(
        (), at_rest(ring.positions, momenta, ring.cell, dynamics.variables), ring.masses, time_step,
        n_steps, check_every, None, dynamics.integrator, dynamics.parameters,
    )  # fmt: skip


def dynamics_of(ring, name, relaxation=40.0, time_step=1.0):
    text = yaml.safe_dump({
        "configuration": {"crystal": "silicon"}, "potential": {"calculator": "gfn1-xtb"},
        "ensemble": {"name": name, "relaxation": relaxation}, "temperature": TEMPERATURE,
        "beads": ring.n_beads, "length": 1.0, "time_step": time_step,
    })  # fmt: skip
    settings = load_motion_settings(text, "input.yaml")
    return settings, equations_of_motion(settings, ring, 0)


def ring_of_two(n_beads, seed=1):
    rng = np.random.default_rng(seed)
    atoms = isolated(np.zeros((2, 3)), MASSES)
    return RingPolymer.of_beads(atoms, 0.1 * rng.standard_normal((n_beads, 2, 3)))


def test_the_centroid_of_a_harmonic_pair_moves_as_the_classical_one():
    """Exact of ring-polymer dynamics in any harmonic potential, for any number of beads."""
    ring = ring_of_two(6)
    settings, dynamics = dynamics_of(ring, "nve", time_step=0.1)
    thermal_energy = BOLTZMANN * TEMPERATURE
    momenta = draw_atoms(moving_masses(ring), thermal_energy, np.random.default_rng(2), True)
    step = settings.internal_time_step
    path = move(ring, momenta, step, 600, 20, dynamics)
    beads = path.waypoints.reshape(-1, 6, 2, 3)
    distance = (beads[:, :, 0] - beads[:, :, 1]).mean(axis=1)
    velocities = (momenta / moving_masses(ring)[:, None]).reshape(6, 2, 3).mean(axis=0)
    speed = velocities[0] - velocities[1]
    t = FREQUENCY * step * 20 * np.arange(len(distance))[:, None]
    expected = distance[0] * np.cos(t) + speed / FREQUENCY * np.sin(t)
    assert np.ptp(t) > 4.0
    np.testing.assert_allclose(distance, expected, atol=2e-4 * np.abs(expected).max())
    centre = np.einsum("a,fbax->fx", MASSES, beads)
    np.testing.assert_allclose(centre, np.broadcast_to(centre[0], centre.shape), atol=1e-9)


def conserved_along(path, dynamics, ring):
    from hyperatom.simulation.equations import conserved

    settings, _ = dynamics_of(ring, "nve")
    return np.array([
        conserved(dynamics, settings, ring.masses, {
            "positions": path.waypoints[i], "momenta": path.checked_momenta[i],
            "cell": path.cells[i], "energy": path.energies[i],
            "variables": path.checked_variables[i],
        })
        for i in range(len(path.energies))
    ])  # fmt: skip


@pytest.mark.parametrize("name", ["nve", "langevin"])
def test_what_is_called_conserved_is_so_to_second_order(name):
    ring = ring_of_two(5)
    drifts = []
    for time_step in (1.0, 0.5):
        settings, dynamics = dynamics_of(ring, name, time_step=time_step)
        momenta = draw_atoms(
            moving_masses(ring), BOLTZMANN * TEMPERATURE, np.random.default_rng(3), True
        )
        steps = round(60 / time_step)
        path = move(ring, momenta, settings.internal_time_step, steps, steps // 20, dynamics)
        drifts.append(np.ptp(conserved_along(path, dynamics, ring)))
    assert drifts[0] > 1e-6
    if name == "nve":
        assert drifts[0] / drifts[1] == pytest.approx(4.0, rel=0.3)
    assert drifts[1] < 0.02 * BOLTZMANN * TEMPERATURE


@pytest.mark.parametrize("n_beads", [2, 5])
def test_the_bath_samples_the_ring_at_its_temperature(n_beads):
    """Positions and momenta of every mode, from a start that is far off."""
    ring = ring_of_two(n_beads)
    settings, dynamics = dynamics_of(ring, "langevin")
    momenta = 3.0 * draw_atoms(
        moving_masses(ring), BOLTZMANN * TEMPERATURE, np.random.default_rng(4), True
    )
    step = settings.internal_time_step
    path = move(ring, momenta, step, 160_000, 40, dynamics)
    skip = 50
    modes, _ = normal_modes(n_beads)
    beads = path.waypoints[skip:].reshape(-1, n_beads, 2, 3)
    reduced = 1.0 / (1.0 / MASSES).sum()
    energy = 0.5 * STIFFNESS * ((beads[:, :, 0] - beads[:, :, 1]) ** 2).sum(axis=(1, 2)) / n_beads
    exact = oscillator(FREQUENCY, reduced, TEMPERATURE, n_beads)
    found = estimate_mean(energy, "eV", "exact")
    assert abs(found.value - 3.0 * exact["U"]) < 3.0 * found.error
    assert found.error < 0.04 * found.value
    p = path.checked_momenta[skip:].reshape(-1, n_beads, 2, 3)
    p = np.einsum("kb,fbax->fkax", modes, p)
    for k in range(n_beads):
        kinetic = (0.5 * p[:, k] ** 2 / (MASSES / n_beads)[:, None]).sum(axis=(1, 2))
        freedom = 3 if k == 0 else 6
        mean = estimate_mean(kinetic, "eV", "exact")
        wanted = 0.5 * freedom * BOLTZMANN * TEMPERATURE
        # Momenta are seen after a kick, where they read a little low.
        low = 1.0 - (0.5 * FREQUENCY * step) ** 2 if k == 0 else 1.0
        assert abs(mean.value - wanted * low) < 3.0 * mean.error + 0.003 * wanted
    np.testing.assert_allclose(p[:, 0].sum(axis=1), 0.0, atol=1e-9)


RINGS = {"ensemble": {"name": "langevin", "relaxation": 60}, "beads": 3, "temperature": 150}


@pytest.mark.parametrize("name", ["nve", pytest.param("langevin", marks=pytest.mark.slow)])
def test_an_interrupted_simulation_of_rings_goes_on_bit_for_bit(folder, name):
    changes = RINGS | {"ensemble": {"name": name, "relaxation": 60}}
    monkeyed = {"sample_every": 4, "length": 0.048}
    whole = moved(folder, "whole", **changes, **monkeyed)
    broken = folder / "broken"
    with pytest.raises(KeyboardInterrupt):
        moved(folder, "broken", Silent(after=1), **changes, **monkeyed)
    assert 0 < content(broken)[2].step < 24
    go_on(broken)
    assert_same(whole, broken)


def test_rings_are_looked_at_as_centroids_and_as_beads(folder):
    source = folder / "rings.yaml"
    text = {**BASE, **RINGS, "length": 1.2, "sample_every": 4, "walkers": 2, "time_step": 2.0}
    source.write_text(yaml.safe_dump(text))
    ran = CliRunner().invoke(app, ["md", str(source)])
    assert ran.exit_code == 0, ran.output
    assert "of the centroids" in ran.output
    path = folder / "rings-md"
    with stored_motion(path) as (_, start, store):
        assert isinstance(start, RingPolymer)
        raw = store.frames(1, 0, store.count(1)).positions.reshape(-1, 3, 4, 3)
        rows = store.rows(1)
    centroids = all_walkers(path)
    n = len(raw)
    np.testing.assert_allclose(centroids.source.read(n, 2 * n, 1).positions, raw.mean(axis=1))
    assert centroids.times is not None
    one = all_walkers(path, beads=True)
    assert one.times is None
    found = one.source.read(n, 2 * n, 1).positions
    for frame in (0, 1, 5):
        np.testing.assert_array_equal(found[frame], raw[frame, frame % 3])
    # Beads of an atom stay together, also where it is taken into the cell.
    apart = np.linalg.norm(raw - raw.mean(axis=1, keepdims=True), axis=3)
    assert 0.005 < apart[50:].mean() < 0.2
    temperature = np.mean([row.kinetic for row in rows]) * 2.0 / 33.0 / BOLTZMANN
    assert temperature == pytest.approx(150.0, rel=0.2)
    beads, _ = open_source(folder / "rings-md:beads", None, None, "", "as given", lambda *_: None)
    assert len(beads) == 2 * n
    analysed = CliRunner().invoke(app, ["analyse", f"{path}", f"{path}:beads", "-w", "rdf"])
    assert analysed.exit_code == 0, analysed.output


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ensemble": {"name": "nose-hoover"}}, "rings of 'beads' move by 'nve' or 'langevin'"),
        ({"temperature": [100, 200]}, "have one temperature"),
        ({"ensemble": {"name": "langevin", "relaxation": 2.0}}, "less than four time steps"),
    ],
)
def test_what_rings_cannot_do_is_refused_in_words(folder, change, words):
    text = yaml.safe_dump({**BASE, **RINGS, **change})
    with pytest.raises(InputError, match=words):
        create(text, folder / "input.yaml", folder / "md")
