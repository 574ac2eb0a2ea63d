"""An inequality on one problem: how many seeds keep it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats

from theory_check.analysis.judged import require_judged
from theory_check.analysis.rate_verdict import RateVerdict, Status, rows_of
from theory_check.claims.rates import InequalityRate

LEVEL = 0.95


def predicted_share(rate: InequalityRate) -> dict[str, object]:
    """Return the share of seeds that have to keep the inequality, and the inequality."""
    share = f">= {1 - rate.allowed_share:.3g}"
    if rate.confidence is not None:
        share += f" with confidence {rate.confidence:g}"
    return {"share": share, "bounds": bounds_of(rate)}


def bounds_of(rate: InequalityRate) -> str:
    """Return the inequality as text."""
    low = "" if rate.low is None else f"{rate.low:g} <= "
    high = "" if rate.high is None else f" <= {rate.high:g}"
    return f"{low}{rate.y}{high}"


def clopper_pearson(successes: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the exact interval for a probability (Clopper and Pearson, Biometrika 1934).

    Parameters
    ----------
    successes, trials
        Counts, ``0 <= successes <= trials`` and ``trials >= 1``.
    level
        Smallest coverage.
    """
    found = stats.binomtest(successes, trials).proportion_ci(level, method="exact")
    return float(found.low), float(found.high)


def judge_inequality_rate(rate: InequalityRate, table: pd.DataFrame, problem: str) -> RateVerdict:
    """Judge an inequality on one problem.

    A seed keeps it if all its rows do. The first rule that applies decides:

    1. *inconclusive*: no rows, a row whose ``status`` is not ``"ok"``, or a value that is not a
       number: leaving out such seeds would favour the claim;
    2. with a ``confidence``: *holds* where the lower one-sided end of the share that keeps it is at
       least ``1 - allowed_share``, *violated* where the upper one is below, *inconclusive* between;
    3. *violated*: more seeds than ``allowed_share`` of them break it;
    4. *holds*: a kept inequality says nothing about whether a sharper one is kept too.

    Raises
    ------
    InvalidArgumentError
        If the table lacks a column.
    """
    require_judged(InequalityRate, rate, table, problem)
    predicted = predicted_share(rate)

    def refused(why: str) -> RateVerdict:
        reason = f"cannot be judged: {why}."
        unjudged = {"problem": problem, "rate": rate.name, "predicted": predicted}
        return RateVerdict(rate.name, problem, "inconclusive", reason, predicted, {}, unjudged)

    rows = rows_of(rate, table, problem)
    if isinstance(rows, str):
        return refused(rows)
    missing = int(rows[rate.y].isna().sum())
    if missing:
        return refused(f"{missing} of {len(rows)} rows have no value")
    low = -math.inf if rate.low is None else rate.low
    high = math.inf if rate.high is None else rate.high
    # Infinity is inside no bound: [low, inf) is open.
    values = rows[rate.y].to_numpy(dtype=np.float64)
    inside = (values >= low) & (values <= high) & np.isfinite(values)
    kept = pd.Series(inside, index=rows["seed"]).groupby(level=0).all()
    seeds, keeping = len(kept), int(kept.sum())
    allowed = math.floor(rate.allowed_share * seeds + 1e-9)
    status: Status = "violated" if seeds - keeping > allowed else "holds"
    needed = f"{allowed} exceptions allowed"
    if rate.confidence is not None:
        status, needed = _confident(keeping, seeds, 1 - rate.allowed_share, rate.confidence)
    share_low, share_high = clopper_pearson(keeping, seeds)
    measured = {"share": keeping / seeds, "low": share_low, "high": share_high}
    breaking = [int(seed) for seed in kept.index[~kept.to_numpy()]]
    reason = (
        f"{bounds_of(rate)} for {keeping} of {seeds} seeds (share {keeping / seeds:.3f} "
        f"[{share_low:.3f}, {share_high:.3f}]), {needed}; {rate.y} between "
        f"{values.min():.3g} and {values.max():.3g}, median {np.median(values):.3g}."
    )
    evidence: dict[str, object] = {
        "problem": problem,
        "rate": rate.name,
        "predicted": predicted,
        "measured": measured,
        "seeds": seeds,
        "exceptions": breaking,
        "smallest": float(values.min()),
        "median": float(np.median(values)),
        "largest": float(values.max()),
    }
    return RateVerdict(rate.name, problem, status, reason, predicted, measured, evidence)


def _confident(keeping: int, seeds: int, share: float, confidence: float) -> tuple[Status, str]:
    """Judge a share by its one-sided Clopper-Pearson ends, each at the level ``confidence``."""
    # The two ends of an interval of level 2c - 1 miss with probability 1 - c each.
    low, high = clopper_pearson(keeping, seeds, 2 * confidence - 1)
    needed = (
        f"one-sided ends {low:.4f} and {high:.4f} at confidence {confidence:g}, {share:g} is needed"
    )
    if low >= share:
        return "holds", needed
    return ("violated" if high < share else "inconclusive"), needed
