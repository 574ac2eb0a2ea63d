"""Curves and ratios on tables whose excess, looseness and means are planted."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from theory_check.analysis import judge, judge_curve_rate, judge_ratio_rate
from theory_check.analysis.computed_verdicts import simultaneous
from theory_check.claims.base import Claim
from theory_check.claims.rates import CurveRate, Rate, RatioRate
from theory_check.errors import InvalidArgumentError

CURVE = CurveRate("below", "k", "gap", "bound", "$k$", "$g$")
MEAN = dataclasses.replace(CURVE, average=True)
RATIO = RatioRate("quarter", "sigma", "noise", "forward", 0.05, (1.0,), "$s$", "$r$", stated=0.25)

STEPS = np.arange(1.0, 11.0)


def curves(share: float = 0.5, seeds: int = 4) -> pd.DataFrame:
    """``gap = share / k`` under ``bound = 1 / k``."""
    rows = [
        pd.DataFrame({"seed": seed, "k": STEPS, "gap": share / STEPS, "bound": 1 / STEPS})
        for seed in range(seeds)
    ]
    return pd.concat(rows, ignore_index=True).assign(problem="p", status="ok")


def claim(*rates: Rate) -> Claim:
    return Claim("planted", "It is.", "here", "D", "measured", "Yes.", ("none",), "planted", rates)


def test_a_curve_is_kept_with_its_looseness() -> None:
    table = curves()
    table.loc[(table["seed"] == 2) & (table["k"] == 7), "gap"] = 0.8 / 7
    found = judge_curve_rate(CURVE, table, "p")
    assert found.status == "holds"
    assert found.measured["smallest ratio"] == pytest.approx(1.25)
    assert (found.measured["of seed"], found.measured["at x"]) == (2, 7.0)
    assert found.measured["median ratio"] == pytest.approx(2.0)
    assert list(found.numbers.rows("below")) == [
        ("below", "bound/measured 1.25 smallest, 2 median", ">= 1")
    ]


def test_one_row_above_is_enough_and_half_of_a_loose_bound_is_not() -> None:
    table = curves(0.6)
    # Half of the bound is 0.5/k, below 0.6/k everywhere.
    halved = judge_curve_rate(dataclasses.replace(CURVE, factor=0.5), table, "p")
    assert halved.status == "violated"
    assert halved.evidence["rows above"] == 40
    # A bound that is more than twice too loose hides that error: the ratio says so.
    loose = judge_curve_rate(dataclasses.replace(CURVE, factor=0.5), curves(0.4), "p")
    assert loose.status == "holds"
    assert loose.measured["smallest ratio"] == pytest.approx(1.25)
    table.loc[11, "gap"] = 1.001 / table.loc[11, "k"]
    found = judge_curve_rate(CURVE, table, "p")
    assert found.status == "violated"
    assert (found.evidence["rows above"], found.evidence["seeds above"]) == (1, 1)


def test_equality_up_to_rounding_is_no_excess() -> None:
    table = curves(1.0)
    assert judge_curve_rate(CURVE, table, "p").status == "holds"
    table["gap"] *= 1 + 0.9e-9
    assert judge_curve_rate(CURVE, table, "p").status == "holds"
    table["gap"] *= 1 + 0.2e-9
    assert judge_curve_rate(CURVE, table, "p").status == "violated"
    # No share of a bound of 0 is above 0.
    assert judge_curve_rate(CURVE, curves().assign(bound=0.0), "p").status == "violated"


def test_what_says_nothing_is_not_judged() -> None:
    failed = curves()
    failed.loc[3, "status"] = "diverged"
    unknown = curves()
    unknown.loc[[3, 4], "bound"] = [np.nan, np.inf]
    elsewhere = dataclasses.replace(CURVE, where={"k": 99.0})
    for rate, table, why in (
        (CURVE, failed, "1 of 40 rows have status 'diverged' (seeds 0)"),
        (CURVE, unknown, "2 of 40 rows have no finite value and bound"),
        (CURVE, curves(0.0), "gap is nowhere above 0"),
        (MEAN, curves(0.0), "gap is nowhere above 0"),
        (elsewhere, curves(), "the table has no rows for it with k = 99.0"),
        (MEAN, curves(seeds=1), "it has one seed, and an interval needs at least 2"),
    ):
        found = judge_curve_rate(rate, table, "p")
        assert found.status == "inconclusive"
        assert found.reason == f"cannot be judged: {why}."
        assert found.measured == {}
    with pytest.raises(InvalidArgumentError, match="no column 'bound'"):
        judge_curve_rate(CURVE, curves().drop(columns="bound"), "p")


def noisy(share: float, seeds: int, deviation: float, seed: int = 0) -> pd.DataFrame:
    table = curves(share, seeds)
    noise = np.random.default_rng(seed).standard_normal(len(table))
    return table.assign(gap=table["gap"] * (1 + deviation * noise))


def test_a_mean_is_exceeded_beyond_its_interval_or_not() -> None:
    """Relative standard error 0.02 of 10 means; all are at least 5 of them from the bound.

    t quantile of 99 degrees at 1 - 0.05/20: 2.9. Wrong with probability below 10 P(T > 2) for a mean at
    1.1 (violated needs one of ten beyond), far below 1e-6 as all ten would have to fail; and 1e-3 for
    0.9: the draws are fixed.
    """
    assert judge_curve_rate(MEAN, noisy(0.9, 100, 0.2), "p").status == "holds"
    # Single rows are above the bound all the same.
    assert judge_curve_rate(CURVE, noisy(0.9, 100, 0.2), "p").status == "violated"
    found = judge_curve_rate(MEAN, noisy(1.1, 100, 0.2), "p")
    assert found.status == "violated"
    assert found.measured["of seed"] is None
    # A mean that is the bound itself is above it at some of ten x, with probability 1 - 2^-10.
    assert judge_curve_rate(MEAN, noisy(1.0, 100, 0.2), "p").status == "inconclusive"


@pytest.mark.slow
def test_a_mean_of_a_sharp_bound_is_rarely_called_violated() -> None:
    """At equality one-sided Bonferroni: at most 2.5 % of tables; 200 tables, P(more than 14) < 1e-3."""
    violated = sum(
        judge_curve_rate(MEAN, noisy(1.0, 12, 0.2, seed), "p").status == "violated"
        for seed in range(200)
    )
    assert stats.binom.sf(14, 200, 0.025) < 1e-3
    assert violated <= 14


def ratios(ratio: float, deviation: float, seeds: int = 50, points: int = 4) -> pd.DataFrame:
    """A ratio with relative noise, over a denominator that differs between seeds and points."""
    generator = np.random.default_rng(3)
    frames = []
    for seed in range(seeds):
        forward = np.exp(generator.standard_normal(points))
        noise = 1 + deviation * generator.standard_normal(points)
        frames.append(
            pd.DataFrame(
                {
                    "seed": seed,
                    "sigma": np.geomspace(0.1, 0.01, points),
                    "noise": ratio * forward * noise,
                    "forward": forward,
                }
            )
        )
    return pd.concat(frames, ignore_index=True).assign(problem="p", status="ok")


@pytest.mark.parametrize(
    ("ratio", "deviation", "status"),
    [
        # Exact ratios: no interval to speak of.
        (0.25, 0.0, "tight"),
        (0.25 * 1.049, 0.0, "tight"),
        (0.25 * 1.051, 0.0, "violated"),
        (0.25 * 0.949, 0.0, "violated"),
        # Standard error 0.4 %, t about 2.6: the band is 12 of them wide on either side.
        (0.25, 0.03, "tight"),
        (0.25 * 1.05, 0.03, "inconclusive"),
        (0.25 * 1.1, 0.03, "violated"),
        # Standard error 7 %: a right ratio is not shown.
        (0.25, 0.5, "inconclusive"),
        # The rival.
        (1.0, 0.03, "violated"),
    ],
)
def test_a_ratio_is_met_missed_or_not_shown(ratio: float, deviation: float, status: str) -> None:
    """False alarms: a status needs a mean ten standard errors away, or, on the edge of the band and at
    7 %, four means that all lie 2.6 of them to one side."""
    found = judge_ratio_rate(RATIO, ratios(ratio, deviation), "p")
    assert found.status == status
    assert found.predicted == {
        "ratio": 0.25,
        "low": pytest.approx(0.2375),
        "high": pytest.approx(0.2625),
    }
    assert found.y.shape == (50, 4)
    assert found.measured["replicates"] == 50


def test_one_x_outside_is_enough() -> None:
    table = ratios(0.25, 0.01)
    table.loc[table["sigma"] == table["sigma"].min(), "noise"] *= 1.2
    found = judge_ratio_rate(RATIO, table, "p")
    assert found.status == "violated"
    assert found.measured["ratio"] == pytest.approx(0.3, rel=0.02)
    assert found.reason.endswith("outside at 1 of 4.")


def test_intervals_cover_all_points_at_once() -> None:
    """400 tables of 5 means: at least 95 % cover all five; P(fewer than 365) < 1e-3."""
    generator = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        found = simultaneous(generator.standard_normal((8, 5)))
        covered += all(each.low <= 0 <= each.high for each in found)
    assert stats.binom.cdf(364, 400, 0.95) < 1e-3
    assert covered >= 365
    (one,) = simultaneous(np.array([[1.0], [3.0]]))
    # t of one degree of freedom at 0.975 is 12.706, the standard error is 1.
    assert (one.value, one.high) == (2.0, pytest.approx(2 + 12.7062, rel=1e-5))


def test_numbers_that_are_no_ratio_are_not_judged() -> None:
    negative = ratios(0.25, 0.0)
    negative.loc[0, "forward"] = 0.0
    for table, why in (
        (negative, "values of forward that are not positive"),
        (ratios(0.25, 0.0, seeds=1), "it has one seed, and an interval needs at least 2"),
    ):
        found = judge_ratio_rate(RATIO, table, "p")
        assert (found.status, found.reason) == ("inconclusive", f"cannot be judged: {why}.")
    with pytest.raises(InvalidArgumentError, match="no column 'forward'"):
        judge_ratio_rate(RATIO, ratios(0.25, 0.0).drop(columns="forward"), "p")


def test_declarations_that_could_not_fail_are_refused() -> None:
    for changes, named in (
        ({"within": 0.8}, "within: received 0.2"),
        ({"rivals": (0.28,)}, "within: received 0.0125; pass at most 0.0075"),
        ({"rivals": ()}, "rivals: received"),
        ({"stated": 0.0}, "stated: received 0.0"),
    ):
        with pytest.raises(InvalidArgumentError, match=named):
            dataclasses.replace(RATIO, **changes)  # type: ignore[arg-type]
    for changes, named in (({"rounding": 0.1}, "rounding"), ({"factor": 0.0}, "factor")):
        with pytest.raises(InvalidArgumentError, match=f"{named}: received"):
            dataclasses.replace(CURVE, **changes)  # type: ignore[arg-type]


def test_claims_of_both_kinds_are_judged_and_reported() -> None:
    table = curves()
    verdict = judge(claim(CURVE), table)
    assert verdict.status == "holds"
    assert verdict.to_dict()["predicted"] == [
        {"problem": "p", "rate": "below", "bound over measured": ">= 1"}
    ]
    unmet = judge(
        claim(CURVE, RATIO), table.assign(sigma=1, noise=1, forward=1), {"p": {"a": "no"}}
    )
    assert [rate.status for rate in unmet.rates] == ["assumption not met"] * 2
    assert [next(rate.numbers.rows("r"))[1] for rate in unmet.rates] == ["-", "-"]
    ratio = judge(claim(RATIO), ratios(0.25, 0.01))
    assert ratio.status == "tight"
    assert not math.isnan(float(ratio.measured[0]["ratio"]))  # type: ignore[arg-type]


def test_instances_of_a_family_are_the_unit() -> None:
    table = curves(seeds=6)
    table["instance"] = table["seed"] // 2
    table.loc[(table["seed"] == 3) & (table["k"] == 4), "gap"] = 1.0
    # A start above the curve breaks it for its instance, an average of two starts does not.
    broken = judge(claim(CURVE), table).rates[0]
    assert broken.status == "violated"
    assert (broken.evidence["seeds"], broken.evidence["seeds above"]) == (3, 1)
    assert judge(claim(MEAN), table).rates[0].evidence["seeds"] == 3
    pairs = ratios(0.25, 0.0, seeds=6)
    pairs["instance"] = pairs["seed"] // 2
    found = judge(claim(RATIO), pairs).rates[0]
    assert (found.status, found.y.shape) == ("tight", (3, 4))
