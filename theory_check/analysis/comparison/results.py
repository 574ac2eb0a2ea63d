"""A comparison, analysed: median costs, performance profiles, and what methods end up with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from theory_check.analysis.comparison.aggregates import (
    Profile,
    budget_ratios,
    cost_ratios,
    profile_of,
    standings,
)
from theory_check.analysis.comparison.rates import (
    MAJORITY,
    ComparedMethod,
    RateFinding,
    judge_rates,
)
from theory_check.analysis.comparison.spread import (
    cost_interval,
    medians_by_repetition,
    variances,
    variation,
)
from theory_check.analysis.intervals import mean_interval

PAIR = ["problem", "method", "target"]
COUNTERS = ("trajectories", "labels", "env_steps", "exact_calls", "iterations")
"""What is counted beside the cost; the median of each is infinite where most seeds fail."""

NOT_REACHED = "not reached"
"""Status of targets that no setting reaches: nothing was run."""

MEANS = ("true_return", "policy_regret", "hyperobjective", "shortfall")
"""Columns that are averaged over seeds, each with ``_low`` and ``_high``."""


def median_costs(
    table: pd.DataFrame, methods: Mapping[str, ComparedMethod] | None = None
) -> pd.DataFrame:
    """Return the cost of every target for every method on every problem, of one accuracy.

    Parameters
    ----------
    table
        A comparison, one row per seed, target and repetition: ``problem, method, target, repetition,
        epsilon, reached, cost, spent, ended, interior, cut, tuning_samples`` and the columns of
        ``COUNTERS``.
    methods
        By id: those without a reward model are not ranked.

    Returns
    -------
    pandas.DataFrame
        One row per problem, method and target, targets descending: ``epsilon``; ``median, low, high,
        coverage`` of the cost (:func:`~theory_check.analysis.comparison.spread.cost_interval`); medians
        of the ``COUNTERS``, infinite where most seeds fail; ``seeds, reached`` over all repetitions,
        ``repetitions``; ``spent`` (median at the end of the runs), ``ended`` (accuracy there, over the
        target, of the seeds that missed it); ``interior, cut``, whether the search of every repetition,
        or of one; ``exact``, whether the cost counts exact calls; ``ranked``, whether it can be compared:
        counted in samples, from the common start.
    """
    spread = variances(medians_by_repetition(table))
    rows = []
    for (problem, method, _), part in table.groupby(PAIR, sort=False):
        reached = part["reached"].to_numpy(dtype=bool)
        cost = np.where(reached, part["cost"].to_numpy(dtype=np.float64), np.inf)
        repeated = part["repetition"].to_numpy()
        repetitions = [cost[repeated == each] for each in dict.fromkeys(repeated.tolist())]
        found, coverage = cost_interval(repetitions, spread[str(method)])
        exact = bool((part["tuning_samples"] == 0).all())
        rows.append(
            {
                "problem": problem,
                "method": method,
                "target": float(part["target"].iloc[0]),
                "epsilon": float(part["epsilon"].iloc[0]),
                "median": found.value,
                "low": found.low,
                "high": found.high,
                "coverage": coverage,
                **{
                    name: float(np.median(np.where(reached, part[name].to_numpy(float), np.inf)))
                    for name in COUNTERS
                },
                "seeds": len(part),
                "reached": int(reached.sum()),
                "repetitions": len(repetitions),
                "spent": float(part["spent"].median()),
                "ended": float(part["ended"][~reached].median()),
                "interior": bool(part["interior"].all()),
                "cut": bool(part["cut"].any()),
                "exact": exact,
                "ranked": not exact and (methods is None or methods[str(method)].learns_reward),
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
    """Return the rows of methods whose samples can be compared."""
    return costs[costs["ranked"]]


def outcomes(table: pd.DataFrame) -> pd.DataFrame:
    """Return what every method ended up with on every problem, at the smallest target it was run to.

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
        ``milliseconds`` per iteration; ``seeds, diverged``; ``exact``; ``constants,
        tuning_cost, tuning_samples, evaluations, interior, cut`` as in the table.
    """
    # Below a target that no setting reaches nothing was run; a method that reaches none has no outcome.
    run = table[table["status"] != NOT_REACHED]
    smallest = run.groupby(["problem", "method"], sort=False)["target"].transform("min")
    rows = []
    for (problem, method), part in run[run["target"] == smallest].groupby(
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
                    for name in (
                        "constants",
                        "tuning_cost",
                        "tuning_samples",
                        "evaluations",
                        "interior",
                        "cut",
                    )
                },
            }
        )
    if not rows:
        return pd.DataFrame(columns=["problem", "method", "policy_regret", "reward_distance"])
    found = pd.DataFrame(rows)
    best = found.groupby("problem")["hyperobjective"].transform("min")
    found["hyperobjective_gap"] = found["hyperobjective"] - best
    return found


def _means(part: pd.DataFrame) -> dict[str, float]:
    columns: dict[str, float] = {}
    for name in MEANS:
        values = part[name].to_numpy(dtype=np.float64)
        found = mean_interval(values[np.isfinite(values)])
        columns |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    return columns


@dataclass(frozen=True, eq=False)
class AccuracyResults:
    """What was found for one accuracy.

    Attributes
    ----------
    costs
        As from :func:`median_costs`.
    rates
        A verdict per problem and method; of the value gap where its source states a rate of it.
    outcomes
        As from :func:`outcomes`.
    performance, data
        Profiles of the sampled methods; None without any.
    standings
        As from :func:`~theory_check.analysis.comparison.aggregates.standings`.
    variation
        Median factor between repetitions, by method.
    """

    costs: pd.DataFrame
    rates: tuple[RateFinding, ...]
    outcomes: pd.DataFrame
    performance: Profile | None
    data: Profile | None
    standings: pd.DataFrame
    variation: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class ComparisonResults:
    """A comparison, analysed.

    Attributes
    ----------
    methods
        The methods that take part, by id.
    accuracies
        What was found for each accuracy that was measured; empty without runs to an accuracy.
    shift
        As from :func:`outcomes`, of the runs under distribution shift, which use all of their iterations;
        empty without such runs.
    """

    methods: Mapping[str, ComparedMethod]
    accuracies: Mapping[str, AccuracyResults]
    shift: pd.DataFrame


def compare(
    table: pd.DataFrame,
    shift: pd.DataFrame,
    methods: Mapping[str, ComparedMethod],
    objectives: Mapping[str, str],
) -> ComparisonResults:
    """Analyse a comparison.

    Parameters
    ----------
    table
        Runs that end at an accuracy, one row per seed and target; may be empty.
    shift
        Runs that use all of their iterations, in the same columns; may be empty.
    methods
        The methods by id.
    objectives
        The upper objective of every problem of ``table``, ``""`` where it has none.
    """
    parts = {} if table.empty else dict(iter(table.groupby("accuracy", sort=False)))
    return ComparisonResults(
        methods=methods,
        accuracies={
            str(accuracy): _analysed(part, methods, objectives) for accuracy, part in parts.items()
        },
        shift=pd.DataFrame() if shift.empty else outcomes(shift),
    )


def _analysed(
    table: pd.DataFrame, methods: Mapping[str, ComparedMethod], objectives: Mapping[str, str]
) -> AccuracyResults:
    costs, ended = median_costs(table, methods), outcomes(table)
    return AccuracyResults(
        costs=costs,
        rates=judge_rates(table, methods, objectives),
        outcomes=ended,
        performance=profile_of(cost_ratios(costs)),
        data=profile_of(budget_ratios(costs)),
        standings=standings(costs, ended),
        variation=variation(medians_by_repetition(table)),
    )
