"""Where cells run: in this process, in others of this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from theory_check.runs.backends.local import Pool, ProcessPool, SerialPool, worker_processes

__all__ = ["BACKENDS", "Pool", "open_pool", "worker_processes"]

BACKENDS = ("loky", "dask", "ray")


@contextmanager
def open_pool(backend: str, jobs: int) -> Iterator[Pool]:
    """Return, for the ``with`` block, what runs cells.

    Parameters
    ----------
    backend
        ``"loky"``: processes of this machine. ``"dask"``: the cluster at the address in
        ``DASK_SCHEDULER_ADDRESS``, or a local one. ``"ray"``: the cluster at the address in
        ``RAY_ADDRESS``, or a local one. Both clusters come with the extra of their name.
    jobs
        Number of worker processes on this machine. With ``"loky"`` and 1, cells run in this
        process; a cluster at an address has as many workers as it has.

    Raises
    ------
    InvalidArgumentError
        For a backend that is not installed, or an address at which there is no cluster.
    """
    # Each backend is imported when it is asked for: the clusters' libraries are optional.
    if backend == "dask":
        from theory_check.runs.backends.dask_cluster import dask_pool

        with dask_pool(jobs) as pool:
            yield pool
    elif backend == "ray":
        from theory_check.runs.backends.ray_cluster import ray_pool

        with ray_pool(jobs) as pool:
            yield pool
    elif jobs == 1:
        yield SerialPool()
    else:
        with worker_processes(jobs) as executor:
            yield ProcessPool(executor, jobs)
