"""Sample complexity on one problem: what an accuracy costs, from the accuracy that samples buy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from theory_check.analysis.decay import ROUNDING_LEVEL
from theory_check.analysis.limit_slopes import steepest_slopes
from theory_check.analysis.power_law import PowerLawFit, fit_power_law
from theory_check.analysis.rate_verdict import (
    RateVerdict,
    Status,
    curves_of,
    power_evidence,
    require_columns,
)
from theory_check.analysis.replicates import MINIMUM_BOOTSTRAP_REPLICATES
from theory_check.analysis.units import in_both_units
from theory_check.analysis.window import MINIMUM_POINTS
from theory_check.claims.base import ComplexityRate

Interval = dict[str, float]


def sample_exponent(slope: float) -> float:
    """Return p of ``samples = accuracy**-p`` from the slope of log accuracy in log samples.

    Infinite where more samples do not improve the accuracy.
    """
    return -1 / slope if slope < 0 else float("inf")


def exponents(fit: PowerLawFit) -> Interval:
    """Return p with its interval, the ends of the slope's interval transformed."""
    return {
        "exponent": sample_exponent(fit.exponent),
        "low": sample_exponent(fit.low),
        "high": sample_exponent(fit.high),
    }


def predicted_exponent(rate: ComplexityRate) -> dict[str, object]:
    """Return the predicted exponent, in both unit conventions."""
    return _with_units({"exponent": float(rate.exponent)})


def judge_complexity_rate(rate: ComplexityRate, table: pd.DataFrame, problem: str) -> RateVerdict:
    """Judge a sample complexity on one problem.

    The mean accuracy over replicates is fitted against the samples, whose number the experiment
    fixes, with the log factor divided out; p = -1/slope and its interval [low, high] follow. With
    the predicted p* and the resolution r, the first rule that applies decides:

    1. *inconclusive*: unusable rows; values that are not positive. *violated*, where a floor would
       refute the rate: the improvement over all points and over the half with most samples are
       both slower than p* + r (97.5 % each), and the samples would have bought the decades;
    2. *inconclusive*: lack of fit; a burn-in or floor in fewer than 8 replicates, unless the window
       left is straight to within r;
    3. *violated*: a floor, where the rate says that one refutes it, unless a burn-in explains the
       curve as well and with an exponent that rule 5 would not refute;
    4. *inconclusive*: fewer than ``minimum_decades`` of accuracy in the window, unless its
       samples would have bought them at the exponent p*;
    5. *violated*: low > p* + r, or *inconclusive* where the half with most samples is not slow;
    6. *inconclusive*: fewer than ``minimum_decades`` of accuracy; any other floor above 1.5e-8
       of the largest value;
    7. *faster*: high < p* - r;
    8. *tight* if the interval is no wider than ``widest_interval``, else *inconclusive*.

    The burn-in is looked for at few samples. Local slopes may differ by r/p*², which is r in p.

    Raises
    ------
    InvalidArgumentError
        If the table lacks a column or has several rows for one seed and number of samples.
    """
    predicted = predicted_exponent(rate)
    x, y = np.empty(0), np.empty((0, 0))

    def refused(why: str) -> RateVerdict:
        evidence = {"problem": problem, "rate": rate.name, "predicted": predicted}
        reason = f"cannot be judged: {why}."
        return RateVerdict(
            rate.name, problem, "inconclusive", reason, predicted, {}, evidence, None, x, y
        )

    counted = replace(rate, x=rate.plain_x)
    require_columns(counted, table)
    found = curves_of(rate, table, problem)
    if isinstance(found, str):
        return refused(found)
    x, y = found
    if (y <= 0).any() or (x <= 0).any():
        return refused(f"{int((y <= 0).sum() + (x <= 0).sum())} values are not positive")
    if x.size < MINIMUM_POINTS:
        return refused(f"{x.size} points, {MINIMUM_POINTS} are needed")
    plain = curves_of(counted, table, problem)
    if isinstance(plain, str):
        return refused(plain)
    fit = _fit(rate, x, y)
    numbers = exponents(fit)
    without_log = exponents(_fit(rate, *plain))
    status, because = _status(rate, fit, numbers, float(y.max()), _slow(rate, x, y))
    measured = _with_units(numbers) | {"log factor not modelled": without_log}
    summary = (
        f"samples ~ accuracy^-p with p = {_interval(numbers)} of {rate.y} over "
        f"{fit.decades_y:.1f} decades with the log factor modelled ({_interval(without_log)} "
        f"without), predicted {rate.exponent:g} ± {rate.resolution:g}"
    )
    evidence = {
        "problem": problem,
        "rate": rate.name,
        "predicted": predicted,
        **power_evidence(fit),
        "measured": measured,
    }
    return RateVerdict(
        rate.name,
        problem,
        status,
        f"{summary}: {because}.",
        predicted,
        measured,
        evidence,
        fit,
        x,
        y,
    )


def _fit(rate: ComplexityRate, samples: np.ndarray, accuracy: np.ndarray) -> PowerLawFit:
    # p = -1/slope, so a difference of r in p is one of about r/p² in the slope.
    tolerance = rate.resolution / rate.exponent**2
    return fit_power_law(samples, accuracy, limit="infinity", curvature_tolerance=tolerance)


@dataclass(frozen=True)
class _Slow:
    """Whether the accuracy improves too slowly overall, and over the half with most samples."""

    overall: bool
    at_the_limit: bool
    decades_bought: float
    """Decades of accuracy that the samples of the whole grid would have bought at p*."""


def _slow(rate: ComplexityRate, x: np.ndarray, y: np.ndarray) -> _Slow:
    allowed = -1 / (rate.exponent + rate.resolution)
    overall, at_the_limit = (end > allowed for end in steepest_slopes(x, y))
    return _Slow(overall, at_the_limit, float(np.log10(x[-1] / x[0])) / rate.exponent)


def _status(
    rate: ComplexityRate, fit: PowerLawFit, numbers: Interval, largest: float, slow: _Slow
) -> tuple[Status, str]:
    """Apply the rules of :func:`judge_complexity_rate` to a fit."""
    needed = rate.minimum_decades - 1e-9
    if (
        rate.floor == "refutes"
        and slow.overall
        and slow.at_the_limit
        and slow.decades_bought >= needed
    ):
        ending = f", down to a floor near {fit.floor_level:.2g}" if fit.floor else ""
        return "violated", (
            "the improvement is slower than predicted overall and over the half with most samples"
            f"{ending}"
        )
    departure = fit.lack_of_fit
    if departure.rejected:
        return "inconclusive", (
            f"lack of fit, local slopes vary by {departure.curvature:.2g} "
            f"(p = {departure.p_value:.1g})"
        )
    if (
        (fit.burn_in or fit.floor)
        and fit.replicates < MINIMUM_BOOTSTRAP_REPLICATES
        and departure.curvature > departure.tolerance
    ):
        return "inconclusive", (
            f"{fit.replicates} replicates cannot tell burn-in and floor from the rate, "
            f"{MINIMUM_BOOTSTRAP_REPLICATES} are needed"
        )
    floored = fit.floor and (fit.floor_level or 0.0) > ROUNDING_LEVEL * largest
    end = f"a floor near {fit.floor_level:.2g}" if floored else "the burn-in"
    # Where a burn-in explains the curve as well, its exponent has to be refuted too: p increases
    # with the slope.
    worse_without = rate.exponent + rate.resolution < (
        float("inf") if fit.without_floor is None else sample_exponent(fit.without_floor[0])
    )
    if floored and worse_without and rate.floor == "refutes":
        return "violated", f"the accuracy ends at {end}, which the statement rules out"
    cut = f", after {end} was removed" if fit.floor or fit.burn_in else ""
    too_few = f"too few decades of {rate.y}, {rate.minimum_decades:g} are needed{cut}"
    # An accuracy that hardly improves never spans the decades; the samples spent on it speak.
    if max(fit.decades_y, fit.decades_x / rate.exponent) < needed:
        return "inconclusive", too_few
    if numbers["low"] > rate.exponent + rate.resolution:
        if not slow.at_the_limit:
            return "inconclusive", "worse than predicted, but not over the half with most samples"
        return "violated", "the whole interval is worse than predicted"
    if fit.decades_y < needed:
        return "inconclusive", too_few
    if floored:
        return "inconclusive", f"{end} ends the improvement, and the statement has no floor"
    if numbers["high"] < rate.exponent - rate.resolution:
        return "faster", "the whole interval is better than predicted"
    if numbers["high"] - numbers["low"] > rate.widest_interval:
        return "inconclusive", f"the interval is wider than {rate.widest_interval:g}"
    return "tight", "the interval meets the prediction"


def _with_units(numbers: Interval) -> dict[str, object]:
    """Add the exponents in norm units: an accuracy in the norm is the root of the squared one."""
    return {**numbers, **in_both_units(numbers, norm=2.0, squared_norm=1.0)}


def _interval(numbers: Interval) -> str:
    return f"{numbers['exponent']:.2f} [{numbers['low']:.2f}, {numbers['high']:.2f}]"
