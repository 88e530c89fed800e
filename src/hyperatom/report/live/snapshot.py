"""What the live page shows of a run at one moment: numbers, words and figures, ready for JSON."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from math import isfinite
from pathlib import Path
from typing import Any, Final

import numpy as np

from hyperatom.analysis.statistics import split_r_hat
from hyperatom.campaign.chain_store import ChainStore
from hyperatom.campaign.farming import engines_here
from hyperatom.campaign.progress import Progress, progress_of
from hyperatom.campaign.run_directory import is_busy
from hyperatom.campaign.settings import Settings
from hyperatom.errors import HyperatomError
from hyperatom.references.label_store import LabelStore
from hyperatom.report.collect import RECENT, collect
from hyperatom.report.data import PRODUCE, ProposalTable, ReportData
from hyperatom.report.figures import draw_all
from hyperatom.report.markup import duration, number
from hyperatom.report.page import conditions
from hyperatom.report.space.scene import Scene

SHOWN_DECISIONS: Final = 80
"""Of each walker, the latest."""

SHOWN_WALKERS: Final = 8
"""Whose atoms can be looked at."""

LOG_LINES: Final = 60

WORDS: Final = {
    "start": "starting",
    "learn": "learning",
    "probe": "on probation",
    "produce": "producing",
    "average": "sampling the guide",
    "finished": "finished",
    "stopped": "stopped",
}
SENTENCES: Final = {
    "start": "The engine starts, and the first label is computed.",
    "learn": "Every reference call teaches the guide. Nothing counts yet.",
    "probe": "The frozen guide is tried on proposals that count for nothing.",
    "produce": "The frozen guide proposes, the reference judges. From here on everything counts.",
    "average": "The frozen guide samples itself, free of calls, to sharpen the averages.",
    "finished": "All that was asked for has been sampled.",
    "stopped": "No process is at work in this run. Nothing is lost: go on with",
}


def snapshot(path: Path) -> dict[str, Any]:
    """The state of the run in `path`; nothing there is written, locked or waited for.

    Raises `RunDirectoryError` where it is no run.
    """
    busy = is_busy(path)
    settings, progress = progress_of(path)
    state: str = progress.phase if busy else "stopped"
    if progress.finished:
        state = "finished"
    found: dict[str, Any] = {
        "state": state,
        "word": WORDS[state],
        "sentence": SENTENCES[state],
        "command": f"hyperatom resume {path}" if state == "stopped" else "",
        "stages": _stages(settings, progress),
        "log": _log(path),
        "title": settings.title or path.name,
        "subtitle": str(path),
        "tiles": _tiles(progress, None),
        "notes": [],
        "walkers": [],
        "pictures": {},
        "space": None,
        "farm": [],
        "workers": [],
    }
    if progress.steps["start"]:
        data = collect(path, live=True)
        found |= _measured(data, settings, progress)
        found["space"] = _space(path, settings)
        found["farm"], found["workers"] = _farm(path, settings, progress)
    return found


def _measured(data: ReportData, settings: Settings, progress: Progress) -> dict[str, Any]:
    system = data.system
    pictures = {
        name: {"svg": picture.svg, "caption": picture.caption}
        for name, picture in draw_all(data).items()
    }
    if "structure" in pictures:
        which = "that count" if progress.counting else "of learning, which are not the ensemble yet"
        pictures["structure"]["caption"] += f" At most the {RECENT} latest {which}."
    series = data.proposals.by_walker(data.proposals.energy, data.proposals.produced)
    r_hat = split_r_hat(series) if series else float("nan")
    notes = [note for note in data.notes if "not finished" not in note]
    if isfinite(r_hat) and len(series) > 1:
        notes.append(
            f"Split R-hat of the energy over {len(series)} walkers: {r_hat:.3f} "
            "(1 is perfect, up to 1.01 is good)."
        )
    return {
        "title": data.title,
        "subtitle": f"{system.formula} · {system.n_atoms} atoms · {conditions(system)} · "
        f"{system.engine}",
        "tiles": _tiles(progress, data),
        "notes": list(dict.fromkeys(notes)),
        "walkers": _walkers(data.proposals, settings.chains_at(0), system.n_atoms),
        "pictures": pictures,
    }


def _stages(settings: Settings, progress: Progress) -> list[dict[str, Any]]:
    """The parts of a campaign in their order: how much of each is done, of at most how much."""
    learned = progress.calls["start"] + progress.calls["learn"]
    past = progress.phase in ("probe", "produce", "average")
    probed = progress.steps["probe"]
    stages = [
        ("learning", learned, learned if past else max(learned, settings.learn.calls), "calls"),
        ("probation", probed, max(probed, settings.chains * settings.learn.probation), "steps"),
        ("production", progress.steps["produce"], progress.steps_planned, "proposals"),
        ("guide alone", progress.free, progress.free_planned, "samples"),
    ]
    return [
        {"name": name, "done": done, "total": total, "unit": unit}
        for name, done, total, unit in stages
        if total
    ]


def _tiles(progress: Progress, data: ReportData | None) -> list[dict[str, str]]:
    acceptance, judged = progress.acceptance()
    error, before = progress.guide_error()
    trend = "along a proposal"
    if isfinite(error) and isfinite(before):
        trend = f"before that {before:.3g}"
    what = "proposals that count" if progress.counting else "latest full paths"
    left = progress.seconds_left()
    spent = progress.spent
    tiles = [
        (
            "Reference calls",
            f"{progress.calls_made:,}",
            f"of at most {progress.calls_planned:,}"
            + (f"; {progress.failures:,} failed" if progress.failures else ""),
        ),
        (
            "Acceptance",
            f"{acceptance:.2f}" if judged else "–",
            f"of {judged:,} {what}" if judged else "nothing judged yet",
        ),
        ("Guide error", f"{error:.3g} meV/atom" if isfinite(error) else "–", trend),
    ]
    if data is not None and data.energy is not None and isfinite(data.energy.value):
        known = isfinite(data.energy.error)
        tiles += [
            (
                data.system.energy_name,
                str(data.energy).removesuffix(" (error unknown)"),
                "exact, one standard error" if known else "error not known yet",
            ),
            ("Independent samples", number(data.energy.n_effective), "of the energy"),
        ]
    if not progress.finished:
        told = duration(left) if isfinite(left) else "–"
        tiles.append(("Time left, at most", told, f"{duration(spent.total)} spent by walkers"))
    return [{"name": name, "value": value, "remark": remark} for name, value, remark in tiles]


def _walkers(table: ProposalTable, walkers: Iterable[int], n_atoms: int) -> list[dict[str, Any]]:
    """Each walker: how far, how often accepted, where its energy is, its latest decisions."""
    marks = np.where(table.accepted, "a", "r")
    marks = np.where(~np.isfinite(table.delta_h), "f", marks)
    marks = np.where(table.veto != "", "v", marks)
    energies = table.energy[np.isfinite(table.energy)]
    mean = energies.mean() if len(energies) else 0.0
    found = []
    for walker in walkers:
        own = table.walker == walker
        recent = np.flatnonzero(own)[-SHOWN_DECISIONS:]
        counted = own & table.produced
        judged = counted if counted.any() else own
        energy = table.energy[recent[-1]] if len(recent) else float("nan")
        found.append(
            {
                "walker": walker,
                "steps": int(own.sum()),
                "counted": int(counted.sum()),
                "acceptance": _finite(table.accepted[judged].mean() if judged.any() else np.nan),
                "energy": _finite(1.0e3 * (energy - mean) / n_atoms),
                "decisions": "".join(
                    mark.upper() if phase == PRODUCE else mark
                    for mark, phase in zip(marks[recent], table.phase[recent], strict=True)
                ),
            }
        )
    return found


def _space(path: Path, settings: Settings) -> dict[str, Any] | None:
    """Where the first walkers are."""
    found = {}
    with (
        closing(ChainStore(path / "chain.db", read_only=True)) as chain,
        closing(LabelStore(path / "labels.db", read_only=True)) as labels,
    ):
        for walker in settings.chains_at(0)[:SHOWN_WALKERS]:
            step = chain.last(walker)
            label = None if step is None else labels.get(step.state_label)
            if label is not None:
                found[f"walker {walker}"] = label.configuration
    return Scene(found).content() if found else None


def _finite(value: float) -> float | None:
    return float(value) if isfinite(value) else None


def _farm(
    path: Path, settings: Settings, progress: Progress
) -> tuple[list[tuple[str, str]], list[dict[str, Any]]]:
    """Who computes labels: rows of names and values; the workers of a queue, one by one."""
    farm, spent = settings.farm, progress.spent
    with closing(LabelStore(path / "labels.db", read_only=True)) as store:
        labels, failures, attempts = store.count(), store.count_failures(), store.count_attempts()
    calls = max(1, progress.calls_made)
    rows = [
        ("Backend", farm.backend),
        ("Labels in store", f"{labels:,}"),
        ("One call takes, on average", duration(spent.reference / calls)),
        ("Calls that failed", f"{failures:,}"),
    ]
    for kind, count in attempts.items():
        rows.append((f"Attempts that came to nothing: {kind}", f"{count:,}"))
    if farm.backend == "local":
        rows.insert(1, ("Engines on this machine", f"{engines_here(settings)}"))
    elif farm.workers:
        rows.insert(1, ("Labels at a time", f"{farm.workers:,}"))
    if farm.queue is None or not (farm.queue / "queue.json").is_file():
        return rows, []
    from hyperatom.references.farm.file_queue import FileQueue
    from hyperatom.references.farm.queue_farm import activity

    try:
        queue = FileQueue(farm.queue)
        workers = activity(queue)
        rows.append(("Labels that wait for a worker", f"{len(queue.waiting()):,}"))
    except HyperatomError as problem:
        return [*rows, ("Queue", problem.problem)], []
    return rows, [
        {
            "worker": one.worker,
            "doing": one.doing,
            "busy": one.busy,
            "done": one.done,
            "failed": one.failed,
            "silent": duration(one.silent),
        }
        for one in workers
    ]


def _log(path: Path) -> Sequence[str]:
    try:
        lines = (path / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return lines[-LOG_LINES:]
