"""What is seen of the inner loops of a run: the iterates at which gradients were asked for."""

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
    Coupling,
    LowerGradients,
    SolverState,
    UpperGradients,
)
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.recording.recorder import recording_grid


class ObservedOracle:
    """Another oracle, with the lower iterates at which its lower gradients were asked for.

    Attributes
    ----------
    visited
        (y, y') of every inner step since it was last cleared, before the step; y' is None for
        solvers without a penalised iterate.
    """

    def __init__(self, oracle: BilevelOracle) -> None:
        self._oracle = oracle
        self.visited: list[tuple[Tensor, Tensor | None]] = []

    def lower_gradient(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``∂_y g(x, y)``, having noted y."""
        self.visited.append((lower, None))
        return self._oracle.lower_gradient(upper, lower, samples)

    def lower_gradients(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        samples: int,
        coupling: Coupling,
    ) -> LowerGradients:
        """Return ``∂_y g`` at y and y', having noted both."""
        self.visited.append((lower, penalised))
        return self._oracle.lower_gradients(upper, lower, penalised, samples, coupling)

    def upper_gradients(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> UpperGradients:
        """Return ``∂_x f`` and ``∂_y f``."""
        return self._oracle.upper_gradients(upper, lower, samples)

    def penalty_difference(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        samples: int,
        coupling: Coupling,
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x g(x, y') - ∂_x g(x, y)``."""
        return self._oracle.penalty_difference(upper, lower, penalised, samples, coupling)

    def __getattr__(self, operation: str) -> Any:
        """Return what solvers beyond the penalty family ask: no inner step of theirs is observed."""
        return getattr(self._oracle, operation)


class InnerPathRecorder(ABC):
    """Rows about recorded outer iterations and the recorded iterates of their inner loops.

    Parameters
    ----------
    truth, information
        What is exactly known of the problem, and its gradients with exact expectations.
    oracle
        What the solver draws from.
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
        oracle: ObservedOracle,
        seeds: Sequence[int],
        grid: frozenset[int],
        inner_points_per_decade: int,
    ) -> None:
        self._truth = truth
        self._information = information
        self._oracle = oracle
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
        visited = self._oracle.visited.copy()
        self._oracle.visited.clear()
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
