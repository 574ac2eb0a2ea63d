"""The cheapest setting of a method at every target: one search in the middle, short ones beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from theory_check.tuning.one_target import Reached, Terms, Tracker, Tuned


@dataclass(frozen=True, eq=False)
class TargetSearch(Terms):
    """Searches of one method on one problem, target after target."""

    def along(self, targets: Sequence[float], first: float) -> Iterator[tuple[float, Tuned]]:
        """Yield what was found at every target.

        From ``first`` to ever smaller targets, until one is missed, then to larger ones; where it is
        missed itself, from the largest to ever smaller ones. What is missed although the next larger
        target is reached from elsewhere is tried once more with the constants found there: a method
        whose iterations grow with 1 / epsilon may reach a target from above and not from below.
        """
        found = {first: self._at(first, None)}
        if found[first].arrived:
            yield first, found[first].tuned
            start = found[first]
            for target in sorted((each for each in targets if each < first), reverse=True):
                start = found[target] = self._at(target, start)
                if not start.arrived:
                    break
                yield target, start.tuned
            start = found[first]
            for target in sorted(each for each in targets if each > first):
                start = found[target] = self._at(target, start)
                if start.arrived:
                    yield target, start.tuned
        larger: Reached | None = None
        for target in sorted(targets, reverse=True):
            here = found.get(target)
            if here is None or not here.arrived:
                # What is missed on the way down has been tried from the next larger target.
                if here is None or target >= first:
                    here = self._from_above(target, here, larger)
                yield target, here.tuned
            larger = here

    def _from_above(self, target: float, here: Reached | None, larger: Reached | None) -> Reached:
        """Return what is found at a missed target from the next larger one, where that is reached.

        Parameters
        ----------
        here
            What was found from elsewhere; None where the target has not been searched at.
        larger
            None at the largest target.
        """
        if here is None:
            if larger is None or larger.arrived:
                return self._at(target, larger)
            return replace(larger, target=target, tuned=_missed(larger.tuned), before=None)
        if larger is None or not larger.arrived:
            return here
        again = self._at(target, larger, briefly=True)
        return replace(again, tuned=again.tuned.after(here.tuned))

    def _at(self, target: float, start: Reached | None, *, briefly: bool = False) -> Reached:
        tracker = Tracker(self, target)
        if start is None or not start.arrived:
            found = tracker.confirmed(tracker.begin())
            return Reached(target, found, tracker.tuned(found), None)
        found = tracker.confirmed(tracker.go_on(start, briefly=briefly))
        return Reached(target, found, tracker.tuned(found), start.found)


def _missed(last: Tuned) -> Tuned:
    """Return what is known of a target below one that was missed: nothing more was run."""
    return Tuned(
        last.plan, last.constants, math.inf, math.inf, math.nan, 0, 0.0, 0.0, False, last.cut
    )
