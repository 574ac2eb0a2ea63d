"""What the analysis of a comparison has to know beside its tables."""

from __future__ import annotations

from dataclasses import dataclass

from theory_check.provenance import StatedRate

WITHOUT_REWARD = ("online-dpo",)
"""Methods without a reward model: they start at the reference policy, whose implied reward is 0, and not
where the others do. Their costs are shown, but not ranked."""


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval; NaN where it could not be computed."""

    value: float
    low: float
    high: float


UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))
"""Where nothing could be computed."""


@dataclass(frozen=True)
class ComparedMethod:
    """A method as tables and figures call it, and what is stated about it.

    Attributes
    ----------
    id
        Value of the column ``method``.
    title
        Its name in figures.
    rate
        None where its source states none.
    """

    id: str
    title: str
    rate: StatedRate | None
