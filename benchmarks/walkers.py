"""Four walkers at once against four one after the other: the same chains, in what time?

    python benchmarks/walkers.py [--proposals 6] [--repeat 2]

Alpha-quartz (9 atoms a cell, 72 unless told otherwise, GFN1-xTB), one campaign from learning to its
averages, three times: with one thread and one engine, with as many as there are cores, and with
labels asked for ahead of need. One cell alone is too small a system: XLA spreads its paths over the
cores of a single walker, too, and much of its time is Python's.

| figure                          | meaning                                                        |
|---------------------------------|----------------------------------------------------------------|
| `walkers.parallel_over_serial`  | wall time of the campaign, cores' worth of walkers over one    |
| `walkers.production_over_serial`| the same, of production alone (learning fits between rounds)   |
| `walkers.identical`             | 1 if chain, guide and labels of steps are equal, bit for bit   |
| `walkers.ahead_identical`       | 1 if the chain with prefetch is, too                           |
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

# Every campaign compiles the same programs: that is not what is measured here.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{tempfile.gettempdir()}/hyperatom-walkers")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

from figures import Figure, report
from hyperatom.campaign.assembly import create, opened
from hyperatom.campaign.chain_store import Seconds, Step
from hyperatom.campaign.schedule import Schedule
from kill_resume import Chain

QUARTZ = """
configuration: {{crystal: alpha-quartz, repeat: [{repeat}, {repeat}, {repeat}]}}
temperature: 300
guide: {{cutoff: 5, radial_functions: 8, power_channels: 4, power_degree: 3,
        bispectrum_channels: 2, bispectrum_degree: 2}}
sampling: {{length: {length}, segments: 2}}
learn: {{calls: {calls}, probation: 2}}
produce: {{proposals: {proposals}, guide_samples: 0}}
farm: {{workers: {workers}, ahead: {ahead}}}
walkers: 4
seed: 4
"""


class _Watch:
    """When each phase began, and when the last step was done."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}
        self.last = 0.0

    def phase(self, phase: str, schedule: Schedule) -> None:  # noqa: ARG002
        self.phases.setdefault(phase, time.perf_counter())

    def step(self, step: Step, seconds: Seconds) -> None:  # noqa: ARG002
        self.last = time.perf_counter()

    def free_sample(self, seconds: float) -> None:
        """The guide alone does not count here."""


def run(folder: Path, name: str, **values: object) -> tuple[float, float, Chain]:
    """Wall time from the first label to the last step, that of production, and the chain."""
    path = folder / name
    create(QUARTZ.format(**values), folder / f"{name}.yaml", path)
    watch = _Watch()
    with opened(path, watch) as campaign:
        campaign.run()
    whole, produced = (watch.last - watch.phases[phase] for phase in ("learn", "produce"))
    print(f"{name}: {whole:.1f} s, production {produced:.1f} s", file=sys.stderr, flush=True)
    return whole, produced, Chain.of(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proposals", type=int, default=6, help="of each walker")
    parser.add_argument("--calls", type=int, default=16, help="of learning")
    parser.add_argument("--length", type=float, default=200.0, help="fs")
    parser.add_argument("--repeat", type=int, default=2, help="cells of 9 atoms, each way")
    given = parser.parse_args()
    cores = os.cpu_count() or 1
    size = {
        "calls": given.calls,
        "proposals": given.proposals,
        "length": given.length,
        "repeat": given.repeat,
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # Compiles; otherwise whichever came first would pay for both.
        run(folder, "warm-up", **size, workers=1, ahead=0)
        serial, serial_produced, one = run(folder, "serial", **size, workers=1, ahead=0)
        parallel, produced, other = run(folder, "parallel", **size, workers=cores, ahead=0)
        ahead, _, third = run(folder, "ahead", **size, workers=cores, ahead=1)
    report(
        [
            Figure("walkers.parallel_over_serial", round(parallel / serial, 3)),
            Figure("walkers.production_over_serial", round(produced / serial_produced, 3)),
            Figure("walkers.identical", int(one == other)),
            Figure("walkers.ahead_identical", int(one == third)),
        ],
        "walkers",
        {
            "serial_s": serial,
            "parallel_s": parallel,
            "ahead_s": ahead,
            "serial_production_s": serial_produced,
            "parallel_production_s": produced,
            "atoms": 9 * given.repeat**3,
            "steps": len(one.steps),
            "cores": cores,
            "load": os.getloadavg()[0],
        },
    )


if __name__ == "__main__":
    main()
