"""A campaign of ring polymers: exact, resumed bit for bit, verified, reported; bad input."""

from pathlib import Path

import numpy as np
import pytest

from hyperatom.campaign.assembly import create, opened
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.settings import load_settings
from hyperatom.campaign.verification import verify
from hyperatom.errors import InputError
from hyperatom.references.label_store import LabelStore
from hyperatom.references.ring_label import keys_of_beads
from hyperatom.report.collect import collect
from hyperatom.report.samples import run_samples
from hyperatom.simulation.movers import exact_samples
from hyperatom.units import BOLTZMANN
from ring_targets import DimerOfBeads, dimer_energy
from test_probation import Stopped, StopsAt, go

TEMPERATURE, BEADS, PROPOSALS = 500.0, 6, 250
DEPTH, STIFFNESS, MINIMUM = 2.0, 3.0, 0.9
MASSES = 1.008, 2.014
INPUT = f"""
configuration: {{file: molecule.extxyz}}
temperature: {TEMPERATURE}
beads: {BEADS}
reference:
  calculator: ase:ase.calculators.morse.MorsePotential
  keywords: {{epsilon: {DEPTH}, rho0: {STIFFNESS}, r0: {MINIMUM}, rcut1: 2.5, rcut2: 3.0}}
guide: {{cutoff: 3, radial_functions: 5, power_channels: 0, power_degree: 0,
        bispectrum_channels: 0, bispectrum_degree: 0}}
sampling: {{length: 25, segments: 2, time_step: 1, mode_period: 12}}
learn: {{calls: 8, window: 5, acceptance: 0.5, probation: 2}}
produce: {{proposals: {PROPOSALS}}}
"""


def morse(distance):
    fall = np.exp(STIFFNESS * (1.0 - np.asarray(distance) / MINIMUM))
    return DEPTH * fall * (fall - 2.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A molecule of two isotopes, with the input beside it."""
    folder = tmp_path_factory.mktemp("quantum")
    (folder / "molecule.extxyz").write_text(
        '2\nProperties=species:S:1:pos:R:3:masses:R:1 pbc="F F F"\n'
        f"H 0 0 0 {MASSES[0]}\nH 0 0 {MINIMUM + 0.03} {MASSES[1]}\n"
    )
    return folder


@pytest.fixture(scope="module")
def run(folder):
    create(INPUT, folder / "input.yaml", folder / "run")
    go(folder / "run", StopsAt())
    return folder / "run"


def test_averages_are_those_of_so_many_beads(run):
    """Against matrix products of the free kernel: energy, mean distance; three standard errors."""
    reduced = MASSES[0] * MASSES[1] / sum(MASSES)
    grid = np.linspace(0.3, 2.5, 400)
    exact = dimer_energy(morse, reduced, TEMPERATURE, BEADS, grid) + 1.5 * BOLTZMANN * TEMPERATURE
    dimer = DimerOfBeads(morse, reduced, TEMPERATURE, BEADS, grid)
    found = collect(run).averages
    for name, value in (
        ("energy", exact),
        ("energy, primitive estimator", exact),
        ("potential energy", dimer.average(morse)),
    ):
        z = (found[name].value - value) / found[name].error
        print(f"{name}: {found[name]}, exact {value:.4f}, z {z:.2f}")
        assert abs(z) < 3.0
        assert found[name].kind == "exact"
    # Not classical: a bond of this stiffness would have 1/2 kT on average.
    classical = 0.5 * BOLTZMANN * TEMPERATURE - DEPTH
    assert found["potential energy"].value > classical + 5.0 * found["potential energy"].error


def test_it_is_certified_and_reported(run):
    certificate = verify(run)
    checks = {check.name: check for check in certificate.checks}
    assert {"decisions", "labels", "paths"} <= {name for name, c in checks.items() if c.passed}
    assert checks["<exp(-dH/kT)> = 1"].passed
    data = collect(run)
    assert f"rings of {BEADS} beads" in data.distribution
    assert any("twice as many" in note for note in data.notes)
    structure = data.radial_distribution
    assert structure.n_configurations == PROPOSALS
    np.testing.assert_allclose(structure.first_peak("H-H").position.value, MINIMUM, atol=0.08)


def test_every_bead_is_a_label_and_is_paid_once(run):
    with opened(run, StopsAt()) as campaign:
        steps = campaign.chain.steps()
        keys = {k for s in steps if s.proposed_label for k in keys_of_beads(s.proposed_label)}
        assert len(campaign.reference.store) == len(keys)
        label = campaign.reference.store.get(steps[-1].state_label)
        energies = [
            campaign.reference.store.get(key).evaluation.energy
            for key in keys_of_beads(steps[-1].state_label)
        ]
    assert label.configuration.n_beads == BEADS
    assert label.evaluation.energy == pytest.approx(sum(energies), abs=1e-12)
    assert steps[-1].state_energy == pytest.approx(np.mean(energies), abs=1e-12)


def test_ring_dynamics_starts_from_its_rings(run):
    rings = exact_samples(run, 2, BEADS)
    with opened(run, StopsAt()) as campaign:
        last = campaign.stepper.state_after(campaign.chain.last(0)).configuration
        n = len(campaign.chain.steps(0, "produce"))
        steps = campaign.chain.steps(0, "produce")
        there = campaign.stepper.state_after(steps[int(1.5 * n / 2)]).configuration
    assert [ring.n_beads for ring in rings] == [BEADS, BEADS]
    np.testing.assert_array_equal(rings[1].positions, there.positions)
    np.testing.assert_array_equal(rings[1].masses, last.masses)
    assert exact_samples(run, 1)[0].n_copies == 1
    with pytest.raises(InputError, match=f"rings of {BEADS} beads, and {BEADS + 1} are wanted"):
        exact_samples(run, 1, BEADS + 1)


def test_samples_are_single_beads(run):
    """For observables that know nothing of rings: one bead of each, of the right atoms."""
    trajectory, held = run_samples(run)
    frames = trajectory.frames(0, PROPOSALS)
    assert frames.positions.shape == (PROPOSALS, 2, 3)
    assert held.temperature == TEMPERATURE
    np.testing.assert_allclose(trajectory.masses, MASSES)
    distances = np.linalg.norm(frames.positions[:, 1] - frames.positions[:, 0], axis=1)
    np.testing.assert_allclose(frames.energies, morse(distances), atol=1e-6)


def test_interrupted_campaigns_go_on_bit_for_bit(run, folder):
    def states(path):
        with opened(path, StopsAt()) as campaign:
            return [(s.state_label, s.log_acceptance, s.uniform) for s in campaign.chain.steps()]

    other = folder / "other"
    create(INPUT, folder / "input.yaml", other)
    for phase, count in (("learn", 2), ("produce", 5)):
        with pytest.raises(Stopped):
            go(other, StopsAt(phase, count))
    with pytest.raises(Stopped):
        go(other, StopsAt("produce", 30))
    ours = states(other)
    assert len(ours) > 30
    assert ours == states(run)[: len(ours)]


def test_a_ring_lacks_its_label_until_all_beads_have_theirs(run, tmp_path):
    with LabelStore(RunDirectory.open(run, lock=False).file("labels.db"), read_only=True) as store:
        first = next(iter(store)).key
        assert store.get(f"{first}+{first}").configuration.n_beads == 2
        assert store.get(f"{first}+{'0' * 64}") is None


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ("pressure: 0", "pressure"),
        ("produce: {strategy: reweighting}", "produce.strategy"),
        ("farm: {ahead: 2}", "farm.ahead"),
        ("sampling: {swaps: 0.1}", "sampling.swaps"),
    ],
)
def test_what_is_for_classical_nuclei_is_refused(more, name):
    text = f"configuration: {{crystal: alpha-quartz}}\ntemperature: 300\nbeads: 8\n{more}\n"
    with pytest.raises(InputError, match=f"'{name}' is for classical nuclei"):
        load_settings(text, str(Path("input.yaml")))
