"""Which points of a curve follow a power law: burn-in, floor, and lack of fit.

Points are ordered towards the limit of the statement. A window is *refused* when its departure
from the model is both statistically clear and large enough to matter:

* the quadratic and cubic trends left in the average curve differ from zero by Student's t
  over replicates (p below ``significance``), and
* those trends make the slopes of the window's three thirds differ by more than ``tolerance``.

Two conditions, because nearly noise-free curves make an irrelevant curvature significant, and
noisy ones make a large apparent curvature meaningless.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from scipy import stats

from theory_check.analysis.floor import FloorModel, fit_floor
from theory_check.analysis.replicates import MINIMUM_BOOTSTRAP_REPLICATES, AverageCurve

MINIMUM_POINTS = 4
SIGNIFICANCE = 0.01
# With fewer than 8 replicates the test is so weak that at 1 % burn-in is mostly overlooked; a
# false alarm costs a point or two of a clean power law.
SIGNIFICANCE_OF_FEW = 0.1
# Once a departure is proven, what is trimmed must look clean, not merely unproven: trimming only
# to SIGNIFICANCE would leave a bias of about two standard errors in the exponent.
CLEAN = 0.3
# A floor counts once it makes up this share of the curve at the limit end.
FLOOR_SHARE = 0.5


@dataclass(frozen=True)
class LackOfFit:
    """How far a window departs from its model.

    Attributes
    ----------
    p_value
        Of no quadratic and no cubic trend (Student's t, Bonferroni); 0 for a single
        deterministic curve, where every departure is real.
    curvature
        Difference between the largest and smallest slope of the window's thirds.
    tolerance
        What ``curvature`` may be without harm.
    rejected
        Whether the window is refused: significant and larger than ``tolerance``.
    """

    p_value: float
    curvature: float
    tolerance: float
    rejected: bool


@dataclass(frozen=True)
class Window:
    """The points that are fitted, in the order of the curve it was chosen from.

    Attributes
    ----------
    start
        Points dropped at the end away from the limit.
    floor
        Model with an additive floor, over all points from ``start``; ``None`` without a floor.
    lack_of_fit
        Of the chosen model from ``start``.
    """

    start: int
    floor: FloorModel | None
    lack_of_fit: LackOfFit


def slope_contrast(design: Float[np.ndarray, "m columns"]) -> Float[np.ndarray, " m"]:
    """Return the coefficients of the least-squares slope: row 1 of the pseudo-inverse."""
    return np.asarray(np.linalg.pinv(design)[1], dtype=np.float64)


def _trends(design: Float[np.ndarray, "m columns"]) -> Float[np.ndarray, "trends m"]:
    """Return orthonormal quadratic and cubic trends that the design cannot express."""
    points, columns = design.shape
    position = design[:, 1] - design[:, 1].mean()
    position = position / np.abs(position).max()
    trends: list[np.ndarray] = []
    basis = np.linalg.qr(design)[0]
    for power in range(2, 2 + min(2, points - columns)):
        trend = position**power
        for _ in range(2):  # twice: one pass of Gram-Schmidt loses orthogonality
            trend = trend - basis @ (basis.T @ trend)
        trend = trend / np.linalg.norm(trend)
        trends.append(trend)
        basis = np.column_stack([basis, trend])
    return np.array(trends)


def lack_of_fit(
    curve: AverageCurve,
    design: Float[np.ndarray, "m columns"],
    tolerance: float,
    significance: float,
) -> LackOfFit:
    """Judge whether the average curve follows ``design``, columns (1, log x, ...)."""
    trends = _trends(design)
    size = trends @ curve.log_average
    smooth = size @ trends
    slopes = []
    edges = np.round(np.linspace(0, design.shape[0] - 1, 4)).astype(int)
    for first, last in pairwise(edges):
        part = slice(first, last + 1)
        position = design[part, 1] - design[part, 1].mean()
        slopes.append(float(position @ smooth[part] / (position @ position)))
    curvature = max(slopes) - min(slopes)
    p_value = _p_value(size, curve.influence @ trends.T)
    rejected = p_value < significance and curvature > tolerance
    return LackOfFit(p_value, curvature, float(tolerance), rejected)


def _p_value(
    size: Float[np.ndarray, " trends"], influence: Float[np.ndarray, "replicates trends"]
) -> float:
    """Return the p-value of all trends being zero: Student's t for each, Bonferroni-corrected.

    Not Hotelling's T²: with 4 replicates its two trends leave F(2, 2), which sees nothing.
    """
    replicates = influence.shape[0]
    if replicates < 2:
        return 0.0
    errors = influence.std(axis=0, ddof=1) / np.sqrt(replicates)
    # Logarithms carry rounding of about 1e-15, which bounds every error from below.
    ratio = float((np.abs(size) / np.maximum(errors, 1e-14)).max())
    return min(1.0, size.size * 2 * float(stats.t.sf(ratio, replicates - 1)))


def choose_window(
    curve: AverageCurve,
    design: Float[np.ndarray, "m columns"],
    offset: Float[np.ndarray, " m"],
    tolerance: float,
    decay_sign: float,
    find_floor: bool,
) -> Window:
    """Choose the smallest burn-in, and a floor or none.

    The whole curve is kept unless it is refused, so that clean power laws are not trimmed beyond
    the stated false-alarm probability. Otherwise burn-in is dropped point by point, once for the
    pure power law and once for the power law plus a constant, until each passes. The floor is
    chosen when it explains at least two points more (it has one parameter more) and makes up at
    least half of the curve at the limit end. At least a third of the points, and four, must
    remain; where nothing passes, the whole curve is returned as refused.

    Parameters
    ----------
    curve, design
        Ordered towards the limit; m points.
    offset
        Known part of ``log y``, shape (m,).
    tolerance
        Spread of local exponents that is harmless.
    decay_sign
        Sign of the slope in log x that decays towards the limit.
    find_floor
        Whether a floor may be assumed.
    """
    points = design.shape[0]
    few = curve.replicates < MINIMUM_BOOTSTRAP_REPLICATES
    proven = SIGNIFICANCE_OF_FEW if few else SIGNIFICANCE
    whole = _power_lack_of_fit(curve, design, offset, tolerance, proven, 0)
    if not whole.rejected:
        return Window(0, None, whole)
    longest = points - max(MINIMUM_POINTS, math.ceil(points / 3))
    power = next(
        (
            Window(start, None, found)
            for significance in (CLEAN, proven)
            for start in range(longest + 1)
            if not (
                found := _power_lack_of_fit(curve, design, offset, tolerance, significance, start)
            ).rejected
        ),
        None,
    )
    floored = _floored(curve, design, offset, tolerance, decay_sign, proven) if find_floor else None
    if floored is not None and (power is None or power.start - floored.start >= 2):
        return floored
    return power if power is not None else Window(0, None, whole)


def _power_lack_of_fit(
    curve: AverageCurve,
    design: Float[np.ndarray, "m columns"],
    offset: Float[np.ndarray, " m"],
    tolerance: float,
    significance: float,
    start: int,
) -> LackOfFit:
    part = from_point(curve, start)
    residual = replace(part, log_average=part.log_average - offset[start:])
    return lack_of_fit(residual, design[start:], tolerance, significance)


def _floored(
    curve: AverageCurve,
    design: Float[np.ndarray, "m columns"],
    offset: Float[np.ndarray, " m"],
    tolerance: float,
    decay_sign: float,
    proven: float,
) -> Window | None:
    """Return the smallest burn-in after which a power law plus a dominant floor passes."""
    points, columns = design.shape
    # One point more than parameters and trends, so that the fit is tested.
    longest = points - max(columns + 3, math.ceil(points / 3))
    models: dict[int, FloorModel | None] = {}
    for significance in (CLEAN, proven):
        for start in range(longest + 1):
            part = from_point(curve, start)
            if start not in models:
                models[start] = fit_floor(
                    part.log_average, design[start:], offset[start:], decay_sign
                )
            model = models[start]
            if model is None or model.share[-1] < FLOOR_SHARE:
                continue
            residual = replace(part, log_average=part.log_average - model.log_curve)
            found = lack_of_fit(residual, model.jacobian, tolerance, significance)
            if not found.rejected:
                return Window(start, model, found)
    return None


def from_point(curve: AverageCurve, start: int) -> AverageCurve:
    """Return the curve without its first ``start`` points."""
    return AverageCurve(
        curve.curves[:, start:],
        curve.average,
        curve.log_average[start:],
        curve.influence[:, start:],
    )
