"""Puts a campaign together from its settings, and takes it apart again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import yaml

from hyperatom.campaign.baseline import check_baseline, keep_baseline
from hyperatom.campaign.campaign import Campaign
from hyperatom.campaign.chain_store import ChainStore
from hyperatom.campaign.ensemble import ensemble_of
from hyperatom.campaign.farming import engines_here, make_farm, walkers_at_a_time
from hyperatom.campaign.guide_chain import GuideChainStore
from hyperatom.campaign.ladder import require_overlap
from hyperatom.campaign.learning import check_guide, make_learner
from hyperatom.campaign.monitor import Monitor
from hyperatom.campaign.moves import check_moves
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.settings import (
    ConfigurationSettings,
    EngineSettings,
    Settings,
    load_settings,
)
from hyperatom.campaign.taught import keep_taught, known_labels, teach
from hyperatom.configuration import Configuration
from hyperatom.errors import InputError, RunDirectoryError
from hyperatom.geometry.neighbours import minimum_distance
from hyperatom.references.ase_calculator import AseReference
from hyperatom.references.engine_catalogue import find_engine
from hyperatom.references.engine_preset import EnginePreset
from hyperatom.references.label import Label
from hyperatom.references.label_store import LabelStore, store_path
from hyperatom.references.stored import StoredReference
from hyperatom.structures.crystals import build_crystal, read_configuration

CLOSEST_APPROACH = 0.5
"""Atoms closer than this fraction of the sum of their covalent radii are on top of each other."""


def starting_configuration(settings: Settings, folder: Path) -> Configuration:
    """The configuration that the settings describe; files are looked for relative to `folder`.

    Raises `InputError` where it cannot be simulated, saying why.
    """
    return given_configuration(settings.configuration, folder)


def given_configuration(source: ConfigurationSettings, folder: Path) -> Configuration:
    """The crystal or the file that a section of an input names; arguments and errors as above."""
    if source.crystal is not None:
        configuration = build_crystal(source.crystal, source.repeat)
    else:
        assert source.file is not None
        configuration = read_configuration(folder / source.file, source.repeat, source.frame)
    check_configuration(configuration)
    return configuration


def check_configuration(configuration: Configuration) -> None:
    """Raise `InputError` for no atoms, a cell of zero volume, atoms on top of each other, ..."""
    from ase.data import chemical_symbols, covalent_radii

    if configuration.n_atoms == 0:
        raise InputError("The configuration holds no atoms.", "Give a file with at least one atom.")
    if configuration.n_atoms == 1:
        raise InputError(
            "The configuration holds a single atom, whose canonical ensemble is trivial once the "
            "centre of mass is fixed.",
            "Repeat the cell: 'repeat: [2, 2, 2]'.",
        )
    if not np.isfinite(configuration.positions).all():
        raise InputError("Some positions are not finite numbers.", "Mend the configuration file.")
    if (configuration.numbers < 1).any() or (configuration.numbers >= len(covalent_radii)).any():
        raise InputError(
            "Some atoms have no chemical element (number 0).", "Name the species in the file."
        )
    vectors = configuration.cell[configuration.periodic]
    if len(vectors) and np.linalg.matrix_rank(vectors, tol=1.0e-3) < len(vectors):
        raise InputError(
            "The cell has zero volume: its periodic lattice vectors are "
            f"{np.array2string(vectors, precision=3, separator=', ')} Å.",
            "Give linearly independent lattice vectors, or switch the periodicity off.",
        )
    closest = minimum_distance(configuration.positions, configuration.cell, configuration.periodic)
    allowed = CLOSEST_APPROACH * 2.0 * float(covalent_radii[configuration.numbers].min())
    if closest < allowed:
        names = ", ".join(chemical_symbols[z] for z in configuration.species)
        raise InputError(
            f"Two atoms are only {closest:.3f} Å apart, which is on top of each other for {names}.",
            "Look for atoms listed twice, a wrong unit of length, or a wrong cell.",
        )


def make_reference(
    settings: Settings, configuration: Configuration, logs: Path | None, workers: int
) -> AseReference:
    """The engine named in the settings, for a configuration, in processes of its own.

    Raises `InputError` where it is not installed or cannot describe the configuration.
    """
    return _start(settings.reference, configuration, logs, workers)


def make_cheap_reference(
    settings: Settings, configuration: Configuration, logs: Path | None, workers: int
) -> AseReference | None:
    """The cheap engine of the pair, None where the input names none; errors as above."""
    cheap = settings.reference.cheap
    return None if cheap is None else _start(cheap, configuration, logs, workers)


def _start(
    wanted: EngineSettings, configuration: Configuration, logs: Path | None, workers: int
) -> AseReference:
    preset = engine_preset(wanted)
    if lacking := preset.missing(wanted.python):
        raise InputError(
            f"The engine '{wanted.calculator}' lacks {lacking}.", f"Install it: {preset.install}"
        )
    return AseReference.from_preset(
        preset.prepared(configuration, wanted.k_points),
        time_out=wanted.time_out,
        threads=wanted.threads,
        workers=workers,
        log_directory=logs,
        python=wanted.python,
    )


def engine_preset(wanted: EngineSettings) -> EnginePreset:
    """Engine, keywords and citation.

    Raises `InputError` for an engine that is neither known nor an import path.
    """
    return find_engine(wanted.calculator, wanted.keywords, wanted.retry_keywords)


def prepare_input(text: str, source: Path) -> tuple[Settings, str]:
    """Checked settings, and the text to keep: the same, with its paths absolute."""
    settings = load_settings(text, str(source))
    content = yaml.safe_load(text)
    for section, key, path in (
        ("configuration", "file", settings.configuration.file),
        ("farm", "queue", settings.farm.queue),
    ):
        if path is not None:
            content[section][key] = str((source.parent / path).resolve())
    for owner, stores in (
        (content, settings.labels),
        (content.get("learn"), settings.learn.labels),
    ):
        if stores:
            owner["labels"] = [str((source.parent / one).resolve()) for one in stores]
    if content == yaml.safe_load(text):
        return settings, text
    kept = f"# {source.name}, with its paths made absolute\n" + yaml.safe_dump(
        content, sort_keys=False
    )
    return load_settings(kept, str(source)), kept


def check_campaign(settings: Settings, start: Configuration, folder: Path) -> list[Label]:
    """Ensemble, moves, guide, engines and other runs; files are looked for under `folder`.

    Returns the labels that the guide knows from the start.

    Raises `InputError` for whatever would stop a campaign that starts from `start`.
    """
    ensemble_of(settings, start)
    require_overlap(settings, start.n_atoms)
    check_moves(settings.sampling, start)
    # Starting the engine once shows whether it is installed and takes its keywords.
    engine = make_reference(settings, start, None, 1)
    engine.close()
    cheap = make_cheap_reference(settings, start, None, 1)
    if cheap is not None:
        cheap.close()
        if cheap.identity == engine.identity:
            raise InputError(
                "The cheap engine of the pair is the expensive one: it would refuse nothing.",
                "Give 'reference.cheap' another engine or cheaper settings, or take it away.",
            )
    check_baseline(settings, folder, start)
    check_guide(settings, start)
    for one in settings.labels:
        store_path(folder / one)
    return known_labels(settings.learn.labels, folder, engine.identity, start)


def create(text: str, source: Path, path: Path) -> None:
    """Make a run directory, ready to be resumed: everything is checked before anything is spent."""
    settings, kept = prepare_input(text, source)
    start = starting_configuration(settings, source.parent)
    taught = check_campaign(settings, start, source.parent)
    directory = RunDirectory.create(path, kept)
    try:
        keep_baseline(settings, source.parent, directory)
        keep_taught(taught, directory)
        save_configuration(start, directory.file("start.npz"))
        directory.seal()
    finally:
        directory.close()


def save_configuration(configuration: Configuration, path: Path) -> None:
    """Write a configuration bit for bit."""
    with path.open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            numbers=configuration.numbers,
            positions=configuration.positions,
            cell=configuration.cell,
            periodic=configuration.periodic,
            masses=configuration.masses,
        )


def load_configuration(path: Path) -> Configuration:
    """Read what `save_configuration` wrote.

    Raises `RunDirectoryError` where the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return Configuration(**{name: file[name] for name in file.files})
    except (OSError, EOFError, ValueError, TypeError, BadZipFile) as problem:
        raise RunDirectoryError(
            f"{path} is missing or damaged ({type(problem).__name__}).",
            "Restore it from a copy; labels.db still holds all that was paid for.",
        ) from problem


@contextmanager
def opened(path: Path, monitor: Monitor) -> Iterator[Campaign]:
    """A campaign on its run directory, locked; closed again whatever happens."""
    directory = RunDirectory.open(path, lock=True)
    closing = [directory.close]
    try:
        settings = load_settings(directory.input_text, str(directory.file("input.yaml")))
        start = load_configuration(directory.file("start.npz"))
        engine = make_reference(settings, start, directory.file("engines"), engines_here(settings))
        closing.append(engine.close)
        farm = make_farm(settings, engine, directory)
        closing.append(farm.close)
        labels = LabelStore(directory.file("labels.db"))
        closing.append(labels.close)
        chain = ChainStore(directory.file("chain.db"))
        closing.append(chain.close)
        free = GuideChainStore(directory.file("guide_chain.db"))
        closing.append(free.close)
        learner = make_learner(settings, start, directory)
        teach(learner, directory)
        others = [LabelStore(store_path(one)) for one in settings.labels]
        closing.extend(other.close for other in others)
        reference = StoredReference(farm, labels, others=others)
        workers = walkers_at_a_time(settings)
        # It answers fast, and here: a farm is for the expensive one.
        screen = make_cheap_reference(settings, start, directory.file("cheap-engines"), workers)
        cheap = None
        if screen is not None:
            closing.append(screen.close)
            cheap = StoredReference(screen, labels, others=others)
        yield Campaign(
            settings, directory, chain, free, reference, learner, start, monitor, workers, cheap
        )
    finally:
        for close in reversed(closing):
            close()
