"""How fast exact policy gradient solves the lower level at a fixed reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from theory_check.errors import require_positive, require_positive_integer
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.starts import initial_policy, initial_reward
from theory_check.problems import Problem
from theory_check.recording.recorder import recording_grid
from theory_check.runs.measurements.base import Measurement, Progress, StepSizes


@dataclass(frozen=True)
class InnerLinear(Measurement):
    """``J* - J(lambda_k)`` along softmax policy gradient with exact gradients.

    Source of the statement under test: 2005.06392, Theorem 6. Each seed has its own reward
    parameters; the policy starts at the reference policy. Rows have columns ``seed,
    inner_iteration`` (from 0) and ``lower_gap`` (reward units, resolved far below rounding of J).

    Parameters
    ----------
    inner_steps
        Number of gradient steps.
    inner_step_size
        ``alpha`` > 0.
    points_per_decade
        Density of the log-spaced recorded steps; replicates differ in their rate by orders of
        magnitude, and each needs points where its own gap falls.
    point_scale
        Standard deviation of the reward parameters.
    """

    kind: ClassVar[str] = "inner-linear"

    inner_steps: int
    inner_step_size: float
    points_per_decade: int = 40
    point_scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        require_positive_integer("inner_steps", self.inner_steps)
        require_positive_integer("points_per_decade", self.points_per_decade)
        require_positive("inner_step_size", self.inner_step_size)
        require_positive("point_scale", self.point_scale)

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and recorded step."""
        information = ExactInformation(problem)
        control = information.control
        upper = initial_reward(seeds, information.reward_model, self.point_scale)
        reward = information.reward_model.table(upper)
        optimal = control.optimal_log_policy(reward)
        lower = initial_policy(seeds, information.policy_model)
        recorded = recording_grid(self.inner_steps, self.points_per_decade) | {0}
        frames = []
        for step in range(self.inner_steps + 1):
            if step in recorded:
                log_policy = information.policy_model.table(lower)
                gap = control.lower_gap(log_policy, optimal)
                frames.append(
                    pd.DataFrame(
                        {
                            "seed": list(seeds),
                            "inner_iteration": step,
                            "lower_gap": gap.numpy(),
                        }
                    )
                )
                progress(step, self.inner_steps)
            gradient = information.lower_gradient(upper, lower, samples=1)
            lower = lower - self.inner_step_size * gradient
        return pd.concat(frames, ignore_index=True)

    def step_sizes(self) -> StepSizes:
        """Return the inner step: the reward does not move."""
        return StepSizes(inner=self.inner_step_size)
