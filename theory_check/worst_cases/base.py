"""What a worst case is: a quantity of a problem, which way is worse, and what a claim says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from theory_check.claims.base import Claim
from theory_check.claims.rates import PowerRate
from theory_check.problems import Problem


def power_rate(claim: Claim, name: str) -> PowerRate:
    """Return the power law of a claim that is called ``name``: what a prediction is read from."""
    (rate,) = (each for each in claim.rates if each.name == name)
    assert isinstance(rate, PowerRate)
    return rate


@dataclass(frozen=True)
class Evaluation:
    """A quantity of one problem.

    Attributes
    ----------
    value
        The quantity; NaN where something it rests on is not certified.
    kept
        Whether what the claim predicts holds on this problem, as far as this evaluation sees.
    details
        Numbers behind the value, by name: single ones or series.
    """

    value: float
    kept: bool
    details: Mapping[str, float | tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class WorstCase:
    """A quantity whose worst instance is searched.

    Attributes
    ----------
    id
        Name on the command line: that of the claim, or the claim's with a suffix.
    claim
        Id of the claim that it is about.
    quantity
        What is measured, in the symbols of ``docs/theory.md``, with its range.
    unit
        Its unit.
    worse
        What a larger value means.
    predicted
        What the claim says, and when it counts as kept.
    families
        Names of the search spaces that make sense for it (``spaces.py``).
    measure
        The quantity by the exact oracle; larger is worse. It depends on the problem alone.
    confirm
        The same quantity by a second route, which shares as little with the first as it can. It may
        see further than ``measure`` and decides whether the claim is kept.
    tolerance
        Largest difference of the two routes, relative to ``max(1, value)``, at which they agree.
    """

    id: str
    claim: str
    quantity: str
    unit: str
    worse: str
    predicted: str
    families: tuple[str, ...]
    measure: Callable[[Problem], Evaluation]
    confirm: Callable[[Problem], Evaluation]
    tolerance: float

    def agrees(self, first: Evaluation, second: Evaluation) -> bool:
        """Return whether the two routes agree; what is not finite agrees with nothing."""
        allowed = self.tolerance * max(1.0, abs(first.value))
        return abs(first.value - second.value) <= allowed
