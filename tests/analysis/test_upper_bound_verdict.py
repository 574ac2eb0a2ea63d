"""Bounds on growth: curves of any shape, judged by their exponent next to the limit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from theory_check.analysis.rate_verdict import Exponents
from theory_check.analysis.upper_bound_verdict import judge_upper_bound_rate
from theory_check.claims.rates import UpperBoundRate

SMALL = np.array([2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02])

RATE = UpperBoundRate(
    name="planted",
    x="weight",
    y="constant",
    exponent=2.0,
    reciprocal=True,
    limit="zero",
    better="smaller",
    resolution=0.1,
    rivals=(1.0, 3.0),
    y_units="value",
    x_symbol="$x$",
    y_symbol="$y$",
)


def table(curve: np.ndarray, x: np.ndarray = SMALL, seeds: int = 20, noise: float = 0.1) -> object:
    """Return a curve with lognormal constants, one for each replicate and point."""
    generator = np.random.default_rng(4)
    return pd.DataFrame(
        [
            {"problem": "p", "seed": seed, "weight": at, "constant": value * factor, "status": "ok"}
            for seed in range(seeds)
            for at, value, factor in zip(
                x, curve, np.exp(noise * generator.standard_normal(x.size)), strict=True
            )
        ]
    )


def judged(exponent: float, rows: object, **changes: object) -> object:
    rivals = (exponent - 1, exponent + 1)
    rate = replace(RATE, exponent=exponent, rivals=rivals, **changes)  # type: ignore[arg-type]
    return judge_upper_bound_rate(rate, rows, "p")  # type: ignore[arg-type]


BENT = 1 + 0.1 * SMALL**-2.0
"""Flat first, exponent 2 in the limit; 1.87 over the last decade, from 0.2 to 0.02."""


@pytest.mark.parametrize(
    ("exponent", "status"),
    [(1.0, "violated"), (1.5, "violated"), (2.5, "faster"), (3.0, "faster")],
)
def test_a_bent_curve_is_judged_next_to_the_limit(exponent: float, status: str) -> None:
    """The whole range has a mean exponent of 1.2, so that a bound of 1.5 would pass for loose."""
    assert np.polyfit(-np.log(SMALL), np.log(BENT), 1)[0] < 1.4
    found = judged(exponent, table(BENT))
    assert found.status == status  # type: ignore[attr-defined]


def test_the_exponent_and_its_window_are_those_of_the_last_decade() -> None:
    found = judged(2.0, table(BENT, noise=1e-6))
    near = SMALL <= 0.2
    slope = np.polyfit(-np.log(SMALL[near]), np.log(BENT[near]), 1)[0]
    numbers = found.numbers  # type: ignore[attr-defined]
    assert isinstance(numbers, Exponents)
    assert numbers.estimate is not None
    assert numbers.estimate.value == pytest.approx(slope, abs=1e-5)
    assert found.fit.window == (0, 4)  # type: ignore[attr-defined]
    np.testing.assert_allclose(found.x[slice(*found.fit.window)], [0.02, 0.05, 0.1, 0.2])  # type: ignore[attr-defined]
    np.testing.assert_allclose(found.fit.predict([0.02]), BENT[-1], rtol=0.2)  # type: ignore[attr-defined]


def test_what_an_interval_can_tell() -> None:
    """Straight curves: narrow ones are tight, wide ones hold or tell nothing."""
    straight = SMALL**-2.0
    assert judged(2.0, table(straight)).status == "tight"  # type: ignore[attr-defined]
    wide = table(SMALL**-1.6, noise=0.9)
    interval = judged(2.0, wide).numbers.estimate  # type: ignore[attr-defined]
    assert interval.high - interval.low > 0.3
    assert judged(interval.high, wide).status == "holds"  # type: ignore[attr-defined]
    assert judged(interval.value, wide).status == "inconclusive"  # type: ignore[attr-defined]


def test_towards_infinity_and_from_below() -> None:
    large = np.array([2.0, 3.0, 4.0, 8.0, 16.0, 32.0, 64.0])
    rows = table(large**1.5, x=large)
    upwards = {"reciprocal": False, "limit": "infinity"}
    assert judged(1.0, rows, **upwards).status == "violated"  # type: ignore[attr-defined]
    assert judged(1.5, rows, **upwards).status == "tight"  # type: ignore[attr-defined]
    assert judged(2.0, rows, **upwards).status == "faster"  # type: ignore[attr-defined]
    # A lower bound on growth, mirrored.
    below = {**upwards, "better": "larger"}
    assert judged(1.0, rows, **below).status == "faster"  # type: ignore[attr-defined]
    assert judged(2.0, rows, **below).status == "violated"  # type: ignore[attr-defined]


def test_too_few_points_or_values_that_are_none_are_not_judged() -> None:
    few = SMALL[::2]
    found = judged(2.0, table(few**-2.0, x=few))
    assert found.status == "inconclusive"  # type: ignore[attr-defined]
    assert "2 points next to the limit" in found.reason  # type: ignore[attr-defined]
    rows = table(SMALL**-2.0)
    rows.loc[3, "constant"] = 0.0  # type: ignore[attr-defined]
    assert "1 values are not positive" in judged(2.0, rows).reason  # type: ignore[attr-defined]


@pytest.mark.slow
def test_true_bounds_are_rarely_violated() -> None:
    """Exponent 2.1, the edge of the band of 2: nominal 2.5 %.

    Of 400 tables of 20 replicates at most 24 may be violated; of a share of 2.5 % more are with
    probability 4e-5.
    """
    generator = np.random.default_rng(9)
    wrong = 0
    for _ in range(400):
        noise = np.exp(0.5 * generator.standard_normal((20, SMALL.size)))
        rows = pd.DataFrame(
            {
                "problem": "p",
                "seed": np.repeat(np.arange(20), SMALL.size),
                "weight": np.tile(SMALL, 20),
                "constant": (SMALL**-2.1 * noise).ravel(),
                "status": "ok",
            }
        )
        wrong += judged(2.0, rows).status == "violated"  # type: ignore[attr-defined]
    assert wrong <= 24
