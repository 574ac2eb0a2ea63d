"""Base of measurements that look at the inner iterates of a sampled run."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from theory_check.bilevel import InnerPath, Solver
from theory_check.measurements.base import Measurement, StepSizes, steps_of
from theory_check.oracles.instruments import Instruments
from theory_check.problems import Problem
from theory_check.recording import Progress
from theory_check.recording.inner_paths import InnerPathRecorder, require_inner_path
from theory_check.recording.recorder import recording_grid
from theory_check.recording.run import run_observed
from theory_check.settings import Positive, PositiveInteger

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class InnerIterates(Measurement):
    """A run of a solver that is looked at in recorded outer iterations, inside their inner loops too.

    Parameters
    ----------
    solver
        The configured solver, with sampled gradients, which tells its inner path.
    iterations
        Outer iterations T.
    initial_scale
        Standard deviation of the initial reward parameters.
    points_per_decade
        Density of the log-spaced outer iterations recorded.
    inner_points_per_decade
        Density of the log-spaced inner iterations recorded within each of them.
    """

    solver: Solver
    iterations: PositiveInteger
    initial_scale: Positive = 1.0
    points_per_decade: PositiveInteger = 8
    inner_points_per_decade: PositiveInteger = 4

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        super().__post_init__()
        require_inner_path(self.solver)

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and recorded iterate; see the class for what else is told apart."""
        self.require_seeds("seeds", len(seeds))
        self.require_problem("problem", problem, getattr(problem, "name", ""))
        grid = recording_grid(self.iterations, self.points_per_decade)

        def recorder_of(instruments: Instruments, path: InnerPath) -> InnerPathRecorder:
            return self._recorder(problem, instruments, path, seeds, grid)

        table = run_observed(
            problem,
            self.solver,
            self.iterations,
            seeds,
            self.initial_scale,
            recorder_of,
            progress,
        )
        return self._completed(table, problem, seeds)

    @abstractmethod
    def _recorder(
        self,
        problem: Problem,
        instruments: Instruments,
        path: InnerPath,
        seeds: Sequence[int],
        grid: frozenset[int],
    ) -> InnerPathRecorder:
        """Return what looks at the run: at the outer iterations of ``grid``."""

    def _completed(
        self, table: pd.DataFrame, problem: Problem, seeds: Sequence[int]
    ) -> pd.DataFrame:
        """Return the table of the measurement, from what was recorded: the same."""
        return table

    def step_sizes(self) -> StepSizes:
        """Return the steps of the solver."""
        return steps_of(self.solver)

    def relative_cost(self) -> float:
        """Return the order of the outer iterations."""
        return self.iterations / 100
