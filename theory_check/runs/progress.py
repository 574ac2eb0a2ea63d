"""One display of a sweep: cells that are done, running and left, and how long it still takes."""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from theory_check.errors import visible
from theory_check.runs.processes import workspace
from theory_check.runs.remaining import Running, Work, seconds_left, share_done, time_in_words

if TYPE_CHECKING:
    from theory_check.runs.spec import Cell

DELAY = 1.0
"""Seconds before anything is shown."""

INTERVAL = 0.5
"""Seconds between two updates."""

QUIET = 60.0
"""Seconds between two lines of a long sweep, or of cells that take long, where there is no terminal."""

EVERY_CELL = 40
"""Cells up to which each has a line of its own where there is no terminal."""


USUAL = Path(__file__).with_name("usual_seconds.json")
"""Written by ``docs/record_seconds.py``."""


@dataclass
class FileProgress:
    """Progress of one cell, through a small file that the parent process reads."""

    path: Path
    last: float = field(default=0.0, init=False)

    def __call__(self, done: int, total: int) -> None:
        """Write the finished fraction, at most every :data:`INTERVAL` seconds."""
        now = time.monotonic()
        if now - self.last >= INTERVAL:
            self.last = now
            with suppress(OSError):  # the folder is gone: a display is not worth a cell
                self.path.write_text(repr(done / total), encoding="ascii")


def no_progress(done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Standing:
    """Where a sweep stands.

    Attributes
    ----------
    done, running, left
        Numbers of cells.
    share
        Of the work that is done, by time.
    seconds
        Until the last cell ends; NaN where that cannot be said.
    """

    done: int
    running: int
    left: int
    share: float
    seconds: float

    @property
    def cells(self) -> str:
        """The numbers of cells in words."""
        return f"{self.done} done, {self.running} running, {self.left} left"

    @property
    def time(self) -> str:
        """How long it still takes, in words."""
        return (
            "time not known yet"
            if math.isnan(self.seconds)
            else f"about {time_in_words(self.seconds)}"
        )


@dataclass
class SweepProgress:
    """Which cells of a sweep are done and running, and what they took.

    Attributes
    ----------
    work
        What is known of each cell, by key, in the order in which they will run.
    directory
        Where cells write which share of them is done.
    workers
        Cells that run side by side.
    """

    work: Mapping[str, Work]
    directory: Path
    workers: int = 1
    _started: dict[str, float] = field(default_factory=dict, init=False)
    _taken: dict[str, float] = field(default_factory=dict, init=False)
    _ended: list[str] = field(default_factory=list, init=False)

    def start(self, key: str) -> FileProgress:
        """Count a cell as running, and return what it reports its progress to."""
        self._started[key] = time.monotonic()
        return FileProgress(self.directory / key)

    def finish(self, key: str) -> None:
        """Count a cell as done: one that ran here, or that another process ran."""
        started = self._started.pop(key, None)
        (self.directory / key).unlink(missing_ok=True)
        if started is not None:
            self._taken[key] = time.monotonic() - started
        self._ended.append(key)

    def seconds_of(self, key: str) -> float:
        """Return how long a cell took that ended; NaN where another process ran it."""
        return self._taken.get(key, math.nan)

    def ended(self) -> list[str]:
        """Return the cells that are done, in the order in which they ended."""
        return list(self._ended)

    def standing(self) -> Standing:
        """Return where the sweep stands."""
        # The thread that shows it reads what the sweep writes: of each mapping a copy.
        now, started, taken, ended = (
            time.monotonic(),
            dict(self._started),
            dict(self._taken),
            set(self._ended),
        )
        finished = [(self.work[key], seconds) for key, seconds in taken.items()]
        running = [
            Running(self.work[key], now - since, _fraction(self.directory / key))
            for key, since in started.items()
            if key not in ended
        ]
        waiting = [
            work for key, work in self.work.items() if key not in ended and key not in started
        ]
        workers = max(self.workers, len(running))
        return Standing(
            len(ended),
            len(running),
            len(waiting),
            share_done(finished, running, waiting),
            seconds_left(finished, running, waiting, workers),
        )


def work_of(cells: Mapping[str, Cell], seconds: Mapping[str, float]) -> dict[str, Work]:
    """Return what is known of cells before they run, of some what they took earlier."""
    usual = usual_seconds()
    return {
        key: Work(
            cell.measurement.kind,
            (cost := cell.measurement.relative_cost()),
            seconds.get(key, cost * usual.get(cell.experiment, math.nan)),
        )
        for key, cell in cells.items()
    }


@cache
def usual_seconds() -> Mapping[str, float]:
    """Return seconds per relative cost of the cells of shipped experiments, where they were recorded."""
    found: dict[str, float] = json.loads(USUAL.read_text(encoding="utf-8"))
    return found


@contextmanager
def sweep_progress(
    work: Mapping[str, Work], names: Mapping[str, str], workers: int
) -> Iterator[SweepProgress]:
    """Show a sweep on standard error, after a second: a display on a terminal, lines elsewhere.

    Parameters
    ----------
    work
        What is known of each cell, by key, in the order in which they will run.
    names
        Of the cells, by key.
    workers
        Cells that run side by side.
    """
    with workspace() as directory:
        state = SweepProgress(work, directory, workers)
        stopped = threading.Event()
        watch = _watch_on_terminal if sys.stderr.isatty() else _watch_in_lines
        watcher = threading.Thread(target=watch, args=(state, names, stopped), daemon=True)
        watcher.start()
        try:
            yield state
        finally:
            stopped.set()
            watcher.join()


def _watch_on_terminal(
    state: SweepProgress, names: Mapping[str, str], stopped: threading.Event
) -> None:
    if stopped.wait(DELAY):
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(bar_width=15),
        TextColumn("{task.percentage:3.0f}%", markup=False),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    console = Console(file=sys.stderr, force_terminal=True, markup=False, highlight=False)
    # What is told meanwhile is written above the display.
    with Progress(
        *columns, console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=True
    ) as display:
        task = display.add_task("", total=1.0)
        last = False
        while True:
            found = state.standing()
            description = found.cells if last else f"{found.cells}, {found.time}"
            display.update(task, completed=found.share, description=description, refresh=True)
            if last:
                return
            last = stopped.wait(INTERVAL)


def _watch_in_lines(
    state: SweepProgress, names: Mapping[str, str], stopped: threading.Event
) -> None:
    if stopped.wait(DELAY):
        return
    number = len(state.work)
    found = state.standing()
    cells = f"{number} cell{'s' * (number != 1)}"
    _tell(f"{cells}, {state.workers} at a time, {found.time}")
    told, last_line = len(state.ended()), time.monotonic()
    while not stopped.wait(INTERVAL):
        ended, now = state.ended(), time.monotonic()
        new = ended[told:] if number <= EVERY_CELL else []
        if not new and now - last_line < QUIET:
            continue
        found = state.standing()
        where = f"{found.cells}, {found.time}"
        for key in new[:-1]:
            _tell(_took(state, names, key))
        _tell(f"{_took(state, names, new[-1])}; {where}" if new else where)
        told, last_line = len(ended), now


def _took(state: SweepProgress, names: Mapping[str, str], key: str) -> str:
    seconds = state.seconds_of(key)
    took = "run by another process" if math.isnan(seconds) else f"took {time_in_words(seconds)}"
    return f"{names[key]} {took}"


def _tell(line: str) -> None:
    print(visible(f"theory-check: {line}"), file=sys.stderr, flush=True)


def _fraction(path: Path) -> float:
    try:
        return min(max(float(path.read_text(encoding="ascii")), 0.0), 1.0)
    except (OSError, ValueError):  # being written, or finished in the meantime
        return 0.0


__all__: Sequence[str] = (
    "FileProgress",
    "Standing",
    "SweepProgress",
    "no_progress",
    "sweep_progress",
    "time_in_words",
    "work_of",
)
