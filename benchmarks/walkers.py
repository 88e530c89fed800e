"""Four walkers at once against four one after the other: the same chains, in what time?

    python benchmarks/walkers.py [--proposals 6] [--repeat 1]

Alpha-quartz (9 atoms a cell, GFN1-xTB), one campaign from learning to its averages: one walker
after the other on one core; the same with all cores for whatever threads the arithmetic starts; as
many walkers at a time as there are cores; and these with labels asked for ahead of need. Each in a
process of its own, which has run such a campaign before and so has compiled everything.

| figure                           | meaning                                                       |
|----------------------------------|---------------------------------------------------------------|
| `walkers.parallel_over_serial`   | wall time of the campaign on all cores over that on one       |
| `walkers.production_over_serial` | the same, of production alone (learning fits between rounds)  |
| `walkers.parallel_over_threaded` | over that of one walker at a time with all cores              |
| `walkers.identical`              | 1 if chain, guide and labels of steps are equal, bit for bit  |
| `walkers.ahead_identical`        | 1 if the chain with prefetch is, too                          |
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
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


@dataclass(frozen=True)
class _Time:
    """Wall time of a campaign and of its production, s."""

    whole: float
    production: float


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


def run(folder: Path, name: str, **values: object) -> dict[str, float]:
    """Wall time in s from the first label to the last step, and that of production."""
    path = folder / name
    create(QUARTZ.format(**values), folder / f"{name}.yaml", path)
    watch = _Watch()
    with opened(path, watch) as campaign:
        campaign.run()
    whole, produced = (watch.last - watch.phases[phase] for phase in ("learn", "produce"))
    return {"whole": whole, "production": produced}


def run_apart(folder: Path, name: str, cores: set[int], values: dict[str, object]) -> _Time:
    """The same in a process of its own on some cores, compiled before."""
    words = [sys.executable, __file__, "--apart", str(folder), name, json.dumps(values)]
    affinity = ["taskset", "--cpu-list", ",".join(map(str, sorted(cores)))]
    done = subprocess.run([*affinity, *words], check=True, capture_output=True, text=True)
    time_ = _Time(**json.loads(done.stdout.splitlines()[-1]))
    print(f"{name}: {time_.whole:.1f} s, production {time_.production:.1f} s", file=sys.stderr)
    return time_


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proposals", type=int, default=6, help="of each walker")
    parser.add_argument("--calls", type=int, default=16, help="of learning")
    parser.add_argument("--length", type=float, default=200.0, help="fs")
    parser.add_argument("--repeat", type=int, default=1, help="cells of 9 atoms, each way")
    parser.add_argument("--apart", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.apart:
        where, name, values = given.apart
        run(Path(where), f"{name}-before", **json.loads(values))
        print(json.dumps(run(Path(where), name, **json.loads(values))))
        return
    cores = os.sched_getaffinity(0)
    size = {
        "calls": given.calls,
        "proposals": given.proposals,
        "length": given.length,
        "repeat": given.repeat,
    }
    variants = {
        "serial": ({min(cores)}, {"workers": 1, "ahead": 0}),
        "threaded": (cores, {"workers": 1, "ahead": 0}),
        "parallel": (cores, {"workers": len(cores), "ahead": 0}),
        "ahead": (cores, {"workers": len(cores), "ahead": 1}),
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        times = {
            name: run_apart(folder, name, own, size | wanted)
            for name, (own, wanted) in variants.items()
        }
        chains = {name: Chain.of(folder / name) for name in variants}
    serial, threaded, parallel = (times[name] for name in ("serial", "threaded", "parallel"))
    alike = chains["serial"] == chains["threaded"] == chains["parallel"]
    report(
        [
            Figure("walkers.parallel_over_serial", round(parallel.whole / serial.whole, 3)),
            Figure(
                "walkers.production_over_serial",
                round(parallel.production / serial.production, 3),
            ),
            Figure("walkers.parallel_over_threaded", round(parallel.whole / threaded.whole, 3)),
            Figure("walkers.identical", int(alike)),
            Figure("walkers.ahead_identical", int(chains["serial"] == chains["ahead"])),
        ],
        "walkers",
        {
            "seconds": {name: asdict(time_) for name, time_ in times.items()},
            "atoms": 9 * given.repeat**3,
            "steps": len(chains["serial"].steps),
            "cores": len(cores),
            "load": os.getloadavg()[0],
        },
    )


if __name__ == "__main__":
    main()
