"""Comparisons of one method, one problem, one target, or without a pair that all methods have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from helpers.comparison_tables import method, planted

from theory_check.analysis.comparison import ComparisonResults, compare, findings
from theory_check.analysis.comparison.aggregates import (
    interquartile_mean,
    over_problems,
    weighted_median,
)
from theory_check.analysis.intervals import plural

METHODS = {
    "one": method("one", 3.0),
    "two": method("two", None),
    "three": method("three", None),
    "exact": method("exact", None),
}


def analysed(*tables: pd.DataFrame) -> ComparisonResults:
    table = pd.concat(tables, ignore_index=True)
    objectives = dict.fromkeys(table["problem"].unique(), "excess_risk")
    return compare(table, pd.DataFrame(), METHODS, objectives)


def the(sentences: Sequence[str], *words: str) -> str:
    """Return the one sentence that has all of the words."""
    (found,) = [each for each in sentences if all(word in each for word in words)]
    return found


@pytest.mark.parametrize(("number", "text"), [(0, "0 pairs"), (1, "1 pair"), (2, "2 pairs")])
def test_one_is_singular(number: int, text: str) -> None:
    assert plural(number, "pair") == text


def test_a_statistic_of_nothing_is_not_known() -> None:
    nothing = np.empty(0)
    assert np.isnan(weighted_median(nothing, nothing))
    assert np.isnan(interquartile_mean(nothing, nothing))
    found = over_problems(pd.DataFrame({"problem": [], "value": []}), weighted_median)
    assert np.isnan([found.value, found.low, found.high]).all()


def test_one_method_on_one_problem_to_one_target() -> None:
    """It is the cheapest of itself: a ratio of 1, alone on the one pair, without an interval."""
    results = analysed(planted("one", targets=(0.1,), noise=0.0))
    (row,) = results.accuracies["stationarity"].standings.to_dict("records")
    assert (row["method"], row["met"], row["pairs"]) == ("one", 1, 1)
    assert (row["alone"], row["tied"]) == (1, 0)
    assert (row["ratio"], row["iqm"]) == (1.0, pytest.approx(1.0))
    ends = [row[f"{name}_{end}"] for name in ("ratio", "iqm") for end in ("low", "high")]
    assert np.isnan(ends).all()
    sentences = findings(results)
    assert not [each for each in sentences if "sampled methods" in each]
    assert the(sentences, "at an edge").endswith(
        "of 1 setting that reaches a target 0 are at an edge of the search and 0 were decided by the "
        "technical limit on iterations."
    )


def test_one_of_each_is_told_in_the_singular() -> None:
    """Of two methods on one pair one misses, ends at a floor, and the other is at an edge and cut."""
    reaching = planted("two", targets=(0.1,), noise=0.0, interior=False, reward_distance=0.5)
    missing = planted("one", targets=(0.1,), noise=0.0, failures={0.1: 16}, reward_distance=0.5)
    sentences = findings(analysed(reaching.assign(cut=True), missing))
    assert "of 1 pair of problem and target and 2 sampled methods" in the(sentences, "sampled")
    assert "of 1 stated rate on a problem: 1 not reached; 1 ends at a floor" in the(
        sentences, "stated rate"
    )
    assert "Method one 1 of 1, on 1 problem, ending at" in the(sentences, "seeds miss")
    assert "on 1 misspecified problem the regret" in the(sentences, "misspecified")
    assert "of 1 setting that reaches a target 1 is at an edge of the search and 1 was decided" in (
        the(sentences, "at an edge")
    )


def test_no_pair_that_all_methods_have() -> None:
    """Two methods share a pair, the third has another: each has half of the pairs, and none all."""
    results = analysed(
        planted("one", problem="hill", targets=(0.1,), level=100.0, noise=0.0),
        planted("two", problem="hill", targets=(0.1,), level=400.0, noise=0.0),
        planted("three", problem="dale", targets=(0.1,), noise=0.0),
    )
    found = results.accuracies["stationarity"]
    assert set(found.standings["method"]) == {"one", "two", "three"}
    unknown = found.standings[[f"ratio{end}" for end in ("", "_low", "_high")]]
    assert unknown.isna().all(axis=None)
    assert found.standings["iqm"].isna().all()
    alone = found.standings.set_index("method")["alone"]
    # On hill one is the cheaper by a factor of four, and three has dale for itself.
    assert alone.to_dict() == {"one": 1, "two": 0, "three": 1}
    assert found.performance is None
    assert found.data is None
    # The two on hill are compared, and no sentence has a ratio that is not known.
    assert the(findings(results), "most targets") == (
        "By stationarity: most targets are met by Method one (1 of 1) and Method two (1 of 1); the first "
        "is cheaper than the second with probability 1, on one problem, which shows no variation over "
        "problems."
    )


def test_two_methods_without_a_common_target_are_not_compared() -> None:
    results = analysed(
        planted("one", targets=(0.1,), noise=0.0), planted("two", targets=(0.3,), noise=0.0)
    )
    assert results.accuracies["stationarity"].standings["ratio"].isna().all()
    assert not [each for each in findings(results) if "most targets" in each]


def test_methods_that_reach_nothing_have_no_regret() -> None:
    """Below a target that no setting reaches nothing is run, so that there is no policy either."""
    nothing = planted("one", targets=(0.1,), failures={0.1: 16}).assign(status="not reached")
    results = analysed(nothing)
    (row,) = results.accuracies["stationarity"].standings.to_dict("records")
    assert (row["met"], row["pairs"]) == (0, 1)
    assert np.isinf(row["ratio"])
    assert np.isnan(row["regret"])
    assert "Method one 1 of 1, on 1 problem" in the(findings(results), "seeds miss")


def test_exact_descent_alone_has_no_standing() -> None:
    results = analysed(planted("exact", targets=(0.1,), exact=True))
    found = results.accuracies["stationarity"]
    assert found.standings.empty
    assert found.performance is None
    assert len(found.costs) == 1
