"""Puts a simulation together from its input file, and takes it apart again.

input.yaml      the input as it was given, with paths made absolute
header.json     format, versions and digest of the input; written last
start.npz       where walker 0 starts; start-1.npz ... the others, where they differ
motion.db       frames and states, written as they come
trajectory.h5   the frames for other programs (H5MD), one file a walker, written at the end
log.txt         what happened when
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from hyperatom.campaign.assembly import (
    given_configuration,
    load_configuration,
    save_configuration,
)
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.states import ring_of
from hyperatom.configuration import Configuration
from hyperatom.errors import InputError, RunDirectoryError
from hyperatom.frames import FramesInTurn, FrameSource
from hyperatom.ring_polymer import RingPolymer
from hyperatom.simulation.equations import equations_of_motion
from hyperatom.simulation.motion_store import MotionStore, StoredFrames
from hyperatom.simulation.movers import Mover, exact_samples, make_mover
from hyperatom.simulation.rings import BeadFrames, CentroidFrames, centroid, in_beads
from hyperatom.simulation.settings import MotionSettings, load_motion_settings
from hyperatom.simulation.simulation import Monitor, Simulation
from hyperatom.simulation.time_step_check import TimeStepCheck, check_time_step
from hyperatom.trajectory import Trajectory


class SimulationDirectory(RunDirectory):
    """The directory of a simulation."""

    @staticmethod
    def _recognise(path: Path) -> None:
        """Any directory will do whose input can be read."""

    @staticmethod
    def _cure(path: Path) -> str:
        return (
            f"Continue it with 'hyperatom md --resume {path}', or choose another with --directory."
        )


def starting_points(settings: MotionSettings, folder: Path) -> list[Configuration]:
    """A configuration for each walker; files are looked for relative to `folder`.

    Raises `InputError` where there is none that can be simulated.
    """
    if settings.start is not None:
        return exact_samples(folder / settings.start, settings.walkers, settings.beads)
    assert settings.configuration is not None
    start = given_configuration(settings.configuration, folder)
    return [ring_of(start, settings.beads)] * settings.walkers


def create(text: str, source: Path, path: Path, lent: Mover | None = None) -> TimeStepCheck:
    """Make a directory, ready to be resumed: everything is checked before anything is spent.

    `lent` is a mover made from the same potential, compiled before; it stays open.
    """
    settings = load_motion_settings(text, str(source))
    starts = starting_points(settings, source.parent)
    equations_of_motion(settings, starts[0], 0)
    mover = lent or make_mover(settings, starts[0], source.parent, None)
    try:
        # Springs are no matter of the time step: the free ring moves exactly.
        verdict = check_time_step(mover.evaluate, centroid(starts[0]), settings.time_step)
        verdict.demand()
        identity = mover.identity()
    finally:
        if lent is None:
            mover.close()
    directory = SimulationDirectory.create(path, _with_absolute_paths(text, source, settings))
    try:
        save_configuration(starts[0], directory.file("start.npz"))
        if settings.start is not None:
            for walker, start in enumerate(starts[1:], start=1):
                save_configuration(start, directory.file(f"start-{walker}.npz"))
        store = MotionStore(directory.file("motion.db"))
        store.note("potential", identity)
        store.close()
        directory.log(verdict.sentence)
        directory.seal()
    finally:
        directory.close()
    return verdict


@contextmanager
def opened(path: Path, monitor: Monitor, lent: Mover | None = None) -> Iterator[Simulation]:
    """A simulation on its directory, locked; closed again whatever happens; `lent` as above.

    Raises `RunDirectoryError` where the potential is no longer the one that it began with.
    """
    directory = SimulationDirectory.open(path, lock=True)
    closing = [directory.close]
    try:
        settings, starts = _kept(directory)
        mover: Mover = lent or make_mover(settings, starts[0], path, directory.file("engines"))
        if lent is None:
            closing.append(mover.close)
        store = MotionStore(directory.file("motion.db"))
        closing.append(store.close)
        if store.fact("potential") != mover.identity():
            raise RunDirectoryError(
                f"The potential of {path} has changed since the simulation began.",
                "Put the old one back where it was, or start a new simulation.",
            )
        yield Simulation(settings, starts, mover, store, monitor)
    finally:
        for close in reversed(closing):
            close()


@contextmanager
def stored_motion(path: Path) -> Iterator[tuple[MotionSettings, Configuration, MotionStore]]:
    """What a simulation has on disk; nobody's lock is needed."""
    directory = SimulationDirectory.open(path, lock=False)
    settings, starts = _kept(directory)
    store = MotionStore(directory.file("motion.db"))
    try:
        yield settings, starts[0], store
    finally:
        store.close()


def trajectory_of(
    path: Path,
    settings: MotionSettings,
    start: Configuration,
    store: MotionStore,
    walker: int,
    beads: bool = False,
) -> Trajectory:
    """The frames of a walker in time; of rings those of their centroids.

    With `beads` one bead of each frame instead, in turn: for structure, without a clock.

    Raises `InputError` where there is none yet.
    """
    count = store.count(walker)
    if count == 0:
        raise InputError(
            f"Walker {walker} of {path} has no frame yet.",
            f"Go on with 'hyperatom md --resume {path}'.",
        )
    source: FrameSource = StoredFrames(store, walker, count)
    if isinstance(start, RingPolymer):
        source = (BeadFrames if beads else CentroidFrames)(source, start.n_beads)
    atoms = centroid(start)
    return Trajectory(
        atoms.numbers,
        atoms.masses,
        atoms.periodic,
        source,
        times=None if beads else np.arange(count) * np.float64(settings.sample_every),
        kind=settings.kind,
        origin=f"walker {walker} of {path}",
    )


def all_walkers(path: Path, skip: int = 0, beads: bool = False) -> Trajectory:
    """The frames of all walkers of a simulation, one walker behind the other; rings as above.

    The first `skip` of each are left out. Raises `InputError` where one of them has no frame yet,
    or none that is left.
    """
    directory = SimulationDirectory.open(path, lock=False)
    settings, starts = _kept(directory)
    store = MotionStore(directory.file("motion.db"), read_only=True)
    each = [
        trajectory_of(path, settings, starts[0], store, walker, beads).select(skip)
        for walker in range(settings.walkers)
    ]
    if len(each) == 1:
        return each[0]
    return replace(
        each[0],
        source=FramesInTurn(tuple(one.source for one in each)),
        times=None if beads else np.concatenate([np.asarray(one.times) for one in each]),
        walkers=np.repeat(np.arange(len(each)), [len(one) for one in each]),
        weights=np.ones(sum(map(len, each))),
        origin=str(path),
    )


def _kept(directory: RunDirectory) -> tuple[MotionSettings, list[Configuration]]:
    source = str(directory.file("input.yaml"))
    settings = load_motion_settings(directory.input_text, source)
    first = in_beads(load_configuration(directory.file("start.npz")), settings.beads)
    starts = [first] * settings.walkers
    if settings.start is not None:
        for walker in range(1, settings.walkers):
            own = load_configuration(directory.file(f"start-{walker}.npz"))
            starts[walker] = in_beads(own, settings.beads)
    return settings, starts


def _with_absolute_paths(text: str, source: Path, settings: MotionSettings) -> str:
    content = yaml.safe_load(text)
    folder = source.parent
    if settings.start is not None:
        content["start"] = str((folder / settings.start).resolve())
    if settings.potential.file is not None:
        content["potential"]["file"] = str((folder / settings.potential.file).resolve())
    if settings.configuration is not None and settings.configuration.file is not None:
        content["configuration"]["file"] = str((folder / settings.configuration.file).resolve())
    if content == yaml.safe_load(text):
        return text
    heading = f"# {source.name}, with its paths made absolute\n"
    return heading + yaml.safe_dump(content, sort_keys=False)
