"""One cell measured, in whatever process; an error is an outcome."""

from __future__ import annotations

import ctypes
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from theory_check.recording import Progress
    from theory_check.runs.spec import Cell


@dataclass(frozen=True)
class Outcome:
    """What a worker sends back: a table, or an error with its traceback.

    ``refusal`` says why a worker of a cluster did not start, ``""`` where it did.
    """

    key: str
    seconds: float = 0.0
    frame: pd.DataFrame | None = None
    message: str = ""
    traceback: str = ""
    refusal: str = ""


def measure(key: str, cell: Cell, progress: Progress) -> Outcome:
    """Measure one cell; what it freed is the system's afterwards."""
    outcome = _measured(key, cell, progress)
    _return_freed_memory()
    return outcome


def _measured(key: str, cell: Cell, progress: Progress) -> Outcome:
    start = time.perf_counter()
    try:
        with _one_thread():
            seeds = cell.replicates
            problem = cell.problem.build()
            frame = cell.measurement.measure(problem, seeds, progress)
            _check(frame, seeds)
    except (Exception, SystemExit) as error:  # of somebody else's component, whatever it raises
        interruption = _behind(error)
        if interruption is not None:
            raise interruption from None
        return Outcome(
            key,
            time.perf_counter() - start,
            message=f"{type(error).__name__}: {error}".splitlines()[0],
            traceback=traceback.format_exc(),
        )
    return Outcome(key, time.perf_counter() - start, frame)


def _behind(error: BaseException) -> BaseException | None:
    """Return the interruption that an error stands for, None where it is an error of its own.

    A signal that arrives while a library written in C calls back, as numba does, is raised there and
    comes out as the cause of a SystemError.
    """
    found: BaseException | None = error
    while found is not None:
        if not isinstance(found, Exception | SystemExit | GeneratorExit):
            return found
        found = found.__cause__ or found.__context__
    return None


def _return_freed_memory() -> None:
    """Let the C library give back what it keeps of freed tables, 150 MB after a cell of 100 states.

    Else a process would hold the most that any of its cells has needed, and loky replace a worker
    that has grown by 300 MB since its first cell.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
        if trim is not None:
            trim(0)


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
