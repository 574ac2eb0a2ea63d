"""How many samples a schedule draws for a target accuracy, and the accuracy it reaches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from theory_check.errors import require_positive, require_positive_integer
from theory_check.problems import Problem
from theory_check.runs.measurements.base import Measurement, Progress, StepSizes, steps_of
from theory_check.runs.trace import run
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.schedules import ScheduleConstants, get_schedule


@dataclass(frozen=True)
class SampleComplexity(Measurement):
    """One run of a schedule (``docs/theory.md`` section 5.3) at one target accuracy.

    One row per seed: ``seed, schedule, epsilon, iterations``; the accuracy reached, squared norms,
    ``ergodic_stationarity`` (mean of ``‖∇Phi‖²`` over the whole run), ``last_stationarity`` (last
    iterate) and ``best_stationarity`` (smallest of the recorded iterates); ``optimality_gap`` (Phi
    of the last iterate minus Phi*, NaN where Phi* is not known); ``env_steps, trajectories,
    labels``; ``samples`` (trajectories plus labels); ``samples_per_log``, which is ``samples`` over
    ``log(1/epsilon)``, the factor that the number of inner steps brings in; ``status``. In a row
    whose status is not ``"ok"`` the run stopped early: the counts are those drawn by then, and
    the accuracies are NaN.

    Parameters
    ----------
    schedule
        Id of a schedule.
    epsilon
        Target for the ergodic mean of ``‖∇Phi‖²``, in (0, 1).
    constants
        Prefactors of the schedule.
    initial_scale
        Standard deviation of the initial reward parameters.
    points_per_decade
        Density of the recording grid, which ``best_stationarity`` is taken over.
    """

    kind: ClassVar[str] = "sample-complexity"

    schedule: str
    epsilon: float
    constants: ScheduleConstants
    initial_scale: float = 1.0
    points_per_decade: int = 2

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        self.configured()
        require_positive("initial_scale", self.initial_scale)
        require_positive_integer("points_per_decade", self.points_per_decade)

    def configured(self) -> tuple[int, PenaltyBilevel]:
        """Return the number of outer iterations and the solver of this cell."""
        return get_schedule(self.schedule).configure(self.epsilon, self.constants)

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed."""
        iterations, solver = self.configured()
        trace = run(
            problem,
            solver,
            iterations,
            seeds,
            initial_scale=self.initial_scale,
            points_per_decade=self.points_per_decade,
            progress=progress,
        ).table
        by_seed = trace.groupby("seed")
        last = by_seed.tail(1).set_index("seed")
        finished = last["status"] == "ok"
        samples = last["trajectories"] + last["labels"]
        rows = pd.DataFrame(
            {
                "schedule": self.schedule,
                "epsilon": self.epsilon,
                "iterations": iterations,
                "ergodic_stationarity": last["ergodic_stationarity"],
                "last_stationarity": last["stationarity"],
                # The best of a run that stopped early is not the accuracy it reached.
                "best_stationarity": by_seed["stationarity"].min().where(finished),
                "optimality_gap": last["optimality_gap"],
                "env_steps": last["env_steps"],
                "trajectories": last["trajectories"],
                "labels": last["labels"],
                "samples": samples,
                "samples_per_log": samples / math.log(1 / self.epsilon),
                "status": last["status"],
            }
        )
        return rows.loc[list(seeds)].rename_axis("seed").reset_index()

    def step_sizes(self) -> StepSizes:
        """Return the steps of the schedule's solver."""
        return steps_of(self.configured()[1])

    def relative_cost(self) -> float:
        """Return the number of inner steps: the time does not depend on the batch sizes."""
        iterations, solver = self.configured()
        return float(iterations * (solver.inner_steps + 1))
