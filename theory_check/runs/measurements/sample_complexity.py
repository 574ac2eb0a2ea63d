"""How many samples a schedule draws for a target accuracy, and the accuracy it reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from theory_check.errors import require_positive, require_positive_integer
from theory_check.problems import Problem, instance_for
from theory_check.runs.measurements.base import Measurement, Progress, StepSizes, steps_of
from theory_check.runs.trace import run
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.schedules import ScheduleConstants, get_schedule


@dataclass(frozen=True)
class SampleComplexity(Measurement):
    """One run of a schedule (``docs/theory.md`` section 5.3) at one target accuracy.

    One row per seed: ``seed, schedule, epsilon, iterations``; the accuracy reached, squared norms,
    ``half_stationarity`` and ``ergodic_stationarity`` (means of ``‖∇Phi‖²`` over the second half of
    the run, and over all of it), ``last_stationarity`` (last iterate) and ``best_stationarity``
    (smallest of the recorded iterates); ``sampling_error`` (of the last estimate, squared norm);
    ``optimality_gap`` (Phi of the last iterate minus Phi*, NaN where Phi* is not known);
    ``env_steps, trajectories, labels``; ``samples`` (trajectories plus labels); ``samples_per_loop``,
    which is ``samples`` over K + 1, the number of batches of an iteration; ``status``. In a row whose
    status is not ``"ok"`` the run stopped early: the counts are those drawn by then, and the
    accuracies are NaN. A problem that is a class of instances takes the one of the target.

    Parameters
    ----------
    schedule
        Id of a schedule.
    epsilon
        Target for the mean of ``‖∇Phi‖²``, in (0, 1).
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
            instance_for(problem, self.epsilon),
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
        rows = pd.DataFrame(
            {
                "schedule": self.schedule,
                "epsilon": self.epsilon,
                "iterations": iterations,
                "half_stationarity": last["half_stationarity"],
                "ergodic_stationarity": last["ergodic_stationarity"],
                "last_stationarity": last["stationarity"],
                # The best of a run that stopped early is not the accuracy it reached.
                "best_stationarity": by_seed["stationarity"].min().where(finished),
                "sampling_error": last["sampling_error"],
                "optimality_gap": last["optimality_gap"],
                "env_steps": last["env_steps"],
                "trajectories": last["trajectories"],
                "labels": last["labels"],
                "samples": last["samples"],
                "samples_per_loop": last["samples"] / (solver.inner_steps + 1),
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
