"""Methods over many problems: profiles, interquartile means, probabilities of improvement, standings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from theory_check.analysis.comparison.spread import tied
from theory_check.analysis.intervals import Interval

POINTS = 200
RESAMPLES, RESAMPLING_SEED = 1000, 0
ENDS = (0.025, 0.975)
ROUNDING = 1 + 1e-12
TRIMMED = 0.25
"""Share of the values that an interquartile mean leaves out at either end."""


@dataclass(frozen=True, eq=False)
class Profile:
    """Profiles of several methods: shares of pairs of problem and target.

    Attributes
    ----------
    methods
        Ids.
    factors
        Where they are evaluated, shape (m,).
    share
        Share of the pairs that each method meets within each factor.
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


def compared_costs(costs: pd.DataFrame) -> pd.DataFrame:
    """Return the costs of sampled methods, one row per problem and target that all of them have.

    Parameters
    ----------
    costs
        As from :func:`~theory_check.analysis.comparison.results.median_costs`. Methods that were left
        out of more than half of the problems, since those have not what they need, take no part.

    Returns
    -------
    pandas.DataFrame
        One column per method; infinite where most seeds fail.
    """
    sampled = costs[costs["ranked"]]
    found = sampled.pivot(index=["problem", "target"], columns="method", values="median")
    found = found[list(dict.fromkeys(sampled["method"]))]
    return found.loc[:, found.notna().mean() >= 0.5].dropna()


def cost_ratios(costs: pd.DataFrame) -> pd.DataFrame:
    """Return the same in units of the smallest of each pair; infinite everywhere if all methods fail."""
    found = compared_costs(costs)
    best = found.min(axis=1)
    return found.div(best.where(np.isfinite(best) & (best > 0), 1.0), axis=0)


def budget_ratios(costs: pd.DataFrame) -> pd.DataFrame:
    """Return the same in units of the fewest samples for the largest target of the problem.

    The unit belongs to the problem and not to the pair: a small target takes many of them from everybody.
    """
    found = compared_costs(costs)
    ordered = found.sort_index(level="target", ascending=False)
    smallest = ordered.min(axis=1).replace([np.inf, 0.0], np.nan)
    unit = smallest.groupby("problem").first()
    return found.div(unit.reindex(found.index.get_level_values("problem")).to_numpy(), axis=0)


def profile_of(
    ratios: pd.DataFrame, factors: Sequence[float] | None = None, seed: int = RESAMPLING_SEED
) -> Profile | None:
    """Return the share of pairs within each factor; None without pairs.

    Of :func:`cost_ratios` it is the performance profile (Dolan and Moré, Math. Program. 91, 2002), of
    :func:`budget_ratios` the data profile (Moré and Wild, SIAM J. Optim. 20, 2009).

    Parameters
    ----------
    ratios
        One row per pair of problem and target, one column per method.
    factors
        Where it is evaluated; 200, from 1 to the largest finite ratio, when absent.
    seed
        Of the bootstrap over problems, with all of their targets.
    """
    if ratios.empty:
        return None
    values = ratios.to_numpy(dtype=np.float64)
    finite = values[np.isfinite(values)]
    largest = max(float(finite.max()) if finite.size else 1.0, 1.0 + 1e-9)
    grid = np.geomspace(1, largest, POINTS) if factors is None else np.asarray(factors, dtype=float)
    within = (values[:, :, None] <= grid * ROUNDING).astype(np.float64)
    problem, names = pd.factorize(ratios.index.get_level_values("problem"))
    sums = np.zeros((len(names), *within.shape[1:]))
    np.add.at(sums, problem, within)
    counts = np.bincount(problem, minlength=len(names)).astype(np.float64)
    share = sums.sum(0) / counts.sum()
    low = high = np.full_like(share, np.nan)
    if len(names) > 1:
        weights = _weights(len(names), seed)
        # One method at a time: all resamples of all methods would take hundreds of megabytes.
        bands = [
            np.quantile((weights @ sums[:, at]) / (weights @ counts)[:, None], ENDS, axis=0)
            for at in range(share.shape[0])
        ]
        low, high = np.stack([band[0] for band in bands]), np.stack([band[1] for band in bands])
    return Profile(tuple(map(str, ratios.columns)), grid, share, low, high, len(values), len(names))


def _weights(problems: int, seed: int) -> NDArray[np.float64]:
    """Return how often every problem is drawn, in every resample."""
    generator = np.random.default_rng(seed)
    equal = np.full(problems, 1 / problems)
    return generator.multinomial(problems, equal, size=RESAMPLES).astype(np.float64)


def weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the middle of the values, each counted as often as its weight says: the lower of two.

    NaN without values.
    """
    if not len(values):
        return math.nan
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulated, cumulated[-1] / 2)])


def interquartile_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the mean of the middle half (Agarwal et al., NeurIPS 2021), values counted by weight.

    Infinite where a value of the middle half is, NaN without values.
    """
    if not len(values):
        return math.nan
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    ends = np.cumsum(weights) / weights.sum()
    starts = np.concatenate([[0.0], ends[:-1]])
    inside = np.clip(np.minimum(ends, 1 - TRIMMED) - np.maximum(starts, TRIMMED), 0, None)
    used = inside > 1e-15
    return float((values[used] * inside[used]).sum() / inside[used].sum())


def over_problems(
    statistic: Mapping[str, NDArray[np.float64]] | pd.DataFrame,
    function: object,
    seed: int = RESAMPLING_SEED,
) -> Interval:
    """Return a function of values and weights, with its interval over resampled problems.

    Parameters
    ----------
    statistic
        Frame with the columns ``problem`` and ``value``, one row per pair.
    function
        Called with values and weights; it has to answer for none of them as well.
    seed
        Of the bootstrap.
    """
    frame = pd.DataFrame(statistic)
    values = frame["value"].to_numpy(dtype=np.float64)
    problem, names = pd.factorize(frame["problem"])
    assert callable(function)
    found = float(function(values, np.ones(len(values))))
    if len(names) < 2:
        return Interval(found, math.nan, math.nan)
    drawn = _weights(len(names), seed)
    resampled = np.sort([function(values, weights[problem]) for weights in drawn if weights.any()])
    at = [int(ENDS[0] * len(resampled)), math.ceil(ENDS[1] * len(resampled)) - 1]
    return Interval(found, float(resampled[at[0]]), float(resampled[at[1]]))


def improvement(costs: pd.DataFrame, method: str, other: str) -> Interval | None:
    """Return the probability that a method is cheaper than another on a pair; tied ones count half.

    Agarwal et al., NeurIPS 2021, with the test of ties of ``docs/theory.md`` section 7.1 in place of
    equality. Pairs that neither reaches are left out; None where there are no others.
    """
    keys = ["problem", "target"]
    here = costs[costs["method"] == method].set_index(keys)
    there = costs[costs["method"] == other].set_index(keys)
    rows = []
    for pair in here.index.intersection(there.index):
        one, two = _interval(here.loc[pair]), _interval(there.loc[pair])
        if math.isinf(one.value) and math.isinf(two.value):
            continue
        won = 0.5 if tied(one, two) else float(one.value < two.value)
        rows.append({"problem": pair[0], "value": won})
    return over_problems(pd.DataFrame(rows), _mean) if rows else None


def _mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    return float((values * weights).sum() / weights.sum())


def _interval(row: pd.Series) -> Interval:
    return Interval(float(row["median"]), float(row["low"]), float(row["high"]))


def best_of_pairs(costs: pd.DataFrame) -> pd.DataFrame:
    """Return the cheapest sampled method of every pair that one reaches, and those tied with it.

    Returns
    -------
    pandas.DataFrame
        ``problem, target, best, tied`` (ids, the best one included), ``runner_up`` (factor of the
        cheapest method that is not tied, infinite where there is none).
    """
    rows = []
    for (problem, target), part in costs[costs["ranked"]].groupby(
        ["problem", "target"], sort=False
    ):
        reached = part[np.isfinite(part["median"])].sort_values("median", kind="stable")
        if reached.empty or reached["median"].iloc[0] <= 0:
            continue
        best = reached.iloc[0]
        near = reached[[tied(_interval(best), _interval(row)) for _, row in reached.iterrows()]]
        apart = reached[~reached["method"].isin(near["method"])]["median"]
        rows.append(
            {
                "problem": problem,
                "target": target,
                "best": best["method"],
                "tied": tuple(near["method"]),
                "runner_up": float(apart.min() / best["median"]) if len(apart) else math.inf,
            }
        )
    return pd.DataFrame(rows, columns=["problem", "target", "best", "tied", "runner_up"])


def standings(costs: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return the table of findings: one row per sampled method.

    Parameters
    ----------
    costs, outcomes
        Of one accuracy.

    Returns
    -------
    pandas.DataFrame
        ``method``; ``met`` and ``pairs``; ``alone`` and ``tied`` (pairs on which it is the cheapest,
        alone or tied with the cheapest); median and interquartile mean of the ratio to the cheapest,
        over all pairs, ``ratio, iqm``, and the regret of its policies over the least of the methods on
        the problem, median over problems, ``regret``; each with ``_low`` and ``_high``. Sorted by
        ``met``, then ``ratio``. Ratios are NaN where no pair is shared by all methods, and a method
        that has fewer than half of the pairs has no row.
    """
    ratios = cost_ratios(costs)
    best = best_of_pairs(costs)
    regrets = outcomes.pivot(index="problem", columns="method", values="policy_regret")
    regrets = regrets.div(regrets.min(axis=1).clip(lower=1e-12), axis=0)
    rows = []
    for method in ratios.columns:
        own = costs[(costs["method"] == method)]
        pairs = ratios[method].reset_index(name="value").drop(columns="target")
        logs = pairs.assign(value=np.log(pairs["value"].clip(lower=1e-300)))
        ratio = over_problems(pairs, weighted_median)
        iqm = over_problems(logs, interquartile_mean)
        regret = _regret(regrets, str(method))
        rows.append(
            {
                "method": method,
                "met": int(np.isfinite(own["median"]).sum()),
                "pairs": len(own),
                "alone": sum(each == (method,) for each in best["tied"]),
                "tied": sum(method in each and len(each) > 1 for each in best["tied"]),
                **_columns("ratio", ratio),
                **_columns("iqm", Interval(*map(_exp, (iqm.value, iqm.low, iqm.high)))),
                **_columns("regret", regret),
            }
        )
    if not rows:
        return pd.DataFrame()
    found = pd.DataFrame(rows)
    return found.sort_values(["met", "ratio"], ascending=[False, True], kind="stable").reset_index(
        drop=True
    )


def _exp(value: float) -> float:
    return math.inf if value >= 700 else math.exp(value)


def _regret(regrets: pd.DataFrame, method: str) -> Interval:
    if method not in regrets:
        return Interval(math.nan, math.nan, math.nan)
    own = regrets[method].dropna().reset_index(name="value")
    if own.empty:
        return Interval(math.nan, math.nan, math.nan)
    return over_problems(own, weighted_median)


def _columns(name: str, found: Interval) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
