"""A study: campaigns and simulations of a series at several temperatures, one after another.

input.yaml       the input as it was given, with paths made absolute
header.json      format, versions and digest of the input; written last
NAME/start.extxyz  the atoms of a member of the series
NAME/relaxed/    where it is asked for: labels of the relaxation, and start.extxyz at the minimum
NAME/guide-300K/ ...   campaigns whose labels NAME/guide/ is fitted to, where the study learns it
NAME/further.db  labels of places where the guide was not sure, and a trajectory was stopped
NAME/300K/ ...   the run at each temperature: a campaign (exact), whose guide begins with what the
                 colder one learned, or a simulation (dynamic)
NAME/300K/reference.db   what the reference says of some frames, where the study asks
NAME/300K/finished.json  written when that run has come to its end
log.txt          what happened when

Each run can be stopped at any moment and goes on bit for bit; so does the study, which is nothing
but its runs in their order. Simulations begin with the hottest, which meets first what a guide has
not learned; where one is stopped for that reason, the place is labelled, the guide is fitted again,
and all simulations of the member begin anew: averages that are compared share one guide.
"""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import yaml

from hyperatom.campaign import assembly as campaigns
from hyperatom.campaign.monitor import Monitor as CampaignMonitor
from hyperatom.campaign.run_directory import RunDirectory, write_atomically
from hyperatom.campaign.settings import load_settings
from hyperatom.configuration import Configuration
from hyperatom.simulation import assembly as simulations
from hyperatom.simulation.movers import Mover, make_mover
from hyperatom.simulation.simulation import Monitor as MotionMonitor
from hyperatom.simulation.simulation import SimulationStopped
from hyperatom.studies.joint_guide import JointGuide
from hyperatom.studies.labelling import asked
from hyperatom.studies.parts import (
    ATOMS,
    Part,
    campaign_content,
    learning_temperatures,
    motion_input,
    motion_settings,
    parts_of,
)
from hyperatom.studies.relaxation import Surface, relax
from hyperatom.studies.series import Member, build_member, relaxed_member, write_atoms
from hyperatom.studies.settings import MemberSettings, StudySettings
from hyperatom.studies.study_directory import StudyDirectory


class StudyMonitor(Protocol):
    """Whoever watches a study."""

    def part(self, part: Part, number: int, total: int, seconds_left: float | None) -> None:
        """A run begins, or goes on; `seconds_left` of the whole study, None while unknown."""
        ...

    def mending(self, part: Part, number: int, problem: str) -> None:
        """The guide was not sure where `part` came; the place is its further label `number`."""
        ...

    def relaxation(self, path: Path) -> AbstractContextManager[Callable[[float, str], None]]:
        """Who is told how much of the allowed search in `path` is spent, and where it is."""
        ...

    def campaign(self, path: Path) -> AbstractContextManager[CampaignMonitor]:
        """Who watches the campaign in `path`."""
        ...

    def motion(self, path: Path) -> AbstractContextManager[MotionMonitor]:
        """Who watches the simulation in `path`."""
        ...


@dataclass
class Study:
    """A study on its directory."""

    directory: RunDirectory
    settings: StudySettings
    _stop: threading.Event = field(default_factory=threading.Event)
    _release: Callable[[], None] | None = None
    _guides: dict[Path, JointGuide] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Where it lives."""
        return self.directory.path

    def parts(self) -> list[Part]:
        """All runs in the order in which they are made."""
        return parts_of(self.settings, self.path)

    def runs(self, member: MemberSettings) -> list[Part]:
        """The runs of a member that are averaged over, coldest first."""
        found = [p for p in self.parts() if p.member == member and p.kind in ("chain", "motion")]
        return sorted(found, key=lambda part: part.kelvin)

    def n_further(self, member: MemberSettings) -> int:
        """Labels of places where its guide was not sure, and a trajectory was stopped."""
        guides = [part for part in self.parts() if part.member == member and part.kind == "joint"]
        return sum(self.guide_of(part).n_further for part in guides)

    def members(self) -> list[Member]:
        """The series with its atoms, relaxed where they have been."""
        return [relaxed_member(one, self.path) for one in self.settings.series]

    def run(self, monitor: StudyMonitor) -> None:
        """Bring every run to its end, in order, from wherever they are."""
        parts = self.parts()
        mover: Mover | None = None
        whose: MemberSettings | None = None
        try:
            while not self._stop.is_set():
                waiting = [number for number, part in enumerate(parts) if not part.finished]
                if not waiting:
                    break
                part = parts[waiting[0]]
                monitor.part(part, waiting[0] + 1, len(parts), self._seconds_left(parts))
                began = time.perf_counter()
                if part.kind == "motion":
                    if mover is None or whose != part.member:
                        if mover is not None:
                            mover.close()
                        # Compiled once for all temperatures; its results do not depend on that.
                        mover, whose = self._mover(part), part.member
                    try:
                        self._move(part, mover, monitor)
                    except SimulationStopped as stopped:
                        whose = None
                        self._mend(part, stopped, monitor)
                        continue
                elif part.kind == "relaxation":
                    self._relax(part, monitor)
                elif part.kind == "joint":
                    _sweep(part.path)
                    self.guide_of(part).fit()
                else:
                    self._sample(part, monitor)
                if not self._stop.is_set():
                    spent = {"seconds": time.perf_counter() - began}
                    write_atomically(part.path / "finished.json", json.dumps(spent))
                    self.directory.log(f"finished: {part.sentence}")
        finally:
            if mover is not None:
                mover.close()

    def stop(self) -> None:
        """End soon; from another thread."""
        self._stop.set()
        if self._release is not None:
            self._release()

    def _relax(self, part: Part, monitor: StudyMonitor) -> None:
        wanted = part.member.relax
        assert wanted is not None
        configuration = build_member(part.member, self.path).configuration
        part.path.mkdir(exist_ok=True)
        with (
            self._surface(part, configuration) as surface,
            monitor.relaxation(part.path) as told,
        ):

            def watch(step: int, force: float) -> bool:
                told(step / wanted.steps, f"largest force {force:.3f} of {wanted.force:g} eV/Å")
                return not self._stop.is_set()

            relaxed = relax(configuration, surface, wanted, watch)
        if relaxed is not None:
            write_atoms(relaxed, part.path / ATOMS)

    @contextmanager
    def _surface(self, part: Part, configuration: Configuration) -> Iterator[Surface]:
        """What relaxes: the potential of the member, or the reference of its campaigns."""
        if part.member.potential is not None:
            wanted = motion_settings(self.settings, part)
            folder = self.path / part.member.folder
            with closing(make_mover(wanted, configuration, folder, part.path / "engines")) as mover:
                yield mover
            return
        content = campaign_content(self.settings, part.member, part.kelvin)
        settings = load_settings(yaml.safe_dump(content), part.sentence)
        kept, why = part.path / "labels.db", "a relaxation"
        with asked(settings, configuration, self.directory, part.path, kept, why) as reference:
            yield reference

    def _sample(self, part: Part, monitor: StudyMonitor) -> None:
        if not (part.path / "header.json").is_file():
            _sweep(part.path)
            content = campaign_content(self.settings, part.member, part.kelvin)
            if colder := self._colder(part):
                learn = content.get("learn", {})
                content["learn"] = learn | {"labels": [*learn.get("labels", ()), *colder]}
            text = yaml.safe_dump(content)
            campaigns.create(text, self.path / part.member.folder / "input.yaml", part.path)
        with monitor.campaign(part.path) as watching, campaigns.opened(part.path, watching) as run:
            self._release = run.close_engines
            try:
                run.run()
            finally:
                self._release = None

    def _colder(self, part: Part) -> list[str]:
        """The folder of the chain at the next lower temperature: what it learned is near."""
        if part.kind != "chain":
            return []
        return [one.path.name for one in self.runs(part.member) if one.kelvin < part.kelvin][-1:]

    def _move(self, part: Part, mover: Mover, monitor: StudyMonitor) -> None:
        if not (part.path / "header.json").is_file():
            _sweep(part.path)
            text = yaml.safe_dump(motion_input(self.settings, part))
            verdict = simulations.create(
                text, self.path / part.member.folder / "input.yaml", part.path, mover
            )
            self.directory.log(f"{part.sentence}: {verdict.warning or verdict.sentence}")
        with (
            monitor.motion(part.path) as watching,
            simulations.opened(part.path, watching, mover) as simulation,
        ):
            simulation.run(self._stop)

    def _mend(self, part: Part, stopped: SimulationStopped, monitor: StudyMonitor) -> None:
        """Label where the guide was not sure, fit it again, and forget what was moved on it.

        Raises `stopped` again where the study has no guide of its own, or no label left to pay.
        """
        allowed = self.settings.dynamic.further_labels
        if part.guide is None or stopped.place is None or not allowed:
            raise stopped
        guide = self.guide_of(part)
        if guide.n_further >= allowed:
            raise SimulationStopped(
                f"{stopped.problem} So it is after {allowed} labels of such places.",
                "Go on with more of them ('dynamic.further_labels'), learn at higher temperatures "
                "('campaign.temperature'), or look at these places: they may be none of a crystal.",
            ) from stopped
        self.directory.log(told := f"{part.sentence}: {stopped.problem}")
        monitor.mending(part, guide.n_further + 1, told)
        guide.label([stopped.place], guide.further, "a trajectory was stopped there")
        for one in self.runs(part.member):
            _sweep(one.path)
        # Last: until then all begins anew on the old guide, and comes to the same place.
        guide.fit_again()

    def guide_of(self, part: Part) -> JointGuide:
        """The guide that the study learns for the member of `part`."""
        folder = self.path / part.member.folder
        if folder not in self._guides:
            learned = learning_temperatures(self.settings, part.member)
            campaigns = [folder / f"guide-{kelvin:g}K" for kelvin in learned]
            self._guides[folder] = JointGuide(campaigns, folder / "guide", folder / "further.db")
        return self._guides[folder]

    def _mover(self, part: Part) -> Mover:
        settings = motion_settings(self.settings, part)
        folder = self.path / part.member.folder
        (start,) = simulations.starting_points(settings.model_copy(update={"walkers": 1}), folder)
        return make_mover(settings, start, folder, folder / "engines")

    def _seconds_left(self, parts: list[Part]) -> float | None:
        """By the runs of each kind that are finished; None where one kind is still unknown."""
        total = 0.0
        for kind in ("guide", "chain", "motion"):
            own = [part for part in parts if part.kind == kind]
            done = [
                json.loads((part.path / "finished.json").read_text())["seconds"]
                for part in own
                if part.finished
            ]
            if len(done) == len(own):
                continue
            if not done:
                return None
            total += (len(own) - len(done)) * sum(done) / len(done)
        return total


@contextmanager
def opened(path: Path) -> Iterator[Study]:
    """A study on its directory, locked; closed again whatever happens."""
    directory = StudyDirectory.open(path, lock=True)
    try:
        yield Study(directory, directory.settings)
    finally:
        directory.close()


def _sweep(path: Path) -> None:
    """Remove what was left half made; nothing had been computed in it."""
    if path.exists():
        shutil.rmtree(path)
