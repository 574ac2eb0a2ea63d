"""Power laws: the exponent of a curve, its interval over replicates, and where it holds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from theory_check.analysis.replicates import (
    Average,
    AverageCurve,
    average_curve,
    checked_curves,
    half_width,
)
from theory_check.analysis.window import (
    FLOOR_SHARE,
    MINIMUM_POINTS,
    LackOfFit,
    Window,
    choose_window,
    slope_contrast,
)
from theory_check.arrays import as_floats
from theory_check.errors import (
    LARGEST_SCALE,
    InvalidArgumentError,
    is_integer,
    require_choice,
    require_finite,
    require_flag,
    require_non_negative,
    require_positive_integer,
    require_seed,
    require_table,
    shortened,
)

# Dense grids are thinned to about this many points, equally spaced in log x: a linear grid would
# otherwise put nearly all weight on its last factor of two.
MAXIMUM_POINTS = 48


@dataclass(frozen=True)
class PowerLawFit:
    """A fitted ``y = prefactor * x ** exponent * |log x| ** log_power * exp(c u + d u²)``.

    ``u`` is the variable that vanishes at the limit, x or 1/x; c and d are 0 without corrections.

    Attributes
    ----------
    exponent, low, high
        Least-squares exponent and its 95 % interval over replicates; for ``deterministic`` fits
        ``low`` and ``high`` are the extreme slopes of the window's thirds, not a confidence
        interval.
    prefactor
        In the units of y.
    log_power
        Power of ``|log x|``; 0 without a modelled log factor.
    corrections
        c, or c and d, where corrections were asked for; empty elsewhere.
    limit
        End of x at which the statement is asymptotic.
    window
        Half-open range of indices into ``x`` sorted ascending: where the power law holds, after
        the burn-in and before the floor makes up half of the curve.
    points
        Number of points in the window; fewer on a thinned dense grid.
    burn_in
        Points dropped at the end away from the limit.
    floor
        Whether the curve flattens at the limit end.
    floor_level
        Fitted additive constant, in the units of y; ``None`` without one. With a floor the
        exponent is that of ``y - floor_level``, fitted jointly over all points after the
        burn-in, so that points near the floor do not bias it.
    local_slopes
        Slopes between neighbouring points of the average curve, shape (m - 1,), all points.
    lack_of_fit
        Departure from the model within the window.
    decades_x, decades_y
        Factors of ten spanned by the window, along x and along the average curve.
    replicates
        Number of rows of y.
    without_floor
        Where a floor and a burn-in explain the curve about equally well, low and high of the
        exponent under the burn-in; ``None`` elsewhere. The other fields are then those of the
        better one, except that ``low`` to ``high`` spans the intervals of both.
    near_limit
        Low and high of the mean slope over the half of the window next to the limit (Student's t on
        the jackknife); of a single curve that slope twice. ``None`` with a floor, which ends there.
    """

    exponent: float
    low: float
    high: float
    prefactor: float
    log_power: float
    corrections: tuple[float, ...]
    limit: Literal["zero", "infinity"]
    window: tuple[int, int]
    points: int
    burn_in: int
    floor: bool
    floor_level: float | None
    local_slopes: Float[np.ndarray, " slopes"]
    lack_of_fit: LackOfFit
    decades_x: float
    decades_y: float
    replicates: int
    without_floor: tuple[float, float] | None
    near_limit: tuple[float, float] | None

    def predict(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return the fitted curve at ``x``, any shape."""
        at = as_floats("x", x)
        if not ((at >= 1 / LARGEST_SCALE) & (at <= LARGEST_SCALE)).all():
            raise InvalidArgumentError(
                "x", f"values from {at.min():g} to {at.max():g}", "pass finite positive values only"
            )
        curve = self.prefactor * at**self.exponent
        if self.log_power != 0:
            curve = curve * np.abs(np.log(at)) ** self.log_power
        vanishing = at if self.limit == "zero" else 1 / at
        for order, coefficient in enumerate(self.corrections, start=1):
            curve = curve * np.exp(coefficient * vanishing**order)
        return np.asarray(curve, dtype=np.float64)


def fit_power_law(
    x: ArrayLike,
    y: ArrayLike,
    *,
    limit: Literal["zero", "infinity"] = "infinity",
    resamples: int = 2000,
    seed: int = 0,
    log_factor: bool = False,
    log_power: float | None = None,
    correction: int = 0,
    average: Average = "mean",
    curvature_tolerance: float = 0.05,
    find_floor: bool = True,
    deterministic: bool = False,
) -> PowerLawFit:
    """Fit a power law to the average curve of replicates.

    Least squares on log-log axes over the window of :func:`~theory_check.analysis.window.choose_window`;
    intervals by :func:`theory_check.analysis.replicates.half_width`, with whole replicates as the unit of
    resampling. The window is chosen once and the interval is conditional on it, except that it spans both
    where the data do not tell a floor from a burn-in; ``make calibrate`` measures what that costs.

    Parameters
    ----------
    x
        Abscissae, shape (m,), positive and distinct, in any order.
    y
        Positive observations, shape (replicates, m).
    limit
        End of x at which the statement is asymptotic. Burn-in is looked for at the other end, a
        floor at this one.
    resamples
        Bootstrap resamples.
    seed
        Of the resampling: same seed, same interval.
    log_factor
        Model ``|log x| ** q`` as well. An explicit choice: over few decades a log factor and a
        slightly different exponent cannot be told apart.
    log_power
        The q of ``log_factor`` where it is known; fitted, at the price of a much wider interval
        for the exponent, when ``None``.
    correction
        Order, 0 to 2, of the expansion of ``log y - p log x`` in the variable that vanishes at the
        limit, x or 1/x: with 1, ``y = C x**p (1 + c x + ...)``. The exponent is then that of the
        limit, where without it is the mean slope of the range, and its interval is wider.
    average
        ``"mean"``: the curve of E[y], which bounds on expectations are about; replicates with
        the largest values dominate it, which for a bound is the safe side. ``"geometric"``: each
        replicate counts equally whatever its prefactor; the choice for noisy replicates whose
        prefactors differ by orders of magnitude, where the mean is in effect over a few of them.
    curvature_tolerance
        Difference between local exponents that is not held against a power law.
    find_floor
        Look for a floor. It makes sense only where y should decay towards the limit.
    deterministic
        Accept a single replicate; the meaning of ``low`` and ``high`` changes, see
        :class:`PowerLawFit`.

    Raises
    ------
    InvalidArgumentError
        For shapes that disagree, values that are not finite and positive, fewer than 4 points (one
        more for each order of ``correction``), a single replicate without ``deterministic``, or a
        log factor on x that touches 1.
    """
    require_choice("limit", limit, ("zero", "infinity"))
    require_choice("average", average, ("mean", "geometric"))
    require_positive_integer("resamples", resamples)
    require_seed("seed", seed)
    for argument, flag in (
        ("log_factor", log_factor),
        ("find_floor", find_floor),
        ("deterministic", deterministic),
    ):
        require_flag(argument, flag)
    if log_power is not None:
        require_finite("log_power", log_power)
    require_non_negative("curvature_tolerance", curvature_tolerance)
    if not is_integer(correction) or correction not in (0, 1, 2):
        raise InvalidArgumentError("correction", shortened(correction), "pass 0, 1 or 2")
    abscissa, curves = checked_curves(x, y, MINIMUM_POINTS + correction)
    require_table("resamples", resamples, int(resamples) * len(curves))
    if curves.shape[0] < 2 and not deterministic:
        raise InvalidArgumentError(
            "y",
            "1 replicate",
            "pass at least 2 replicates (rows), or deterministic=True for a curve without noise",
        )
    if log_power is not None and not log_factor:
        raise InvalidArgumentError("log_power", log_power, "pass log_factor=True with it")
    design, offset, middle = _model(abscissa, log_factor, log_power)
    # Relative to the largest value, for the condition of the least squares.
    vanishing = abscissa if limit == "zero" else 1 / abscissa
    powers = [(vanishing / vanishing.max()) ** order for order in range(1, correction + 1)]
    design = np.column_stack([design, *powers])
    kept = _thinned(np.log(abscissa))
    # From here on points are ordered towards the limit.
    towards = kept if limit == "infinity" else kept[::-1]
    curve = average_curve(curves[:, towards], average)
    window = choose_window(
        curve,
        design[towards],
        offset[towards],
        float(curvature_tolerance),
        decay_sign=-1.0 if limit == "infinity" else 1.0,
        find_floor=find_floor,
    )
    model = (curve, design[towards], offset[towards])
    coefficients, low, high = _interval(*model, window, resamples, seed)
    exponent = float(coefficients[1])
    without_floor = None
    if window.rival is not None:
        _, rival_low, rival_high = _interval(*model, window.rival, resamples, seed)
        without_floor = (low, high) if window.floor is None else (rival_low, rival_high)
        low, high = min(low, rival_low), max(high, rival_high)
    used = _power_dominated(towards[window.start :], window)
    first, last = int(used.min()), int(used.max())
    everything = average_curve(curves, average).log_average
    return PowerLawFit(
        exponent=exponent,
        low=low,
        high=high,
        prefactor=float(np.exp(coefficients[0] - middle * exponent)),
        log_power=_fitted_log_power(coefficients, log_factor, log_power),
        corrections=tuple(
            float(coefficients[order - correction - 1] / vanishing.max() ** order)
            for order in range(1, correction + 1)
        ),
        limit=limit,
        window=(first, last + 1),
        points=int(used.size),
        burn_in=first if limit == "infinity" else int(abscissa.size) - last - 1,
        floor=window.floor is not None,
        floor_level=None if window.floor is None else window.floor.level,
        local_slopes=np.diff(everything) / np.diff(np.log(abscissa)),
        lack_of_fit=window.lack_of_fit,
        decades_x=float(np.log10(abscissa[last] / abscissa[first])),
        decades_y=float(abs(everything[last] - everything[first]) / np.log(10)),
        replicates=int(curves.shape[0]),
        without_floor=without_floor,
        near_limit=_near_limit(*model, window),
    )


def _near_limit(
    curve: AverageCurve,
    design: Float[np.ndarray, "m columns"],
    offset: Float[np.ndarray, " m"],
    window: Window,
) -> tuple[float, float] | None:
    """Return low and high of the slope over the half of the window next to the limit."""
    if window.floor is not None:
        return None
    half = (window.start + len(offset)) // 2
    part = curve.from_point(half)
    contrast = slope_contrast(design[half:, :2])
    slope = float(contrast @ (part.log_average - offset[half:]))
    quantile = float(stats.t.ppf(0.975, part.replicates - 1)) if part.replicates > 1 else 0.0
    reach = quantile * part.standard_error(contrast)
    return slope - reach, slope + reach


def _interval(
    curve: AverageCurve,
    design: Float[np.ndarray, "m columns"],
    offset: Float[np.ndarray, " m"],
    window: Window,
    resamples: int,
    seed: int,
) -> tuple[Float[np.ndarray, " columns"], float, float]:
    """Return coefficients, low and high of a window's model over the points of the whole curve."""
    part, kept = curve.from_point(window.start), slice(window.start, None)
    local_design, coefficients = _solve(part, design[kept], offset[kept], window)
    exponent = float(coefficients[1])
    if part.replicates > 1:
        generator = np.random.default_rng(seed)
        reach = half_width(part, slope_contrast(local_design), resamples, generator)
        return coefficients, exponent - reach, exponent + reach
    fitted_curve = (
        local_design @ coefficients + offset[kept]
        if window.floor is None
        else window.floor.log_curve
    )
    used = _power_dominated(np.arange(fitted_curve.size), window)
    residual = (part.log_average - fitted_curve)[used]
    return coefficients, *_range_of_slopes(design[kept, 1][used], residual, exponent)


def _solve(
    curve: AverageCurve,
    design: Float[np.ndarray, "m columns"],
    offset: Float[np.ndarray, " m"],
    window: Window,
) -> tuple[Float[np.ndarray, "m parameters"], Float[np.ndarray, " columns"]]:
    """Return the (linearised) design and the coefficients of the window's model.

    With a floor the design is the Jacobian at the optimum, so the slope's contrast is free of
    the floor's error to first order.
    """
    if window.floor is not None:
        return window.floor.jacobian, window.floor.coefficients
    return design, np.linalg.pinv(design) @ (curve.log_average - offset)


def _power_dominated(fitted: NDArray[np.intp], window: Window) -> NDArray[np.intp]:
    """Return the fitted points at which the floor makes up less than half of the curve."""
    if window.floor is None:
        return fitted
    return fitted[window.floor.share < FLOOR_SHARE]


def _model(
    x: Float[np.ndarray, " m"], log_factor: bool, log_power: float | None
) -> tuple[Float[np.ndarray, "m columns"], Float[np.ndarray, " m"], float]:
    """Return the design (1, log x - middle[, log|log x|]), the known part of log y, and the middle.

    Centred, because the condition of the fit must not depend on the unit of x.
    """
    log_x = np.log(x)
    middle = float(log_x[0] + log_x[-1]) / 2
    design = np.column_stack([np.ones_like(log_x), log_x - middle])
    if not log_factor:
        return design, np.zeros_like(log_x), middle
    if log_x[0] * log_x[-1] <= 0:
        raise InvalidArgumentError(
            "log_factor",
            f"x from {x[0]:g} to {x[-1]:g}",
            "rescale x so that it stays on one side of 1, where log x vanishes",
        )
    log_log = np.log(np.abs(log_x))
    if log_power is None:
        return np.column_stack([design, log_log]), np.zeros_like(log_x), middle
    return design, log_power * log_log, middle


def _fitted_log_power(
    coefficients: Float[np.ndarray, " columns"], log_factor: bool, log_power: float | None
) -> float:
    if not log_factor:
        return 0.0
    return float(coefficients[2]) if log_power is None else float(log_power)


def _thinned(log_x: Float[np.ndarray, " m"]) -> NDArray[np.intp]:
    """Return indices of at most about 48 points, near an equally spaced grid in log x."""
    if log_x.size <= MAXIMUM_POINTS:
        return np.arange(log_x.size)
    grid = np.linspace(log_x[0], log_x[-1], MAXIMUM_POINTS)
    # Rounded: where two points are equally near, rounding of the logarithms must not choose.
    return np.unique(np.abs(log_x[:, None] - grid).round(9).argmin(axis=0))


def _range_of_slopes(
    log_x: Float[np.ndarray, " m"], residual: Float[np.ndarray, " m"], exponent: float
) -> tuple[float, float]:
    """Return the smallest and largest slope of the window's thirds, ``exponent`` included."""
    edges = np.unique(np.round(np.linspace(0, log_x.size - 1, 4)).astype(int))
    slopes = [
        exponent + float(np.polyfit(log_x[a : b + 1], residual[a : b + 1], 1)[0])
        for a, b in pairwise(edges)
    ]
    return min(exponent, *slopes), max(exponent, *slopes)
