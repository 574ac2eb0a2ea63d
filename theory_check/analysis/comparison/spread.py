"""What repetitions of a comparison say of its costs: their variance, and intervals that contain it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import stats

from theory_check.analysis.intervals import LEVEL, Interval, median_interval

FEWEST = 6
"""Problems with repetitions from which on a method has a variance of its own."""

NORMAL = 1.96


@dataclass(frozen=True)
class Variance:
    """Variance of the log of a cost between repetitions of a study, and what it rests on.

    Attributes
    ----------
    value
        Pooled; NaN without repetitions.
    freedom
        Degrees of freedom: one for every problem, since targets of one problem share their search.
    """

    value: float
    freedom: int


def medians_by_repetition(table: pd.DataFrame) -> pd.Series:
    """Return the median cost over seeds of every problem, method, target and repetition.

    Parameters
    ----------
    table
        A comparison, one row per seed, target and repetition; failures count as infinite.
    """
    values = table["cost"].where(table["reached"].astype(bool), np.inf)
    keys = [table[name] for name in ("problem", "method", "target", "repetition")]
    medians: pd.Series = values.groupby(keys, sort=False).median()
    return medians


def variances(medians: pd.Series) -> dict[str, Variance]:
    """Return the variance of every method, that of all methods where it has too few problems.

    Parameters
    ----------
    medians
        As from :func:`medians_by_repetition`.
    """
    finite = medians[np.isfinite(medians) & (medians > 0)]
    logs = np.log(finite).groupby(["problem", "method", "target"], sort=False)
    spread = logs.var(ddof=1).dropna().reset_index(name="variance")
    methods = medians.index.get_level_values("method").unique()
    return pooled_by_method(spread, map(str, methods))


def pooled_by_method(spread: pd.DataFrame, methods: Iterable[str]) -> dict[str, Variance]:
    """Return the variance of every method, that of all methods where it has too few problems.

    Parameters
    ----------
    spread
        Variances of single problems: ``problem, method, variance``, in any number of rows.
    methods
        Those asked for.
    """
    everyone = _pooled(spread)
    found = {}
    for method in methods:
        own = _pooled(spread[spread["method"] == method])
        found[method] = own if own.freedom >= FEWEST else everyone
    return found


def _pooled(spread: pd.DataFrame) -> Variance:
    if spread.empty:
        return Variance(math.nan, 0)
    # Problems count equally, whatever the number of targets that were reached there.
    by_problem = spread.groupby("problem")["variance"].mean()
    return Variance(float(by_problem.mean()), int(by_problem.size))


def cost_interval(
    costs: Sequence[Float[np.ndarray, " seed"]], variance: Variance
) -> tuple[Interval, float]:
    """Return the cost of a target, and the interval of what another such study would report.

    Parameters
    ----------
    costs
        Of every repetition, over its seeds; infinite for failures.
    variance
        Of the method.

    Returns
    -------
    Interval
        Geometric mean of the medians, infinite where half of the repetitions or more miss the target.
        With a single repetition that of the median over seeds, which knows nothing of tuning.
    float
        Probability that it covers.
    """
    found = [median_interval(np.asarray(each, dtype=np.float64)) for each in costs]
    medians = np.array([each.value for each in found])
    if len(found) == 1 or math.isnan(variance.value):
        (first, *_) = found
        return Interval(first.value, first.low, first.high), first.coverage
    reached = medians[np.isfinite(medians)]
    if 2 * reached.size <= medians.size:
        return Interval(math.inf, float(reached.min(initial=math.inf)), math.inf), LEVEL
    if (reached <= 0).any():
        return Interval(float(reached.mean()), float(reached.min()), float(reached.max())), LEVEL
    centre = float(np.log(reached).mean())
    half = reach(seed_variances(found), variance, reached.size)
    high = math.inf if reached.size < medians.size else math.exp(centre + half)
    return Interval(math.exp(centre), math.exp(centre - half), high), LEVEL


def seed_variances(found: Sequence[Interval]) -> NDArray[np.float64]:
    """Return the variance of log medians that their seeds alone give them, NaN where one is unknown."""
    ends = np.array([[each.low, each.high] for each in found])
    usable = np.isfinite(ends).all(axis=1) & (ends > 0).all(axis=1)
    deviations: NDArray[np.float64] = np.diff(np.log(ends[usable]), axis=1)[:, 0] / (2 * NORMAL)
    return np.square(deviations)


def reach(of_seeds: NDArray[np.float64], variance: Variance, repetitions: int) -> float:
    """Return the half-width of an interval of a log cost, for another study of as many repetitions.

    The larger of the pooled variance and that of the seeds: a single problem may be noisier than others.
    """
    single = max(variance.value, float(of_seeds.mean()) if of_seeds.size else 0.0)
    factor = float(stats.t.ppf(0.5 + LEVEL / 2, variance.freedom))
    return factor * math.sqrt(2 * single / repetitions)


def tied(one: Interval, other: Interval) -> bool:
    """Return whether two costs differ by no more than their intervals allow.

    Half-widths of logs add up in squares; where one end is unknown or infinite, intervals that meet are
    tied.
    """
    if math.isinf(one.value) and math.isinf(other.value):
        return True
    ends = np.array([one.low, one.high, other.low, other.high])
    if not np.isfinite(ends).all() or (ends <= 0).any() or min(one.value, other.value) <= 0:
        return one.low <= other.high and other.low <= one.high
    logs = np.log(ends)
    half = math.hypot(logs[1] - logs[0], logs[3] - logs[2]) / 2
    return abs(math.log(one.value / other.value)) <= half


def leaving(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of two studies whose costs lie outside each other's intervals.

    Parameters
    ----------
    one, other
        Tables of costs with ``problem, method, target, median, low, high``.

    Returns
    -------
    pandas.DataFrame
        The rows that both have, with the column ``leaves``.
    """
    keys = ["problem", "method", "target"]
    both = one.merge(other, on=keys, suffixes=("", "_other"))
    outside = ~both["median_other"].between(both["low"], both["high"]) & ~both["median"].between(
        both["low_other"], both["high_other"]
    )
    return both.assign(leaves=outside)


def variation(medians: pd.Series) -> Mapping[str, float]:
    """Return the median factor between repetitions of every method: how much another tuning changes.

    Parameters
    ----------
    medians
        As from :func:`medians_by_repetition`; targets with an infinite one are left out.
    """
    finite = medians[np.isfinite(medians) & (medians > 0)]
    logs = np.log(finite).groupby(["problem", "method", "target"], sort=False)
    spread = (logs.max() - logs.min())[logs.size() > 1].reset_index(name="factor")
    by_method = spread.groupby("method", sort=False)["factor"].median()
    return {str(method): float(np.exp(value)) for method, value in by_method.items()}
