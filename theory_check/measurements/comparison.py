"""How many samples a method needs for each accuracy, tuned over its grid on seeds of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch

from theory_check.bilevel import Solver
from theory_check.measurements.base import Measurement, Need
from theory_check.measurements.needs import UNITS
from theory_check.oracles.control import control_of
from theory_check.oracles.control.hard_control import hard_return
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.instruments import Instruments, instruments_for
from theory_check.problems import Problem
from theory_check.problems.misspecification import distance_to_span
from theory_check.randomness import FIRST_TUNING_SEED, require_apart
from theory_check.recording import Progress
from theory_check.recording.accuracy import AccuracyRecorder
from theory_check.recording.recorder import recording_grid
from theory_check.recording.run import iterate
from theory_check.settings import Accuracies, Flag, Fraction, Positive, PositiveInteger
from theory_check.solvers.method import Constants, KnownMethod, Plan
from theory_check.tuning.units import units_of

UNIT_SEEDS = 16
"""Starts, from the first tuning seed on, at which the units of constants and accuracies are measured."""


@dataclass(frozen=True)
class Comparison(Measurement):
    """One method on one problem (``docs/theory.md`` section 7.1).

    The grid of the method is run at ``tuning_target`` on tuning seeds. The setting that costs least until
    all of them have reached it (in samples, or exact calls where it samples nothing; the median
    accuracy decides where none gets there) is reported at every target on the other seeds. A setting
    is stopped when it has spent more than the best so far, which it then cannot beat.

    One row per seed and target: ``seed, method, target`` (relative to the median ``‖∇Phi‖²`` of
    starts), ``epsilon`` (the same as a squared norm), ``reached``; ``cost`` (samples, or exact
    calls), ``samples, trajectories, labels, env_steps, exact_calls, iterations`` when it was
    reached, NaN where it was not; ``spent`` (cost at the end of the run), ``accuracy`` there,
    ``status``; at the last iterate ``true_return, policy_regret, reward_error, lower_gap,
    hyperobjective``; ``optimal_return`` of the regularised problem with the true reward, at its
    optimal policy; ``reward_distance`` (root mean square distance of the true reward to the linear
    class and the constants); ``seconds_per_iteration`` of the solver, clock stopped while
    recording; ``constants`` (those chosen, JSON), ``tuning`` (cost of every setting, JSON),
    ``tuning_cost`` and ``tuning_samples`` (spent on all of them).

    Parameters
    ----------
    method
        Id of a method.
    targets
        Accuracies relative to the start, in (0, 1).
    tuning_target
        The target at which the grid is compared.
    tuning_seeds
        Number of seeds it is compared on.
    iterations
        Largest number of outer iterations of a run, whatever the plan of the method says.
    sample_budget
        Largest number of samples, or exact calls, of a replicate.
    initial_scale
        Standard deviation of the initial reward parameters.
    points_per_decade
        Density of the iterations at which the accuracy is recorded.
    stop_when_reached
        Whether a run ends when all seeds have reached the target; otherwise it uses all of its
        iterations, for what it ends up with.
    """

    kind: ClassVar[str] = "comparison"
    needs: ClassVar[tuple[Need, ...]] = UNITS

    method: KnownMethod
    targets: Accuracies
    tuning_target: Fraction
    tuning_seeds: PositiveInteger = 4
    iterations: PositiveInteger = 1000
    sample_budget: PositiveInteger = 10**12
    initial_scale: Positive = 1.0
    points_per_decade: PositiveInteger = 16
    stop_when_reached: Flag = True

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and target."""
        reserved = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + max(self.tuning_seeds, UNIT_SEEDS))
        require_apart(seeds, reserved)
        method = self.method
        tuning = reserved[: self.tuning_seeds]
        parts = len(method.grid) + len(self.targets)
        unit_seeds = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + UNIT_SEEDS)
        scales, start = units_of(problem, unit_seeds, self.initial_scale)
        trials: list[_Trial] = []
        for done, constants in enumerate(method.grid):
            plan = method.configure(self.tuning_target, constants, scales)
            # A setting that has spent more than the best so far cannot win: it is stopped there.
            allowed = min((trial.score[0] for trial in trials), default=np.inf)
            budget = self.sample_budget if np.isinf(allowed) else max(1, int(allowed))
            outcome = self._run(problem, plan, tuning, self.tuning_target * start, budget)
            trials.append(_Trial(constants, outcome))
            progress(done + 1, parts)
        best = min(trials, key=lambda trial: trial.score)
        frames = []
        for done, target in enumerate(self.targets, start=len(trials)):
            plan = method.configure(target, best.constants, scales)
            outcome = self._run(problem, plan, seeds, target * start, self.sample_budget)
            frames.append(outcome.rows(seeds).assign(target=target, epsilon=target * start))
            progress(done + 1, parts)
        table = pd.concat(frames, ignore_index=True)
        table["method"] = self.method.id
        table["constants"] = json.dumps(best.constants)
        table["tuning"] = json.dumps([trial.record() for trial in trials])
        table["tuning_cost"] = float(sum(trial.outcome.spent for trial in trials) * len(tuning))
        table["tuning_samples"] = float(
            sum(trial.outcome.counts.samples for trial in trials) * len(tuning)
        )
        for column, value in _known(problem).items():
            table[column] = value
        return table[["seed", *(name for name in table.columns if name != "seed")]]

    def relative_cost(self) -> float:
        """Return the number of iterations."""
        return float(self.iterations * len(self.targets))

    def _run(
        self, problem: Problem, plan: Plan, seeds: Sequence[int], epsilon: float, budget: int
    ) -> _Outcome:
        iterations = min(plan.iterations, self.iterations)
        instruments = instruments_for(problem, seeds, sample_budget=budget)
        oracle = instruments.oracle_for(plan.solver, budget)
        recorder = AccuracyRecorder(
            instruments.truth,
            seeds,
            recording_grid(iterations, self.points_per_decade),
            epsilon,
            stop_when_reached=self.stop_when_reached,
        )
        solver = _Clocked(plan.solver)
        state = instruments.initial_state(plan.solver, seeds, self.initial_scale)
        iterate(
            solver,
            oracle,
            state,
            iterations,
            recorder,
            lambda: oracle.counts,
            finished=lambda: recorder.finished,
        )
        return _Outcome(recorder, instruments, solver)


class _Clocked:
    """A solver whose steps are timed."""

    def __init__(self, solver: Solver) -> None:
        self._solver = solver
        self.seconds, self.steps = 0.0, 0

    def step(self, oracle: Any, state: Any) -> Any:
        start = time.perf_counter()
        following = self._solver.step(oracle, state)
        self.seconds += time.perf_counter() - start
        self.steps += 1
        return following

    def __getattr__(self, name: str) -> Any:
        return getattr(self._solver, name)


class _Outcome:
    """What came of one run."""

    def __init__(
        self, recorder: AccuracyRecorder, instruments: Instruments, solver: _Clocked
    ) -> None:
        self.recorder, self._instruments, self._solver = recorder, instruments, solver

    @property
    def counts(self) -> SampleCounts:
        """Counts of a replicate at the end."""
        return SampleCounts() if self.recorder.last is None else self.recorder.last[2]

    @property
    def spent(self) -> int:
        return self.cost(self.counts)

    def cost(self, counts: SampleCounts) -> int:
        """Return samples, or exact calls of a solver that draws none."""
        exact = self._solver.information == "exact"
        cost: int = counts.exact_calls if exact else counts.samples
        return cost

    def costs(self) -> np.ndarray:
        """Return what each replicate had spent when it met the target, infinite where it did not."""
        return np.array(
            [
                np.inf if found is None else float(self.cost(found))
                for found in self.recorder.reached_after
            ]
        )

    def rows(self, seeds: Sequence[int]) -> pd.DataFrame:
        """Return one row per seed."""
        recorder = self.recorder
        found = [counts or None for counts in recorder.reached_after]
        reached = np.array([counts is not None for counts in found])

        def at(name: str) -> list[float]:
            return [np.nan if counts is None else float(getattr(counts, name)) for counts in found]

        return pd.DataFrame(
            {
                "seed": list(seeds),
                "reached": reached,
                "cost": np.where(reached, self.costs(), np.nan),
                **{
                    name: at(name)
                    for name in ("samples", "trajectories", "labels", "env_steps", "exact_calls")
                },
                "iterations": np.where(reached, recorder.iterations, np.nan),
                "spent": float(self.spent),
                "accuracy": recorder.accuracy,
                "status": recorder.status,
                **self._diagnostics(len(seeds)),
                "seconds_per_iteration": self._solver.seconds / max(self._solver.steps, 1),
            }
        )

    def _diagnostics(self, replicates: int) -> dict[str, np.ndarray]:
        names = ("true_return", "policy_regret", "reward_error", "lower_gap", "hyperobjective")
        columns = {name: np.full(replicates, np.nan) for name in names}
        if self.recorder.last is None:
            return columns
        state, truth = self.recorder.last[1], self._instruments.truth
        running = [at for at, status in enumerate(self.recorder.status) if status != "diverged"]
        if not running:
            return columns
        rows = torch.tensor(running)
        upper, lower = state.upper[rows], state.lower[rows]
        found = truth.diagnostics(upper, lower, None, None)
        found["hyperobjective"] = truth.hyperobjective(upper)
        for name in names:
            if name in found:
                columns[name][running] = found[name].cpu().numpy()
        return columns


@dataclass(frozen=True, eq=False)
class _Trial:
    """One setting of the grid, and what came of it on the tuning seeds."""

    constants: Constants
    outcome: _Outcome

    @property
    def score(self) -> tuple[float, float]:
        """Largest cost, infinite where a seed fails, then median accuracy, infinite where it diverged."""
        accuracy = np.nan_to_num(self.outcome.recorder.accuracy, nan=np.inf)
        return float(self.outcome.costs().max()), float(np.median(accuracy))

    def record(self) -> dict[str, Any]:
        """Return the setting and its score, for the table."""
        cost, accuracy = (value if np.isfinite(value) else None for value in self.score)
        return {**self.constants, "cost": cost, "accuracy": accuracy}


def _known(problem: Problem) -> Mapping[str, float]:
    """Return what is known of the problem, NaN where it has no rewards."""
    if not isinstance(problem, Problem):
        return {"optimal_return": np.nan, "reward_distance": np.nan}
    control, reward = control_of(problem), problem.true_reward[None]
    return {
        "optimal_return": float(hard_return(control, reward, control.optimal_log_policy(reward))),
        "reward_distance": distance_to_span(problem.true_reward, problem.features.flatten(0, 1)),
    }
