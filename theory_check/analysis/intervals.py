"""Numbers with their intervals: means, medians, shares, and how sentences and tables show them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

LEVEL = 0.95

UNKNOWN_TEXT = "-"


@dataclass(frozen=True)
class Interval:
    """A number with its interval, of 95 % unless said otherwise; NaN where it could not be computed.

    Formatted as ``value [low, high]``, each number by the same rule: ``f"{found:.2f}"``. Without a rule
    they have three significant digits, and a number whose ends are both unknown stands alone. Where an
    interval excludes nothing, as of a median whose replicates are partly infinite, it says so.
    """

    value: float
    low: float
    high: float

    def __format__(self, rule: str) -> str:
        return self.text(lambda number: format(number, rule)) if rule else str(self)

    def __str__(self) -> str:
        return self.text(number)

    def text(self, shown: Callable[[float], str]) -> str:
        """Return it with every number as ``shown`` writes it."""
        value, low, high = shown(self.value), shown(self.low), shown(self.high)
        if self.low == -math.inf and self.high == math.inf:
            return f"{value} (no interval)"
        return value if low == high == UNKNOWN_TEXT else f"{value} [{low}, {high}]"

    def scaled(self, factor: float) -> Interval:
        """Return ``factor`` times the number; a negative factor exchanges the ends."""
        ends = (factor * self.low, factor * self.high)
        return Interval(factor * self.value, *(ends if factor >= 0 else ends[::-1]))

    def within(self, low: float, high: float) -> bool:
        """Return whether the whole interval lies in ``[low, high]``."""
        return low <= self.low and self.high <= high

    def record(self, name: str) -> dict[str, float]:
        """Return it ready for JSON, the number under ``name``."""
        return {name: self.value, "low": self.low, "high": self.high}


UNKNOWN = Interval(math.nan, math.nan, math.nan)
"""Where nothing could be computed."""


@dataclass(frozen=True)
class MedianInterval(Interval):
    """A median with an interval between order statistics.

    Attributes
    ----------
    value, low, high
        In the units of the values; infinite where the order statistic is.
    ranks
        Of the ends, counted from 1.
    coverage
        Probability that the interval covers the median, whatever the continuous distribution.
    """

    ranks: tuple[int, int]
    coverage: float


def median_interval(
    values: Float[np.ndarray, " replicate"], level: float = LEVEL
) -> MedianInterval:
    """Return the median and the narrowest symmetric pair of order statistics that covers it.

    The number of values below the median is binomial(n, 1/2), so the ranks ``k`` and
    ``n + 1 - k`` cover it with probability ``1 - 2 P(X < k)`` (David and Nagaraja, *Order
    Statistics*, section 7.1). With fewer than 6 values even the extremes cover less than 95 %:
    they are returned with the coverage that they have.

    Parameters
    ----------
    values
        At least one; infinite for failures, which are worse than any success.
    level
        Coverage that is asked for.
    """
    ordered = np.sort(values)
    count = ordered.size
    lower = np.arange(1, count // 2 + 1)
    coverages = 1 - 2 * stats.binom.cdf(lower - 1, count, 0.5)
    enough = lower[coverages >= level]
    rank = int(enough.max()) if enough.size else 1
    # One value is its own interval and covers nothing.
    coverage = float(coverages[rank - 1]) if lower.size else 0.0
    return MedianInterval(
        value=float(np.median(ordered)),
        low=float(ordered[rank - 1]),
        high=float(ordered[count - rank]),
        ranks=(rank, count + 1 - rank),
        coverage=coverage,
    )


def mean_interval(values: Float[np.ndarray, " replicates"], level: float = LEVEL) -> Interval:
    """Return the mean with Student's t interval over replicates, NaN ends for fewer than two."""
    if not values.size:
        return UNKNOWN
    centre = float(values.mean())
    if values.size < 2:
        return Interval(centre, math.nan, math.nan)
    reach = float(
        stats.t.ppf(0.5 + level / 2, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size)
    )
    return Interval(centre, centre - reach, centre + reach)


def clopper_pearson(successes: int, trials: int, level: float = LEVEL) -> Interval:
    """Return a share with its exact interval (Clopper and Pearson, Biometrika 1934).

    Parameters
    ----------
    successes, trials
        Counts, ``0 <= successes <= trials`` and ``trials >= 1``.
    level
        Smallest coverage.
    """
    found = stats.binomtest(successes, trials).proportion_ci(level, method="exact")
    return Interval(successes / trials, float(found.low), float(found.high))


def in_both_units(
    numbers: Mapping[str, object], *, norm: float, squared_norm: float
) -> dict[str, dict[str, object]]:
    """Return numbers, nested or not, for ``"norm"`` and for ``"squared norm"``.

    Parameters
    ----------
    numbers
        Exponents and their ends, in the convention in which they were fitted.
    norm, squared_norm
        Factors that take them to each convention.
    """
    return {
        "norm": {name: _scaled(value, norm) for name, value in numbers.items()},
        "squared norm": {name: _scaled(value, squared_norm) for name, value in numbers.items()},
    }


def _scaled(value: object, factor: float) -> object:
    if isinstance(value, Mapping):
        return {name: _scaled(entry, factor) for name, entry in value.items()}
    return value * factor if isinstance(value, float) else value


def number(value: float, digits: int = 3) -> str:
    """Return a number with a few significant digits, ``-`` for NaN, an exponent without zeros."""
    if math.isnan(value):
        return UNKNOWN_TEXT
    mantissa, mark, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if mark else mantissa


def plural(number: int, noun: str) -> str:
    """Return ``1 pair`` or ``2 pairs``, of nouns that take an s."""
    return f"{number} {noun}{'s' * (number != 1)}"


def listed(parts: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    *others, last = parts
    return f"{', '.join(others)} and {last}" if others else last
