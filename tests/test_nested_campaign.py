"""Campaigns whose moves are chains on the guide, swaps among them: certified and resumed."""

from pathlib import Path

import numpy as np
import pytest

from hyperatom.campaign.assembly import create, opened
from hyperatom.campaign.settings import load_settings
from hyperatom.campaign.verification import verify
from hyperatom.errors import InputError
from hyperatom.report.collect import collect
from test_probation import Stopped, StopsAt, go

ALLOY = """4
Lattice="4.0 0 0 0 4.0 0 0 0 4.0" Properties=species:S:1:pos:R:3 pbc="T T T"
Cu 0 0 0
Au 0 2 2
Cu 2 0 2
Au 2 2 0
"""
INPUT = """
configuration: {file: alloy.xyz, repeat: [2, 1, 1]}
temperature: 600
reference: {calculator: "ase:ase.calculators.emt.EMT"}
guide: {cutoff: 4.5, radial_functions: 6, power_channels: 2, power_degree: 2,
        bispectrum_channels: 0, bispectrum_degree: 0}
sampling: {length: 60, segments: 1, time_step: 4, nested: 4, guide_temperature: 650, swaps: 0.4}
learn: {calls: 60, window: 10, acceptance: 0.7, probation: 3}
produce: {proposals: 40, guide_samples: 30}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nested")
    (folder / "alloy.xyz").write_text(ALLOY)
    create(INPUT, folder / "input.yaml", folder / "run")
    go(folder / "run", StopsAt())
    return folder / "run"


def states(path):
    with opened(path, StopsAt()) as campaign:
        return [(s.state_label, s.log_ratio, s.uniform) for s in campaign.chain.steps()]


@pytest.mark.slow
def test_it_is_certified(run):
    checks = {check.name: check for check in verify(run).checks}
    assert checks["decisions"].passed
    assert checks["paths"].passed
    assert checks["paths"].numbers["forward_angstrom"] == 0.0
    assert checks["no learning after the freeze"].passed
    assert collect(run).energy is not None


@pytest.mark.slow
def test_atoms_exchange_their_places(run):
    with opened(run, StopsAt()) as campaign:
        steps = campaign.chain.steps(0, "produce")
        labels = [campaign.reference.store.get(step.state_label) for step in steps]
        start = campaign.start
    order = set()
    for label in labels:
        # Which site of the start is each gold atom nearest to?
        gold = label.configuration.positions[start.numbers == 79]
        vectors = gold[:, None] - start.positions[None]
        fraction = vectors @ np.linalg.inv(start.cell)
        vectors = (fraction - np.rint(fraction)) @ start.cell
        order.add(tuple(sorted(np.linalg.norm(vectors, axis=2).argmin(axis=1))))
    assert len(order) > 3
    assert all(step.record["transitions"] == 4 for step in steps)


@pytest.mark.slow
def test_interrupted_it_goes_on_bit_for_bit(run, tmp_path):
    (tmp_path / "alloy.xyz").write_text(ALLOY)
    create(INPUT, tmp_path / "input.yaml", tmp_path / "run")
    for phase, count in (("learn", 4), ("produce", 5), ("average", 3)):
        with pytest.raises(Stopped):
            go(tmp_path / "run", StopsAt(phase, count))
    go(tmp_path / "run", StopsAt())
    assert states(run) == states(tmp_path / "run")


def test_bad_input(tmp_path):
    with pytest.raises(InputError, match="needs 'nested' paths"):
        load_settings(INPUT.replace("nested: 4, ", ""), "input.yaml")
    text = INPUT.replace("file: alloy.xyz", "crystal: aluminium")
    with pytest.raises(InputError, match="all atoms are of one species"):
        create(text, Path("input.yaml"), tmp_path / "run")
