"""A progress bar over cells that are running in other processes."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from theory_check.runs.processes import OWNER, workspace

DELAY = 1.0
"""Seconds before the bar is shown."""

INTERVAL = 0.5
"""Seconds between two updates."""

BAR_FORMAT = "{percentage:3.0f}% |{bar}| {desc} [{elapsed}<{remaining}]"


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
            with suppress(OSError):  # the folder is gone: a bar is not worth a cell
                self.path.write_text(repr(done / total), encoding="ascii")


def no_progress(done: int, total: int) -> None:
    """Report nothing."""


@dataclass
class ProgressBar:
    """Counts finished cells, and shows the parts of the unfinished ones."""

    total: int
    directory: Path | None = None
    finished: int = 0

    def of_cell(self, key: str) -> FileProgress | None:
        """Return what a cell reports its progress to, None when nobody watches."""
        return None if self.directory is None else FileProgress(self.directory / key)

    def finish(self, key: str) -> None:
        """Count a cell as finished."""
        if self.directory is not None:
            (self.directory / key).unlink(missing_ok=True)
        self.finished += 1

    def position(self) -> float:
        """Return how many cells are done, with the parts of those that are running."""
        if self.directory is None:
            return float(self.finished)
        parts = sum(_fraction(path) for path in self.directory.iterdir() if path.name != OWNER)
        return min(self.finished + parts, float(self.total))


@contextmanager
def progress_bar(total: int) -> Iterator[ProgressBar]:
    """Show a bar on standard error, after a second, if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield ProgressBar(total)
        return
    with workspace() as directory:
        state = ProgressBar(total, directory)
        stopped = threading.Event()
        watcher = threading.Thread(target=_watch, args=(state, stopped), daemon=True)
        watcher.start()
        try:
            yield state
        finally:
            stopped.set()
            watcher.join()


def _watch(state: ProgressBar, stopped: threading.Event) -> None:
    if stopped.wait(DELAY):
        return
    with tqdm(total=state.total, bar_format=BAR_FORMAT, file=sys.stderr, miniters=0) as bar:
        bar.start_t -= DELAY
        while True:
            last = stopped.wait(INTERVAL)
            bar.set_description_str(f"{state.finished}/{state.total} cells", refresh=False)
            bar.update(state.position() - bar.n)
            if last:
                return


def _fraction(path: Path) -> float:
    try:
        return min(max(float(path.read_text(encoding="ascii")), 0.0), 1.0)
    except (OSError, ValueError):  # being written, or finished in the meantime
        return 0.0
