"""Run the cells that have no result yet, in parallel, and say what happened."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from theory_check.errors import (
    TheoryCheckError,
    require_choice,
    require_flag,
    require_instance,
    require_positive_integer,
)
from theory_check.runs.backends import BACKENDS, parallel_backend
from theory_check.runs.progress import no_progress, progress_bar
from theory_check.runs.store import Store, UnstorableError, require_cells

if TYPE_CHECKING:
    import pandas as pd

    from theory_check.runs.measurements.base import Progress
    from theory_check.runs.spec import Cell


class WorkerDiedError(TheoryCheckError):
    """A worker process was killed from outside, usually for lack of memory."""


@dataclass(frozen=True)
class Failure:
    """A cell that raised an error.

    Attributes
    ----------
    cell
        The cell.
    message
        Type and text of the error.
    record
        File with the traceback.
    """

    cell: Cell
    message: str
    record: Path

    def __str__(self) -> str:
        return (
            f"{self.cell} failed: {self.message}; traceback in {self.record}; "
            "--retry-failed runs it again"
        )


@dataclass(frozen=True)
class Report:
    """What became of the cells, each of them in exactly one place.

    Attributes
    ----------
    executed
        Cells that were run now and gave a result.
    reused
        Cells that had a result.
    failed
        Cells that raised an error, now or earlier.
    """

    executed: tuple[Cell, ...]
    reused: tuple[Cell, ...]
    failed: tuple[Failure, ...]

    def __str__(self) -> str:
        total = len(self.executed) + len(self.reused) + len(self.failed)
        return (
            f"{total} cells: {len(self.executed)} run, {len(self.reused)} reused, "
            f"{len(self.failed)} failed"
        )


@dataclass(frozen=True)
class _Outcome:
    """What a worker sends back: a table, or an error with its traceback."""

    position: int
    seconds: float
    frame: pd.DataFrame | None = None
    message: str = ""
    traceback: str = ""


def execute(
    cells: Iterable[Cell],
    store: Store,
    *,
    jobs: int = 1,
    backend: str = "loky",
    retry_failed: bool = False,
) -> Report:
    """Run every cell that has no result in ``store``.

    Parameters
    ----------
    cells
        The cells; those with equal keys are run once.
    store
        Where results are looked up and written, each as soon as it is there.
    jobs
        Worker processes; with 1, cells run in this process. The numbers do not depend on it.
    backend
        As in :func:`theory_check.runs.backends.parallel_backend`.
    retry_failed
        Whether to run cells again whose failure is recorded.

    Raises
    ------
    StoreError
        When the store cannot be written; before any work.
    WorkerDiedError
        When a worker was killed; results that were finished are kept.
    """
    require_positive_integer("jobs", jobs)
    require_choice("backend", backend, BACKENDS)
    require_flag("retry_failed", retry_failed)
    require_instance("store", store, Store, "pass theory_check.runs.Store(directory)")
    unique = {cell.key: cell for cell in require_cells(cells)}
    reused: list[Cell] = []
    waiting: list[Cell] = []
    failed: list[Failure] = []
    executed: list[Cell] = []
    for key, cell in unique.items():
        message = store.read_error(key)
        if store.has(key):
            reused.append(cell)
        elif message is None or retry_failed:
            waiting.append(cell)
        else:
            failed.append(Failure(cell, message, store.error_path(key)))
    if waiting:
        store.prepare()
        waiting.sort(key=lambda cell: cell.measurement.relative_cost(), reverse=True)
        for outcome in _outcomes(waiting, min(jobs, len(waiting)), backend):
            cell = waiting[outcome.position]
            message, traceback_text = outcome.message, outcome.traceback
            if outcome.frame is not None:
                try:
                    store.write(cell, outcome.frame, outcome.seconds)
                except UnstorableError as error:
                    message, traceback_text = str(error), ""
                else:
                    executed.append(cell)
                    continue
            store.write_error(cell, message, traceback_text)
            failed.append(Failure(cell, message, store.error_path(cell.key)))
    return Report(tuple(executed), tuple(reused), tuple(failed))


def _outcomes(cells: Sequence[Cell], jobs: int, backend: str) -> Iterator[_Outcome]:
    """Yield the outcome of every cell as soon as it is there."""
    with parallel_backend(backend, jobs), progress_bar(len(cells)) as bar:
        # Nothing is memory mapped: cells are small, and a killed run would leave the files.
        parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1, max_nbytes=None)
        tasks = (
            joblib.delayed(_run_cell)(position, cell, bar.of_cell(cell.key) or no_progress)
            for position, cell in enumerate(cells)
        )
        try:
            for outcome in parallel(tasks):
                bar.finish(cells[outcome.position].key)
                yield outcome
        except TerminatedWorkerError as error:
            raise WorkerDiedError(
                "a worker process was killed, usually for lack of memory; finished cells are "
                "kept: run the same command again with fewer --jobs"
            ) from error


def _run_cell(position: int, cell: Cell, progress: Progress) -> _Outcome:
    """Measure one cell, in a worker; an error is an outcome."""
    start = time.perf_counter()
    try:
        with _one_thread():
            seeds = cell.replicates
            problem = cell.build_problem(**cell.parameters)
            frame = cell.measurement.measure(problem, seeds, progress)
            _check(frame, seeds)
    except Exception as error:
        return _Outcome(
            position,
            time.perf_counter() - start,
            message=f"{type(error).__name__}: {error}".splitlines()[0],
            traceback=traceback.format_exc(),
        )
    return _Outcome(position, time.perf_counter() - start, frame)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread in torch: sums over several depend on their number in the last digit."""
    import torch  # here, so that the process that only hands out cells need not hold it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check(frame: pd.DataFrame, seeds: range) -> None:
    """Refuse a table that does not account for every seed."""
    if not len(frame.columns) or frame.columns[0] != "seed":
        raise ValueError(f"the first column must be 'seed'; got {list(frame.columns)}")
    for column in ("problem", "instance"):
        if column in frame.columns:
            raise ValueError(f"the column {column!r} is reserved for the problem of the experiment")
    if set(frame["seed"]) != set(seeds):
        found = sorted(set(frame["seed"].tolist()))
        raise ValueError(f"rows for seeds {found}; expected {list(seeds)}")
