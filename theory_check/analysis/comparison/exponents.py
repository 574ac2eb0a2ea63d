"""Exponents of the cost in the accuracy, and how far seeds and tuning move them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from theory_check.analysis.comparison.spread import Variance, pooled_by_method
from theory_check.analysis.intervals import UNKNOWN, Interval
from theory_check.analysis.window import MINIMUM_POINTS

FITTED = 0.75
"""Smallest share of seeds that must reach a target whose median cost is fitted."""

RESAMPLES, RESAMPLING_SEED = 4000, 0
"""Resamples of an interval, and the seed of their generator."""


def exponents(
    parts: Mapping[tuple[str, str], pd.DataFrame], column: str
) -> dict[tuple[str, str], tuple[Interval, int]]:
    """Return p of ``median column ~ target^-p``, and the number of targets that are fitted.

    Parameters
    ----------
    parts
        Of a comparison of one accuracy, by problem and method: as for :func:`curves_of`.
    column
        What is fitted.
    """
    curves = {at: curves_of(part, column) for at, part in parts.items()}
    found = {at: slopes(each) for at, each in curves.items()}
    tuning = tuning_variances(found)
    return {
        at: (exponent_of(each, tuning[at[1]]), curves[at].shape[1]) for at, each in found.items()
    }


@dataclass(frozen=True, eq=False)
class Slopes:
    """Exponents p of one method on one problem.

    Attributes
    ----------
    leverage
        Variance of a slope where logs of costs have variance 1 at each of them.
    value
        p of the medians over the seeds of all repetitions.
    resampled
        The same over resampled seeds, infinite where a median is, shape (resample,).
    by_repetition
        p of the medians of every repetition, infinite where one is, shape (repetition,).
    seed_variance
        Variance that seeds alone give one of these.
    """

    leverage: float
    value: float
    resampled: Float[np.ndarray, " resample"]
    by_repetition: Float[np.ndarray, " repetition"]
    seed_variance: float

    @property
    def tuning_variance(self) -> float:
        """Variance between repetitions beyond that of their seeds, as one of log costs.

        Without bias, and so below 0 at times; NaN of a single repetition, or where one missed a target.
        """
        if self.by_repetition.size < 2 or not np.isfinite(self.by_repetition).all():
            return math.nan
        between = float(self.by_repetition.var(ddof=1))
        return (between - self.seed_variance) / self.leverage


def curves_of(part: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a column by repetition and seed, for every target that is fitted.

    Parameters
    ----------
    part
        One method on one problem: ``seed, repetition, target, reached`` and the column, where failures
        count as infinite. Targets that fewer than ``FITTED`` of the seeds reached are left out, and those
        that cost nothing: the start met them.
    column
        What is fitted.
    """
    reached = part["reached"].to_numpy(dtype=bool)
    values = part.assign(value=part[column].where(reached, np.inf))
    curves = values.pivot(index=["repetition", "seed"], columns="target", values="value")
    fitted: pd.DataFrame = curves.loc[
        :, (np.isfinite(curves).mean() >= FITTED) & (curves.median() > 0)
    ]
    return fitted


def slopes(curves: pd.DataFrame) -> Slopes | None:
    """Return p of ``median ~ target^-p``, by least squares on logarithms.

    Medians are over seeds. Seeds are resampled with all of their targets, within their repetition.

    Parameters
    ----------
    curves
        As from :func:`curves_of`.

    Returns
    -------
    Slopes or None
        None with fewer than 4 targets, or a single seed.
    """
    fitted = curves.columns
    if len(fitted) < MINIMUM_POINTS or len(curves) < 2:
        return None
    contrast = np.log(1 / fitted.to_numpy(dtype=np.float64))
    contrast = contrast - contrast.mean()
    contrast = contrast / np.square(contrast).sum()
    generator = np.random.default_rng(RESAMPLING_SEED)
    found = [each.to_numpy(np.float64) for _, each in curves.groupby("repetition")]
    drawn = [each[generator.integers(len(each), size=(RESAMPLES, len(each)))] for each in found]
    of_seeds = [_slope(np.median(each, axis=1), contrast) for each in drawn]
    return Slopes(
        leverage=float(np.square(contrast).sum()),
        value=float(_slope(np.median(np.concatenate(found), axis=0), contrast)),
        resampled=_slope(np.median(np.concatenate(drawn, axis=1), axis=1), contrast),
        by_repetition=np.array([_slope(np.median(each, axis=0), contrast) for each in found]),
        seed_variance=float(np.mean([each[np.isfinite(each)].var() for each in of_seeds])),
    )


def _slope(
    medians: Float[np.ndarray, "*resample target"], contrast: Float[np.ndarray, " target"]
) -> NDArray[np.float64]:
    usable = (np.isfinite(medians) & (medians > 0)).all(axis=-1)
    logs = np.log(np.where(usable[..., None], medians, 1.0))
    return np.where(usable, logs @ contrast, np.inf)


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
    pooled = pooled_by_method(known, {method for _, method in found})
    return {
        method: replace(each, value=float(np.maximum(0.0, each.value)))
        for method, each in pooled.items()
    }


def exponent_of(found: Slopes | None, tuning: Variance) -> Interval:
    """Return p between percentiles of what seeds and tuning make of it.

    Parameters
    ----------
    found
        Slopes of a method on a problem; of None nothing is known.
    tuning
        Of the method. It is added to every resample, with Student's law of its degrees of freedom.
    """
    if found is None:
        return UNKNOWN
    drawn = found.resampled
    if not math.isnan(tuning.value):
        scale = math.sqrt(tuning.value / found.by_repetition.size * found.leverage)
        generator = np.random.default_rng([RESAMPLING_SEED, 1])
        drawn = drawn + scale * generator.standard_t(tuning.freedom, RESAMPLES)
    drawn = np.sort(drawn)
    low, high = drawn[int(0.025 * RESAMPLES)], drawn[int(np.ceil(0.975 * RESAMPLES)) - 1]
    # Where all resamples agree, rounding alone may leave the estimate outside.
    return Interval(found.value, min(found.value, float(low)), max(found.value, float(high)))
