"""Trajectory: many configurations of the same atoms, read piece by piece; never changed.

A Monte Carlo chain is a trajectory too, but one without a clock: `times` is None, and what needs
one refuses it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.frames import Array, Frames, FramesInMemory, FrameSource, SomeFrames

Kind = Literal["exact", "reweighted", "machine-learned dynamics", "as given"]
"""How samples came about.

`exact`: sampled from the reference's own ensemble; `reweighted`: sampled from another one and
weighted back; `machine-learned dynamics`: the path of a learned potential in time; `as given`: a
file that does not say.
"""

_ALIKE: Any = None

CHUNK_BYTES: Final = 64 * 2**20
"""Positions held in memory at a time while a trajectory is streamed."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Configurations of the same atoms in the order in which they were made.

    | field      | shape              | unit | meaning                                            |
    |------------|--------------------|------|----------------------------------------------------|
    | `numbers`  | (n_atoms,)         | -    | atomic numbers                                     |
    | `masses`   | (n_atoms,)         | amu  |                                                    |
    | `periodic` | (3,)               | -    | periodic along each lattice vector?                |
    | `source`   | n_frames           | -    | the frames themselves                              |
    | `times`    | (n_frames,) or None| fs   | equidistant; None for a Monte Carlo chain          |
    | `walkers`  | (n_frames,)        | -    | which chain each frame belongs to, each in order   |
    | `weights`  | (n_frames,)        | -    | average 1                                          |
    | `kind`     | text               | -    | how it was sampled, see `Kind`                     |
    | `origin`   | text               | -    | where it comes from, for people                    |

    Raises `InputError` where shapes do not fit, without frames, or for impossible weights.
    """

    numbers: NDArray[np.int64]
    masses: Array
    periodic: NDArray[np.bool_]
    source: FrameSource = field(repr=False)
    times: Array | None = field(default=None, repr=False)
    walkers: NDArray[np.int64] = field(default=_ALIKE, repr=False)
    weights: Array = field(default=_ALIKE, repr=False)
    kind: Kind = "as given"
    origin: str = "the trajectory"

    def __post_init__(self) -> None:
        n_frames = len(self.source)
        if n_frames == 0:
            raise InputError(f"{self.origin} needs at least one configuration and has none.")

        def settle(name: str, values: Any, dtype: type, size: int) -> NDArray[Any]:
            array: NDArray[Any] = np.array(values, dtype=dtype).reshape(-1)
            if len(array) != size:
                raise InputError(
                    f"{self.origin} has {size} entries, but {len(array)} {name} were given."
                )
            array.setflags(write=False)
            object.__setattr__(self, name, array)
            return array

        n_atoms = np.size(self.numbers)
        settle("numbers", self.numbers, np.int64, n_atoms)
        settle("masses", self.masses, np.float64, n_atoms)
        settle("periodic", self.periodic, np.bool_, 3)
        walkers = np.zeros(n_frames) if self.walkers is None else self.walkers
        settle("walkers", walkers, np.int64, n_frames)
        given = np.ones(n_frames) if self.weights is None else self.weights
        weights = settle("weights", given, np.float64, n_frames)
        if not ((weights >= 0.0).all() and weights.sum() > 0.0):
            raise InputError(
                f"{n_frames} configurations need as many weights, none negative or missing, "
                "not all zero."
            )
        settle("weights", weights / weights.mean(), np.float64, n_frames)
        if self.times is not None:
            settle("times", self.times, np.float64, n_frames)

    @classmethod
    def from_configurations(
        cls,
        configurations: Sequence[Configuration],
        *,
        energies: ArrayLike | None = None,
        times: ArrayLike | None = None,
        walkers: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        kind: Kind = "as given",
        origin: str = "A sequence of configurations",
    ) -> Self:
        """Configurations of one composition.

        Without times atoms need no identity: where their order changes (swaps of species), those
        of each configuration are sorted by atomic number. Raises `InputError` where there is no
        configuration or the atoms differ.
        """
        if not configurations:
            raise InputError(f"{origin} needs at least one configuration.")
        numbers = configurations[0].numbers
        if times is None and any(not np.array_equal(numbers, c.numbers) for c in configurations):
            configurations = [_sorted(one) for one in configurations]
        first = configurations[0]
        for number, one in enumerate(configurations):
            check_composition(first.numbers, one.numbers, number, origin)
        source = FramesInMemory(
            np.stack([one.positions for one in configurations]),
            np.stack([one.cell for one in configurations]),
            energies=None if energies is None else np.asarray(energies, dtype=np.float64),
        )
        return cls(
            first.numbers, first.masses, first.periodic, source,
            None if times is None else np.asarray(times, dtype=np.float64),
            walkers, weights, kind, origin,  # type: ignore[arg-type]
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.source)

    @property
    def n_atoms(self) -> int:
        """Number of atoms of each configuration."""
        return len(self.numbers)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Chemical symbols of the species, lightest first."""
        from ase.data import chemical_symbols

        return tuple(str(chemical_symbols[z]) for z in np.unique(self.numbers))

    @cached_property
    def time_step(self) -> float:
        """Time between frames, fs.

        Raises `InputError` for a Monte Carlo chain, where there are no times, or where they are not
        equidistant.
        """
        if self.kind in ("exact", "reweighted"):
            raise InputError(
                f"{self.origin} is a Monte Carlo chain: its steps follow no clock, so that nothing "
                "in it moves in time.",
                "Static averages are exact; for motion, start 'hyperatom md' from its samples.",
            )
        if self.times is None:
            raise InputError(
                f"{self.origin} does not say at which times its frames were taken.",
                "Give the time between frames: --time-step (fs).",
            )
        if len(self) < 2:
            raise InputError(f"{self.origin} has a single frame; motion needs two.")
        steps = np.concatenate([np.diff(self.times[self.walkers == w]) for w in self.labels])
        if not len(steps):
            raise InputError(f"Each walker of {self.origin} has a single frame; motion needs two.")
        if not (steps > 0.0).all() or np.ptp(steps) > 1e-3 * steps.mean():
            raise InputError(
                f"The times of {self.origin} are not equidistant: steps from {steps.min():.6g} to "
                f"{steps.max():.6g} fs.",
                "Leave out the irregular frames, or give --time-step (fs).",
            )
        return float(steps.mean())

    @property
    def longest(self) -> int:
        """Frames of the longest walker."""
        return int(np.unique(self.walkers, return_counts=True)[1].max())

    def windows(self) -> Iterator[slice]:
        """Where the frames of each walker lie, which follow one another."""
        for walker in self.labels:
            own = np.flatnonzero(self.walkers == walker)
            yield slice(int(own[0]), int(own[-1]) + 1)

    def clock(self, n_lags: int) -> Array:
        """Times 0, dt, 2 dt, ... between frames, (n_lags,), fs."""
        return np.arange(n_lags) * np.float64(self.time_step)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The walkers that there are."""
        return np.unique(self.walkers)

    def chunks(self, frame_bytes: int | None = None) -> Iterator[tuple[slice, Frames]]:
        """All frames in order, a few at a time, with their numbers; checked for sense.

        `frame_bytes` is what the caller needs of memory for each frame.
        """
        size = frame_bytes or 24 * max(self.n_atoms, 1)
        n_frames = max(1, CHUNK_BYTES // size)
        for start in range(0, len(self), n_frames):
            stop = min(start + n_frames, len(self))
            yield slice(start, stop), self.frames(start, stop)

    def frames(self, start: int, stop: int, step: int = 1) -> Frames:
        """Some of the frames.

        Raises `InputError` where a position or a needed cell is not a finite number.
        """
        frames = self.source.read(start, stop, step)
        bad = ~np.isfinite(frames.positions).all(axis=(1, 2))
        if bad.any():
            raise InputError(
                f"Frame {start + step * int(np.argmax(bad))} of {self.origin} holds positions that "
                "are not finite numbers.",
                "The path has blown up there, or the file is damaged; leave these frames out.",
            )
        if self.periodic.any():
            flat = ~np.isfinite(frames.cells).all(axis=(1, 2))
            flat |= ~(np.linalg.norm(frames.cells, axis=2)[:, self.periodic] > 0.0).all(axis=1)
            if flat.any():
                raise InputError(
                    f"Frame {start + step * int(np.argmax(flat))} of {self.origin} is periodic but "
                    "has no cell.",
                    "Write the trajectory with its cells.",
                )
        return frames

    def configuration(self, number: int) -> Configuration:
        """A single frame."""
        frames = self.frames(number, number + 1)
        return Configuration(
            self.numbers, frames.positions[0], frames.cells[0], self.periodic, self.masses
        )

    def select(self, start: int = 0, stop: int | None = None, step: int = 1) -> Self:
        """The frames start, start + step, ... before stop, as a trajectory of their own.

        Raises `InputError` where none is left.
        """
        window = slice(start, stop, step)
        first, last, stride = window.indices(len(self))
        if len(range(first, last, stride)) == 0:
            raise InputError(
                f"No frame of {self.origin} is left of {len(self)} from {start} on.",
                "Choose fewer frames to skip.",
            )
        return replace(
            self,
            source=SomeFrames(self.source, range(first, last, stride)),
            times=None if self.times is None else self.times[window],
            walkers=self.walkers[window],
            weights=self.weights[window],
        )

    def by_walker(self, values: Array) -> list[Array]:
        """A series (n_frames, ...) taken apart into those of each walker."""
        return [values[self.walkers == walker] for walker in self.labels]

    def members(self, species: str) -> NDArray[np.int64]:
        """Numbers of the atoms of a species, of several (`Si,O`), or of `all`.

        Raises `InputError` where there is no such atom.
        """
        if species in ("all", "total"):
            return np.arange(self.n_atoms)
        from ase.data import atomic_numbers

        wanted = [name.strip() for name in species.split(",")]
        chosen = np.flatnonzero(np.isin(self.numbers, [atomic_numbers.get(n, -1) for n in wanted]))
        if len(chosen) == 0:
            raise InputError(
                f"{self.origin} has no atom of species '{species}'.",
                f"There are {', '.join(self.symbols)}.",
            )
        return chosen

    @cached_property
    def volumes(self) -> Array:
        """Volume of each cell, (n_frames,), Å^3.

        Raises `InputError` where a direction is not periodic.
        """
        if not self.periodic.all():
            raise InputError(
                f"{self.origin} is not periodic in all directions: it has no density.",
                "Give it a cell, or ask for something that needs no volume.",
            )
        return np.concatenate([np.abs(np.linalg.det(frames.cells)) for _, frames in self.chunks()])

    @cached_property
    def energies(self) -> Array:
        """Potential energy of each frame, (n_frames,), eV.

        Raises `InputError` where a frame has none.
        """
        found = []
        for _, frames in self.chunks():
            if frames.energies is None or not np.isfinite(frames.energies).all():
                raise InputError(
                    f"{self.origin} does not hold the energy of each frame.",
                    "Write the trajectory with energies.",
                )
            found.append(frames.energies)
        return np.concatenate(found)


def check_composition(
    first: NDArray[np.int64], other: NDArray[np.int64], number: int, origin: str
) -> None:
    """Raise `InputError` unless frame `number` has the atoms of the first, in the same order."""
    if np.array_equal(first, other):
        return
    if len(first) == len(other) and np.array_equal(np.sort(first), np.sort(other)):
        raise InputError(
            f"Frame {number} of {origin} lists its atoms in another order than the first.",
            "Sort the atoms of each frame alike.",
        )
    raise InputError(
        f"Frame {number} of {origin} and the first differ in their numbers of atoms.",
        "Average configurations of one composition at a time.",
    )


def _sorted(configuration: Configuration) -> Configuration:
    order = np.argsort(configuration.numbers, kind="stable")
    return replace(
        configuration,
        numbers=configuration.numbers[order],
        positions=configuration.positions[order],
        masses=configuration.masses[order],
    )
