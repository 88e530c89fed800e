"""Where the reference data of other packages are, which are no part of the repository."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "../shared/data/conformance"


def conformance(*parts):
    """Path of a file or folder of reference data; skips the test where there are none."""
    path = FOLDER.joinpath(*parts).resolve()
    if not path.exists():
        pytest.skip(f"{path}: reference data folder not found, see docs on conformance")
    return path
