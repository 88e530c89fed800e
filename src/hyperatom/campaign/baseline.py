"""The potential on top of which a guide learns: its files travel with the run."""

import shutil
from pathlib import Path

from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.settings import Settings
from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.interchange.potential_formats import read_potential
from hyperatom.potentials.combined_potentials import with_species
from hyperatom.potentials.compiled_potential import CompiledPotential

FOLDER = "baseline"


def check_baseline(settings: Settings, folder: Path, start: Configuration) -> None:
    """Read the baseline once, before anything is spent; files are looked for under `folder`.

    Raises `InputError` where it cannot be read, or does not know the species of `start`.
    """
    given = settings.guide.baseline
    if given.file is not None:
        potential = read_potential(folder / given.file, given.format, given.species, given.units)
        with_species(potential, start.species).evaluate(start)


def keep_baseline(settings: Settings, folder: Path, directory: RunDirectory) -> None:
    """Copy the baseline into a new run directory: a folder whole, a file with those it names."""
    given = settings.guide.baseline
    if given.file is None:
        return
    source, target = folder / given.file, directory.file(FOLDER) / given.file.name
    target.parent.mkdir(exist_ok=True)
    try:
        if source.is_dir():
            shutil.copytree(source, target)
            return
        text = source.read_text(errors="replace")
        for beside in source.parent.iterdir():
            if beside.is_file() and (beside == source or beside.name in text):
                shutil.copy2(beside, target.parent / beside.name)
    except OSError as problem:
        raise InputError(
            f"The baseline {source} cannot be copied: {problem.strerror or problem}.",
            "Put its files into a folder of their own.",
        ) from problem


def load_baseline(settings: Settings, directory: RunDirectory) -> CompiledPotential | None:
    """The baseline of a run, from the run's own copy of its files."""
    given = settings.guide.baseline
    if given.file is None:
        return None
    path = directory.file(FOLDER) / given.file.name
    return read_potential(path, given.format, given.species, given.units)
