"""Medians with failures, exponents, verdicts and profiles of planted comparisons."""

from __future__ import annotations

from math import comb

import numpy as np
import pandas as pd
import pytest
from helpers.comparison_tables import TARGETS, method, planted

from theory_check.analysis.comparison import (
    ComparedMethod,
    RateFinding,
    budget_ratios,
    cost_ratios,
    judge_rates,
    median_costs,
    median_interval,
    outcomes,
    profile_of,
)
from theory_check.analysis.intervals import mean_interval
from theory_check.provenance import Accuracy

INFINITE = float("inf")


def test_the_interval_of_a_median_of_sixteen_is_that_of_the_binomial() -> None:
    """Ranks 4 and 13: P(X <= 3) = (1 + 16 + 120 + 560) / 2^16, twice that is 2.1 %."""
    found = median_interval(np.arange(16.0, 0.0, -1.0))
    assert (found.value, found.low, found.high, found.ranks) == (8.5, 4.0, 13.0, (4, 13))
    assert found.coverage == pytest.approx(1 - 2 * (1 + 16 + 120 + 560) / 2**16)
    # One rank closer would cover 92.3 % only.
    assert 1 - 2 * sum(comb(16, below) for below in range(5)) / 2**16 < 0.95


@pytest.mark.parametrize(
    ("values", "median", "low", "high", "coverage"),
    [
        # Six are the fewest whose extremes cover 95 %: 1 - 2 / 2^6.
        ([3.0, 1.0, 2.0, 6.0, 5.0, 4.0], 3.5, 1.0, 6.0, 1 - 2 / 64),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 3.0, 1.0, 5.0, 1 - 2 / 32),
        ([7.0], 7.0, 7.0, 7.0, 0.0),
        # Failures are worse than any success: half of them, and the median is one.
        ([1.0, 2.0, 3.0, INFINITE, INFINITE, INFINITE], INFINITE, 1.0, INFINITE, 1 - 2 / 64),
        ([1.0, 2.0, 3.0, 4.0, INFINITE, INFINITE], 3.5, 1.0, INFINITE, 1 - 2 / 64),
        ([INFINITE] * 6, INFINITE, INFINITE, INFINITE, 1 - 2 / 64),
    ],
)
def test_medians_by_hand(
    values: list[float], median: float, low: float, high: float, coverage: float
) -> None:
    found = median_interval(np.array(values))
    assert (found.value, found.low, found.high) == (median, low, high)
    assert found.coverage == pytest.approx(coverage)


@pytest.mark.slow
def test_the_interval_covers_the_median_as_often_as_it_says() -> None:
    """4000 samples of 16: a standard error of 0.0023, of which 4.3 are exceeded once in 10^4 tests."""
    generator = np.random.default_rng(0)
    draws = generator.exponential(size=(4000, 16))
    found = [median_interval(row) for row in draws]
    share = np.mean([each.low <= np.log(2) <= each.high for each in found])
    assert share == pytest.approx(found[0].coverage, abs=0.01)


def test_failures_are_counted_and_targets_descend() -> None:
    table = planted("one", failures={0.01: 5, 0.003: 9})
    costs = median_costs(table.sample(frac=1.0, random_state=1))
    assert list(costs["target"]) == list(TARGETS)
    assert list(costs["reached"]) == [16, 16, 16, 11, 7]
    assert list(np.isinf(costs["median"])) == [False] * 4 + [True]
    assert list(np.isinf(costs["high"])) == [False] * 3 + [True, True]
    assert np.isinf(costs["iterations"].iloc[-1])
    # Failed runs ended at an accuracy of ten times the target.
    assert costs["ended"].iloc[-1] == pytest.approx(10)


def judged(
    table: pd.DataFrame, known: ComparedMethod, objective: str = "excess_risk"
) -> RateFinding:
    problem = str(table["problem"].iloc[0])
    (found,) = judge_rates(table, {known.id: known}, {problem: objective})
    return found


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.5])
def test_the_exponent_is_the_planted_one(exponent: float) -> None:
    found = judged(planted("one", exponent=exponent), method("one", exponent))
    assert found.exponent.low <= exponent <= found.exponent.high
    assert found.exponent.value == pytest.approx(exponent, abs=0.1)
    assert found.exponent == found.cost_exponent
    assert (found.verdict, found.points, found.left_out) == ("tight", 5, ())


def test_without_noise_it_is_exact() -> None:
    found = judged(planted("one", exponent=2.0, noise=0.0), method("one", 2.0))
    assert found.exponent.value == pytest.approx(2.0, abs=1e-10)
    assert found.exponent.high - found.exponent.low < 1e-8


@pytest.mark.parametrize(
    ("exponent", "noise", "verdict"),
    [
        (2.0, 0.1, "tight"),
        (2.15, 0.02, "tight"),  # meets the band, from 1.8 to 2.2
        (1.85, 0.02, "tight"),
        (2.6, 0.1, "violated"),
        (1.4, 0.1, "faster"),
        (2.0, 4.0, "inconclusive"),  # an interval of width 2, where 0.8 may be called tight
    ],
)
def test_verdicts_against_a_stated_exponent_of_two(
    exponent: float, noise: float, verdict: str
) -> None:
    found = judged(planted("one", exponent=exponent, noise=noise), method("one", 2.0))
    assert found.verdict == verdict, found.reason


def test_a_wide_interval_beyond_the_band_is_still_violated() -> None:
    """Planted 6 with an interval wider than 0.8, all of it above 2.2."""
    found = judged(planted("one", exponent=6.0, noise=2.0), method("one", 2.0))
    assert found.exponent.high - found.exponent.low > 0.8
    assert found.verdict == "violated"


def test_a_target_that_a_quarter_misses_is_left_out_and_named() -> None:
    found = judged(planted("one", failures={0.003: 5}), method("one", 1.0))
    assert (found.verdict, found.points, found.left_out) == ("tight", 4, (0.003,))


def test_few_failures_move_the_medians_and_nothing_else() -> None:
    """Without noise all seeds cost the same, and four infinite ones leave the median where it is."""
    found = judged(planted("one", noise=0.0, failures={0.003: 4}), method("one", 1.0))
    assert (found.points, found.left_out) == (5, ())
    assert found.exponent.value == pytest.approx(1.0, abs=1e-10)
    # Of 4000 resamples 2.7 % have at least 8 of 16 failures, whose median is infinite.
    assert found.exponent.low == pytest.approx(1.0, abs=1e-10)
    assert found.exponent.high in (pytest.approx(1.0, abs=1e-10), np.inf)


def test_too_few_targets_are_inconclusive() -> None:
    found = judged(planted("one", failures={0.01: 5, 0.003: 5}), method("one", 1.0))
    assert (found.verdict, found.left_out) == ("inconclusive", (0.01, 0.003))
    assert "3 targets" in found.reason
    single = judged(planted("one", seeds=1), method("one", 1.0))
    assert (single.verdict, np.isnan(single.exponent.value)) == ("inconclusive", True)


def test_a_floor_is_told_apart_from_the_slope() -> None:
    """Four targets are reached, and judged; the fifth, which most seeds miss, is where it ends."""
    found = judged(planted("one", failures={0.003: 8}), method("one", 1.0))
    assert (found.verdict, found.floor, found.points) == ("tight", 0.003, 4)
    few = judged(planted("one", failures={0.01: 8, 0.003: 8}), method("one", 1.0))
    assert (few.verdict, few.reason) == ("not reached", "most seeds miss 0.01, 0.003")
    assert few.floor == 0.01
    assert np.isnan(judged(planted("one"), method("one", 1.0)).floor)


def test_a_rate_of_iterations_is_judged_on_iterations() -> None:
    """Cost grows with exponent 3, iterations with 1: what is stated is about the latter."""
    table = planted("one", exponent=3.0, iterations_exponent=1.0)
    found = judged(table, method("one", 1.0, cost="iterations"))
    assert (found.verdict, found.judged) == ("tight", "iterations")
    assert found.cost_exponent.value == pytest.approx(3.0, abs=0.1)
    assert judged(table, method("one", 1.0)).verdict == "violated"


@pytest.mark.parametrize(
    ("distance", "objective", "verdict"),
    [
        (0.0, "excess_risk", "tight"),
        (1e-12, "excess_risk", "tight"),
        (0.3, "excess_risk", "assumption not met"),
        (0.0, "cross_entropy", "assumption not met"),
    ],
)
def test_a_rate_that_needs_a_realisable_reward(
    distance: float, objective: str, verdict: str
) -> None:
    table = planted("one", reward_distance=distance)
    known = method("one", 1.0, requires="realisable")
    assert judged(table, known, objective).verdict == verdict
    assert judged(table, method("one", 1.0), objective).verdict == "tight"


def test_without_a_stated_rate_the_exponent_is_there_all_the_same() -> None:
    found = judged(planted("one", exponent=2.0), method("one", None))
    assert found.verdict == "no stated rate"
    assert found.cost_exponent.value == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("measured", ["stationarity", "value gap"])
@pytest.mark.parametrize("stated", ["stationarity", "value gap"])
def test_a_rate_is_judged_in_the_accuracy_that_its_source_speaks_of(
    measured: Accuracy, stated: Accuracy
) -> None:
    """The cost grows with the stated exponent 1 in both, and only one of them was stated."""
    found = judged(planted("one", accuracy=measured), method("one", 1.0, accuracy=stated))
    assert found.exponent.value == pytest.approx(1.0, abs=0.05)
    if measured == stated:
        assert (found.verdict, found.stated) == ("tight", 1.0)
    else:
        assert (found.verdict, np.isnan(found.stated)) == ("no stated rate", True)


def costs_of(medians: dict[str, list[float]], exact: str = "") -> pd.DataFrame:
    """One target on each of several problems; one median per problem, known without an interval."""
    return pd.DataFrame(
        [
            {"problem": f"p{at}", "method": name, "target": 0.1, "median": value}
            | {"low": value, "high": value, "exact": name == exact, "ranked": name != exact}
            for name, values in medians.items()
            for at, value in enumerate(values)
        ]
    )


def test_a_profile_by_hand() -> None:
    """Ratios: a 1, 2, inf; b 3, 1, inf; the third is reached by neither."""
    costs = costs_of({"a": [10.0, 40.0, INFINITE], "b": [30.0, 20.0, INFINITE]})
    profile = profile_of(cost_ratios(costs), [1.0, 2.0, 2.9, 3.0, 100.0])
    assert profile is not None
    third = 1 / 3
    expected = [[third, 2 / 3, 2 / 3, 2 / 3, 2 / 3], [third, third, third, 2 / 3, 2 / 3]]
    np.testing.assert_allclose(profile.share, expected)
    assert (profile.pairs, profile.problems, profile.methods) == (3, 3, ("a", "b"))
    assert (profile.low <= profile.share).all()
    assert (profile.share <= profile.high).all()
    # Over resampled problems, none or all of which a method may meet.
    assert profile.low.min() == 0
    assert profile.high.max() == 1


def test_a_data_profile_has_one_unit_for_all_targets_of_a_problem() -> None:
    """Costs 10 and 1000 of a, 20 and 400 of b: the unit is 10, the fewest for the larger target."""
    costs = pd.concat(
        [
            costs_of({"a": [10.0], "b": [20.0]}).assign(target=0.3),
            costs_of({"a": [1000.0], "b": [400.0]}).assign(target=0.01),
        ]
    )
    profile = profile_of(budget_ratios(costs), [1.0, 2.0, 40.0, 100.0])
    assert profile is not None
    np.testing.assert_allclose(profile.share, [[0.5, 0.5, 0.5, 1.0], [0.0, 0.5, 1.0, 1.0]])


def test_exact_information_and_unmeasured_pairs_take_no_part_in_a_profile() -> None:
    costs = costs_of({"a": [10.0, 40.0], "b": [30.0, 20.0], "c": [1.0, 1.0]}, exact="c")
    assert list(cost_ratios(costs).columns) == ["a", "b"]
    lacking = costs.drop(costs.index[(costs["method"] == "b") & (costs["problem"] == "p1")])
    assert len(cost_ratios(lacking)) == 1
    assert profile_of(cost_ratios(costs[costs["exact"]])) is None


def test_a_single_problem_has_no_band() -> None:
    profile = profile_of(cost_ratios(costs_of({"a": [10.0], "b": [20.0]})), [1.0, 2.0])
    assert profile is not None
    assert np.isnan(profile.low).all()
    np.testing.assert_array_equal(profile.share, [[1, 1], [0, 1]])


def test_the_band_follows_its_seed() -> None:
    generator = np.random.default_rng(3)
    ratios = cost_ratios(costs_of({name: list(generator.exponential(size=9)) for name in "abc"}))
    profiles = [profile_of(ratios, seed=seed) for seed in (0, 0, 1)]
    lows = [profile.low for profile in profiles if profile is not None]
    np.testing.assert_array_equal(lows[0], lows[1])
    assert (lows[0] != lows[2]).any()


def test_a_mean_by_hand() -> None:
    """Of 1, 2, 3: standard error 1/sqrt(3), Student's t with 2 degrees at 97.5 % is 4.3027."""
    found = mean_interval(np.array([1.0, 2.0, 3.0]))
    assert found.value == 2.0
    assert found.high - 2.0 == pytest.approx(4.3027 / np.sqrt(3), rel=1e-4)
    assert 2.0 - found.low == pytest.approx(found.high - 2.0)
    assert np.isnan(mean_interval(np.array([])).value)
    assert np.isnan(mean_interval(np.array([1.0])).low)


def test_outcomes_are_those_of_the_smallest_target() -> None:
    table = planted("one", true_return=0.7)
    table.loc[table["target"] > 0.003, "true_return"] = -100.0
    table.loc[(table["target"] == 0.003) & (table["seed"] == 0), ["status", "true_return"]] = [
        "diverged",
        np.nan,
    ]
    (row,) = outcomes(table).to_dict("records")
    assert row["true_return"] == pytest.approx(0.7)
    assert row["shortfall"] == pytest.approx(1.0 - 0.7)
    assert (row["diverged"], row["seeds"], row["target"]) == (1, 16, 0.003)
    assert row["milliseconds"] == pytest.approx(2.0)
    assert np.isnan(row["exact_calls"])
