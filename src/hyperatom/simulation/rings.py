"""Rings of beads in a simulation: what of their frames is looked at.

Correlations in time of ring-polymer dynamics are those of bead averages: positions and velocities
are those of the centroid. Structure is that of the beads, which are all distributed alike: one of
them from each frame, in turn.
"""

from dataclasses import dataclass, replace

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.frames import Array, Frames, FrameSource
from hyperatom.ring_polymer import RingPolymer


def in_beads(configuration: Configuration, beads: int) -> Configuration:
    """A configuration that holds all beads, stacked, as a ring; itself for one bead."""
    if beads == 1:
        return configuration
    n = configuration.n_atoms // beads
    atoms = Configuration(
        configuration.numbers[:n],
        configuration.positions[:n],
        configuration.cell,
        configuration.periodic,
        configuration.masses[:n],
    )
    return RingPolymer.of_beads(atoms, configuration.positions.reshape(beads, n, 3))


def centroid(configuration: Configuration) -> Configuration:
    """Of a ring; a plain configuration itself."""
    return configuration.centroid() if isinstance(configuration, RingPolymer) else configuration


@dataclass(frozen=True, eq=False)
class CentroidFrames:
    """Frames of the centroids of `n_beads` stacked beads; energies are those given."""

    beads: FrameSource
    n_beads: int

    def __len__(self) -> int:
        return len(self.beads)

    def read(self, start: int, stop: int, step: int) -> Frames:
        """The frames start, start + step, ... before stop."""
        frames = self.beads.read(start, stop, step)
        velocities = frames.velocities
        return replace(
            frames,
            positions=self._mean(frames.positions),
            velocities=None if velocities is None else self._mean(velocities),
        )

    def _mean(self, rows: Array) -> Array:
        found: Array = rows.reshape(len(rows), self.n_beads, -1, 3).mean(axis=1)
        return found


@dataclass(frozen=True, eq=False)
class BeadFrames:
    """Of each frame one of `n_beads` stacked beads, in turn."""

    beads: FrameSource
    n_beads: int

    def __len__(self) -> int:
        return len(self.beads)

    def read(self, start: int, stop: int, step: int) -> Frames:
        """The frames start, start + step, ... before stop."""
        frames = self.beads.read(start, stop, step)
        which = np.arange(start, start + step * len(frames), step) % self.n_beads
        positions = frames.positions.reshape(len(frames), self.n_beads, -1, 3)
        return replace(frames, positions=positions[np.arange(len(which)), which], velocities=None)
