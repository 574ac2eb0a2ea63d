"""Numbers with their intervals: as text, scaled, and in both units."""

from __future__ import annotations

import math

import pytest

from theory_check.analysis.intervals import UNKNOWN, Interval, in_both_units

FOUND = Interval(-0.0004, -1234.5, 2.0)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (".2f", "-0.00 [-1234.50, 2.00]"),
        ("z.3f", "0.000 [-1234.500, 2.000]"),
        (".3g", "-0.0004 [-1.23e+03, 2]"),
        # Without a rule as tables show numbers: no plus, no leading zero in a power of ten.
        ("", "-0.0004 [-1.23e3, 2]"),
    ],
)
def test_every_number_follows_the_rule(rule: str, text: str) -> None:
    assert format(FOUND, rule) == text


def test_what_is_not_known_is_left_out() -> None:
    assert str(Interval(2.0, math.nan, math.nan)) == "2"
    assert str(UNKNOWN) == "-"
    # An end that is infinite is known.
    assert str(Interval(2.0, 1.0, math.inf)) == "2 [1, inf]"


def test_a_negative_factor_exchanges_the_ends() -> None:
    assert Interval(2.0, 1.0, 4.0).scaled(-0.5) == Interval(-1.0, -2.0, -0.5)
    assert Interval(2.0, 1.0, 4.0).scaled(0.5) == Interval(1.0, 0.5, 2.0)


def test_it_is_within_what_holds_both_ends() -> None:
    found = Interval(2.0, 1.0, 4.0)
    assert found.within(1.0, 4.0)
    assert not found.within(1.5, 4.0)
    assert not found.within(1.0, 3.0)


def test_numbers_are_scaled_at_any_depth_and_the_rest_is_kept() -> None:
    numbers = {"exponent": 3.0, "bias": {"value": 2.0, "low": -1.0}, "points": 7, "name": "p"}
    assert in_both_units(numbers, norm=0.5, squared_norm=2.0) == {
        "norm": {"exponent": 1.5, "bias": {"value": 1.0, "low": -0.5}, "points": 7, "name": "p"},
        "squared norm": {
            "exponent": 6.0,
            "bias": {"value": 4.0, "low": -2.0},
            "points": 7,
            "name": "p",
        },
    }


def test_an_interval_that_excludes_nothing_is_none() -> None:
    assert str(Interval(1.4, -math.inf, math.inf)) == "1.4 (no interval)"
    assert f"{Interval(1.4, -math.inf, math.inf):.2f}" == "1.40 (no interval)"
    assert f"{Interval(1.4, 1.0, math.inf):.1f}" == "1.4 [1.0, inf]"
    assert str(Interval(1.4, math.nan, math.nan)) == "1.4"
