"""How many samples a schedule draws for a target accuracy, and the accuracy it reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd

from theory_check.errors import InvalidArgumentError
from theory_check.measurements.base import Measurement, Need, StepSizes, steps_of
from theory_check.measurements.needs import UNITS
from theory_check.measurements.units import Units, columns
from theory_check.problems import Problem, instance_for
from theory_check.randomness import require_apart
from theory_check.recording import Progress
from theory_check.recording.run import run
from theory_check.settings import Positive, PositiveInteger, Target
from theory_check.solvers.method import KnownMethod
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.schedules import ScheduleConstants, ScheduleName, get_schedule
from theory_check.tuning.units import units_of

UNIT_SEEDS = range(1000, 1016)
"""Starts at which the units of a method's constants are measured; no reported run uses them."""


@dataclass(frozen=True)
class SampleComplexity(Measurement):
    """One run of a schedule, or of a method's plan, at one target accuracy.

    A schedule (``docs/theory.md`` section 5.3) sets the penalty method; a method is any that is
    compared, and its plan says how its solver depends on the accuracy (section 7.1).

    One row per seed: ``seed``, ``schedule`` or ``method``, ``epsilon, iterations``; the accuracy reached,
    squared norms, ``half_stationarity`` and ``ergodic_stationarity`` (means of ``‖∇Phi‖²`` over the
    second half of the run, and over all of it), ``last_stationarity`` (last iterate) and
    ``best_stationarity`` (smallest of the recorded iterates); ``sampling_error`` (of the last estimate,
    squared norm); ``optimality_gap`` (Phi of the last iterate minus Phi*, NaN where Phi* is not known);
    ``env_steps, trajectories, labels``; ``samples`` (trajectories plus labels); ``samples_per_loop``,
    which is ``samples`` over K + 1, the number of batches of an iteration, K = 0 for a solver without
    inner steps; ``status``. In a row whose status is not ``"ok"`` the run stopped early: the counts are
    those drawn by then, and the accuracies are NaN. A problem that is a class of instances takes the
    one of the target.

    Parameters
    ----------
    epsilon
        Target for the mean of ``‖∇Phi‖²``, in (0, 1). A method is asked for its ratio to the median at
        random starts; to 1 on problems that declare their start.
    schedule
        Id of a schedule; absent where a method is named.
    constants
        Prefactors of the schedule.
    method
        A method that draws samples; its id in an experiment file.
    setting
        Value of each of the method's constants, pure numbers.
    initial_scale
        Standard deviation of the initial reward parameters.
    points_per_decade
        Density of the recording grid, which ``best_stationarity`` is taken over.
    """

    kind: ClassVar[str] = "sample-complexity"
    units: ClassVar[Units] = columns(
        iterations="iterations",
        squared="half_stationarity ergodic_stationarity last_stationarity best_stationarity "
        "sampling_error",
        nats="optimality_gap",
        steps="env_steps",
        trajectories="trajectories",
        labels="labels",
        samples="samples samples_per_loop",
    )

    epsilon: Target
    schedule: ScheduleName | None = None
    constants: ScheduleConstants | None = None
    method: KnownMethod | None = None
    setting: Mapping[str, Positive] | None = None
    initial_scale: Positive = 1.0
    points_per_decade: PositiveInteger = 2

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        super().__post_init__()
        names = ("schedule", "constants", "method", "setting")
        given = [name for name in names if getattr(self, name) is not None]
        if given not in (["schedule", "constants"], ["method", "setting"]):
            raise InvalidArgumentError(
                "schedule",
                " and ".join(given) or "nothing",
                "pass a schedule with its constants, or a method with its setting",
            )
        if self.method is None:
            self.configured()
        else:
            self.method.require_samples("method")
            self.method.require_constants("setting", self.setting or {})

    def needed(self) -> tuple[Need, ...]:
        """Return what the units of a method's constants need; a schedule is asked for nothing."""
        return self.needs if self.method is None else (*self.needs, *UNITS)

    def solvers(self) -> tuple[Any, ...]:
        """Return the solver of the schedule or of the method."""
        return super().solvers() if self.schedule is None else (PenaltyBilevel,)

    def configured(self) -> tuple[int, PenaltyBilevel]:
        """Return the number of outer iterations and the solver of a schedule."""
        if self.schedule is None or self.constants is None:
            received = "a method" if self.method is None else f"the method {self.method.id!r}"
            raise InvalidArgumentError("schedule", received, "ask for what is planned on a problem")
        return get_schedule(self.schedule).configure(self.epsilon, self.constants)

    def planned(self, problem: Any) -> tuple[int, Any]:
        """Return the number of outer iterations and the solver on a problem.

        Parameters
        ----------
        problem
            The instance that is run, on which the units of a method's constants are measured.

        Raises
        ------
        InvalidArgumentError
            If a method is asked for an accuracy that its starts have already.
        """
        if self.method is None:
            return self.configured()
        own_start = getattr(problem, "start", None) is not None
        scales, unit = units_of(problem, UNIT_SEEDS, self.initial_scale, 1.0 if own_start else None)
        if self.epsilon >= unit:
            raise InvalidArgumentError(
                "epsilon",
                self.epsilon,
                f"pass less than {unit:.3g}, the median of the squared gradient norm at the starts",
            )
        plan = self.method.configure(self.epsilon / unit, self.setting or {}, scales)
        return plan.iterations, plan.solver

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed."""
        instance = instance_for(problem, self.epsilon)
        if self.method is not None:
            require_apart(seeds, UNIT_SEEDS)
        iterations, solver = self.planned(instance)
        trace = run(
            instance,
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
                **(
                    {"schedule": self.schedule}
                    if self.method is None
                    else {"method": self.method.id}
                ),
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
                "samples_per_loop": last["samples"] / (getattr(solver, "inner_steps", 0) + 1),
                "status": last["status"],
            }
        )
        return rows.loc[list(seeds)].rename_axis("seed").reset_index()

    def step_sizes(self) -> StepSizes:
        """Return the steps of the schedule's solver; those of a method depend on the problem."""
        return StepSizes() if self.schedule is None else steps_of(self.configured()[1])

    def relative_cost(self) -> float:
        """Return the number of inner steps: the time does not depend on the batch sizes.

        That of a method, which only its problem decides, is taken to be of order 10 / epsilon.
        """
        if self.schedule is None:
            return 10 / self.epsilon
        iterations, solver = self.configured()
        return float(iterations * (solver.inner_steps + 1))
