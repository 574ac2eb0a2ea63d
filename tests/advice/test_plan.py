"""The optimum against a brute-force search over settings, and its accounting against the oracle."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from helpers.costs import episodic_costs
from helpers.generators import random_discounted_problem, random_problem

from theory_check.advice.advisor import Advice
from theory_check.advice.model import (
    LARGEST_PENALTY,
    SHARES,
    SMALLEST_BATCH,
    MeasuredConstants,
    TransientSum,
    penalty_parameter,
)
from theory_check.advice.plan import plan_schedule, samples_of
from theory_check.oracles.estimates.counts import SampleCounts, sample_costs
from theory_check.oracles.instruments import instruments_for
from theory_check.problems import Problem
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.schedules import get_schedule

MEASURED = MeasuredConstants(
    outer_curvature=2.0,
    inner_curvature=0.4,
    transient={1: TransientSum(4.0, 2.5), 4: TransientSum(5.0, 3.0)},
    bias=0.05,
    noise={"shared": {1: 8.0, 4: 1.0}, "independent": {1: 2.0, 4: 1.9}},
    pilot=SampleCounts(),
)
EPSILON = 1e-3


def test_shares_add_up() -> None:
    for shares in SHARES.values():
        assert shares.transient + shares.bias + shares.noise == pytest.approx(1)


def test_sigma_spends_the_share_of_the_bias_and_is_capped() -> None:
    sigma = penalty_parameter(EPSILON, 0.05, "independent")
    assert 0.05 * sigma**2 == pytest.approx(EPSILON / 3)
    assert penalty_parameter(EPSILON, 0.0, "shared") == LARGEST_PENALTY["shared"]
    assert penalty_parameter(0.9, 1e-6, "independent") == LARGEST_PENALTY["independent"]


@pytest.mark.parametrize("name", ["total-7/2", "total-3", "total-2"])
def test_settings_are_what_the_schedule_configures_and_the_model_is_met(name: str) -> None:
    plan = plan_schedule(get_schedule(name), EPSILON, MEASURED, episodic_costs(3))
    assert plan.schedule.configure(EPSILON, plan.constants) == (plan.iterations, plan.solver)
    assert plan.solver.pairs == plan.solver.trajectories >= SMALLEST_BATCH
    assert plan.solver.inner_step_size == 2.5
    assert plan.terms.total <= EPSILON * (1 + 1e-9)
    # Rounding T up by less than one iteration is all that is left over.
    assert plan.terms.total > EPSILON * (1 - 1 / plan.iterations)
    assert plan.predicted_iterations < plan.iterations
    assert plan.planned.env_steps == 3 * plan.planned.trajectories


@pytest.mark.parametrize("name", ["total-3", "total-2"])
def test_no_other_division_of_the_target_is_cheaper(name: str) -> None:
    """T and n of the model over a grid of shares; sigma too where it enters the noise."""
    schedule = get_schedule(name)
    plan = plan_schedule(schedule, EPSILON, MEASURED, episodic_costs())
    coupled = schedule.coupling == "shared"
    cheapest = math.inf
    for steps, transient in MEASURED.transient.items():
        for bias in [SHARES["shared"].bias] if coupled else np.linspace(0.05, 0.9, 35):
            sigma = math.sqrt(bias * EPSILON / MEASURED.bias)
            noise = MEASURED.noise[schedule.coupling][steps] / (1 if coupled else sigma**2)
            for share in np.linspace(0.02, 0.98, 97):
                left = (1 - bias) * EPSILON
                batch = max(SMALLEST_BATCH, noise / (share * left))
                iterations = transient.planned / (left - noise / batch)
                solver = dataclasses.replace(
                    plan.solver, inner_steps=steps, trajectories=1, pairs=1
                )
                cheapest = min(
                    cheapest, iterations * batch * samples_of(solver, 1, episodic_costs()).samples
                )
    # Integers cost up to one part in the batch and one in the iterations.
    slack = 1 + 2 / plan.iterations + 2 / plan.solver.trajectories
    assert plan.planned.samples <= cheapest * slack
    assert plan.planned.samples >= cheapest * 0.99


def test_inner_steps_are_chosen_by_cost() -> None:
    """(K + 1) a c: shared 2*4*8 = 64 against 5*5*1 = 25; independent 16 against 47.5."""
    chosen = {
        name: plan_schedule(
            get_schedule(name), EPSILON, MEASURED, episodic_costs()
        ).solver.inner_steps
        for name in ("total-3", "total-2")
    }
    assert chosen == {"total-3": 1, "total-2": 4}


def test_the_step_of_the_first_schedule_shrinks_with_sigma_and_costs_the_same() -> None:
    """T grows by 1/sigma and n shrinks by sigma: the product stays, up to rounding."""
    slow, fast = (
        plan_schedule(get_schedule(name), EPSILON, MEASURED, episodic_costs())
        for name in ("total-7/2", "total-3")
    )
    assert slow.solver.step_size == pytest.approx(slow.solver.sigma * fast.solver.step_size)
    assert slow.iterations == pytest.approx(fast.iterations / slow.solver.sigma, rel=1e-3)
    assert slow.planned.samples == pytest.approx(fast.planned.samples, rel=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("coupling", ["shared", "independent"])
@pytest.mark.parametrize(
    "problem",
    [
        random_problem(5, (2, 2, 2), objective="excess_risk", features=2),
        random_discounted_problem(5, segment_length=3, features=2),
    ],
)
def test_accounting_is_that_of_the_counters(problem: Problem, coupling: str) -> None:
    tools = instruments_for(problem, [3])
    solver = PenaltyBilevel(
        sigma=0.1,
        inner_steps=3,
        inner_step_size=0.5,
        step_size=0.1,
        trajectories=7,
        pairs=5,
        coupling=coupling,  # type: ignore[arg-type]
    )
    lower = tools.initial_lower([0])
    state = solver.init(lower.new_zeros(1, tools.upper_parameters), lower)
    for _ in range(4):
        state = solver.step(tools.sampled, state)
    assert samples_of(solver, 4, sample_costs(problem)) == tools.sampled.counts


def test_what_is_printed_of_a_plan_is_one_line() -> None:
    plan = plan_schedule(get_schedule("total-2"), EPSILON, MEASURED, episodic_costs(3))
    solver = PenaltyBilevel(
        sigma=0.1,
        inner_steps=2,
        inner_step_size=2.5,
        step_size=0.5,
        trajectories=120,
        pairs=120,
        coupling="shared",
    )
    shown = dataclasses.replace(
        plan,
        iterations=49,
        solver=solver,
        predicted=SampleCounts(trajectories=100_000, labels=20_000),
        rehearsal="met",
    )
    assert repr(shown) == (
        "<SchedulePlan total-2: T = 49, sigma = 0.1, K = 2, n = 120, steps 0.5 and 2.5, shared "
        "batches, 1.2e+05 samples predicted, rehearsal met>"
    )
    advice = Advice("queue", 0.02, 1.0, MEASURED, (plan, shown), SampleCounts())
    assert repr(advice) == f"<Advice for queue at 0.02: {shown!r}>"
    assert repr(dataclasses.replace(advice, plans=(plan,))) == (
        "<Advice for queue at 0.02: no plan that met it>"
    )
