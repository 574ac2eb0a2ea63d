"""Exponents of the cost in the accuracy, and how far seeds and tuning move them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from theory_check.analysis.comparison.spread import FEWEST, Variance
from theory_check.analysis.intervals import UNKNOWN, Interval
from theory_check.analysis.window import MINIMUM_POINTS

FITTED = 0.75
"""Smallest share of seeds that must reach a target whose median cost is fitted."""

RESAMPLES, RESAMPLING_SEED = 4000, 0
"""Resamples of an interval, and the seed of their generator."""


@dataclass(frozen=True, eq=False)
class Slopes:
    """Exponents p of one method on one problem, of every repetition of its study.

    Attributes
    ----------
    points
        Targets that are fitted.
    leverage
        Variance of a slope where logs of costs have variance 1 at each of them.
    found
        p of every repetition, shape (repetition,).
    resampled
        The same over resampled seeds, shape (resample, repetition): infinite where a median is.
    """

    points: int
    leverage: float
    found: Float[np.ndarray, " repetition"]
    resampled: Float[np.ndarray, "resample repetition"]

    @property
    def tuning_variance(self) -> float:
        """Variance between repetitions beyond that of their seeds, as one of log costs.

        Without bias, and so below 0 at times; NaN of a single repetition.
        """
        if self.found.size < 2:
            return math.nan
        usable = self.resampled[np.isfinite(self.resampled).all(axis=1)]
        of_seeds = usable.var(axis=0, ddof=1).mean()
        return float((self.found.var(ddof=1) - of_seeds) / self.leverage)


def slopes(part: pd.DataFrame, column: str) -> Slopes | None:
    """Return p of ``median column ~ target^-p`` of every repetition, by least squares on logarithms.

    Medians are over seeds, failures counted as infinite. Seeds are resampled with all of their targets.

    Parameters
    ----------
    part
        One method on one problem: ``seed, repetition, target, reached`` and the column. Targets that
        fewer than ``FITTED`` of the seeds reached are left out, those that most seeds of a repetition
        missed, and those that cost nothing: the start met them.
    column
        What is fitted.

    Returns
    -------
    Slopes or None
        None with fewer than 4 such targets, or a single seed.
    """
    reached = part["reached"].to_numpy(dtype=bool)
    values = part.assign(value=part[column].where(reached, np.inf))
    curves = values.pivot(index=["repetition", "seed"], columns="target", values="value")
    medians = curves.groupby("repetition").median()
    usable = (np.isfinite(medians) & (medians > 0)).all()
    fitted = curves.columns[(np.isfinite(curves).mean() >= FITTED) & usable]
    if len(fitted) < MINIMUM_POINTS or len(curves) < 2:
        return None
    contrast = np.log(1 / fitted.to_numpy(dtype=np.float64))
    contrast = contrast - contrast.mean()
    contrast = contrast / np.square(contrast).sum()
    generator = np.random.default_rng(RESAMPLING_SEED)
    found, resampled = [], []
    for _, each in curves[fitted].groupby("repetition"):
        costs = each.to_numpy(dtype=np.float64)
        found.append(float(np.log(np.median(costs, axis=0)) @ contrast))
        resampled.append(_resampled(costs, contrast, generator))
    return Slopes(
        points=len(fitted),
        leverage=float(np.square(contrast).sum()),
        found=np.array(found),
        resampled=np.stack(resampled, axis=1),
    )


def _resampled(
    costs: Float[np.ndarray, "seed target"],
    contrast: Float[np.ndarray, " target"],
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    seeds = generator.integers(len(costs), size=(RESAMPLES, len(costs)))
    medians = np.median(costs[seeds], axis=1)
    finite = np.isfinite(medians).all(axis=1)
    slope = np.log(np.where(np.isfinite(medians), medians, 1.0)) @ contrast
    return np.where(finite, slope, np.inf)


def tuning_variances(found: Mapping[tuple[str, str], Slopes | None]) -> dict[str, Variance]:
    """Return what tuning adds to log costs as far as slopes see it, for every method.

    What all targets of a search have in common moves levels and not slopes, and is not in it.

    Parameters
    ----------
    found
        Slopes by problem and method.

    Returns
    -------
    dict
        Of the method over its problems with repetitions, or of all methods where it has fewer than six;
        NaN without any.
    """
    known = pd.DataFrame(
        [
            (problem, method, each.tuning_variance)
            for (problem, method), each in found.items()
            if each is not None and not math.isnan(each.tuning_variance)
        ],
        columns=["problem", "method", "variance"],
    )
    everyone = _pooled(known)
    pooled = {}
    for method in {method for _, method in found}:
        own = _pooled(known[known["method"] == method])
        pooled[method] = own if own.freedom >= FEWEST else everyone
    return pooled


def _pooled(known: pd.DataFrame) -> Variance:
    if known.empty:
        return Variance(math.nan, 0)
    by_problem = known.groupby("problem")["variance"].mean()
    return Variance(max(0.0, float(by_problem.mean())), int(by_problem.size))


def exponent(found: Slopes | None, tuning: Variance) -> Interval:
    """Return the mean over repetitions, between percentiles of what seeds and tuning make of it.

    Parameters
    ----------
    found
        Slopes of a method on a problem; of None nothing is known.
    tuning
        Of the method. It is added to every resample, with Student's law of its degrees of freedom.
    """
    if found is None:
        return UNKNOWN
    drawn = found.resampled.mean(axis=1)
    if not math.isnan(tuning.value):
        scale = math.sqrt(tuning.value / found.found.size * found.leverage)
        generator = np.random.default_rng([RESAMPLING_SEED, 1])
        drawn = drawn + scale * generator.standard_t(tuning.freedom, RESAMPLES)
    drawn = np.sort(drawn)
    low, high = drawn[int(0.025 * RESAMPLES)], drawn[int(np.ceil(0.975 * RESAMPLES)) - 1]
    return Interval(float(found.found.mean()), float(low), float(high))
