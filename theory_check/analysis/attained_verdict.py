"""What a tuned method needs on one problem: the exponent of the fewest samples, against a bound."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from theory_check.analysis.judged import require_columns, require_judged
from theory_check.analysis.rate_verdict import (
    RateVerdict,
    Status,
    curves_of,
    rows_of,
    target_verdict,
)
from theory_check.analysis.replicates import average_curve, half_width
from theory_check.analysis.units import in_both_units
from theory_check.claims.rates import AttainedRate

RESAMPLES = 2000

FEWEST_TARGETS = 4
"""Targets that an exponent needs."""

MOST_MISSED = 0.25
"""Share of the replicates that may miss a target."""

UNREACHED = np.finfo(np.float64).max
"""Stands for an infinite cost while rows are checked."""

NOT_NEEDED = 0.25
"""A setting whose exponent falls short of the schedule's by more than this is named as what is loose."""

Exponent = tuple[float, float, float]


def predicted_attained(rate: AttainedRate) -> dict[str, object]:
    """Return the predicted exponent, in both unit conventions."""
    return _with_units((float(rate.exponent),) * 3) | {"rivals": list(rate.rivals)}


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
    predicted = predicted_attained(rate)
    epsilon, samples = np.empty(0), np.empty((0, 0))

    def verdict(
        status: Status, reason: str, measured: dict[str, object] | None = None
    ) -> RateVerdict:
        return target_verdict(
            rate, problem, predicted, status, reason, measured or {}, epsilon, samples
        )

    require_columns(rate, table)
    # Infinite costs are looked at below: here they only have to be there.
    found = curves_of(rate, table.replace({rate.y: {np.inf: UNREACHED}}), problem)
    if isinstance(found, str):
        return verdict("inconclusive", f"cannot be judged: {found}.")
    epsilon, samples = found
    samples = np.where(samples == UNREACHED, np.inf, samples)
    if (epsilon <= 0).any() or (samples <= 0).any():
        return verdict("inconclusive", "cannot be judged: values that are not positive.")
    decades = float(np.log10(epsilon[-1] / epsilon[0]))
    if epsilon.size < FEWEST_TARGETS or decades < rate.minimum_decades - 1e-9:
        return verdict(
            "inconclusive",
            f"cannot be judged: {epsilon.size} targets over {decades:.1f} decades; "
            f"{FEWEST_TARGETS} over {rate.minimum_decades:g} are needed.",
        )
    missed = np.isinf(samples).mean(axis=0)
    if missed.max() > MOST_MISSED:
        return verdict(
            "inconclusive",
            f"cannot be judged: {missed.max():.0%} of the replicates miss the target "
            f"{epsilon[int(missed.argmax())]:.3g}.",
        )
    rows = rows_of(rate, table, problem)
    assert not isinstance(rows, str)
    trouble = _trouble(rows, rate.x)
    exponent = (exponent_of if not missed.any() else median_exponent)(epsilon, samples)
    settings = _exponents_of_settings(rate, rows)
    measured = _with_units(exponent) | {
        "targets": [float(value) for value in epsilon[::-1]],
        "samples": [float(value) for value in np.median(samples, axis=0)[::-1]],
        "missed": [float(value) for value in missed[::-1]],
        "settings": settings,
        "decades": decades,
        "replicates": int(samples.shape[0]),
    }
    status, because = _status(rate, exponent, trouble, settings)
    reason = (
        f"samples ~ target^-p with p = {exponent[0]:.2f} [{exponent[1]:.2f}, {exponent[2]:.2f}] over "
        f"{decades:.1f} decades, tuned, where {rate.exponent:g} ± {rate.resolution:g} is stated: "
        f"{because}."
    )
    return verdict(status, reason, measured)


def exponent_of(
    epsilon: Float[np.ndarray, " m"], values: Float[np.ndarray, "replicates m"], *, seed: int = 0
) -> Exponent:
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
    curve = average_curve(values, "geometric")
    contrast = _contrast(epsilon)
    exponent = float(contrast @ curve.log_average)
    reach = half_width(curve, contrast, RESAMPLES, np.random.default_rng(seed))
    return exponent, exponent - reach, exponent + reach


def _contrast(epsilon: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """Return the weights of a least-squares slope in log 1/epsilon."""
    centred = np.log(epsilon).mean() - np.log(epsilon)
    weights: NDArray[np.float64] = centred / (centred @ centred)
    return weights


def median_exponent(
    epsilon: Float[np.ndarray, " m"], values: Float[np.ndarray, "replicates m"], *, seed: int = 0
) -> Exponent:
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
    return (
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
            found[column] = list(exponent_of(wide.columns.to_numpy(dtype=np.float64), values))
    return found


def _status(
    rate: AttainedRate,
    exponent: Exponent,
    trouble: str,
    settings: dict[str, list[float]],
) -> tuple[Status, str]:
    """Apply the rules of :func:`judge_attained_rate` to an exponent."""
    if trouble:
        return "inconclusive", trouble
    _, low, high = exponent
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


def _with_units(exponent: Exponent) -> dict[str, object]:
    """Add the exponents in norm units: an accuracy in the norm is the root of the squared one."""
    numbers: dict[str, object] = dict(zip(("exponent", "low", "high"), exponent, strict=True))
    return {**numbers, **in_both_units(numbers, norm=2.0, squared_norm=1.0)}
