"""A comparison, analysed: median costs, performance profiles, and what methods end up with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from theory_check.analysis.comparison.rates import (
    MAJORITY,
    ComparedMethod,
    RateFinding,
    judge_rates,
)
from theory_check.analysis.intervals import mean_interval, median_interval

PAIR = ["problem", "method", "target"]
COUNTERS = ("trajectories", "labels", "env_steps", "exact_calls", "iterations")
"""What is counted beside the cost; the median of each is infinite where most seeds fail."""

POINTS = 200
RESAMPLES = 1000

MEANS = ("true_return", "policy_regret", "hyperobjective", "shortfall")
"""Columns that are averaged over seeds, each with ``_low`` and ``_high``."""


def median_costs(
    table: pd.DataFrame, methods: Mapping[str, ComparedMethod] | None = None
) -> pd.DataFrame:
    """Return the cost of every target for every method on every problem.

    Parameters
    ----------
    table
        A comparison, one row per seed and target: ``problem, method, target, epsilon, reached,
        cost, spent, accuracy, tuning_samples`` and the columns of ``COUNTERS``.
    methods
        By id: those without a reward model are not ranked.

    Returns
    -------
    pandas.DataFrame
        One row per problem, method and target, targets descending: ``epsilon``; ``median, low,
        high, coverage`` of the cost; medians of the ``COUNTERS``, infinite where most seeds fail;
        ``seeds, reached``; ``spent`` and ``accuracy`` (medians at the end of the runs; that of
        the failed ones in ``failed_accuracy``); ``exact``, whether the cost counts exact calls;
        ``ranked``, whether it can be compared: counted in samples, from the common start.
    """
    rows = []
    for (problem, method, _), part in table.groupby(PAIR, sort=False):
        reached = part["reached"].to_numpy(dtype=bool)
        cost = np.where(reached, part["cost"].to_numpy(dtype=np.float64), np.inf)
        found = median_interval(cost)
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


@dataclass(frozen=True, eq=False)
class Profile:
    """Performance profiles of several methods.

    Attributes
    ----------
    methods
        Ids.
    factors
        Factors of the smallest cost, from 1, shape (m,).
    share
        Share of the pairs of problem and target that each method meets within each factor.
    low, high
        Pointwise 95 % interval over problems, NaN for a single one.
    pairs, problems
        How many pairs, and problems, are counted.
    """

    methods: tuple[str, ...]
    factors: Float[np.ndarray, " m"]
    share: Float[np.ndarray, "methods m"]
    low: Float[np.ndarray, "methods m"]
    high: Float[np.ndarray, "methods m"]
    pairs: int
    problems: int


def cost_ratios(costs: pd.DataFrame) -> pd.DataFrame:
    """Return the cost of the sampled methods in units of the smallest of each pair.

    Parameters
    ----------
    costs
        As from :func:`median_costs`.

    Returns
    -------
    pandas.DataFrame
        One row per pair of problem and target for which every sampled method has results, one
        column per method; infinite where most seeds fail, and everywhere if all methods do.
    """
    sampled = ranked(costs)
    ratios = sampled.pivot(index=["problem", "target"], columns="method", values="median")
    ratios = ratios[list(dict.fromkeys(sampled["method"]))].dropna()
    best = ratios.min(axis=1)
    return ratios.div(best.where(np.isfinite(best), 1.0), axis=0)


def performance_profile(
    costs: pd.DataFrame, factors: Sequence[float] | None = None, seed: int = 0
) -> Profile | None:
    """Return the performance profiles of the sampled methods.

    Dolan and Moré, *Benchmarking optimization software with performance profiles*, Math. Program.
    91, 2002: the share of the pairs on which a method needs at most ``factor`` times the samples
    of the best. Methods with exact information are left out, since they draw none.

    Parameters
    ----------
    costs
        As from :func:`median_costs`.
    factors
        Where the profiles are evaluated; 200, from 1 to the largest finite ratio, when absent.
    seed
        Of the bootstrap over problems, with all of their targets.

    Returns
    -------
    Profile or None
        None without pairs.
    """
    ratios = cost_ratios(costs)
    if ratios.empty:
        return None
    values = ratios.to_numpy(dtype=np.float64)
    finite = values[np.isfinite(values)]
    largest = max(float(finite.max()) if finite.size else 1.0, 1.0 + 1e-9)
    grid = np.geomspace(1, largest, POINTS) if factors is None else np.asarray(factors, dtype=float)
    within = (values[:, :, None] <= grid * (1 + 1e-12)).astype(np.float64)
    problem, names = pd.factorize(ratios.index.get_level_values("problem"))
    sums = np.zeros((len(names), *within.shape[1:]))
    np.add.at(sums, problem, within)
    counts = np.bincount(problem, minlength=len(names)).astype(np.float64)
    share = sums.sum(0) / counts.sum()
    low = high = np.full_like(share, np.nan)
    if len(names) > 1:
        generator = np.random.default_rng(seed)
        equal = np.full(len(names), 1 / len(names))
        weights = generator.multinomial(len(names), equal, size=RESAMPLES).astype(np.float64)
        # One method at a time: all resamples of all methods would take hundreds of megabytes.
        bands = [
            np.quantile((weights @ sums[:, at]) / (weights @ counts)[:, None], [0.025, 0.975], 0)
            for at in range(share.shape[0])
        ]
        low, high = np.stack([band[0] for band in bands]), np.stack([band[1] for band in bands])
    return Profile(tuple(map(str, ratios.columns)), grid, share, low, high, len(values), len(names))


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
        values = part[name].to_numpy(dtype=np.float64)
        found = mean_interval(values[np.isfinite(values)])
        columns |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    return columns


@dataclass(frozen=True, eq=False)
class ComparisonResults:
    """A comparison, analysed.

    Attributes
    ----------
    methods
        The methods that take part, by id.
    costs
        As from :func:`median_costs`; empty without runs to an
        accuracy.
    rates
        A verdict per problem and method.
    outcomes, shift
        As from :func:`outcomes`: of the runs to an accuracy, and
        of those under distribution shift, which use all of their iterations; empty without such
        runs.
    profile
        Of the sampled methods; None without any.
    """

    methods: Mapping[str, ComparedMethod]
    costs: pd.DataFrame
    rates: tuple[RateFinding, ...]
    outcomes: pd.DataFrame
    profile: Profile | None
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
    empty = pd.DataFrame()
    costs = empty if table.empty else median_costs(table, methods)
    return ComparisonResults(
        methods=methods,
        costs=costs,
        rates=() if table.empty else judge_rates(table, methods, objectives),
        outcomes=empty if table.empty else outcomes(table),
        profile=None if costs.empty else performance_profile(costs),
        shift=empty if shift.empty else outcomes(shift),
    )
