"""Repetitions: their variance in every interval, ties, winners, and rows that two studies disagree on."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from helpers.comparison_tables import TARGETS, method, planted
from scipy.stats import binom

from theory_check.analysis.comparison import (
    best_of_pairs,
    improvement,
    judge_rates,
    leaving,
    median_costs,
    standings,
    tied,
    variation,
)
from theory_check.analysis.comparison.aggregates import (
    interquartile_mean,
    over_problems,
    weighted_median,
)
from theory_check.analysis.comparison.results import outcomes
from theory_check.analysis.comparison.spread import (
    Variance,
    cost_interval,
    medians_by_repetition,
    variances,
)
from theory_check.analysis.intervals import Interval

KEYS = ["problem", "method", "target", "repetition"]
INFINITE = math.inf


def medians(rows: list[tuple[str, str, float, int, float]]) -> pd.Series:
    """Return medians by problem, method, target and repetition."""
    frame = pd.DataFrame(rows, columns=[*KEYS, "cost"])
    return frame.set_index(KEYS)["cost"]


def repeated(values: dict[str, tuple[float, float]], name: str = "a") -> pd.Series:
    """Return two repetitions on each of several problems."""
    rows = [
        (problem, name, 0.1, repetition, value)
        for problem, both in values.items()
        for repetition, value in enumerate(both)
    ]
    return medians(rows)


def test_the_variance_is_that_of_the_logarithms_each_problem_once() -> None:
    """Logs 0 and 2 have variance 2, logs 0 and 1 have 1/2: their mean is 5/4."""
    pairs = {f"p{at}": (1.0, math.exp(2.0 if at % 2 else 1.0)) for at in range(6)}
    found = variances(repeated(pairs))["a"]
    assert found.value == pytest.approx(1.25)
    assert found.freedom == 6
    # Five targets of one problem share a search and are no five witnesses.
    same = medians([("p", "a", target, at, math.exp(at)) for target in TARGETS for at in (0, 1)])
    assert variances(same)["a"] == Variance(0.5, 1)


def test_a_method_of_few_problems_has_the_variance_of_all() -> None:
    both = pd.concat(
        [
            repeated({f"p{at}": (1.0, math.e) for at in range(6)}, "a"),
            repeated({"p0": (1.0, math.exp(3.0))}, "b"),
        ]
    )
    found = variances(both)
    assert found["a"].value == pytest.approx(0.5)
    # Problem p0 has the mean of 1/2 and 9/2, the five others 1/2.
    assert found["b"].value == pytest.approx((2.5 + 5 * 0.5) / 6)


def test_failures_and_single_repetitions_give_no_variance() -> None:
    assert math.isnan(variances(repeated({"p": (1.0, INFINITE)}))["a"].value)
    assert math.isnan(variances(medians([("p", "a", 0.1, 0, 3.0)]))["a"].value)


def test_an_interval_is_that_of_another_study() -> None:
    """Two repetitions, variance 1/2 each, many degrees of freedom: 1.96 sqrt(2 * 0.5 / 2) in logs."""
    costs = [np.full(16, 10.0), np.full(16, 1000.0)]
    found, coverage = cost_interval(costs, Variance(0.5, 10**6))
    assert found.value == pytest.approx(100.0)
    assert math.log(found.high / found.value) == pytest.approx(1.959964 * math.sqrt(0.5), rel=1e-4)
    assert found.high / found.value == pytest.approx(found.value / found.low)
    assert coverage == 0.95


def test_seeds_that_are_noisier_than_repetitions_decide() -> None:
    """Ranks 4 and 13 of 16 logs 0 .. 15 are 3 and 12: a standard error of 9 / 3.92."""
    costs = [np.exp(np.arange(16.0))] * 2
    found, _ = cost_interval(costs, Variance(1e-6, 10**6))
    expected = 1.959964 * math.sqrt(2 * (9 / 3.92) ** 2 / 2)
    assert math.log(found.high / found.value) == pytest.approx(expected, rel=1e-4)


def test_a_target_that_one_repetition_misses_has_no_upper_end() -> None:
    some = [np.full(16, 10.0), np.full(16, 10.0), np.full(16, INFINITE)]
    found, _ = cost_interval(some, Variance(0.1, 9))
    assert found.value == pytest.approx(10.0)
    assert found.high == INFINITE
    half, _ = cost_interval(some[1:], Variance(0.1, 9))
    assert (half.value, half.low, half.high) == (INFINITE, 10.0, INFINITE)


@pytest.mark.slow
def test_another_study_lies_inside_as_often_as_stated() -> None:
    """Planted: tuning noise 0.3 on 12 problems. Of 10 pairs of studies of 60 rows, at most 5 % leave.

    A row leaves when each median is outside the interval of the other, which is rarer than 5 %. At 5 % of
    600 rows the count exceeds 52 with probability 1e-4; that is the false-alarm probability.
    """

    def study(number: int) -> pd.DataFrame:
        parts = [
            planted("one", problem=f"p{at} {number}", noise=0.2, repetitions=2, tuning_noise=0.3)
            for at in range(12)
        ]
        table = pd.concat(parts)
        table["problem"] = table["problem"].str.partition(" ")[0]
        return median_costs(table)

    left = [leaving(study(2 * at), study(2 * at + 1))["leaves"] for at in range(10)]
    assert sum(len(each) for each in left) == 600
    assert sum(each.sum() for each in left) <= binom.ppf(1 - 1e-4, 600, 0.05)


def test_rows_that_moved_are_seen() -> None:
    """Planted: on two of twelve problems the other study costs twice as much."""
    parts = [
        planted("one", problem=f"p{at}", noise=0.0, repetitions=2, tuning_noise=0.01)
        for at in range(12)
    ]
    one = pd.concat(parts)
    other = one.assign(cost=one["cost"].where(~one["problem"].isin(["p3", "p7"]), 2 * one["cost"]))
    found = leaving(median_costs(one), median_costs(other))
    assert set(found[found["leaves"]]["problem"]) == {"p3", "p7"}
    assert found["leaves"].sum() == 2 * len(TARGETS)
    assert not leaving(median_costs(one), median_costs(one))["leaves"].any()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        # Half-widths log 2 each add up to log 2 sqrt(2), a factor 2.67.
        (Interval(10.0, 5.0, 20.0), Interval(26.0, 13.0, 52.0), True),
        (Interval(10.0, 5.0, 20.0), Interval(27.0, 13.5, 54.0), False),
        (Interval(10.0, 5.0, 20.0), Interval(INFINITE, INFINITE, INFINITE), False),
        (Interval(10.0, 5.0, 20.0), Interval(INFINITE, 19.0, INFINITE), True),
        (Interval(INFINITE, INFINITE, INFINITE), Interval(INFINITE, 1.0, INFINITE), True),
    ],
)
def test_ties(one: Interval, other: Interval, expected: bool) -> None:
    assert tied(one, other) is expected
    assert tied(other, one) is expected


def costs(rows: dict[str, list[tuple[float, float]]]) -> pd.DataFrame:
    """Return costs with a factor to either end, one target on each of several problems."""
    return pd.DataFrame(
        [
            {"problem": f"p{at}", "target": 0.1, "method": name, "median": value, "ranked": True}
            | {"low": value / factor, "high": value * factor, "exact": False}
            for name, values in rows.items()
            for at, (value, factor) in enumerate(values)
        ]
    )


def test_a_winner_is_named_where_no_other_is_tied_with_it() -> None:
    table = costs(
        {
            "a": [(10.0, 1.1), (10.0, 3.0), (INFINITE, 1.0)],
            "b": [(20.0, 1.1), (20.0, 3.0), (INFINITE, 1.0)],
            "c": [(80.0, 1.1), (5000.0, 3.0), (INFINITE, 1.0)],
        }
    )
    found = best_of_pairs(table)
    assert found[["problem", "best", "tied"]].to_numpy().tolist() == [
        ["p0", "a", ("a",)],
        ["p1", "a", ("a", "b")],
    ]
    assert found["runner_up"].tolist() == [2.0, 500.0]


def test_the_probability_of_improvement_counts_ties_by_half() -> None:
    """Won, lost, tied, and one that neither reaches: (1 + 0 + 1/2) / 3."""
    table = costs(
        {
            "a": [(10.0, 1.1), (99.0, 1.1), (10.0, 3.0), (INFINITE, 1.0)],
            "b": [(20.0, 1.1), (20.0, 1.1), (20.0, 3.0), (INFINITE, 1.0)],
        }
    )
    found = improvement(table, "a", "b")
    assert found is not None
    assert found.value == pytest.approx(0.5)
    assert (found.low, found.high) == (0.0, 1.0)
    assert improvement(table[table["problem"] == "p3"], "a", "b") is None


def test_an_interquartile_mean_by_hand() -> None:
    """Of 1 .. 8 the middle half is 3 .. 6; of 1 .. 6 it is half of 2 and of 5 and all between."""
    ones = np.ones(8)
    assert interquartile_mean(np.arange(8.0, 0.0, -1.0), ones) == pytest.approx(4.5)
    assert interquartile_mean(np.array([1.0, 2, 3, 4, 5, 6]), np.ones(6)) == pytest.approx(3.5)
    # A weight of two is a value that stands twice, and of zero none.
    weights = np.array([2.0, 0.0, 1.0, 1.0])
    values = np.array([1.0, 50.0, 3.0, 7.0])
    listed = np.array([1.0, 1.0, 3.0, 7.0])
    assert interquartile_mean(values, weights) == interquartile_mean(listed, np.ones(4)) == 2.0
    # A quarter of failures is trimmed, more is not.
    assert math.isfinite(interquartile_mean(np.array([1.0, 2, 3, INFINITE]), np.ones(4)))
    assert interquartile_mean(np.array([1.0, 2, INFINITE, INFINITE]), np.ones(4)) == INFINITE


def test_a_weighted_median_by_hand() -> None:
    assert weighted_median(np.array([3.0, 1.0, 2.0]), np.ones(3)) == 2.0
    assert weighted_median(np.array([3.0, 1.0, 2.0]), np.array([5.0, 1.0, 1.0])) == 3.0


@pytest.mark.slow
def test_an_interval_over_problems_covers_the_mean_of_their_population() -> None:
    """400 samples of 30 normal problems: at 92 %, a bootstrap's share, 1e-5 fall below 343."""
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        frame = pd.DataFrame(
            {"problem": np.arange(30).astype(str), "value": generator.standard_normal(30)}
        )
        found = over_problems(frame, lambda values, weights: values @ weights / weights.sum())
        covered += found.low <= 0 <= found.high
    assert covered >= binom.ppf(1e-5, 400, 0.92)


def test_standings_by_hand() -> None:
    """a meets 10 of 10, b costs four times as much and misses the last target of one problem."""
    table = pd.concat(
        [
            planted("a", problem=problem, noise=0.0, repetitions=2, level=100.0, policy_regret=0.1)
            for problem in ("p", "q")
        ]
        + [
            planted(
                "b",
                problem=problem,
                noise=0.0,
                repetitions=2,
                level=400.0,
                policy_regret=0.3,
                failures={0.003: 16} if problem == "q" else None,
            )
            for problem in ("p", "q")
        ]
    )
    table["cost"] *= 1 + 0.01 * table["repetition"]
    found = standings(median_costs(table), outcomes(table)).set_index("method")
    assert list(found.index) == ["a", "b"]
    assert found.loc["a", ["met", "pairs", "alone", "tied"]].tolist() == [10, 10, 10, 0]
    assert found.loc["b", ["met", "pairs", "alone", "tied"]].tolist() == [9, 10, 0, 0]
    assert found.loc["b", "ratio"] == pytest.approx(4.0)
    assert found.loc["a", "regret"] == pytest.approx(1.0)
    assert found.loc["b", "regret"] == pytest.approx(3.0)


def test_the_variation_is_the_median_factor_between_repetitions() -> None:
    found = variation(repeated({"p": (1.0, 2.0), "q": (8.0, 1.0), "r": (3.0, 3.0 * 2.5)}))
    assert found == {"a": pytest.approx(2.5)}


def test_tuning_noise_widens_the_interval_of_an_exponent() -> None:
    def width(noise: float) -> float:
        table = planted("one", exponent=2.0, noise=0.0, repetitions=2, tuning_noise=noise)
        (found,) = judge_rates(table, {"one": method("one", 2.0)}, {"hill": "excess_risk"})
        return found.exponent.high - found.exponent.low

    assert width(0.0) < 1e-8
    assert 0.02 < width(0.1) < width(0.5)


def test_medians_count_failures_as_infinite() -> None:
    table = planted("one", noise=0.0, repetitions=2, failures={0.003: 9})
    found = medians_by_repetition(table)
    assert np.isinf(found.xs(0.003, level="target")).all()
    assert np.isfinite(found.xs(0.01, level="target")).all()
