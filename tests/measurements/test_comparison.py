"""The comparison measurement: what is tuned and reported, and costs recomputed from plain traces."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import naive
from helpers.generators import random_problem

from theory_check.catalogue import installed
from theory_check.errors import InvalidArgumentError
from theory_check.measurements.comparison import BEYOND, Comparison
from theory_check.oracles.instruments import instruments_for
from theory_check.problems import quadratic
from theory_check.problems.misspecification import distance_to_span
from theory_check.randomness import FIRST_TUNING_SEED
from theory_check.recording.accuracy import until_kept
from theory_check.recording.run import run
from theory_check.tuning.units import units_of

PROBLEM = quadratic(noise=0.3)
UNITS = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + 16)
SEEDS = [0, 1, 5]
TIMED = "seconds_per_iteration"


def silent(done: int, total: int) -> None:
    """Report nothing."""


def comparison(method: Any = "hpgd", **changes: Any) -> Comparison:
    settings: dict[str, Any] = {
        "method": installed().methods[method] if isinstance(method, str) else method,
        "targets": (0.5, 0.3),
        "tuning_target": 0.3,
        "tuning_runs": 4,
        "evaluations": 4,
        "further_evaluations": 3,
        "iterations": 60,
    }
    return Comparison(**{**settings, **changes})


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return comparison().measure(PROBLEM, SEEDS, silent)


def test_it_is_found_and_costs_its_iterations() -> None:
    assert installed().measurements["comparison"] is Comparison
    assert comparison().relative_cost() == 120.0


def test_rows_are_those_of_every_seed_and_target(table: pd.DataFrame) -> None:
    assert table.columns[0] == "seed"
    assert table[["target", "seed"]].to_numpy().tolist() == [
        [target, seed] for target in (0.5, 0.3) for seed in SEEDS
    ]
    assert set(table.method) == {"hpgd"}
    # The eighth of 16 starts, none of which is reported.
    starts = instruments_for(PROBLEM, UNITS).initial_upper(UNITS, 1.0)
    start = sorted(PROBLEM.hypergradient(starts).square().sum(-1).tolist())[7]
    np.testing.assert_allclose(table.epsilon, table.target * start, rtol=1e-12)
    assert (table[TIMED] > 0).all()
    # There is no policy and no reward on this problem.
    assert table[["true_return", "policy_regret", "reward_error"]].isna().all(axis=None)
    assert table[["optimal_return", "reward_distance"]].isna().all(axis=None)


def test_progress_counts_targets() -> None:
    calls: list[tuple[int, int]] = []
    comparison(iterations=1).measure(PROBLEM, [0], lambda done, total: calls.append((done, total)))
    assert calls == [(1, 2), (2, 2)]


def test_costs_are_those_of_plain_traces(table: pd.DataFrame) -> None:
    """``half_stationarity`` of a recorded run of the chosen setting, iteration by iteration."""
    scales, _ = units_of(PROBLEM, UNITS, 1.0)
    assert table.reached.any(), "no seed met a target: the test says nothing"
    for target, rows in table.groupby("target"):
        assert isinstance(target, float)
        constants = json.loads(rows.constants.iloc[0])
        plan = installed().methods["hpgd"].configure(target, constants, scales)
        # All iterations of the first 200 are recorded at this density.
        trace = run(PROBLEM, plan.solver, 90, SEEDS, points_per_decade=100_000).table
        for row in rows.itertuples():
            seen = trace[trace.seed == row.seed]
            assert seen.iteration.tolist() == list(range(1, 91))
            met = (seen.half_stationarity <= row.epsilon).to_numpy()
            arrivals = [
                at
                for at in range(1, 61)
                if met[at - 1 : int(until_kept(at))].all() and until_kept(at) <= 90
            ]
            allowed = BEYOND * row.tuned_cost
            spent = (seen.trajectories + seen.labels).to_numpy()
            expected = [at for at in arrivals if spent[at - 1] <= allowed]
            assert row.reached == bool(expected)
            if expected:
                found = seen.iloc[expected[0] - 1]
                assert row.iterations == expected[0]
                assert row.cost == row.samples == spent[expected[0] - 1]
                for name in ("trajectories", "labels", "env_steps", "exact_calls"):
                    assert getattr(row, name) == found[name]


def test_repetitions_tune_and_report_on_other_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[tuple[int, ...]] = []

    def noted(problem: Any, plan: Any, streams: Any, *rest: Any, **more: Any) -> Any:
        used.append(tuple(streams))
        raise NotImplementedError

    for module in ("measurements.comparison", "tuning.one_target"):
        monkeypatch.setattr(f"theory_check.{module}.race", noted)
    tuning = []
    for repetition in (0, 1, 2):
        with pytest.raises(NotImplementedError):
            comparison(repetition=repetition).measure(PROBLEM, SEEDS, silent)
        tuning.append(set(used[-1]))
    assert [len(each) for each in tuning] == [4, 4, 4]
    assert len(set.union(*tuning)) == 12
    assert all(not set(SEEDS) & each for each in tuning)


def test_a_choice_is_confirmed_on_streams_that_made_none(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[set[int]] = []

    def noted(*, streams: list[int], confirming: list[int], **_: Any) -> Any:
        used.extend((set(streams), set(confirming)))
        raise NotImplementedError

    monkeypatch.setattr("theory_check.measurements.comparison.TargetSearch", noted)
    for repetition in (0, 1):
        with pytest.raises(NotImplementedError):
            comparison(repetition=repetition).measure(PROBLEM, SEEDS, silent)
    assert [len(each) for each in used] == [4, 4, 4, 4]
    assert len(set.union(*used, set(SEEDS))) == 16 + len(SEEDS)


@pytest.mark.slow
def test_the_same_settings_give_the_same_table_and_others_others(table: pd.DataFrame) -> None:
    again = comparison().measure(PROBLEM, SEEDS, silent)
    pd.testing.assert_frame_equal(again.drop(columns=TIMED), table.drop(columns=TIMED))
    other = comparison(repetition=1).measure(PROBLEM, SEEDS, silent)
    assert (other.repetition == 1).all()
    assert not np.array_equal(other.cost, table.cost)
    # As on another machine: the same but for rounding, as long as nothing chaotic decides.
    moved = comparison(perturbation=1e-12).measure(PROBLEM, SEEDS, silent)
    assert (moved.ended != table.ended).any()
    np.testing.assert_allclose(moved.ended, table.ended, rtol=1e-6)
    np.testing.assert_array_equal(moved.cost, table.cost)


@pytest.mark.parametrize(
    ("seed", "refused"), [(999, False), (1000, True), (1015, True), (1016, False)]
)
def test_the_seeds_of_the_units_are_refused(
    seed: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(*arguments: Any) -> Any:
        raise NotImplementedError

    monkeypatch.setattr("theory_check.measurements.comparison.units_of", measured)
    expected = InvalidArgumentError if refused else NotImplementedError
    with pytest.raises(expected):
        comparison().measure(PROBLEM, [3, seed], silent)


def test_a_search_begins_at_one_of_the_targets() -> None:
    with pytest.raises(InvalidArgumentError, match="tuning_target"):
        comparison(tuning_target=0.4)


def test_failures_are_not_numbers() -> None:
    table = comparison(targets=(1e-9,), tuning_target=1e-9, iterations=4).measure(
        PROBLEM, [0, 1], silent
    )
    assert not table.reached.any()
    names = ["cost", "samples", "trajectories", "labels", "env_steps", "exact_calls", "iterations"]
    assert table[names].isna().all(axis=None)
    assert (table.ended > 1).all()
    assert set(table.status) == {"not reached"}
    assert (table.tuned_cost == math.inf).all()
    assert table["cut"].all()


@pytest.mark.slow
def test_runs_to_the_end_tell_what_they_end_with() -> None:
    table = comparison(targets=(0.3,), stop_when_reached=False, iterations=12).measure(
        PROBLEM, [0, 1], silent
    )
    assert np.isfinite(table.hyperobjective).all()
    assert (table.spent > 0).all()
    assert set(table.status) == {"ok"}


@pytest.mark.slow
def test_exact_calls_are_the_cost_of_an_exact_method() -> None:
    """On an RLHF problem: exact descent makes two calls an iteration, from the first on."""
    problem = random_problem(91, (2, 2, 2), objective="excess_risk", features=2, realisable=False)
    table = comparison("exact", targets=(0.5,), tuning_target=0.5).measure(problem, [0, 1], silent)
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


@pytest.mark.slow
def test_the_value_gap_is_that_of_the_policy_relative_to_the_reference() -> None:
    """``J(r*, pi*) - J(r*, pi)``, KL term included, by naive sums over trajectories."""
    problem = random_problem(92, (2, 2, 2), objective="excess_risk", features=2, realisable=True)
    gap = comparison("exact", targets=(0.5,), tuning_target=0.5, accuracy="value gap")
    table = gap.measure(problem, [0, 1], silent)

    def value(log_policy: torch.Tensor) -> float:
        law = naive.law(problem, log_policy)
        reference = naive.law(problem, problem.reference_policy.log())
        returns = naive.returns(problem, problem.true_reward)
        penalty = problem.kl_weight * (law.log() - reference.log())
        return float(law @ (returns - penalty))

    optimal = naive.optimal_log_policy(problem, problem.true_reward)
    instruments = instruments_for(problem, [0])
    unit = float(instruments.truth.value_gap(instruments.initial_lower([0]))[0])  # type: ignore[attr-defined]
    steps = problem.horizon
    assert steps is not None
    reference = problem.reference_policy.log().expand(optimal.shape)
    assert unit == pytest.approx(value(optimal) - value(reference), rel=1e-9)
    np.testing.assert_allclose(table.epsilon, 0.5 * unit, rtol=1e-12)
    assert set(table.accuracy) == {"value gap"}
    assert table.reached.any()
    # At an arrival the mean over the second half is below the target, and the last policy by far.
    assert (table.policy_regret[table.reached] <= table.epsilon[table.reached]).all()


def test_value_gaps_are_of_problems_with_a_reward() -> None:
    gap = comparison(accuracy="value gap")
    with pytest.raises(InvalidArgumentError, match="preference-learning"):
        gap.require_problem("problem", PROBLEM, "quadratic")
    comparison().require_problem("problem", PROBLEM, "quadratic")
