"""Histories of runs, what is refused, and the constants and the check of a problem that is run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import theory_check as tc
from theory_check.advice.constants import START_SEEDS, horizon_of, measure_constants
from theory_check.advice.history import follow
from theory_check.advice.model import PLANNED_QUANTILE
from theory_check.errors import InvalidArgumentError
from theory_check.oracles.instruments import instruments_for
from theory_check.oracles.starts import initial_upper
from theory_check.problems import Problem
from theory_check.recording.run import run
from theory_check.solvers.penalty_bilevel import PenaltyBilevel

SOLVER = PenaltyBilevel(
    sigma=0.1,
    inner_steps=1,
    inner_step_size=1.0,
    step_size=0.3,
    trajectories=50,
    pairs=50,
    coupling="shared",
)


def small_bandit() -> Problem:
    return tc.problems.bandit(contexts=2, actions=2, features=2, seed=3)


@pytest.mark.slow
def test_history_is_the_trace_of_a_run() -> None:
    problem, seeds = small_bandit(), [0, 4]
    trace = run(problem, SOLVER, 12, seeds, points_per_decade=1000).table
    tools = instruments_for(problem, seeds)
    state = SOLVER.init(initial_upper(seeds, 2, 1.0), tools.initial_lower(seeds))
    history = follow(SOLVER, tools.sampled, tools.truth, state, 12)
    recorded = trace.pivot(index="seed", columns="iteration", values="ergodic_stationarity")
    np.testing.assert_allclose(history.ergodic, recorded.to_numpy(), rtol=1e-12)


def test_a_run_that_diverges_has_infinite_stationarity() -> None:
    problem = small_bandit()
    tools = instruments_for(problem, [0, 1])
    start = torch.tensor([[0.5, -0.5], [torch.nan, 0.0]], dtype=torch.float64)
    state = SOLVER.init(start, tools.initial_lower([0, 1]))
    history = follow(SOLVER, tools.information, tools.truth, state, 3)
    assert np.isfinite(history.stationarity[0]).all()
    assert np.isposinf(history.ergodic[1]).all()


def test_horizon_solves_the_quantile_equation() -> None:
    """Sums 2 + 0.001 (T - 10) for all starts: equal to 0.02 T at T = 1.99 / 0.019."""
    total, last = np.full(5, 2.0), np.full(5, 1e-3)
    assert horizon_of(total, last, 10, 0.02) == pytest.approx(1.99 / 0.019)
    assert horizon_of(total, last, 200, 0.02) == 200
    assert horizon_of(total, last, 10, 1e-3) is None
    spread = np.arange(101.0)
    reached = horizon_of(spread, np.zeros(101), 1, 1.0)
    assert reached == pytest.approx(100 * PLANNED_QUANTILE)


def test_starts_that_meet_the_target_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"epsilon: .* meet already .* smaller epsilon"):
        tc.advise(small_bandit(), 0.9, initial_scale=0.01)


@pytest.mark.parametrize("epsilon", [0, 1, -1e-3, float("nan"), "1e-3"])
def test_a_target_outside_the_unit_interval_is_refused(epsilon: float) -> None:
    with pytest.raises(InvalidArgumentError, match=r"epsilon: received .* between 0 and 1"):
        tc.advise(small_bandit(), epsilon)


def test_a_problem_without_samples_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="problem: received a QuarticProblem"):
        tc.advise(tc.problems.quartic(), 0.1)


@pytest.mark.slow
def test_constants_of_a_small_bandit_and_the_advice_on_it() -> None:
    problem = small_bandit()
    measured = measure_constants(problem, 0.05, 1.0, [1], ["shared"], lambda line: None)
    assert 0 < measured.transient[1].predicted < measured.transient[1].planned
    # 16 replicates of 80 and then 200 iterations, of K + 1 = 2 rounds each.
    assert measured.pilot.samples % (16 * 2) == 0
    assert measured.pilot.labels * 3 == measured.pilot.trajectories
    advice = tc.advise(problem, 0.05, schedules=["total-2"], inner_steps=[1])
    assert advice.constants == measured
    with pytest.raises(InvalidArgumentError, match=r"seeds: .* a pilot's"):
        tc.check_advice(advice, problem, [START_SEEDS[3]])
    for seeds in ("ab", [1.5], [], [0, 0], [-1], [True]):
        with pytest.raises(InvalidArgumentError, match=r"^seeds: .* distinct integers from 0"):
            tc.check_advice(advice, problem, seeds)  # type: ignore[arg-type]
    other = tc.problems.bandit(contexts=2, actions=2, features=2, seed=4)
    with pytest.raises(InvalidArgumentError, match="problem"):
        tc.check_advice(advice, other)
    check = tc.check_advice(advice, problem, range(4))
    assert check.planned == advice.best.planned.samples
    per_iteration = check.planned / advice.best.iterations
    met = check.samples[np.isfinite(check.samples)] / per_iteration
    np.testing.assert_allclose(met, met.round(), rtol=1e-12)
    # A seed below the target at T crossed it by then.
    below = check.accuracy <= 0.05
    assert (check.samples[below] <= check.planned * (1 + 1e-12)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedules": ["control-small-batch"]}, r"schedules\[0\]: received 'control-small-batch'"),
        ({"schedules": ["total-2", "total-4"]}, r"schedules\[1\]: .* did you mean 'total-"),
        ({"schedules": "total-2"}, "schedules: received 'total-2'; pass a list"),
        ({"schedules": []}, "schedules: .* at least one"),
        ({"inner_steps": 2}, "inner_steps: received 2; pass a list"),
        ({"inner_steps": [1, 0]}, r"inner_steps\[1\]: received 0"),
        ({"initial_scale": -1.0}, "initial_scale: received -1.0"),
        ({"initial_scale": "1"}, "initial_scale: received '1'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{message}"):
        tc.advise(small_bandit(), 0.05, **changes)  # type: ignore[arg-type]
