"""A measurement, a problem family and solvers small enough to test the machinery on its own."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
import torch

from theory_check.catalogue import Catalogue
from theory_check.errors import InvalidArgumentError, require_positive
from theory_check.measurements.base import Measurement
from theory_check.recording import Progress


@dataclass(frozen=True)
class Line:
    slope: float
    offset: int


def line(*, slope: float, offset: int = 0, limit: float | None) -> Line:
    """Draw a line."""
    require_positive("slope", slope)
    return Line(slope if limit is None else min(slope, limit), offset)


class Solver:
    name: ClassVar[str]


@dataclass(frozen=True)
class Gradient(Solver):
    """Descend."""

    name: ClassVar[str] = "gradient"
    step_size: float = 1.0

    def __post_init__(self) -> None:
        require_positive("step_size", self.step_size)


@dataclass(frozen=True)
class Newton(Solver):
    """Solve."""

    name: ClassVar[str] = "newton"
    damping: float


@dataclass(frozen=True)
class Values(Measurement):
    """Evaluate the line, with noise, and leave a line in ``journal``.

    While the file ``fail_if`` exists every cell fails; while the file ``gate`` does not exist
    lines steeper than 1 are not finished, and leave a file ``gate.PROCESS``.
    """

    kind: ClassVar[str] = "values"
    points: tuple[float, ...]
    journal: str
    method: Literal["sum", "product"] = "sum"
    repeats: int = 1
    solver: Solver | None = None
    fail_if: str = ""
    gate: str = ""

    def __post_init__(self) -> None:
        if not self.points:
            raise InvalidArgumentError("points", self.points, "pass at least one")

    def measure(self, problem: Line, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        with open(self.journal, "a", encoding="utf-8") as journal:
            journal.write(f"{problem.slope} {self.method}\n")
        while self.gate and problem.slope > 1 and not Path(self.gate).exists():
            Path(f"{self.gate}.{os.getpid()}").touch()
            time.sleep(0.01)
        if self.fail_if and Path(self.fail_if).exists():
            raise RuntimeError("the file is there")
        rows = []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            # Long enough that several threads would sum it in another order.
            noise = torch.randn(200_000, generator=generator, dtype=torch.float64).sum().item()
            for done, point in enumerate(self.points, start=1):
                value = problem.slope * point + problem.offset
                rows.append((seed, point, value + noise))
                progress(done, len(self.points))
        return pd.DataFrame(rows, columns=["seed", "x", "y"])


@dataclass(frozen=True)
class Careless(Measurement):
    """Forget the last seed."""

    kind: ClassVar[str] = "careless"

    def measure(self, problem: Line, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        return pd.DataFrame({"seed": np.asarray(seeds)[:-1]})


CATALOGUE = Catalogue.of(
    measurements={"values": Values, "careless": Careless},
    families={"line": line},
    solvers={"gradient": Gradient, "newton": Newton},
)
