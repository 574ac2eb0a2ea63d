"""How many samples a method needs for each accuracy, tuned at each on runs of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch

from theory_check.bilevel import ValueTruth
from theory_check.errors import InvalidArgumentError
from theory_check.measurements.base import Measurement, Need
from theory_check.measurements.needs import PREFERENCES, UNITS
from theory_check.measurements.units import Units, columns
from theory_check.oracles.control import control_of
from theory_check.oracles.control.hard_control import hard_return
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.instruments import instruments_for
from theory_check.problems import Problem, instance_for
from theory_check.problems.misspecification import distance_to_span
from theory_check.provenance import Accuracy
from theory_check.randomness import FIRST_TUNING_SEED, require_apart, stream_entropy
from theory_check.recording import Progress
from theory_check.settings import (
    Accuracies,
    Flag,
    Fraction,
    NonNegative,
    Positive,
    PositiveInteger,
    Seed,
)
from theory_check.solvers.method import KnownMethod, Scales
from theory_check.tuning.one_target import Tuned
from theory_check.tuning.raced_runs import Caps, RacedRuns, race
from theory_check.tuning.targets import TargetSearch
from theory_check.tuning.units import units_of

UNIT_SEEDS = 16
"""Starts, from the first tuning seed on, at which the units of constants and accuracies are measured."""

NEEDED = 0.75
"""Share of the tuning runs that have to arrive."""

BEYOND = 5.0
"""A reported run has failed when it has spent this many times what the tuning runs did."""

DIAGNOSTICS = ("true_return", "policy_regret", "reward_error", "lower_gap", "hyperobjective")


@dataclass(frozen=True)
class Comparison(Measurement):
    """One method on one problem (``docs/theory.md`` section 7.1).

    The constants of the method are searched at every target on tuning runs, for the fewest samples (exact
    calls where it samples nothing) within which three quarters of them have arrived; the setting is then
    run on the reported seeds.

    One row per seed and target: ``seed, method, repetition, accuracy, target`` (relative to where runs
    start), ``epsilon`` (the same in the units of the problem), ``reached``; ``cost`` (samples, or exact
    calls), ``samples, trajectories, labels, env_steps, exact_calls, iterations`` when it was reached, NaN
    where it was not; ``spent`` (cost at the end of the run), ``ended`` (accuracy there, over the target;
    of the nearest tuning runs where no setting arrived), ``status``; at the last iterate ``true_return,
    policy_regret, reward_error, lower_gap, hyperobjective``; ``optimal_return`` of the regularised
    problem with the true reward, at its optimal policy; ``reward_distance`` (root mean square distance
    of the true reward to the linear class and the constants); ``seconds_per_iteration`` of the solver,
    clock stopped while recording. Of the tuning: ``constants`` (JSON), ``tuned_cost``, ``evaluations``,
    ``interior``, ``cut`` (a result that the technical limit decided), ``tuning_cost`` and
    ``tuning_samples`` (spent by all tuning runs at this target).

    Parameters
    ----------
    method
        Id of a method.
    targets
        Accuracies relative to the start, in (0, 1).
    tuning_target
        The one of them at which the search begins.
    accuracy
        ``"stationarity"``, mean of ``‖∇Phi‖²`` over the second half of a run, or ``"value gap"``, that of
        ``J* - J`` under the true reward.
    tuning_runs
        Number of runs that settings are compared on.
    evaluations, further_evaluations
        Largest number of settings of the descent at the first target, and at each other one.
    spread
        Settings that are spread around the centre of the grid at the first target, a power of 2; twice as
        many where none of them arrives.
    iterations
        Technical limit on the outer iterations of a run.
    sample_budget
        Largest number of samples, or exact calls, of a run.
    repetition
        Number of the repetition: others tune and report on other streams.
    perturbation
        Relative size of what is added to where runs start.
    initial_scale
        Standard deviation of the initial reward parameters.
    stop_when_reached
        Whether a run ends when it has reached the target; otherwise it uses all of its iterations, for
        what it ends up with.
    """

    kind: ClassVar[str] = "comparison"
    units: ClassVar[Units] = columns(
        of_accuracy="epsilon",
        one="repetition target ended evaluations",
        text="accuracy constants",
        flag="reached interior cut",
        cost="cost spent tuned_cost tuning_cost",
        samples="samples tuning_samples",
        trajectories="trajectories",
        labels="labels",
        steps="env_steps",
        calls="exact_calls",
        iterations="iterations",
        reward="true_return policy_regret lower_gap optimal_return reward_distance",
        squared_reward="reward_error",
        nats="hyperobjective",
        seconds="seconds_per_iteration",
    )
    needs: ClassVar[tuple[Need, ...]] = UNITS

    method: KnownMethod
    targets: Accuracies
    tuning_target: Fraction
    accuracy: Accuracy = "stationarity"
    tuning_runs: PositiveInteger = 16
    evaluations: PositiveInteger = 60
    further_evaluations: PositiveInteger = 24
    spread: PositiveInteger = 16
    iterations: PositiveInteger = 1000
    sample_budget: PositiveInteger = 10**9
    repetition: Seed = 0
    perturbation: NonNegative = 0.0
    initial_scale: Positive = 1.0
    stop_when_reached: Flag = True

    def __post_init__(self) -> None:
        """Refuse a search that begins elsewhere."""
        super().__post_init__()
        if self.tuning_target not in self.targets:
            raise InvalidArgumentError(
                "tuning_target", self.tuning_target, f"pass one of the targets {self.targets}"
            )
        if self.spread.bit_count() != 1:
            raise InvalidArgumentError("spread", self.spread, "pass a power of 2, such as 16")

    def needed(self) -> tuple[Need, ...]:
        """Return what the units need, and a true reward where the value gap is measured."""
        return self.needs if self.accuracy == "stationarity" else (*self.needs, PREFERENCES)

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and target."""
        units = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + UNIT_SEEDS)
        require_apart(seeds, units)
        kept: dict[float, tuple[object, Scales, float]] = {}

        def instance_of(target: float) -> tuple[object, Scales, float]:
            if target not in kept:
                kept[target] = self._units(problem, target, units)
            return kept[target]

        search = TargetSearch(
            method=self.method,
            instance_of=instance_of,
            streams=self._tuning_streams("tuning run"),
            confirming=self._tuning_streams("confirming run"),
            caps=Caps(self.sample_budget, self.iterations),
            measured=self.accuracy,
            needed=max(1, round(NEEDED * self.tuning_runs)),
            evaluations=(self.evaluations, self.further_evaluations),
            initial_scale=self.initial_scale,
            perturbation=self.perturbation,
            spread=self.spread,
        )
        rows: dict[float, pd.DataFrame] = {}
        for target, tuned in search.along(self.targets, self.tuning_target):
            instance, _, unit = instance_of(target)
            found = self._reported(instance, seeds, target * unit, tuned)
            rows[target] = found.assign(target=target, epsilon=target * unit)
            progress(len(rows), len(self.targets))
        table = pd.concat([rows[target] for target in self.targets], ignore_index=True)
        described: dict[str, Any] = {
            "method": self.method.id,
            "accuracy": self.accuracy,
            "repetition": self.repetition,
            **_known(problem),
        }
        table = table.assign(**described)
        return table[["seed", *(name for name in table.columns if name != "seed")]]

    def relative_cost(self) -> float:
        """Return the number of iterations."""
        return float(self.iterations * len(self.targets))

    def _tuning_streams(self, purpose: str) -> list[int]:
        """Return the seeds of runs that choose a setting, none of which any reported run has."""
        purposes = (
            f"{purpose} {run} of repetition {self.repetition}" for run in range(self.tuning_runs)
        )
        return [stream_entropy(each, FIRST_TUNING_SEED) % 2**63 for each in purposes]

    def _units(self, problem: Problem, target: float, seeds: range) -> tuple[object, Scales, float]:
        """Return the instance for a target, the units of constants and that of accuracies."""
        instance = instance_for(problem, target)
        own_start = getattr(instance, "start", None) is not None
        scales, unit = units_of(instance, seeds, self.initial_scale, 1.0 if own_start else None)
        if self.accuracy == "value gap":
            instruments = instruments_for(instance, seeds)
            truth = instruments.truth
            assert isinstance(truth, ValueTruth)  # what PREFERENCES stands for
            unit = float(truth.value_gap(instruments.initial_lower(seeds)).median())
        return instance, scales, unit

    def _reported(
        self, problem: object, seeds: Sequence[int], epsilon: float, tuned: Tuned
    ) -> pd.DataFrame:
        """Return the rows of a target."""
        found: dict[str, Any] = {
            "constants": json.dumps(dict(tuned.constants)),
            "tuned_cost": tuned.cost,
            "evaluations": tuned.evaluations,
            "interior": tuned.interior,
            "cut": tuned.cut,
            "tuning_cost": tuned.spent * self.tuning_runs,
            "tuning_samples": tuned.samples * self.tuning_runs,
        }
        if not np.isfinite(tuned.cost) and self.stop_when_reached:
            return _missed(seeds, tuned).assign(**found)
        streams = list(seeds)
        if self.repetition:
            purpose = f"reported run of repetition {self.repetition}"
            streams = [stream_entropy(purpose, seed) % 2**63 for seed in seeds]
        runs = race(
            problem,
            tuned.plan,
            streams,
            None,
            epsilon,
            Caps(self.sample_budget, self.iterations),
            measured=self.accuracy,
            allowed=BEYOND * tuned.cost,
            initial_scale=self.initial_scale,
            perturbation=self.perturbation,
            to_the_end=not self.stop_when_reached,
        )
        return _rows(runs, seeds, epsilon, BEYOND * tuned.cost).assign(**found)


def _rows(runs: RacedRuns, seeds: Sequence[int], epsilon: float, allowed: float) -> pd.DataFrame:
    """Return one row per seed."""
    costs = runs.costs(allowed)
    reached = np.isfinite(costs)
    found = [
        counts if here else None
        for counts, here in zip(runs.arrivals.met_after, reached.tolist(), strict=True)
    ]

    def at(name: str) -> list[float]:
        return [np.nan if counts is None else float(getattr(counts, name)) for counts in found]

    return pd.DataFrame(
        {
            "seed": list(seeds),
            "reached": reached,
            "cost": np.where(reached, costs, np.nan),
            **{
                name: at(name)
                for name in ("samples", "trajectories", "labels", "env_steps", "exact_calls")
            },
            "iterations": np.where(reached, runs.arrivals.iterations, np.nan),
            "spent": runs.cost(runs.counts),
            "ended": runs.arrivals.latest / epsilon,
            "status": runs.status,
            **_diagnostics(runs),
            "seconds_per_iteration": runs.seconds / max(runs.steps, 1),
        }
    )


def _missed(seeds: Sequence[int], tuned: Tuned) -> pd.DataFrame:
    """Return the rows of a target that no setting reaches: nothing is reported but how near one came."""
    nothing = dict.fromkeys(
        ("cost", *vars(SampleCounts()), "samples", "iterations", "spent", *DIAGNOSTICS), np.nan
    )
    return pd.DataFrame({"seed": list(seeds)}).assign(
        reached=False,
        **nothing,
        ended=tuned.nearest,
        status="not reached",
        seconds_per_iteration=np.nan,
    )


def _diagnostics(runs: RacedRuns) -> dict[str, np.ndarray]:
    columns = {name: np.full(len(runs.status), np.nan) for name in DIAGNOSTICS}
    running = [at for at, status in enumerate(runs.status) if status != "diverged"]
    if runs.last is None or not running:
        return columns
    state, truth = runs.last[0], runs.instruments.truth
    rows = torch.tensor(running)
    upper, lower = state.upper[rows], state.lower[rows]
    found = truth.diagnostics(upper, lower, None, None)
    found["hyperobjective"] = truth.hyperobjective(upper)
    for name in DIAGNOSTICS:
        if name in found:
            columns[name][running] = found[name].cpu().numpy()
    return columns


def _known(problem: Problem) -> Mapping[str, float]:
    """Return what is known of the problem, NaN where it has no rewards."""
    if not isinstance(problem, Problem):
        return {"optimal_return": np.nan, "reward_distance": np.nan}
    control, reward = control_of(problem), problem.true_reward[None]
    return {
        "optimal_return": float(hard_return(control, reward, control.optimal_log_policy(reward))),
        "reward_distance": distance_to_span(problem.true_reward, problem.features.flatten(0, 1)),
    }
