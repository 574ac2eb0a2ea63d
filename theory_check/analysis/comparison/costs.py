"""Median cost of every target, failures counted as infinite, with distribution-free intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from theory_check.analysis.comparison.records import WITHOUT_REWARD

PAIR = ["problem", "method", "target"]
COUNTERS = ("trajectories", "labels", "env_steps", "exact_calls", "iterations")
"""What is counted beside the cost; the median of each is infinite where most seeds fail."""

LEVEL = 0.95
MAJORITY = 0.5


@dataclass(frozen=True)
class MedianInterval:
    """A median with an interval between order statistics.

    Attributes
    ----------
    median, low, high
        In the units of the values; infinite where the order statistic is.
    ranks
        Of the ends, counted from 1.
    coverage
        Probability that the interval covers the median, whatever the continuous distribution.
    """

    median: float
    low: float
    high: float
    ranks: tuple[int, int]
    coverage: float


def median_interval(
    values: Float[np.ndarray, " replicate"], level: float = LEVEL
) -> MedianInterval:
    """Return the median and the narrowest symmetric pair of order statistics that covers it.

    The number of values below the median is binomial(n, 1/2), so the ranks ``k`` and
    ``n + 1 - k`` cover it with probability ``1 - 2 P(X < k)`` (David and Nagaraja, *Order
    Statistics*, section 7.1). With fewer than 6 values even the extremes cover less than 95 %:
    they are returned with the coverage that they have.

    Parameters
    ----------
    values
        At least one; infinite for failures, which are worse than any success.
    level
        Coverage that is asked for.
    """
    ordered = np.sort(values)
    count = ordered.size
    lower = np.arange(1, count // 2 + 1)
    coverages = 1 - 2 * stats.binom.cdf(lower - 1, count, 0.5)
    enough = lower[coverages >= level]
    rank = int(enough.max()) if enough.size else 1
    # One value is its own interval and covers nothing.
    coverage = float(coverages[rank - 1]) if lower.size else 0.0
    return MedianInterval(
        median=float(np.median(ordered)),
        low=float(ordered[rank - 1]),
        high=float(ordered[count - rank]),
        ranks=(rank, count + 1 - rank),
        coverage=coverage,
    )


def median_costs(table: pd.DataFrame) -> pd.DataFrame:
    """Return the cost of every target for every method on every problem.

    Parameters
    ----------
    table
        A comparison, one row per seed and target: ``problem, method, target, epsilon, reached,
        cost, spent, accuracy, tuning_samples`` and the columns of ``COUNTERS``.

    Returns
    -------
    pandas.DataFrame
        One row per problem, method and target, targets descending: ``epsilon``; ``median, low,
        high, coverage`` of the cost; medians of the ``COUNTERS``, infinite where most seeds fail;
        ``seeds, reached``; ``spent`` and ``accuracy`` (medians at the end of the runs; that of
        the failed ones in ``failed_accuracy``); ``exact``, whether the cost counts exact calls.
    """
    rows = []
    for (problem, method, _), part in table.groupby(PAIR, sort=False):
        reached = part["reached"].to_numpy(dtype=bool)
        cost = np.where(reached, part["cost"].to_numpy(dtype=np.float64), np.inf)
        found = median_interval(cost)
        rows.append(
            {
                "problem": problem,
                "method": method,
                "target": float(part["target"].iloc[0]),
                "epsilon": float(part["epsilon"].iloc[0]),
                "median": found.median,
                "low": found.low,
                "high": found.high,
                "coverage": found.coverage,
                **{
                    name: float(np.median(np.where(reached, part[name].to_numpy(float), np.inf)))
                    for name in COUNTERS
                },
                "seeds": len(part),
                "reached": int(reached.sum()),
                "spent": float(part["spent"].median()),
                "accuracy": float(part["accuracy"].median()),
                "failed_accuracy": float(part["accuracy"][~reached].median()),
                "exact": bool((part["tuning_samples"] == 0).all()),
            }
        )
    costs = pd.DataFrame(rows)
    order = pd.DataFrame({name: pd.factorize(costs[name])[0] for name in ("problem", "method")})
    order["target"] = -costs["target"]
    return costs.loc[order.sort_values(["problem", "method", "target"]).index].reset_index(
        drop=True
    )


def by_majority(costs: pd.DataFrame) -> pd.Series:
    """Return where more than half of the seeds reached the target."""
    return costs["reached"] > MAJORITY * costs["seeds"]


def ranked(costs: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of methods whose samples can be compared: from the common start, all sampled."""
    return costs[~costs["exact"] & ~costs["method"].isin(WITHOUT_REWARD)]
