"""Reference calls per independent sample: guided trajectories against two fair rivals.

    python benchmarks/calls_per_sample.py [--repeat 1 1 1] [--calls 2500] [--proposals 400]

Alpha-quartz at 300 K with GFN1-xTB, one run on one engine. Observables: the potential energy, and
the mean Si-O distance within the first peak of the radial distribution function of each
configuration. The rivals, hybrid Monte Carlo and Langevin dynamics on the engine's own forces,
are tuned on the learned guide's forces, where long runs cost nothing: over the grids below the
setting is taken whose worse observable needs the fewest calls. Then they run on the engine.

| figure               | unit            | meaning                                                 |
|----------------------|-----------------|---------------------------------------------------------|
| `.slhmc`             | calls/sample    | of frozen production with the guide's own chain, which  |
|                      |                 | costs no call, as control variate; the worse observable |
| `.slhmc_chain`       | calls/sample    | the same, of the chain alone                            |
| `.slhmc_with_learning` | calls/sample  | the calls of learning shared among this run's samples   |
| `.hmc`, `.langevin`  | calls/sample    | the worse observable                                    |
| `.gain_over_...`     |                 | the smaller of the two observables' ratios              |
| `...energy`, `...distance` |           | each observable on its own                              |
| `..._softest`        |                 | of the softest mode, every rival at its own best in the |
|                      |                 | tuning runs; for the record, not among the gains        |
| `.gain_..._tuning_run` |               | with the rivals' costs in the longer tuning runs        |
| `.segments_k`        | calls/sample    | guided trajectories with momenta drawn k times a path   |

Relative errors of calls per sample are those of the autocorrelation time (Madras and Sokal 1988).
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from campaign_runs import Progress, production, run_campaign
from figures import Figure, report
from hyperatom.analysis.control_variate import sharpen
from hyperatom.analysis.radial_distribution import RadialDistribution
from hyperatom.analysis.statistics import estimate_mean
from hyperatom.campaign.assembly import opened
from hyperatom.campaign.averages import gather
from hyperatom.configuration import Configuration
from hyperatom.sampling.metropolis import ChainState, metropolis
from plain_sampling import HybridMonteCarlo, Langevin, of_guide, run, tight_binding

TEMPERATURE = 300.0
DISCARD = 5
"""First proposals with another number of segments, not counted."""
INPUT = """
configuration: {{crystal: alpha-quartz, repeat: {repeat}}}
temperature: 300
produce: {{proposals: {proposals}, guide_samples: {guide_samples}}}
"""

HYBRID_GRID = [
    HybridMonteCarlo(time_step, n_steps)
    for time_step in (1.0, 2.0, 3.0, 4.0, 5.0)
    for n_steps in (3, 5, 10, 20, 40)
]
LANGEVIN_GRID = [
    Langevin(time_step, friction)
    for time_step in (1.0, 2.0)
    for friction in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
]
BOLD_GRID = [Langevin(4.0, friction) for friction in (0.02, 0.05, 0.1)]
"""A step at which the second order of the integrator shows: kept for the record, not a rival."""

Cost = dict[str, float]


@dataclass(frozen=True)
class Observables:
    """What is averaged: two observables, and the softest mode, the slowest of all.

    `mode` (n_atoms, 3) is the mass-weighted displacement of largest variance.
    """

    mode: np.ndarray

    @classmethod
    def of(cls, configurations: Sequence[Configuration]) -> "Observables":
        """With the softest mode of these configurations."""
        masses = configurations[0].masses
        ways = np.array([c.positions for c in configurations]) * np.sqrt(masses)[:, None]
        ways -= ways.mean(axis=0)
        _, _, modes = np.linalg.svd(ways.reshape(len(ways), -1), full_matrices=False)
        return cls(modes[0].reshape(-1, 3) * np.sqrt(masses)[:, None])

    def series(
        self, configurations: Sequence[Configuration], energies: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Potential energy (eV), mean Si-O distance (Å), softest mode."""
        peak = RadialDistribution(r_max=2.6, bins=1300).compute(configurations)
        return {
            "energy": energies,
            "distance": peak.first_peak_series("Si-O"),
            "softest": np.array([np.sum(c.positions * self.mode) for c in configurations]),
        }


def calls_per_sample(series: dict[str, np.ndarray], calls: int) -> Cost:
    """Calls per independent sample of each observable, and its relative error."""
    cost: Cost = {}
    for name, values in series.items():
        estimate = estimate_mean(values, "", "exact")
        g, n = estimate.autocorrelation_time, len(values)
        cost[name] = calls / estimate.n_effective
        cost[f"{name}_relative_error"] = float(np.sqrt((10.0 * g + 2.0) / n)) if g > 1.0 else 0.0
        cost[f"{name}_mean"], cost[f"{name}_error"] = estimate.value, estimate.error
    cost["worse"] = max(cost["energy"], cost["distance"])
    cost["calls"] = calls
    return cost


def sharpened(folder: Path, start: Configuration, calls: int, observables: Observables) -> Cost:
    """Calls per independent sample of the averages that use the guide's own chain."""
    with opened(folder, Progress()) as campaign:
        sampled = gather(campaign.chain, campaign.guide_chain, TEMPERATURE)
        assert sampled is not None
        keys, where = np.unique(sampled.labels, return_inverse=True)
        labels = [campaign.reference.store.get(str(key)) for key in keys]
    judged = [start.with_positions(label.configuration.positions) for label in labels if label]
    free = [start.with_positions(x) for walker in sampled.free_positions for x in walker]
    # One peak for both, so that the two series mean the same.
    together = observables.series([*judged, *free], np.zeros(len(judged) + len(free)))["distance"]
    of_judged = together[: len(judged)][where.reshape(sampled.labels.shape)]
    series = {
        "energy": (sampled.energies, sampled.guide_energies, np.concatenate(sampled.free_energies)),
        "distance": (of_judged, of_judged, together[len(judged) :]),
    }
    cost: Cost = {}
    for name, (values, controls, alone) in series.items():
        found = sharpen(values, controls, sampled.judgements, [alone])
        cost[name] = calls / float(found.n_effective)
        cost[f"{name}_mean"], cost[f"{name}_error"] = float(found.value), float(found.error)
        cost[f"{name}_disagreement"] = found.disagreement
        # That of the variance of the residuals.
        cost[f"{name}_relative_error"] = float(np.sqrt(2.0 / len(values)))
        cost[f"{name}_helped"] = float(found.helped)
    cost["overlap"] = sampled.judgements.overlap
    cost["guide_samples"] = float(len(free))
    cost["worse"] = max(cost["energy"], cost["distance"])
    cost["calls"] = calls
    return cost


def cost_of(
    method: HybridMonteCarlo | Langevin,
    forces: Any,
    start: Configuration,
    calls: int,
    seed: int,
    observables: Observables,
    file: Path | None = None,
) -> Cost:
    """Run a rival and count; keep its samples in `file`."""
    plain = run(method, forces, start, TEMPERATURE, calls, seed, discard=calls // 10)
    if file is not None:
        plain.save(file)
    configurations = [start.with_positions(x) for x in plain.positions]
    cost = calls_per_sample(observables.series(configurations, plain.energies), plain.calls)
    return {**cost, "accepted": plain.moved}


def tune(
    grid: Sequence[Any], forces: Any, start: Configuration, calls: int, observables: Observables
) -> tuple[Any, dict[str, Cost]]:
    """The setting of the grid whose worse observable is cheapest, and all costs."""
    costs = {}
    for method in grid:
        costs[str(method)] = cost_of(method, forces, start, calls, 1, observables)
        say(str(method), costs[str(method)])
    best = min(grid, key=lambda method: costs[str(method)]["worse"])
    return best, costs


def cost_of_segments(folder: Path, segments: int, proposals: int, observables: Observables) -> Cost:
    """The frozen guide's proposal with another number of segments, judged by the engine."""
    with opened(folder, Progress()) as campaign:
        proposal = replace(campaign.frozen_path(), segments=segments)
        last = campaign.chain.last(0)
        assert last is not None
        label = campaign.reference.store.get(last.state_label)
        assert label is not None
        where = campaign.start.with_positions(label.configuration.positions)
        state = ChainState(where, label.evaluation)
        rng = np.random.default_rng([7, segments])
        states, accepted, calls = [], [], 0
        for _ in range(DISCARD + proposals):
            proposed = proposal.propose(state.configuration, rng)
            state, transition = metropolis(
                state, proposed, campaign.reference, campaign.ensemble, rng
            )
            states.append(state)
            accepted.append(transition.accepted)
            calls += len(states) > DISCARD and transition.evaluation is not None
    states = states[DISCARD:]
    series = observables.series(
        [s.configuration for s in states], np.array([s.evaluation.energy for s in states])
    )
    return {**calls_per_sample(series, calls), "accepted": float(np.mean(accepted[DISCARD:]))}


def say(what: str, cost: Cost) -> None:
    """Progress on the error stream."""
    print(what, json.dumps({k: round(v, 5) for k, v in cost.items()}), file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, nargs=3, default=[1, 1, 1])
    parser.add_argument("--proposals", type=int, default=400, help="of the frozen guide")
    parser.add_argument("--guide-samples", type=int, default=6000, help="free of calls")
    parser.add_argument("--calls", type=int, default=2500, help="of each rival, on the engine")
    parser.add_argument("--tuning", type=int, default=8000, help="steps of each try on the guide")
    parser.add_argument("--segments", type=int, nargs="*", default=[1], help="also measured")
    parser.add_argument("--folder", type=Path, help="keep the campaign here, or take it from here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        measure(given, (given.folder or Path(temporary)) / "campaign")


def measure(given: argparse.Namespace, folder: Path) -> None:
    """Everything, and the report."""
    text = INPUT.format(
        repeat=given.repeat, proposals=given.proposals, guide_samples=given.guide_samples
    )
    run_campaign(text, folder)
    found = production(folder)
    observables = Observables.of(found.configurations)
    alone = calls_per_sample(observables.series(found.configurations, found.energies), found.calls)
    say("SLHMC, the chain alone", alone)
    slhmc = sharpened(folder, found.configurations[0], found.calls, observables)
    slhmc["accepted"] = found.acceptance
    say("SLHMC, sharpened by the guide's own chain", slhmc)

    with opened(folder, Progress()) as campaign:
        guide = campaign.frozen_path().guide
        frozen = campaign.frozen_path()
    start = found.configurations[-1]
    cheap = of_guide(guide, start)
    hybrid, hybrid_costs = tune(HYBRID_GRID, cheap, start, given.tuning, observables)
    langevin, langevin_costs = tune(LANGEVIN_GRID, cheap, start, given.tuning, observables)
    _, bold_costs = tune(BOLD_GRID, cheap, start, given.tuning, observables)

    engine = tight_binding(start)
    file = folder.with_name("hmc.npz")
    hmc = cost_of(hybrid, engine, start, given.calls, 2, observables, file)
    say(f"engine: {hybrid}", hmc)
    file = folder.with_name("langevin.npz")
    dynamics = cost_of(langevin, engine, start, given.calls, 3, observables, file)
    say(f"engine: {langevin}", dynamics)

    segments = {
        k: cost_of_segments(folder, k, given.proposals // 2, observables) for k in given.segments
    }
    for k, cost in segments.items():
        say(f"{k} segments", cost)

    figures = []
    rivals = {"hmc": hmc, "langevin": dynamics}
    on_guide = {"hmc": hybrid_costs[str(hybrid)], "langevin": langevin_costs[str(langevin)]}
    for name, costs in (("", rivals), ("_tuning_run", on_guide)):
        for rival, cost in costs.items():
            gains = {o: cost[o] / slhmc[o] for o in ("energy", "distance")}
            figures.append(Figure(f"gain_over_{rival}{name}", min(gains.values())))
            figures += [Figure(f"gain_over_{rival}{name}_{o}", gain) for o, gain in gains.items()]
    for rival, costs in (("hmc", hybrid_costs), ("langevin", langevin_costs)):
        best = min(cost["softest"] for cost in costs.values())
        figures.append(Figure(f"{rival}_softest", best, "calls/sample"))
        figures.append(Figure(f"gain_over_{rival}_softest", best / alone["softest"]))
    figures.append(Figure("slhmc_softest", alone["softest"], "calls/sample"))
    for method, cost in {"slhmc": slhmc, "slhmc_chain": alone, **rivals}.items():
        figures.append(Figure(method, cost["worse"], "calls/sample"))
        for o in ("energy", "distance"):
            figures.append(Figure(f"{method}_{o}", cost[o], "calls/sample"))
            figures.append(Figure(f"{method}_{o}_relative_error", cost[f"{o}_relative_error"]))
        if "accepted" in cost:
            figures.append(Figure(f"{method}_accepted", cost["accepted"]))
    for rival, cost in rivals.items():
        gain = min(cost[o] / alone[o] for o in ("energy", "distance"))
        figures.append(Figure(f"gain_over_{rival}_chain", gain))
    for o in ("energy", "distance"):
        rival, best = slhmc[f"{o}_mean"], alone
        error = np.hypot(slhmc[f"{o}_error"], best[f"{o}_error"])
        figures.append(Figure(f"sharpened_{o}_z", (rival - best[f"{o}_mean"]) / error))
        for name, plain in rivals.items():
            error = np.hypot(slhmc[f"{o}_error"], plain[f"{o}_error"])
            figures.append(Figure(f"{name}_{o}_z", (rival - plain[f"{o}_mean"]) / error))
    whole = (found.calls + found.learning_calls) / found.calls
    figures.append(Figure("slhmc_with_learning", slhmc["worse"] * whole, "calls/sample"))
    figures.append(Figure("learning_calls", found.learning_calls, "calls"))
    figures += [Figure(f"segments_{k}", c["worse"], "calls/sample") for k, c in segments.items()]
    report(
        [Figure(f"calls_per_sample.{f.figure}", round(f.value or 0, 4), f.unit) for f in figures],
        "calls_per_sample",
        {
            "repeat": given.repeat,
            "best": {"hmc": str(hybrid), "langevin": str(langevin)},
            "path": {
                "segments": frozen.segments,
                "length_fs": frozen.length,
                "time_step_fs": frozen.time_step,
            },
            "slhmc": slhmc,
            "slhmc_chain": alone,
            "segments": segments,
            "engine": rivals,
            "tuning": {**hybrid_costs, **langevin_costs},
            "bold": bold_costs,
        },
    )


if __name__ == "__main__":
    main()
