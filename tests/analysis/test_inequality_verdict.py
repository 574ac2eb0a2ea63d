"""Inequalities on tables whose exceptions are planted."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from theory_check.analysis.intervals import clopper_pearson
from theory_check.analysis.replicate_verdicts import judge_inequality_rate
from theory_check.claims.rates import InequalityRate
from theory_check.errors import InvalidArgumentError

RATE = InequalityRate(
    name="bounded",
    x="step",
    y="value",
    low=0.5,
    high=2.0,
    allowed_share=0.125,
    x_symbol="$t$",
    y_symbol="$v$",
)


def table(values: list[float]) -> pd.DataFrame:
    """One seed per value, with a second row that keeps the inequality."""
    seeds = range(len(values))
    first = pd.DataFrame({"seed": seeds, "step": 0, "value": values})
    second = pd.DataFrame({"seed": seeds, "step": 1, "value": 1.0})
    return pd.concat([first, second]).assign(problem="p", status="ok")


@pytest.mark.parametrize(
    ("values", "status", "share"),
    [
        ([1.0] * 16, "holds", 1.0),
        ([0.5] * 8 + [2.0] * 8, "holds", 1.0),
        ([1.0] * 14 + [0.4, 2.1], "holds", 14 / 16),
        ([1.0] * 13 + [0.4, 2.1, 3.0], "violated", 13 / 16),
        ([1.0] * 13 + [np.inf, -np.inf, np.inf], "violated", 13 / 16),
        # An eighth of 7 seeds is less than one.
        ([1.0] * 6 + [3.0], "violated", 6 / 7),
    ],
)
def test_exceptions_are_counted_by_seed(values: list[float], status: str, share: float) -> None:
    verdict = judge_inequality_rate(RATE, table(values), "p")
    assert verdict.status == status
    assert verdict.measured["share"] == share
    exceptions = verdict.evidence["exceptions"]
    assert len(exceptions) == round((1 - share) * len(values))  # type: ignore[arg-type]


def test_one_side_may_be_open_but_infinity_is_outside() -> None:
    rate = dataclasses.replace(RATE, low=None, allowed_share=0.0)
    assert judge_inequality_rate(rate, table([-1e9, 2.0]), "p").status == "holds"
    assert judge_inequality_rate(rate, table([2.1]), "p").status == "violated"
    rate = dataclasses.replace(RATE, high=None, allowed_share=0.0)
    assert judge_inequality_rate(rate, table([1e9]), "p").status == "holds"
    assert judge_inequality_rate(rate, table([np.inf]), "p").status == "violated"


def test_what_was_not_measured_is_not_judged() -> None:
    failed = table([1.0, 1.0])
    failed.loc[failed["seed"] == 1, "status"] = "diverged"
    nowhere = dataclasses.replace(RATE, where={"step": 7})
    for rate, rows, problem, why in (
        (RATE, table([1.0, np.nan]), "p", "1 of 4 rows have no value"),
        (RATE, failed, "p", "2 of 4 rows have status 'diverged' (seeds 1)"),
        (RATE, table([1.0]), "other", "the table has no rows for it"),
        (nowhere, table([1.0]), "p", "the table has no rows for it with step = 7"),
    ):
        verdict = judge_inequality_rate(rate, rows, problem)
        assert verdict.status == "inconclusive"
        assert verdict.reason == f"cannot be judged: {why}."
        assert verdict.measured == {}
    with pytest.raises(InvalidArgumentError, match="no column 'absent'"):
        judge_inequality_rate(dataclasses.replace(RATE, y="absent"), table([1.0]), "p")


def test_interval_solves_its_equations() -> None:
    """14 of 16: P(X >= 14 | low) = P(X <= 14 | high) = 0.025, sums written out."""
    found = clopper_pearson(14, 16)
    low, high = found.low, found.high
    assert found.value == 14 / 16
    upper = 120 * low**14 * (1 - low) ** 2 + 16 * low**15 * (1 - low) + low**16
    lower = 1 - 16 * high**15 * (1 - high) - high**16
    assert upper == pytest.approx(0.025, rel=1e-9)
    assert lower == pytest.approx(0.025, rel=1e-9)
    # All of 16: low^16 = 0.025.
    every, none = clopper_pearson(16, 16), clopper_pearson(0, 16)
    assert (every.low, every.high) == (pytest.approx(0.025 ** (1 / 16)), 1.0)
    assert (none.low, none.high) == (0.0, pytest.approx(1 - 0.025 ** (1 / 16)))


@pytest.mark.parametrize(
    ("kept", "seeds", "status"),
    [
        (59, 59, "holds"),  # 0.95^59 = 0.0485
        (58, 58, "inconclusive"),  # 0.95^58 = 0.0510
        (58, 59, "inconclusive"),
        (53, 59, "inconclusive"),  # P(6 or more exceptions of 59 at 5 %) = 0.075
        (52, 59, "violated"),  # P(7 or more) = 0.029
        (0, 59, "violated"),
    ],
)
def test_a_share_is_shown_with_confidence(kept: int, seeds: int, status: str) -> None:
    """For 95 % of all starts at confidence 95 %; tail probabilities by the binomial sum itself."""
    rate = dataclasses.replace(RATE, allowed_share=0.05, confidence=0.95)
    found = judge_inequality_rate(rate, table([1.0] * kept + [3.0] * (seeds - kept)), "p")
    assert found.status == status
    broken = seeds - kept
    # No exception count as small, or as large, has more than 5 % where the share is exactly 95 %.
    terms = [math.comb(seeds, k) * 0.05**k * 0.95 ** (seeds - k) for k in range(seeds + 1)]
    assert (sum(terms[: broken + 1]) <= 0.05) == (status == "holds")
    assert (sum(terms[broken:]) < 0.05) == (status == "violated")
    assert found.predicted["share"] == ">= 0.95 with confidence 0.95"
    assert "one-sided ends" in found.reason
