"""The one family of errors whose text is meant for people: what was found, and the cure."""


class HyperatomError(Exception):
    """A problem stated in one plain sentence, with its cure.

    The command line prints `problem` and `cure` and never a traceback.
    """

    def __init__(self, problem: str, cure: str = "") -> None:
        super().__init__(f"{problem} {cure}".strip())
        self.problem = problem
        self.cure = cure


class InputError(HyperatomError):
    """The user's input cannot be used as it stands."""


class ReferenceFailure(HyperatomError):
    """The reference gave no trustworthy answer (not converged, NaN, crash, time-out)."""


class RunDirectoryError(HyperatomError):
    """A run directory is missing, busy, damaged, or belongs to another input or version."""
