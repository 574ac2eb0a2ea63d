"""A geometric rate on one problem: whether the decay is geometric, for every replicate."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from theory_check.analysis.decay import (
    MINIMUM_USABLE,
    DecayComparison,
    GeometricFit,
    compare_decay,
    fit_geometric,
)
from theory_check.analysis.judged import require_judged
from theory_check.analysis.rate_verdict import RateVerdict, Status, curves_of
from theory_check.claims.rates import GeometricRate
from theory_check.errors import InvalidArgumentError

# A power law loses few decades by nature: less is asked of it than of a geometric decay.
MINIMUM_DECADES_OF_DECAY = 0.5
# Slope of the later half over that of the earlier half, below which a decay is slowing down and
# above whose reciprocal it is speeding up.
STEADY_SLOPE_RATIO = 0.8


def judge_geometric_rate(rate: GeometricRate, table: pd.DataFrame, problem: str) -> RateVerdict:
    """Judge a geometric rate on one problem.

    The first rule that applies decides:

    1. *inconclusive*: unusable rows, or too few points before the numerical floor; *violated*: a
       replicate that by itself does not decay or decays like a power law, since the statement is
       about every replicate; *inconclusive*: a floor above ``resolved`` of the start;
    2. *violated*: the power law predicts the held-out half better
       (:func:`theory_check.analysis.decay.compare_decay`) over at least half a decade of x or y;
    3. *inconclusive*: undecided, less than ``minimum_decades`` of y, a rho whose interval
       reaches 1, or a decay that slows down: later slope below 0.8 of the earlier one;
    4. *faster*: it speeds up: later slope above 1.25 of the earlier one;
    5. *holds*: rho < 1 is an inequality, and no rho is predicted that could be tight.

    Raises
    ------
    InvalidArgumentError
        If the table lacks a column or has several rows for one seed and x.
    """
    require_judged(GeometricRate, rate, table, problem)
    predicted = {"rho": "< 1"}

    def verdict(
        status: Status,
        reason: str,
        fit: GeometricFit | None = None,
        comparison: DecayComparison | None = None,
    ) -> RateVerdict:
        measured: dict[str, object] = (
            {} if fit is None else {"rho": fit.rho, "low": fit.low, "high": fit.high}
        )
        evidence: dict[str, object] = {
            "problem": problem,
            "rate": rate.name,
            "predicted": predicted,
        }
        if fit is not None and comparison is not None:
            evidence |= _geometric_evidence(fit, comparison) | {"measured": measured}
        return RateVerdict(
            rate.name, problem, status, reason, predicted, measured, evidence, fit, x, y
        )

    x, y = np.empty(0), np.empty((0, 0))
    found = curves_of(rate, table, problem)
    if isinstance(found, str):
        return verdict("inconclusive", f"cannot be judged: {found}.")
    x, y = found
    if x.size < MINIMUM_USABLE:
        return verdict(
            "inconclusive", f"cannot be judged: {x.size} points, {MINIMUM_USABLE} are needed."
        )
    try:
        comparison = compare_decay(x, y)
    except InvalidArgumentError as refusal:
        return verdict("inconclusive", f"cannot be judged: {refusal.received}.")
    fit = fit_geometric(x, y, burn_in=comparison.burn_in)
    status, because = _geometric_status(rate, fit, comparison, _floor_left_out(y, x, fit))
    summary = (
        f"{rate.y} falls {comparison.decades:.1f} decades with rho {fit.rho:.4g} "
        f"[{fit.low:.4g}, {fit.high:.4g}] per step of {rate.x}; prediction errors of power law "
        f"over geometric decay 10^{comparison.statistic:.2f} "
        f"[10^{comparison.low:.2f}, 10^{comparison.high:.2f}]"
    )
    return verdict(status, f"{summary}: {because}.", fit, comparison)


def _floor_left_out(y: NDArray[np.float64], x: NDArray[np.float64], fit: GeometricFit) -> float:
    """Return the highest level, relative to a replicate's largest value, that the fit left out."""
    order = np.argsort(x)
    levels = [
        float(np.median(np.abs(row[order][stop:]))) / float(row.max())
        for row, (_, stop) in zip(y, fit.usable, strict=True)
        if stop < row.size
    ]
    return max(levels, default=0.0)


def _geometric_status(
    rate: GeometricRate, fit: GeometricFit, comparison: DecayComparison, floor: float
) -> tuple[Status, str]:
    """Apply the rules of :func:`judge_geometric_rate` to a fit."""
    if comparison.dissenting:
        return "violated", (
            f"{len(comparison.dissenting)} of {comparison.replicates} replicates do not decay, or "
            "decay like a power law, by themselves"
        )
    if floor > rate.resolved:
        return "inconclusive", (
            f"a floor near {floor:.1g} of the start ends the decay, and the statement has none"
        )
    if comparison.decision == "power law":
        if max(comparison.decades, comparison.decades_x) < MINIMUM_DECADES_OF_DECAY:
            return "inconclusive", "less than half a decade of either axis to tell the two apart"
        return "violated", "a power law predicts the decay better"
    if comparison.decision == "undecided":
        return "inconclusive", "neither model predicts clearly better"
    if comparison.decades < rate.minimum_decades:
        return "inconclusive", f"{rate.minimum_decades:g} decades of {rate.y} are needed"
    if fit.high >= 1:
        return "inconclusive", "the interval of rho reaches 1"
    if fit.slope_ratio_high < STEADY_SLOPE_RATIO:
        return "inconclusive", (
            f"lack of fit, the later slope is {fit.slope_ratio:.2f} of the earlier one"
        )
    if fit.slope_ratio_low > 1 / STEADY_SLOPE_RATIO:
        return "faster", f"the later slope is {fit.slope_ratio:.2f} of the earlier one"
    return "holds", "the decay is geometric"


def _geometric_evidence(fit: GeometricFit, comparison: DecayComparison) -> dict[str, object]:
    return {
        "points": min(stop - start for start, stop in fit.usable),
        "window": [list(part) for part in fit.usable],
        "burn_in_share": comparison.burn_in,
        "replicates": fit.replicates,
        "decades_x": comparison.decades_x,
        "decades_y": comparison.decades,
        "slope_ratio": [fit.slope_ratio_low, fit.slope_ratio, fit.slope_ratio_high],
        "decision": comparison.decision,
        "log10_error_ratio": [comparison.low, comparison.statistic, comparison.high],
    }
