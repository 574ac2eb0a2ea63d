"""Cells on a Ray cluster, by its own tasks."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from theory_check.errors import InvalidArgumentError, one_line
from theory_check.runs.backends.local import (
    ONE_THREAD,
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

ADDRESS = "RAY_ADDRESS"

TIMEOUT = 5.0
"""Seconds within which something must listen at the address: Ray itself tries for minutes."""


@contextmanager
def ray_pool(jobs: int) -> Iterator[RayPool]:
    """Connect to the cluster at the address in the environment, else start ``jobs`` workers."""
    ray = optional_module("ray", "ray")
    address = os.environ.get(ADDRESS) or "local"
    quiet = {"configure_logging": False, "log_to_driver": False}
    environment = {"env_vars": ONE_THREAD}
    before = signal.getsignal(signal.SIGTERM)
    if address == "local":
        ray.init(address, num_cpus=jobs, include_dashboard=False, runtime_env=environment, **quiet)
    else:
        if address != "auto" and (silence := silence_at(address.removeprefix("ray://"), TIMEOUT)):
            raise _no_cluster(address, silence)
        try:
            ray.init(address, runtime_env=environment, **quiet)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise _no_cluster(address, one_line(error)) from error
    if before is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)  # Ray's own handler leaves with another exit code
    try:
        if address != "local":
            announce("ray", address, int(ray.cluster_resources().get("CPU", 0)))
        yield RayPool(ray, address)
    finally:
        ray.shutdown()


class RayPool:
    """Hands out one cell per CPU: one that is queued would keep other processes from it."""

    shares_files = False

    def __init__(self, ray: Any, address: str) -> None:
        self._ray = ray
        self._origin = origin()
        self._task = ray.remote(num_cpus=1)(traveller())
        # A client of Ray's own proxy may not reach the head itself.
        proxy = address.removeprefix("ray://") if address.startswith("ray://") else ""
        self._head = proxy or ray.get_runtime_context().gcs_address
        self._running: dict[Any, str] = {}

    def room(self) -> int:
        """Return how many more cells the cluster takes."""
        with self._lost():
            workers = int(self._ray.cluster_resources().get("CPU", 0))
        return max(workers, 1) - len(self._running)

    def submit(self, cell: Cell, progress: Progress) -> None:
        """Run a cell; its progress stays unknown, for want of common files."""
        with self._lost():
            reference = self._task.remote(cell.key, packed(cell), self._origin)
        self._running[reference] = cell.key

    def finished(self, timeout: float) -> Sequence[Outcome]:
        """Return what is finished, as :class:`Pool` says."""
        with self._lost():
            ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=timeout)
            # Ray ends this process, after a minute, where it misses its head.
            if not ready and (silence := silence_at(self._head, TIMEOUT)):
                raise ConnectionError(silence)
        return [self._outcome(reference) for reference in ready]

    def _outcome(self, reference: Any) -> Outcome:
        errors = self._ray.exceptions
        try:
            with self._lost():
                outcome = accepted(self._ray.get(reference))
        except (errors.WorkerCrashedError, errors.OutOfMemoryError) as error:
            raise WorkerDiedError(
                "a cell's workers died several times over, usually for lack of memory; finished "
                "cells are kept: give the nodes more of it, or fewer CPUs"
            ) from error
        except errors.RayTaskError as error:
            raise mismatch(f"a worker cannot run a cell ({one_line(error.cause)})") from error
        del self._running[reference]
        return outcome

    @contextmanager
    def _lost(self) -> Iterator[None]:
        errors = self._ray.exceptions
        theirs = (errors.WorkerCrashedError, errors.OutOfMemoryError, errors.RayTaskError)
        try:
            yield
        except theirs:
            raise
        except (OSError, errors.RayError) as error:
            raise ClusterLostError(
                f"the Ray cluster is gone ({one_line(error)}); finished cells "
                "are kept: once there is one again, the same command continues"
            ) from error


def _no_cluster(address: str, reason: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        ADDRESS,
        repr(address),
        f"no cluster answers there ({reason}): start one with `ray start --head`, give this "
        "process its token (`ray get-auth-token`), or unset the variable for workers of this machine",
    )
