"""What counts: the steps of production, whose states are old ones again where rejected."""

from collections.abc import Sequence

from hyperatom.campaign.chain_store import ChainStore, Step
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.settings import load_settings
from hyperatom.campaign.weighing import log_weights
from hyperatom.errors import InputError, RunDirectoryError
from hyperatom.references.ring_label import keys_of_beads


def counted_steps(directory: RunDirectory, rung: int = 0) -> list[list[Step]]:
    """The steps that count, of each walker in order; empty before production.

    Of a ladder those of one `rung`, from 0. Raises `InputError` where there is none such.
    """
    settings = load_settings(directory.input_text, str(directory.file("input.yaml")))
    if not 0 <= rung < len(settings.rungs):
        raise InputError(
            f"{directory.path} has no rung {rung}: its ladder has {len(settings.rungs)}, from 0.",
            "Rungs are numbered from 0, that of the input's temperature.",
        )
    chains = settings.chains_at(rung)
    path = directory.file("chain.db")
    if not path.exists():
        return [[] for _ in chains]
    chain = ChainStore(path, read_only=True)
    try:
        return [chain.steps(walker, "produce") for walker in chains]
    finally:
        chain.close()


def produced_steps(directory: RunDirectory, rung: int = 0) -> list[list[Step]]:
    """The same.

    Raises also `RunDirectoryError` where production has not begun.
    """
    found = counted_steps(directory, rung)
    if not any(found):
        raise RunDirectoryError(
            f"{directory.path} has not produced anything yet.",
            f"Go on with 'hyperatom resume {directory.path}'.",
        )
    return found


def chain_labels(directory: RunDirectory, walkers: Sequence[Sequence[Step]]) -> list[str]:
    """Keys of the states of a chain, walker after walker; of a ring those of all its beads.

    Raises `RunDirectoryError` where they are samples of the guide, which have weights.
    """
    if log_weights(walkers) is not None:
        raise RunDirectoryError(
            f"{directory.path} holds samples of the guide with weights, not a chain of the "
            "reference.",
            "Take averages with 'hyperatom analyse', which weighs them, or make a run with "
            "'produce.strategy: metropolis'.",
        )
    return [key for walker in walkers for step in walker for key in keys_of_beads(step.state_label)]
