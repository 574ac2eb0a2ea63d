"""Sentences about planted comparisons: every number in them is a planted one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.comparison_tables import TARGETS, method, planted

from theory_check.analysis.comparison import (
    ComparedMethod,
    ComparisonResults,
    compare,
    findings,
)
from theory_check.analysis.intervals import number

METHODS = {
    "penalty": method("penalty", 3.0),
    "penalty-shared": replace(method("penalty-shared", 2.0), shared_batch_of="penalty"),
    "offline": replace(method("offline", None), ignores_response=True),
    "exact": replace(method("exact", 1.0, cost="iterations"), baseline=True),
}
EMPTY = pd.DataFrame()


def analysed(
    tables: Sequence[pd.DataFrame],
    shift: Sequence[pd.DataFrame] = (),
    methods: Mapping[str, ComparedMethod] = METHODS,
) -> ComparisonResults:
    table = pd.concat(tables, ignore_index=True) if tables else EMPTY
    shifted = pd.concat(shift, ignore_index=True) if shift else EMPTY
    objectives = {} if table.empty else dict.fromkeys(table["problem"].unique(), "excess_risk")
    return compare(table, shifted, methods, objectives)


def the(sentences: Sequence[str], *words: str) -> str:
    """Return the one sentence that has all of the words."""
    (found,) = [each for each in sentences if all(word in each for word in words)]
    return found


def both(name: str, **settings: Any) -> list[pd.DataFrame]:
    """Return a method on two problems, twice each, without noise but for rounding."""
    return [
        planted(name, problem=problem, repetitions=2, noise=0.0, tuning_noise=1e-6, **settings)
        for problem in ("hill", "dale")
    ]


def test_the_cheapest_is_named_with_its_factor() -> None:
    """The shared batch costs a quarter on both."""
    tables = [*both("penalty", level=400.0), *both("penalty-shared", level=100.0)]
    sentences = findings(analysed(tables))
    assert the(sentences, "cheapest alone") == (
        "By stationarity: of 10 pairs of problem and target and 2 sampled methods, cheapest alone are "
        "Method penalty-shared on 10, by a median factor of 4 over the next; on 0 the cheapest are tied "
        "within their intervals, and on 0 no method meets the target."
    )
    assert the(sentences, "most targets") == (
        "By stationarity: most targets are met by Method penalty-shared (10 of 10, 1 [1, 1] times the "
        "cheapest) and Method penalty (10 of 10, 4 [4, 4] times the cheapest), medians over pairs; the "
        "first is cheaper than the second with probability 1 [1, 1]."
    )
    assert the(sentences, "independent batches") == (
        "By stationarity: independent batches take a median of 4 [4, 4] times the samples of a shared "
        "one in Method penalty, over 10 pairs of problem and target that both reach; the shared batch is "
        "cheaper with probability 1 [1, 1]."
    )


def test_what_tuning_explains_is_no_finding() -> None:
    """The same quarter, in a study whose repetitions differ by more than that."""
    tables = [
        planted(name, problem=problem, repetitions=2, noise=0.0, level=level, tuning_noise=2.0)
        for name, level in (("penalty", 400.0), ("penalty-shared", 100.0))
        for problem in ("hill", "dale", "vale", "moor")
    ]
    sentences = findings(analysed(tables))
    assert "no method is cheapest alone; on 20 the cheapest are tied" in the(sentences, "sampled")
    assert "no difference beyond the variation" in the(sentences, "independent batches")


def test_a_method_without_a_reward_is_shown_and_not_ranked() -> None:
    """It would be the cheapest; two of its five targets take 2 iterations."""
    dpo = planted("online-dpo", noise=0.0, level=1.0)
    dpo["iterations"] = np.where(dpo["target"] >= 0.1, 2.0, 30.0)
    known = METHODS | {"online-dpo": replace(method("online-dpo", None), learns_reward=False)}
    tables = [planted(name, noise=0.0) for name in ("penalty", "offline")]
    sentences = findings(analysed([*tables, dpo], methods=known))
    assert "2 sampled methods" in the(sentences, "cheapest alone")
    assert the(sentences, "not ranked") == (
        "By stationarity: Method online-dpo is not ranked: it has no reward model and starts at the "
        "reference policy, which implies reward 0. Of 5 targets it meets 5 in most seeds, 2 of them "
        "within 2 iterations."
    )


def test_equal_costs_have_no_winner() -> None:
    tables = [planted(name, noise=0.0) for name in ("penalty", "offline")]
    sentence = the(findings(analysed(tables)), "2 sampled methods")
    assert "no method is cheapest alone; on 5 the cheapest are tied" in sentence


def test_iterations_are_compared_with_those_of_exact_descent() -> None:
    """Exponents of 2 and 1 from the same constant: the ratio is 1/target, its median 1/0.03."""
    tables = [
        planted("penalty", noise=0.0, iterations_exponent=2.0),
        planted("exact", noise=0.0, iterations_exponent=1.0, exact=True),
    ]
    sentence = the(findings(analysed(tables)), "Method exact descent")
    assert f"a median of {number(1 / 0.03)} times the iterations" in sentence
    assert "(5 pairs" in sentence


def test_violated_rates_are_named_in_both_conventions() -> None:
    tables = [
        planted("penalty", noise=0.0, exponent=3.5),
        planted("penalty", problem="dale", noise=0.0, exponent=3.0, failures={0.003: 16}),
        planted("offline", noise=0.0, exponent=3.0),
    ]
    sentences = findings(analysed(tables))
    assert the(sentences, "stated rates on a problem") == (
        "By stationarity: of 2 stated rates on a problem: 1 violated and 1 tight; 1 ends at a floor, "
        "below which most seeds meet no target."
    )
    assert the(sentences, "exceeds") == (
        "By stationarity: Method penalty exceeds its stated exponent 3 (norm 6) on hill (p = 3.5 [3.5, "
        "3.5]; norm 7 [7, 7])."
    )


def test_no_rate_of_a_gradient_is_judged_by_the_value_gap() -> None:
    tables = [planted("penalty", noise=0.0, exponent=3.5, accuracy="value gap")]
    results = analysed(tables)
    assert [each.verdict for each in results.accuracies["value gap"].rates] == ["no stated rate"]
    assert results.accuracies["value gap"].rates[0].exponent.value == pytest.approx(3.5)
    assert all(each.startswith("By value gap: ") for each in findings(results))


def test_missed_targets_are_counted_with_the_floor() -> None:
    tables = [
        planted("offline", failures={0.01: 16, 0.003: 16}),
        planted("offline", problem="dale", failures={0.003: 7}),
        planted("penalty"),
        planted("penalty", problem="dale"),
    ]
    sentences = findings(analysed(tables))
    assert the(sentences, "most seeds miss: ") == (
        "By stationarity: targets that most seeds miss: Method offline 2 of 10, on 1 problem, ending "
        "at a median of 10 times the first one."
    )
    diverged = tables[0].assign(ended=np.nan)
    assert "no accuracy (0 finite runs)" in the(findings(analysed([diverged])), "seeds miss: ")


def test_pairs_that_nobody_reaches_are_said() -> None:
    tables = [planted(name, failures={0.003: 16}) for name in ("offline", "penalty")]
    assert "on 1 no method meets the target." in the(findings(analysed(tables)), "cheapest alone")


def test_edges_and_another_tuning_are_told() -> None:
    """Two of three tables ended at an edge; the second repetition costs e times the first."""
    edge = planted("penalty", noise=0.0, repetitions=2, interior=False)
    edge["cost"] *= np.exp(edge["repetition"])
    tables = [edge, planted("offline", noise=0.0), planted("exact", interior=False, exact=True)]
    tables[1]["cut"] = True
    assert the(findings(analysed(tables)), "at an edge") == (
        "By stationarity: of 15 settings that reach a target 10 are at an edge of the search and 5 were "
        "decided by the technical limit on iterations; another tuning and other seeds change the cost of "
        f"a target by a median factor of {number(np.e)}, at most {number(np.e)}, of Method penalty."
    )


def test_regrets_are_those_of_misspecified_problems() -> None:
    """Relative regrets of offline are 3 on hill and 5 on dale; vale is realisable."""
    tables = [
        planted("offline", policy_regret=0.3, reward_distance=0.5),
        planted("penalty", policy_regret=0.1, reward_distance=0.5),
        planted("offline", problem="dale", policy_regret=1.0, reward_distance=0.5),
        planted("penalty", problem="dale", policy_regret=0.2, reward_distance=0.5),
        planted("offline", problem="vale", policy_regret=9.0),
        planted("penalty", problem="vale", policy_regret=0.1),
    ]
    assert the(findings(analysed(tables)), "misspecified") == (
        "By stationarity: on 2 misspecified problems the regret of the final policy under the true "
        "reward, KL term included, is in the median over problems so many times the least of 2 methods: "
        "Method penalty 1 [1, 1] and Method offline 3 [3, 5]."
    )


def shifted(name: str, distance: float, policy_regret: float) -> pd.DataFrame:
    return planted(
        name,
        problem=f"bandit-{distance:g}",
        targets=(0.1,),
        reward_distance=distance,
        policy_regret=policy_regret,
    )


def test_shift_is_told_from_the_least_to_the_most() -> None:
    shift = [
        # What rounding leaves of a distance is none.
        shifted("penalty", 0.0, 0.1).assign(reward_distance=3e-16),
        shifted("penalty", 0.6, 0.2),
        shifted("exact", 0.0, 0.1).assign(reward_distance=3e-16),
        shifted("exact", 0.6, 0.3),
        shifted("offline", 0.0, 0.1).assign(reward_distance=3e-16),
        shifted("offline", 0.6, 0.4),
        shifted("penalty-shared", 0.0, 0.1).assign(reward_distance=3e-16),
        shifted("penalty-shared", 0.6, 0.8),
    ]
    (sentence,) = findings(analysed([], shift))
    assert sentence == (
        "Distribution shift, bandit: as the distance of the true reward to the class grows from 0 "
        "to 0.6, the regret of the final policy goes, from the least to the most of 4 methods, in Method "
        "penalty from 0.1 to 0.2 [0.2, 0.2], Method offline from 0.1 to 0.4 [0.4, 0.4] and Method "
        "penalty-shared from 0.1 to 0.8 [0.8, 0.8]."
    )
    assert findings(analysed([], shift[:1])) == []


def test_every_sentence_has_a_number_and_nothing_gives_none() -> None:
    tables = [
        planted(name, exact=name == "exact", failures={0.003: 9}, reward_distance=0.1)
        for name in METHODS
    ]
    sentences = findings(analysed(tables, [shifted("offline", 0.0, 1.0)]))
    assert len(sentences) >= len(TARGETS)
    assert all(any(character.isdigit() for character in each) for each in sentences)
    assert findings(analysed([])) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (2.0, "2"), (12345.0, "1.23e4"), (1e-7, "1e-7"), (999.6, "1e3"), (0.25, "0.25")],
)
def test_numbers_are_short_and_can_be_read_back(value: float, text: str) -> None:
    assert number(value) == text
    assert float(text) == pytest.approx(value, rel=5e-3)
