"""Replica exchange in a campaign: every rung exact, resumed bit for bit, tampering seen."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from cases_exchange import BURN_IN, DEEP, SHALLOW, Along, moment
from exact_rows import assert_all_within, rows_of
from hyperatom.analysis.heat_capacity import HeatCapacity
from hyperatom.campaign.assembly import create
from hyperatom.campaign.ladder import Ladder, exchanges_of, travel
from hyperatom.campaign.settings import load_settings
from hyperatom.campaign.verification import verify
from hyperatom.cli.analyse import open_source
from hyperatom.errors import InputError
from hyperatom.report.collect import collect
from hyperatom.report.page import render
from hyperatom.report.samples import run_samples
from hyperatom.sampling.canonical import Canonical
from hyperatom.sampling.metropolis import ChainState
from stepped_campaign import stepper
from targets import isolated
from test_probation import Stopped, StopsAt, go, steps_of

INPUT = """
configuration: {crystal: aluminium, repeat: [2, 1, 1]}
temperature: 300
ladder: {temperatures: [420, 600]}
reference: {calculator: "ase:ase.calculators.emt.EMT"}
guide: {cutoff: 4.5, radial_functions: 4, power_channels: 2, power_degree: 1,
        bispectrum_channels: 0, bispectrum_degree: 0}
sampling: {length: 60, segments: 1, time_step: 4}
learn: {calls: 30, window: 5, acceptance: 0.5, probation: 2}
produce: {proposals: 12}
"""

TEMPERATURES = (300.0, 600.0, 1200.0, 2400.0)


LARGE = "configuration: {crystal: aluminium, repeat: [4, 4, 4]}\n"


class Wells:
    """Two wells, six k_BT (300 K) deep, as an engine."""

    identity = '{"calculator":"double well"}'

    def evaluate(self, configuration):
        return DEEP.evaluate(configuration)

    def close(self):
        pass


def walk(folder: Path, seed: int, n_rounds: int, rungs: str, moves: list[Along]) -> np.ndarray:
    """x of every rung, (n_rounds, n_rungs), by a campaign's own steps from the wrong well."""
    folder.mkdir()
    more = f"ladder: {{{rungs}}}\nseed: {seed}\n"
    steps = stepper(folder, Wells(), isolated([[1.0, 0.0, 0.0]], [1.0]), more, temperature=300)
    steps.freeze(lambda: SHALLOW)
    ladder = Ladder(steps)
    states = [ChainState(steps.start, steps.reference.evaluate(steps.start))] * len(moves)
    x = []
    for number in range(1, n_rounds + 1):
        made = [
            steps.step(walker, number, "produce", states[walker], move, "guide")
            for walker, move in enumerate(moves)
        ]
        moved = ladder.exchanged(made, number)
        for state, step, _ in moved:
            assert steps.reference.key(state.configuration) == step.state_label
            assert state.evaluation.energy == step.state_energy
        states = [state for state, _, _ in moved]
        x.append([state.configuration.positions[0, 0] for state in states])
    return np.array(x)


def test_each_rung_samples_its_own_ensemble_exactly(tmp_path):
    """At 300 K no move crosses the barrier: what is there has come down the ladder."""
    rungs = f"temperatures: {list(TEMPERATURES[1:])}"
    moves = [Along(0.4 * temperature / 300.0) for temperature in TEMPERATURES]
    found = [walk(tmp_path / str(s), s, 700, rungs, moves)[BURN_IN:] for s in (1, 2, 3)]
    assert all((x[:, 0] < 0.0).any() and (x[:, 0] > 0.0).any() for x in found)
    rows = []
    for k, temperature in enumerate(TEMPERATURES):
        for power in (1, 2, 3):
            series = [x[:, k] ** power for x in found]
            rows += rows_of(f"x^{power} at {temperature:g} K", series, moment(power, temperature))
    assert_all_within(rows)


def test_each_rung_between_guide_and_reference_is_exact(tmp_path):
    """The guide is wrong about barrier, depth and place of both wells; steps are short of them."""
    shares = [1.0, 0.6, 0.3, 0.0]
    moves = [Along(0.5)] * len(shares)
    rungs = f"lambdas: {shares[1:]}"
    found = [walk(tmp_path / str(s), s, 1200, rungs, moves)[BURN_IN:] for s in (1, 2, 3)]
    assert all((x[:, 0] < 0.0).any() and (x[:, 0] > 0.0).any() for x in found)
    rows = []
    for k, share in enumerate(shares):
        for power in (1, 2, 3):
            series = [x[:, k] ** power for x in found]
            rows += rows_of(f"x^{power} at lambda {share}", series, moment(power, 300.0, share))
    assert_all_within(rows)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("ladder") / "run"
    create(INPUT, Path("input.yaml"), path)
    go(path, StopsAt())
    return path


def content(path):
    return [
        (s.state_label, s.state_energy, s.log_acceptance, s.uniform, s.record.get("exchange"))
        for s in steps_of(path)
    ]


def test_an_interrupted_ladder_goes_on_bit_for_bit(run, tmp_path):
    other = tmp_path / "run"
    create(INPUT, Path("input.yaml"), other)
    # In the middle of a round, too: a round is on disk as a whole.
    for phase, count in (("learn", 2), ("probe", 1), ("produce", 5), ("produce", 10)):
        with pytest.raises(Stopped):
            go(other, StopsAt(phase, count))
    go(other, StopsAt())
    assert content(run) == content(other)


def test_exchanges_are_certified(run):
    checks = {check.name: check for check in verify(run).checks}
    offered = [one for steps in exchanges_of(steps_of(run)) for one in steps]
    assert any(one.accepted for one in offered)
    assert not all(one.accepted for one in offered)
    assert checks["decisions"].passed
    assert checks["decisions"].numbers["exchanges"] == len(offered)
    assert checks["paths"].passed
    assert checks["completeness"].passed
    assert checks["ladder"].passed is not False


@pytest.mark.parametrize(
    "change", [{"uniform": 1.0e-9}, {"accepted": False}, {"log_acceptance": 0.5}, None]
)
def test_exchanges_that_were_tampered_with_are_found(run, tmp_path, change):
    """Changed in both steps; or left out, with the states as they are."""
    import shutil

    other = tmp_path / "run"
    shutil.copytree(run, other)
    number = next(
        s.number
        for s in steps_of(run)
        if s.phase == "produce" and s.record.get("exchange", {}).get("accepted")
    )
    with sqlite3.connect(other / "chain.db") as chain:
        rows = chain.execute(
            "SELECT walker, content FROM steps WHERE number = ?", (number,)
        ).fetchall()
        for walker, text in rows:
            step = json.loads(text)
            if "exchange" in step["record"]:
                if change is None:
                    del step["record"]["exchange"]
                else:
                    step["record"]["exchange"] |= change
            chain.execute(
                "UPDATE steps SET content = ? WHERE number = ? AND walker = ?",
                (json.dumps(step), number, walker),
            )
    chain.close()
    (found,) = [check for check in verify(other).checks if check.name == "decisions"]
    assert found.passed is False
    assert f"step {number}" in found.sentence


def test_the_report_is_of_the_first_rung_and_lists_all(run):
    data = collect(run)
    steps = [step for step in steps_of(run) if step.phase == "produce"]
    coldest = [step.state_energy for step in steps if step.walker == 0]
    assert data.energy.value == pytest.approx(np.mean(coldest) / 8)
    assert len(data.proposals.energy[data.proposals.produced]) == len(coldest) == 12
    assert data.ledger.calls_produce == sum(step.asked for step in steps)
    assert [rung.name for rung in data.ladder.rungs] == ["300 K", "420 K", "600 K"]
    hottest = [step.state_energy for step in steps if step.walker == 2]
    assert data.ladder.rungs[2].energy.value == pytest.approx(np.mean(hottest) / 8)
    assert 0.0 < data.ladder.rungs[0].exchange.value <= 1.0
    page = render(data)
    assert "first of the 3 rungs" in page
    assert "exchanged with the next" in page
    assert render(collect(run, live=True))


def test_each_rung_can_be_analysed(run, capsys):
    for rung, temperature in enumerate((300.0, 420.0, 600.0)):
        source = run if rung == 0 else Path(f"{run}:{rung}")
        samples, held = open_source(source, None, None, "", "as given", lambda *_: None)
        assert held.temperature == temperature
        own = [s.state_energy for s in steps_of(run) if (s.phase, s.walker) == ("produce", rung)]
        energies = samples.source.read(0, 12, 1).energies
        np.testing.assert_array_equal(energies, own)
        assert HeatCapacity(temperature).compute(samples).numbers
    with pytest.raises(InputError, match="no rung 3: its ladder has 3"):
        run_samples(run, 3)


def test_two_ladders_are_apart(tmp_path):
    path = tmp_path / "run"
    text = INPUT.replace("proposals: 12", "proposals: 5").replace("[420, 600]", "[420]")
    create(text + "walkers: 2\n", Path("input.yaml"), path)
    go(path, StopsAt())
    steps = [step for step in steps_of(path) if step.phase == "produce"]
    assert {step.walker for step in steps} == {0, 1, 2, 3}
    settings = load_settings(text + "walkers: 2\n", "input.yaml")
    assert [settings.rung_of(walker).temperature for walker in range(4)] == [300, 420, 300, 420]
    seen = travel(settings, steps)
    assert len(seen.trips) == 2
    assert seen.gaps[0].attempts == sum("exchange" in step.record for step in steps) // 2
    assert [len(chain) for chain in collect(path).proposals.by_walker(
        collect(path).proposals.energy, collect(path).proposals.produced)] == [5, 5]  # fmt: skip
    checks = {check.name: check for check in verify(path).checks}
    assert checks["decisions"].passed


@pytest.mark.slow
def test_rungs_may_differ_in_pressure(tmp_path):
    path = tmp_path / "run"
    text = INPUT.replace("[420, 600]}", "[300, 300], pressures: [4, 8]}").replace("12", "60")
    create(text + "pressure: 0\n", Path("input.yaml"), path)
    go(path, StopsAt())
    checks = {check.name: check for check in verify(path).checks}
    assert checks["decisions"].passed
    assert checks["paths"].passed
    volumes = [
        np.mean(np.linalg.det(run_samples(path, rung)[0].source.read(0, 60, 1).cells))
        for rung in range(3)
    ]
    assert volumes[0] > volumes[1] > volumes[2]
    assert [run_samples(path, rung)[1].pressure for rung in range(3)] == [0.0, 4.0, 8.0]


def test_a_ladder_between_guide_and_reference_goes_on_bit_for_bit(tmp_path):
    path, other = tmp_path / "run", tmp_path / "other"
    text = INPUT.replace("{temperatures: [420, 600]}", "{lambdas: [0.5, 0]}")
    for each in (path, other):
        create(text, Path("input.yaml"), each)
    go(path, StopsAt())
    for phase, count in (("probe", 1), ("produce", 4), ("produce", 9)):
        with pytest.raises(Stopped):
            go(other, StopsAt(phase, count))
    go(other, StopsAt())
    assert content(path) == content(other)
    before = {(step.walker, step.number + 1): step.state_energy for step in steps_of(path)}
    shares = {"learn": (1.0, 1.0, 1.0), "probe": (1.0, 1.0, 1.0), "produce": (1.0, 0.5, 0.0)}
    for step in steps_of(path):
        if step.log_acceptance is None or "guide_energy_after" not in step.record:
            continue
        share = shares[step.phase][step.walker]
        of_guide = step.record["guide_energy_after"] - step.record["guide_energy_before"]
        of_reference = step.proposed_energy - before[step.walker, step.number]
        rise = share * of_reference + (1.0 - share) * of_guide
        expected = step.log_ratio - rise / Canonical(300.0).thermal_energy
        assert step.log_acceptance == pytest.approx(expected, abs=1e-7)
    checks = {check.name: check for check in verify(path).checks}
    assert checks["decisions"].passed
    assert checks["decisions"].numbers["exchanges"] > 6
    assert checks["paths"].passed
    data = collect(path)
    assert [rung.name for rung in data.ladder.rungs] == [
        "300 K", "300 K, lambda 0.5", "300 K, lambda 0",
    ]  # fmt: skip
    assert "between the frozen guide (0) and the reference (1)" in render(data)
    with pytest.raises(InputError, match="lies between guide and reference"):
        run_samples(path, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (LARGE + "ladder: {temperatures: [900, 900], lambdas: [1, 0.5]}",
         r"300 K and 900 K do not overlap \(gap 1 of the ladder\)"),
        ("ladder: {lambdas: [0.5, 1.5]}", "lambdas"),
        ("ladder: {lambdas: [0.5], temperatures: [420, 600]}", "found 2 temperatures, 1 lambdas"),
        ("ladder: {lambdas: [1, 0.5]}", "Gap 1 of the ladder"),
        (LARGE + "ladder: {temperatures: [900]}",
         r"300 K and 900 K do not overlap \(gap 1 of the ladder\)"),
        ("ladder: {temperatures: [420, 300]}\nbeads: 4", "'beads' does not go with a 'ladder'"),
        ("ladder: {temperatures: [300]}", "gap 1|Gap 1"),
        ("ladder: {temperatures: [420], pressures: [1]}", "need a 'pressure'"),
        ("ladder: {temperatures: [420], pressures: [1, 2]}\npressure: 0", "as many 'pressures'"),
        ("ladder: {temperature: [420]}", "temperatures"),
    ],
)  # fmt: skip
def test_bad_ladders_are_refused_in_plain_words(tmp_path, change, message):
    kept = [line for line in INPUT.splitlines() if not line.startswith("ladder")]
    if "configuration" in change:
        kept = [line for line in kept if not line.startswith("configuration")]
    with pytest.raises(InputError, match=message):
        create("\n".join(kept) + "\n" + change + "\n", tmp_path / "input.yaml", tmp_path / "run")
    assert not (tmp_path / "run").exists()
