"""Statements about targets of the accuracy: a schedule suffices, samples are needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from theory_check.analysis.intervals import Interval
from theory_check.analysis.rate_verdict import (
    Exponents,
    Growth,
    Numbers,
    RateVerdict,
    Status,
    basis,
    curves_of,
    require_columns,
    require_judged,
    rows_of,
)
from theory_check.analysis.replicates import Average, average_band, average_curve, half_width
from theory_check.claims.rates import AttainedRate, ScheduleRate

RESAMPLES = 2000

FEWEST_TARGETS, FEWEST_FOR_AN_EXPONENT = 3, 4
"""Targets that a trend needs, and an exponent."""

MOST_MISSED = 0.25
"""Share of the replicates that may miss a target."""

UNREACHED = np.finfo(np.float64).max
"""Stands for an infinite cost while rows are checked."""

NOT_NEEDED = 0.25
"""A setting whose exponent falls short of the schedule's by more than this is named as what is loose."""


def target_verdict(
    rate: ScheduleRate | AttainedRate,
    problem: str,
    status: Status,
    reason: str,
    numbers: Numbers,
    epsilon: NDArray[np.float64],
    values: NDArray[np.float64],
) -> RateVerdict:
    """Return a verdict about targets, without a fitted curve.

    Parameters
    ----------
    rate, problem, status, reason, numbers
        As in :class:`RateVerdict`.
    epsilon, values
        Targets, shape (m,), and what is judged of them, shape (replicates, m).
    """
    evidence = basis(rate, problem, numbers) | {"measured": numbers.measured()}
    return RateVerdict(rate.name, problem, status, reason, numbers, evidence, None, epsilon, values)


def growth_allowed(rate: ScheduleRate) -> Growth:
    """Return what the ratio of accuracy to target is to do."""
    return Growth(rate.resolution, rate.multiple)


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
    unjudged = growth_allowed(rate)
    epsilon, ratio = np.empty(0), np.empty((0, 0))

    def refused(why: str) -> RateVerdict:
        reason = f"cannot be judged: {why}."
        return target_verdict(rate, problem, "inconclusive", reason, unjudged, epsilon, ratio)

    require_columns(replace(rate, y=rate.noise), table)
    found = curves_of(rate, table, problem)
    if isinstance(found, str):
        return refused(found)
    targets, reached = found
    if (targets <= 0).any() or (reached <= 0).any():
        return refused("values that are not positive")
    rows = rows_of(rate, table, problem)
    if isinstance(rows, str) or not (rows[rate.noise] > 0).all():
        return refused("estimates without sampling error say nothing about samples")
    epsilon, ratio = targets, reached / targets
    decades = float(np.log10(epsilon[-1] / epsilon[0]))
    if epsilon.size < FEWEST_TARGETS or decades < rate.minimum_decades - 1e-9:
        return refused(
            f"{epsilon.size} targets over {decades:.1f} decades; "
            f"{FEWEST_TARGETS} over {rate.minimum_decades:g} are needed"
        )
    growth = growth_of_ratio(epsilon, ratio)
    band = average_band(ratio)
    ratios = zip(band.centre[::-1], band.low[::-1], band.high[::-1], strict=True)
    numbers = replace(
        unjudged,
        estimate=growth,
        targets=tuple(float(value) for value in epsilon[::-1]),
        ratios=tuple(Interval(*map(float, ends)) for ends in ratios),
        replicates=int(ratio.shape[0]),
    )
    status, because = _sufficiency(rate, growth, float(band.low.max()), float(band.high.max()))
    course = ", ".join(f"{found.value:.3g}" for found in numbers.ratios)
    reason = (
        f"{rate.y} over its target is {course} at targets from {epsilon[-1]:.3g} to "
        f"{epsilon[0]:.3g}, and grows like its power {growth:.3f} of 1/target at the small ones: "
        f"{because}."
    )
    return target_verdict(rate, problem, status, reason, numbers, epsilon, ratio)


def growth_of_ratio(
    epsilon: Float[np.ndarray, " m"], ratio: Float[np.ndarray, "replicates m"], *, seed: int = 0
) -> Interval:
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
    used = max(FEWEST_TARGETS, (epsilon.size + 1) // 2)
    return _fitted(ratio, _contrast(epsilon, used), "mean", seed)


def _fitted(
    values: Float[np.ndarray, "replicates m"],
    contrast: Float[np.ndarray, " m"],
    average: Average,
    seed: int,
) -> Interval:
    curve = average_curve(values, average)
    slope = float(contrast @ curve.log_average)
    reach = half_width(curve, contrast, RESAMPLES, np.random.default_rng(seed))
    return Interval(slope, slope - reach, slope + reach)


def _contrast(epsilon: Float[np.ndarray, " m"], used: int | None = None) -> Float[np.ndarray, " m"]:
    """Return the weights of a least-squares slope in log 1/epsilon, of the first ``used`` points."""
    logs = np.log(epsilon[:used])
    centred = logs.mean() - logs
    weights = np.zeros(epsilon.size)
    weights[:used] = centred / (centred @ centred)
    return weights


def _sufficiency(
    rate: ScheduleRate, growth: Interval, above: float, below: float
) -> tuple[Status, str]:
    """Apply rules 2 to 5; ``above`` and ``below`` are the largest ends of the ratio's intervals."""
    if growth.low > rate.resolution:
        return "violated", f"growth beyond {rate.resolution:g}, so that no multiple of it suffices"
    if above > rate.multiple:
        return "violated", f"more than {rate.multiple:g} times the target"
    if growth.high <= rate.resolution and below <= rate.multiple:
        return "holds", (
            f"at most {rate.multiple:g} times every target, without growth beyond "
            f"{rate.resolution:g}"
        )
    return "inconclusive", "the intervals decide neither way"


def exponent_stated(rate: AttainedRate) -> Exponents:
    """Return the predicted exponent: an accuracy in the norm is the root of the squared one."""
    stated = Interval(*(float(rate.exponent),) * 3)
    return Exponents(stated, None, (2.0, 1.0), {"rivals": list(rate.rivals)})


def judge_attained_rate(rate: AttainedRate, table: pd.DataFrame, problem: str) -> RateVerdict:
    """Judge on one problem whether the samples of a bound are needed.

    The exponent in 1/target of the geometric mean over replicates, each tuned by itself, by least squares
    over all targets; of the median, with a percentile bootstrap over replicates, where some did not
    reach a target and count as infinite. With its 95 % interval [low, high], predicted p and resolution
    r, the first rule that applies decides:

    1. *inconclusive*: unusable rows; more than a quarter of the replicates without a target; fewer than
       4 targets or ``minimum_decades``; a search that ended before its best was interior; batches at
       their smallest size, 1, at more than half of the targets: the cost then counts iterations;
    2. *violated*: low > p + r: tuned as well as it may be, the method needs more;
    3. *faster*: high < p - r: the bound is loose here; the settings say in which term;
    4. *tight*: the whole interval inside p ± r, no wider than ``widest_interval``, and without a rival;
    5. *inconclusive*.

    Raises
    ------
    InvalidArgumentError
        If the table lacks a column or has several rows for one seed and target.
    """
    require_judged(AttainedRate, rate, table, problem)
    unjudged = exponent_stated(rate)
    epsilon, samples = np.empty(0), np.empty((0, 0))

    def refused(why: str) -> RateVerdict:
        reason = f"cannot be judged: {why}."
        return target_verdict(rate, problem, "inconclusive", reason, unjudged, epsilon, samples)

    # Infinite costs are looked at below: here they only have to be there.
    found = curves_of(rate, table.replace({rate.y: {np.inf: UNREACHED}}), problem)
    if isinstance(found, str):
        return refused(found)
    epsilon, samples = found
    samples = np.where(samples == UNREACHED, np.inf, samples)
    if (epsilon <= 0).any() or (samples <= 0).any():
        return refused("values that are not positive")
    decades = float(np.log10(epsilon[-1] / epsilon[0]))
    if epsilon.size < FEWEST_FOR_AN_EXPONENT or decades < rate.minimum_decades - 1e-9:
        return refused(
            f"{epsilon.size} targets over {decades:.1f} decades; "
            f"{FEWEST_FOR_AN_EXPONENT} over {rate.minimum_decades:g} are needed"
        )
    missed = np.isinf(samples).mean(axis=0)
    if missed.max() > MOST_MISSED:
        return refused(
            f"{missed.max():.0%} of the replicates miss the target "
            f"{epsilon[int(missed.argmax())]:.3g}"
        )
    rows = rows_of(rate, table, problem)
    assert not isinstance(rows, str)
    trouble = _trouble(rows, rate.x)
    exponent = (exponent_of if not missed.any() else median_exponent)(epsilon, samples)
    settings = _exponents_of_settings(rate, rows)
    besides = {
        "targets": [float(value) for value in epsilon[::-1]],
        "samples": [float(value) for value in np.median(samples, axis=0)[::-1]],
        "missed": [float(value) for value in missed[::-1]],
        "settings": settings,
        "decades": decades,
        "replicates": int(samples.shape[0]),
    }
    status, because = _need(rate, exponent, trouble, settings)
    reason = (
        f"samples ~ target^-p with p = {exponent:.2f} over "
        f"{decades:.1f} decades, tuned, where {rate.exponent:g} ± {rate.resolution:g} is stated: "
        f"{because}."
    )
    numbers = replace(unjudged, estimate=exponent, measured_besides=besides)
    return target_verdict(rate, problem, status, reason, numbers, epsilon, samples)


def exponent_of(
    epsilon: Float[np.ndarray, " m"], values: Float[np.ndarray, "replicates m"], *, seed: int = 0
) -> Interval:
    """Return the exponent of the geometric mean of ``values`` in 1/epsilon with its 95 % interval.

    Parameters
    ----------
    epsilon
        Shape (m,).
    values
        Positive, shape (replicates, m).
    seed
        Of the resampling.
    """
    return _fitted(values, _contrast(epsilon), "geometric", seed)


def median_exponent(
    epsilon: Float[np.ndarray, " m"], values: Float[np.ndarray, "replicates m"], *, seed: int = 0
) -> Interval:
    """Return the exponent of the median of ``values`` in 1/epsilon with its 95 % interval.

    Percentile bootstrap over replicates; resamples with an infinite median lie beyond every end.

    Parameters
    ----------
    epsilon
        Shape (m,).
    values
        Positive, infinite where a target was missed; the medians of all targets are finite.
    seed
        Of the resampling.
    """
    contrast = _contrast(epsilon)
    generator = np.random.default_rng(seed)
    picks = generator.integers(0, values.shape[0], size=(RESAMPLES, values.shape[0]))
    medians = np.median(values[picks], axis=1)
    finite = np.isfinite(medians).all(axis=1)
    slopes = np.full(RESAMPLES, np.nan)
    slopes[finite] = np.log(medians[finite]) @ contrast
    # Where a median is infinite the slope is not known: it counts at either end.
    low, high = (np.where(finite, slopes, end) for end in (-np.inf, np.inf))
    centre = float(np.log(np.median(values, axis=0)) @ contrast)
    return Interval(
        centre,
        float(np.quantile(low, 0.025, method="lower")),
        float(np.quantile(high, 0.975, method="higher")),
    )


def _trouble(rows: pd.DataFrame, target: str) -> str:
    """Return why the costs are no verdict on samples, ``""`` where they are."""
    if "interior" in rows.columns and not rows["interior"].all():
        open_targets = rows.loc[~rows["interior"].astype(bool), target].nunique()
        return f"the search ended before its best setting was interior at {open_targets} targets"
    if "trajectories" in rows.columns:
        single = rows.groupby(target)["trajectories"].median() <= 1
        if single.mean() > 0.5:
            return (
                f"batches are at their smallest size at {int(single.sum())} of {single.size} "
                "targets, so that the cost counts iterations and not samples"
            )
    return ""


def _exponents_of_settings(rate: AttainedRate, rows: pd.DataFrame) -> dict[str, list[float]]:
    """Return the exponents in 1/epsilon of the settings found, by column of the schedule."""
    found = {}
    for column in rate.schedule:
        wide = rows.pivot(index="seed", columns=rate.x, values=column).sort_index(axis=1)
        values = wide.to_numpy(dtype=np.float64)
        if np.isfinite(values).all() and (values > 0).all():
            exponent = exponent_of(wide.columns.to_numpy(dtype=np.float64), values)
            found[column] = [exponent.value, exponent.low, exponent.high]
    return found


def _need(
    rate: AttainedRate,
    exponent: Interval,
    trouble: str,
    settings: dict[str, list[float]],
) -> tuple[Status, str]:
    """Apply the rules of :func:`judge_attained_rate` to an exponent."""
    if trouble:
        return "inconclusive", trouble
    low, high = exponent.low, exponent.high
    least, most = rate.exponent - rate.resolution, rate.exponent + rate.resolution
    if low > most:
        return "violated", "even tuned, the method needs more"
    if high < least:
        return "faster", f"the bound is loose here{_loose_terms(rate, settings)}"
    if high - low > rate.widest_interval:
        return "inconclusive", f"the interval is wider than {rate.widest_interval:g}"
    inside = [rival for rival in rate.rivals if low <= rival <= high]
    if inside:
        return "inconclusive", f"the interval contains the rival {inside[0]:g}"
    if least <= low and high <= most:
        return "tight", "so many samples are needed"
    return "inconclusive", "the interval reaches beyond the band around the prediction"


def _loose_terms(rate: AttainedRate, settings: dict[str, list[float]]) -> str:
    """Name the settings of the schedule that the tuned method does without."""
    spared = [
        f"{column} ~ target^{0.0 - settings[column][0]:.2f} where the schedule takes {-asked:g}"
        for column, asked in rate.schedule.items()
        if column in settings and settings[column][0] < asked - NOT_NEEDED
    ]
    return f", by {' and '.join(spared)}" if spared else ""
