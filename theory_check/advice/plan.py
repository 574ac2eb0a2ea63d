"""The cheapest settings of a schedule for given constants: arithmetic, no runs.

Source: ``docs/theory.md`` section 8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from theory_check.advice.model import (
    SHARES,
    SMALLEST_BATCH,
    MeasuredConstants,
    penalty_parameter,
)
from theory_check.oracles.estimates.counts import SampleCosts, SampleCounts
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.schedules import Schedule, ScheduleConstants


@dataclass(frozen=True)
class Terms:
    """What each term of the model contributes to epsilon, squared norms.

    Attributes
    ----------
    transient, bias, noise
        ``a/T``, ``b sigma²``, and ``c/n`` or ``c/(sigma² n)``.
    """

    transient: float
    bias: float
    noise: float

    @property
    def total(self) -> float:
        """The predicted ergodic mean of ``‖∇Phi‖²``, at most epsilon."""
        return self.transient + self.bias + self.noise


@dataclass(frozen=True)
class SchedulePlan:
    """A schedule configured for a target, and what it will cost.

    Attributes
    ----------
    schedule
        The schedule, with its source and provenance.
    constants
        Its prefactors at this target.
    iterations, solver
        What ``schedule.configure(epsilon, constants)`` returns: T and the settings.
    terms
        How the model divides the target, at this batch and the T it plans.
    planned
        Samples of one run of T iterations.
    predicted_iterations
        Iterations after which the required share of runs is predicted to have met the target; at
        most T, which has a margin.
    predicted
        Samples of one run by then: the predicted cost of the target.
    rehearsal
        ``"not run"``: T and the prediction are the model's; ``"met"``: they are those of sampled
        runs on pilot seeds; ``"failed"``: these did not meet the target, with this batch or a
        smaller one.
    """

    schedule: Schedule
    constants: ScheduleConstants
    iterations: int
    solver: PenaltyBilevel
    terms: Terms
    planned: SampleCounts
    predicted_iterations: int
    predicted: SampleCounts
    rehearsal: Literal["not run", "met", "failed"] = "not run"

    def __repr__(self) -> str:
        """Say on one line what is to be run, and what it costs."""
        solver = self.solver
        return (
            f"<SchedulePlan {self.schedule.id}: T = {self.iterations}, sigma = {solver.sigma:.3g}, "
            f"K = {solver.inner_steps}, n = {solver.trajectories}, steps {solver.step_size:.3g} and "
            f"{solver.inner_step_size:.3g}, {solver.coupling} batches, "
            f"{self.predicted.samples:.3g} samples predicted, rehearsal {self.rehearsal}>"
        )


def samples_of(solver: PenaltyBilevel, iterations: int, costs: SampleCosts) -> SampleCounts:
    """Return the samples a run draws (``docs/theory.md`` section 4.7).

    Each of the K inner steps and the estimate draw n trajectories (2n when independent) and B
    labelled pairs; ``costs`` says what these take.
    """
    batches = 1 if solver.coupling == "shared" else 2
    rounds = iterations * (solver.inner_steps + 1)
    rollouts, pairs = batches * solver.trajectories, rounds * solver.pairs
    rollout_steps = solver.inner_steps * costs.score_steps + costs.visit_steps
    return SampleCounts(
        env_steps=round(iterations * rollouts * rollout_steps + pairs * costs.pair_steps),
        trajectories=rounds * rollouts + pairs * costs.pair_trajectories,
        labels=pairs * costs.pair_labels,
    )


def plan_schedule(
    schedule: Schedule, epsilon: float, measured: MeasuredConstants, costs: SampleCosts
) -> SchedulePlan:
    """Return the settings of a schedule that meet ``epsilon`` at the fewest samples.

    Parameters
    ----------
    schedule
        The schedule; its exponents do not matter at a single epsilon, its coupling and the
        dependence of its step on sigma do.
    epsilon
        Target for the ergodic mean of ``‖∇Phi‖²``, squared norm, in (0, 1).
    measured
        The constants, for the schedule's coupling.
    costs
        What samples of the problem take.
    """
    plans = [
        plan_settings(schedule, epsilon, measured, costs, steps)
        for steps in measured.noise[schedule.coupling]
    ]
    return min(plans, key=lambda plan: plan.planned.samples)


def plan_settings(
    schedule: Schedule,
    epsilon: float,
    measured: MeasuredConstants,
    costs: SampleCosts,
    inner_steps: int,
    batch: int | None = None,
) -> SchedulePlan:
    """Return the model's plan for one K (``docs/theory.md`` section 8.2).

    Parameters
    ----------
    schedule, epsilon, measured, costs
        As in :func:`plan_schedule`.
    inner_steps
        K, one of those measured.
    batch
        n = B, at least the optimum; the optimum when absent.
    """
    shares = SHARES[schedule.coupling]
    sigma = penalty_parameter(epsilon, measured.bias, schedule.coupling)
    # A schedule whose step shrinks with epsilon pays for a Lipschitz constant L/sigma.
    shrink = sigma if schedule.step_size > 0 else 1.0
    step_size = shrink / measured.outer_curvature
    amplification = 1.0 if schedule.coupling == "shared" else sigma**-2
    noise = measured.noise[schedule.coupling][inner_steps] * shrink * amplification
    transient = measured.transient[inner_steps]
    bias = measured.bias * sigma**2
    left = epsilon - bias
    if batch is None:
        noise_share = shares.noise / (shares.noise + shares.transient)
        batch = max(SMALLEST_BATCH, math.ceil(noise / (noise_share * left)))
    for_transient = left - noise / batch
    constants = ScheduleConstants(
        sigma=sigma / epsilon**schedule.sigma,
        iterations=_prefactor(
            schedule, epsilon, math.ceil(transient.planned / shrink / for_transient)
        ),
        inner_steps=inner_steps / math.log(1 / epsilon),
        trajectories=batch / epsilon**schedule.batch,
        pairs=batch / epsilon**schedule.batch,
        step_size=step_size / epsilon**schedule.step_size,
        inner_step_size=1 / measured.inner_curvature,
    )
    iterations, solver = schedule.configure(epsilon, constants)
    predicted_iterations = math.ceil(transient.predicted / shrink / for_transient)
    return SchedulePlan(
        schedule=schedule,
        constants=constants,
        iterations=iterations,
        solver=solver,
        terms=Terms(transient.planned / shrink / iterations, bias, noise / batch),
        planned=samples_of(solver, iterations, costs),
        predicted_iterations=predicted_iterations,
        predicted=samples_of(solver, predicted_iterations, costs),
    )


def after_rehearsal(
    plan: SchedulePlan, epsilon: float, costs: SampleCosts, found: tuple[int, int] | None
) -> SchedulePlan:
    """Return the plan as its rehearsal leaves it.

    Parameters
    ----------
    plan
        A plan of the model.
    epsilon, costs
        As in :func:`plan_schedule`.
    found
        T and the predicted number of iterations; None where the target was not met.
    """
    if found is None:
        return replace(plan, rehearsal="failed")
    constants = replace(plan.constants, iterations=_prefactor(plan.schedule, epsilon, found[0]))
    iterations, solver = plan.schedule.configure(epsilon, constants)
    return replace(
        plan,
        constants=constants,
        iterations=iterations,
        planned=samples_of(solver, iterations, costs),
        predicted_iterations=found[1],
        predicted=samples_of(solver, found[1], costs),
        rehearsal="met",
    )


def _prefactor(schedule: Schedule, epsilon: float, iterations: int) -> float:
    return float(iterations / epsilon**schedule.iterations)
