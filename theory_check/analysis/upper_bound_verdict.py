"""An exponent that bounds growth from above, on one problem: whether anything grows faster."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from theory_check.analysis.power_law import PowerLawFit, fit_power_law
from theory_check.analysis.power_verdict import fitted_exponent, power_evidence
from theory_check.analysis.rate_verdict import (
    Exponents,
    RateVerdict,
    Status,
    basis,
    curves_of,
    require_judged,
)
from theory_check.analysis.window import MINIMUM_POINTS
from theory_check.claims.rates import UpperBoundRate

ANY_SHAPE = 1e6
"""Difference between local exponents that a bound allows: any."""


def judge_upper_bound_rate(rate: UpperBoundRate, table: pd.DataFrame, problem: str) -> RateVerdict:
    """Judge a bound on the growth of the mean curve over the half of the points next to the limit.

    With the 95 % interval of the exponent there, stated p and resolution r, for ``better="smaller"``
    (mirrored for ``"larger"``):

    1. *inconclusive*: unusable rows, values that are not positive, or fewer than 4 points in that half;
    2. *violated*: the whole interval above p + r;
    3. *faster*: the whole interval below p - r, so that the bound is not attained;
    4. *tight*: the whole interval within p ± r;
    5. *holds*: the interval ends below p + r, and may begin anywhere;
    6. *inconclusive*: it reaches beyond p + r.

    Raises
    ------
    InvalidArgumentError
        If the table lacks a column or has several rows for one seed and x.
    """
    require_judged(UpperBoundRate, rate, table, problem)
    x, y = np.empty(0), np.empty((0, 0))

    def verdict(status: Status, reason: str, fit: PowerLawFit | None = None) -> RateVerdict:
        estimate = None if fit is None else fitted_exponent(rate, fit)
        numbers = Exponents(float(rate.exponent), estimate)
        evidence = basis(rate, problem, numbers)
        if fit is not None:
            evidence |= power_evidence(fit) | {"measured": numbers.measured()}
        return RateVerdict(rate.name, problem, status, reason, numbers, evidence, fit, x, y)

    found = curves_of(rate, table, problem)
    if isinstance(found, str):
        return verdict("inconclusive", f"cannot be judged: {found}.")
    x, y = found
    if (y <= 0).any() or (x <= 0).any():
        count = int((y <= 0).sum() + (x <= 0).sum())
        return verdict("inconclusive", f"cannot be judged: {count} values are not positive.")
    near = half_next_to_the_limit(rate, x)
    if near.size < MINIMUM_POINTS or len(y) < 2:
        return verdict(
            "inconclusive",
            f"cannot be judged: {near.size} points next to the limit and {len(y)} replicates, "
            f"{MINIMUM_POINTS} and 2 are needed.",
        )
    fit = fit_next_to_the_limit(rate, x, y, near)
    status = bound_status(rate, fit)
    variable = f"1/{rate.x}" if rate.reciprocal else rate.x
    return verdict(
        status,
        f"exponent {fitted_exponent(rate, fit):.3f} of {rate.y} in {variable} over "
        f"{fit.decades_x:.1f} decades next to the limit, stated at most {rate.exponent:g} ± "
        f"{rate.resolution:g}: {WORDS[status]}.",
        fit,
    )


WORDS: dict[Status, str] = {
    "violated": "the whole interval is above",
    "faster": "the whole interval is below, the bound is not attained",
    "tight": "the interval lies inside the band",
    "holds": "the interval does not reach beyond the band",
    "inconclusive": "the interval reaches beyond the band",
}


def half_next_to_the_limit(rate: UpperBoundRate, x: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return indices into x, ascending in x, of the half of the points next to the limit."""
    ascending = np.argsort(x)
    kept = x.size - x.size // 2
    return ascending[:kept] if rate.limit == "zero" else ascending[-kept:]


def fit_next_to_the_limit(
    rate: UpperBoundRate,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    near: NDArray[np.int64],
) -> PowerLawFit:
    """Return the power law through the mean curve at the points ``near``; its window is in all of x."""
    fit = fit_power_law(
        x[near], y[:, near], limit=rate.limit, curvature_tolerance=ANY_SHAPE, find_floor=False
    )
    start = 0 if rate.limit == "zero" else x.size - near.size
    return replace(fit, window=(start, start + near.size))


def bound_status(rate: UpperBoundRate, fit: PowerLawFit) -> Status:
    """Apply the rules of :func:`judge_upper_bound_rate` to a fit."""
    found = fitted_exponent(rate, fit).scaled(1.0 if rate.better == "smaller" else -1.0)
    stated = rate.exponent if rate.better == "smaller" else -rate.exponent
    low, high = sorted((found.low, found.high))
    if low > stated + rate.resolution:
        return "violated"
    if high < stated - rate.resolution:
        return "faster"
    if high > stated + rate.resolution:
        return "inconclusive"
    return "tight" if low >= stated - rate.resolution else "holds"
