"""Compiled programs are kept for all tests and processes; what takes long is marked.

`slow_tests.txt` names the tests that take more than some seconds of a processor, by
the beginnings of their names, as measured: they run in `make test-slow`. Where the first of several
tests pays for compiling, all of them are named.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

CACHE = Path(__file__).resolve().parents[1] / ".pytest_cache" / "compiled"

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


MAPS = 30_000
"""Pieces of memory after which compiled programs are forgotten: Linux ends a process at 65,530."""


@pytest.fixture(autouse=True)
def _room_for_programs() -> Iterator[None]:
    yield
    pieces = Path("/proc/self/maps")
    if pieces.is_file() and pieces.read_text().count("\n") > MAPS:
        import jax

        jax.clear_caches()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the slow ones; a name without a test is an error where all tests are collected."""
    names = (Path(__file__).parent / "slow_tests.txt").read_text().split("\n")
    slow = tuple(f"tests/{name}" for name in names if name)
    known = [item.nodeid for item in items]
    for item in items:
        if item.nodeid.startswith(slow):
            item.add_marker(pytest.mark.slow)
    if config.args_source is config.ArgsSource.TESTPATHS:
        lost = [name for name in slow if not any(one.startswith(name) for one in known)]
        if lost:
            raise pytest.UsageError(f"tests/slow_tests.txt names what is not there: {lost}")
