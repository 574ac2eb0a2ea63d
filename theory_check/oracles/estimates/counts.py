"""The three counters of samples, their budget, and the streams they are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from theory_check.errors import SampleBudgetExhausted, require_positive_integer
from theory_check.problems import Problem
from theory_check.problems.gradient_noise import BatchSize


@dataclass(frozen=True)
class SampleCounts:
    """Samples drawn so far by each replicate: one number for all, or an array where batches differ.

    Attributes
    ----------
    env_steps
        Environment steps; expected ones where rollouts stop at random, rounded.
    trajectories
        Rollouts, those that were compared included.
    labels
        Preference labels.
    exact_calls
        Exact quantities asked for, by methods that are defined with them.
    """

    # Any: integers, or arrays of them with one entry for each replicate.
    env_steps: Any = 0
    trajectories: Any = 0
    labels: Any = 0
    exact_calls: Any = 0

    @property
    def samples(self) -> Any:
        """Trajectories plus labels: "samples" in a complexity claim."""
        return self.trajectories + self.labels

    def __add__(self, other: SampleCounts) -> SampleCounts:
        """Return both together."""
        return SampleCounts(
            env_steps=self.env_steps + other.env_steps,
            trajectories=self.trajectories + other.trajectories,
            labels=self.labels + other.labels,
            exact_calls=self.exact_calls + other.exact_calls,
        )

    def times(self, number: int) -> SampleCounts:
        """Return ``number`` times as many, as for that many replicates."""
        return SampleCounts(
            env_steps=number * self.env_steps,
            trajectories=number * self.trajectories,
            labels=number * self.labels,
            exact_calls=number * self.exact_calls,
        )


class SampleCounter:
    """Counts samples where they are drawn, and refuses those beyond a budget.

    Parameters
    ----------
    budget
        Largest number of samples (trajectories plus labels) of a replicate; None for no limit.
    """

    def __init__(self, budget: int | None) -> None:
        if budget is not None:
            require_positive_integer("sample_budget", budget)
        self.budget = budget
        self.counts = SampleCounts()
        self._env_steps: Any = 0

    def affords(self, samples: BatchSize) -> bool:
        """Return whether so many further samples stay within the budget."""
        return not self._exceeded_by(self.counts.samples + samples)

    def add(
        self, *, trajectories: BatchSize, labels: BatchSize, env_steps: BatchSize | float
    ) -> None:
        """Count samples that are about to be drawn.

        Parameters
        ----------
        trajectories, labels
            Their numbers.
        env_steps
            Environment steps they take; expected ones where rollouts stop at random.

        Raises
        ------
        SampleBudgetExhausted
            If they would exceed the budget; nothing is counted then.
        """
        # Rounded where it is read, so that many small batches add up.
        total_steps = self._env_steps + env_steps
        counts = SampleCounts(
            env_steps=total_steps if isinstance(total_steps, np.ndarray) else round(total_steps),
            trajectories=self.counts.trajectories + trajectories,
            labels=self.counts.labels + labels,
        )
        if self._exceeded_by(counts.samples):
            raise SampleBudgetExhausted(
                f"sample_budget: {self.budget} allows no further {trajectories + labels} samples "
                f"after {self.counts.samples}; raise the budget or lower the batch sizes"
            )
        self.counts = counts
        self._env_steps = total_steps

    def _exceeded_by(self, samples: BatchSize) -> bool:
        if self.budget is None:
            return False
        over = samples > self.budget
        # One number is the common case, of which numpy asks many times as much as Python.
        return bool(over.any()) if isinstance(over, np.ndarray) else bool(over)


@dataclass(frozen=True)
class SampleCosts:
    """Environment steps, expected where rollouts stop at random, and what a labelled pair takes.

    Attributes
    ----------
    score_steps
        Steps of a rollout of ``lower_gradients``, which draws one trajectory per sample and policy.
    visit_steps
        Steps of a rollout of ``penalty_difference``, likewise.
    pair_steps, pair_trajectories, pair_labels
        What one sample of ``upper_gradients`` takes.
    comparison_steps
        Steps of the two trajectories of one labelled pair whose law is not differentiated.
    """

    score_steps: int | float
    visit_steps: int | float
    pair_steps: int | float
    pair_trajectories: int
    pair_labels: int
    comparison_steps: int | float


def sample_costs(problem: Problem) -> SampleCosts:
    """Return the costs of ``problem`` (``docs/theory.md`` section 4.7)."""
    if problem.horizon is not None:
        steps = problem.horizon
        return SampleCosts(steps, steps, 2 * steps, 2, 1, comparison_steps=2 * steps)
    one_leg = problem.steps_per_trajectory
    # Three of four segments start at a first stop, the credited one after a second leg as well.
    return SampleCosts(
        score_steps=(1 + problem.discount) * one_leg,
        visit_steps=one_leg,
        pair_steps=5 * one_leg + 4 * (problem.segment_length - 1),
        pair_trajectories=4,
        pair_labels=2,
        comparison_steps=2 * (one_leg + problem.segment_length - 1),
    )
