"""What a gradient of the lower level says about its gap, with predicted constants, along runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.bilevel import InnerPath
from theory_check.kernels.policy_gradient import ascend_episodic, ascend_stationary
from theory_check.measurements.base import Need
from theory_check.measurements.inner_curves import unit_rewards
from theory_check.measurements.inner_iterates import InnerIterates
from theory_check.measurements.inner_loops import inverse_smoothness
from theory_check.measurements.needs import PREFERENCES, STEPS_OF_STATES
from theory_check.measurements.units import Units, columns
from theory_check.measurements.weak_gradient_domination import hold_out
from theory_check.models import Tabular
from theory_check.oracles.control import control_of
from theory_check.oracles.control.hard_control import hard_optimum
from theory_check.oracles.control.hard_geometry import hard_geometry
from theory_check.oracles.control.lower_geometry import lower_geometry
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.instruments import Instruments
from theory_check.problems import Problem
from theory_check.recording.inner_paths import InnerPathRecorder
from theory_check.recording.recorder import recording_grid
from theory_check.settings import PositiveInteger

TABULAR = Need(
    "tabular policies in states in which all actions exist",
    lambda problem: isinstance(problem.policy_class, Tabular) and problem.action_mask is None,
    lambda problem: f"whose policies are {problem.policy_class}",
    "leave out the policy class of the problem, and its action mask",
)


@dataclass(frozen=True)
class PredictedDomination(InnerIterates):
    """``J* - J`` beside what ``‖∂_lambda J‖`` implies, with and without a KL term.

    ``docs/theory.md`` sections 5.4, 5.9 and 5.13. With it: at the inner iterates of sampled runs, the
    gap is at most ``(‖∂_lambda J‖/C)²``. Without it: along exact policy gradient from the uniform
    policy, rewards scaled to [0, 1], at most ``c ‖∂_lambda J‖``. Rows have columns ``seed, objective``
    (``"with KL"`` or ``"without KL"``), ``iteration`` (of the policy: outer iterations, or steps),
    ``inner_iteration, gap, gradient``, ``predicted`` (by the constant of the visits),
    ``predicted_by_source`` (by that of 2005.06392, Lemmas 15 and 8), ``transferred`` (``2 c ‖∂_lambda
    J‖ + eps'``, c the smallest constant of the first half of the seeds, as in
    ``weak-gradient-domination``), ``resolved`` and ``status``.

    Parameters are those of :class:`InnerIterates`.

    Parameters
    ----------
    hard_steps
        Steps of policy gradient without a KL term, recorded as densely as outer iterations.
    """

    kind: ClassVar[str] = "predicted-domination"
    units: ClassVar[Units] = columns(
        text="objective",
        iterations="iteration",
        inner="inner_iteration",
        reward="gap predicted predicted_by_source transferred",
        norm="gradient",
        flag="resolved",
    )
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES, TABULAR, STEPS_OF_STATES)
    least_seeds: ClassVar[int] = 2

    hard_steps: PositiveInteger = field(kw_only=True)

    def _recorder(
        self,
        problem: Problem,
        instruments: Instruments,
        path: InnerPath,
        seeds: Sequence[int],
        grid: frozenset[int],
    ) -> InnerPathRecorder:
        return _GeometryRecorder(
            problem, instruments, path, seeds, grid, self.inner_points_per_decade
        )

    def _completed(
        self, table: pd.DataFrame, problem: Problem, seeds: Sequence[int]
    ) -> pd.DataFrame:
        """Return the table with the rows without a KL term, and what was measured of half the seeds."""
        table = pd.concat([table, self._without_kl(problem, seeds)], ignore_index=True)
        held = hold_out(table, seeds[: len(seeds) // 2])
        held["transferred"] = held["bound"]
        unused = ["half", "constant", "floor", "bound", "share_of_bound"]
        return held.drop(columns=unused).rename(columns={"level": "objective"})

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
