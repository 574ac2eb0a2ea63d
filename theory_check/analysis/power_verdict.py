"""A power rate on one problem: whether the fitted exponent is the predicted one."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from theory_check.analysis.decay import ROUNDING_LEVEL
from theory_check.analysis.intervals import Interval
from theory_check.analysis.power_law import PowerLawFit, fit_power_law
from theory_check.analysis.rate_verdict import (
    Exponents,
    RateVerdict,
    Status,
    basis,
    curves_of,
    require_judged,
)
from theory_check.analysis.replicates import MINIMUM_BOOTSTRAP_REPLICATES
from theory_check.analysis.window import CLEAN, MINIMUM_POINTS
from theory_check.claims.rates import PowerRate

MINIMUM_DECADES = 1.0
ORDERS: Mapping[str, int] = {"none": 0, "linear": 1, "quadratic": 2}
# Between a burn-in and a floor the two curvatures can cancel and pass for another exponent:
# with 1.3 decades in between, planted exponents were off by 0.1.
MINIMUM_DECADES_BETWEEN = 2.0

# Factors that take an exponent to accuracies as norms and as squared norms.
_UNITS: Mapping[str, tuple[float, float] | None] = {
    "value": None,
    "norm": (1.0, 2.0),
    "squared norm": (0.5, 1.0),
}


def judge_power_rate(rate: PowerRate, table: pd.DataFrame, problem: str) -> RateVerdict:
    """Judge a power rate on one problem.

    With the 95 % interval [low, high] of the exponent, predicted p and resolution r, for
    ``better="larger"`` (mirrored for ``"smaller"``), the first rule that applies decides:

    1. *inconclusive*: unusable rows; values that are not positive; lack of fit; less than one
       decade of x in the window, or less than two between a burn-in and a floor; a burn-in or floor
       in fewer than 8 replicates, unless the window left is straight to within the resolution;
    2. *violated*: high < p - r, or *inconclusive* in fewer than 8 replicates where a floor is
       allowed, which so few cannot tell from a slow rate;
    3. *inconclusive*: a floor that the statement does not allow, unless it lies below 1.5e-8 of
       the largest value, where it is put down to rounding;
    4. *faster*: low > p + r;
    5. *tight*: p - r <= low and high <= p + r, an equivalence test, which excludes every rival
       exponent too, since r is at most a quarter of the gap to the nearest;
    6. *inconclusive*: the interval reaches into the band without lying inside it.

    Where the window does not look straight (p < 0.3), the half of it next to the limit has to agree:
    for *violated* and *faster* its whole interval, for *tight* a part; else *inconclusive*.

    Before all but the unusable rows, where the rate says that a floor refutes it: *violated* by a
    floor, unless a burn-in explains the curve as well and with an exponent that is not worse
    than p - r.

    A floor is looked for only where the prediction decays towards the limit; decades of y are
    not required, since a predicted exponent may be 0.

    Raises
    ------
    InvalidArgumentError
        If the table lacks a column or has several rows for one seed and x.
    """
    require_judged(PowerRate, rate, table, problem)

    def verdict(status: Status, reason: str, fit: PowerLawFit | None = None) -> RateVerdict:
        estimate = None if fit is None else fitted_exponent(rate, fit)
        numbers = Exponents(float(rate.exponent), estimate, _UNITS[rate.y_units])
        evidence = basis(rate, problem, numbers)
        if fit is not None:
            evidence |= power_evidence(fit) | {"measured": numbers.measured()}
        return RateVerdict(rate.name, problem, status, reason, numbers, evidence, fit, x, y)

    x, y = np.empty(0), np.empty((0, 0))
    found = curves_of(rate, table, problem)
    if isinstance(found, str):
        return verdict("inconclusive", f"cannot be judged: {found}.")
    x, y = found
    if (y <= 0).any() or (x <= 0).any():
        count = int((y <= 0).sum() + (x <= 0).sum())
        return verdict("inconclusive", f"cannot be judged: {count} values are not positive.")
    needed = MINIMUM_POINTS + ORDERS[rate.correction]
    if x.size < needed:
        return verdict("inconclusive", f"cannot be judged: {x.size} points, {needed} are needed.")
    fit = fit_rate(rate, x, y)
    status, because = power_status(rate, fit, float(y.max()))
    variable = f"1/{rate.x}" if rate.reciprocal else rate.x
    end = "" if rate.correction == "none" else f" at the limit ({rate.correction} correction)"
    summary = (
        f"exponent{end} {fitted_exponent(rate, fit):.3f} of "
        f"{rate.y} in {variable} over {fit.decades_x:.1f} decades, predicted "
        f"{rate.exponent:g} ± {rate.resolution:g}"
    )
    return verdict(status, f"{summary}: {because}.", fit)


def fit_rate(rate: PowerRate, x: NDArray[np.float64], y: NDArray[np.float64]) -> PowerLawFit:
    """Fit x (m,) and y (replicates, m), all positive, as the rate asks for."""
    return fit_power_law(
        x,
        y,
        limit=rate.limit,
        correction=ORDERS[rate.correction],
        curvature_tolerance=float(rate.resolution),
        find_floor=_decays(rate),
    )


def _decays(rate: PowerRate) -> bool:
    in_x = -rate.exponent if rate.reciprocal else rate.exponent
    return in_x > 0 if rate.limit == "zero" else in_x < 0


def fitted_exponent(rate: PowerRate, fit: PowerLawFit) -> Interval:
    """Return the fitted exponent in the rate's own variable."""
    return Interval(fit.exponent, fit.low, fit.high).scaled(-1.0 if rate.reciprocal else 1.0)


def power_status(rate: PowerRate, fit: PowerLawFit, largest: float) -> tuple[Status, str]:
    """Apply the rules of :func:`judge_power_rate` to a fit."""
    sign = 1.0 if rate.better == "larger" else -1.0
    low, high = _oriented(rate, (fit.low, fit.high))
    target = sign * rate.exponent
    end = f"a floor near {fit.floor_level:.2g}" if fit.floor else "the burn-in"
    level = fit.floor_level if fit.floor_level is not None else 0.0
    floored = fit.floor and level > ROUNDING_LEVEL * largest
    if rate.floor == "refutes" and floored and _worse_without_floor(rate, fit):
        return "violated", f"the decay ends at {end}, which the statement rules out"
    if fit.lack_of_fit.rejected:
        return "inconclusive", (
            "lack of fit, local exponents vary by "
            f"{fit.lack_of_fit.curvature:.2g} (p = {fit.lack_of_fit.p_value:.1g})"
        )
    needed = MINIMUM_DECADES_BETWEEN if fit.floor and fit.burn_in else MINIMUM_DECADES
    if fit.decades_x < needed - 1e-9:
        cut = f", after {end} was removed" if fit.floor or fit.burn_in else ""
        # Cut rather than rounded: 0.998 decades are not 1.00.
        seen = math.floor(100 * fit.decades_x) / 100
        return "inconclusive", (
            f"too few decades of {rate.x}, {seen:.2f} where {needed:g} are needed{cut}"
        )
    departure = fit.lack_of_fit
    if (
        (fit.burn_in or fit.floor)
        and fit.replicates < MINIMUM_BOOTSTRAP_REPLICATES
        and departure.curvature > departure.tolerance
    ):
        return "inconclusive", (
            f"{fit.replicates} replicates cannot tell burn-in and floor from the rate, "
            f"{MINIMUM_BOOTSTRAP_REPLICATES} are needed"
        )
    near = _near_limit(rate, fit)
    unproven = (
        f"local exponents vary by {departure.curvature:.2g}, as with a burn-in that so few replicates "
        "do not prove, and near the limit they are not clearly"
    )
    if high < target - rate.resolution:
        if near is not None and near[1] >= target - rate.resolution:
            return "inconclusive", f"{unproven} worse than predicted"
        if rate.floor == "allowed" and fit.replicates < MINIMUM_BOOTSTRAP_REPLICATES:
            return "inconclusive", (
                f"{fit.replicates} replicates cannot tell a slow rate from a floor, which is allowed; "
                f"{MINIMUM_BOOTSTRAP_REPLICATES} are needed"
            )
        return "violated", "the whole interval is worse than predicted"
    if floored and rate.floor != "allowed":
        return "inconclusive", f"{end} ends the decay, and the statement has no floor"
    if low > target + rate.resolution:
        if near is not None and near[0] <= target + rate.resolution:
            return "inconclusive", f"{unproven} better than predicted"
        return "faster", "the whole interval is better than predicted"
    if low < target - rate.resolution or high > target + rate.resolution:
        return "inconclusive", _straddling(rate, fitted_exponent(rate, fit))
    beyond = target - rate.resolution, target + rate.resolution
    if near is not None and (near[0] > beyond[1] or near[1] < beyond[0]):
        return "inconclusive", f"{unproven} as predicted"
    met = (
        "the interval contains the prediction"
        if low <= target <= high
        else "the interval misses the prediction but lies inside the band"
    )
    return "tight", met + (f", down to {end}" if fit.floor else "")


def _straddling(rate: PowerRate, found: Interval) -> str:
    """Say why an interval that reaches into the band decides nothing."""
    low, high = found.low, found.high
    inside = [f"{rival:g}" for rival in sorted(rate.rivals) if low <= rival <= high]
    rivals = f", and contains the rival {' and '.join(inside)}" if inside else ""
    if high - low > 2 * rate.resolution:
        return f"the interval is wider than the band of {2 * rate.resolution:g}{rivals}"
    return f"the interval overlaps the band without lying inside it{rivals}"


def _near_limit(rate: PowerRate, fit: PowerLawFit) -> tuple[float, float] | None:
    """Return low and high of the exponent near the limit, larger being better.

    ``None`` where the window looks straight by the standard of what is trimmed, or has a floor.
    """
    departure = fit.lack_of_fit
    straight = departure.curvature <= departure.tolerance or departure.p_value >= CLEAN
    return None if straight or fit.near_limit is None else _oriented(rate, fit.near_limit)


def _worse_without_floor(rate: PowerRate, fit: PowerLawFit) -> bool:
    """Return whether the exponent is worse than predicted where a burn-in replaces the floor.

    True where a burn-in cannot replace it.
    """
    if fit.without_floor is None:
        return True
    sign = 1.0 if rate.better == "larger" else -1.0
    return _oriented(rate, fit.without_floor)[1] < sign * rate.exponent - rate.resolution


def _oriented(rate: PowerRate, in_x: tuple[float, float]) -> tuple[float, float]:
    """Return low and high of an exponent in x as those of the rate, larger being better."""
    sign = (1.0 if rate.better == "larger" else -1.0) * (-1.0 if rate.reciprocal else 1.0)
    low, high = sorted(sign * end for end in in_x)
    return low, high


def power_evidence(fit: PowerLawFit) -> dict[str, object]:
    """Return what a fitted power law rests on, ready for JSON."""
    return {
        "points": fit.points,
        "window": list(fit.window),
        "burn_in": fit.burn_in,
        "floor": fit.floor,
        "floor_level": fit.floor_level,
        "exponent_without_floor": None if fit.without_floor is None else list(fit.without_floor),
        "replicates": fit.replicates,
        "decades_x": fit.decades_x,
        "decades_y": fit.decades_y,
        "lack_of_fit_p": fit.lack_of_fit.p_value,
        "curvature": fit.lack_of_fit.curvature,
        "lack_of_fit": fit.lack_of_fit.rejected,
        "prefactor": fit.prefactor,
        "corrections": list(fit.corrections),
        "local_slopes": [float(slope) for slope in fit.local_slopes],
    }
