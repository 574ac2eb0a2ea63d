"""Run a solver with sampled gradients and record its trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from theory_check.bilevel import Solver
from theory_check.measurements.base import Measurement, StepSizes, steps_of
from theory_check.measurements.units import Units, columns
from theory_check.problems import Problem
from theory_check.recording import Progress
from theory_check.recording.run import run
from theory_check.settings import Positive, PositiveInteger


@dataclass(frozen=True)
class SolverRun(Measurement):
    """The trace of one solver, columns as in ``theory_check.recording.recorder``.

    Parameters
    ----------
    solver
        The configured solver.
    iterations
        Outer iterations T.
    initial_scale
        Standard deviation of the initial reward parameters.
    points_per_decade
        Density of the log-spaced recording grid.
    sample_budget
        Largest number of samples a replicate may draw; None for no limit.
    """

    kind: ClassVar[str] = "solver-run"
    units: ClassVar[Units] = columns(
        iterations="iteration",
        steps="env_steps",
        trajectories="trajectories",
        labels="labels",
        samples="samples",
        calls="exact_calls",
        nats="hyperobjective optimality_gap",
        squared="stationarity ergodic_stationarity half_stationarity hypergradient_error penalty_bias "
        "inner_error sampling_error",
        reward="lower_gap lower_gap_penalised policy_regret true_return",
        squared_reward="reward_error",
        one="min_policy_probability",
        text="status",
    )

    solver: Solver
    iterations: PositiveInteger
    initial_scale: Positive = 1.0
    points_per_decade: PositiveInteger = 10
    sample_budget: PositiveInteger | None = None

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return the trace; one replicate per seed."""
        return run(
            problem,
            self.solver,
            self.iterations,
            seeds,
            initial_scale=self.initial_scale,
            points_per_decade=self.points_per_decade,
            sample_budget=self.sample_budget,
            progress=progress,
        ).table

    def step_sizes(self) -> StepSizes:
        """Return the steps of the solver."""
        return steps_of(self.solver)

    def relative_cost(self) -> float:
        """Return the number of inner steps: the time does not depend on the batch sizes."""
        return float(self.iterations * (getattr(self.solver, "inner_steps", 0) + 1))
