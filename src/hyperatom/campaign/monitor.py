"""Whoever watches a campaign, and who does not."""

from typing import Protocol

from hyperatom.campaign.chain_store import Phase, Seconds, Step
from hyperatom.campaign.schedule import Schedule


class Monitor(Protocol):
    """Hears of everything that happens."""

    def phase(self, phase: Phase, schedule: Schedule) -> None:
        """A phase begins."""
        ...

    def step(self, step: Step, seconds: Seconds) -> None:
        """A step is on disk."""
        ...

    def free_sample(self, seconds: float) -> None:
        """A sample of the guide alone is on disk; it took so many seconds."""
        ...


class Unwatched:
    """A monitor that says nothing."""

    def phase(self, phase: Phase, schedule: Schedule) -> None:
        """A phase begins."""

    def step(self, step: Step, seconds: Seconds) -> None:
        """A step is on disk."""

    def free_sample(self, seconds: float) -> None:
        """A sample of the guide alone is on disk."""
