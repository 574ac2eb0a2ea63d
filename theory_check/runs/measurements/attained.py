"""The fewest samples with which a tuned method reaches a target: what is needed, not what is imposed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import pandas as pd
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from theory_check.bilevel import BilevelTruth, SolverState
from theory_check.errors import (
    InvalidArgumentError,
    require_choice,
    require_positive,
    require_positive_integer,
)
from theory_check.oracles.estimates.counts import SampleCounts, stream_entropy
from theory_check.oracles.instruments import instruments_for
from theory_check.problems import Problem, instance_for
from theory_check.problems.hard_instance import HardInstance
from theory_check.recording.accuracy import RunningMeans
from theory_check.runs.measurements.base import Measurement, Progress
from theory_check.runs.predicted_cost import predicted_samples
from theory_check.runs.trace import iterate
from theory_check.runs.tuned_search import COARSE, FINE, Constants, Found, Trial, cheapest
from theory_check.runs.units import units_of
from theory_check.solvers import methods
from theory_check.solvers.method import Method, Plan, Scales

Accuracy = Literal["half", "ergodic"]

UNIT_SEEDS = range(1000, 1016)
"""Starts at which the units of constants and accuracies are measured."""

ALLOWANCE = 1.1
"""A setting is given up when it has spent this many times what the best so far cost."""

LONGEST = 2.5
"""A setting whose pooled tuning runs have arrived goes on until all others have, or to this many times
its cost."""

HEADROOM = 3.0
"""Iterations of a setting at most, over those that 1/target and the best of the last target make
expect."""

MORE_RUNS = 4.0
"""Runs of a seed at a larger target at most, over those at the smallest."""

BEYOND_PLAN = 4
"""Iterations of a setting at most, over those of the method's plan, which ends where a run has failed."""

KEPT = 1.5
"""A target counts as reached where it is kept until this many times the iterations."""

MARGIN = 0.9
"""Tuning runs have to reach this share of the target: a setting that reaches it exactly on average
would be
kept by half of the replicates only."""

CHECKED = 1.02
"""Ratio of the iterations at which accuracies are looked at: costs are resolved to this factor."""


@dataclass(frozen=True)
class Attained(Measurement):
    """The fewest samples to each target over the method's own constants.

    The protocol is that of ``docs/theory.md`` section 5.12.

    A seed is one replicate of the whole procedure: it tunes on runs of its own and reports on others. The
    search visits the same settings for all: the method's grid at the first target, then the best so far
    with one or two constants changed by 4, by 2 and by sqrt(2), until no change is cheaper for the
    tuning runs of all seeds together. The next target starts there, with changes by sqrt(2). Every seed
    takes the setting that was cheapest for its own tuning runs, and its cost is that of its own
    reported runs.

    The cost of a setting is the number of samples at the first iteration, looked at 2 % apart, at
    which the mean accuracy over the runs is at most the target and from which on it stays there for half
    as many more: a run that passes through the target on its way to a floor above has not reached it.
    Tuning runs are held to 90 % of the target.

    One row per seed and target: ``seed, method, accuracy, target, epsilon`` (the target as a squared
    norm), ``samples`` (infinite where the reported runs did not arrive), ``tuned_samples`` (of the
    tuning runs); of the setting that the seed chose ``iterations`` (outer ones until it was met),
    ``inner_steps, sigma, trajectories, pairs, step_size`` (NaN where the solver has none) and
    ``constants`` (JSON); ``samples_per_loop``, which is ``samples`` over ``inner_steps + 1``;
    ``evaluations`` and ``interior`` of the search; ``predicted_samples``, from closed forms, and
    ``cost_ratio``, found over predicted, NaN where there is no closed form; ``status``.

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
    evaluations
        Largest number of settings at each target.
    start
        Setting at which the search begins, found on pilot runs; the method's whole grid when absent.
    thorough
        Whether two constants are changed together at every target, or at the first alone: enough where
        the method's own dependence on the target is right.
    initial_scale
        Standard deviation of the initial reward parameters.
    """

    kind: ClassVar[str] = "attained"

    method: str
    targets: tuple[float, ...]
    accuracy: Accuracy = "half"
    runs: int = 4
    evaluations: int = 300
    start: Mapping[str, float] = field(default_factory=dict)
    thorough: bool = True
    initial_scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        require_choice("method", self.method, methods())
        require_choice("accuracy", self.accuracy, get_args(Accuracy))
        if not self.targets or not all(0 < value < 1 for value in self.targets):
            raise InvalidArgumentError("targets", self.targets, "pass accuracies between 0 and 1")
        if list(self.targets) != sorted(set(self.targets), reverse=True):
            raise InvalidArgumentError("targets", self.targets, "list them once each, descending")
        for argument in ("runs", "evaluations"):
            require_positive_integer(argument, getattr(self, argument))
        require_positive("initial_scale", self.initial_scale)
        known = methods()[self.method].constants
        if self.start and self.start.keys() != known.keys():
            raise InvalidArgumentError("start", sorted(self.start), f"pass {sorted(known)}")
        for name, value in self.start.items():
            require_positive(f"start.{name}", value)

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and target."""
        method = methods()[self.method]
        if method.solver.information != "samples":  # type: ignore[attr-defined]
            raise InvalidArgumentError("method", self.method, "pass one that draws samples")
        starts: list[Constants] = [self.start] if self.start else list(method.grid)
        frames, longest = [], math.inf
        for done, target in enumerate(self.targets):
            rough = done == 0 and not self.start
            runs = round(self.runs * min(MORE_RUNS, math.sqrt(target / self.targets[-1])))
            instance = instance_for(problem, target)
            own_start = getattr(instance, "start", None) is not None
            scales, unit = units_of(
                instance, UNIT_SEEDS, self.initial_scale, 1.0 if own_start else None
            )
            groups = _Groups(seeds, runs)
            search = _Search(self, method, instance, groups, target, target * unit, scales, longest)
            found = cheapest(
                search.evaluate,
                starts,
                self.evaluations,
                COARSE if rough else FINE,
                together=self.thorough or done == 0,
                same=search.plan,
            )
            starts = [found.best.constants]
            if done + 1 < len(self.targets) and math.isfinite(found.best.cost):
                arrived = float(np.median(found.best.outcome.iterations[0]))
                longest = HEADROOM * arrived * target / self.targets[done + 1]
            frames.append(search.rows(found))
            progress(done + 1, len(self.targets))
        return pd.concat(frames, ignore_index=True)

    def relative_cost(self) -> float:
        """Return the iterations of a search, which grow with the accuracy."""
        return 100 / min(self.targets)


class _Groups:
    """Runs of every seed: the first half of its runs tune, the second half are reported."""

    def __init__(self, seeds: Sequence[int], runs: int) -> None:
        self.seeds = list(seeds)
        self.runs = runs

    @cached_property
    def streams(self) -> list[int]:
        """Seeds of all runs, in the order (role, seed, run)."""
        return [
            stream_entropy(f"{role} run {run}", seed) % 2**63
            for role in ("tuning", "reported")
            for seed in self.seeds
            for run in range(self.runs)
        ]

    def means(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean of every group: tuning and reported, shape (2, seeds)."""
        means: NDArray[np.float64] = values.reshape(2, len(self.seeds), self.runs).mean(axis=2)
        return means


@dataclass(frozen=True, eq=False)
class _Arrivals:
    """Samples and iterations at which groups of runs met the target, infinite where they did not.

    Shapes (2, seeds): tuning, and reported.
    """

    samples: NDArray[np.float64]
    iterations: NDArray[np.float64]


class _Watch:
    """Looks at the mean accuracies of a setting's groups until all have arrived, or it cannot win."""

    def __init__(
        self,
        truth: BilevelTruth,
        groups: _Groups,
        epsilon: float,
        accuracy: Accuracy,
        allowed: float,
    ) -> None:
        self._truth, self._groups = truth, groups
        self._epsilon, self._accuracy, self._allowed = epsilon, accuracy, allowed
        groups_shape = (2, len(groups.seeds))
        self._means = RunningMeans(2 * len(groups.seeds) * groups.runs)
        # Of the groups, and last of the pooled tuning runs: when the target was met and kept so far.
        count = 2 * len(groups.seeds) + 1
        self._samples, self._iterations = np.full(count, np.inf), np.full(count, np.inf)
        self._shape = groups_shape
        self.miss = np.inf
        self.finished = False
        self._last, self._next = 0, 1

    @property
    def pooled(self) -> float:
        """Cost of the tuning runs of all seeds together."""
        return float(np.where(self._confirmed(), self._samples, np.inf)[-1])

    @property
    def arrivals(self) -> _Arrivals:
        """What the target cost each group."""
        kept = self._confirmed()[:-1]
        return _Arrivals(
            np.where(kept, self._samples[:-1], np.inf).reshape(self._shape),
            np.where(kept, self._iterations[:-1], np.inf).reshape(self._shape),
        )

    def _confirmed(self) -> NDArray[np.bool_]:
        confirmed: NDArray[np.bool_] = self._iterations * KEPT <= self._last
        return confirmed

    def observe(
        self, iteration: int, state: SolverState, counts: SampleCounts, active: Int[Tensor, " a"]
    ) -> None:
        """Look at the accuracies; a setting of which a run diverged has lost."""
        if len(active) < state.upper.shape[0]:
            self.finished, self.miss = True, np.inf
            self._iterations[:] = np.inf
            return
        gradient = self._truth.hypergradient(state.upper)
        self._means.add(gradient.square().sum(-1).cpu().numpy())
        if iteration < self._next:
            return
        self._next = max(iteration + 1, int(CHECKED * iteration))
        values = self._means.half() if self._accuracy == "half" else self._means.ergodic()
        means = self._groups.means(values)
        self.miss = float(means[0].mean())
        asked = np.array([[MARGIN], [1.0]]) * self._epsilon
        at_target = np.append(means <= asked, self.miss <= MARGIN * self._epsilon)
        open_ones = ~self._confirmed()
        self._last = iteration
        new = open_ones & at_target & np.isinf(self._iterations)
        self._samples[new], self._iterations[new] = counts.samples, iteration
        left = open_ones & ~at_target
        self._samples[left], self._iterations[left] = np.inf, np.inf
        self.finished = bool(self._confirmed().all()) or self._hopeless(counts.samples)

    def _hopeless(self, samples: int) -> bool:
        """Whether the setting cannot win any more, or has been waited for long enough."""
        if self._confirmed()[-1]:
            return bool(samples > LONGEST * self._samples[-1])
        # A target that is met at the moment may still be confirmed, if it was met in time.
        return bool(min(samples, self._samples[-1]) > ALLOWANCE * self._allowed)

    def record(
        self, iteration: int, state: SolverState, counts: SampleCounts, active: Int[Tensor, " a"]
    ) -> None:
        """Nothing is kept beside what is observed."""

    def mark(
        self, iteration: int, counts: SampleCounts, stopped: Int[Tensor, " n"], status: str
    ) -> None:
        """Nothing: a setting of which a run stopped has lost."""


class _Search:
    """The search at one target."""

    def __init__(
        self,
        settings: Attained,
        method: Method,
        problem: Any,
        groups: _Groups,
        target: float,
        epsilon: float,
        scales: Scales,
        longest: float,
    ) -> None:
        self._longest = longest
        self._settings, self._method, self._problem = settings, method, problem
        self._groups, self._target, self._epsilon, self._scales = groups, target, epsilon, scales

    def plan(self, constants: Constants) -> Plan:
        """Return what a setting amounts to."""
        return self._method.configure(self._target, constants, self._scales)

    def evaluate(self, constants: Constants, allowed: float) -> Trial[_Arrivals]:
        """Run a setting, tuning and reported runs side by side; judged on the former alone."""
        plan = self.plan(constants)
        streams = self._groups.streams
        instruments = instruments_for(self._problem, streams)
        watch = _Watch(
            instruments.truth, self._groups, self._epsilon, self._settings.accuracy, allowed
        )
        iterate(
            plan.solver,
            instruments.sampled,
            instruments.initial_state(plan.solver, streams, self._settings.initial_scale),
            int(min(BEYOND_PLAN * plan.iterations, self._longest)),
            watch,
            lambda: instruments.sampled.counts,
            finished=lambda: watch.finished,
        )
        return Trial(constants, watch.pooled, watch.miss, watch.arrivals)

    def rows(self, found: Found[_Arrivals]) -> pd.DataFrame:
        """Return one row per seed."""
        usable = [trial for trial in found.trials if np.isfinite(trial.cost)]
        predicted = self._predicted()
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

    def _predicted(self) -> float:
        coupling = getattr(self.plan(self._method.grid[0]).solver, "coupling", None)
        if coupling is None or not isinstance(self._problem, HardInstance):
            return np.nan
        return predicted_samples(self._problem, self._epsilon, coupling, self._settings.accuracy)
