"""Cells on a Dask cluster, by its own tasks."""

from __future__ import annotations

import logging
import os
import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from theory_check.errors import InvalidArgumentError, one_line
from theory_check.runs.backends.local import (
    ClusterLostError,
    WorkerDiedError,
    announce,
    mismatch,
    optional_module,
    silence_at,
)
from theory_check.runs.backends.measuring import Outcome
from theory_check.runs.backends.remote import accepted, origin, packed, traveller

if TYPE_CHECKING:
    from theory_check.recording import Progress
    from theory_check.runs.spec import Cell

ADDRESS = "DASK_SCHEDULER_ADDRESS"

TIMEOUT = 10.0
"""Seconds within which a scheduler must answer."""


@contextmanager
def dask_pool(jobs: int) -> Iterator[DaskPool]:
    """Connect to the scheduler at the address in the environment, else start ``jobs`` workers."""
    distributed = optional_module("distributed", "dask")
    with _quiet():
        address = os.environ.get(ADDRESS)
        if not address:
            with (
                distributed.LocalCluster(
                    n_workers=jobs, threads_per_worker=1, dashboard_address="127.0.0.1:0"
                ) as cluster,
                distributed.Client(cluster) as client,
            ):
                yield DaskPool(distributed, client)
            return
        client = _connected(distributed, address)
        try:
            announce("dask", address, len(client.nthreads()))
            yield DaskPool(distributed, client)
        finally:
            with suppress(OSError):  # of a scheduler that is gone
                client.close()


def _connected(distributed: Any, address: str) -> Any:
    protocol, _, place = address.rpartition("://")
    # Dask's own client, where it fails, is cleared away late and stands in the way of the next.
    reason = silence_at(place, TIMEOUT) if protocol in ("", "tcp", "tls") else ""
    if not reason:
        try:
            return distributed.Client(address, timeout=TIMEOUT)
        except (OSError, ValueError, TypeError) as error:
            reason = one_line(error)
    raise InvalidArgumentError(
        ADDRESS,
        repr(address),
        f"no scheduler answers there ({reason}): start one with `dask scheduler`, or unset the "
        "variable for workers of this machine",
    )


class DaskPool:
    """Hands out one cell per worker: one that is queued would keep other processes from it."""

    shares_files = False

    def __init__(self, distributed: Any, client: Any) -> None:
        self._distributed, self._client = distributed, client
        self._task, self._origin = traveller(), origin()
        self._running: dict[str, Any] = {}
        self._done: queue.SimpleQueue[str] = queue.SimpleQueue()

    def room(self) -> int:
        """Return how many more cells the cluster takes."""
        self._check_connection()
        with self._lost_when_closed():
            workers = len(self._client.nthreads())
        # One more than none, since a cluster may start workers only once there is something to do.
        return max(workers, 1) - len(self._running)

    def submit(self, cell: Cell, progress: Progress) -> None:
        """Run a cell; its progress stays unknown, for want of common files."""
        key = cell.key
        with self._lost_when_closed():
            future = self._client.submit(self._task, key, packed(cell), self._origin, pure=False)
            self._running[key] = future
            future.add_done_callback(lambda _: self._done.put(key))

    def finished(self, timeout: float) -> Sequence[Outcome]:
        """Return what is finished, as :class:`Pool` says."""
        try:
            keys = [self._done.get(timeout=timeout)]
        except queue.Empty:
            self._check_connection()
            return []
        with suppress(queue.Empty):
            while True:
                keys.append(self._done.get_nowait())
        outcomes, lost = [], None
        for key in keys:
            try:
                outcomes.append(self._outcome(key))
            except WorkerDiedError as error:
                lost = error
                self._done.put(key)
        if lost is not None and not outcomes:
            raise lost
        return outcomes

    def _outcome(self, key: str) -> Outcome:
        future = self._running[key]
        with self._lost_when_closed():
            error = future.exception() if future.status == "error" else None
            if isinstance(error, self._distributed.KilledWorker):
                raise WorkerDiedError(
                    "a cell's workers died several times over, usually for lack of memory; "
                    f"finished cells are kept: start the workers with more of it ({error})"
                )
            if error is not None:
                raise mismatch(f"a worker cannot run a cell ({type(error).__name__}: {error})")
            outcome = accepted(future.result())
        del self._running[key]
        return outcome

    def _check_connection(self) -> None:
        if self._client.status not in ("running", "connecting"):
            raise _lost("its scheduler closed the connection")

    @contextmanager
    def _lost_when_closed(self) -> Iterator[None]:
        try:
            yield
        except (OSError, self._distributed.CancelledError, RuntimeError) as error:
            raise _lost(str(error)) from error


def _lost(reason: str) -> ClusterLostError:
    return ClusterLostError(
        f"the Dask cluster is gone ({one_line(reason)}); finished cells are kept: "
        "once there is one again, the same command continues"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave it to errors of this package to say that a connection broke."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
