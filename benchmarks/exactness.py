"""Is every sampler exact? Long chains in ensembles that are known, all with guides that are wrong.

    python benchmarks/exactness.py [--effort 4] [--only WORDS]

Every case that a file `tests/cases_*.py` registers is run (`tests/exact_rows.py` says how), with
chains `effort` times as long as in the tests: three seeds, averages over all of them and over each
compared with the exact value in standard errors of the run itself. Tests that break the samplers on
purpose are in `tests/`; here they are only asked to be right.

| figure                | unit | meaning                                                         |
|-----------------------|------|-----------------------------------------------------------------|
| `exactness.worst_z`   |      | largest |z| of all averages over all seeds                      |
| `exactness.chance`    |      | chance of one as large among so many independent averages       |
| `exactness.averages`  |      | averages compared                                               |
| `exactness.rms_z`     |      | root mean square of z: 1 where the error bars are honest        |
"""

import argparse
import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.special import erfc

from figures import Figure, report

TESTS = Path(__file__).parents[1] / "tests"


def load_cases() -> Any:
    """The module of rows, after every file of cases has registered its own in it."""
    sys.path.insert(0, str(TESTS))
    for path in sorted(TESTS.glob("cases_*.py")):
        importlib.import_module(path.stem)
    return importlib.import_module("exact_rows")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--effort", type=float, default=4.0, help="chains this much longer")
    parser.add_argument("--only", default="", help="cases whose names hold these words")
    arguments = parser.parse_args()
    known = load_cases()
    seeds = known.SEEDS
    chosen = {name: run for name, run in known.CASES.items() if arguments.only in name}
    found: dict[str, list[Any]] = {}
    for number, (name, run) in enumerate(chosen.items(), 1):
        clock = time.perf_counter()
        rows = run(arguments.effort, seeds)
        # Rows of single seeds are no new information.
        found[name] = [row for row in rows if not row.name.endswith(f" of {len(seeds)})")]
        print(f"\n{name}  [{number}/{len(chosen)}, {time.perf_counter() - clock:.0f} s]")
        print(f"    {'average':40s} {'exact':>11s} {'measured':>11s} {'error':>9s} {'z':>6s}")
        for row in found[name]:
            print(
                f"    {row.name:40s} {row.exact:11.5f} {row.measured:11.5f} {row.error:9.5f} "
                f"{row.z:+6.2f}",
                flush=True,
            )
    z = np.array([row.z for rows in found.values() for row in rows])
    worst = float(np.abs(z).max())
    print()
    report(
        [
            Figure("exactness.worst_z", round(worst, 2)),
            Figure("exactness.chance", round(1.0 - (1.0 - erfc(worst / 2**0.5)) ** len(z), 3)),
            Figure("exactness.averages", len(z)),
            Figure("exactness.rms_z", round(float(np.sqrt(np.mean(z**2))), 3)),
        ],
        "exactness_part" if arguments.only else "exactness",
        {
            "effort": arguments.effort,
            "seeds": list(seeds),
            "cases": {
                name: [
                    {
                        "average": row.name,
                        "exact": round(row.exact, 6),
                        "measured": round(row.measured, 6),
                        "error": round(row.error, 6),
                        "z": round(row.z, 2),
                    }
                    for row in rows
                ]
                for name, rows in found.items()
            },
        },
    )


if __name__ == "__main__":
    main()
