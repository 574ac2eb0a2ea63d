"""The columns of the measurement against scripted advice, and what its settings refuse."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.costs import episodic_costs

import theory_check as tc
from theory_check.advice import Advice, AdviceCheck
from theory_check.advice.model import MeasuredConstants, TransientSum
from theory_check.advice.plan import after_rehearsal, plan_schedule
from theory_check.errors import InvalidArgumentError
from theory_check.measurements import advice as measurement
from theory_check.measurements.advice import AdviceMeasurement
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.solvers.schedules import get_schedule


def test_rows_hold_the_plan_and_what_became_of_each_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = tc.problems.bandit(contexts=2, actions=2, features=2, seed=3)
    measured = MeasuredConstants(
        2.0, 0.5, {1: TransientSum(4.0, 2.5)}, 0.05, {"shared": {1: 8.0}}, SampleCounts(0, 40, 2)
    )
    plan = plan_schedule(get_schedule("total-2"), 0.1, measured, episodic_costs())
    plan = after_rehearsal(plan, 0.1, episodic_costs(), (30, 20))
    given = Advice(problem.name, 0.1, 0.5, measured, (plan,), SampleCounts(0, 300, 58))
    predicted, planned = plan.predicted.samples, plan.planned.samples
    found = AdviceCheck(
        seeds=tuple(range(2, 10)),
        accuracy=np.arange(1, 9) / 50,
        samples=np.array([*np.arange(1.0, 8.0) * predicted / 5, np.inf]),
        epsilon=0.1,
        predicted=predicted,
        planned=planned,
    )
    asked = {}

    def advise(*arguments: object, **options: object) -> Advice:
        asked.update(options, arguments=arguments)
        return given

    monkeypatch.setattr(measurement, "advise", advise)
    monkeypatch.setattr(measurement, "check_advice", lambda *arguments: found)
    settings = AdviceMeasurement(0.1, ("total-2",), (1, 3), initial_scale=0.5)
    table = settings.measure(problem, range(2, 10), lambda done, total: None)
    assert asked == {
        "arguments": (problem, 0.1),
        "initial_scale": 0.5,
        "schedules": ("total-2",),
        "inner_steps": (1, 3),
    }
    constant = {
        "epsilon": 0.1,
        "schedule": "total-2",
        "sigma": plan.solver.sigma,
        "inner_steps": 1,
        "trajectories": plan.solver.trajectories,
        "iterations": 30,
        "predicted_samples": predicted,
        "planned_samples": planned,
        "pilot_samples": 400,
        # 7 of 8 seeds had met the target after 7/5 of the prediction.
        "cost_ratio": 7 / 5,
        # 20 iterations were predicted, 30 planned.
        "planned_cost_ratio": 7 / 5 * 20 / 30,
        "status": "ok",
    }
    for column, value in constant.items():
        expected = pytest.approx(value) if isinstance(value, float) else value
        assert all(entry == expected for entry in table[column]), column
    assert list(table.seed) == list(range(2, 10))
    np.testing.assert_allclose(table.accuracy, np.arange(1, 9) / 50)
    np.testing.assert_allclose(table.accuracy_ratio, np.arange(1, 9) / 5)
    np.testing.assert_allclose(table.seed_cost_ratio, [*np.arange(1, 8) / 5, np.inf])
    np.testing.assert_allclose(table.samples, found.samples)
    assert set(table.columns) == {
        *constant,
        "seed",
        "accuracy",
        "accuracy_ratio",
        "samples",
        "seed_cost_ratio",
    }


def test_controls_are_not_advised() -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"^schedules\[0\]: received 'control-fixed-sigma'"
    ):
        AdviceMeasurement(epsilon=0.1, schedules=("control-fixed-sigma",))


def test_cost_grows_with_the_accuracy_and_the_settings_compared() -> None:
    few, many = (
        AdviceMeasurement(0.1, inner_steps=(1,)),
        AdviceMeasurement(0.05, inner_steps=(1, 2)),
    )
    assert many.relative_cost() == pytest.approx(4 * few.relative_cost())
