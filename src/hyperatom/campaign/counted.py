"""Which labels count: the states of production, rejected proposals' old ones again."""

import numpy as np
from numpy.typing import NDArray

from hyperatom.campaign.chain_store import ChainStore
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.settings import load_settings
from hyperatom.campaign.weighing import log_weights
from hyperatom.errors import RunDirectoryError


def counted_labels(directory: RunDirectory) -> list[list[str]]:
    """Keys of the states that count, of each walker in order; empty before production."""
    settings = load_settings(directory.input_text, str(directory.file("input.yaml")))
    path = directory.file("chain.db")
    if not path.exists():
        return [[] for _ in range(settings.walkers)]
    chain = ChainStore(path, read_only=True)
    try:
        return [
            [step.state_label for step in chain.steps(walker, "produce")]
            for walker in range(settings.walkers)
        ]
    finally:
        chain.close()


def counted_weights(directory: RunDirectory) -> list[NDArray[np.float64]] | None:
    """Logarithms of the weights of these states, by walker; None where all count alike."""
    path = directory.file("chain.db")
    if not path.exists():
        return None
    settings = load_settings(directory.input_text, str(directory.file("input.yaml")))
    chain = ChainStore(path, read_only=True)
    try:
        found = [log_weights(chain.steps(walker, "produce")) for walker in range(settings.walkers)]
    finally:
        chain.close()
    weighed = [one for one in found if one is not None]
    return weighed if len(weighed) == len(found) else None


def require_chain(directory: RunDirectory) -> None:
    """Raise `RunDirectoryError` where what counts has weights."""
    if counted_weights(directory) is not None:
        raise RunDirectoryError(
            f"{directory.path} holds samples of the guide with weights, not a chain of the "
            "reference.",
            "Take averages with 'hyperatom analyse', which weighs them, or make a run with "
            "'produce.strategy: metropolis'.",
        )


def produced_labels(directory: RunDirectory) -> list[list[str]]:
    """The same.

    Raises `RunDirectoryError` where production has not begun.
    """
    found = counted_labels(directory)
    if not any(found):
        raise RunDirectoryError(
            f"{directory.path} has not produced anything yet.",
            f"Go on with 'hyperatom resume {directory.path}'.",
        )
    return found
