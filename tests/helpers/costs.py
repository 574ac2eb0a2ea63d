"""Costs of samples without a problem."""

from __future__ import annotations

from theory_check.oracles.estimates.counts import SampleCosts


def episodic_costs(steps: int = 1) -> SampleCosts:
    """Return the costs of a problem whose episodes have a number of steps."""
    return SampleCosts(
        steps, steps, 2 * steps, pair_trajectories=2, pair_labels=1, comparison_steps=2 * steps
    )
