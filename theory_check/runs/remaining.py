"""How long a sweep still takes: what cells take by themselves, and how workers share them.

A cell that was run before, whatever its source was, is expected to take as long again, and one of a
shipped experiment as long as where ``usual_seconds.json`` was recorded; both by how much slower this
machine is. Others are expected to take what cells of the same measurement took, by their relative costs,
and where none has been seen what cells take on average. What a running cell tells of its own progress
comes first.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

FIRST_SHARE = 0.02
"""Share of a cell from which on its own progress says how long it takes: before, much is compiled."""

OVERRUN = 0.25
"""Of the time a cell has taken, what is expected of one that has taken longer than expected."""


@dataclass(frozen=True)
class Work:
    """What is known of a cell before it runs.

    Attributes
    ----------
    kind
        Of its measurement: costs of one kind are compared with each other.
    cost
        Relative to others of the kind.
    seconds
        What it took earlier, or takes usually; NaN where neither is known.
    """

    kind: str
    cost: float
    seconds: float = math.nan


@dataclass(frozen=True)
class Running:
    """A cell that is running: what it is, for how many seconds, and which share of it is done."""

    work: Work
    elapsed: float
    share: float = 0.0

    def total(self) -> float:
        """Return how long it takes by its own progress; NaN where there is too little of it."""
        return self.elapsed / self.share if self.share >= FIRST_SHARE else math.nan


@dataclass(frozen=True)
class Pace:
    """What cells have taken so far, from which others are expected.

    Attributes
    ----------
    slowdown
        How much longer cells take than earlier, median over those that are known to.
    per_cost
        Seconds per relative cost, by kind; of two cells or more without the slowest, which compiled.
    usual
        Seconds of a cell, where nothing else is known; NaN where no cell has been seen.
    """

    slowdown: float
    per_cost: dict[str, float]
    usual: float

    @classmethod
    def of(cls, taken: Iterable[tuple[Work, float]]) -> Pace:
        """Return the pace of cells that took so many seconds."""
        seen = [(work, seconds) for work, seconds in taken if math.isfinite(seconds)]
        slower = [seconds / work.seconds for work, seconds in seen if work.seconds > 0]
        costs: dict[str, list[tuple[float, float]]] = {}
        for work, seconds in seen:
            if work.cost > 0:
                costs.setdefault(work.kind, []).append((work.cost, seconds))
        per_cost = {kind: _per_cost(found) for kind, found in costs.items()}
        usual = sum(seconds for _, seconds in seen) / len(seen) if seen else math.nan
        return cls(median(slower) if slower else 1.0, per_cost, usual)

    def expected(self, work: Work) -> float:
        """Return how long a cell is expected to take, in seconds; NaN where nothing is known."""
        if math.isfinite(work.seconds):
            return work.seconds * self.slowdown
        if work.kind in self.per_cost:
            return work.cost * self.per_cost[work.kind]
        return self.usual


def _per_cost(found: list[tuple[float, float]]) -> float:
    """Return seconds per cost of cells, each given by its cost and its seconds."""
    counted = sorted(found, key=lambda each: each[1] / each[0])[: max(len(found) - 1, 1)]
    return sum(seconds for _, seconds in counted) / sum(cost for cost, _ in counted)


def seconds_left(
    finished: Sequence[tuple[Work, float]],
    running: Sequence[Running],
    waiting: Sequence[Work],
    workers: int,
) -> float:
    """Return how long it is until the last cell ends; NaN where that cannot be said.

    Parameters
    ----------
    finished
        Cells that ended, with the seconds that they took.
    running, waiting
        The others; those that wait in the order in which they will run.
    workers
        Cells that run side by side, each worker taking the next as soon as it has none.
    """
    told = [(each.work, each.total()) for each in running]
    pace = Pace.of([*finished, *told])
    ends = [_left(each, pace) for each in running]
    free = [*ends, *[0.0] * max(workers - len(ends), 0)] or [0.0]
    last = max(ends, default=0.0)
    if any(map(math.isnan, ends)):
        return math.nan
    heapq.heapify(free)
    for work in waiting:
        expected = pace.expected(work)
        if math.isnan(expected):
            return math.nan
        end = heapq.heappop(free) + expected
        heapq.heappush(free, end)
        last = max(last, end)
    return last


def share_done(
    finished: Sequence[tuple[Work, float]], running: Sequence[Running], waiting: Sequence[Work]
) -> float:
    """Return which share of the work is done, by time; by the number of cells where none is known."""
    pace = Pace.of([*finished, *((each.work, each.total()) for each in running)])
    done = sum(seconds for _, seconds in finished) + sum(each.elapsed for each in running)
    left = sum(_left(each, pace) for each in running) + sum(map(pace.expected, waiting))
    if math.isnan(left) or done + left <= 0:
        cells = len(finished) + len(running) + len(waiting)
        return (len(finished) + sum(each.share for each in running)) / cells if cells else 1.0
    return done / (done + left)


def _left(cell: Running, pace: Pace) -> float:
    own = cell.total()
    if not math.isnan(own):
        return max(own - cell.elapsed, 0.0)
    expected = pace.expected(cell.work)
    return (
        max(expected - cell.elapsed, OVERRUN * cell.elapsed) if expected == expected else math.nan
    )


def time_in_words(seconds: float) -> str:
    """Return a time with the digits that a guess has."""
    if math.isnan(seconds):
        return "an unknown time"
    if seconds < 10:
        return f"{math.ceil(seconds)} s"
    if seconds < 90:
        return f"{5 * round(seconds / 5)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
