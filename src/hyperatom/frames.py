"""Frames: consecutive configurations of a trajectory as arrays, and where they are read from."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Frames:
    """Consecutive configurations.

    | field        | shape                        | unit                | meaning                |
    |--------------|------------------------------|---------------------|------------------------|
    | `positions`  | (n_frames, n_atoms, 3)       | Å                   | wrapped or not         |
    | `cells`      | (n_frames, 3, 3)             | Å                   | lattice vectors as rows|
    | `velocities` | (n_frames, n_atoms, 3), None | Å/fs                |                        |
    | `forces`     | (n_frames, n_atoms, 3), None | eV/Å                |                        |
    | `energies`   | (n_frames,), None            | eV                  | potential energy       |
    | `stresses`   | (n_frames, 6), None          | eV/Å^3              | as in `Evaluation`     |
    """

    positions: Array
    cells: Array
    velocities: Array | None = None
    forces: Array | None = None
    energies: Array | None = None
    stresses: Array | None = None

    def __len__(self) -> int:
        return len(self.positions)


class FrameSource(Protocol):
    """Where frames come from: memory, a file, a run."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def read(self, start: int, stop: int, step: int) -> Frames:
        """The frames start, start + step, ... before stop."""
        ...


@dataclass(frozen=True, eq=False)
class FramesInMemory:
    """A source of frames in memory, or in a memory-mapped file: anything with slices.

    Shapes and units are those of `Frames`; `cells` may be one cell (3, 3).
    """

    positions: Any
    cells: Any
    velocities: Any = None
    forces: Any = None
    energies: Any = None
    stresses: Any = None

    def __len__(self) -> int:
        return len(self.positions)

    def read(self, start: int, stop: int, step: int) -> Frames:
        """The frames start, start + step, ... before stop."""
        window = slice(start, stop, step)

        def part(values: Any) -> Array | None:
            return None if values is None else np.asarray(values[window], dtype=np.float64)

        positions = part(self.positions)
        assert positions is not None
        cells = np.asarray(self.cells, dtype=np.float64)
        cells = np.broadcast_to(cells, (len(positions), 3, 3)) if cells.ndim == 2 else cells[window]
        return Frames(
            positions,
            cells,
            part(self.velocities),
            part(self.forces),
            part(self.energies),
            part(self.stresses),
        )


@dataclass(frozen=True, eq=False)
class SomeFrames:
    """The frames of another source whose numbers are in `chosen`."""

    source: FrameSource
    chosen: range

    def __len__(self) -> int:
        return len(self.chosen)

    def read(self, start: int, stop: int, step: int) -> Frames:
        """The frames start, start + step, ... before stop."""
        part = self.chosen[start:stop:step]
        return self.source.read(part.start, part.stop, part.step)


@dataclass(frozen=True, eq=False)
class FramesInTurn:
    """Several sources of the same atoms, one behind the other; all hold the same quantities."""

    parts: tuple[FrameSource, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def read(self, start: int, stop: int, step: int) -> Frames:
        """The frames start, start + step, ... before stop."""
        wanted = range(start, stop, step)
        found, first = [], 0
        for part in self.parts:
            own = [number - first for number in wanted if first <= number < first + len(part)]
            if own:
                found.append(part.read(own[0], own[-1] + 1, step))
            first += len(part)

        def joined(name: str) -> Array | None:
            arrays = [getattr(one, name) for one in found]
            return None if any(array is None for array in arrays) else np.concatenate(arrays)

        positions, cells = joined("positions"), joined("cells")
        assert positions is not None
        assert cells is not None
        return Frames(
            positions, cells, joined("velocities"), joined("forces"), joined("energies"),
            joined("stresses"),
        )  # fmt: skip
