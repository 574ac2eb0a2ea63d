"""The cheapest setting of a method: its own grid first, then ever finer changes until none is cheaper."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Constants = Mapping[str, float]
Outcome = TypeVar("Outcome")

COARSE, FINE = (4.0, 2.0, math.sqrt(2.0)), (math.sqrt(2.0),)
"""Factors by which constants are changed, from anywhere and from a good start; the last is the
resolution."""

REPEATS = 8
"""Times that a change which amounts to nothing is repeated."""


@dataclass(frozen=True, eq=False)
class Trial(Generic[Outcome]):
    """A setting that was tried.

    Attributes
    ----------
    constants
        The setting.
    cost
        What it cost, infinite where it failed.
    miss
        How far it was from succeeding: what tells failures apart.
    outcome
        Whatever the evaluation returned beside.
    """

    constants: Constants
    cost: float
    miss: float
    outcome: Outcome

    @property
    def score(self) -> tuple[float, float]:
        """Cost, and among failures the miss."""
        return self.cost, self.miss if math.isinf(self.cost) else 0.0


@dataclass(frozen=True, eq=False)
class Found(Generic[Outcome]):
    """What a search found.

    Attributes
    ----------
    best
        The cheapest trial.
    trials
        All of them, in order.
    interior
        Whether all neighbours of the best, at the last factor, were tried and none is cheaper; False
        where the evaluations ran out first or nothing succeeded.
    """

    best: Trial[Outcome]
    trials: tuple[Trial[Outcome], ...]
    interior: bool


def cheapest(
    evaluate: Callable[[Constants, float], Trial[Outcome]],
    starts: Sequence[Constants],
    evaluations: int,
    factors: Sequence[float] = COARSE,
    *,
    together: bool = True,
    same: Callable[[Constants], object] = lambda constants: tuple(constants.values()),
) -> Found[Outcome]:
    """Search for the cheapest setting.

    All starts are tried. From the best of them the search moves to the first neighbour that is better,
    and goes on with the next factor where none is.

    Parameters
    ----------
    evaluate
        Of a setting and the cost beyond which it cannot win.
    starts
        Settings to begin with, at least one.
    evaluations
        Largest number of settings that are evaluated.
    factors
        Changes of a constant, descending.
    together
        Whether neighbours also differ in two constants; in one alone otherwise.
    same
        What a setting amounts to: settings of which it is equal are evaluated once.
    """
    known: dict[object, Trial[Outcome]] = {}

    def tried(constants: Constants) -> Trial[Outcome] | None:
        key = same(constants)
        if key not in known:
            if len(known) >= evaluations:
                return None
            allowed = min((trial.cost for trial in known.values()), default=math.inf)
            known[key] = evaluate(constants, allowed)
        return known[key]

    best = min(filter(None, map(tried, starts)), key=lambda trial: trial.score)
    complete = True
    for factor in factors:
        moved = True
        while moved and complete:
            moved = False
            for neighbour in neighbours(best.constants, factor, together, same):
                found = tried(neighbour)
                if found is None:
                    complete = False
                    break
                if found.score < best.score:
                    best, moved = found, True
                    break
    trials = tuple(known.values())
    return Found(best, trials, complete and math.isfinite(best.cost))


def neighbours(
    constants: Constants,
    factor: float,
    together: bool = True,
    same: Callable[[Constants], object] = lambda constants: tuple(constants.values()),
) -> Iterator[dict[str, float]]:
    """Yield the settings in which a constant is multiplied or divided by ``factor``, or each of two.

    Two together, because constants trade off: a smaller step wants a smaller batch. A single change that
    amounts to nothing, as one of a constant that is rounded may, is repeated until it does.
    """
    here = same(constants)
    changes = (factor, 1 / factor)
    for name, change in itertools.product(constants, changes):
        moved = {**constants, name: constants[name] * change}
        for _ in range(REPEATS):
            if same(moved) != here:
                break
            moved[name] *= change
        yield moved
    for first, second in itertools.combinations(constants, 2) if together else ():
        for one, other in itertools.product(changes, changes):
            yield {
                **constants,
                first: constants[first] * one,
                second: constants[second] * other,
            }
