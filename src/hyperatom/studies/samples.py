"""What the runs of a study have sampled, as trajectories, and the potential to find minima on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hyperatom.campaign.assembly import load_configuration
from hyperatom.errors import InputError
from hyperatom.frames import Frames
from hyperatom.report.samples import run_samples
from hyperatom.simulation.motion_store import MotionStore
from hyperatom.simulation.movers import Mover, make_mover
from hyperatom.studies.settings import StudySettings
from hyperatom.studies.study import Part, motion_settings
from hyperatom.trajectory import Trajectory


@dataclass(frozen=True)
class WalkersFrames:
    """The frames of all walkers of a simulation one after the other, the first `skip` left out."""

    path: Path
    walkers: int
    skip: int
    each: int

    def __len__(self) -> int:
        return self.walkers * self.each

    def read(self, start: int, stop: int, step: int) -> Frames:
        """The frames start, start + step, ... before stop."""
        wanted = np.arange(start, min(stop, len(self)), step)
        store = MotionStore(self.path)
        try:
            parts = []
            for walker in np.unique(wanted // self.each):
                own = self.skip + wanted[wanted // self.each == walker] % self.each
                parts.append(store.frames(int(walker), int(own[0]), int(own[-1]) + 1, step))
        finally:
            store.close()
        velocities = [part.velocities for part in parts if part.velocities is not None]
        energies = [part.energies for part in parts if part.energies is not None]
        return Frames(
            np.concatenate([part.positions for part in parts]),
            np.concatenate([part.cells for part in parts]),
            np.concatenate(velocities) if velocities else None,
            energies=np.concatenate(energies) if energies else None,
        )


def samples_of(part: Part, settings: StudySettings) -> Trajectory:
    """What counts of a run: an exact chain, or the frames after equilibration with their times.

    Raises `InputError` where the equilibration leaves fewer than four frames.
    """
    if part.kind == "chain":
        return run_samples(part.path)[0]
    dynamic = settings.dynamic
    start = load_configuration(part.path / "start.npz")
    store = MotionStore(part.path / "motion.db")
    try:
        count = store.count(0)
    finally:
        store.close()
    skip = round(dynamic.equilibration * 1000.0 / dynamic.sample_every)
    each = count - skip
    if each < 4:
        raise InputError(
            f"{part.sentence} holds {count} frames, of which the equilibration takes {skip}.",
            "Give a longer 'length'.",
        )
    times = np.tile(np.arange(each) * dynamic.sample_every, dynamic.walkers)
    return Trajectory(
        start.numbers,
        start.masses,
        start.periodic,
        WalkersFrames(part.path / "motion.db", dynamic.walkers, skip, each),
        times,
        np.repeat(np.arange(dynamic.walkers), each),
        kind=motion_settings(settings, part).kind,
        origin=part.sentence,
    )


def surface_of(part: Part, settings: StudySettings) -> Mover:
    """The potential on which minima are looked for: what moved the atoms, or the frozen guide."""
    if part.kind == "chain":
        guided = Part("motion", part.member, part.kelvin, part.path, part.path)
        wanted = motion_settings(settings, guided)
    else:
        wanted = motion_settings(settings, part)
    folder = part.path.parent
    return make_mover(wanted, load_configuration(part.path / "start.npz"), folder, None)
