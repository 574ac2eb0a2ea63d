"""Cells in this process, or in worker processes of this machine that end with it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING

from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import BrokenProcessPool

from theory_check.runs.backends.base import WorkerDiedError
from theory_check.runs.backends.measuring import Outcome, measure
from theory_check.runs.leftovers import workspace

if TYPE_CHECKING:
    from theory_check.runs.measurements.base import Progress
    from theory_check.runs.spec import Cell

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
