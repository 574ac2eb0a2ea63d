"""Geometric decay: its rate, and how to tell it from a power law.

Both questions are asked of each replicate by itself, because a statement ``y <= C rho**k`` is
about one trajectory: prefactors may differ by orders of magnitude, trajectories reach the
numerical floor at different times, and the mean of several geometric decays is not geometric.
Replicates are then the unit of the intervals.

Usable points of a replicate, in this order:

1. points with ``x <= 0`` are dropped: a power law has no value there;
2. *numerical floor*: from the first point that is not positive, or that fails to decrease although
   it lies below ``sqrt(2**-52)`` of the largest value, rounding is suspected; every point from
   the first one below ten times that level is dropped;
3. *plateau*: the longest tail that holds at least a quarter of the points and whose slope on
   log-log axes lies, with two standard errors either way, between -0.1 and 0.1 is dropped, with
   all points from the first one below ten times its level. Geometric decay has steeper tails, and
   so has every power law with an exponent beyond 0.1;
4. *burn-in*: a fixed share of what is left is dropped, because one trajectory offers no test by
   which a transient could be told from either kind of decay: a tenth, or half where only the
   later half decays geometrically (see :func:`compare_decay`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from theory_check.analysis.intervals import Interval, mean_interval
from theory_check.analysis.replicates import checked_curves
from theory_check.arrays import as_floats
from theory_check.errors import InvalidArgumentError, require_non_negative, require_share

MINIMUM_USABLE = 6
ROUNDING_LEVEL = float(np.sqrt(np.finfo(np.float64).eps))
PLATEAU_SLOPE = 0.1
BURN_IN_SHARES = (0.1, 0.5)
# log10 of the ratio of prediction errors that is not held for either model: a factor of 1.25.
MARGIN = 0.1
# A power law keeps its slope in log x; one that grows by more than this factor is none.
STEEPER = 1.5
FEWEST_OF_A_SLOPE = 4
# A curve that loses this factor after a plateau has not ended there.
PAUSE = 10.0
# Noise-free curves are predicted to rounding; errors below this are equal.
SMALLEST_ERROR = 1e-12


@dataclass(frozen=True)
class GeometricFit:
    """A fitted ``y = C * rho ** x``, one C and one rho per replicate.

    Attributes
    ----------
    rho
        Geometric mean over replicates of the factor per unit of x, and its 95 % interval
        (Student's t over replicates, for log rho).
    slope_ratio
        Mean over replicates of the slope of log y over the second half of the usable points
        divided by that over the first half, and its 95 % interval: 1 for geometric decay, below
        1 for a decay that slows down, above 1 for one that speeds up.
    decades
        Median over replicates of the factors of ten that y falls over the usable points.
    usable
        Half-open index ranges into ``x`` sorted ascending, one per replicate.
    replicates
        Number of rows of y.
    """

    rho: Interval
    slope_ratio: Interval
    decades: float
    usable: tuple[tuple[int, int], ...]
    replicates: int


@dataclass(frozen=True)
class DecayComparison:
    """Which of a geometric and a power-law decay predicts the held-out half better.

    Attributes
    ----------
    decision
        ``"geometric"`` if the interval lies above the margin, ``"power law"`` if below minus the
        margin, else ``"undecided"``.
    statistic
        Mean over replicates of log10(error of the power law / error of the geometric decay), and
        its 95 % interval (Student's t over replicates).
    margin
        Size of the statistic that favours neither.
    burn_in
        Share of each replicate's points that was dropped at the start.
    decades
        As in :class:`GeometricFit`.
    decades_x
        Median over replicates of the factors of ten of x over the usable points.
    replicates
        Number of rows of y.
    dissenting
        Rows of y that contradict geometric decay by themselves: their log y does not fall, or a
        power law predicts them better, by more than the margin, at either burn-in. Not those that
        steepen in log x, or that pause and fall on.
    """

    decision: Literal["geometric", "power law", "undecided"]
    statistic: Interval
    margin: float
    burn_in: float
    decades: float
    decades_x: float
    replicates: int
    dissenting: tuple[int, ...] = ()


def usable_range(
    x: Float[np.ndarray, " m"], y: Float[np.ndarray, " m"], burn_in: float
) -> tuple[int, int]:
    """Return the half-open range of usable points of one replicate, by the module's rules.

    Parameters
    ----------
    x
        Ascending, shape (m,).
    y
        Shape (m,); may be zero or negative where differences of equal numbers were taken.
    burn_in
        Share of the points left by rules 1 to 3 that is dropped at the start.
    """
    begin = int(np.searchsorted(x, 0.0, side="right"))
    stop = begin + _numerical_stop(y[begin:])
    stop = begin + _plateau_start(x[begin:stop], y[begin:stop])
    begin += math.ceil(burn_in * (stop - begin))
    return begin, max(begin, stop)


def _numerical_stop(y: Float[np.ndarray, " m"]) -> int:
    """Return the number of points before rounding is suspected."""
    below = y <= ROUNDING_LEVEL * y.max(initial=0.0)
    stalled = np.flatnonzero((y <= 0) | (below & (np.append(y[1:], 0.0) >= y)))
    if stalled.size == 0:
        return int(y.size)
    first = int(stalled[0])
    # Where the difference vanished or changed sign, rounding is as large as the value before.
    level = float(y[first]) if y[first] > 0 else float(y[max(first - 1, 0)])
    return int(np.argmax(y <= 10 * max(level, 0.0)))


def _plateau_start(x: Float[np.ndarray, " m"], y: Float[np.ndarray, " m"]) -> int:
    """Return the number of points before a flat tail; all of them without one."""
    shortest = max(3, math.ceil(y.size / 4))
    if y.size < shortest:
        return int(y.size)
    slope, error = _tail_slopes(np.log(x), np.log(y))
    flat = np.flatnonzero(np.abs(slope) + 2 * error <= PLATEAU_SLOPE)
    flat = flat[flat <= y.size - shortest]
    if flat.size == 0:
        return int(y.size)
    # The later half of the tail: its first points may still be decaying.
    level = np.median(y[(int(flat[0]) + y.size) // 2 :])
    return int(np.argmax(y <= 10 * level))


def _tail_slopes(
    x: Float[np.ndarray, " m"], y: Float[np.ndarray, " m"]
) -> tuple[Float[np.ndarray, " tails"], Float[np.ndarray, " tails"]]:
    """Return the least-squares slope of every tail of at least 3 points, and its standard error."""
    # Measured from the last point, so that the sums of a flat tail lose no digits.
    x, y = x - x[-1], y - y[-1]
    sums = [np.cumsum(term[::-1])[::-1][:-2] for term in (x, y, x * x, x * y, y * y)]
    count = np.arange(x.size, 2, -1)
    spread_x = sums[2] - sums[0] ** 2 / count
    product = sums[3] - sums[0] * sums[1] / count
    slope = product / spread_x
    residual = np.maximum(sums[4] - sums[1] ** 2 / count - slope * product, 0.0)
    return slope, np.sqrt(residual / (count - 2) / spread_x)


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return slope and intercept of the least-squares line."""
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    return slope, float(y.mean() - slope * x.mean())


def _usable_curves(
    x: ArrayLike, y: ArrayLike, burn_in: float
) -> tuple[list[tuple[NDArray[np.float64], NDArray[np.float64]]], tuple[tuple[int, int], ...]]:
    """Return (x, log y) of each replicate over its usable points, and their ranges."""
    abscissa, curves = checked_curves(x, y, MINIMUM_USABLE, positive=False)
    if curves.shape[0] < 2:
        raise InvalidArgumentError("y", "1 replicate", "pass at least 2 replicates (rows)")
    ranges = tuple(usable_range(abscissa, row, burn_in) for row in curves)
    for replicate, (start, stop) in enumerate(ranges):
        if stop - start < MINIMUM_USABLE:
            raise InvalidArgumentError(
                "y",
                f"{stop - start} usable points in replicate {replicate} "
                "(after numerical floor, plateau and burn-in)",
                f"record at least {MINIMUM_USABLE} points while y still decays",
            )
    parts = [
        (abscissa[start:stop], np.log(row[start:stop]))
        for row, (start, stop) in zip(curves, ranges, strict=True)
    ]
    return parts, ranges


def fit_geometric(
    x: ArrayLike, y: ArrayLike, *, burn_in: float = BURN_IN_SHARES[0]
) -> GeometricFit:
    """Fit ``y = C * rho ** x`` to each replicate and combine the rates.

    Least squares of log y on x over the usable points of each replicate.

    Parameters
    ----------
    x
        Abscissae, shape (m,), such as iterations; any order.
    y
        Shape (replicates, m), at least 2 replicates; values at the numerical floor may be zero
        or negative.
    burn_in
        Share of each replicate's points that is dropped at the start, at least 0 and below 1.

    Raises
    ------
    InvalidArgumentError
        For shapes that disagree, values that are not finite, fewer than 2 replicates, or fewer
        than 6 usable points in a replicate.
    """
    require_share("burn_in", burn_in)
    parts, ranges = _usable_curves(x, y, float(burn_in))
    rates, ratios = [], []
    for abscissa, log_y in parts:
        half = abscissa.size // 2
        first = _line(abscissa[: half + 1], log_y[: half + 1])[0]
        second = _line(abscissa[half:], log_y[half:])[0]
        rates.append(_line(abscissa, log_y)[0])
        ratios.append(second / first if first != 0 else 0.0)
    rate, ratio = mean_interval(np.array(rates)), mean_interval(np.array(ratios))
    return GeometricFit(
        rho=Interval(math.exp(rate.value), math.exp(rate.low), math.exp(rate.high)),
        slope_ratio=ratio,
        decades=_median_decades(parts),
        usable=ranges,
        replicates=len(parts),
    )


def compare_decay(x: ArrayLike, y: ArrayLike, *, margin: float = MARGIN) -> DecayComparison:
    """Decide between geometric and power-law decay by prediction.

    Each replicate's first half of usable points fits a line to log y against x (geometric) and
    one to log y against log x (power law); the second half is predicted by both. The statistic is
    the logarithm of the ratio of their root-mean-square errors in log y.

    A sum of geometric decays, as every linear iteration with several eigenvalues produces, is
    geometric only once its fast modes have died out: where the first answer is not
    ``"geometric"``, the question is asked once more of the later half of the points, and
    ``"geometric"`` there decides. A power law is one at every burn-in.

    A decay that is neither, such as a stretched exponential, is given to the nearer of the two;
    ``slope_ratio`` of :func:`fit_geometric` tells it from a geometric one.

    Parameters
    ----------
    x, y
        As in :func:`fit_geometric`.
    margin
        A statistic within plus or minus ``margin`` favours neither. Nearly noise-free replicates
        have intervals so narrow that without it a ratio of errors of 1.01 would decide.

    Raises
    ------
    InvalidArgumentError
        As :func:`fit_geometric`, and for a negative ``margin``.
    """
    require_non_negative("margin", margin)
    parts, ranges = _usable_curves(x, y, BURN_IN_SHARES[0])
    statistics = _statistics(parts)
    against = _contradicting(parts, statistics, margin)
    against -= {
        index
        for index in against
        if _goes_on(np.atleast_2d(as_floats("y", y))[index], ranges[index][1])
    }
    first = _compare(parts, statistics, float(margin), BURN_IN_SHARES[0])
    if first.decision == "geometric" and not against:
        return first
    try:
        later = _usable_curves(x, y, BURN_IN_SHARES[1])[0]
    except InvalidArgumentError:  # too few points in the later half to ask again
        return replace(first, dissenting=tuple(sorted(against)))
    later_statistics = _statistics(later)
    against &= _contradicting(later, later_statistics, margin)
    second = _compare(later, later_statistics, float(margin), BURN_IN_SHARES[1])
    answer = second if first.decision != "geometric" and second.decision == "geometric" else first
    return replace(answer, dissenting=tuple(sorted(against)))


def _statistics(parts: list[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> list[float]:
    """Return log10 of the ratio of prediction errors, power law over geometric, per replicate."""
    return [
        math.log10(_prediction_error(np.log(abscissa), log_y) / _prediction_error(abscissa, log_y))
        for abscissa, log_y in parts
    ]


def _contradicting(
    parts: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
    statistics: list[float],
    margin: float,
) -> set[int]:
    """Return the replicates that do not decay, or decay like a power law."""
    return {
        index
        for index, ((abscissa, log_y), statistic) in enumerate(zip(parts, statistics, strict=True))
        if _line(abscissa, log_y)[0] >= 0
        or (statistic < -margin and not _steepens(np.log(abscissa), log_y))
    }


def _goes_on(row: NDArray[np.float64], stop: int) -> bool:
    """Return whether a curve falls on beyond the usable points: it paused there, and did not end."""
    return bool(np.min(row[stop:], initial=np.inf) < row[stop - 1] / PAUSE)


def _steepens(log_x: NDArray[np.float64], log_y: NDArray[np.float64]) -> bool:
    """Return whether the slope in log x grows over the last two thirds: no power law does that.

    Sums of several geometric modes, of either sign, can be predicted badly by one of them, and then by
    a power law less badly, without decaying like it.
    """
    part = (log_x[-1] - log_x[0]) / 3
    last = log_x > log_x[-1] - part
    middle = ~last & (log_x > log_x[-1] - 2 * part)
    if min(last.sum(), middle.sum()) < FEWEST_OF_A_SLOPE:
        return False
    slopes = [_line(log_x[points], log_y[points])[0] for points in (middle, last)]
    return bool(slopes[1] < STEEPER * min(slopes[0], 0.0))


def _compare(
    parts: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
    statistics: list[float],
    margin: float,
    burn_in: float,
) -> DecayComparison:
    """Compare the two models on the usable parts of the replicates."""
    statistic = mean_interval(np.array(statistics))
    decision: Literal["geometric", "power law", "undecided"] = "undecided"
    if statistic.low > margin:
        decision = "geometric"
    elif statistic.high < -margin:
        decision = "power law"
    return DecayComparison(
        decision=decision,
        statistic=statistic,
        margin=margin,
        burn_in=burn_in,
        decades=_median_decades(parts),
        decades_x=float(np.median([math.log10(part[-1] / part[0]) for part, _ in parts])),
        replicates=len(parts),
    )


def _prediction_error(x: NDArray[np.float64], log_y: NDArray[np.float64]) -> float:
    """Return the root-mean-square error on the second half of a line through the first half."""
    half = x.size // 2
    slope, intercept = _line(x[:half], log_y[:half])
    error = log_y[half:] - slope * x[half:] - intercept
    return max(float(np.sqrt(np.mean(error**2))), SMALLEST_ERROR)


def _median_decades(
    parts: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> float:
    return float(np.median([(log_y[0] - log_y[-1]) / math.log(10) for _, log_y in parts]))
