"""Kinds of rate that compare a measured number with a computed one, row by row: nothing is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from theory_check.claims.resolving import require_resolving
from theory_check.errors import InvalidArgumentError, require_positive, shortened

LARGEST_ROUNDING = 1e-3
"""A larger excess over a bound is none of rounding."""


@dataclass(frozen=True)
class CurveRate:
    """``y <= factor * bound``, a curve computed in every row, without a free parameter.

    Attributes
    ----------
    name
        Short name of the bound.
    x
        Column that tells the rows of a seed apart.
    y, bound
        Columns of what is bounded and of the bound.
    average
        Whether the statement is about the mean over replicates at each x, or about every row.
    factor
        1 for the bound itself; a control states another one.
    rounding
        Excess that still counts as none, as a share of the bound.
    x_symbol, y_symbol
        Labels for figures, in mathtext.
    where
        Rows of the table that this rate is about: column name to required value.
    """

    name: str
    x: str
    y: str
    bound: str
    x_symbol: str
    y_symbol: str
    average: bool = False
    factor: float = 1.0
    rounding: float = 1e-9
    where: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a factor that is not positive, or a rounding that would be a margin."""
        require_positive("factor", self.factor)
        require_positive("rounding", self.rounding)
        if self.rounding > LARGEST_ROUNDING:
            raise InvalidArgumentError(
                "rounding", shortened(self.rounding), f"pass at most {LARGEST_ROUNDING:g}"
            )


@dataclass(frozen=True)
class RatioRate:
    """The mean over replicates of ``y / predicted`` is ``stated``, within ``within`` of it, at every x.

    Attributes
    ----------
    name
        Short name of the ratio.
    x
        Column that tells the rows of a seed apart.
    y, predicted
        Columns of the numerator and of the positive denominator; every replicate counts once.
    stated
        What the ratio is.
    within
        Half-width of the band around it, as a share of it. Declared before measuring; at most a quarter
        of the gap to the nearest rival.
    rivals
        Ratios that alternatives to the statement predict.
    x_symbol, y_symbol
        Labels for figures, in mathtext; the second of the ratio.
    where
        Rows of the table that this rate is about: column name to required value.
    """

    name: str
    x: str
    y: str
    predicted: str
    within: float
    rivals: tuple[float, ...]
    x_symbol: str
    y_symbol: str
    stated: float = 1.0
    where: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a ratio that is not positive, and a band that reaches towards a rival."""
        require_positive("stated", self.stated)
        require_resolving("within", self.within * self.stated, self.stated, self.rivals)
