"""Sample complexity on one problem: what an accuracy costs, from the accuracy that samples buy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from theory_check.analysis.decay import ROUNDING_LEVEL
from theory_check.analysis.power_law import PowerLawFit, fit_power_law
from theory_check.analysis.rate_verdict import (
    RateVerdict,
    Status,
    curves_of,
    power_evidence,
    require_columns,
)
from theory_check.analysis.replicates import MINIMUM_BOOTSTRAP_REPLICATES
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
    return _in_units({"exponent": float(rate.exponent)})


def judge_complexity_rate(rate: ComplexityRate, table: pd.DataFrame, problem: str) -> RateVerdict:
    """Judge a sample complexity on one problem.

    The mean accuracy over replicates is fitted against the samples, whose number the experiment
    fixes, with the log factor divided out; p = -1/slope and its interval [low, high] follow. With
    the predicted p* and the resolution r, the first rule that applies decides:

    1. *inconclusive*: unusable rows; values that are not positive; lack of fit; a burn-in or
       floor in fewer than 8 replicates, unless the window left is straight to within r;
    2. *violated*: a floor, where the rate says that one refutes it;
    3. *inconclusive*: fewer than ``minimum_decades`` of accuracy in the window, unless its
       samples would have bought them at the exponent p*;
    4. *violated*: low > p* + r;
    5. *inconclusive*: fewer than ``minimum_decades`` of accuracy; any other floor above 1.5e-8
       of the largest value;
    6. *faster*: high < p* - r;
    7. *tight* if the interval is no wider than ``widest_interval``, else *inconclusive*.

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
    status, because = _status(rate, fit, numbers, float(y.max()))
    measured = _in_units(numbers) | {"log factor not modelled": without_log}
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


def _status(
    rate: ComplexityRate, fit: PowerLawFit, numbers: Interval, largest: float
) -> tuple[Status, str]:
    """Apply the rules of :func:`judge_complexity_rate` to a fit."""
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
    if floored and rate.floor == "refutes":
        return "violated", f"the accuracy ends at {end}, which the statement rules out"
    needed = rate.minimum_decades - 1e-9
    cut = f", after {end} was removed" if fit.floor or fit.burn_in else ""
    too_few = f"too few decades of {rate.y}, {rate.minimum_decades:g} are needed{cut}"
    # An accuracy that hardly improves never spans the decades; the samples spent on it speak.
    if max(fit.decades_y, fit.decades_x / rate.exponent) < needed:
        return "inconclusive", too_few
    if numbers["low"] > rate.exponent + rate.resolution:
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


def _in_units(numbers: Interval) -> dict[str, object]:
    """Add the exponents in norm units: an accuracy in the norm is the root of the squared one."""
    return {
        **numbers,
        "norm": {key: 2 * value for key, value in numbers.items()},
        "squared norm": dict(numbers),
    }


def _interval(numbers: Interval) -> str:
    return f"{numbers['exponent']:.2f} [{numbers['low']:.2f}, {numbers['high']:.2f}]"
