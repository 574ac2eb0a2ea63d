"""What passes the check, against scripted outcomes and scripted runs."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.costs import episodic_costs

import theory_check as tc
from theory_check.advice import Advice, check
from theory_check.advice.check import AdviceCheck
from theory_check.advice.history import History
from theory_check.advice.model import (
    CHECKED_SEEDS,
    COST_FACTOR,
    PLANNED_QUANTILE,
    PREDICTED_QUANTILE,
    REQUIRED_SHARE,
    MeasuredConstants,
    TransientSum,
)
from theory_check.advice.plan import plan_schedule
from theory_check.catalogue import Catalogue
from theory_check.claims.rates import InequalityRate
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.solvers.schedules import get_schedule


def scripted(accuracy: list[float], samples: list[float]) -> AdviceCheck:
    return AdviceCheck(
        seeds=tuple(range(16)),
        accuracy=np.array(accuracy),
        samples=np.array(samples),
        epsilon=0.1,
        predicted=100,
        planned=160,
    )


@pytest.mark.parametrize(
    ("accuracy", "samples", "passed"),
    [
        # 14 seeds reach it; the 14th cheapest needs exactly the bound, or one more.
        ([0.05] * 14 + [0.2] * 2, [50.0] * 13 + [200.0, np.inf, np.inf], True),
        ([0.05] * 14 + [0.2] * 2, [50.0] * 13 + [201.0, np.inf, np.inf], False),
        # As cheap as half the prediction, or cheaper.
        ([0.05] * 16, [10.0] * 13 + [50.0] * 3, True),
        ([0.05] * 16, [10.0] * 13 + [49.0] + [500.0] * 2, False),
        # 13 seeds reach it by T, whatever it cost.
        ([0.05] * 13 + [0.2] * 3, [100.0] * 16, False),
    ],
)
def test_a_check_passes_or_fails_on_either_side(
    accuracy: list[float], samples: list[float], passed: bool
) -> None:
    found = scripted(accuracy, samples)
    assert found.required == 14
    assert found.passed is passed


def test_the_claim_asks_for_what_the_check_asks_for_but_forgives_a_cheaper_plan() -> None:
    rates = {rate.name: rate for rate in Catalogue.shipped().claim("advice").rates}
    reached, cost = rates["target reached"], rates["cost at most twice predicted"]
    assert isinstance(reached, InequalityRate)
    assert isinstance(cost, InequalityRate)
    assert (reached.low, reached.high, reached.allowed_share) == (None, 1.0, 1 - REQUIRED_SHARE)
    assert (cost.low, cost.high, cost.allowed_share) == (None, COST_FACTOR, 0.0)


def test_quantiles_are_those_of_the_required_number() -> None:
    """The median of an order statistic is near (rank - 0.3)/(runs + 0.4)."""
    required = REQUIRED_SHARE * CHECKED_SEEDS
    assert (required - 0.3) / (CHECKED_SEEDS + 0.4) == pytest.approx(PREDICTED_QUANTILE, abs=0.01)
    p, n = PLANNED_QUANTILE, CHECKED_SEEDS
    fewer = [1, n, n * (n - 1) / 2]
    assert sum(c * p ** (n - k) * (1 - p) ** k for k, c in enumerate(fewer)) > 0.985


@pytest.mark.slow
def test_seeds_that_miss_the_target_go_on_to_twice_the_planned_iterations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seed 0 meets 0.1 at iteration 2, seed 1 beyond T, at 12; seed 2 not by 2T; seed 3 diverges.

    Seed 1 has stationarity 0.2 for 6 iterations and 0 after: its mean is 1.2/t, 0.12 at T = 10.
    """
    problem = tc.problems.bandit(contexts=2, actions=2, features=2, seed=3)
    measured = MeasuredConstants(
        2.0, 0.5, {1: TransientSum(0.4, 0.3)}, 0.0, {"shared": {1: 4.0}}, SampleCounts()
    )
    plan = dataclasses.replace(
        plan_schedule(get_schedule("total-2"), 0.1, measured, episodic_costs()),
        iterations=10,
        rehearsal="met",
    )
    advice = Advice(problem.name, 0.1, 1.0, measured, (plan,), SampleCounts())
    whole = np.zeros((4, 20))
    whole[0, 0] = 0.15
    whole[1, :6] = 0.2
    whole[2, :] = 0.3
    whole[3, 4:] = np.inf
    whole[3, :4] = 0.9
    drawn = SimpleNamespace(counts=SampleCounts(trajectories=0))
    asked = []

    def follow(solver, oracle, truth, state, iterations, progress=None):  # type: ignore[no-untyped-def]
        first = sum(asked)
        asked.append(iterations)
        oracle.counts += SampleCounts(trajectories=7 * iterations)
        return History(whole[:, first : first + iterations], state)

    real = check.instruments_for(problem, range(4))
    tools = SimpleNamespace(
        sampled=drawn,
        truth=None,
        initial_state=real.initial_state,
    )
    monkeypatch.setattr(check, "follow", follow)
    monkeypatch.setattr(check, "instruments_for", lambda problem, seeds: tools)
    found = tc.check_advice(advice, problem, range(4))
    assert asked == [10, 10]
    np.testing.assert_allclose(found.accuracy, [0.015, 0.12, 0.3, np.inf], rtol=1e-12)
    # 7 samples per iteration, whatever ran beyond T.
    np.testing.assert_allclose(found.samples, [14.0, 84.0, np.inf, np.inf], rtol=1e-12)
    assert found.reached == 1
