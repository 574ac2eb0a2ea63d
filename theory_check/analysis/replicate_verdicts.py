"""Statements about every replicate: a decay that is geometric, an inequality that is kept."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from theory_check.analysis.decay import (
    BURN_IN_SHARES,
    MINIMUM_USABLE,
    DecayComparison,
    GeometricFit,
    compare_decay,
    fit_geometric,
    usable_range,
)
from theory_check.analysis.intervals import Interval, clopper_pearson
from theory_check.analysis.rate_verdict import (
    NOTHING,
    Numbers,
    RateVerdict,
    Row,
    Status,
    basis,
    curves_of,
    require_judged,
    rows_of,
)
from theory_check.claims.rates import GeometricRate, InequalityRate
from theory_check.errors import InvalidArgumentError

# A power law loses few decades by nature: less is asked of it than of a geometric decay.
MINIMUM_DECADES_OF_DECAY = 0.5
# Slope of the later half over that of the earlier half, below which a decay is slowing down and
# above whose reciprocal it is speeding up.
STEADY_SLOPE_RATIO = 0.8


@dataclass(frozen=True)
class DecayFactor(Numbers):
    """The factor rho by which a geometric decay falls with each step."""

    estimate: Interval | None = None

    def predicted(self) -> dict[str, object]:
        """Return what is said of rho."""
        return {"rho": "< 1"}

    def measured(self) -> dict[str, object]:
        """Return rho with its interval."""
        return {} if self.estimate is None else dict(self.estimate.record("rho"))

    def rows(self, name: str) -> Iterator[Row]:
        """Yield the one line of rho."""
        yield name, NOTHING if self.estimate is None else f"{self.estimate:z.3f}", "< 1"


@dataclass(frozen=True)
class KeptShare(Numbers):
    """The share of the seeds that keep an inequality, as text what is needed of it and the inequality."""

    needed: str
    bounds: str
    estimate: Interval | None = None

    def predicted(self) -> dict[str, object]:
        """Return the share that is needed, and the inequality."""
        return {"share": self.needed, "bounds": self.bounds}

    def measured(self) -> dict[str, object]:
        """Return the share with its interval."""
        return {} if self.estimate is None else dict(self.estimate.record("share"))

    def rows(self, name: str) -> Iterator[Row]:
        """Yield the one line of the share."""
        yield name, NOTHING if self.estimate is None else f"{self.estimate:z.3f}", self.needed

    def brief(self) -> tuple[str, str]:
        """Return the share, and what is needed of it without the confidence."""
        measured, needed = super().brief()
        return measured, needed.partition(" with ")[0]


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

    def verdict(
        status: Status,
        reason: str,
        fit: GeometricFit | None = None,
        comparison: DecayComparison | None = None,
    ) -> RateVerdict:
        numbers = DecayFactor(None if fit is None else fit.rho)
        evidence = basis(rate, problem, numbers)
        if fit is not None and comparison is not None:
            evidence |= _geometric_evidence(fit, comparison) | {"measured": numbers.measured()}
        return RateVerdict(rate.name, problem, status, reason, numbers, evidence, fit, x, y)

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
        f"per step of {rate.x}; prediction errors of power law "
        f"over geometric decay 10^{comparison.statistic.value:.2f} "
        f"[10^{comparison.statistic.low:.2f}, 10^{comparison.statistic.high:.2f}]"
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
    if fit.rho.high >= 1:
        return "inconclusive", "the interval of rho reaches 1"
    if fit.slope_ratio.high < STEADY_SLOPE_RATIO:
        return "inconclusive", (
            f"lack of fit, the later slope is {fit.slope_ratio.value:.2f} of the earlier one"
        )
    if fit.slope_ratio.low > 1 / STEADY_SLOPE_RATIO:
        return "faster", f"the later slope is {fit.slope_ratio.value:.2f} of the earlier one"
    return "holds", "the decay is geometric"


def _geometric_evidence(fit: GeometricFit, comparison: DecayComparison) -> dict[str, object]:
    return {
        "points": min(stop - start for start, stop in fit.usable),
        "window": [list(part) for part in fit.usable],
        "burn_in_share": comparison.burn_in,
        "replicates": fit.replicates,
        "decades_x": comparison.decades_x,
        "decades_y": comparison.decades,
        "slope_ratio": _low_to_high(fit.slope_ratio),
        "decision": comparison.decision,
        "log10_error_ratio": _low_to_high(comparison.statistic),
    }


def geometric_collapse(
    x: Float[np.ndarray, " m"],
    y: Float[np.ndarray, "replicates m"],
    decades: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "replicates n"]:
    """Return each replicate as a function of the decades its own geometric fit has fallen.

    A replicate that decays as ``C rho**x`` becomes ``10**-decades``, whatever its C and rho; a power
    law bends away upwards. Values outside a replicate's usable range are NaN.

    Parameters
    ----------
    x
        Ascending, shape (m,).
    y
        Shape (replicates, m).
    decades
        Where to evaluate, in decades below the fitted prefactor, shape (n,).
    """
    curves = np.full((y.shape[0], decades.size), np.nan)
    for replicate, row in enumerate(y):
        start, stop = usable_range(x, row, BURN_IN_SHARES[0])
        log_y = np.log10(row[start:stop])
        slope, intercept = np.polyfit(x[start:stop], log_y, 1)
        fallen = -slope * x[start:stop]
        curves[replicate] = 10 ** (
            np.interp(decades, fallen, log_y - intercept, left=np.nan, right=np.nan)
        )
    return curves


def _low_to_high(found: Interval) -> list[float]:
    return [found.low, found.value, found.high]


def share_needed(rate: InequalityRate) -> KeptShare:
    """Return the share of seeds that have to keep the inequality, and the inequality."""
    share = f">= {1 - rate.allowed_share:.3g}"
    if rate.confidence is not None:
        share += f" with confidence {rate.confidence:g}"
    return KeptShare(share, bounds_of(rate))


def bounds_of(rate: InequalityRate) -> str:
    """Return the inequality as text."""
    low = "" if rate.low is None else f"{rate.low:g} <= "
    high = "" if rate.high is None else f" <= {rate.high:g}"
    return f"{low}{rate.y}{high}"


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
    unjudged = share_needed(rate)

    def refused(why: str) -> RateVerdict:
        reason = f"cannot be judged: {why}."
        evidence = basis(rate, problem, unjudged)
        return RateVerdict(rate.name, problem, "inconclusive", reason, unjudged, evidence)

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
    share = clopper_pearson(keeping, seeds)
    numbers = replace(unjudged, estimate=share)
    breaking = [int(seed) for seed in kept.index[~kept.to_numpy()]]
    reason = (
        f"{bounds_of(rate)} for {keeping} of {seeds} seeds (share {share:.3f}), {needed}; "
        f"{rate.y} between {values.min():.3g} and {values.max():.3g}, median {np.median(values):.3g}."
    )
    evidence = basis(rate, problem, numbers) | {
        "measured": numbers.measured(),
        "seeds": seeds,
        "exceptions": breaking,
        "smallest": float(values.min()),
        "median": float(np.median(values)),
        "largest": float(values.max()),
    }
    return RateVerdict(rate.name, problem, status, reason, numbers, evidence)


def _confident(keeping: int, seeds: int, share: float, confidence: float) -> tuple[Status, str]:
    """Judge a share by its one-sided Clopper-Pearson ends, each at the level ``confidence``."""
    # The two ends of an interval of level 2c - 1 miss with probability 1 - c each.
    found = clopper_pearson(keeping, seeds, 2 * confidence - 1)
    ends = f"one-sided ends {found.low:.4f} and {found.high:.4f} at confidence {confidence:g}"
    needed = f"{ends}, {share:g} is needed"
    if found.low >= share:
        return "holds", needed
    return ("violated" if found.high < share else "inconclusive"), needed
