"""Cells in this process, or in worker processes of this machine that end with it."""

from __future__ import annotations

import importlib
import os
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import BrokenProcessPool

from theory_check.errors import InvalidArgumentError, TheoryCheckError, one_line
from theory_check.runs.backends.measuring import Outcome, measure
from theory_check.runs.processes import workspace

if TYPE_CHECKING:
    from theory_check.recording import Progress
    from theory_check.runs.backends.measuring import Outcome
    from theory_check.runs.spec import Cell


class WorkerDiedError(TheoryCheckError):
    """A worker process was killed from outside, usually for lack of memory."""


class ClusterLostError(WorkerDiedError):
    """The cluster went away in the middle of a sweep."""


class WorkerMismatchError(WorkerDiedError):
    """A worker of a cluster would not compute what this process would."""


class Pool(Protocol):
    """Takes cells and returns their outcomes, in the order in which they are there."""

    shares_files: bool
    """Whether workers see the temporary folder of this process."""

    def room(self) -> int:
        """Return how many more cells it takes now."""

    def submit(self, cell: Cell, progress: Progress) -> None:
        """Run a cell."""

    def finished(self, timeout: float) -> Sequence[Outcome]:
        """Return what is finished and was not returned before.

        Where there is nothing, wait ``timeout`` seconds for the first; only then is it empty.

        Raises
        ------
        WorkerDiedError
            When a worker or the cluster is gone; what was finished has been returned before.
        """


def optional_module(module: str, backend: str) -> Any:
    """Import what the extra of a backend installs, or say how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InvalidArgumentError(
            "backend", repr(backend), f"install it: pip install 'theory-check[{backend}]'"
        ) from error


def silence_at(address: str, timeout: float) -> str:
    """Return why nothing can be reached at ``host:port``, ``""`` where something listens."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout).close()
    except (OSError, ValueError, OverflowError) as error:
        return one_line(error)
    return ""


def announce(backend: str, address: str, workers: int) -> None:
    """Say which cluster is used, and that it is as large as it is."""
    print(
        f"theory-check: {backend} cluster at {address}, {workers} workers at present; "
        "--jobs does not apply",
        file=sys.stderr,
    )


def mismatch(what: str) -> WorkerMismatchError:
    """Return the error about a worker; ``what`` names it and says how it differs."""
    return WorkerMismatchError(
        f"{what}; nothing of it is stored: install there what is installed here and restart it, "
        "or take it out of the cluster; finished cells are kept, the same command continues"
    )


# One thread per worker: the numbers must not depend on how many cores it may use.
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMBA_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    ),
    "1",
)

IDLE = 300.0
"""Seconds after which a worker without work ends; a new one needs some to load torch."""

PARENT_INTERVAL = 0.5
"""Seconds between two looks of a worker at whether its parent is alive."""


class SerialPool:
    """Runs a cell when its outcome is asked for, in this process."""

    shares_files = True

    def __init__(self) -> None:
        self._next: tuple[Cell, Progress] | None = None

    def room(self) -> int:
        """Return 1 while no cell is there."""
        return int(self._next is None)

    def submit(self, cell: Cell, progress: Progress) -> None:
        """Keep a cell until its outcome is asked for."""
        self._next = cell, progress

    def finished(self, timeout: float) -> Sequence[Outcome]:
        """Run the cell that is there."""
        if self._next is None:
            time.sleep(timeout)
            return []
        cell, progress = self._next
        outcome = measure(cell.key, cell, progress)
        self._next = None
        return [outcome]


class ProcessPool:
    """Runs cells in the processes of an executor, ``jobs`` at a time."""

    shares_files = True

    def __init__(self, executor: Executor, jobs: int) -> None:
        self._executor, self._jobs = executor, jobs
        self._running: set[Future[Outcome]] = set()

    def room(self) -> int:
        """Return how many workers have no cell."""
        return self._jobs - len(self._running)

    def submit(self, cell: Cell, progress: Progress) -> None:
        """Run a cell."""
        try:
            self._running.add(self._executor.submit(measure, cell.key, cell, progress))
        except BrokenProcessPool as error:
            raise _died() from error

    def finished(self, timeout: float) -> Sequence[Outcome]:
        """Return what is finished, as :class:`Pool` says."""
        done = wait(self._running, timeout, FIRST_COMPLETED).done
        broken = [each for each in done if isinstance(each.exception(), BrokenProcessPool)]
        whole = done.difference(broken)
        if broken and not whole:
            raise _died() from broken[0].exception()
        self._running -= whole
        return [each.result() for each in whole]


def _died() -> WorkerDiedError:
    return WorkerDiedError(
        "a worker process was killed, usually for lack of memory; finished cells are "
        "kept: run the same command again with fewer --jobs"
    )


@contextmanager
def worker_processes(jobs: int) -> Iterator[Executor]:
    """Return ``jobs`` processes of one thread each; those of an interrupted block are killed."""
    with workspace():  # whose record of this process tells a later one whose semaphores are left
        # Nothing is memory mapped, as joblib would: cells are small, and files would be left.
        executor = get_reusable_executor(
            max_workers=jobs,
            timeout=IDLE,
            env=ONE_THREAD,
            initializer=_end_with,
            initargs=(os.getpid(),),
        )
        try:
            with warnings.catch_warnings():
                # A worker whose memory has grown is replaced between two cells, which loses none.
                warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
                yield executor
        except BaseException:
            executor.shutdown(wait=True, kill_workers=True)
            raise


def _end_with(parent: int) -> None:
    """Let this worker end soon after its parent: nobody would take what it computes."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_INTERVAL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
