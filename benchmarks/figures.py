"""Figures of a benchmark: one JSON line each on the screen, the last full output on disk."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results"

PACKAGES = ("hyperatom", "jax", "jaxlib", "numpy", "scipy", "ase", "tblite", "vesin")


class Figure(NamedTuple):
    """One measured number."""

    figure: str
    value: float | int | None
    unit: str = ""


def report(figures: Sequence[Figure], name: str, details: Mapping[str, Any] | None = None) -> None:
    """Print figures, and keep them with date, versions and machine in results/<name>.json."""
    for figure in figures:
        print(json.dumps(figure._asdict()), flush=True)
    keep(figures, name, details)


def keep(figures: Sequence[Figure], name: str, details: Mapping[str, Any] | None = None) -> None:
    """Keep figures of what is done so far, without printing them."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    content = {
        "benchmark": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions,
        "machine": {
            "system": platform.platform(),
            "processor": processor(),
            "cores": len(os.sched_getaffinity(0)),
        },
        "figures": [figure._asdict() for figure in figures],
        "details": dict(details or {}),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def processor() -> str:
    """What the machine calls its processor."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
