"""Ring polymers: exact for every number of beads, however wrong the guide."""

import pytest

import cases_path_integrals
from exact_rows import CASES, SEEDS, assert_all_within

NAMES = [name for name, run in CASES.items() if run.__module__ == cases_path_integrals.__name__]


@pytest.mark.parametrize("name", NAMES)
def test_exact(name: str) -> None:
    rows = CASES[name](1.0, SEEDS)
    assert_all_within([row for row in rows if not row.name.endswith(f" of {len(SEEDS)})")])
    # Of so many single seeds one may lie beyond three standard errors by chance.
    assert_all_within(rows, 3.5)
