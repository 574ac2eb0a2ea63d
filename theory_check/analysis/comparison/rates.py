"""What the sources of methods state, and whether exponents of the cost in the accuracy are those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from theory_check.analysis.comparison.exponents import FITTED, exponents
from theory_check.analysis.intervals import Interval
from theory_check.analysis.window import MINIMUM_POINTS
from theory_check.provenance import StatedRate

RateVerdictWord = Literal[
    "tight",
    "faster",
    "violated",
    "inconclusive",
    "not reached",
    "assumption not met",
    "no stated rate",
]

MAJORITY = 0.5

JUDGED = ("cost", "iterations")
"""What rates are stated of."""

RESOLUTION = 0.1
"""Half the width of the band around a stated exponent, as a share of it."""

WIDEST = 0.4
"""Widest interval that can be called tight, as a share of the stated exponent."""

REALISABLE = 1e-9
"""Largest distance of a true reward to the class, root mean square, that is rounding."""

MEANING: Mapping[RateVerdictWord, str] = {
    "tight": "the interval of p meets the stated exponent within 10 %",
    "faster": "the whole interval is below it: the bound holds and is not attained here. The "
    "accuracy is a mean over the second half of a run, which a stated bound on the mean over the "
    "whole run bounds up to a factor 2, so the exponents are comparable",
    "violated": "the whole interval is above it: on this problem the cost grows faster",
    "inconclusive": "too few targets or too wide an interval",
    "not reached": "fewer than four targets are reached, so that no rate is judged",
    "assumption not met": "the source assumes a realisable reward and the excess risk",
    "no stated rate": "the source states none of this accuracy",
}
"""What each verdict says."""


@dataclass(frozen=True)
class ComparedMethod:
    """A method as tables and figures call it, and what is stated about it.

    Attributes
    ----------
    id
        Value of the column ``method``.
    title
        Its name in figures.
    rate
        None where its source states none.
    ignores_response, learns_reward, baseline
        As in :class:`~theory_check.solvers.method.Method`. Costs of a method without a reward model are
        shown, but not ranked.
    shared_batch_of
        Id of the method that differs by independent batches alone.
    """

    id: str
    title: str
    rate: StatedRate | None
    ignores_response: bool = False
    learns_reward: bool = True
    baseline: bool = False
    shared_batch_of: str | None = None


@dataclass(frozen=True)
class RateFinding:
    """A method on a problem.

    Attributes
    ----------
    problem, method
        Of the table.
    verdict, reason
        Word and explanation.
    stated
        Stated p of the accuracy of the table; NaN without one.
    judged
        Column that is fitted: ``"cost"`` or ``"iterations"``.
    exponent
        p of ``judged ~ target^-p``, squared norm; twice that for a norm.
    cost_exponent
        The same of the cost, which is what methods have in common.
    points
        Targets that ``FITTED`` of the seeds reached.
    left_out
        The others.
    floor
        The largest target that most seeds miss; NaN where there is none.
    """

    problem: str
    method: str
    verdict: RateVerdictWord
    reason: str
    stated: float
    judged: Literal["cost", "iterations"]
    exponent: Interval
    cost_exponent: Interval
    points: int
    left_out: tuple[float, ...]
    floor: float


def judge_rates(
    table: pd.DataFrame, methods: Mapping[str, ComparedMethod], objectives: Mapping[str, str]
) -> tuple[RateFinding, ...]:
    """Judge every method on every problem against its own source.

    Parameters
    ----------
    table
        A comparison of one accuracy, one row per seed, target and repetition: ``seed, problem, method,
        target, repetition, accuracy, reached, cost, iterations, reward_distance``.
    methods
        What is stated, by the ids in the column ``method``.
    objectives
        The upper objective of every problem, ``""`` where it has none.
    """
    parts = {
        (str(problem), str(method)): part
        for (problem, method), part in table.groupby(["problem", "method"], sort=False)
    }
    fitted = {name: exponents(parts, name) for name in JUDGED}
    return tuple(
        _judge(
            problem,
            methods[method],
            part,
            objectives[problem],
            {name: fitted[name][problem, method] for name in JUDGED},
        )
        for (problem, method), part in parts.items()
    )


def _judge(
    problem: str,
    method: ComparedMethod,
    part: pd.DataFrame,
    objective: str,
    fitted: Mapping[str, tuple[Interval, int]],
) -> RateFinding:
    # What another accuracy costs has an exponent and no statement.
    rate = method.rate
    if rate is not None and not (part["accuracy"] == rate.accuracy).all():
        rate = None
    judged: Literal["cost", "iterations"] = (
        "iterations" if rate is not None and rate.cost == "iterations" else "cost"
    )
    share = part.groupby("target")["reached"].mean()
    exponent, points = fitted[judged]
    verdict, reason = _verdict(rate, part, objective, share, exponent, points)
    missed = share.index[share <= MAJORITY]
    return RateFinding(
        problem=problem,
        method=method.id,
        verdict=verdict,
        reason=reason,
        stated=float("nan") if rate is None else rate.exponent,
        judged=judged,
        exponent=exponent,
        cost_exponent=fitted["cost"][0],
        points=points,
        left_out=tuple(sorted((float(at) for at in share.index[share < FITTED]), reverse=True)),
        floor=float(missed.max()) if len(missed) else float("nan"),
    )


def _verdict(
    rate: StatedRate | None,
    part: pd.DataFrame,
    objective: str,
    share: pd.Series,
    exponent: Interval,
    points: int,
) -> tuple[RateVerdictWord, str]:
    if rate is None:
        return "no stated rate", MEANING["no stated rate"]
    misspecified = bool((part["reward_distance"] > REALISABLE).any())
    if rate.requires == "realisable" and (misspecified or objective != "excess_risk"):
        found = "the reward is misspecified" if misspecified else f"the objective is {objective!r}"
        return "assumption not met", found
    missed = [f"{at:g}" for at in sorted(share.index[share <= MAJORITY], reverse=True)]
    if missed and points < MINIMUM_POINTS:
        return "not reached", f"most seeds miss {', '.join(missed)}"
    if not np.isfinite(exponent.low):
        return "inconclusive", (
            f"{points} targets reached by {100 * FITTED:g} % of {part['seed'].nunique()} seeds; "
            f"a rate needs {MINIMUM_POINTS}, and 2 seeds"
        )
    band = RESOLUTION * rate.exponent
    numbers = f"p in [{exponent.low:.3g}, {exponent.high:.3g}], stated {rate.exponent:g}"
    if exponent.low > rate.exponent + band:
        return "violated", numbers
    if exponent.high < rate.exponent - band:
        return "faster", numbers
    if exponent.high - exponent.low > WIDEST * rate.exponent:
        return "inconclusive", f"too wide: {numbers}"
    return "tight", numbers
