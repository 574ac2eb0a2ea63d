"""Run the cells that have no result yet, in parallel, and say what happened."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from theory_check.catalogue import Catalogue, installed
from theory_check.errors import (
    require_choice,
    require_flag,
    require_instance,
    require_positive_integer,
)
from theory_check.runs.backends import BACKENDS, open_pool
from theory_check.runs.holdings import announce
from theory_check.runs.identity import moved_sources
from theory_check.runs.leases import Leases
from theory_check.runs.progress import SweepProgress, no_progress, sweep_progress, work_of
from theory_check.runs.store import Store, UnstorableError, require_cells
from theory_check.settings import Flag, PositiveInteger, Settings, instance_of, one_of

if TYPE_CHECKING:
    from theory_check.runs.backends import Pool
    from theory_check.runs.backends.measuring import Outcome
    from theory_check.runs.spec import Cell

POLL = 0.5
"""Seconds between two looks at cells that other processes run."""


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
        Cells that had a result, or got it from another process in the meantime.
    failed
        Cells that raised an error, now, earlier or in another process.
    absent
        Cells without a result that were not to be run.
    """

    executed: tuple[Cell, ...]
    reused: tuple[Cell, ...]
    failed: tuple[Failure, ...]
    absent: tuple[Cell, ...] = ()

    def __str__(self) -> str:
        total = len(self.executed) + len(self.reused) + len(self.failed) + len(self.absent)
        return (
            f"{total} cells: {len(self.executed)} run, {len(self.reused)} reused, "
            f"{len(self.failed)} failed" + (f", {len(self.absent)} absent" if self.absent else "")
        )


def execute(
    cells: Iterable[Cell],
    store: Store,
    *,
    jobs: int = 1,
    backend: str = "loky",
    retry_failed: bool = False,
) -> Report:
    """Run every cell that has no result in ``store`` and that no other process runs.

    Results of other source that the store has of these cells are told on standard error before.

    Cells that another process runs on the same store, here or on another machine, are waited for,
    after all others; a cell of a process that is gone is run here.

    Parameters
    ----------
    cells
        The cells; those with equal keys are run once.
    store
        Where results are looked up and written, each as soon as it is there.
    jobs
        Worker processes; with 1, cells run in this process. The numbers do not depend on it. A
        cluster at an address has as many workers as it has.
    backend
        As in :func:`theory_check.runs.backends.open_pool`.
    retry_failed
        Whether to run cells again whose failure is recorded.

    Raises
    ------
    InvalidArgumentError
        For a backend that is not installed, or an address at which there is no cluster; before
        any work.
    StoreError
        When the store cannot be written; before any work.
    WorkerDiedError
        When a worker was killed, the cluster is gone (``ClusterLostError``), or a worker of it has
        other source or versions than this process (``WorkerMismatchError``); results that were
        finished are kept.
    """
    require_positive_integer("jobs", jobs)
    require_choice("backend", backend, BACKENDS)
    require_flag("retry_failed", retry_failed)
    require_instance("store", store, Store, "pass theory_check.runs.Store(directory)")
    unique = {cell.key: cell for cell in require_cells(cells)}
    state = _State(store, Leases(store))
    latest = state.leases.taken()
    for key, cell in unique.items():
        recorded = store.read_error(key)
        if store.has(key):
            state.reused.append(cell)
            if key in latest:
                state.leases.forget(key, latest[key])
        elif recorded is None or retry_failed:
            state.waiting[key] = cell
            state.known_failures[key] = store.error_time(key)
        else:
            state.fail(cell, recorded)
    if state.waiting:
        store.prepare()
        earlier = announce(store, state.waiting.values())
        state.sort()
        jobs = min(jobs, len(state.waiting))
        work = work_of(state.waiting, earlier)
        names = {key: str(cell) for key, cell in state.waiting.items()}
        with (
            sweep_progress(work, names, jobs) as shown,
            open_pool(backend, jobs) as pool,
            state.leases,
        ):
            state.work(pool, shown)
    return Report(tuple(state.executed), tuple(state.reused), tuple(state.failed))


def held(cells: Iterable[Cell], store: Store) -> Report:
    """Return what a store has of some cells, and run none.

    Parameters
    ----------
    cells
        The cells; those with equal keys count once.
    store
        Where results and recorded failures are looked up; nothing is written.
    """
    reused, failed, absent = [], [], []
    for key, cell in {cell.key: cell for cell in require_cells(cells)}.items():
        recorded = None if store.has(key) else store.read_error(key)
        if store.has(key):
            reused.append(cell)
        elif recorded is None:
            absent.append(cell)
        else:
            failed.append(Failure(cell, recorded, store.error_path(key)))
    return Report((), tuple(reused), tuple(failed), tuple(absent))


@dataclass(frozen=True)
class RunOptions(Settings):
    """How missing cells are run.

    Attributes
    ----------
    store
        Directory of the results.
    jobs
        Worker processes.
    quick
        Whether the small version of each experiment is meant.
    retry_failed
        Whether cells whose failure is recorded are run again.
    backend
        Where they run, see :func:`theory_check.runs.backends.open_pool`.
    catalogue
        What there is.
    any_source
        Whether a cell without a result is not run where there is one of other source, which is read.
    run
        Whether other cells without a result are run; where they are not, they are told as absent.
    """

    store: str | Path = "results"
    jobs: PositiveInteger = 1
    quick: Flag = False
    retry_failed: Flag = False
    backend: Annotated[str, one_of(BACKENDS)] = "loky"
    catalogue: Annotated[Catalogue, instance_of(Catalogue, "pass Catalogue.installed()")] = field(
        default_factory=installed
    )
    any_source: Flag = False
    run: Flag = True

    def __post_init__(self) -> None:
        """Refuse what nothing can be run with, before experiments are read."""
        super().__post_init__()
        Store(self.store)

    def execute(self, cells: Iterable[Cell], store: Store) -> Report:
        """Run the cells that have no result in the store of the options, as :func:`execute` does."""
        if not self.run:
            return held(cells, store)
        return execute(
            cells,
            store,
            jobs=self.jobs,
            backend=self.backend,
            retry_failed=self.retry_failed,
        )


@dataclass
class _State:
    """What is known of the cells: each is in exactly one of the collections."""

    store: Store
    leases: Leases
    waiting: dict[str, Cell] = field(default_factory=dict)
    running: dict[str, Cell] = field(default_factory=dict)
    executed: list[Cell] = field(default_factory=list)
    reused: list[Cell] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    # When the failure was recorded that this process knows of and is to try again.
    known_failures: dict[str, int | None] = field(default_factory=dict)
    told: bool = False

    def sort(self) -> None:
        """Put the longest cells first."""
        order = sorted(
            self.waiting.items(),
            key=lambda item: item[1].measurement.relative_cost(),
            reverse=True,
        )
        self.waiting = dict(order)

    def work(self, pool: Pool, shown: SweepProgress) -> None:
        """Run what no other process runs, and wait for the rest."""
        while self.waiting or self.running:
            self.hand_out(pool, shown)
            if self.running:
                for outcome in pool.finished(POLL):
                    self.take_in(outcome)
                    shown.finish(outcome.key)
            elif self.waiting:
                self.say_what_is_waited_for()
                time.sleep(POLL)

    def hand_out(self, pool: Pool, shown: SweepProgress) -> None:
        """Give the pool what it has room for, of the cells whose lease can be had."""
        room = pool.room() if self.waiting else 0
        latest = self.leases.taken() if room > 0 else {}
        for key, cell in list(self.waiting.items()):
            if room <= 0:
                return
            if not self.leases.take(key, latest.get(key)):
                continue
            del self.waiting[key]
            # Another process may have run it between the first look and the lease.
            if self.settled(cell):
                self.leases.give_back(key)
                shown.finish(key)
                continue
            progress = shown.start(key)
            self.running[key] = cell
            pool.submit(cell, progress if pool.shares_files else no_progress)
            room -= 1

    def settled(self, cell: Cell) -> bool:
        """Return whether another process ran a cell, and count it."""
        key = cell.key
        self.store.refresh()
        if self.store.has(key):
            self.reused.append(cell)
            return True
        if self.store.error_time(key) != self.known_failures[key]:
            message = self.store.read_error(key)
            if message is not None:
                self.fail(cell, message)
                return True
        return False

    def take_in(self, outcome: Outcome) -> None:
        """Store what a worker sent, and let others have the cell only then."""
        cell = self.running.pop(outcome.key)
        message, traceback = outcome.message, outcome.traceback
        moved = moved_sources(cell) if outcome.frame is not None else []
        if moved:
            message = (
                f"{', '.join(moved[:3])} changed while it ran, so that nobody knows what computed it; "
                "its result is not kept: run it again with --retry-failed"
            )
        elif outcome.frame is not None:
            try:
                self.store.write(cell, outcome.frame, outcome.seconds)
            except UnstorableError as error:
                message, traceback = str(error), ""
            else:
                self.executed.append(cell)
                self.leases.give_back(cell.key)
                return
        self.store.write_error(cell, message, traceback)
        self.fail(cell, message)
        self.leases.give_back(cell.key)

    def fail(self, cell: Cell, message: str) -> None:
        """Count a cell as failed."""
        self.failed.append(Failure(cell, message, self.store.error_path(cell.key)))

    def say_what_is_waited_for(self) -> None:
        """Say once that only cells of other processes are left."""
        latest = self.leases.taken()
        holders = sorted(
            {self.leases.holder(key, latest[key]) for key in latest.keys() & self.waiting.keys()}
        )
        if holders and not self.told:
            self.told = True
            print(
                f"theory-check: waiting for {len(self.waiting)} cells that are run by "
                f"{', '.join(holders)}",
                file=sys.stderr,
            )
