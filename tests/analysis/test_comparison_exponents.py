"""Exponents of a comparison: of repetitions, what seeds and tuning add, and how often they cover."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
from helpers.comparison_tables import TARGETS, planted
from scipy.stats import binom

from theory_check.analysis.comparison.exponents import (
    Slopes,
    curves_of,
    exponent_of,
    slopes,
    tuning_variances,
)
from theory_check.analysis.comparison.spread import Variance
from theory_check.analysis.intervals import UNKNOWN

LOGS = np.log(TARGETS)
LEVERAGE = 1 / float(np.square(LOGS - LOGS.mean()).sum())
NO_TUNING = Variance(math.nan, 0)


def found(table: pd.DataFrame) -> Slopes:
    fitted = slopes(curves_of(table, "cost"))
    assert fitted is not None
    return fitted


@pytest.fixture(autouse=True)
def _fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of a study's: what is tested is the law they are drawn from."""
    monkeypatch.setattr("theory_check.analysis.comparison.exponents.RESAMPLES", 1000)


@cache
def quiet(repetitions: int) -> pd.DataFrame:
    return planted("one", noise=0.0, repetitions=repetitions)


def noisy(generator: np.random.Generator, seeds: float, tuning: float, repetitions: int) -> Slopes:
    """Return slopes of costs target^-1 whose logs have these standard deviations."""
    table = quiet(repetitions).copy()
    own = tuning * generator.standard_normal((repetitions, len(TARGETS)))
    at = {target: place for place, target in enumerate(TARGETS)}
    of_target = table["target"].map(at).to_numpy()
    logs = own[table["repetition"].to_numpy(), of_target]
    logs = logs + seeds * generator.standard_normal(len(table))
    table["cost"] *= np.exp(logs)
    return found(table)


def test_repetitions_have_slopes_of_their_own() -> None:
    """Costs target^-1 and 3 target^-2: p of 1 and 2; the median of both has the mean of both logs."""
    one = planted("one", noise=0.0)
    other = planted("one", noise=0.0, exponent=2.0, level=300.0).assign(repetition=1)
    fitted = found(pd.concat([one, other]))
    assert fitted.by_repetition.tolist() == [pytest.approx(1.0), pytest.approx(2.0)]
    assert fitted.leverage == pytest.approx(LEVERAGE)
    assert fitted.seed_variance == pytest.approx(0.0, abs=1e-20)
    # The variance of 1 and 2 is 1/2.
    assert fitted.tuning_variance == pytest.approx(0.5 / LEVERAGE)


def test_what_all_targets_have_in_common_is_no_noise_of_a_slope() -> None:
    """The second repetition costs ten times as much at every target: slopes agree."""
    table = planted("one", noise=0.0, repetitions=2)
    table["cost"] *= 10.0 ** table["repetition"]
    assert found(table).tuning_variance == pytest.approx(0.0, abs=1e-20)


def test_seeds_and_tuning_are_told_apart() -> None:
    """Planted variance 0.09 beside 0.25 of seeds: the mean of 300 is within 4 standard errors.

    One estimate is half a squared normal number of variance 2 (0.09 + v) / L, v the variance of a log
    median of 16: its standard deviation is about sqrt(2) (0.09 + v), with v below pi / 2 * 0.25 / 16. By
    a normal law the test fails once in 15 000 times.
    """
    generator = np.random.default_rng(0)
    estimates = [noisy(generator, 0.5, 0.3, 2).tuning_variance for _ in range(300)]
    of_median = math.pi / 2 * 0.25 / 16
    error = math.sqrt(2) * (0.09 + of_median) / math.sqrt(300)
    assert np.mean(estimates) == pytest.approx(0.09, abs=4 * error)


def test_variances_are_pooled_over_problems_and_never_negative() -> None:
    generator = np.random.default_rng(0)
    fitted = {(f"p{place}", "one"): noisy(generator, 0.2, 0.3, 2) for place in range(6)}
    few = {(f"p{place}", "two"): noisy(generator, 0.2, 0.3, 2) for place in range(5)}
    pooled = tuning_variances({**fitted, **few, ("p0", "three"): None})
    own = [each.tuning_variance for each in fitted.values()]
    assert pooled["one"].value == pytest.approx(np.mean(own))
    assert pooled["one"].freedom == 6
    # Of fewer than six problems, and of none, what all methods have.
    assert pooled["two"] == pooled["three"] != pooled["one"]
    untuned = {(f"p{place}", "one"): noisy(generator, 0.5, 0.0, 2) for place in range(6)}
    assert tuning_variances(untuned)["one"].value >= 0
    assert math.isnan(tuning_variances({("p", "one"): noisy(generator, 0.2, 0.3, 1)})["one"].value)


@pytest.mark.slow
@pytest.mark.parametrize(("tuning", "repetitions"), [(0.0, 1), (0.4, 1), (0.4, 2)])
def test_the_interval_covers_the_exponent(tuning: float, repetitions: int) -> None:
    """Log-normal costs; at least 90 % of 200 intervals cover, false alarm 1e-6 at exactly 90 %.

    The variance of tuning is known as from 8 problems: with a chi-squared error of 8 degrees of freedom.
    """
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        fitted = noisy(generator, 0.5, tuning, repetitions)
        known = Variance(tuning**2 * generator.chisquare(8) / 8, 8) if tuning else NO_TUNING
        interval = exponent_of(fitted, known)
        covered += interval.low <= 1.0 <= interval.high
    assert covered >= binom.ppf(1e-6, 200, 0.9)


@pytest.mark.slow
def test_an_interval_that_leaves_tuning_out_is_found_too_narrow() -> None:
    """The control: with a deviation of 0.4 left out fewer than 75 % of 200 cover, where 95 % should."""
    generator = np.random.default_rng(0)
    intervals = [exponent_of(noisy(generator, 0.5, 0.4, 1), NO_TUNING) for _ in range(200)]
    assert sum(each.low <= 1.0 <= each.high for each in intervals) < 150


def test_too_few_targets_or_seeds_give_no_exponent() -> None:
    assert slopes(curves_of(planted("one", failures={0.01: 5, 0.003: 5}), "cost")) is None
    assert slopes(curves_of(planted("one", seeds=1), "cost")) is None
    assert exponent_of(None, NO_TUNING) == UNKNOWN


def test_an_estimate_lies_in_its_interval_where_all_seeds_agree() -> None:
    """Costs that do not depend on the target have p = 0 up to rounding, in every resample."""
    table = planted("one", noise=0.0, exponent=0.0, level=12.0)
    interval = exponent_of(found(table), NO_TUNING)
    assert interval.low <= interval.value <= interval.high
    assert (interval.low, interval.high) == (pytest.approx(0, abs=1e-14),) * 2
