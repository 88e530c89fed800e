"""Calls per independent sample of alpha-quartz, 72 atoms, 300 K, against what acceptance allows.

    python benchmarks/quartz.py --folder DIR [--proposals 100]
    python benchmarks/quartz.py --read RUN

A proposal whose end is independent of its start, accepted with probability P, makes a chain of
statistical inefficiency (2 - P) / P. `quartz.calls_per_sample_over_limit` is the calls that an
independent sample of the potential energy cost the frozen guide, by the chain alone, over that.

| figure                              | unit  | meaning                                |
|-------------------------------------|-------|----------------------------------------|
| `.calls_per_sample_over_limit`      |       | 1: as good as acceptance allows        |
| `.calls_per_sample`                 | calls | of the frozen guide                    |
| `.acceptance`                       |       | P                                      |
| `.samples`                          |       | independent samples behind the figure  |
"""

import argparse
from pathlib import Path

from campaign_runs import production, run_campaign
from figures import Figure, report
from hyperatom.analysis.statistics import estimate_mean

INPUT = """
title: alpha-quartz
configuration: {{crystal: alpha-quartz, repeat: [2, 2, 2]}}
temperature: 300
produce: {{proposals: {proposals}, guide_samples: 0}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, help="where the run is kept")
    parser.add_argument("--proposals", type=int, default=100, help="of the frozen guide")
    parser.add_argument("--read", type=Path, help="measure a finished run instead")
    given = parser.parse_args()
    if (given.read is None) == (given.folder is None):
        parser.error("give --folder or --read")
    run = given.read or run_campaign(INPUT.format(proposals=given.proposals), given.folder / "run")
    found = production(run)
    energy = estimate_mean([found.energies], "eV", "exact")
    per_sample = found.calls / energy.n_effective
    limit = (2.0 - found.acceptance) / found.acceptance
    report(
        [
            Figure("quartz.calls_per_sample_over_limit", round(per_sample / limit, 3)),
            Figure("quartz.calls_per_sample", round(per_sample, 3), "calls"),
            Figure("quartz.acceptance", round(found.acceptance, 3)),
            Figure("quartz.samples", round(energy.n_effective, 1)),
        ],
        "quartz",
        {"calls": found.calls, "learning_calls": found.learning_calls},
    )


if __name__ == "__main__":
    main()
