"""The runs that a study is made of, and the input of each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from hyperatom.simulation.settings import MotionSettings, load_motion_settings
from hyperatom.studies.settings import MemberSettings, StudySettings

ATOMS = "start.extxyz"
RELAXED = "relaxed"
"""Folder of the relaxation, with the atoms that all else begins with in a file of the same name."""

Kind = Literal["relaxation", "guide", "joint", "chain", "motion"]


@dataclass(frozen=True)
class Part:
    """One run of a study; `kelvin` is its temperature, `guide` that of a simulation, if learned."""

    kind: Kind
    member: MemberSettings
    kelvin: float
    path: Path
    guide: Path | None = None

    @property
    def finished(self) -> bool:
        """Has it come to its end?"""
        return (self.path / "finished.json").is_file()

    @property
    def sentence(self) -> str:
        """What it is, in words."""
        if self.kind == "relaxation":
            return f"{self.member.name}, to the minimum of the energy"
        if self.kind == "joint":
            return f"{self.member.name}, one guide of all labels"
        what = {"guide": "learning the guide", "chain": "exact chain", "motion": "dynamics"}
        return f"{self.member.name}, {what[self.kind]} at {self.kelvin:g} K"


def parts_of(settings: StudySettings, path: Path) -> list[Part]:
    """All runs of the study in `path`, in the order in which they are made."""
    found = []
    kelvins = settings.kelvins
    for member in settings.series:
        folder = path / member.folder
        if member.relax is not None:
            found.append(Part("relaxation", member, kelvins[-1], folder / RELAXED))
        guide = None
        if settings.method == "dynamic" and member.potential is None:
            guide = folder / "guide"
            learned = learning_temperatures(settings, member)
            found += [Part("guide", member, t, folder / f"guide-{t:g}K") for t in learned]
            found.append(Part("joint", member, learned[-1], guide))
        kind: Kind = "chain" if settings.method == "exact" else "motion"
        found += [
            Part(kind, member, kelvin, folder / f"{kelvin:g}K", guide)
            for kelvin in (kelvins if kind == "chain" else reversed(kelvins))
        ]
    return found


def atoms_of(member: MemberSettings) -> str:
    """The file in the folder of a member that its runs begin with."""
    return ATOMS if member.relax is None else f"{RELAXED}/{ATOMS}"


def motion_settings(settings: StudySettings, part: Part) -> MotionSettings:
    """The settings of a simulation of the study."""
    return load_motion_settings(yaml.safe_dump(motion_input(settings, part)), part.sentence)


def motion_input(settings: StudySettings, part: Part) -> dict[str, Any]:
    """The input of a simulation of the study."""
    dynamic = settings.dynamic
    if part.guide is not None:
        place: dict[str, Any] = {"file": part.guide.name, "trust": dynamic.trust}
    else:
        assert part.member.potential is not None
        place = part.member.potential.model_dump(mode="json", exclude_unset=True)
    return {
        "title": part.sentence,
        "configuration": {"file": atoms_of(part.member)},
        "potential": place,
        "ensemble": dynamic.bath.model_dump(mode="json"),
        "temperature": part.kelvin,
        "time_step": dynamic.time_step,
        "length": dynamic.equilibration + dynamic.length,
        "sample_every": dynamic.sample_every,
        "walkers": dynamic.walkers,
        "precision": dynamic.precision,
        "seed": seed_of(settings, part.member, part.kelvin),
    }


def campaign_content(
    settings: StudySettings, member: MemberSettings, kelvin: float
) -> dict[str, Any]:
    """The input of a campaign of the study."""
    parts: dict[str, Any] = {}
    for one in (settings.campaign, member.campaign):
        if one is not None:
            parts |= one.model_dump(mode="json", exclude={"temperature"}, exclude_unset=True)
    return {
        "configuration": {"file": atoms_of(member)},
        "temperature": kelvin,
        "seed": seed_of(settings, member, kelvin),
        **parts,
    }


def seed_of(settings: StudySettings, member: MemberSettings, kelvin: float) -> int:
    """The seed of a run: runs of a study share no random numbers, so that errors do not add up."""
    import numpy as np

    which = settings.series.index(member), round(1.0e3 * kelvin)
    return int(np.random.SeedSequence([settings.seed, *which]).generate_state(1)[0] >> 1)


def learning_temperatures(settings: StudySettings, member: MemberSettings) -> tuple[float, ...]:
    """K, coldest first; where the guide of a member of a dynamic study learns."""
    own = member.campaign.temperature if member.campaign is not None else None
    wanted = own or settings.campaign.temperature or (settings.kelvins[0], settings.kelvins[-1])
    return tuple(sorted(set(wanted))) if isinstance(wanted, tuple) else (wanted,)
