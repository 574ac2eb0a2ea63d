"""Numbers as tables and sentences of a comparison show them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from theory_check.analysis.comparison.records import Interval

UNKNOWN_TEXT = "-"


def number(value: float, digits: int = 3) -> str:
    """Return a number with a few significant digits, ``-`` for NaN, an exponent without zeros."""
    if math.isnan(value):
        return UNKNOWN_TEXT
    mantissa, mark, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if mark else mantissa


def interval(found: Interval, scale: float = 1.0) -> str:
    """Return a number with its interval in brackets, where it has one."""
    value, low, high = (number(scale * each) for each in (found.value, found.low, found.high))
    if low == high == UNKNOWN_TEXT:
        return value
    return f"{value} [{low}, {high}]"


def listed(parts: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    *others, last = parts
    return f"{', '.join(others)} and {last}" if others else last
