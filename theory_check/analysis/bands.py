"""Pointwise intervals of average curves, for figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from theory_check.analysis.comparison.costs import median_interval
from theory_check.analysis.replicates import Average, average_curve


@dataclass(frozen=True)
class Band:
    """An average curve with its pointwise 95 % interval.

    Attributes
    ----------
    centre, low, high
        Shape (m,), in the units of the curves.
    """

    centre: Float[np.ndarray, " m"]
    low: Float[np.ndarray, " m"]
    high: Float[np.ndarray, " m"]


def average_band(
    curves: Float[np.ndarray, "replicates m"], average: Average = "mean", level: float = 0.95
) -> Band:
    """Return the average of positive curves and its interval over replicates at each point.

    Student's t on the jackknife standard error of the logarithm of the average.

    Parameters
    ----------
    curves
        Positive, at least 2 replicates.
    average
        ``"mean"`` for expectations, ``"geometric"`` for a typical replicate.
    level
        Coverage at each point by itself.
    """
    curve = average_curve(curves, average)
    error = curve.influence.std(axis=0, ddof=1) / np.sqrt(curve.replicates)
    reach = float(stats.t.ppf(0.5 + level / 2, curve.replicates - 1)) * error
    return Band(
        centre=np.exp(curve.log_average),
        low=np.exp(curve.log_average - reach),
        high=np.exp(curve.log_average + reach),
    )


def median_band(curves: Float[np.ndarray, "replicates m"]) -> Band:
    """Return medians with their order-statistic intervals, infinite values counted.

    NaN where a median is infinite, and at an end that is.

    Parameters
    ----------
    curves
        At least 1 replicate.
    """
    found = [median_interval(column) for column in curves.T]
    ends = np.array([(each.median, each.low, each.high) for each in found]).T
    return Band(*np.where(np.isfinite(ends), ends, np.nan))
