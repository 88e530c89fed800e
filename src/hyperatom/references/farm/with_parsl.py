"""Parsl's pool of pilot jobs.

Y. Babuji et al., Parsl: Pervasive Parallel Programming in Python, HPDC '19 (2019).
"""

import importlib
import os
import sys
from pathlib import Path
from typing import Any

from hyperatom.errors import InputError
from hyperatom.references.farm.executor_farm import ExecutorKind


def executor_kind(workers: int | None, options: dict[str, Any]) -> ExecutorKind:
    """`options`: `config`, the import path of a function that returns a `parsl.Config`.

    Without it, as many processes of this machine as there are workers. Raises `InputError` where
    Parsl is not installed or the function does not do.
    """
    try:
        from parsl.concurrent import ParslPoolExecutor
        from parsl.config import Config
        from parsl.executors import HighThroughputExecutor
    except ImportError as problem:
        raise InputError(
            "The label farm 'parsl' needs the library of that name.",
            "Install it: pip install 'hyperatom[parsl]'.",
        ) from problem
    unknown = set(options) - {"config"}
    if unknown:
        raise InputError(
            f"The label farm 'parsl' has no option '{min(unknown)}'.",
            "Its one option is 'config', the import path of a function that returns a Config.",
        )

    def configuration() -> Any:
        # Parsl starts scripts by their bare names, which are beside Python in an environment.
        scripts, path = str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)
        if scripts not in path.split(os.pathsep):
            os.environ["PATH"] = os.pathsep.join([scripts, path])
        if "config" in options:
            return _called(str(options["config"]))
        local = HighThroughputExecutor(
            label="labels", address="127.0.0.1", max_workers_per_node=workers or 1
        )
        return Config(executors=[local], initialize_logging=False)

    return ExecutorKind(lambda: ParslPoolExecutor(configuration()))


def _called(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError, ValueError) as problem:
        raise InputError(
            f"The Parsl configuration '{path}' cannot be made: {problem}.",
            "Give the import path of a function without arguments that returns a Config.",
        ) from problem
