"""Performance profiles: how often a method is within a factor of the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from theory_check.analysis.comparison.costs import ranked

POINTS = 200
RESAMPLES = 1000


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
        As from :func:`~theory_check.analysis.comparison.costs.median_costs`.

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
        As from :func:`~theory_check.analysis.comparison.costs.median_costs`.
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
