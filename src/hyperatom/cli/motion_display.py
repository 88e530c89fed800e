"""What people see while atoms move: speed, temperature, energies, time left."""

import threading
import time
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from hyperatom.cli.display import duration
from hyperatom.simulation.motion_store import Row
from hyperatom.simulation.settings import MotionSettings
from hyperatom.units import BOLTZMANN, MILLI

PLAIN_EVERY_SECONDS = 20.0


class MotionDisplay:
    """A live table on a terminal, now and then a line elsewhere; a simulation's `Monitor`."""

    def __init__(self, settings: MotionSettings, n_atoms: int, console: Console) -> None:
        self.settings, self.n_atoms = settings, n_atoms
        self._console = console
        self._steps: dict[int, int] = {}
        self._here = 0  # steps of this session
        self._began = self._spoke = time.monotonic()
        self._row: Row | None = None
        self._latest = 0
        self._lock = threading.Lock()
        self._live = (
            Live(console=console, get_renderable=self._draw, refresh_per_second=2)
            if console.is_terminal
            else None
        )

    def begin(self, steps: dict[int, int]) -> None:
        """Steps that walkers have done before."""
        self._steps.update(steps)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def stretch(self, walker: int, step: int, steps: int, seconds: float, row: Row) -> None:  # noqa: ARG002
        """A walker has come further."""
        with self._lock:
            if not self._here:
                # The first stretch was compiled too: speed counts from its end.
                self._began = time.monotonic()
                self._spoke = self._began
            else:
                self._latest += steps
            self._here += steps
            self._steps[walker] = step
            self._row = row
            speak = self._live is None and time.monotonic() - self._spoke > PLAIN_EVERY_SECONDS
            if speak:
                self._spoke = time.monotonic()
        if speak:
            said = ", ".join(f"{name} {value}" for name, value in self.rows())
            self._console.print(said, markup=False, highlight=False, soft_wrap=True)

    @property
    def _done(self) -> int:
        return sum(self._steps.values())

    @property
    def _planned(self) -> int:
        return self.settings.n_steps * self.settings.walkers

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of everything that is shown."""
        settings, row = self.settings, self._row
        picoseconds = self._done * settings.time_step / 1000.0
        whole = self._planned * settings.time_step / 1000.0
        found = [("moved", f"{picoseconds:.6g} of {whole:.6g} ps")]
        elapsed = time.monotonic() - self._began
        if self._latest and elapsed > 0.0:
            rate = self._latest / elapsed
            per_day = rate * settings.time_step * 86400.0 * 1e-6
            found.append(
                (
                    "speed",
                    f"{per_day:.3g} ns/day, {1e6 / rate / self.n_atoms:.3g} us per atom and step",
                )
            )
            found.append(("left", duration((self._planned - self._done) / rate)))
        if row is not None:
            freedom = 3 * self.n_atoms - 3
            found.append(("temperature", f"{2.0 * row.kinetic / freedom / BOLTZMANN:.4g} K"))
            found.append(("potential energy", f"{row.energy / self.n_atoms:.6g} eV/atom"))
            if row.error > 0.0:
                error = row.error / self.n_atoms / MILLI
                found.append(("predicted error", f"{error:.3g} meV/atom"))
        return found

    def _draw(self) -> Any:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", justify="right")
        table.add_column()
        table.add_row("", ProgressBar(self._planned, self._done, width=40))
        for name, value in self.rows():
            table.add_row(name, value)
        return table
