"""One rate on one problem: from rows of a table to a status with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from theory_check.analysis.decay import ROUNDING_LEVEL, GeometricFit
from theory_check.analysis.judged import require_columns, require_judged
from theory_check.analysis.power_law import PowerLawFit, fit_power_law
from theory_check.analysis.replicates import MINIMUM_BOOTSTRAP_REPLICATES
from theory_check.analysis.units import in_both_units
from theory_check.analysis.window import CLEAN, MINIMUM_POINTS
from theory_check.claims.rates import PowerRate, Rate
from theory_check.errors import InvalidArgumentError

Status = Literal["tight", "holds", "faster", "violated", "inconclusive", "assumption not met"]

MINIMUM_DECADES = 1.0
ORDERS: Mapping[str, int] = {"none": 0, "linear": 1, "quadratic": 2}
# Between a burn-in and a floor the two curvatures can cancel and pass for another exponent:
# with 1.3 decades in between, planted exponents were off by 0.1.
MINIMUM_DECADES_BETWEEN = 2.0


@dataclass(frozen=True)
class RateVerdict:
    """Whether one rate holds on one problem.

    Attributes
    ----------
    rate, problem
        Names.
    status
        ``"tight"``, ``"holds"``, ``"faster"``, ``"violated"``, ``"inconclusive"`` or
        ``"assumption not met"``. ``"holds"`` is that of an inequality that was kept, which says
        nothing about whether it could be sharper; ``"tight"`` is that of an exponent that was met.
    reason
        One sentence with the numbers behind the status.
    predicted, measured
        For a power rate ``exponent`` (measured also ``low``, ``high``) in x, or in 1/x for a
        reciprocal rate, with the same numbers in ``norm`` and ``squared norm`` units where y has
        them; for a geometric rate ``rho``. ``measured`` is empty when nothing was fitted.
    evidence
        Everything the status rests on, ready for JSON.
    fit
        The fit, for figures; ``None`` when nothing was fitted.
    x, y
        The observations judged, shapes (m,) and (replicates, m); empty when unusable.
    """

    rate: str
    problem: str
    status: Status
    reason: str
    predicted: Mapping[str, object]
    measured: Mapping[str, object]
    evidence: Mapping[str, object]
    fit: PowerLawFit | GeometricFit | None = field(default=None, compare=False, repr=False)
    x: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), compare=False, repr=False)
    y: NDArray[np.float64] = field(
        default_factory=lambda: np.empty((0, 0)), compare=False, repr=False
    )


def target_verdict(
    rate: Rate,
    problem: str,
    predicted: Mapping[str, object],
    status: Status,
    reason: str,
    measured: Mapping[str, object],
    epsilon: NDArray[np.float64],
    values: NDArray[np.float64],
) -> RateVerdict:
    """Return a verdict about targets, without a fitted curve.

    Parameters
    ----------
    rate, problem, predicted, status, reason, measured
        As in :class:`RateVerdict`.
    epsilon, values
        Targets, shape (m,), and what is judged of them, shape (replicates, m).
    """
    evidence = {
        "problem": problem,
        "rate": rate.name,
        "predicted": predicted,
        "measured": measured,
    }
    return RateVerdict(
        rate.name, problem, status, reason, predicted, measured, evidence, None, epsilon, values
    )


def rows_of(rate: Rate, table: pd.DataFrame, problem: str) -> pd.DataFrame | str:
    """Return the rows of ``problem`` that a rate is about, or a sentence that says why not.

    A row whose ``status`` is not ``"ok"`` makes all of them unusable: leaving out the seeds that
    diverged would favour the claim.

    Raises
    ------
    InvalidArgumentError
        If a column is missing.
    """
    require_columns(rate, table)
    selected = table["problem"] == problem
    for column, value in rate.where.items():
        selected &= table[column] == value
    rows = table.loc[selected]
    if rows.empty:
        conditions = ", ".join(f"{key} = {value!r}" for key, value in rate.where.items())
        return f"the table has no rows for it{f' with {conditions}' if conditions else ''}"
    if "status" in rows.columns:
        bad = rows.loc[rows["status"] != "ok"]
        if not bad.empty:
            names = ", ".join(sorted({repr(str(name)) for name in bad["status"]}))
            return (
                f"{len(bad)} of {len(rows)} rows have status {names} "
                f"(seeds {_listed(bad['seed'].unique())})"
            )
    return rows


def curves_of(
    rate: Rate, table: pd.DataFrame, problem: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | str:
    """Return x (m,) and y (replicates, m) of a rate, or a sentence that says why not.

    The rows of :func:`rows_of`, one replicate per seed. A missing row or a value that is not finite
    makes the whole rate unusable, like a run that stopped.

    Raises
    ------
    InvalidArgumentError
        If a column is missing, or several rows share seed and x.
    """
    rows = rows_of(rate, table, problem)
    if isinstance(rows, str):
        return rows
    if rows.duplicated(["seed", rate.x]).any():
        raise InvalidArgumentError(
            "table",
            f"several rows of {problem!r} with the same seed and {rate.x}",
            f"select one of them by `where` of the rate {rate.name!r}",
        )
    wide = rows.pivot(index="seed", columns=rate.x, values=rate.y).sort_index(axis=1)
    y = wide.to_numpy(dtype=np.float64)
    finite = np.isfinite(y)
    if not finite.all():
        seeds = _listed(wide.index[~finite.all(axis=1)])
        return (
            f"{int((~finite).sum())} of {y.size} values are missing or not finite (seeds {seeds})"
        )
    if y.shape[0] < 2:
        return "it has one seed, and an interval needs at least 2"
    return wide.columns.to_numpy(dtype=np.float64), y


def _listed(seeds: object) -> str:
    values = sorted(int(seed) for seed in np.asarray(seeds))
    return ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")


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
    predicted = _with_units(rate, {"exponent": float(rate.exponent)})

    def verdict(status: Status, reason: str, fit: PowerLawFit | None = None) -> RateVerdict:
        measured = {} if fit is None else _with_units(rate, _exponents(rate, fit))
        evidence = {"problem": problem, "rate": rate.name, "predicted": predicted} | (
            {} if fit is None else power_evidence(fit) | {"measured": measured}
        )
        return RateVerdict(
            rate.name, problem, status, reason, predicted, measured, evidence, fit, x, y
        )

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
    numbers = _exponents(rate, fit)
    variable = f"1/{rate.x}" if rate.reciprocal else rate.x
    end = "" if rate.correction == "none" else f" at the limit ({rate.correction} correction)"
    summary = (
        f"exponent{end} {numbers['exponent']:.3f} [{numbers['low']:.3f}, {numbers['high']:.3f}] of "
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


def _exponents(rate: PowerRate, fit: PowerLawFit) -> dict[str, float]:
    """Return exponent, low and high in the rate's own variable."""
    if rate.reciprocal:
        return {"exponent": -fit.exponent, "low": -fit.high, "high": -fit.low}
    return {"exponent": fit.exponent, "low": fit.low, "high": fit.high}


def _with_units(rate: PowerRate, numbers: dict[str, float]) -> dict[str, object]:
    """Add the same exponents in norm and in squared-norm units."""
    if rate.y_units == "value":
        return dict(numbers)
    to_norm = 0.5 if rate.y_units == "squared norm" else 1.0
    return {**numbers, **in_both_units(numbers, norm=to_norm, squared_norm=2 * to_norm)}


def power_status(rate: PowerRate, fit: PowerLawFit, largest: float) -> tuple[Status, str]:
    """Apply the rules of :func:`judge_power_rate` to a fit."""
    numbers = _exponents(rate, fit)
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
        return "inconclusive", f"too few decades of {rate.x}, {needed:g} are needed{cut}"
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
        return "inconclusive", _straddling(rate, numbers)
    beyond = target - rate.resolution, target + rate.resolution
    if near is not None and (near[0] > beyond[1] or near[1] < beyond[0]):
        return "inconclusive", f"{unproven} as predicted"
    met = (
        "the interval contains the prediction"
        if low <= target <= high
        else "the interval misses the prediction but lies inside the band"
    )
    return "tight", met + (f", down to {end}" if fit.floor else "")


def _straddling(rate: PowerRate, numbers: Mapping[str, float]) -> str:
    """Say why an interval that reaches into the band decides nothing."""
    low, high = numbers["low"], numbers["high"]
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
