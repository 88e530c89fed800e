"""Campaigns that weigh the guide's samples: the right averages, resumed bit for bit, certified."""

import numpy as np
import pytest

from hyperatom.analysis.reweighting import reweight
from hyperatom.analysis.statistics import estimate_mean
from hyperatom.campaign.advice import decide
from hyperatom.campaign.assembly import create, opened
from hyperatom.campaign.chain_store import Step
from hyperatom.campaign.guide_chain import BURN_IN, GuideChain, GuideChainStore
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.settings import load_settings
from hyperatom.campaign.verification import verify
from hyperatom.campaign.weighing import Weighing, log_weights, weights_follow
from hyperatom.cli.export import write_chain
from hyperatom.errors import InputError, ReferenceFailure, RunDirectoryError
from hyperatom.report.collect import collect
from hyperatom.report.samples import run_samples
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from hyperatom.sampling.metropolis import ChainState
from hyperatom.simulation.movers import exact_samples
from stepped_campaign import stepper
from targets import AnalyticGuide, AnalyticReference
from test_control_variate import POWERS, TILTED, WELLS
from test_probation import Stopped, StopsAt, go, steps_of

INPUT = """
configuration: {crystal: aluminium, repeat: [2, 1, 1]}
temperature: 300
reference: {calculator: "ase:ase.calculators.emt.EMT"}
guide: {cutoff: 4.0, radial_functions: 3, power_channels: 0, power_degree: 0,
        bispectrum_channels: 0, bispectrum_degree: 0}
sampling: {length: 60, segments: 2, time_step: 4}
learn: {calls: 10, window: 8, acceptance: 0.9, probation: 12}
produce: {proposals: 40, guide_samples: 150, strategy: reweighting}
walkers: 2
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weighed")
    create(INPUT, folder / "input.yaml", folder / "run")
    assert go(folder / "run", StopsAt()).phases[-2:] == ["average", "produce"]
    return folder / "run"


GUIDES = {"half the tilt": TILTED, "a wrong minimum": WELLS.displaced}


class Evaluating(AnalyticGuide):
    """A guide that also says its energy, as its own chain needs it."""

    def __init__(self, energy, parameters):
        super().__init__(energy, parameters)
        self.evaluate = AnalyticReference(energy, parameters).evaluate


def weighed(folder, parameters, seed, n_samples=300, n_free=620):
    """Moments of x for both particles of the wells, weighed and as the guide has them."""
    steps = stepper(folder, WELLS.reference, WELLS.start(seed))
    steps.ensembles = [WELLS.ensemble]
    path = GuidedTrajectory(
        Evaluating(WELLS.energy, parameters), WELLS.ensemble, 28.0, 112.0, check_every=4
    )
    store = GuideChainStore(folder / "guide_chain.db")
    store._connection.execute("PRAGMA synchronous = OFF")
    chain = GuideChain(store, steps.reference.store, path, WELLS.ensemble, steps.start, seed)
    state = ChainState(steps.start, steps.reference.evaluate(steps.start))
    first = steps.step(0, 0, "probe", state, chain.proposal, "guide")[1]
    chain.hear([first.state_label])
    chain.run(0, n_free, [first], lambda _: None)
    weighing = Weighing(steps, chain, n_samples, n_free)
    made = [step for step, _ in weighing.run([first], 1, 2)]
    positions = np.array([steps.state_after(step).configuration.positions for step in made])
    powers = np.stack([(positions[..., 0] ** k).mean(axis=1) for k in POWERS])
    logarithms = log_weights([made])
    return (
        [reweight(power, logarithms, "")[0] for power in powers],
        [estimate_mean(power, "", "exact") for power in powers],
    )


@pytest.mark.parametrize("name", GUIDES)
def test_weighed_averages_are_those_of_the_reference(name, tmp_path):
    """Sampled is the guide's ensemble, weighed it is exp(-U/k_BT) of the reference."""
    exact = np.array([WELLS.average(lambda x, k=k: x**k) for k in POWERS])
    deviations, of_guide = [], []
    for seed in (1, 2, 3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        right, plain = weighed(folder, GUIDES[name], seed)
        deviations.append([(a.value - b) / a.error for a, b in zip(right, exact, strict=True)])
        of_guide.append([(a.value - b) / a.error for a, b in zip(plain, exact, strict=True)])
    together = np.sum(deviations, axis=0) / np.sqrt(3.0)
    assert np.all(np.abs(deviations) < 3.5), np.round(deviations, 1)
    assert np.all(np.abs(together) < 3.0), together.round(1)
    # The guide alone is far off, so that agreement is no accident.
    assert np.abs(np.sum(of_guide, axis=0) / np.sqrt(3.0)).max() > 4.0


def test_the_report_says_how_it_was_sampled(run):
    data = collect(run)
    assert data.energy.kind == "reweighted"
    assert data.radial_distribution.kind == "reweighted"
    assert data.sharpened_energy is None
    assert "weight exp" in data.distribution


def test_it_is_certified_by_its_weights_and_their_overlap(run):
    certificate = verify(run)
    checks = {check.name: check for check in certificate.checks}
    assert set(checks) >= {"weights", "overlap", "labels", "no learning after the freeze"}
    assert checks["weights"].passed
    assert checks["overlap"].passed
    assert 0.05 < float(checks["overlap"].numbers["kish"]) < 1.0
    assert certificate.passed
    assert "weighed samples of the guide" in certificate.verdict


def test_a_weight_that_was_changed_is_found(run):
    steps = [step for step in steps_of(run) if step.walker == 0]
    assert weights_follow(steps, 300.0 * 8.617330337217213e-05) == ""
    assert "does not follow" in weights_follow(steps, 301.0 * 8.617330337217213e-05)
    assert "missing" in weights_follow([*steps[:-2], steps[-1]], 300.0 * 8.617330337217213e-05)


def test_samples_are_far_apart_and_come_with_their_weights(run):
    trajectory, held = run_samples(run)
    assert trajectory.kind == "reweighted"
    assert held.temperature == 300
    assert len(trajectory) == 80
    assert np.ptp(trajectory.weights) > 0.1
    numbers = [s.record["sample"] for s in steps_of(run) if s.walker == 1 and "sample" in s.record]
    assert numbers[0] >= BURN_IN
    assert set(np.diff(numbers)) == {(150 - BURN_IN) // 40}


def test_no_chain_is_made_of_them(run, tmp_path):
    with pytest.raises(RunDirectoryError, match="samples of the guide with weights"):
        write_chain(RunDirectory.open(run, lock=False), tmp_path / "chain.xyz")
    with pytest.raises(RunDirectoryError, match="samples of the guide with weights"):
        exact_samples(run, 4)


def test_interrupted_it_goes_on_bit_for_bit(run, tmp_path):
    create(INPUT, tmp_path / "input.yaml", tmp_path / "run")
    for phase, count in (("probe", 3), ("average", 30), ("produce", 1), ("produce", 20)):
        with pytest.raises(Stopped):
            go(tmp_path / "run", StopsAt(phase, count))
    go(tmp_path / "run", StopsAt())
    assert steps_of(tmp_path / "run") == steps_of(run)


def probation(deviation, n_steps=40):
    """Judged paths of a guide whose U_D - U_M varies by `deviation` eV, all rejected."""
    wrong = np.random.default_rng(3).normal(0.0, np.sqrt(2.0) * deviation, n_steps)
    record = {"guide_energy_before": 0.0, "guide_energy_after": 0.0}
    return [
        Step(0, k, "probe", "guide", record, 0.0, "", "", "there", d, 0.5, -1.0, False, "here", 0.0)
        for k, d in enumerate(wrong)
    ]


def test_the_cheaper_way_is_taken_and_says_why():
    settings = load_settings(INPUT.replace("reweighting", "auto"), "input.yaml")
    thermal_energy = 300.0 * 8.617330337217213e-05
    name, reason = decide(probation(0.8 * thermal_energy), settings, workers=2, seconds=2.0)
    assert name == "reweighting"
    assert "the guide's run is reweighted" in reason
    # Beyond an error of 1.2 k_BT a chain needs fewer calls...
    name, reason = decide(probation(1.6 * thermal_energy), settings, workers=2, seconds=2.0)
    assert name == "metropolis"
    assert "a Metropolis chain is run" in reason
    # ...which is no help to many processors, where two walkers leave them idle.
    name, reason = decide(probation(1.6 * thermal_energy), settings, workers=64, seconds=2.0)
    assert name == "reweighting"
    assert "64 calls at a time against 2" in reason
    name, reason = decide(probation(0.1, n_steps=8), settings, workers=64, seconds=2.0)
    assert name == "metropolis"
    assert "learn.probation: 12" in reason


def test_a_campaign_decides_once(tmp_path):
    text = INPUT.replace("strategy: reweighting", "strategy: auto") + "farm: {workers: 16}\n"
    text = text.replace("proposals: 40, guide_samples: 150", "proposals: 4, guide_samples: 0")
    create(text, tmp_path / "input.yaml", tmp_path / "run")
    with pytest.raises(Stopped):
        go(tmp_path / "run", StopsAt("produce", 2))
    go(tmp_path / "run", StopsAt())
    with opened(tmp_path / "run", StopsAt()) as campaign:
        assert campaign.frozen()["strategy"] == "reweighting"
        assert "16 calls at a time" in campaign.frozen()["strategies"]
        assert campaign.guide_chain.count(campaign.frozen()["guide"], 0) == BURN_IN + 4
    assert any("16 calls at a time" in note for note in collect(tmp_path / "run").notes)


def test_a_sample_without_an_answer_has_no_weight(run, tmp_path):
    class Silent:
        identity = "silent"

        def evaluate(self, configuration):
            raise ReferenceFailure("It did not converge.", "")

        def close(self):
            pass

    with opened(run, StopsAt()) as campaign:
        chain, start = campaign.own_chain(), campaign.start
        chain.store = GuideChainStore(run / "guide_chain.db", read_only=True)
        before = campaign.chain.last(0)
        weighing = Weighing(stepper(tmp_path, Silent(), start), chain, 2, 100)
        (step, _), _ = weighing.run([before], before.number + 1, 1)
    assert not step.accepted
    assert "log_weight" not in step.record
    assert step.state_label == before.state_label
    assert "did not converge" in step.failure


@pytest.mark.parametrize("section", ["{standard_errors: true}", "{cheap: {calculator: gfn1-xtb}}"])
def test_what_cannot_be_weighed_is_refused(section):
    text = INPUT.replace('{calculator: "ase:ase.calculators.emt.EMT"}', section)
    with pytest.raises(InputError, match="strategy: metropolis"):
        load_settings(text, "input.yaml")
