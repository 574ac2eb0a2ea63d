"""Statements against computed numbers: a curve that is never exceeded, a ratio that is met."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from theory_check.analysis.intervals import LEVEL, Interval, mean_interval
from theory_check.analysis.rate_verdict import (
    NOTHING,
    Numbers,
    RateVerdict,
    Row,
    Status,
    basis,
    curves_of,
    require_columns,
    require_judged,
    rows_of,
)
from theory_check.claims.computed_rates import CurveRate, RatioRate

LARGEST_END = 1e3
"""Where an interval of a ratio of means is cut, over the ratio."""


@dataclass(frozen=True)
class Looseness(Numbers):
    """How far a curve lies above what was measured: their ratio, at least 1 where it is kept.

    Attributes
    ----------
    estimate
        The smallest ratio, without ends: nothing is estimated.
    median
        Of the ratio over all rows, or over all x for means.
    seed, x
        Where it is smallest; no seed for means.
    """

    estimate: Interval | None = None
    median: float = math.nan
    seed: int | None = None
    x: float = math.nan

    def predicted(self) -> dict[str, object]:
        """Return what the ratio is to be."""
        return {"bound over measured": ">= 1"}

    def measured(self) -> dict[str, object]:
        """Return the smallest ratio, where it is, and the median."""
        if self.estimate is None:
            return {}
        return {
            "smallest ratio": self.estimate.value,
            "at x": self.x,
            "of seed": self.seed,
            "median ratio": self.median,
        }

    def rows(self, name: str) -> Iterator[Row]:
        """Yield the one line of the ratio."""
        found = NOTHING
        if self.estimate is not None:
            found = f"bound/measured {self.estimate.value:.3g} smallest, {self.median:.3g} median"
        yield name, found, ">= 1"

    def brief(self) -> tuple[str, str]:
        """Return the smallest ratio."""
        found = NOTHING if self.estimate is None else f"{self.estimate.value:.3g} smallest"
        return found, ">= 1"


def judge_curve_rate(rate: CurveRate, table: pd.DataFrame, problem: str) -> RateVerdict:
    """Judge on one problem whether a curve is never exceeded.

    A statement about every row: the first rule that applies decides:

    1. *inconclusive*: no rows, a row whose ``status`` is not ``"ok"``, a value that is missing or not
       finite, or nothing above 0 to be bounded;
    2. *violated*: ``y`` exceeds ``factor * bound`` by more than ``rounding`` of it in any row;
    3. *holds*: never *tight*, since a curve that is met somewhere may be loose elsewhere.

    A statement about means (``average``): with the 95 % interval over replicates of the mean of ``y -
    factor * bound``, simultaneous over x by Bonferroni's inequality, *violated* where it lies above 0 at
    any x, *inconclusive* where the mean lies above 0 and its interval does not, *holds* otherwise.

    Raises
    ------
    InvalidArgumentError
        If the table lacks a column, or for means has several rows for one seed and x.
    """
    require_judged(CurveRate, rate, table, problem)
    require_columns(replace(rate, y=rate.bound), table)
    found = _of_means(rate, table, problem) if rate.average else _of_rows(rate, table, problem)
    if isinstance(found, str):
        reason = f"cannot be judged: {found}."
        return RateVerdict(
            rate.name,
            problem,
            "inconclusive",
            reason,
            Looseness(),
            basis(rate, problem, Looseness()),
        )
    status, because, numbers, counts = found
    assert numbers.estimate is not None
    place = f"{rate.x} = {numbers.x:g}" + ("" if numbers.seed is None else f", seed {numbers.seed}")
    factor = "" if rate.factor == 1 else f"{rate.factor:g} times "
    reason = (
        f"{rate.y} <= {factor}{rate.bound}: {because}; the curve over what was measured is "
        f"{numbers.estimate.value:.4g} at its smallest ({place}), {numbers.median:.3g} in the median."
    )
    evidence = basis(rate, problem, numbers) | {"measured": numbers.measured()} | counts
    return RateVerdict(rate.name, problem, status, reason, numbers, evidence)


Judged = tuple[Status, str, Looseness, dict[str, object]]


def _of_rows(rate: CurveRate, table: pd.DataFrame, problem: str) -> Judged | str:
    """Apply the rules to every row; a sentence where that cannot be done."""
    rows = rows_of(rate, table, problem)
    if isinstance(rows, str):
        return rows
    y, bound = (rows[column].to_numpy(dtype=np.float64) for column in (rate.y, rate.bound))
    missing = int((~(np.isfinite(y) & np.isfinite(bound))).sum())
    if missing:
        return f"{missing} of {len(rows)} rows have no finite value and bound"
    curve = rate.factor * bound
    ratio = _ratio(curve, y)
    if not np.isfinite(ratio).any():
        return f"{rate.y} is nowhere above 0"
    over = y > curve + rate.rounding * np.abs(curve)
    at = int(ratio.argmin())
    numbers = Looseness(
        _alone(ratio[at]),
        float(np.median(ratio)),
        int(rows["seed"].iloc[at]),
        float(rows[rate.x].iloc[at]),
    )
    seeds, breaking = rows["seed"].nunique(), rows.loc[over, "seed"].nunique()
    counts: dict[str, object] = {
        "rows": len(rows),
        "seeds": int(seeds),
        "rows above": int(over.sum()),
        "seeds above": int(breaking),
    }
    if over.any():
        because = (
            f"exceeded in {int(over.sum())} of {len(rows)} rows, of {breaking} of {seeds} seeds"
        )
        return "violated", because, numbers, counts
    return "holds", f"kept in all {len(rows)} rows of {seeds} seeds", numbers, counts


def _of_means(rate: CurveRate, table: pd.DataFrame, problem: str) -> Judged | str:
    """Apply the rules to means over replicates; a sentence where that cannot be done."""
    found = curves_of(rate, table, problem)
    bounds = curves_of(replace(rate, y=rate.bound), table, problem)
    if isinstance(found, str) or isinstance(bounds, str):
        return found if isinstance(found, str) else str(bounds)
    (x, y), curve = found, rate.factor * bounds[1]
    ratio = _ratio(curve.mean(axis=0), y.mean(axis=0))
    if not np.isfinite(ratio).any():
        return f"{rate.y} is nowhere above 0"
    at = int(ratio.argmin())
    numbers = Looseness(_alone(ratio[at]), float(np.median(ratio)), None, float(x[at]))
    allowed = rate.rounding * np.abs(curve.mean(axis=0))
    excess = simultaneous(y - curve)
    beyond = np.array([each.low for each in excess]) > allowed
    above = np.array([each.value for each in excess]) > allowed
    counts: dict[str, object] = {
        "points": x.size,
        "seeds": int(y.shape[0]),
        "points beyond": int(beyond.sum()),
        "points above": int(above.sum()),
    }
    of = f"{x.size} means over {y.shape[0]} seeds"
    if beyond.any():
        because = f"exceeded beyond the interval by {int(beyond.sum())} of {of}"
        return "violated", because, numbers, counts
    if above.any():
        because = f"exceeded within the interval by {int(above.sum())} of {of}"
        return "inconclusive", because, numbers, counts
    return "holds", f"kept by all {of}", numbers, counts


def simultaneous(values: Float[np.ndarray, "replicates m"]) -> list[Interval]:
    """Return m means with Student's t intervals that all cover at once with 95 % (Bonferroni)."""
    level = 1 - (1 - LEVEL) / values.shape[1]
    return [mean_interval(column, level) for column in values.T]


def ratio_of_means(rate: CurveRate, rows: pd.DataFrame) -> NDArray[np.float64]:
    """Return x, the mean bound over the mean of what was measured, and the ends of its interval.

    Parameters
    ----------
    rate
        A statement about means.
    rows
        Those of one problem, all replicates at every x.

    Returns
    -------
    numpy.ndarray
        Shape (4, x). The interval is that of the difference of the means, simultaneous over x; where what
        was measured may be 0, its upper end is ``LARGEST_END`` times the ratio.
    """
    measured, bound = (
        rows.pivot(index="seed", columns=rate.x, values=column).sort_index(axis=1)
        for column in (rate.y, rate.bound)
    )
    curve = rate.factor * bound.to_numpy(dtype=np.float64)
    excess = simultaneous(measured.to_numpy(dtype=np.float64) - curve)
    mean = curve.mean(axis=0)
    ends = zip(*((each.value, each.high, each.low) for each in excess), strict=True)
    ratios = [mean / np.maximum(mean + np.array(end), mean / LARGEST_END) for end in ends]
    return np.array([measured.columns.to_numpy(dtype=np.float64), *ratios])


def _ratio(curve: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return curve / y, infinite where nothing above 0 was measured."""
    return np.divide(curve, y, out=np.full_like(y, np.inf), where=y > 0)


def _alone(value: float) -> Interval:
    return Interval(float(value), math.nan, math.nan)


@dataclass(frozen=True)
class Ratios(Numbers):
    """A measured over a predicted number, at every x.

    Attributes
    ----------
    stated
        What it is to be, with the band that is allowed.
    estimate
        The ratio at the x where an end of its interval is farthest from what is stated.
    x, ratios
        All of them.
    replicates
        How many there are.
    """

    stated: Interval
    estimate: Interval | None = None
    x: tuple[float, ...] = ()
    ratios: tuple[Interval, ...] = ()
    replicates: int = 0

    def predicted(self) -> dict[str, object]:
        """Return the ratio and its band."""
        return dict(self.stated.record("ratio"))

    def measured(self) -> dict[str, object]:
        """Return the farthest ratio with its interval, and the course over x."""
        if self.estimate is None:
            return {}
        return {
            **self.estimate.record("ratio"),
            "x": list(self.x),
            "ratios": [each.value for each in self.ratios],
            "ratios low": [each.low for each in self.ratios],
            "ratios high": [each.high for each in self.ratios],
            "replicates": self.replicates,
        }

    def rows(self, name: str) -> Iterator[Row]:
        """Yield the one line of the farthest ratio."""
        found = NOTHING if self.estimate is None else f"{self.estimate:z.4f}"
        yield name, found, f"{self.stated:.4g}"


def ratio_stated(rate: RatioRate) -> Ratios:
    """Return the ratio that is stated, with its band."""
    width = rate.within * rate.stated
    return Ratios(Interval(rate.stated, rate.stated - width, rate.stated + width))


def judge_ratio_rate(rate: RatioRate, table: pd.DataFrame, problem: str) -> RateVerdict:
    """Judge on one problem whether measured numbers are a stated multiple of predicted ones.

    With the mean over replicates of ``y / predicted`` at every x and its 95 % interval, Student's t,
    simultaneous over x by Bonferroni's inequality, the first rule that applies decides:

    1. *inconclusive*: unusable rows, or a denominator that is not positive;
    2. *violated*: at some x the whole interval lies outside of the band ``stated * (1 ± within)``;
    3. *tight*: at every x the whole interval lies inside of it;
    4. *inconclusive*.

    The predicted column is taken as known. Where it is measured itself, with a relative variance v, the
    mean ratio is too large by the share v.

    Raises
    ------
    InvalidArgumentError
        If the table lacks a column or has several rows for one seed and x.
    """
    require_judged(RatioRate, rate, table, problem)
    require_columns(replace(rate, y=rate.predicted), table)
    unjudged = ratio_stated(rate)
    found = curves_of(rate, table, problem)
    known = curves_of(replace(rate, y=rate.predicted), table, problem)
    if isinstance(found, str) or isinstance(known, str):
        return _no_ratio(rate, problem, found if isinstance(found, str) else str(known))
    (x, y), predicted = found, known[1]
    if (predicted <= 0).any():
        return _no_ratio(rate, problem, f"values of {rate.predicted} that are not positive")
    ratio = y / predicted
    intervals = simultaneous(ratio)
    band = unjudged.stated
    reach = [max(abs(each.low - band.value), abs(each.high - band.value)) for each in intervals]
    at = int(np.argmax(reach))
    numbers = replace(
        unjudged,
        estimate=intervals[at],
        x=tuple(map(float, x)),
        ratios=tuple(intervals),
        replicates=int(ratio.shape[0]),
    )
    status: Status = "inconclusive"
    outside = [each.low > band.high or each.high < band.low for each in intervals]
    if any(outside):
        status = "violated"
    elif all(each.within(band.low, band.high) for each in intervals):
        status = "tight"
    course = ", ".join(f"{each.value:.4g}" for each in intervals)
    reason = (
        f"{rate.y} over {rate.predicted} is {course} at {rate.x} from {x[0]:.3g} to {x[-1]:.3g}, "
        f"farthest from {band.value:g} {intervals[at]:.4f} at {rate.x} = {x[at]:.3g}, where "
        f"{band.low:.4g} to {band.high:.4g} is allowed"
        + (f"; outside at {sum(outside)} of {x.size}." if any(outside) else ".")
    )
    evidence = basis(rate, problem, numbers) | {"measured": numbers.measured()}
    return RateVerdict(rate.name, problem, status, reason, numbers, evidence, None, x, ratio)


def _no_ratio(rate: RatioRate, problem: str, why: str) -> RateVerdict:
    numbers = ratio_stated(rate)
    evidence = basis(rate, problem, numbers)
    reason = f"cannot be judged: {why}."
    return RateVerdict(rate.name, problem, "inconclusive", reason, numbers, evidence)
