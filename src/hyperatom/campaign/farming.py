"""The label farm of a campaign: who computes, how many at a time."""

import os

from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.settings import Settings
from hyperatom.references.ase_calculator import AseReference
from hyperatom.references.farm.backend import Backend
from hyperatom.references.farm.label_farm import LabelFarm


def engines_here(settings: Settings) -> int:
    """How many engines this machine runs at the same time."""
    farm = settings.farm
    if farm.backend != "local":
        return 1
    cores = os.cpu_count() or 1
    # Samples that are weighed do not wait for each other.
    wanted = settings.chains * settings.beads * (1 + farm.ahead)
    if settings.produce.strategy == "metropolis":
        cores = min(wanted, cores)
    return farm.workers or cores


def labels_at_a_time(settings: Settings) -> int:
    """How many labels are computed at the same time, wherever that is, as far as is known."""
    if settings.farm.backend == "local":
        return engines_here(settings)
    return settings.farm.workers or settings.chains * settings.beads


def walkers_at_a_time(settings: Settings) -> int:
    """Threads in which walkers advance: as many as there are cores, or labels elsewhere."""
    if settings.farm.backend != "local":
        return settings.chains
    return min(settings.chains, settings.farm.workers or os.cpu_count() or 1)


def make_farm(settings: Settings, engine: AseReference, directory: RunDirectory) -> LabelFarm:
    """The farm that the settings describe, around the engine that was started here.

    Raises `InputError` where an optional library is missing, and `RunDirectoryError` where the
    folder of a queue cannot be used.
    """
    return LabelFarm(_backend(settings, engine, directory), attempts=settings.farm.attempts)


def _backend(settings: Settings, engine: AseReference, directory: RunDirectory) -> Backend:
    wanted = settings.farm
    if wanted.backend == "local":
        from hyperatom.references.farm.local_processes import LocalProcesses, shares_of_cores

        workers = engines_here(settings)
        if wanted.pin:
            engine.pin(shares_of_cores(workers, settings.reference.threads))
        return LocalProcesses(engine, workers)
    # From here on others compute; the engine here has said its version, and may go.
    engine.close()
    if wanted.backend == "queue":
        from hyperatom.references.farm.file_queue import FileQueue
        from hyperatom.references.farm.queue_farm import QueueFarm, run_name

        assert wanted.queue is not None
        return QueueFarm(
            FileQueue(wanted.queue),
            engine.description,
            engine.identity,
            run_name(directory.path),
            silence=wanted.silence,
        )
    import importlib

    from hyperatom.references.farm.executor_farm import ExecutorFarm

    library = importlib.import_module(f"hyperatom.references.farm.with_{wanted.backend}")
    kind = library.executor_kind(wanted.workers, dict(wanted.options))
    return ExecutorFarm(kind, engine.description, engine.identity)
