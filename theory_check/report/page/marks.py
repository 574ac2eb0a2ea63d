"""What was measured against what is predicted, as intervals on a line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from theory_check.analysis.bound_verdict import TermNumbers
from theory_check.analysis.computed_verdicts import Looseness, Ratios
from theory_check.analysis.intervals import Interval
from theory_check.analysis.rate_verdict import Exponents, Growth, RateVerdict
from theory_check.analysis.replicate_verdicts import DecayFactor, KeptShare
from theory_check.claims.rates import (
    AttainedRate,
    BoundRate,
    InequalityRate,
    PowerRate,
    Rate,
    UpperBoundRate,
)

WIDTH, LINE = 230, 11
"""Of a drawing: its width, and the height of an interval in it, pixels of the page."""

MOST_LINES = 8
"""Intervals that are drawn of a claim; those of the worst statuses."""

MARGIN = 5


Judged = tuple[str, Interval, float, float, float]
"""What a number is, the number, what is predicted, and the ends of what agrees with it."""


@dataclass(frozen=True)
class Mark:
    """A number that was judged, and where it may lie.

    Attributes
    ----------
    name
        Of the problem and of the number.
    found
        With its interval; ends that are NaN are not drawn.
    stated
        What is predicted; NaN where only a side is.
    low, high
        Ends of what agrees with the prediction, infinite where there is none.
    status
        Of the rate.
    """

    name: str
    found: Interval
    stated: float
    low: float
    high: float
    status: str


def _exponent(rate: Rate, numbers: Exponents) -> Iterator[Judged]:
    assert numbers.estimate is not None
    stated = numbers.stated
    centre = stated.value if isinstance(stated, Interval) else float(stated)
    reach = rate.resolution if isinstance(rate, PowerRate | AttainedRate) else 0.0
    low, high = centre - reach, centre + reach
    if isinstance(rate, UpperBoundRate):
        low, high = (low, math.inf) if rate.better == "larger" else (-math.inf, high)
    elif isinstance(stated, Interval) and not math.isnan(stated.low):
        low, high = min(low, stated.low), max(high, stated.high)
    yield "", numbers.estimate, centre, low, high


def _growth(rate: Rate, numbers: Growth) -> Iterator[Judged]:
    assert numbers.estimate is not None
    yield "growth", numbers.estimate, math.nan, -math.inf, numbers.most_growth


def _decay(rate: Rate, numbers: DecayFactor) -> Iterator[Judged]:
    assert numbers.estimate is not None
    yield "rho", numbers.estimate, math.nan, -math.inf, 1.0


def _share(rate: Rate, numbers: KeptShare) -> Iterator[Judged]:
    assert numbers.estimate is not None
    least = 1 - rate.allowed_share if isinstance(rate, InequalityRate) else 1.0
    yield "share", numbers.estimate, math.nan, least, 1.0


def _loose(rate: Rate, numbers: Looseness) -> Iterator[Judged]:
    assert numbers.estimate is not None
    yield "bound over measured", numbers.estimate, math.nan, 1.0, math.inf


def _ratio(rate: Rate, numbers: Ratios) -> Iterator[Judged]:
    assert numbers.estimate is not None
    yield "ratio", numbers.estimate, numbers.stated.value, numbers.stated.low, numbers.stated.high


MARKS: Mapping[type, Callable[[Any, Any], Iterator[Judged]]] = {
    Exponents: _exponent,
    Growth: _growth,
    DecayFactor: _decay,
    KeptShare: _share,
    Looseness: _loose,
    Ratios: _ratio,
}
"""How numbers of one type are drawn; of others the number alone is, without what is predicted."""


def marks_of(rate: Rate, verdict: RateVerdict) -> list[Mark]:
    """Return the numbers of a verdict that lie on a line; none where nothing was measured."""
    numbers, name = verdict.numbers, f"{verdict.problem}, {verdict.rate}"
    if isinstance(numbers, TermNumbers):
        reach = rate.resolution if isinstance(rate, BoundRate) else 0.0
        return [
            Mark(
                f"{name}, {exponent}",
                found,
                numbers.stated[exponent],
                numbers.stated[exponent] - reach,
                numbers.stated[exponent] + reach,
                verdict.status,
            )
            for exponent, found in numbers.exponents.items()
        ]
    if numbers.estimate is None or not math.isfinite(numbers.estimate.value):
        return []
    known = MARKS.get(type(numbers))
    if known is None:
        return [Mark(name, numbers.estimate, math.nan, -math.inf, math.inf, verdict.status)]
    return [
        Mark(f"{name}, {what}" if what else name, found, stated, low, high, verdict.status)
        for what, found, stated, low, high in known(rate, numbers)
    ]


@dataclass(frozen=True)
class Line:
    """An interval of a drawing, in pixels; what does not end within it ends at its edge."""

    mark: Mark
    text: str
    middle: float
    low: float
    high: float
    at: float
    stated: float | None
    allowed: float
    allowed_width: float


@dataclass(frozen=True)
class Strip:
    """Intervals of a claim on one axis.

    Attributes
    ----------
    lines
        One for each number that is drawn.
    height
        Of the drawing, pixels.
    left, right
        Numbers at the ends of the axis.
    left_out
        How many intervals are not drawn.
    logarithmic
        Whether the axis is.
    """

    lines: tuple[Line, ...]
    height: int
    left: str
    right: str
    left_out: int
    logarithmic: bool


def strip(marks: list[Mark]) -> Strip | None:
    """Return how marks lie on one axis, or None without any."""
    if not marks:
        return None
    shown = marks[:MOST_LINES]
    ends = [
        value
        for mark in shown
        for value in (
            mark.found.value,
            mark.found.low,
            mark.found.high,
            mark.stated,
            mark.low,
            mark.high,
        )
        if math.isfinite(value)
    ]
    logarithmic = min(ends) > 0 and max(ends) / min(ends) > 50
    scale = math.log10 if logarithmic else float
    least, most = scale(min(ends)), scale(max(ends))
    room = 0.06 * (most - least) or 0.1
    least, most = least - room, most + room

    def position(value: float, otherwise: float) -> float:
        if math.isnan(value):
            return position(otherwise, otherwise)
        if math.isinf(value) or (logarithmic and value <= 0):
            return WIDTH - MARGIN if value > 0 else float(MARGIN)
        share = (scale(value) - least) / (most - least)
        return round(MARGIN + share * (WIDTH - 2 * MARGIN), 1)

    lines = []
    for index, mark in enumerate(shown):
        start, stop = position(mark.low, mark.low), position(mark.high, mark.high)
        bounded = math.isfinite(mark.low) or math.isfinite(mark.high)
        lines.append(
            Line(
                mark,
                f"{mark.name}: measured {mark.found:.3g}, {_agreeing(mark)}; {mark.status}",
                LINE * index + LINE / 2 + 2,
                position(mark.found.low, mark.found.value),
                position(mark.found.high, mark.found.value),
                position(mark.found.value, mark.found.value),
                None if math.isnan(mark.stated) else position(mark.stated, mark.stated),
                start,
                max(stop - start, 1.0) if bounded else 0.0,
            )
        )
    left, right = (10**value if logarithmic else value for value in (least, most))
    return Strip(
        tuple(lines),
        LINE * len(lines) + 4,
        f"{left:.3g}",
        f"{right:.3g}",
        len(marks) - len(shown),
        logarithmic,
    )


def _agreeing(mark: Mark) -> str:
    """Say what agrees with the prediction."""
    if math.isfinite(mark.stated):
        return f"predicted {mark.stated:.3g}, agrees from {mark.low:.3g} to {mark.high:.3g}"
    if math.isfinite(mark.low) and math.isfinite(mark.high):
        return f"agrees from {mark.low:.3g} to {mark.high:.3g}"
    if math.isfinite(mark.high):
        return f"agrees up to {mark.high:.3g}"
    if math.isfinite(mark.low):
        return f"agrees from {mark.low:.3g}"
    return "no single number is predicted"
