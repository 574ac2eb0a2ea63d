"""The cheapest setting of a method at one target: spread around a centre, then changed one by one."""

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
fewer settings go on. Around a method's own centre a round ends for a setting that has spent what that
would: it waits for a later one, and what arrives before is cheaper. Not around the constants of a
neighbouring target, which are so cheap that all others would wait."""

BOXES = (8.0, 1), (32.0, 2)
"""Factor to either side of the centre within which successive halving looks, and settings there, over
those asked for; the second where nothing arrives within the first. The search that follows it knows no
box."""

EXPECTED = 3.0
"""Iterations that a search waits for at most, over those of the neighbouring target divided by the ratio
of the targets."""

ALWAYS = 200
"""Iterations that it waits for in any case."""

CONFIRMED = 4
"""Settings that are run once more before one is chosen, at most."""

MARGIN = 0.75
"""Share of a plan's iterations within which tuning runs have to arrive: reported runs, which have them
all, differ from them, and the cheapest setting is often one that takes as many as it may."""


@dataclass(frozen=True, eq=False)
class Tried:
    """What came of a setting beside its cost.

    Attributes
    ----------
    iterations
        Until it arrived.
    price
        As of :class:`~theory_check.tuning.raced_runs.RacedRuns`.
    unseen
        Whether its cost ended it before the iterations of a first round.
    cut
        Whether the technical limit ended its runs.
    """

    iterations: float
    price: float
    unseen: bool
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
        The larger of what it cost the tuning and the confirming runs, infinite where no setting arrived.
    iterations
        Until it arrived.
    nearest
        Smallest accuracy of a setting that failed, over the target.
    evaluations, spent, samples
        Settings that were run, and what they cost a replicate, in cost and in samples.
    interior
        Whether all neighbours of the cheapest setting of the tuning runs were tried and none is cheaper.
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


@dataclass(frozen=True, eq=False)
class Terms:
    """What settings of one method are tried on, on one problem (``docs/theory.md`` section 7.1).

    Attributes
    ----------
    method
        The method.
    instance_of
        The problem for a target, and its units: of the constants, and of accuracies.
    streams, confirming
        Seeds of the tuning runs, and of those that confirm a choice.
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
    confirming: Sequence[int]
    caps: Caps
    measured: Accuracy
    needed: int
    evaluations: tuple[int, int]
    initial_scale: float
    perturbation: float
    spread: int = 16


@dataclass(frozen=True, eq=False)
class Reached:
    """The search at a target, and the one that it went on from."""

    target: float
    found: Search
    before: Search | None = None

    @property
    def arrived(self) -> bool:
        """Whether a setting arrived."""
        return math.isfinite(self.found.best.cost)


class Tracker:
    """The search at one target."""

    def __init__(self, terms: Terms, target: float) -> None:
        self._terms, self._target = terms, target
        self._problem, self._scales, self._unit = terms.instance_of(target)
        self._trials: list[Trial[Tried]] = []
        self._arrived: dict[Plan, Trial[Tried]] = {}
        self._seen: set[Plan] = set()
        self._again: dict[Plan, Trial[Tried]] = {}
        self._spent = self._samples = 0.0

    def plan(self, constants: Constants) -> Plan:
        """Return what a setting amounts to."""
        return self._terms.method.configure(self._target, constants, self._scales)

    def begin(self) -> Reached:
        """Search from what successive halving finds among settings that are spread around the grid."""
        start = self._spread_from(self._terms.method.centre, bounded=True)
        found = self._descend([start.constants], self._terms.evaluations[0], BEGIN, math.inf)
        return Reached(self._target, self._confirmed(found))

    def go_on(self, start: Reached, so_far: Reached | None) -> Reached:
        """Search from the best of a neighbouring target, and from where its last change would lead.

        Where something has arrived here before, the search goes on from what is cheaper than that. Where
        nothing arrives, what is spread around the neighbour's constants decides.

        Parameters
        ----------
        start
            At the neighbouring target, which has been reached.
        so_far
            What was found here before; where that is nothing, nothing more is spread.
        """
        here = start.found.best
        starts = [here.constants]
        if start.before is not None and math.isfinite(start.before.best.cost):
            earlier = start.before.best.constants
            onwards = {name: each**2 / earlier[name] for name, each in here.constants.items()}
            starts += [onwards] if onwards != dict(here.constants) else []
        longest = max(ALWAYS, EXPECTED * here.outcome.iterations * start.target / self._target)
        allowed = math.inf
        if so_far is not None:
            starts = [each for each in starts if self.plan(each) not in self._seen]
            allowed = BETTER * so_far.found.best.cost
        trials = [self._tried(each, allowed, longest) for each in starts]
        best = min(trials, key=lambda trial: trial.score, default=None)
        evaluations = self._terms.evaluations
        if best is not None and best.cost <= allowed and math.isfinite(best.cost):
            found = self._descend([best.constants], evaluations[1], CONTINUE, longest)
        elif so_far is not None:
            return so_far
        else:
            fresh = self._spread_from(here.constants, bounded=False)
            found = self._descend([fresh.constants], evaluations[0], BEGIN, math.inf)
        return Reached(self._target, self._confirmed(found), start.found)

    def _descend(
        self,
        starts: Sequence[Constants],
        evaluations: int,
        factors: Sequence[float],
        longest: float,
    ) -> Search:
        def evaluate(settings: Sequence[Constants], allowed: float) -> list[Trial[Tried]]:
            return [self._tried(each, BETTER * allowed, longest) for each in settings]

        # Where nothing has arrived, a descent among failures costs most and finds least.
        most = evaluations if math.isfinite(self._cheapest) else 1
        return cheapest(evaluate, starts, most, factors, pairs=(), same=self.plan, gain=BETTER)

    @property
    def _cheapest(self) -> float:
        return min((trial.cost for trial in self._trials), default=math.inf)

    def _spread_from(self, centre: Constants, *, bounded: bool) -> Trial[Tried]:
        """Return the cheapest of what is spread around a centre, farther away where nothing arrives."""
        near, far = (spread(centre, box, self._terms.spread * more) for box, more in BOXES)
        found = self._halved([centre, *near], bounded=bounded)
        if math.isfinite(found.cost):
            return found
        beyond = self._halved(list(far), bounded=bounded)
        return min(found, beyond, key=lambda trial: trial.score)

    def _halved(self, settings: Sequence[Constants], *, bounded: bool) -> Trial[Tried]:
        """Return the cheapest of the settings of the first round in which one arrives."""
        going: list[Constants] = []
        waiting = list(settings)
        nearest: list[Trial[Tried]] = []
        limit = FIRST_RUNG
        while going or waiting:
            last = limit >= min(self._terms.caps.iterations, self._longest_of([*going, *waiting]))
            trials: list[Trial[Tried]] = []
            unfinished: list[Trial[Tried]] = []
            for each, longest in [
                *((it, limit) for it in going),
                *((it, FIRST_RUNG) for it in waiting),
            ]:
                allowed = min((trial.cost for trial in trials), default=math.inf)
                if bounded and self._trials and not last:
                    # The first that a search tries is the centre.
                    allowed = min(allowed, self._trials[0].outcome.price * limit)
                trials.append(self._tried(each, allowed, longest))
                if not (last and longest == limit):
                    unfinished.append(trials[-1])
            nearest = [min((*nearest, *trials), key=lambda trial: trial.score)]
            if math.isfinite(nearest[0].cost):
                break
            unfinished.sort(key=lambda trial: trial.score)
            waiting = [trial.constants for trial in unfinished if trial.outcome.unseen]
            seen = [trial.constants for trial in unfinished if not trial.outcome.unseen]
            going = seen[: max(2, len(seen) // RUNG)]
            limit *= 1 if last else RUNG
        return nearest[0]

    def _longest_of(self, settings: Sequence[Constants]) -> float:
        """Return the iterations after which all settings have failed by their own plans."""
        return max(MARGIN * self.plan(each).iterations for each in settings)

    def _tried(self, constants: Constants, allowed: float, longest: float) -> Trial[Tried]:
        """Run the tuning runs of a setting; what has arrived once arrives again, at the same cost."""
        plan = self.plan(constants)
        if plan in self._arrived:
            return self._arrived[plan]
        self._seen.add(plan)
        trial = self._run(constants, self._terms.streams, allowed, longest)
        if math.isfinite(trial.cost):
            self._arrived[plan] = trial
        return trial

    def _confirmed(self, found: Search) -> Search:
        """Return the same with the setting that stays the cheapest on runs that chose none.

        Of many settings on few runs the cheapest owes a part of that to those runs. In the order of what
        they cost there, settings are run once more, and cost the larger of both; none that is left can be
        cheaper in the end. Where none of them arrives again, the search stays as it is.
        """
        best: Trial[Tried] | None = None
        for trial in sorted(self._arrived.values(), key=lambda trial: trial.cost)[:CONFIRMED]:
            if best is not None and best.cost <= trial.cost:
                break
            again = self._run_again(trial.constants, math.inf if best is None else best.cost)
            if best is None or again.cost < best.cost:
                best = replace(again, cost=max(trial.cost, again.cost))
        if best is None or math.isinf(best.cost):
            return found
        return replace(found, best=best)

    def _run_again(self, constants: Constants, allowed: float) -> Trial[Tried]:
        """Run the confirming runs of a setting, once."""
        plan = self.plan(constants)
        if plan not in self._again:
            self._again[plan] = self._run(constants, self._terms.confirming, allowed, math.inf)
        return self._again[plan]

    def _run(
        self, constants: Constants, streams: Sequence[int], allowed: float, longest: float
    ) -> Trial[Tried]:
        search = self._terms
        run = race(
            self._problem,
            self.plan(constants),
            streams,
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
        unseen = run.beyond and run.steps < FIRST_RUNG
        tried = Tried(iterations, run.price, unseen, run.cut)
        trial = Trial(constants, float(cost), miss, tried)
        self._trials.append(trial)
        return trial

    def tuned(self, reached: Reached) -> Tuned:
        """Return what is reported of a search."""
        found, best = reached.found, reached.found.best
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
