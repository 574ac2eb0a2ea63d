"""Running a plan with samples on pilot seeds, before it is advised (``docs/theory.md`` section 8.3).

The constants of the model are measured along exact descent and at its end. Where noise carries runs
elsewhere only a run with that noise shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil

import numpy as np
from jaxtyping import Float

from theory_check.advice.constants import NOISE_SEEDS, START_SEEDS
from theory_check.advice.history import follow
from theory_check.advice.model import PLANNED_QUANTILE, PREDICTED_QUANTILE, MeasuredConstants
from theory_check.advice.plan import SchedulePlan, after_rehearsal, plan_settings
from theory_check.oracles.estimates.counts import SampleCounts, sample_costs
from theory_check.oracles.instruments import instruments_for
from theory_check.problems import Problem

REHEARSAL_SEEDS = START_SEEDS[len(NOISE_SEEDS) : len(NOISE_SEEDS) + 32]
"""Pilot starts of the rehearsal; no constant was measured with their streams of samples."""

NEEDED = round(PLANNED_QUANTILE * len(REHEARSAL_SEEDS))
"""Runs that have to meet the target: all but one."""

DOUBLINGS = 4
"""How often the batches are doubled before a plan is given up."""

LONGEST = 2
"""A rehearsal ends at this multiple of the model's T."""


@dataclass(frozen=True)
class Rehearsal:
    """What became of a plan.

    Attributes
    ----------
    plan
        The plan with T, batch and predicted cost of the rehearsal; that of the model with the
        largest batch tried, marked as failed, where none met the target.
    counts
        Samples drawn, all replicates together.
    """

    plan: SchedulePlan
    counts: SampleCounts


def rehearse(
    plan: SchedulePlan,
    problem: Problem,
    epsilon: float,
    measured: MeasuredConstants,
    initial_scale: float,
    report: Callable[[str], None],
) -> Rehearsal:
    """Run a plan of the model with samples, with larger batches if need be.

    Parameters
    ----------
    plan
        A plan of the model.
    problem
        An episodic or discounted problem.
    epsilon
        Target for the ergodic mean of ``‖∇Phi‖²``, squared norm.
    measured
        The constants of the plan.
    initial_scale
        Standard deviation of the initial reward parameters.
    report
        Told what is being run.
    """
    replicates = len(REHEARSAL_SEEDS)
    tools = instruments_for(problem, REHEARSAL_SEEDS)
    batch = plan.solver.trajectories
    for doubling in range(DOUBLINGS + 1):
        if doubling:
            batch *= 2
            plan = plan_settings(
                plan.schedule,
                epsilon,
                measured,
                sample_costs(problem),
                plan.solver.inner_steps,
                batch,
            )
        longest = LONGEST * plan.iterations
        report(f"rehearsal of {plan.schedule.id} with n = {batch}, at most {longest} iterations")
        state = tools.initial_state(plan.solver, REHEARSAL_SEEDS, initial_scale)
        run = follow(
            plan.solver,
            tools.sampled,
            tools.truth,
            state,
            longest,
            until=partial(_decided, epsilon=epsilon, longest=longest),
        )
        found = iterations_needed(run.ergodic, epsilon)
        if found is not None:
            break
    plan = after_rehearsal(plan, epsilon, sample_costs(problem), found)
    return Rehearsal(plan, tools.sampled.counts.times(replicates))


def _decided(
    total: Float[np.ndarray, " replicate"], done: int, epsilon: float, longest: int
) -> bool:
    """Return whether enough runs are at the target, or too many can no longer get there."""
    met = bool((total / done <= epsilon).sum() >= NEEDED)
    # The sums only grow.
    lost = bool((total <= epsilon * longest).sum() < NEEDED)
    return met or lost


def iterations_needed(
    ergodic: Float[np.ndarray, "replicate t"], epsilon: float
) -> tuple[int, int] | None:
    """Return T and the predicted number of iterations.

    T is the first iteration at which all runs but one are at the target, which is the 0.97 quantile
    of the iterations at which they first meet it unless some have left it again; the prediction is the
    0.84 quantile of those. None where too few runs ever are at the target together.

    Parameters
    ----------
    ergodic
        Mean of the stationarity over iterations 1 .. t, squared norms.
    epsilon
        The target, squared norm.
    """
    at_target = ergodic <= epsilon
    enough = at_target.sum(0) >= round(PLANNED_QUANTILE * len(ergodic))
    if not enough.any():
        return None
    iterations = int(enough.argmax()) + 1
    # A run that never meets the target is later than all others; how much does not matter here.
    first = np.where(at_target.any(1), at_target.argmax(1) + 1.0, ergodic.shape[1] + 1.0)
    return iterations, min(iterations, ceil(np.quantile(first, PREDICTED_QUANTILE)))
