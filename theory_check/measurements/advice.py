"""What the advisor predicts for a problem, and what its schedule then needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from theory_check.advice.advisor import (
    AdviceRequest,
    advise,
)
from theory_check.advice.check import check_advice
from theory_check.measurements.base import Measurement, Need
from theory_check.measurements.needs import PREFERENCES
from theory_check.measurements.units import Units, columns
from theory_check.problems import Problem
from theory_check.recording import Progress


@dataclass(frozen=True)
class AdviceMeasurement(AdviceRequest, Measurement):
    """Advice from pilot seeds, and the cheapest plan run on the seeds of the experiment.

    One row per seed: ``seed, epsilon, schedule, sigma, inner_steps, trajectories`` (n = B) and
    ``iterations`` (T) of the cheapest plan; ``predicted_samples``, at which 7 of 8 seeds should
    have met the target, ``planned_samples`` of T iterations, ``pilot_samples`` of the pilot and the
    rehearsal, all replicates together; ``accuracy`` (ergodic mean of ``‖∇Phi‖²`` after T, squared
    norm) and ``accuracy_ratio``, over epsilon; ``samples`` drawn when the ergodic mean was first at
    most epsilon (infinite where it was not by 2T) and ``seed_cost_ratio``, over ``predicted_samples``;
    ``cost_ratio``, the same for the samples at which 7 of 8 seeds had met it, one number in all
    rows; ``planned_cost_ratio``, these samples over ``planned_samples``.

    Parameters
    ----------
    epsilon
        Target for the ergodic mean of ``‖∇Phi‖²``, squared norm, in (0, 1).
    schedules, inner_steps, initial_scale
        As in :func:`theory_check.advise`.
    """

    kind: ClassVar[str] = "advice"
    units: ClassVar[Units] = columns(
        inner="inner_steps",
        trajectories="trajectories",
        iterations="iterations",
        samples="predicted_samples planned_samples pilot_samples samples",
        squared="accuracy",
        one="accuracy_ratio seed_cost_ratio cost_ratio planned_cost_ratio",
    )
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES,)

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed."""
        advice = advise(
            problem,
            self.epsilon,
            initial_scale=self.initial_scale,
            schedules=self.schedules,
            inner_steps=self.inner_steps,
        )
        check = check_advice(advice, problem, seeds, progress)
        plan = advice.best
        return pd.DataFrame(
            {
                "seed": list(seeds),
                "epsilon": self.epsilon,
                "schedule": plan.schedule.id,
                "sigma": plan.solver.sigma,
                "inner_steps": plan.solver.inner_steps,
                "trajectories": plan.solver.trajectories,
                "iterations": plan.iterations,
                "predicted_samples": check.predicted,
                "planned_samples": check.planned,
                "pilot_samples": advice.pilot.samples,
                "accuracy": check.accuracy,
                "accuracy_ratio": check.accuracy / self.epsilon,
                "samples": check.samples,
                "seed_cost_ratio": check.samples / check.predicted,
                "cost_ratio": check.cost_ratio,
                "planned_cost_ratio": check.cost / check.planned,
                "status": "ok",
            }
        )

    def relative_cost(self) -> float:
        """Return the order of the iterations: the check and the exact runs need 1/epsilon."""
        return len(self.inner_steps) * 10 / self.epsilon
