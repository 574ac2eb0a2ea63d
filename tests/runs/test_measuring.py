"""What a cell leaves behind in the process that measured it."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sweep_toys import line

from theory_check.measurements.base import Measurement
from theory_check.problems.spec import ProblemSpec
from theory_check.recording import Progress
from theory_check.runs import Cell
from theory_check.runs.backends.measuring import measure
from theory_check.runs.progress import no_progress

MEBIBYTE = 2**20
BLOCKS = 2048
BLOCK = 2**16
"""Bytes, below the 128 KiB from which on the C library takes memory from the system for each block."""


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    for row in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if row.startswith("VmRSS"):
            return 1024 * int(row.split()[1])
    raise AssertionError


@dataclass(frozen=True)
class Littering(Measurement):
    """Fill 128 MiB with tables, and keep a small one that lies behind them, as a cache would."""

    kind: ClassVar[str] = "littering"
    kept: ClassVar[list[np.ndarray]] = []
    sizes: ClassVar[list[int]] = []

    def measure(self, problem: object, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        before = resident()
        blocks = [np.ones(BLOCK // 8) for _ in range(BLOCKS)]
        self.kept.append(np.ones(BLOCK // 8))
        self.sizes.append(resident() - before)
        del blocks
        return pd.DataFrame({"seed": list(seeds)})


@pytest.mark.skipif(sys.platform != "linux", reason="the size of a process is read from /proc")
def test_what_a_cell_freed_is_given_back() -> None:
    """Without that the process keeps all 128 MiB; the rest that may stay is an eighth of them."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        pytest.skip("only glibc can be asked to give memory back")
    problem = ProblemSpec("line", {"slope": 1.0, "limit": None}, line)
    cell = Cell("by", "hand", (), Littering(), problem, 2)
    trim(0)  # what earlier tests freed would be used again
    before = resident()
    for _ in range(3):
        assert measure("key", cell, no_progress).message == ""
    assert min(Littering.sizes) > 120 * MEBIBYTE
    assert resident() - before < 16 * MEBIBYTE


class Signalled(BaseException):
    """What a handler of a signal raises."""


@dataclass(frozen=True)
class Interrupted(Measurement):
    """Fail as numba does where a handler raises within its callback."""

    kind: ClassVar[str] = "interrupted"
    interruption: BaseException

    def measure(self, problem: object, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        try:
            try:
                raise self.interruption
            except BaseException as error:
                raise SystemError("returned a result with an exception set") from error
        except SystemError as error:
            raise SystemError("returned a result with an exception set") from error


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), Signalled()])
def test_an_interruption_within_a_library_is_no_failure_of_the_cell(
    interruption: BaseException,
) -> None:
    """It ends the sweep, as it would have anywhere else."""
    problem = ProblemSpec("line", {"slope": 1.0, "limit": None}, line)
    cell = Cell("by", "hand", (), Interrupted(interruption), problem, 2)
    with pytest.raises(type(interruption)):
        measure("key", cell, no_progress)


@pytest.mark.parametrize("cause", [ValueError("no"), SystemExit(3)])
def test_an_error_behind_an_error_fails_the_cell(cause: BaseException) -> None:
    problem = ProblemSpec("line", {"slope": 1.0, "limit": None}, line)
    cell = Cell("by", "hand", (), Interrupted(cause), problem, 2)
    assert measure("key", cell, no_progress).message.startswith("SystemError")
