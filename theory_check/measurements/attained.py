"""The fewest samples with which a tuned method reaches a target: what is needed, not what is imposed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from theory_check.errors import (
    InvalidArgumentError,
    require_choice,
    require_sequence,
)
from theory_check.measurements.base import Measurement, Need
from theory_check.measurements.needs import UNITS
from theory_check.measurements.units import Units, columns
from theory_check.oracles.instruments import Instruments, instruments_for
from theory_check.problems import Problem, instance_for
from theory_check.problems.hard_instance import HardInstance
from theory_check.recording import Progress
from theory_check.recording.run import iterate
from theory_check.settings import Accuracies, Flag, Positive, PositiveInteger, PositiveShare
from theory_check.solvers.method import KnownMethod, Method, Plan, Scales
from theory_check.solvers.stacked import can_be_stacked, join, same_program, stack
from theory_check.tuning.arrivals import Accuracy, Arrivals, ArrivalWatch, RunGroups
from theory_check.tuning.predicted_cost import predicted_samples
from theory_check.tuning.search import (
    COARSE,
    FINE,
    Constants,
    Found,
    Trial,
    cheapest,
    neighbours,
)
from theory_check.tuning.units import units_of

UNIT_SEEDS = range(1000, 1016)
"""Starts at which the units of constants and accuracies are measured."""

HEADROOM = 2.0
"""Iterations of a setting at most, over those that 1/target and the best of the last target make
expect."""

ALWAYS_ALLOWED = 200
"""Iterations that a setting has in any case, where its plan has as many."""

MORE_RUNS = 4.0
"""Runs of a seed at a larger target at most, over those at the smallest."""

BEYOND_PLAN = 4
"""Iterations of a setting at most, over those of the method's plan, which ends where a run has failed."""


@dataclass(frozen=True)
class Attained(Measurement):
    """The fewest samples to each target over the method's own constants.

    The protocol is that of ``docs/theory.md`` section 5.12.

    A seed is one replicate of the whole procedure: it tunes on runs of its own and reports on others. The
    search visits the same settings for all: the method's grid at the first target, then the best so far
    with one constant, or two that the method declares to trade off, changed by 4, by 2 and by sqrt(2),
    until no change is cheaper for the tuning runs of all seeds together. The next target starts there,
    and where the last change of the target would lead once more, with changes by sqrt(2). Where no
    start arrives, it begins afresh with the whole grid. Every seed
    takes the setting that was cheapest for its own tuning runs, and its cost is that of its own
    reported runs. Solvers that can be stacked run all neighbours side by side.

    The cost of a setting is the number of samples at the first iteration, looked at 2 % apart, at
    which the mean accuracy over the runs is at most the target and from which on it stays there for half
    as many more: a run that passes through the target on its way to a floor above has not reached it.
    Tuning runs are held to a share of the target. Where a target is not reached, smaller ones are not
    searched.

    One row per seed and target: ``seed, method, accuracy, target, epsilon`` (the target as a squared
    norm), ``samples`` (infinite where the reported runs did not arrive), ``tuned_samples`` (of the
    tuning runs); of the setting that the seed chose ``iterations`` (outer ones until it was met),
    ``inner_steps, sigma, trajectories, pairs, step_size`` (NaN where the solver has none) and
    ``constants`` (JSON); ``samples_per_loop``, which is ``samples`` over ``inner_steps + 1``;
    ``evaluations`` and ``interior`` of the search; ``predicted_samples``, from closed forms at the inner
    step of the best setting, and ``cost_ratio``, found over predicted, NaN where there is none;
    ``status``.

    Parameters
    ----------
    method
        Id of a method.
    targets
        Accuracies relative to the start, in (0, 1), in descending order; squared norms as they are on
        problems that declare their start.
    accuracy
        ``"half"``: mean of ``‖∇Phi‖²`` over the second half of a run, or ``"ergodic"``: over all of it.
    runs
        Tuning runs of a seed, and as many reported ones, at the smallest target. At larger ones, where
        runs are shorter and their means noisier, there are more, like the root of the target, up to
        four times.
    margin
        Share of the target that tuning runs have to reach: a setting that reaches it exactly on average
        would be kept by half of the replicates only.
    evaluations
        Largest number of settings at each target.
    start
        Setting at which the search begins, found on pilot runs; the method's whole grid when absent, or
        where it does not arrive.
    held
        Constants that keep their value at the start.
    thorough
        Whether constants that trade off are changed together at every target, or at the first alone:
        enough where the method's own dependence on the target is right.
    initial_scale
        Standard deviation of the initial reward parameters.
    """

    kind: ClassVar[str] = "attained"
    units: ClassVar[Units] = columns(
        text="accuracy constants",
        one="target evaluations cost_ratio",
        samples="samples tuned_samples samples_per_loop predicted_samples",
        iterations="iterations",
        inner="inner_steps",
        trajectories="trajectories",
        pairs="pairs",
        outer_step="step_size",
        flag="interior",
    )
    needs: ClassVar[tuple[Need, ...]] = UNITS

    method: KnownMethod
    targets: Accuracies
    accuracy: Accuracy = "half"
    runs: PositiveInteger = 4
    margin: PositiveShare = 0.9
    evaluations: PositiveInteger = 300
    start: Mapping[str, Positive] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    thorough: Flag = True
    initial_scale: Positive = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        super().__post_init__()
        if list(self.targets) != sorted(set(self.targets), reverse=True):
            raise InvalidArgumentError("targets", self.targets, "list them once each, descending")
        self.method.require_samples("method")
        if self.start:
            self.method.require_constants("start", self.start)
        for name in require_sequence("held", self.held):
            require_choice("held", name, self.method.constants)

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and target."""
        method = self.method
        kept = {name: value for name, value in self.start.items() if name in self.held}
        grid: list[Constants] = [{**constants, **kept} for constants in method.grid]
        starts: list[Constants] = [self.start] if self.start else grid
        path: list[tuple[float, Constants]] = []
        missed: Trial[Arrivals] | None = None
        frames, longest = [], math.inf
        for done, target in enumerate(self.targets):
            runs = round(self.runs * min(MORE_RUNS, math.sqrt(target / self.targets[-1])))
            instance = instance_for(problem, target)
            own_start = getattr(instance, "start", None) is not None
            scales, unit = units_of(
                instance, UNIT_SEEDS, self.initial_scale, 1.0 if own_start else None
            )
            groups = RunGroups(seeds, runs)
            search = _Search(self, method, instance, groups, target, target * unit, scales, longest)
            if missed is not None:
                frames.append(search.rows(Found(missed, (), interior=False)))
                continue
            factors = COARSE if done == 0 else FINE
            pairs = method.trade_offs if self.thorough or done == 0 else ()
            if search.at_once is None and path:
                # The first round is wanted in any case: it costs no more beside its centre.
                starts += neighbours(starts[0], factors[0], pairs, self.held, search.plan)
            found = cheapest(
                search.evaluate,
                starts,
                self.evaluations,
                factors,
                # Where the last target or the start leads nowhere, the method's own rule may.
                otherwise=grid,
                pairs=pairs,
                held=self.held,
                same=search.plan,
                at_once=search.at_once,
            )
            frames.append(search.rows(found))
            progress(done + 1, len(self.targets))
            if not math.isfinite(found.best.cost):
                missed = found.best
            elif done + 1 < len(self.targets):
                path.append((target, found.best.constants))
                starts = _onwards(path, self.targets[done + 1])
                arrivals = found.best.outcome.iterations[0]
                arrived = float(np.median(arrivals[np.isfinite(arrivals)]))
                longest = max(HEADROOM * arrived * target / self.targets[done + 1], ALWAYS_ALLOWED)
        return pd.concat(frames, ignore_index=True)

    def relative_cost(self) -> float:
        """Return the iterations of a search, which grow with the accuracy."""
        return 100 / min(self.targets)


def _onwards(path: Sequence[tuple[float, Constants]], target: float) -> list[Constants]:
    """Return where the search at the next target starts: at the best of the last one, and beyond it."""
    here, best = path[-1]
    if len(path) == 1:
        return [best]
    before, earlier = path[-2]
    power = math.log(target / here) / math.log(here / before)
    return [best, {name: best[name] * (best[name] / earlier[name]) ** power for name in best}]


class _Search:
    """The search at one target."""

    def __init__(
        self,
        settings: Attained,
        method: Method,
        problem: Any,
        groups: RunGroups,
        target: float,
        epsilon: float,
        scales: Scales,
        longest: float,
    ) -> None:
        self._longest = longest
        self._settings, self._method, self._problem = settings, method, problem
        self._groups, self._target, self._epsilon, self._scales = groups, target, epsilon, scales

    @cached_property
    def _starts(self) -> Instruments:
        """Where the runs of a setting start: the same for all settings, so built once."""
        return instruments_for(self._problem, self._groups.streams)

    @property
    def at_once(self) -> int | None:
        """How many settings run side by side: all, where solver and oracles can."""
        stackable = self._starts.differing_batches and can_be_stacked(self._method.solver)
        return None if stackable else 1

    def plan(self, constants: Constants) -> Plan:
        """Return what a setting amounts to."""
        return self._method.configure(self._target, constants, self._scales)

    def evaluate(self, settings: Sequence[Constants], allowed: float) -> list[Trial[Arrivals]]:
        """Run settings, tuning and reported runs side by side; judged on the former alone."""
        programs: dict[object, list[int]] = {}
        plans = [self.plan(constants) for constants in settings]
        for place, plan in enumerate(plans):
            programs.setdefault(same_program(plan.solver), []).append(place)
        trials: dict[int, Trial[Arrivals]] = {}
        for places in programs.values():
            found = self._run([plans[place] for place in places], allowed)
            for place, (cost, miss, arrivals) in zip(places, found, strict=True):
                trials[place] = Trial(settings[place], cost, miss, arrivals)
                allowed = min(allowed, cost)
        return [trials[place] for place in range(len(settings))]

    def _run(self, plans: Sequence[Plan], allowed: float) -> list[tuple[float, float, Arrivals]]:
        streams = self._groups.streams
        instruments = instruments_for(self._problem, streams * len(plans))
        longest = np.array([min(BEYOND_PLAN * plan.iterations, self._longest) for plan in plans])
        watch = ArrivalWatch(
            instruments.truth,
            self._groups,
            len(plans),
            self._epsilon,
            self._settings.accuracy,
            self._settings.margin,
            allowed,
            np.floor(longest),
        )
        solvers = [plan.solver for plan in plans]
        scale = self._settings.initial_scale
        iterate(
            stack(solvers, len(streams)) if len(plans) > 1 else solvers[0],
            instruments.sampled,
            join([self._starts.initial_state(solver, streams, scale) for solver in solvers]),
            int(longest.max()),
            watch,
            lambda: instruments.sampled.counts,
            finished=lambda: watch.finished,
        )
        return watch.outcomes()

    def rows(self, found: Found[Arrivals]) -> pd.DataFrame:
        """Return one row per seed."""
        usable = [trial for trial in found.trials if np.isfinite(trial.cost)]
        predicted = self._predicted(found.best.constants)
        rows: list[dict[str, Any]] = []
        for column, seed in enumerate(self._groups.seeds):
            if not usable:
                rows.append({"seed": seed, "samples": np.inf, "tuned_samples": np.inf})
                continue
            chosen = min(usable, key=lambda trial: trial.outcome.samples[0, column])
            solver = self.plan(chosen.constants).solver
            tuned, reported = chosen.outcome.samples[:, column]
            inner_steps = getattr(solver, "inner_steps", np.nan)
            rows.append(
                {
                    "seed": seed,
                    "samples": reported,
                    "tuned_samples": tuned,
                    "iterations": chosen.outcome.iterations[1, column],
                    "samples_per_loop": reported / (1 + np.nan_to_num(inner_steps)),
                    **{
                        name: float(getattr(solver, name, np.nan))
                        for name in ("inner_steps", "sigma", "trajectories", "pairs", "step_size")
                    },
                    "constants": json.dumps(dict(chosen.constants)),
                    "cost_ratio": reported / predicted,
                }
            )
        return pd.DataFrame(rows).assign(
            method=self._method.id,
            accuracy=self._settings.accuracy,
            target=self._target,
            epsilon=self._epsilon,
            evaluations=len(found.trials),
            interior=found.interior,
            predicted_samples=predicted,
            status="ok",
        )

    def _predicted(self, constants: Constants) -> float:
        """Return the closed form, where there is one, at the inner step of a setting."""
        solver = self.plan(constants).solver
        coupling = getattr(solver, "coupling", None)
        if coupling is None or not isinstance(self._problem, HardInstance):
            return np.nan
        return predicted_samples(
            self._problem,
            self._epsilon,
            coupling,
            self._settings.accuracy,
            solver.inner_step_size,
            getattr(solver, "difference", "forward"),
        )
