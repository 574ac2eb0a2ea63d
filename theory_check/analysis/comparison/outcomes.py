"""What methods end up with: returns, regret, reward error, and what an iteration takes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from theory_check.analysis import replicates
from theory_check.analysis.comparison.records import UNKNOWN, Interval

MEANS = ("true_return", "policy_regret", "hyperobjective", "shortfall")
"""Columns that are averaged over seeds, each with ``_low`` and ``_high``."""


def mean_interval(values: Float[np.ndarray, " replicate"], level: float = 0.95) -> Interval:
    """Return the mean of finite values with Student's t interval, NaN ends for fewer than two."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return UNKNOWN
    if finite.size < 2:
        return Interval(float(finite.mean()), float("nan"), float("nan"))
    return Interval(*replicates.mean_interval(finite, level))


def outcomes(table: pd.DataFrame) -> pd.DataFrame:
    """Return what every method ended up with on every problem, at its smallest target.

    Parameters
    ----------
    table
        A comparison, one row per seed and target, with all columns of the measurement.

    Returns
    -------
    pandas.DataFrame
        One row per problem and method: ``target``; means over the seeds that did not diverge of
        ``true_return, policy_regret, hyperobjective`` and ``shortfall`` (optimal minus true
        return), each with ``_low`` and ``_high``; ``optimal_return, reward_distance``; medians
        ``reward_error`` with its quartiles ``_low`` and ``_high``, and ``exact_calls``;
        ``hyperobjective_gap`` to the smallest mean among the methods on the problem;
        ``milliseconds`` per iteration; ``seeds, diverged``; ``exact``; ``constants, tuning,
        tuning_cost, tuning_samples`` as in the table.
    """
    smallest = table.groupby(["problem", "method"], sort=False)["target"].transform("min")
    rows = []
    for (problem, method), part in table[table["target"] == smallest].groupby(
        ["problem", "method"], sort=False
    ):
        part = part.assign(shortfall=part["optimal_return"] - part["true_return"])
        first = part.iloc[0]
        exact = bool((part["tuning_samples"] == 0).all())
        rows.append(
            {
                "problem": problem,
                "method": method,
                "target": float(first["target"]),
                **_means(part),
                "optimal_return": float(first["optimal_return"]),
                "reward_distance": float(first["reward_distance"]),
                "reward_error": float(part["reward_error"].median()),
                "reward_error_low": float(part["reward_error"].quantile(0.25)),
                "reward_error_high": float(part["reward_error"].quantile(0.75)),
                "exact_calls": float(part["spent"].median()) if exact else float("nan"),
                "milliseconds": 1e3 * float(part["seconds_per_iteration"].mean()),
                "seeds": len(part),
                "diverged": int((part["status"] == "diverged").sum()),
                "exact": exact,
                **{
                    name: first[name]
                    for name in ("constants", "tuning", "tuning_cost", "tuning_samples")
                },
            }
        )
    found = pd.DataFrame(rows)
    best = found.groupby("problem")["hyperobjective"].transform("min")
    found["hyperobjective_gap"] = found["hyperobjective"] - best
    return found


def _means(part: pd.DataFrame) -> dict[str, float]:
    columns: dict[str, float] = {}
    for name in MEANS:
        found = mean_interval(part[name].to_numpy(dtype=np.float64))
        columns |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    return columns
