"""Executors of executorlib: Slurm and Flux, a job for each label or an allocation for all.

J. Janssen et al., executorlib - Up-scaling Python workflows for hierarchical heterogeneous
high-performance computing, J. Open Source Softw. 10, 7782 (2025).
"""

from typing import Any, Final

from hyperatom.errors import InputError
from hyperatom.references.farm.executor_farm import ExecutorKind

_KINDS: Final = (
    "SingleNodeExecutor",
    "SlurmJobExecutor",
    "SlurmClusterExecutor",
    "FluxJobExecutor",
    "FluxClusterExecutor",
)


def executor_kind(workers: int | None, options: dict[str, Any]) -> ExecutorKind:
    """`options`: `executor` (a class of executorlib), `resources` of a label, its keywords.

    Raises `InputError` where executorlib is not installed or does not take the options.
    """
    try:
        import executorlib
    except ImportError as problem:
        raise InputError(
            "The label farm 'executorlib' needs the library of that name.",
            "Install it: pip install 'hyperatom[executorlib]'.",
        ) from problem
    given = dict(options)
    name = given.pop("executor", "SingleNodeExecutor")
    resources = given.pop("resources", {})
    if name not in _KINDS:
        raise InputError(
            f"executorlib has no executor '{name}'.", f"Use one of {', '.join(_KINDS)}."
        )
    if workers is not None:
        given["max_workers"] = workers
    make = getattr(executorlib, name)
    return ExecutorKind(
        lambda: _made(name, make, given), {"resource_dict": resources} if resources else {}
    )


def _made(name: str, make: Any, given: dict[str, Any]) -> Any:
    try:
        return make(**given)
    except (TypeError, ValueError, ImportError) as problem:
        raise InputError(
            f"executorlib's {name} cannot be made with {given}: {problem}.",
            "Correct the 'options' of the farm.",
        ) from problem
