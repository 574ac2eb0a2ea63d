"""A schedule on one problem: whether the accuracy it reaches stays below a multiple of the target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from theory_check.analysis.bands import average_band
from theory_check.analysis.judged import require_columns, require_judged
from theory_check.analysis.rate_verdict import (
    RateVerdict,
    Status,
    curves_of,
    rows_of,
    target_verdict,
)
from theory_check.analysis.replicates import average_curve, half_width
from theory_check.claims.rates import ScheduleRate

RESAMPLES = 2000

FEWEST_TARGETS = 3
"""Targets that a trend needs."""


def predicted_growth(rate: ScheduleRate) -> dict[str, object]:
    """Return what the ratio of accuracy to target is to do."""
    return {"growth": f"<= {rate.resolution:g}", "ratio": f"<= {rate.multiple:g}"}


def judge_schedule_rate(rate: ScheduleRate, table: pd.DataFrame, problem: str) -> RateVerdict:
    """Judge on one problem whether a schedule suffices.

    With the ratio of the mean accuracy over replicates to the target, and its *growth*, the exponent in
    1/target by least squares over the half of the targets that are smallest (three at least), the
    first rule that applies decides:

    1. *inconclusive*: unusable rows, fewer than three targets or too few decades of them; a
       sampling error that is zero, since the run then says nothing about samples;
    2. *violated*: the whole interval of the growth lies above ``resolution``, however small the ratio is;
    3. *violated*: the interval of the ratio lies above ``multiple`` at a target;
    4. *holds*: the whole interval of the growth lies below ``resolution``, and those of all ratios
       below ``multiple``;
    5. *inconclusive*.

    Never *tight*: the samples are imposed, and a schedule that draws too many suffices as well.

    Raises
    ------
    InvalidArgumentError
        If the table lacks a column or has several rows for one seed and target.
    """
    require_judged(ScheduleRate, rate, table, problem)
    predicted = predicted_growth(rate)
    epsilon, ratio = np.empty(0), np.empty((0, 0))

    def verdict(status: Status, reason: str, measured: dict[str, object]) -> RateVerdict:
        return target_verdict(rate, problem, predicted, status, reason, measured, epsilon, ratio)

    require_columns(rate, table)
    require_columns(replace(rate, y=rate.noise), table)
    found = curves_of(rate, table, problem)
    if isinstance(found, str):
        return verdict("inconclusive", f"cannot be judged: {found}.", {})
    targets, reached = found
    if (targets <= 0).any() or (reached <= 0).any():
        return verdict("inconclusive", "cannot be judged: values that are not positive.", {})
    rows = rows_of(rate, table, problem)
    if isinstance(rows, str) or not (rows[rate.noise] > 0).all():
        return verdict(
            "inconclusive",
            "cannot be judged: estimates without sampling error say nothing about samples.",
            {},
        )
    epsilon, ratio = targets, reached / targets
    decades = float(np.log10(epsilon[-1] / epsilon[0]))
    if epsilon.size < FEWEST_TARGETS or decades < rate.minimum_decades - 1e-9:
        return verdict(
            "inconclusive",
            f"cannot be judged: {epsilon.size} targets over {decades:.1f} decades; "
            f"{FEWEST_TARGETS} over {rate.minimum_decades:g} are needed.",
            {},
        )
    growth = growth_of_ratio(epsilon, ratio)
    band = average_band(ratio)
    measured: dict[str, object] = {
        "growth": growth[0],
        "low": growth[1],
        "high": growth[2],
        "ratio": [float(value) for value in band.centre[::-1]],
        "ratio low": [float(value) for value in band.low[::-1]],
        "ratio high": [float(value) for value in band.high[::-1]],
        "targets": [float(value) for value in epsilon[::-1]],
        "replicates": int(ratio.shape[0]),
    }
    status, because = _status(rate, growth, float(band.low.max()), float(band.high.max()))
    course = ", ".join(f"{value:.3g}" for value in band.centre[::-1])
    reason = (
        f"{rate.y} over its target is {course} at targets from {epsilon[-1]:.3g} to "
        f"{epsilon[0]:.3g}, and grows like its power {growth[0]:.3f} [{growth[1]:.3f}, "
        f"{growth[2]:.3f}] of 1/target at the small ones: {because}."
    )
    return verdict(status, reason, measured)


def growth_of_ratio(
    epsilon: Float[np.ndarray, " m"], ratio: Float[np.ndarray, "replicates m"], *, seed: int = 0
) -> tuple[float, float, float]:
    """Return the exponent of the mean ratio in 1/epsilon at the small targets, with its 95 % interval.

    Parameters
    ----------
    epsilon
        Ascending, shape (m,), m >= 3.
    ratio
        Positive, shape (replicates, m).
    seed
        Of the resampling.
    """
    curve = average_curve(ratio, "mean")
    used = max(FEWEST_TARGETS, (epsilon.size + 1) // 2)
    against = -np.log(epsilon[:used])
    centred = against - against.mean()
    contrast = np.zeros(epsilon.size)
    contrast[:used] = centred / (centred @ centred)
    slope = float(contrast @ curve.log_average)
    reach = half_width(curve, contrast, RESAMPLES, np.random.default_rng(seed))
    return slope, slope - reach, slope + reach


def _status(
    rate: ScheduleRate, growth: tuple[float, float, float], above: float, below: float
) -> tuple[Status, str]:
    """Apply rules 2 to 5; ``above`` and ``below`` are the largest ends of the ratio's intervals."""
    _, low, high = growth
    if low > rate.resolution:
        return "violated", f"growth beyond {rate.resolution:g}, so that no multiple of it suffices"
    if above > rate.multiple:
        return "violated", f"more than {rate.multiple:g} times the target"
    if high <= rate.resolution and below <= rate.multiple:
        return "holds", (
            f"at most {rate.multiple:g} times every target, without growth beyond "
            f"{rate.resolution:g}"
        )
    return "inconclusive", "the intervals decide neither way"
