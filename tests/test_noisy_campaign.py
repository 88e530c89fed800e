"""Noisy references in campaigns: exact by the penalty, refused where engine and input differ."""

import os
from pathlib import Path

import numpy as np
import pytest

from hyperatom.analysis.statistics import estimate_mean
from hyperatom.campaign.assembly import create, opened
from hyperatom.campaign.noise import unbiased_energy
from hyperatom.campaign.settings import load_settings
from hyperatom.campaign.verification import verify
from hyperatom.contracts import Reference
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.report.collect import collect
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from stepped_campaign import chain, stepper, z_score
from targets import AnalyticGuide, LennardJonesCluster
from test_probation import StopsAt, go

DIMER = LennardJonesCluster(2)
NOISE = 1.2 * DIMER.ensemble.thermal_energy

INPUT = """
configuration: {crystal: aluminium}
temperature: 300
reference: {calculator: "ase:noisy_engine.Noisy", keywords: {error: 0.02}, standard_errors: true}
guide: {cutoff: 3.5, radial_functions: 4, power_channels: 2, power_degree: 1,
        bispectrum_channels: 0, bispectrum_degree: 0}
sampling: {length: 60, segments: 1, time_step: 4}
learn: {calls: 10, window: 5, acceptance: 0.6, probation: 1}
produce: {proposals: 30}
"""


@pytest.fixture(autouse=True)
def engines_of_the_tests(monkeypatch):
    """The engine's process finds `noisy_engine`."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)


class Noisy(Reference):
    """The dimer with a Gaussian error, larger where the atoms are farther apart."""

    identity = "noisy"

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def evaluate(self, configuration):
        exact = DIMER.reference.evaluate(configuration)
        distance = np.linalg.norm(configuration.positions[0] - configuration.positions[1])
        error = NOISE * float(np.clip((distance - 3.4) / 1.5, 0.05, 1.0))
        energy = exact.energy + error * self.rng.standard_normal()
        return Evaluation(energy, exact.forces, energy_error=error)

    def close(self):
        pass


@pytest.mark.slow
def test_noise_is_paid_for(tmp_path):
    """Distance and energy of the noiseless dimer, by quadrature."""
    guide = AnalyticGuide(DIMER.energy, DIMER.soft)
    path = GuidedTrajectory(guide, DIMER.ensemble, time_step=40.0, length=1200.0, check_every=5)
    energies, distances = [], []
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        more = f"seed: {seed}\nreference: {{standard_errors: true}}"
        steps = stepper(tmp_path / str(seed), Noisy(seed), DIMER.start(seed), more)
        states, _ = chain(steps, path, 600)
        energies.append([unbiased_energy(steps.settings, steps.ensemble, s) for s in states])
        positions = np.array([state.configuration.positions for state in states])
        distances.append(np.linalg.norm(positions[:, 0] - positions[:, 1], axis=1))
    energy = DIMER.dimer_average(lambda r: DIMER.pair_energy(DIMER.right, r * r))
    assert abs(z_score(energies, energy)) < 4.0
    assert abs(z_score(distances, DIMER.dimer_average(lambda r: r))) < 4.0


@pytest.mark.slow
def test_a_campaign_with_a_noisy_engine_is_certified_and_reported(tmp_path):
    path = tmp_path / "run"
    create(INPUT, Path("input.yaml"), path)
    go(path, StopsAt())
    checks = {check.name: check for check in verify(path).checks}
    assert checks["decisions"].passed
    assert "the guide's own chain" not in checks
    with opened(path, StopsAt()) as campaign:
        produced = campaign.chain.steps(0, "produce")
        kept = estimate_mean([np.array([s.state_energy for s in produced])], "eV", "exact")
    # Kept energies are low by s^2/k_BT.
    lift = 0.02**2 / (8.617333e-5 * 300.0)
    assert collect(path).energy.value * 4 - kept.value == pytest.approx(lift, rel=1e-3)


def test_engine_and_input_must_agree(tmp_path):
    for name, text, words in (
        ("silent", INPUT.replace("noisy_engine.Noisy", "ase.calculators.emt.EMT").replace(
            "keywords: {error: 0.02}, ", ""), "gave none with its first energy"),
        ("unsaid", INPUT.replace(", standard_errors: true", ""), "the input does not say so"),
    ):  # fmt: skip
        create(text, Path("input.yaml"), tmp_path / name)
        with pytest.raises(InputError, match=words):
            go(tmp_path / name, StopsAt())
    with pytest.raises(InputError, match="standard_errors: true"):
        load_settings(INPUT.replace("standard_errors: true", "estimates: 9"), "input.yaml")
