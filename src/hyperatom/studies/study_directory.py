"""The directory of a study: made once, checked before anything is spent; what is asked may grow."""

from pathlib import Path
from typing import Any

import yaml

from hyperatom.campaign import assembly as campaigns
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.settings import load_settings
from hyperatom.errors import InputError
from hyperatom.report.comparison import read_experiment
from hyperatom.simulation.movers import make_mover
from hyperatom.studies.parts import ATOMS, Part, campaign_content, motion_settings
from hyperatom.studies.series import Member, build_member, write_atoms
from hyperatom.studies.settings import StudySettings, load_study_settings

ANALYSED = ("title", "minima", "check", "maps", "experiment")
"""Sections that say what is made of the runs, and not how they are made."""


class StudyDirectory(RunDirectory):
    """The directory of a study."""

    @property
    def settings(self) -> StudySettings:
        """What its input says."""
        return load_study_settings(self.input_text, str(self.file("input.yaml")))

    @staticmethod
    def _cure(path: Path) -> str:
        return (
            f"Continue it with 'hyperatom study heat-capacity --resume {path}', or choose another "
            "with --directory."
        )


def create(text: str, source: Path, path: Path) -> None:
    """Make the directory of a study: everything is checked before anything is spent.

    Raises `InputError` for whatever is wrong with settings, atoms, engines and potentials.
    """
    kept, settings = _checked(text, source)
    members = [build_member(one, source.parent) for one in settings.series]
    for member in members:
        _check(settings, member)
    directory = StudyDirectory.create(path, kept)
    try:
        for member in members:
            write_atoms(member.configuration, path / member.settings.folder / ATOMS)
        directory.seal()
    finally:
        directory.close()


def amend(text: str, source: Path, path: Path) -> None:
    """Give a study an input that asks for something else of the same runs (`ANALYSED`).

    Raises `InputError` for whatever is wrong with it, and where runs would have been others.
    """
    kept, settings = _checked(text, source)
    directory = StudyDirectory.open(path, lock=True)
    try:
        changed = _differences(directory.settings.model_dump(), settings.model_dump())
        if runs := [key for key in changed if key.split(".")[0] not in ANALYSED]:
            raise InputError(
                f"{source} would have made other runs than those of {path}: it differs in "
                f"{', '.join(runs)}.",
                f"Change nothing but {', '.join(ANALYSED)}, or begin a new study without --resume.",
            )
        if changed:
            directory.amend(kept)
            directory.log(f"the input is now that of {source}: {', '.join(changed)}")
    finally:
        directory.close()


def _checked(text: str, source: Path) -> tuple[str, StudySettings]:
    """An input with its paths made absolute, and its settings."""
    kept = _with_absolute_paths(text, source, load_study_settings(text, str(source)))
    settings = load_study_settings(kept, str(source))
    for files in settings.experiment.values():
        for file in files:
            read_experiment(file)
    return kept, settings


def _differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Keys of settings that differ, with those of the sections they are in."""
    found = []
    for key in {**one, **other}:
        was, is_now = one.get(key), other.get(key)
        if isinstance(was, dict) and isinstance(is_now, dict):
            found += [f"{key}.{name}" for name in _differences(was, is_now)]
        elif was != is_now:
            found.append(key)
    return found


def _check(settings: StudySettings, member: Member) -> None:
    """Engine and potential of a member; raises `InputError` with its name."""
    try:
        if settings.method == "exact" or member.settings.potential is None:
            content = campaign_content(settings, member.settings, settings.kelvins[-1])
            wanted = load_settings(yaml.safe_dump(content), "campaign")
            campaigns.check_campaign(wanted, member.configuration, Path())
        else:
            part = Part("motion", member.settings, settings.kelvins[-1], Path())
            moving = motion_settings(settings, part)
            make_mover(moving, member.configuration, Path(), None).close()
    except InputError as problem:
        raise InputError(f"{member.name}: {problem.problem}", problem.cure) from problem


def _with_absolute_paths(text: str, source: Path, settings: StudySettings) -> str:
    content = yaml.safe_load(text)
    folder = source.parent

    def absolute(section: Any, key: str) -> None:
        given = section.get(key) if isinstance(section, dict) else None
        if isinstance(given, list):
            section[key] = [str((folder / one).resolve()) for one in given]
        elif given is not None:
            section[key] = str((folder / given).resolve())

    for member in content["series"]:
        absolute(member.get("configuration"), "file")
        absolute(member.get("potential"), "file")
    for owner in (content, *content["series"]):
        parts = owner.get("campaign") or {}
        absolute((parts.get("guide") or {}).get("baseline"), "file")
        absolute(parts.get("farm"), "queue")
        absolute(parts.get("learn"), "labels")
    for name in settings.experiment:
        absolute(content["experiment"], name)
    if content == yaml.safe_load(text):
        return text
    heading = f"# {source.name}, with its paths made absolute\n"
    return heading + yaml.safe_dump(content, sort_keys=False)
