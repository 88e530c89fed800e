"""The reference of a campaign, outside of it: labels that a study pays for itself."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from hyperatom.campaign.assembly import make_reference
from hyperatom.campaign.farming import engines_here, make_farm
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.settings import Settings
from hyperatom.configuration import Configuration
from hyperatom.references.label_store import LabelStore
from hyperatom.references.stored import StoredReference


@contextmanager
def asked(
    settings: Settings,
    configuration: Configuration,
    directory: RunDirectory,
    scratch: Path,
    kept: Path,
    provenance: str,
) -> Iterator[StoredReference]:
    """The reference of `settings`; each answer is in the store `kept` before it is used.

    `configuration` is one to start the engine with, which works in `scratch`; a queue knows it by
    `directory`.
    """
    engine = make_reference(settings, configuration, scratch / "engines", engines_here(settings))
    with (
        closing(engine),
        closing(make_farm(settings, engine, directory)) as farm,
        LabelStore(kept) as store,
    ):
        yield StoredReference(farm, store, provenance)
