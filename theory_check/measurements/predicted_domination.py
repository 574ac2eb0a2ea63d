"""What a gradient of the lower level says about its gap, with predicted constants, along runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.bilevel import InnerPath, Solver
from theory_check.kernels.policy_gradient import ascend_episodic, ascend_stationary
from theory_check.measurements.base import Measurement, Need, StepSizes, steps_of
from theory_check.measurements.inner_curves import unit_rewards
from theory_check.measurements.inner_loops import inverse_smoothness
from theory_check.measurements.needs import PREFERENCES
from theory_check.measurements.weak_gradient_domination import hold_out
from theory_check.models import Tabular
from theory_check.oracles.control import control_of
from theory_check.oracles.control.hard_control import hard_optimum
from theory_check.oracles.control.hard_geometry import hard_geometry
from theory_check.oracles.control.lower_geometry import lower_geometry
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.instruments import Instruments
from theory_check.problems import Problem
from theory_check.recording import Progress
from theory_check.recording.inner_paths import InnerPathRecorder, require_inner_path
from theory_check.recording.recorder import recording_grid
from theory_check.recording.run import run_observed
from theory_check.settings import Positive, PositiveInteger

TABULAR = Need(
    "tabular policies in states in which all actions exist",
    lambda problem: isinstance(problem.policy_class, Tabular) and problem.action_mask is None,
    lambda problem: f"whose policies are {problem.policy_class}",
    "leave out the policy class of the problem, and its action mask",
)


@dataclass(frozen=True)
class PredictedDomination(Measurement):
    """``J* - J`` beside what ``‖∂_lambda J‖`` implies, with and without a KL term.

    ``docs/theory.md`` sections 5.4, 5.9 and 5.13. With it: at the inner iterates of sampled runs, the
    gap is at most ``(‖∂_lambda J‖/C)²``. Without it: along exact policy gradient from the uniform
    policy, rewards scaled to [0, 1], at most ``c ‖∂_lambda J‖``. Rows have columns ``seed, objective``
    (``"with KL"`` or ``"without KL"``), ``iteration`` (of the policy: outer iterations, or steps),
    ``inner_iteration, gap, gradient``, ``predicted`` (by the constant of the visits),
    ``predicted_by_source`` (by that of 2005.06392, Lemmas 15 and 8), ``transferred`` (``2 c ‖∂_lambda
    J‖ + eps'``, c the smallest constant of the first half of the seeds, as in
    ``weak-gradient-domination``), ``resolved`` and ``status``.

    Parameters
    ----------
    solver
        The configured solver, with sampled gradients.
    iterations
        Outer iterations T.
    hard_steps
        Steps of policy gradient without a KL term.
    initial_scale
        Standard deviation of the initial reward parameters.
    points_per_decade
        Density of the log-spaced iterations and steps recorded.
    inner_points_per_decade
        Density of the log-spaced inner iterations recorded within each of them.
    """

    kind: ClassVar[str] = "predicted-domination"
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES, TABULAR)
    least_seeds: ClassVar[int] = 2

    solver: Solver
    iterations: PositiveInteger
    hard_steps: PositiveInteger
    initial_scale: Positive = 1.0
    points_per_decade: PositiveInteger = 8
    inner_points_per_decade: PositiveInteger = 4

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        super().__post_init__()
        require_inner_path(self.solver)

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed, objective and recorded policy."""
        self.require_seeds("seeds", len(seeds))

        def recorder_of(instruments: Instruments, path: InnerPath) -> _GeometryRecorder:
            return _GeometryRecorder(
                problem,
                instruments,
                path,
                seeds,
                recording_grid(self.iterations, self.points_per_decade),
                self.inner_points_per_decade,
            )

        table = run_observed(
            problem,
            self.solver,
            self.iterations,
            seeds,
            self.initial_scale,
            recorder_of,
            progress,
        )
        table = pd.concat([table, self._without_kl(problem, seeds)], ignore_index=True)
        held = hold_out(table, seeds[: len(seeds) // 2])
        held["transferred"] = held["bound"]
        unused = ["half", "constant", "floor", "bound", "share_of_bound"]
        return held.drop(columns=unused).rename(columns={"level": "objective"})

    def step_sizes(self) -> StepSizes:
        """Return the steps of the solver."""
        return steps_of(self.solver)

    def relative_cost(self) -> float:
        """Return the order of the outer iterations."""
        return self.iterations / 100

    def _without_kl(self, problem: Problem, seeds: Sequence[int]) -> pd.DataFrame:
        """Return the rows of policy gradient on the plain return."""
        reward = unit_rewards(problem, seeds)
        optimum = hard_optimum(control_of(problem), reward)
        ascend = ascend_stationary if problem.horizon is None else ascend_episodic
        logits = np.zeros((len(seeds), problem.steps, problem.states, problem.actions))
        kernel = problem.dynamics.dense("many steps of policy gradient").numpy()
        fixed = (kernel, problem.initial.numpy(), reward.numpy())
        step_size, frames, done = inverse_smoothness(problem), [], 0
        for step in sorted(recording_grid(self.hard_steps, self.points_per_decade)):
            ascend(*fixed, logits, problem.discount, step_size, step - done)
            done = step
            log_policy = torch.log_softmax(torch.from_numpy(logits), dim=-1)
            found = hard_geometry(optimum, reward, log_policy)
            implied = found.constant * found.gradient_norm
            by_source = found.paper_constant * found.gradient_norm
            frames.append(
                pd.DataFrame(
                    {
                        "seed": list(seeds),
                        "level": "without KL",
                        "iteration": step,
                        "inner_iteration": 0,
                        "gap": found.gap.numpy(),
                        "gradient": found.gradient_norm.numpy(),
                        "predicted": implied.numpy(),
                        "predicted_by_source": by_source.numpy(),
                        "resolved": True,
                        "status": "ok",
                    }
                )
            )
        return pd.concat(frames, ignore_index=True)


class _GeometryRecorder(InnerPathRecorder):
    """Gaps, gradients and constants of the lower level; rows as in :class:`PredictedDomination`."""

    order: ClassVar[tuple[str, ...]] = ("seed", "iteration", "inner_iteration")

    def __init__(
        self,
        problem: Problem,
        instruments: Instruments,
        path: InnerPath,
        seeds: Sequence[int],
        grid: frozenset[int],
        inner_points_per_decade: int,
    ) -> None:
        known = (instruments.truth, instruments.information)
        super().__init__(*known, path, seeds, grid, inner_points_per_decade)
        self._problem, self._control = problem, control_of(problem)

    def mark(
        self, iteration: int, counts: SampleCounts, stopped: Int[Tensor, " n"], status: str
    ) -> None:
        """Keep rows without measurements that say why replicates stopped."""
        if len(stopped):
            place = {"level": "with KL", "iteration": iteration, "inner_iteration": 0}
            self._keep(place, {"gap": np.nan, "gradient": np.nan}, stopped, status)

    def _record(
        self,
        iteration: int,
        upper: Float[Tensor, "active upper"],
        path: Sequence[tuple[Tensor, Tensor | None]],
        active: Int[Tensor, " active"],
    ) -> None:
        reward = self._problem.reward_model.table(upper)
        optimal = self._control.optimal_log_policy(reward)
        for step in self._steps(path):
            log_policy = self._problem.policy_model.table(path[step][0][active])
            found = lower_geometry(self._control, reward, log_policy, optimal)
            self._keep(
                {"level": "with KL", "iteration": iteration, "inner_iteration": step},
                {
                    "gap": found.gap,
                    "gradient": found.gradient_norm,
                    "predicted": (found.gradient_norm / found.constant).square(),
                    "predicted_by_source": (found.gradient_norm / found.paper_constant).square(),
                    "resolved": found.resolved,
                },
                active,
                "ok",
            )
