"""The average curve over replicates, how far each replicate moves it, and its pointwise interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from theory_check.analysis.intervals import median_interval
from theory_check.arrays import as_floats
from theory_check.errors import InvalidArgumentError

Average = Literal["mean", "geometric"]

# Measured on planted traces: with fewer replicates a resample is so often degenerate that
# studentised quantiles explode, while Student's t on the jackknife error still covers.
MINIMUM_BOOTSTRAP_REPLICATES = 8


def checked_curves(
    x: ArrayLike, y: ArrayLike, minimum_points: int, positive: bool = True
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ``x`` (m,) ascending and ``y`` (replicates, m) in the same order, or refuse them.

    Parameters
    ----------
    x
        Abscissae, shape (m,), finite and distinct.
    y
        One row per replicate, shape (replicates, m) or (m,), finite.
    minimum_points
        Smallest m that is accepted.
    positive
        Whether ``x`` and ``y`` must be strictly positive.

    Raises
    ------
    InvalidArgumentError
        If the shapes disagree, there are too few points or no replicate, or a value is not
        finite, not positive where it must be, or repeated in ``x``.
    """
    abscissa = as_floats("x", x)
    curves = np.atleast_2d(as_floats("y", y))
    if abscissa.ndim != 1:
        raise InvalidArgumentError("x", f"shape {abscissa.shape}", "pass one axis, shape (m,)")
    if curves.ndim != 2 or curves.shape[1] != abscissa.size or curves.shape[0] == 0:
        raise InvalidArgumentError(
            "y", f"shape {curves.shape}", f"pass shape (replicates, {abscissa.size}), as x has"
        )
    if abscissa.size < minimum_points:
        raise InvalidArgumentError(
            "x", f"{abscissa.size} points", f"pass at least {minimum_points} points"
        )
    for name, values in (("x", abscissa), ("y", curves)):
        if not np.isfinite(values).all():
            count = int((~np.isfinite(values)).sum())
            raise InvalidArgumentError(
                name, f"{count} values that are not finite", "remove or repair them first"
            )
        if positive and (values <= 0).any():
            raise InvalidArgumentError(
                name, f"a smallest value of {values.min():g}", "pass positive values only"
            )
    if np.unique(abscissa).size != abscissa.size:
        raise InvalidArgumentError("x", "repeated values", "pass each abscissa once")
    order = np.argsort(abscissa)
    return abscissa[order], curves[:, order]


@dataclass(frozen=True)
class AverageCurve:
    """The logarithm of the average curve and the jackknife influence of each replicate on it.

    Every statistic of the fits is a linear contrast of ``log_average``, so its standard error
    follows from the same contrast of ``influence``.

    Attributes
    ----------
    curves
        The positive observations, shape (replicates, m).
    average
        ``"mean"``: logarithm of the mean over replicates, what a bound on an expectation is
        about; ``"geometric"``: mean of the logarithms, what a typical replicate does.
    log_average
        Shape (m,), natural logarithm.
    influence
        Shape (replicates, m): jackknife pseudo-values about ``log_average``, rows summing to 0.
    """

    curves: Float[np.ndarray, "replicates m"]
    average: Average
    log_average: Float[np.ndarray, " m"]
    influence: Float[np.ndarray, "replicates m"]

    @property
    def replicates(self) -> int:
        """Number of replicates."""
        return int(self.curves.shape[0])

    def from_point(self, start: int) -> AverageCurve:
        """Return the curve without its first ``start`` points."""
        return AverageCurve(
            self.curves[:, start:],
            self.average,
            self.log_average[start:],
            self.influence[:, start:],
        )

    def standard_error(self, contrast: Float[np.ndarray, " m"]) -> float:
        """Return the jackknife standard error of ``contrast @ log_average`` (0 for one curve)."""
        if self.replicates < 2:
            return 0.0
        return float((self.influence @ contrast).std(ddof=1) / np.sqrt(self.replicates))


def average_curve(curves: Float[np.ndarray, "replicates m"], average: Average) -> AverageCurve:
    """Average positive ``curves`` over replicates on the logarithmic scale of ``average``."""
    replicates = curves.shape[0]
    if average == "geometric":
        logs = np.log(curves)
        centre = logs.mean(axis=0)
        return AverageCurve(curves, average, centre, logs - centre)
    # Dividing by the largest value at each point keeps the sums inside the floating range.
    scale = curves.max(axis=0)
    scaled = curves / scale
    log_average = np.log(scaled.mean(axis=0)) + np.log(scale)
    if replicates < 2:
        return AverageCurve(curves, average, log_average, np.zeros_like(curves))
    without = scaled.sum(axis=0) - scaled
    others = np.log(np.maximum(without, np.finfo(np.float64).tiny) / (replicates - 1))
    influence = -(replicates - 1) * (others - others.mean(axis=0))
    return AverageCurve(curves, average, log_average, influence)


def half_width(
    curve: AverageCurve,
    contrast: Float[np.ndarray, " m"],
    resamples: int,
    generator: np.random.Generator,
    level: float = 0.95,
) -> float:
    """Return the half-width of a symmetric interval for ``contrast @ log_average``.

    With at least :data:`MINIMUM_BOOTSTRAP_REPLICATES` replicates, the symmetric studentised
    bootstrap over replicates (Hall, *The Bootstrap and Edgeworth Expansion*, section 3.6), whose
    coverage error is of second order in 1/replicates, where the percentile bootstrap covers 92 %
    or less with 16 replicates; with fewer, Student's t on the jackknife standard error. Never beyond the
    farthest replicate: whatever the weights of the replicates are, the statistic of their mean curve lies
    among their own, but for the curvature of a fit. Where a few replicates hold most of a mean, resamples
    without them have next to no error, and the quantile of studentised shifts means nothing.

    Parameters
    ----------
    curve
        The replicates, m points.
    contrast
        Shape (m,); the coefficients of the statistic.
    resamples
        Number of bootstrap resamples of whole replicates.
    generator
        Source of the resampling.
    level
        Nominal coverage.
    """
    replicates = curve.replicates
    student = float(stats.t.ppf(0.5 + level / 2, max(replicates - 1, 1)))
    jackknife = curve.standard_error(contrast)
    # Rounding in the logarithms: below it the replicates agree exactly and there is no law to
    # resample.
    rounding = 1e-13 * float(np.abs(contrast).sum())
    if replicates < MINIMUM_BOOTSTRAP_REPLICATES or jackknife <= rounding:
        return student * jackknife
    weights = generator.multinomial(
        replicates, np.full(replicates, 1 / replicates), size=resamples
    ).astype(np.float64)
    values = (
        np.log(curve.curves)
        if curve.average == "geometric"
        else (curve.curves / curve.curves.max(axis=0))
    )
    means = weights @ values / replicates
    centre = values.mean(axis=0)
    if curve.average == "geometric":
        shifts = (means - centre) @ contrast
        rows = np.broadcast_to(values @ contrast, weights.shape)
        spread = float((values @ contrast).std(ddof=1))
    else:
        shifts = np.log(means / centre) @ contrast
        rows = (contrast / means) @ values.T
        spread = float((values @ (contrast / centre)).std(ddof=1))
    first = (weights * rows).sum(axis=1) / replicates
    second = (weights * (rows - first[:, None]) ** 2).sum(axis=1) / (replicates - 1)
    errors = np.sqrt(second)
    usable = errors > 1e-3 * spread
    studentised = np.abs(shifts[usable]) / (errors[usable] / np.sqrt(replicates))
    quantile = float(np.quantile(studentised, level))
    alone = np.log(curve.curves) @ contrast
    farthest = float(np.abs(alone - curve.log_average @ contrast).max())
    return min(float(quantile * spread / np.sqrt(replicates)), farthest)


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
    ends = np.array([(each.value, each.low, each.high) for each in found]).T
    return Band(*np.where(np.isfinite(ends), ends, np.nan))
