"""Inner loops of a run, as solvers tell them: every iterate of the lower variables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.bilevel import (
    BilevelOracle,
    BilevelTruth,
    InnerPath,
    Solver,
    SolverState,
    TellsInnerPath,
    tells_inner_path,
)
from theory_check.errors import InvalidArgumentError
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.recording.recorder import recording_grid


class TellingSolver:
    """A solver for the loop, whose inner loops are told to a path."""

    def __init__(self, solver: TellsInnerPath, path: InnerPath) -> None:
        self._solver, self._path = solver, path

    def step(self, oracle: Any, state: Any) -> Any:
        """Return the state after one outer iteration, the path of its inner loop kept."""
        return self._solver.step(oracle, state, self._path)


def require_inner_path(solver: Solver) -> TellsInnerPath:
    """Return a solver, refused where it does not tell its inner path."""
    if tells_inner_path(solver):
        return solver
    raise InvalidArgumentError(
        "solver",
        f"{solver.name!r}, which does not tell its inner path",
        "pass a solver with an inner loop whose step takes a path, as those of theory_check.solvers",
    )


class InnerPathRecorder(ABC):
    """Rows about recorded outer iterations and the recorded iterates of their inner loops.

    Parameters
    ----------
    truth, information
        What is exactly known of the problem, and its gradients with exact expectations.
    path
        Where the solver tells its inner iterates; emptied after every outer iteration.
    seeds
        Seeds of the replicates.
    grid
        Outer iterations to record.
    inner_points_per_decade
        Density of the log-spaced inner iterations.

    Attributes
    ----------
    order
        Columns by which the table is sorted.
    """

    order: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        truth: BilevelTruth,
        information: BilevelOracle,
        path: InnerPath,
        seeds: Sequence[int],
        grid: frozenset[int],
        inner_points_per_decade: int,
    ) -> None:
        self._truth = truth
        self._information = information
        self._path = path
        self._seeds = np.array(seeds)
        self._grid = grid
        self._density = inner_points_per_decade
        self._rows: list[pd.DataFrame] = []

    @abstractmethod
    def _record(
        self,
        iteration: int,
        upper: Float[Tensor, "active upper"],
        path: Sequence[tuple[Tensor, Tensor | None]],
        active: Int[Tensor, " active"],
    ) -> None:
        """Keep the rows of an outer iteration whose inner loop went through ``path``."""

    @abstractmethod
    def mark(
        self, iteration: int, counts: SampleCounts, stopped: Int[Tensor, " n"], status: str
    ) -> None:
        """Keep rows without measurements that say why replicates stopped."""

    def observe(
        self,
        iteration: int,
        state: SolverState,
        counts: SampleCounts,
        active: Int[Tensor, " active"],
    ) -> None:
        """Look at the replicates ``active`` after an outer iteration and its inner loop."""
        visited = self._path.copy()
        self._path.clear()
        if iteration in self._grid and len(active):
            path = [*visited, (state.lower, state.lower_penalised)]
            self._record(iteration, state.upper[active], path, active)

    def record(  # noqa: B027 - the loop calls it, and there is nothing to keep
        self,
        iteration: int,
        state: SolverState,
        counts: SampleCounts,
        active: Int[Tensor, " active"],
    ) -> None:
        """Keep nothing more: an iteration cut short by a budget has no inner path."""

    def table(self) -> pd.DataFrame:
        """Return the rows so far, sorted by ``order``."""
        frame = pd.concat(self._rows, ignore_index=True)
        return frame.sort_values(list(self.order), kind="stable").reset_index(drop=True)

    def _steps(self, path: Sequence[object]) -> list[int]:
        """Return the inner iterations to record, the first and the last among them."""
        last = len(path) - 1
        return sorted({0, last} | (recording_grid(last, self._density) if last else set()))

    def _keep(
        self,
        place: Mapping[str, object],
        measured: Mapping[str, Any],
        replicates: Int[Tensor, " n"],
        status: str | list[str],
    ) -> None:
        columns = {
            name: entry.cpu().numpy() if isinstance(entry, Tensor) else entry
            for name, entry in measured.items()
        }
        seeds = {"seed": self._seeds[replicates.numpy()]}
        self._rows.append(pd.DataFrame({**seeds, **place, **columns, "status": status}))
