"""Which labels count: the states of production, rejected proposals' old ones again."""

from hyperatom.campaign.chain_store import ChainStore
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.settings import load_settings
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
