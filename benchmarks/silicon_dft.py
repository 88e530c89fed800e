"""Real density-functional theory from zero labels: examples/silicon_dft.yaml, timed.

    python benchmarks/silicon_dft.py [--folder DIR]

8 atoms of silicon, 300 K, PBE in plane waves with Quantum ESPRESSO: learn, freeze, produce 100
samples, report, verify. A finished run in DIR is only read.

| figure              | unit | meaning                                                        |
|---------------------|------|----------------------------------------------------------------|
| `.minutes`          | min  | from the input file to the report                              |
| `.seconds_per_call` | s    | mean wall time of a call                                       |
| `.calls`            |      | all calls: start, learning, probation, production              |
| `.learning_labels`  |      | labels that the frozen guide had learned from                  |
| `.samples`          |      | exact samples                                                  |
| `.acceptance`       |      | of the proposals that count                                    |
| `.certified`        |      | 1 where `hyperatom verify` passes                              |
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from campaign_runs import production
from figures import Figure, report
from hyperatom.campaign.chain_store import ChainStore

EXAMPLE = Path(__file__).parents[1] / "examples" / "silicon_dft.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args().folder
    run = chosen if chosen is not None else Path(tempfile.mkdtemp(), "silicon")
    if not (run / "report.html").exists():
        hyperatom("run", str(EXAMPLE), "--directory", str(run))
    certified = hyperatom("verify", str(run)) == 0
    seen = production(run)
    chain = ChainStore(run / "chain.db")
    try:
        frozen = chain.frozen()
    finally:
        chain.close()
    assert frozen is not None
    begun, ended = (run / "input.yaml").stat().st_mtime, (run / "report.html").stat().st_mtime
    asked = [seen.seconds[step.walker, step.number].reference for step in seen.steps if step.asked]
    figures = {
        "minutes": (round((ended - begun) / 60.0, 1), "min"),
        "seconds_per_call": (round(float(np.mean(asked)), 2), "s"),
        "calls": (seen.calls + seen.learning_calls, ""),
        "learning_labels": (frozen["labels"], ""),
        "samples": (len(seen.energies), ""),
        "acceptance": (seen.acceptance, ""),
        "certified": (int(certified), ""),
    }
    identity = json.loads((run / "certificate.json").read_text())
    report(
        [Figure(f"silicon_dft.{name}", *value) for name, value in figures.items()],
        "silicon_dft",
        {"certificate": identity},
    )


def hyperatom(*arguments: str) -> int:
    program = [sys.executable, "-c", "from hyperatom.cli.main import run; run()"]
    return subprocess.run([*program, *arguments], stdout=sys.stderr, check=False).returncode


if __name__ == "__main__":
    main()
