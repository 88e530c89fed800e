"""A Dask cluster, found by its address, or made on this machine."""

from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from hyperatom.errors import InputError
from hyperatom.references.farm.executor_farm import ExecutorKind


def executor_kind(workers: int | None, options: dict[str, Any]) -> ExecutorKind:
    """`options`: `address` of a scheduler or `scheduler_file`, `timeout`; none: processes here.

    Raises `InputError` where Dask is not installed or the cluster does not answer.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as problem:
        raise InputError(
            "The label farm 'dask' needs the library 'distributed'.",
            "Install it: pip install 'hyperatom[dask]'.",
        ) from problem
    unknown = set(options) - {"address", "scheduler_file", "timeout"}
    if unknown:
        raise InputError(
            f"The label farm 'dask' has no option '{min(unknown)}'.",
            "Its options are 'address', 'scheduler_file' and 'timeout' (s).",
        )

    def make() -> Executor:
        try:
            if "scheduler_file" in options:
                Path(options["scheduler_file"]).read_text()  # Dask would wait for it for ever
            if options:
                return _Dask(Client(**options), None)
            cluster = LocalCluster(
                n_workers=workers or 1, threads_per_worker=1, dashboard_address=":0"
            )
            return _Dask(Client(cluster), cluster)
        except (OSError, TypeError, ValueError) as problem:
            raise InputError(
                f"The Dask cluster does not answer: {problem}.", "Start it, or mend its address."
            ) from problem

    return ExecutorKind(make)


class _Dask(Executor):
    """Dask's own executor, which keeps no track of its client."""

    def __init__(self, client: Any, cluster: Any) -> None:
        self._client = client
        self._cluster = cluster
        self._executor = client.get_executor(pure=False, retries=0)

    def submit(self, fn: Any, /, *args: Any, **keywords: Any) -> "Future[Any]":
        """Run a function on a worker."""
        future: Future[Any] = self._executor.submit(fn, *args, **keywords)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster, and end it where it was made here."""
        self._executor.shutdown(wait=wait and not cancel_futures)
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()
