"""The comparison measurement: tuning, costs and failures, recomputed from plain traces."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import naive
from helpers.generators import random_problem

from theory_check.catalogue import installed
from theory_check.errors import InvalidArgumentError
from theory_check.measurements.comparison import FIRST_TUNING_SEED, Comparison
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.instruments import instruments_for
from theory_check.problems import quadratic
from theory_check.problems.misspecification import distance_to_span
from theory_check.recording.recorder import recording_grid
from theory_check.recording.run import run
from theory_check.tuning.units import units_of

PROBLEM = quadratic(noise=0.3)
COLUMNS = [
    "seed",
    "reached",
    "cost",
    "samples",
    "trajectories",
    "labels",
    "env_steps",
    "exact_calls",
    "iterations",
    "spent",
    "accuracy",
    "status",
    "true_return",
    "policy_regret",
    "reward_error",
    "lower_gap",
    "hyperobjective",
    "seconds_per_iteration",
    "target",
    "epsilon",
    "method",
    "constants",
    "tuning",
    "tuning_cost",
    "tuning_samples",
    "optimal_return",
    "reward_distance",
]


def silent(done: int, total: int) -> None:
    """Report nothing."""


def comparison(method: Any = "hpgd", **changes: Any) -> Comparison:
    settings: dict[str, Any] = {
        "method": installed().methods[method] if isinstance(method, str) else method,
        "targets": (0.5, 0.3),
        "tuning_target": 0.5,
        "tuning_seeds": 3,
        "iterations": 30,
    }
    return Comparison(**{**settings, **changes})


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return comparison().measure(PROBLEM, [0, 1, 5], silent)


def test_it_is_found_and_costs_its_iterations() -> None:
    assert installed().measurements["comparison"] is Comparison
    assert comparison().relative_cost() == 60.0


def test_columns_and_rows(table: pd.DataFrame) -> None:
    assert list(table.columns) == COLUMNS
    assert table[["seed", "target"]].to_numpy().tolist() == [
        [seed, target] for target in (0.5, 0.3) for seed in (0, 1, 5)
    ]
    assert set(table.method) == {"hpgd"}
    # The eighth of 16 starts, none of which is reported.
    units = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + 16)
    starts = instruments_for(PROBLEM, units).initial_upper(units, 1.0)
    start = sorted(PROBLEM.hypergradient(starts).square().sum(-1).tolist())[7]
    np.testing.assert_allclose(table.epsilon, table.target * start, rtol=1e-12)
    assert (table.seconds_per_iteration > 0).all()
    # There is no policy and no reward on this problem.
    assert table[["true_return", "policy_regret", "reward_error"]].isna().all(axis=None)
    assert table[["optimal_return", "reward_distance"]].isna().all(axis=None)


def test_progress_counts_settings_and_targets() -> None:
    calls: list[tuple[int, int]] = []
    comparison(iterations=1).measure(PROBLEM, [0], lambda done, total: calls.append((done, total)))
    parts = len(installed().methods["hpgd"].grid) + 2
    assert calls == [(part + 1, parts) for part in range(parts)]


def test_the_setting_is_the_best_of_its_grid(table: pd.DataFrame) -> None:
    assert table.constants.nunique() == table.tuning.nunique() == 1
    tried = json.loads(table.tuning[0])
    names = list(installed().methods["hpgd"].constants)
    assert [{name: trial[name] for name in names} for trial in tried] == installed().methods[
        "hpgd"
    ].grid

    def score(trial: dict[str, Any]) -> tuple[float, float]:
        found = (trial["cost"], trial["accuracy"])
        cost, accuracy = (math.inf if value is None else value for value in found)
        return cost, accuracy

    best = min(tried, key=score)
    assert json.loads(table.constants[0]) == {name: best[name] for name in names}
    assert score(best)[0] < math.inf, "no setting met the target: the test says nothing"


def test_rows_are_those_of_plain_traces(table: pd.DataFrame) -> None:
    """Cost, counts and accuracy from ``stationarity`` of a recorded run, window by window."""
    scales, _ = units_of(PROBLEM, range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + 16), 1.0)
    constants = json.loads(table.constants[0])
    for target, rows in table.groupby("target"):
        assert isinstance(target, float)
        plan = installed().methods["hpgd"].configure(target, constants, scales)
        iterations = min(plan.iterations, 30)
        assert recording_grid(iterations, 16)
        trace = run(PROBLEM, plan.solver, iterations, [0, 1, 5], points_per_decade=16).table
        for row in rows.itertuples():
            seen = trace[trace.seed == row.seed]
            found = None
            for at in seen.itertuples():
                recent = seen[
                    (seen.iteration > at.iteration / 2) & (seen.iteration <= at.iteration)
                ]
                if found is None and recent.stationarity.mean() <= row.epsilon:
                    found = at
            assert row.reached == (found is not None)
            if found is not None:
                assert row.iterations == found.iteration
                for name in ("trajectories", "labels", "env_steps", "exact_calls"):
                    assert getattr(row, name) == getattr(found, name)
                assert row.cost == row.samples == found.trajectories + found.labels
                assert row.spent >= row.cost


def test_tuning_and_reported_seeds_are_disjoint(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[list[int]] = []
    original = Comparison._run

    def noted(self: Comparison, problem: Any, plan: Any, seeds: Sequence[int], *rest: Any) -> Any:
        used.append(list(seeds))
        return original(self, problem, plan, seeds, *rest)

    monkeypatch.setattr(Comparison, "_run", noted)
    comparison(iterations=2).measure(PROBLEM, [0, 3], silent)
    settings = len(installed().methods["hpgd"].grid)
    assert used == [[1000, 1001, 1002]] * settings + [[0, 3]] * 2


@pytest.mark.parametrize(
    ("seed", "refused"), [(999, False), (1000, True), (1015, True), (1016, False)]
)
def test_the_tuning_seeds_alone_are_refused(
    seed: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 starts measure the units, 3 seeds tune: whichever are more. Larger seeds are anybody's."""

    def measured(*arguments: Any) -> Any:
        raise NotImplementedError

    monkeypatch.setattr("theory_check.measurements.comparison.units_of", measured)
    expected = InvalidArgumentError if refused else NotImplementedError
    with pytest.raises(expected):
        comparison().measure(PROBLEM, [3, seed], silent)


@pytest.mark.slow
def test_the_same_seeds_give_the_same_table(table: pd.DataFrame) -> None:
    again = comparison().measure(PROBLEM, [0, 1, 5], silent)
    pd.testing.assert_frame_equal(
        again.drop(columns="seconds_per_iteration"), table.drop(columns="seconds_per_iteration")
    )
    # And a seed does not depend on those beside it, where runs do not stop for one another.
    settings = {"stop_when_reached": False, "iterations": 8}
    alone, among = (
        comparison(**settings).measure(PROBLEM, seeds, silent) for seeds in ([1], [0, 1, 5])
    )
    rows = among[among.seed == 1].reset_index(drop=True).drop(columns="seconds_per_iteration")
    pd.testing.assert_frame_equal(rows, alone.drop(columns="seconds_per_iteration"), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["hpgd", "penalty-shared"])
def test_stopping_what_cannot_win_does_not_change_the_winner(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Comparison._run
    raced = comparison(method, tuning_seeds=4).measure(PROBLEM, [0], silent)

    def unraced(self: Comparison, *arguments: Any) -> Any:
        return original(self, *arguments[:-1], self.sample_budget)

    monkeypatch.setattr(Comparison, "_run", unraced)
    full = comparison(method, tuning_seeds=4).measure(PROBLEM, [0], silent)
    kept = ["seed", "reached", "cost", "iterations", "accuracy", "constants"]
    pd.testing.assert_frame_equal(raced[kept], full[kept])
    assert (raced.tuning_cost <= full.tuning_cost).all()


class Planned:
    """An outcome whose costs are known, of which a budget lets those be seen that it covers."""

    def __init__(self, costs: Sequence[float], budget: float) -> None:
        self._costs = np.array([cost if cost <= budget else np.inf for cost in costs])
        self.spent = int(min(max(costs), budget))
        self.counts = SampleCounts(trajectories=self.spent)
        self.recorder = self
        self.accuracy = np.zeros(len(costs))

    def costs(self) -> np.ndarray:
        return self._costs

    def rows(self, seeds: Sequence[int]) -> pd.DataFrame:
        return pd.DataFrame({"seed": list(seeds)})


@pytest.mark.parametrize(
    ("costs", "wins"),
    [
        ((50.0, 50.0, 50.0, 50.0), True),
        ((1.0, 10.0, 55.0, 59.0), True),
        ((1.0, 1.0, 1.0, 61.0), False),  # the slowest seed decides
        ((1.0, 1.0, 1.0, math.inf), False),
        ((60.0, 60.0, 60.0, 60.0), False),  # of equal ones the first
    ],
)
def test_the_setting_that_all_seeds_reach_with_least_wins(
    costs: tuple[float, ...], wins: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    measurement = comparison(tuning_seeds=4)
    script = iter(
        [(1.0, 1.0, 1.0, 60.0), costs, *[(70.0,) * 4] * len(installed().methods["hpgd"].grid)]
    )

    def planned(
        self: Comparison, problem: Any, plan: Any, seeds: Any, epsilon: float, budget: int
    ) -> Planned:
        return Planned(next(script), budget)

    monkeypatch.setattr(Comparison, "_run", planned)
    table = measurement.measure(PROBLEM, [0], silent)
    assert json.loads(table.constants[0]) == installed().methods["hpgd"].grid[int(wins)]


def test_failures_are_not_numbers() -> None:
    table = comparison(targets=(1e-9,), iterations=4).measure(PROBLEM, [0, 1], silent)
    assert not table.reached.any()
    names = ["cost", "samples", "trajectories", "labels", "env_steps", "exact_calls", "iterations"]
    assert table[names].isna().all(axis=None)
    assert (table.spent > 0).all()
    assert (table.accuracy > table.epsilon).all()
    assert set(table.status) == {"ok"}


def test_a_budget_is_for_tuning_and_for_reporting() -> None:
    free = comparison(targets=(1e-9,), iterations=6).measure(PROBLEM, [0], silent)
    budget = int(free.spent[0]) - 1
    table = comparison(targets=(1e-9,), iterations=6, sample_budget=budget).measure(
        PROBLEM, [0], silent
    )
    assert (table.spent <= budget).all()
    assert set(table.status) <= {"budget exhausted", "ok"}
    tried = len(installed().methods["hpgd"].grid)
    assert (table.tuning_cost <= 3 * tried * budget).all()


@pytest.mark.slow
def test_exact_calls_are_the_cost_of_an_exact_method() -> None:
    """On an RLHF problem: exact descent makes two calls an iteration, from the first on."""
    problem = random_problem(91, (2, 2, 2), objective="excess_risk", features=2, realisable=False)
    table = comparison("exact", targets=(0.5,), tuning_seeds=2, iterations=8).measure(
        problem, [0, 1], silent
    )
    reached = table[table.reached]
    assert len(reached)
    assert (reached.cost == 2 * reached.iterations).all()
    assert (reached.exact_calls == reached.cost).all()
    assert (reached[["samples", "trajectories", "labels", "env_steps"]] == 0).all(axis=None)
    assert (table.tuning_samples == 0).all()
    assert (table.tuning_cost > 0).all()
    optimal = naive.optimal_log_policy(problem, problem.true_reward)
    value = naive.law(problem, optimal) @ naive.returns(problem, problem.true_reward)
    np.testing.assert_allclose(table.optimal_return, value.item(), rtol=1e-12)
    # Root mean square of what least squares leaves of the true reward; constants are free, since no
    # comparison sees them.
    features, reward = problem.features.flatten(0, 1), problem.true_reward.flatten()
    matrix = torch.cat([features, torch.ones(len(features), 1, dtype=torch.float64)], dim=1)
    fitted = matrix @ torch.linalg.lstsq(matrix, reward[:, None]).solution[:, 0]
    distance = (reward - fitted).square().mean().sqrt().item()
    np.testing.assert_allclose(table.reward_distance, distance, rtol=1e-9)
    assert distance == pytest.approx(distance_to_span(problem.true_reward, features), rel=1e-9)
    for name in ("true_return", "policy_regret", "reward_error", "lower_gap", "hyperobjective"):
        assert np.isfinite(table[name]).all(), name
