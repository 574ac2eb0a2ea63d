"""Which points of a curve follow a power law: burn-in, floor, and lack of fit.

Points are ordered towards the limit of the statement. A window is *refused* when its departure
from the model is both statistically clear and large enough to matter:

* the quadratic and cubic trends left in the average curve differ from zero by Student's t
  over replicates (p below ``significance``), and
* those trends make the slopes of the window's three thirds differ by more than ``tolerance``;
  where they differ by ``FAR`` times as much, p below ``SIGNIFICANCE_WHEN_FAR`` is enough.

Two conditions, because nearly noise-free curves make an irrelevant curvature significant, and
noisy ones make a large apparent curvature meaningless.

A curve that steepens away from the limit has two explanations: it begins with a burn-in, or it ends
in a floor. Where the data do not decide between them, the window carries both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from scipy import stats
from scipy.optimize import least_squares

from theory_check.analysis.replicates import MINIMUM_BOOTSTRAP_REPLICATES, AverageCurve

MINIMUM_POINTS = 4
SIGNIFICANCE = 0.01
# With fewer than 8 replicates the test is so weak that at 1 % burn-in is mostly overlooked; a
# false alarm costs a point or two of a clean power law.
SIGNIFICANCE_OF_FEW = 0.1
# So large a curvature, in tolerances, is no window of a power law, nor harmless where it is a
# burn-in that few replicates with starts of their own cannot prove at 1 %: there 10 % suffice.
FAR, SIGNIFICANCE_WHEN_FAR = 4.0, 0.1
# Once a departure is proven, what is trimmed must look clean, not merely unproven: trimming only
# to SIGNIFICANCE would leave a bias of about two standard errors in the exponent.
CLEAN = 0.3
# A burn-in that decays like exp(-x/c) leaves, at twice the x where it is no longer seen, the square
# of what was overlooked there.
# The rounding of logarithms must not decide about a point at a factor of 2.
GUARD = math.log(2) - 1e-9
# The power law is taken to hold until a floor makes up this share of the curve.
FLOOR_SHARE = 0.5
# Below this share a floor is not looked for: harmless curvature would pass for one.
SMALLEST_FLOOR = 0.2
# Akaike's criterion is twice a log likelihood. A floor speaks about the limit itself and a burn-in
# does not, so the floor must be better by 2; below 6, a likelihood ratio of 20, either may be true.
FLOOR_MARGIN = 2.0
UNDECIDED = 6.0


@dataclass(frozen=True)
class FloorModel:
    """A fitted sum of a power law and a constant.

    Attributes
    ----------
    coefficients
        Of the design's columns, shape (columns,): logarithm of the prefactor, exponent, ...
    level
        The constant, in the units of y.
    log_curve
        Natural logarithm of the fitted curve, shape (m,).
    share
        Part of the fitted curve that the constant makes up, shape (m,).
    jacobian
        Derivatives of ``log_curve``, shape (m, columns + 1), the last by ``log F``.
    """

    coefficients: Float[np.ndarray, " columns"]
    level: float
    log_curve: Float[np.ndarray, " m"]
    share: Float[np.ndarray, " m"]
    jacobian: Float[np.ndarray, "m parameters"]


def _evaluate(
    parameters: Float[np.ndarray, " parameters"],
    design: Float[np.ndarray, "m columns"],
    offset: Float[np.ndarray, " m"],
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"], Float[np.ndarray, "m parameters"]]:
    """Return log curve, share of the constant, and derivatives by (coefficients, log F)."""
    power = design @ parameters[:-1] + offset
    log_curve = np.logaddexp(power, parameters[-1])
    share = np.exp(parameters[-1] - log_curve)
    jacobian = np.column_stack([(1 - share)[:, None] * design, share])
    return log_curve, share, jacobian


def fit_floor(
    log_average: Float[np.ndarray, " m"],
    design: Float[np.ndarray, "m columns"],
    offset: Float[np.ndarray, " m"],
    decay_sign: float,
) -> FloorModel | None:
    """Fit the sum by nonlinear least squares on the logarithm.

    Parameters
    ----------
    log_average
        Natural logarithm of the curve, shape (m,), ordered towards the limit.
    design
        Columns (1, log x, ...), shape (m, columns).
    offset
        Known part of the power law's logarithm, shape (m,).
    decay_sign
        Sign of the slope in log x that decays towards the limit.

    Returns
    -------
    FloorModel or None
        ``None`` where the fit does not decay, does not converge, or leaves no point above the
        constant.
    """
    half = max(2, log_average.size // 2)
    # In units of the curve and of x in which both are near 1: the optimiser's steps depend on them.
    unit, middle = float(log_average.mean()), float(design[:, 1].mean())
    observed, asked = log_average - unit, design
    design = design.copy()
    design[:, 1] -= middle
    head = np.linalg.lstsq(design[:half, :2], (observed - offset)[:half], rcond=None)[0]
    start = np.zeros(design.shape[1] + 1)
    start[:2] = head
    start[-1] = float(observed.min()) - 0.1
    found = least_squares(
        lambda at: _evaluate(at, design, offset)[0] - observed,
        start,
        jac=lambda at: _evaluate(at, design, offset)[2],
        x_scale="jac",
        max_nfev=200,
    )
    parameters = found.x.copy()
    parameters[0] += unit - middle * parameters[1]
    parameters[-1] += unit
    log_curve, share, jacobian = _evaluate(parameters, asked, offset)
    # A constant above half of the first point leaves no stretch where the power law dominates.
    if not found.success or found.x[1] * decay_sign <= 0 or share[0] > 0.5:
        return None
    return FloorModel(parameters[:-1], float(np.exp(parameters[-1])), log_curve, share, jacobian)


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
    rival
        The other explanation, floor or burn-in, where the data do not decide between them.
    """

    start: int
    floor: FloorModel | None
    lack_of_fit: LackOfFit
    rival: Window | None = None


def slope_contrast(design: Float[np.ndarray, "m columns"]) -> Float[np.ndarray, " m"]:
    """Return the coefficients of the least-squares slope: row 1 of the pseudo-inverse."""
    return np.asarray(np.linalg.pinv(design)[1], dtype=np.float64)


def _trends(
    design: Float[np.ndarray, "m columns"], log_x: Float[np.ndarray, " m"]
) -> Float[np.ndarray, "trends m"]:
    """Return orthonormal quadratic and cubic trends in log x that the design cannot express."""
    points, columns = design.shape
    position = log_x - log_x.mean()
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
    log_x: Float[np.ndarray, " m"],
    tolerance: float,
    significance: float,
) -> LackOfFit:
    """Judge whether the average curve at ``log_x`` follows a design, with a floor its Jacobian."""
    trends = _trends(design, log_x)
    size = trends @ curve.log_average
    smooth = size @ trends
    slopes = []
    edges = np.round(np.linspace(0, design.shape[0] - 1, 4)).astype(int)
    for first, last in pairwise(edges):
        part = slice(first, last + 1)
        position = log_x[part] - log_x[part].mean()
        slopes.append(float(position @ smooth[part] / (position @ position)))
    curvature = max(slopes) - min(slopes)
    p_value = _p_value(size, curve.influence @ trends.T)
    if curvature > FAR * tolerance:
        significance = max(significance, SIGNIFICANCE_WHEN_FAR)
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
    pure power law and once for the power law plus a constant, until each passes; the latter too
    is trimmed only where it is itself refused. What is trimmed gives way to a guard, a factor of
    2 in x, against the burn-in that was overlooked. At least a third of the points, four, and two
    more than columns must remain; where nothing passes, the whole curve is returned as refused.

    Where both pass, Akaike's criterion decides, a dropped point counting as a parameter, and the
    loser is kept as ``rival`` if the two are close.

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
    log_x = design[:, 1]
    few = curve.replicates < MINIMUM_BOOTSTRAP_REPLICATES
    proven = SIGNIFICANCE_OF_FEW if few else SIGNIFICANCE

    def power_law(start: int, significance: float) -> Window:
        part = curve.from_point(start)
        residual = replace(part, log_average=part.log_average - offset[start:])
        found = lack_of_fit(residual, design[start:], log_x[start:], tolerance, significance)
        return Window(start, None, found)

    whole = power_law(0, proven)
    if not whole.lack_of_fit.rejected:
        return whole
    points, columns = design.shape
    longest = points - max(MINIMUM_POINTS, columns + 2, math.ceil(points / 3))
    power = _smallest_burn_in(power_law, log_x, longest, proven)
    if not find_floor:
        return whole if power is None else power[1]
    models: dict[int, FloorModel | None] = {}

    def with_floor(start: int, significance: float) -> Window | None:
        if points - start < columns + 2:  # nothing would be left to test the fit on
            return None
        if start not in models:
            models[start] = fit_floor(
                curve.log_average[start:], design[start:], offset[start:], decay_sign
            )
        model = models[start]
        if model is None or model.share[-1] < SMALLEST_FLOOR:
            return None
        part = curve.from_point(start)
        residual = replace(part, log_average=part.log_average - model.log_curve)
        found = lack_of_fit(residual, model.jacobian, log_x[start:], tolerance, significance)
        return Window(start, model, found)

    # One point more than parameters and trends, so that the fit is tested.
    room = points - max(columns + 3, math.ceil(points / 3))
    floored = _smallest_burn_in(with_floor, log_x, room, proven)
    if floored is None or power is None:
        alone = power if floored is None else floored
        return whole if alone is None else alone[1]
    model = models[floored[0]]
    without = min(
        _criterion(curve, design, offset, tolerance, start, None) for start in range(1, longest + 1)
    )
    margin = without - _criterion(curve, design, offset, tolerance, floored[0], model)
    chosen, rival = power[1], floored[1]
    if margin > FLOOR_MARGIN:
        chosen, rival = rival, chosen
    # A single curve has no likelihood.
    undecided = curve.replicates > 1 and abs(margin) < UNDECIDED
    return replace(chosen, rival=rival) if undecided else chosen


def _smallest_burn_in(
    model: Callable[[int, float], Window | None],
    log_x: Float[np.ndarray, " m"],
    longest: int,
    proven: float,
) -> tuple[int, Window] | None:
    """Return the first start from which ``model`` passes, and the window beyond its guard.

    ``model`` maps a start and a significance to a window, or to ``None`` where it has none; at
    most ``longest`` points are dropped, the guard included.
    """
    trimmed = range(1, longest + 1)
    attempts = [(0, proven), *((start, CLEAN) for start in trimmed)]
    attempts += [(start, proven) for start in trimmed]
    for start, significance in attempts:
        window = model(start, significance)
        if window is None or window.lack_of_fit.rejected:
            continue
        if start == 0:
            return start, window
        beyond = start + int((np.abs(log_x[start:] - log_x[start]) < GUARD).sum())
        guarded = model(min(beyond, longest), proven)
        if guarded is None or guarded.lack_of_fit.rejected:
            return start, window
        return start, guarded
    return None


def _criterion(
    curve: AverageCurve,
    design: Float[np.ndarray, "m columns"],
    offset: Float[np.ndarray, " m"],
    tolerance: float,
    start: int,
    floor: FloorModel | None,
) -> float:
    """Return Akaike's criterion of a model from ``start``, points independent of each other.

    Each dropped point is a parameter. The variance of a point includes the mean square of the
    parabola whose slopes differ by ``tolerance`` between the outer thirds of log x: with length
    L and height a L², 4 a L/3 = tolerance and the mean square is (a L²)²/180.
    """
    part = curve.from_point(start)
    if floor is None:
        observed = part.log_average - offset[start:]
        fitted = design[start:] @ np.linalg.lstsq(design[start:], observed, rcond=None)[0]
        residual = observed - fitted
    else:
        residual = part.log_average - floor.log_curve
    log_x = design[:, 1]
    harmless = 0.75 * tolerance * abs(log_x[-1] - log_x[0]) / math.sqrt(180)
    # 1e-14: rounding of the logarithms.
    variance = (part.influence**2).sum(axis=0) / max(part.replicates - 1, 1) / part.replicates
    misfit = residual**2 / (variance + harmless**2 + 1e-28)
    parameters = start + design.shape[1] + int(floor is not None)
    return float(misfit.sum()) + 2.0 * float(parameters)
