"""A campaign at constant pressure: resumed bit for bit, verified, reported; bad input."""

from pathlib import Path

import numpy as np
import pytest

from hyperatom.campaign.assembly import create, opened
from hyperatom.campaign.settings import load_settings
from hyperatom.campaign.verification import verify
from hyperatom.errors import InputError
from hyperatom.references.ase_calculator import AseReference
from hyperatom.report.collect import collect
from hyperatom.sampling.cell_move import CellMove
from hyperatom.sampling.displacement import Displacement
from hyperatom.sampling.isobaric import Isobaric
from hyperatom.sampling.metropolis import ChainState, metropolis
from hyperatom.sampling.mixture import Mixture
from hyperatom.units import GIGAPASCAL
from test_probation import Stopped, StopsAt, go

INPUT = """
configuration: {crystal: aluminium, repeat: [2, 1, 1]}
temperature: 300
pressure: 1.5
cell: {moves: MOVES, barostat_time: 60}
reference: {calculator: "ase:ase.calculators.emt.EMT"}
guide: {cutoff: 4.5, radial_functions: 6, power_channels: 2, power_degree: 2,
        bispectrum_channels: 0, bispectrum_degree: 0}
sampling: {length: 100, segments: 2, time_step: 4}
learn: {calls: 40, window: 10, acceptance: 0.8, probation: 3}
produce: {proposals: 120, guide_samples: 40}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("isobaric") / "run"
    create(INPUT.replace("MOVES", "isotropic"), Path("input.yaml"), path)
    go(path, StopsAt())
    return path


def states(path):
    with opened(path, StopsAt()) as campaign:
        return [(s.state_label, s.log_acceptance, s.uniform) for s in campaign.chain.steps()]


@pytest.mark.slow
def test_interrupted_campaigns_go_on_bit_for_bit(run, tmp_path):
    other = tmp_path / "run"
    create(INPUT.replace("MOVES", "isotropic"), Path("input.yaml"), other)
    for phase, count in (("learn", 3), ("produce", 5), ("average", 7)):
        with pytest.raises(Stopped):
            go(other, StopsAt(phase, count))
    go(other, StopsAt())
    assert states(run) == states(other)


@pytest.mark.slow
def test_it_is_certified_and_reported(run):
    certificate = verify(run)
    checks = {check.name: check for check in certificate.checks}
    assert checks["decisions"].passed
    assert checks["paths"].passed
    assert checks["<exp(-dH/kT)> = 1"].passed is not False
    data = collect(run)
    assert data.system.pressure == 1.5
    assert "1.5 GPa" in data.distribution
    volume = data.averages["volume"]
    assert volume.unit == "Å³"
    assert 0.0 < volume.error < 0.05 * volume.value
    from hyperatom.report.page import write_report

    write_report(data, run / "report.html")
    page = (run / "report.html").read_text()
    assert "1.5 GPa" in page
    assert "Mean density" in page


def test_its_samples_are_analysed_at_the_pressure_that_was_held(run):
    from hyperatom.analysis.heat_capacity import HeatCapacity
    from hyperatom.analysis.thermodynamics import Thermodynamics
    from hyperatom.report.samples import run_samples

    trajectory, held = run_samples(run)
    assert (held.temperature, held.pressure) == (300.0, 1.5)
    found = Thermodynamics(held.temperature, held.pressure).compute(trajectory)
    volume = collect(run).averages["volume"]
    assert found.numbers["volume"].value == pytest.approx(volume.value / 8, rel=1e-9)
    capacity = HeatCapacity(300.0, 1.5).compute(trajectory)
    assert any("C_P" in line for line in capacity.lines())


@pytest.mark.slow
def test_its_volume_is_that_of_plain_monte_carlo(run):
    """Two samplers with nothing in common but Metropolis and the density."""
    ensemble = Isobaric(300.0, 1.5 * GIGAPASCAL)
    reference = AseReference("ase.calculators.emt.EMT")
    with opened(run, StopsAt()) as campaign:
        here = campaign.start
    state = ChainState(here, reference.evaluate(here))
    moves = {"cell": CellMove("isotropic", 0.03), "atoms": Displacement(0.12, None)}
    proposal = Mixture(moves, {"cell": 0.4, "atoms": 0.6})
    rng = np.random.default_rng(2)
    volumes = []
    for _ in range(4000):
        proposed = proposal.propose(state.configuration, rng)
        state, _ = metropolis(state, proposed, reference, ensemble, rng)
        volumes.append(state.configuration.volume)
    reference.close()
    from hyperatom.analysis.statistics import estimate_mean

    plain = estimate_mean([np.array(volumes[300:])], "Å³", "exact")
    ours = collect(run).averages["volume"]
    assert abs(plain.value - ours.value) < 3.0 * np.hypot(plain.error, ours.error)
    assert plain.error < 0.01 * plain.value


@pytest.mark.slow
def test_free_cells_change_their_shape(tmp_path):
    path = tmp_path / "run"
    text = INPUT.replace("MOVES", "triclinic").replace("proposals: 120", "proposals: 8")
    create(text, Path("input.yaml"), path)
    go(path, StopsAt())
    data = collect(path)
    assert {"a", "b", "c", "alpha", "beta", "gamma"} <= set(data.averages)
    checks = {check.name: check for check in verify(path).checks}
    assert checks["decisions"].passed
    assert checks["paths"].passed


def test_pressure_without_a_periodic_cell_is_refused(tmp_path):
    molecule = tmp_path / "pair.xyz"
    molecule.write_text("2\n\nAl 0 0 0\nAl 0 0 2.7\n")
    text = INPUT.replace("MOVES", "isotropic").replace(
        "{crystal: aluminium, repeat: [2, 1, 1]}", "{file: pair.xyz}"
    )
    with pytest.raises(InputError, match="periodic in all three"):
        create(text, tmp_path / "input.yaml", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_misspelt_motion_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cell\.moves.*isotropic"):
        load_settings(INPUT.replace("MOVES", "isotrop"), "input.yaml")
