"""Cases of exactness: what is known exactly, what a sampler measured, and by how many errors apart.

A case is a function `(effort, seeds) -> rows`, registered with `@case("name")` in a file
`tests/cases_<subject>.py`. `effort` multiplies the lengths of its chains: 1 in the tests, more in
`benchmarks/exactness.py`, which finds every such file by its name. What takes long is marked
`@case("name", long=True)`, and left to `make test-slow`.
"""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from hyperatom.analysis.statistics import estimate_mean

SEEDS = (1, 2, 3)


class Row(NamedTuple):
    """One number that is known, and its estimate with one standard error."""

    name: str
    exact: float
    measured: float
    error: float

    @property
    def z(self) -> float:
        """Standard errors between the two; infinite where there is no error bar to trust."""
        off = self.measured - self.exact
        return off / self.error if self.error > 0.0 else (0.0 if off == 0.0 else np.inf)


Case = Callable[[float, Sequence[int]], list[Row]]

CASES: dict[str, Case] = {}


LONG: set[str] = set()


def case(name: str, *, long: bool = False) -> Callable[[Case], Case]:
    """Register a case under a name that says what is sampled, and how."""

    def register(function: Case) -> Case:
        assert name not in CASES, name
        CASES[name] = function
        LONG.update({name} if long else ())
        return function

    return register


def cases_of(module: ModuleType) -> list[Any]:
    """Names of a module's cases as parameters of a test."""
    import pytest

    return [
        pytest.param(name, marks=pytest.mark.slow if name in LONG else ())
        for name, run in CASES.items()
        if run.__module__ == module.__name__
    ]


def rows_of(name: str, series: Sequence[np.ndarray], exact: float) -> list[Row]:
    """The mean of one series per seed: all together first, then each."""
    estimates = [estimate_mean(list(series), "", "exact")]
    names = [name]
    if len(series) > 1:
        estimates += [estimate_mean(one, "", "exact") for one in series]
        names += [f"{name} ({k + 1} of {len(series)})" for k in range(len(series))]
    return [
        Row(label, exact, found.value, found.error)
        for label, found in zip(names, estimates, strict=True)
    ]


def assert_all_within(rows: list[Row], standard_errors: float = 3.0) -> None:
    beyond = [f"{row.name}: {row.z:+.1f}" for row in rows if not abs(row.z) < standard_errors]
    assert not beyond, f"standard errors off: {beyond}"
