"""What people see while a campaign runs: a live table on a terminal, plain lines elsewhere."""

import time
from math import isfinite
from typing import Any, Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from hyperatom.campaign.chain_store import Phase, Seconds, Step
from hyperatom.campaign.progress import Progress
from hyperatom.campaign.schedule import Schedule

PLAIN_EVERY_STEPS = 10
PLAIN_EVERY_SECONDS = 60.0
SAMPLE_EVERY_SECONDS = 2.0
"""The effective sample size is worked out anew no more often than this."""

PHASES: dict[Phase, str] = {
    "start": "starting",
    "learn": "learning",
    "probe": "probing the frozen guide",
    "produce": "producing with the frozen guide",
    "average": "sampling the guide alone, to sharpen the averages",
}


class Display(Protocol):
    """A campaign's `Monitor` that can be switched on and off."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(self, *_: object) -> None:
        """End."""
        ...

    def phase(self, phase: Phase, schedule: Schedule) -> None:
        """A phase begins."""
        ...

    def step(self, step: Step, seconds: Seconds) -> None:
        """A step is on disk."""
        ...

    def free_sample(self, seconds: float) -> None:
        """A sample of the guide alone is on disk."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was; harmless when called twice."""
        ...


def make_display(progress: Progress, console: Console) -> Display:
    """The display that suits the console."""
    if console.is_terminal:
        return LiveDisplay(progress, console)
    return PlainDisplay(progress, console)


class LiveDisplay:
    """A table that is drawn again and again, with a clock that ticks during long calls."""

    def __init__(self, progress: Progress, console: Console) -> None:
        self.progress = progress
        self._started = time.monotonic()
        self._latest = self._started
        self._sampled = (0.0, float("-inf"))
        self._rows: list[tuple[str, str]] = []
        self._note()
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=2)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Show the last state and give the cursor back."""
        self._live.stop()

    def phase(self, phase: Phase, schedule: Schedule) -> None:  # noqa: ARG002
        """A phase begins."""
        self.progress.phase = phase
        self._note()

    def step(self, step: Step, seconds: Seconds) -> None:
        """A step is on disk."""
        self.progress.take(step, seconds)
        self._latest = time.monotonic()
        self._note()

    def free_sample(self, seconds: float) -> None:
        """A sample of the guide alone is on disk."""
        self.progress.take_free(seconds)
        self._latest = time.monotonic()
        self._note()

    def _note(self) -> None:
        samples, when = self._sampled
        if self.progress.counting and time.monotonic() - when > SAMPLE_EVERY_SECONDS:
            samples = self.progress.independent_samples()
            self._sampled = samples, time.monotonic()
        self._rows = list(describe(self.progress, samples))

    def _draw(self) -> Any:
        progress = self.progress
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", justify="right")
        table.add_column()
        total, done = progress.calls_planned, progress.calls_made
        if progress.phase == "average":
            total, done = progress.free_planned, progress.free
        table.add_row("", ProgressBar(total, done, width=40))
        for name, value in self._rows:
            table.add_row(name, value)
        now = time.monotonic()
        table.add_row(
            "clock",
            f"{duration(now - self._started)} in this session, "
            f"{duration(now - self._latest)} since the last step",
        )
        return table


class PlainDisplay:
    """A line for each phase and every few steps: for log files and batch jobs."""

    def __init__(self, progress: Progress, console: Console) -> None:
        self.progress = progress
        self._console = console
        self._spoke = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing to tidy up."""

    def phase(self, phase: Phase, schedule: Schedule) -> None:  # noqa: ARG002
        """A phase begins."""
        self.progress.phase = phase
        self._say(f"{PHASES[phase]}, after {self.progress.calls_made} reference calls")

    def step(self, step: Step, seconds: Seconds) -> None:
        """A step is on disk."""
        self.progress.take(step, seconds)
        due = step.walker == 0 and step.number % PLAIN_EVERY_STEPS == 0
        if due or time.monotonic() - self._spoke > PLAIN_EVERY_SECONDS:
            self._say(line(self.progress))

    def free_sample(self, seconds: float) -> None:
        """A sample of the guide alone is on disk."""
        self.progress.take_free(seconds)
        if time.monotonic() - self._spoke > PLAIN_EVERY_SECONDS:
            self._say(line(self.progress))

    def _say(self, sentence: str) -> None:
        self._spoke = time.monotonic()
        self._console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def line(progress: Progress, *, finished: bool = False) -> str:
    """The state of a campaign in one line."""
    acceptance, _ = progress.acceptance()
    error, _ = progress.guide_error()
    made = f"{progress.calls_made} reference calls"
    parts = [
        f"Finished: {made}"
        if finished
        else f"{progress.phase}: {made} of at most {progress.calls_planned}",
        f"acceptance {_number(acceptance, '.2f')}",
        f"guide error {_number(error, '.3g')} meV/atom",
    ]
    if progress.phase == "average" and not finished:
        parts.append(f"{progress.free} of {progress.free_planned} samples of the guide")
    if progress.counting:
        parts.append(f"{progress.independent_samples():.1f} independent samples")
    if progress.failures:
        parts.append(f"{progress.failures} failed calls")
    if not finished:
        parts.append(f"{_time_left(progress)} left")
    return ", ".join(parts)


def describe(progress: Progress, samples: float) -> list[tuple[str, str]]:
    """The state of a campaign as rows of a table: name and value."""
    acceptance, n_proposals = progress.acceptance()
    error, earlier = progress.guide_error()
    trend = ""
    if isfinite(earlier) and isfinite(error):
        word = (
            "falling" if error < 0.9 * earlier else "rising" if error > 1.1 * earlier else "level"
        )
        trend = f", {word} (before: {earlier:.3g})"
    judged = "nothing counted yet"
    if n_proposals:
        judged = f"{acceptance:.2f} over {n_proposals} proposals"
    spent = progress.spent
    rows = [
        ("phase", "finished" if progress.finished else PHASES[progress.phase]),
        (
            "reference calls",
            f"{progress.calls_made} made, at most {progress.calls_planned} planned",
        ),
        ("acceptance", judged),
        ("guide error", f"{_number(error, '.3g')} meV/atom{trend}"),
    ]
    if progress.counting:
        rows.append(("independent samples", f"{samples:.1f}"))
    if progress.phase == "average":
        rows.append(("samples of the guide", f"{progress.free} of {progress.free_planned}"))
    if progress.failures:
        rows.append(("failed calls", str(progress.failures)))
    rows.append(
        (
            "time spent",
            (
                f"guide {duration(spent.guide)}, fit {duration(spent.fit)}, "
                f"reference {duration(spent.reference)}"
            ),
        )
    )
    if not progress.finished:
        rows.append(("time left", _time_left(progress)))
    return rows


def _time_left(progress: Progress) -> str:
    seconds = progress.seconds_left()
    return f"at most about {duration(seconds)}" if isfinite(seconds) else "an unknown time"


def duration(seconds: float) -> str:
    """A time span as people say it."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2.0 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10.0 else f"{seconds:.1f} s"


def _number(value: float, form: str) -> str:
    return format(value, form) if isfinite(value) else "unknown"
