"""The cheapest setting of a method at every target: down from the largest one, and up again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from theory_check.tuning.one_target import Terms, Tracker, Tuned


@dataclass(frozen=True, eq=False)
class TargetSearch(Terms):
    """Searches of one method on one problem, target after target."""

    def along(self, targets: Sequence[float], first: float) -> Iterator[tuple[float, Tuned]]:
        """Yield what was found at every target, from the largest to the smallest.

        From ``first`` down to ever smaller targets, until one is missed, each from the constants of the
        one before; then up to the largest, where what was found at the next smaller one is tried as
        well; what is missed on that way is tried from above. Where ``first`` is missed, the search
        begins once more, at the largest target, or at the second where that is the first: iterations of
        a plan grow as targets fall, and a method may reach a target from above and not from below, or
        the other way round.
        """
        order = sorted(targets, reverse=True)
        trackers = _Trackers(self)
        found = {first: trackers[first].begin()}
        if not found[first].arrived and len(order) > 1:
            first = order[1] if first == order[0] else order[0]
            found[first] = trackers[first].begin()

        def reached(target: float) -> bool:
            return target in found and found[target].arrived

        steps = list(itertools.pairwise(order))
        for larger, target in steps:
            if target < first and reached(larger):
                found[target] = trackers[target].go_on(found[larger], found.get(target))
        for target, smaller in reversed(steps):
            if reached(smaller):
                found[target] = trackers[target].go_on(found[smaller], found.get(target))
            elif target > first and target not in found:
                found[target] = trackers[target].begin()
        for larger, target in steps:
            if target in found and not reached(target) and reached(larger):
                found[target] = trackers[target].go_on(found[larger], found[target])
        last: Tuned | None = None
        for target in order:
            if target in found:
                last = trackers[target].tuned(found[target])
                yield target, last
            else:
                # Next to it lies what was missed: nothing more was run.
                assert last is not None
                yield target, _missed(last)


class _Trackers(dict[float, Tracker]):
    """Searches by target, each begun when it is asked for."""

    def __init__(self, terms: Terms) -> None:
        super().__init__()
        self._terms = terms

    def __missing__(self, target: float) -> Tracker:
        self[target] = Tracker(self._terms, target)
        return self[target]


def _missed(last: Tuned) -> Tuned:
    """Return what is known of a target next to one that was missed."""
    return Tuned(
        last.plan, last.constants, math.inf, math.inf, math.nan, 0, 0.0, 0.0, False, last.cut
    )
