"""Ring polymers: exact for every number of beads, however wrong the guide."""

import pytest

import cases_path_integrals
from exact_rows import CASES, SEEDS, assert_all_within, cases_of


@pytest.mark.parametrize("name", cases_of(cases_path_integrals))
def test_exact(name: str) -> None:
    rows = CASES[name](1.0, SEEDS)
    assert_all_within([row for row in rows if not row.name.endswith(f" of {len(SEEDS)})")])
    # Of so many single seeds one may lie beyond three standard errors by chance.
    assert_all_within(rows, 3.5)
