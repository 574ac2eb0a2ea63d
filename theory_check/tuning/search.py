"""The cheapest setting of a method: its own grid first, then ever finer changes until none is cheaper."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Constants = Mapping[str, float]
Pairs = Collection[tuple[str, str]]
Outcome = TypeVar("Outcome")
Item = TypeVar("Item")

COARSE, FINE = (4.0, 2.0, math.sqrt(2.0)), (math.sqrt(2.0),)
"""Factors by which constants are changed, from anywhere and from a good start; the last is the
resolution."""

GAIN = 0.95
"""A neighbour is better where it costs at most this share: less is what noise finds among many."""

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
        Whether all neighbours of the best, at the last factor, were tried and none is cheaper by more
        than ``1 - gain``; False where the evaluations ran out first or nothing succeeded.
    """

    best: Trial[Outcome]
    trials: tuple[Trial[Outcome], ...]
    interior: bool


def cheapest(
    evaluate: Callable[[Sequence[Constants], float], Sequence[Trial[Outcome]]],
    starts: Sequence[Constants],
    evaluations: int,
    factors: Sequence[float] = COARSE,
    *,
    otherwise: Sequence[Constants] = (),
    pairs: Pairs | None = None,
    held: Collection[str] = (),
    same: Callable[[Constants], object] = lambda constants: tuple(constants.values()),
    at_once: int | None = 1,
    gain: float = GAIN,
) -> Found[Outcome]:
    """Search for the cheapest setting.

    All starts are tried. From the best of them the search moves to the best of the first ``at_once``
    neighbours of which one is better, by ``1 - gain`` or more, and goes on with the next factor where
    none is. The change that was made last is tried first, and then those whose last failure is longest
    ago: a direction that leads down does so for several steps, one that has just failed fails again.

    Parameters
    ----------
    evaluate
        Of settings, and the cost beyond which none of them can win.
    starts
        Settings to begin with, at least one.
    evaluations
        Largest number of settings that are evaluated.
    factors
        Changes of a constant, descending.
    otherwise
        Settings to begin with where no start succeeds, with the changes of ``COARSE``.
    pairs
        Constants that neighbours change together, as well as each alone; every two when absent.
    held
        Constants that are not changed.
    same
        What a setting amounts to: settings of which it is equal are evaluated once.
    at_once
        Settings that are evaluated side by side; None for all that are wanted at a time.
    gain
        A neighbour is better where it costs at most this share.
    """
    known: dict[object, Trial[Outcome]] = {}

    def tried(wanted: Sequence[Constants]) -> bool:
        """Evaluate what is not known yet; False where the evaluations do not suffice."""
        new: dict[object, Constants] = {}
        for constants in wanted:
            if (key := same(constants)) not in known:
                new.setdefault(key, constants)
        left = evaluations - len(known)
        for chunk in _chunks(list(new.items())[:left], at_once):
            allowed = min((trial.cost for trial in known.values()), default=math.inf)
            trials = evaluate([constants for _, constants in chunk], allowed)
            known.update(zip((key for key, _ in chunk), trials, strict=True))
        return len(new) <= left

    complete = tried(starts)
    if otherwise and all(math.isinf(trial.cost) for trial in known.values()):
        complete, factors = tried(otherwise) and complete, COARSE
    best = min(known.values(), key=lambda trial: trial.score)
    directions = _Directions()
    for factor in factors:
        moved = True
        while moved and complete:
            moved = False
            around = directions.sorted(
                best.constants, neighbours(best.constants, factor, pairs, held, same)
            )
            for chunk in _chunks(around, at_once):
                complete = tried(chunk)
                found = min(
                    (known[same(each)] for each in chunk if same(each) in known),
                    key=lambda trial: trial.score,
                    default=best,
                )
                if _better(found, best, gain):
                    directions.made(best.constants, found.constants)
                    best, moved = found, True
                else:
                    directions.failed(best.constants, chunk)
                if moved or not complete:
                    break
    trials = tuple(known.values())
    return Found(best, trials, complete and math.isfinite(best.cost))


class _Directions:
    """Which changes have led down and which have not: the most promising come first."""

    def __init__(self) -> None:
        self._last: tuple[int, ...] | None = None
        self._failures: dict[tuple[int, ...], int] = {}
        self._time = 0

    def made(self, before: Constants, after: Constants) -> None:
        """Note the change that was made."""
        self._last = _direction(before, after)

    def failed(self, here: Constants, settings: Sequence[Constants]) -> None:
        """Note changes that do not lead down from here."""
        self._time += 1
        self._failures.update({_direction(here, each): self._time for each in settings})

    def sorted(self, here: Constants, around: Iterator[dict[str, float]]) -> list[dict[str, float]]:
        """Return the settings around one: the last change, then those that failed longest ago."""

        def place(setting: Constants) -> tuple[bool, int]:
            direction = _direction(here, setting)
            return direction != self._last, self._failures.get(direction, 0)

        return sorted(around, key=place)


def _direction(before: Constants, after: Constants) -> tuple[int, ...]:
    """Return of every constant whether it becomes larger, 1, or smaller, -1."""
    return tuple((after[name] > each) - (after[name] < each) for name, each in before.items())


def _better(one: Trial[Outcome], other: Trial[Outcome], gain: float) -> bool:
    """Return whether a trial is cheaper beyond noise, or of two failures nearer to success."""
    if math.isinf(other.cost):
        return one.score < other.score
    return one.cost <= gain * other.cost


def _chunks(items: Sequence[Item], size: int | None) -> Iterator[Sequence[Item]]:
    size = len(items) if size is None else size
    for first in range(0, len(items), max(1, size)):
        yield items[first : first + size]


def neighbours(
    constants: Constants,
    factor: float,
    pairs: Pairs | None = None,
    held: Collection[str] = (),
    same: Callable[[Constants], object] = lambda constants: tuple(constants.values()),
) -> Iterator[dict[str, float]]:
    """Yield the settings in which a constant is multiplied or divided by ``factor``, or each of two.

    Two of ``pairs`` together, because constants trade off: a smaller step wants a smaller batch. A single
    change that amounts to nothing, as one of a constant that is rounded may, is repeated until it does.
    """
    here = same(constants)
    changes = (factor, 1 / factor)
    free = [name for name in constants if name not in held]
    for name, change in itertools.product(free, changes):
        moved = {**constants, name: constants[name] * change}
        for _ in range(REPEATS):
            if same(moved) != here:
                break
            moved[name] *= change
        if same(moved) != here:
            yield moved
    for first, second in itertools.combinations(free, 2) if pairs is None else pairs:
        if not {first, second} <= set(free):
            continue
        for one, other in itertools.product(changes, changes):
            yield {
                **constants,
                first: constants[first] * one,
                second: constants[second] * other,
            }
