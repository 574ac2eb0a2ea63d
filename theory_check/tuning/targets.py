"""The cheapest setting of a method at every target: one search in the middle, short ones beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import qmc

from theory_check.provenance import Accuracy
from theory_check.solvers.method import Method, Plan, Scales
from theory_check.tuning.raced_runs import Caps, race
from theory_check.tuning.search import Constants, Found, Trial, cheapest

BEGIN, CONTINUE = (4.0, 2.0), (2.0,)
"""Changes of a constant at the first target, and at the next ones."""

BETTER = 0.9
"""A neighbour is better where it costs at most this share: less is what noise finds among many."""

FIRST_RUNG, RUNG = 16, 4
"""Iterations of the first round of successive halving, and the factor from round to round; so many times
fewer settings go on."""

BOXES = (8.0, 1), (32.0, 2)
"""Factor to either side of the centre within which successive halving looks, and settings there, over
those asked for; the second where nothing arrives within the first. The search that follows it knows no
box."""

EXPECTED = 3.0
"""Iterations that a search waits for at most, over those of the neighbouring target divided by the ratio
of the targets."""

ALWAYS = 200
"""Iterations that it waits for in any case."""

MARGIN = 0.75
"""Share of a plan's iterations within which tuning runs have to arrive: reported runs, which have them
all, differ from them, and the cheapest setting is often one that takes as many as it may."""


@dataclass(frozen=True, eq=False)
class Tried:
    """What came of a setting beside its cost: iterations until it arrived, and whether it was cut."""

    iterations: float
    cut: bool


Search = Found[Tried]


@dataclass(frozen=True, eq=False)
class Tuned:
    """The outcome of the search at one target.

    Attributes
    ----------
    plan
        The best setting, configured; the one that came nearest where none arrived.
    constants
        Its constants.
    cost
        What it cost the tuning runs, infinite where no setting arrived.
    iterations
        Until it arrived.
    nearest
        Smallest accuracy of a setting that failed, over the target.
    evaluations, spent, samples
        Settings that were run, and what they cost a replicate, in cost and in samples.
    interior
        Whether all neighbours of the best were tried and none is cheaper.
    cut
        Whether the technical limit stopped a neighbour of it, or where none arrived any setting.
    """

    plan: Plan
    constants: Constants
    cost: float
    iterations: float
    nearest: float
    evaluations: int
    spent: float
    samples: float
    interior: bool
    cut: bool

    def after(self, earlier: Tuned) -> Tuned:
        """Return the same, with what an earlier search at the same target has spent in vain."""
        return replace(
            self,
            nearest=float(np.fmin(self.nearest, earlier.nearest)),
            evaluations=self.evaluations + earlier.evaluations,
            spent=self.spent + earlier.spent,
            samples=self.samples + earlier.samples,
        )


@dataclass(frozen=True, eq=False)
class TargetSearch:
    """Searches of one method on one problem (``docs/theory.md`` section 7.1).

    Attributes
    ----------
    method
        The method.
    instance_of
        The problem for a target, and its units: of the constants, and of accuracies.
    streams
        Seeds of the tuning runs.
    caps
        What ends a run.
    measured
        What accuracies are the mean of.
    needed
        Tuning runs that have to arrive: the cost of a setting is that of the slowest of so many.
    evaluations
        Settings at the first target, and at each further one.
    initial_scale, perturbation
        Of where runs start.
    spread
        Settings that are spread around the centre at the first target, a power of 2.
    """

    method: Method
    instance_of: Callable[[float], tuple[object, Scales, float]]
    streams: Sequence[int]
    caps: Caps
    measured: Accuracy
    needed: int
    evaluations: tuple[int, int]
    initial_scale: float
    perturbation: float
    spread: int = 16

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
        larger: _Reached | None = None
        for target in sorted(targets, reverse=True):
            here = found.get(target)
            if here is None or not here.arrived:
                # What is missed on the way down has been tried from the next larger target.
                if here is None or target >= first:
                    here = self._from_above(target, here, larger)
                yield target, here.tuned
            larger = here

    def _from_above(self, target: float, here: _Reached | None, larger: _Reached | None) -> _Reached:
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

    def _at(self, target: float, start: _Reached | None, *, briefly: bool = False) -> _Reached:
        tracker = _Tracker(self, target)
        if start is None or not start.arrived:
            found = tracker.begin()
            return _Reached(target, found, tracker.tuned(found), None)
        found = tracker.go_on(start, briefly=briefly)
        return _Reached(target, found, tracker.tuned(found), start.found)


def _missed(last: Tuned) -> Tuned:
    """Return what is known of a target below one that was missed: nothing more was run."""
    return Tuned(
        last.plan, last.constants, math.inf, math.inf, math.nan, 0, 0.0, 0.0, False, last.cut
    )


@dataclass(frozen=True, eq=False)
class _Reached:
    """The search at a target, and the one before it."""

    target: float
    found: Search
    tuned: Tuned
    before: Search | None

    @property
    def arrived(self) -> bool:
        return math.isfinite(self.found.best.cost)


class _Tracker:
    """The search at one target."""

    def __init__(self, search: TargetSearch, target: float) -> None:
        self._search, self._target = search, target
        self._problem, self._scales, self._unit = search.instance_of(target)
        self._trials: list[Trial[Tried]] = []
        self._arrived: dict[Plan, Trial[Tried]] = {}
        self._spent = self._samples = 0.0

    def plan(self, constants: Constants) -> Plan:
        """Return what a setting amounts to."""
        return self._search.method.configure(self._target, constants, self._scales)

    def begin(self) -> Search:
        """Search from what successive halving finds among settings that are spread around the grid."""
        start = self._spread_from(self._search.method.centre)
        return self._descend([start.constants], self._search.evaluations[0], BEGIN, math.inf)

    def go_on(self, start: _Reached, *, briefly: bool = False) -> Search:
        """Search from the best of a neighbouring target, and from where its last change would lead.

        Where neither arrives, what is spread around them decides, unless it has been asked already.
        """
        here = start.found.best
        starts = [here.constants]
        if start.before is not None and math.isfinite(start.before.best.cost):
            earlier = start.before.best.constants
            onwards = {name: each**2 / earlier[name] for name, each in here.constants.items()}
            starts += [onwards] if onwards != dict(here.constants) else []
        longest = max(ALWAYS, EXPECTED * here.outcome.iterations * start.target / self._target)
        evaluations = self._search.evaluations
        trials = [self._tried(each, math.inf, longest) for each in starts]
        best = min(trials, key=lambda trial: trial.score)
        if math.isfinite(best.cost):
            return self._descend([best.constants], evaluations[1], CONTINUE, longest)
        if briefly:
            return Found(best, tuple(trials), interior=False)
        fresh = self._spread_from(here.constants)
        return self._descend([fresh.constants], evaluations[0], BEGIN, math.inf)

    def _descend(
        self,
        starts: Sequence[Constants],
        evaluations: int,
        factors: Sequence[float],
        longest: float,
    ) -> Search:
        def evaluate(settings: Sequence[Constants], allowed: float) -> list[Trial[Tried]]:
            return [self._tried(each, allowed, longest) for each in settings]

        # Where nothing has arrived, a descent among failures costs most and finds least.
        most = evaluations if math.isfinite(self._cheapest) else 1
        return cheapest(evaluate, starts, most, factors, pairs=(), same=self.plan, gain=BETTER)

    @property
    def _cheapest(self) -> float:
        return min((trial.cost for trial in self._trials), default=math.inf)

    def _spread_from(self, centre: Constants) -> Trial[Tried]:
        """Return the cheapest of what is spread around a centre, farther away where nothing arrives."""
        near, far = (spread(centre, box, self._search.spread * more) for box, more in BOXES)
        found = self._halved([centre, *near])
        if math.isfinite(found.cost):
            return found
        return min(found, self._halved(list(far)), key=lambda trial: trial.score)

    def _halved(self, settings: Sequence[Constants]) -> Trial[Tried]:
        """Return the cheapest of the settings of the first round in which one arrives."""
        left: list[Constants] = list(settings)
        limit = FIRST_RUNG
        while True:
            trials: list[Trial[Tried]] = []
            for each in left:
                allowed = min((trial.cost for trial in trials), default=math.inf)
                trials.append(self._tried(each, allowed, limit))
            trials.sort(key=lambda trial: trial.score)
            if math.isfinite(trials[0].cost) or limit >= self._search.caps.iterations:
                return trials[0]
            left = [trial.constants for trial in trials[: max(2, len(trials) // RUNG)]]
            limit *= RUNG

    def _tried(self, constants: Constants, allowed: float, longest: float) -> Trial[Tried]:
        """Run the tuning runs of a setting; what has arrived once arrives again, at the same cost."""
        search, plan = self._search, self.plan(constants)
        if plan in self._arrived:
            return self._arrived[plan]
        run = race(
            self._problem,
            plan,
            search.streams,
            search.needed,
            self._target * self._unit,
            search.caps,
            measured=search.measured,
            allowed=allowed,
            longest=longest,
            margin=MARGIN,
            initial_scale=search.initial_scale,
            perturbation=search.perturbation,
        )
        place = search.needed - 1
        cost = np.sort(run.costs(search.caps.samples))[place]
        self._spent += run.cost(run.counts)
        self._samples += float(run.counts.samples)
        miss = float(np.sort(run.arrivals.latest)[place]) / (self._target * self._unit)
        iterations = float(np.sort(run.arrivals.iterations)[place])
        trial = Trial(constants, float(cost), miss, Tried(iterations, run.cut))
        self._trials.append(trial)
        if math.isfinite(trial.cost):
            self._arrived[plan] = trial
        return trial

    def tuned(self, found: Search) -> Tuned:
        """Return what is reported of a search."""
        best = found.best
        arrived = math.isfinite(best.cost)
        beside = [
            trial
            for trial in found.trials
            if not arrived or _change(best.constants, trial.constants) is not None
        ]
        failed = [trial.miss for trial in self._trials if math.isinf(trial.cost)]
        return Tuned(
            self.plan(best.constants),
            best.constants,
            best.cost,
            best.outcome.iterations,
            min(failed, default=math.nan),
            len(self._trials),
            self._spent,
            self._samples,
            found.interior,
            any(trial.outcome.cut for trial in beside),
        )


def spread(centre: Constants, box: float, settings: int) -> Iterator[dict[str, float]]:
    """Yield settings that fill a box around a centre evenly, in logarithms: a Sobol sequence.

    Its first point is a corner and its second the centre itself: they are two fewer than asked for.
    """
    points = qmc.Sobol(len(centre), scramble=False).random(settings)[2:]
    for point in points:
        yield {
            name: value * box ** (2 * at - 1)
            for (name, value), at in zip(centre.items(), point.tolist(), strict=True)
        }


def _change(best: Constants, neighbour: Constants) -> tuple[str, bool] | None:
    """Return which constant differs, where one alone does, and whether it is larger."""
    ratios = {name: neighbour[name] / best[name] for name in best}
    changed = [name for name, ratio in ratios.items() if abs(math.log(ratio)) > 1e-9]
    return (changed[0], ratios[changed[0]] > 1) if len(changed) == 1 else None
