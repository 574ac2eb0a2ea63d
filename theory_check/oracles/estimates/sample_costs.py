"""What drawing one sample of each kind adds to the counters."""

from __future__ import annotations

from dataclasses import dataclass

from theory_check.problems import Problem


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
