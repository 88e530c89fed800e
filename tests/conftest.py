"""Compiled programs are kept, so that equal ones are compiled once for all tests and processes."""

import os
from pathlib import Path

CACHE = Path(__file__).resolve().parents[1] / ".pytest_cache" / "compiled"

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
