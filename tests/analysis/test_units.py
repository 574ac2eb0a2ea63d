"""Exponents for the norm and for its square."""

from theory_check.analysis.units import in_both_units


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
