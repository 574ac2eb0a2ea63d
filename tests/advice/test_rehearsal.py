"""The rehearsal against scripted histories, and on a problem small enough to run."""

from __future__ import annotations

import dataclasses
from math import comb

import numpy as np
import pytest
from helpers.costs import episodic_costs

import theory_check as tc
from theory_check.advice import rehearsal
from theory_check.advice.advisor import rehearse_cheapest
from theory_check.advice.constants import NOISE_SEEDS, START_SEEDS
from theory_check.advice.history import History
from theory_check.advice.model import MeasuredConstants, TransientSum
from theory_check.advice.plan import SchedulePlan, after_rehearsal, plan_schedule, plan_settings
from theory_check.advice.rehearsal import (
    DOUBLINGS,
    REHEARSAL_SEEDS,
    Rehearsal,
    iterations_needed,
    rehearse,
)
from theory_check.errors import InvalidArgumentError
from theory_check.oracles.estimates.counts import SampleCounts, sample_costs
from theory_check.problems import Problem
from theory_check.solvers.schedules import get_schedule

EPSILON = 0.05
MEASURED = MeasuredConstants(
    outer_curvature=2.0,
    inner_curvature=0.5,
    transient={1: TransientSum(0.5, 0.3), 2: TransientSum(0.6, 0.4)},
    bias=0.05,
    noise={"shared": {1: 4.0, 2: 4.0}, "independent": {1: 2.0, 2: 2.0}},
    pilot=SampleCounts(),
)


def small_bandit() -> Problem:
    return tc.problems.bandit(contexts=2, actions=2, features=2, seed=3)


def model_plan(name: str = "total-2") -> SchedulePlan:
    return plan_schedule(get_schedule(name), EPSILON, MEASURED, episodic_costs())


def staircase() -> np.ndarray:
    """Run i meets a target of 1 from iteration 10 (i + 1) on, of 32 runs and 400 iterations."""
    time = np.arange(1, 401)
    return np.where(time >= 10 * np.arange(1, 33)[:, None], 1.0, 2.0)


def test_seeds_are_pilot_starts_with_streams_of_their_own() -> None:
    assert set(REHEARSAL_SEEDS) < set(START_SEEDS)
    assert not set(REHEARSAL_SEEDS) & set(NOISE_SEEDS)
    assert len(REHEARSAL_SEEDS) == 32


def test_quantiles_of_the_iterations_that_meet_the_target() -> None:
    """The 31st of 32 is at 310; the 0.84 quantile is at position 26.04: 270 + 0.04 * 10, upwards."""
    assert iterations_needed(staircase(), 1.0) == (310, 271)


def test_one_run_may_miss_the_target_and_no_second() -> None:
    ergodic = staircase()
    ergodic[31] = np.inf
    assert iterations_needed(ergodic, 1.0) == (310, 271)
    ergodic[0] = 2.0
    assert iterations_needed(ergodic, 1.0) is None


def test_a_run_that_leaves_the_target_is_waited_for() -> None:
    """Runs 0 and 31 are above the target from 300 to 349, so that 310 is too early for 31 of 32."""
    ergodic = staircase()
    ergodic[[0, 31], 299:349] = 2.0
    assert iterations_needed(ergodic, 1.0) == (350, 271)


@pytest.mark.parametrize(
    ("above", "sums", "done", "decided"),
    [
        # One run may be anywhere: the others are at a mean of 1 after 10 iterations.
        (1, 1e9, 10, True),
        # Two are above it, and could still come down to it: 20 iterations allow a sum of 20.
        (2, 20.0, 10, False),
        # Sums only grow: two beyond 20 will not.
        (2, 20.1, 10, True),
        (1, 20.1, 9, False),
    ],
)
def test_a_rehearsal_ends_when_its_outcome_is_known(
    above: int, sums: float, done: int, decided: bool
) -> None:
    total = np.full(32, 10.0)
    total[:above] = sums
    assert rehearsal._decided(total, done, epsilon=1.0, longest=20) is decided


def test_chance_of_a_false_alarm_is_as_documented() -> None:
    """Of 16 new runs at most 2 end later than the second latest of 32: ranks are equally likely."""
    later = [comb(j + 1, j) * comb(16 - j + 30, 16 - j) for j in range(17)]
    assert sum(later) == comb(48, 16)
    assert sum(later[:3]) / comb(48, 16) == pytest.approx(0.90, abs=0.005)


class ScriptedRuns:
    """Stands for ``follow``: meets the target at 3/4 of T once the batch is large enough."""

    def __init__(self, enough: float) -> None:
        self.enough = enough
        self.batches: list[int] = []
        self.longest: list[int] = []

    def __call__(self, solver, oracle, truth, state, iterations, progress=None, until=None):  # type: ignore[no-untyped-def]
        for _ in range(2):  # two iterations of real samples, so that something is counted
            state = solver.step(oracle, state)
        self.batches.append(solver.trajectories)
        self.longest.append(iterations)
        stationarity = np.full((32, iterations), 2 * EPSILON)
        if solver.trajectories >= self.enough:
            # Mean 2 eps for t up to m, then 2 eps m / t: at the target from t = 2 m on.
            stationarity[:, iterations // 4 :] = 0.0
        return History(stationarity, state)


def test_batches_are_doubled_until_the_target_is_met(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = model_plan()
    batch = plan.solver.trajectories
    scripted = ScriptedRuns(enough=4 * batch)
    monkeypatch.setattr(rehearsal, "follow", scripted)
    done = rehearse(plan, small_bandit(), EPSILON, MEASURED, 1.0, lambda line: None)
    assert scripted.batches == [batch, 2 * batch, 4 * batch]
    at = [
        plan_settings(
            plan.schedule,
            EPSILON,
            MEASURED,
            episodic_costs(),
            plan.solver.inner_steps,
            factor * batch,
        ).iterations
        for factor in (1, 2, 4)
    ]
    # Less noise leaves more of the target to the transient.
    assert at[0] > at[1] > at[2]
    assert scripted.longest == [2 * iterations for iterations in at]
    found = done.plan
    assert found.rehearsal == "met"
    assert found.iterations == found.predicted_iterations == 2 * (2 * at[2] // 4)
    assert found.schedule.configure(EPSILON, found.constants) == (found.iterations, found.solver)
    # Per iteration K + 1 rounds of n + 2B trajectories and B labels; 2 iterations, 32 replicates.
    rounds = 2 * 32 * (plan.solver.inner_steps + 1)
    assert done.counts.samples == rounds * 4 * (batch + 2 * batch + 4 * batch)


@pytest.mark.slow
def test_a_plan_that_is_never_met_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = ScriptedRuns(enough=np.inf)
    monkeypatch.setattr(rehearsal, "follow", scripted)
    done = rehearse(model_plan(), small_bandit(), EPSILON, MEASURED, 1.0, lambda line: None)
    assert len(scripted.batches) == DOUBLINGS + 1
    assert done.plan.rehearsal == "failed"
    assert done.plan.solver.trajectories == 2**DOUBLINGS * model_plan().solver.trajectories
    monkeypatch.setattr(rehearsal, "DOUBLINGS", 0)
    with pytest.raises(
        InvalidArgumentError, match=r"epsilon: .* noise carries runs away .* larger"
    ):
        tc.advise(small_bandit(), EPSILON, schedules=["total-2"], inner_steps=[1])


@pytest.mark.slow
def test_a_real_rehearsal_stops_as_soon_as_enough_runs_are_at_the_target() -> None:
    problem = small_bandit()
    advice = tc.advise(problem, EPSILON, schedules=["total-2", "total-3"], inner_steps=[1])
    assert {plan.schedule.id: plan.rehearsal for plan in advice.plans} == {
        "total-2": "met",
        "total-3": "not run",
    }
    # No batch was doubled here: the model's batch is the one advised, and T iterations were drawn.
    best = advice.best
    measured = plan_schedule(best.schedule, EPSILON, advice.constants, sample_costs(problem))
    assert best.solver == measured.solver
    assert advice.rehearsed == best.planned.times(32)
    assert advice.pilot == advice.constants.pilot + advice.rehearsed


def rehearsed(plan: SchedulePlan, factor: float | None) -> Rehearsal:
    """A rehearsal that multiplies T, or fails."""
    found = None if factor is None else (round(factor * plan.iterations),) * 2
    return Rehearsal(after_rehearsal(plan, EPSILON, episodic_costs(), found), SampleCounts(1, 1, 1))


@pytest.mark.parametrize(
    ("factors", "outcome"),
    [
        # Cheapest as predicted: the others are not run.
        ([1.2, 1.0, 1.0], ["met", "not run", "not run"]),
        # Dearer than the second by the model: that is run too, and no third.
        ([20.0, 1.0, 1.0], ["met", "met", "not run"]),
        ([20.0, None, 1.0], ["met", "failed", "not run"]),
        ([None, 1.0, 1.0], ["failed", "met", "not run"]),
        ([None, None, 1.0], ["failed", "failed", "not run"]),
    ],
)
def test_the_next_plan_is_rehearsed_if_the_cheapest_turns_out_dear(
    factors: list[float | None], outcome: list[str]
) -> None:
    cheapest = model_plan()
    plans = [
        cheapest,
        *(
            dataclasses.replace(cheapest, planned=cheapest.planned.times(factor))
            for factor in (3, 5)
        ),
    ]
    by_cost = dict(zip([plan.planned.samples for plan in plans], factors, strict=True))
    # Given in another order than that of their cost.
    found, drawn = rehearse_cheapest(
        plans[::-1], lambda plan: rehearsed(plan, by_cost[plan.planned.samples])
    )
    assert [plan.rehearsal for plan in found[::-1]] == outcome
    assert drawn.labels == sum(state != "not run" for state in outcome)
