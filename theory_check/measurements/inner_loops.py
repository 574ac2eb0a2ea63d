"""How fast exact policy gradient solves the lower level at a fixed reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import InvalidArgumentError
from theory_check.kernels.policy_gradient import ascend_episodic, ascend_stationary
from theory_check.measurements.base import Measurement, Need, StepSizes
from theory_check.measurements.needs import PREFERENCES, STEPS_OF_STATES
from theory_check.measurements.units import Units, columns
from theory_check.models.base import ABSENT
from theory_check.oracles.control import control_of
from theory_check.oracles.control.hard_control import HardOptimum, hard_optimum
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.starts import initial_policy, initial_reward
from theory_check.problems import Problem
from theory_check.recording import Progress
from theory_check.recording.recorder import recording_grid
from theory_check.settings import Positive, PositiveInteger


@dataclass(frozen=True)
class InnerLinear(Measurement):
    """``J* - J(lambda_k)`` along softmax policy gradient with exact gradients.

    Source of the statement under test: 2005.06392, Theorem 6. Each seed has its own reward
    parameters; the policy starts at the reference policy. Rows have columns ``seed,
    inner_iteration`` (from 0) and ``lower_gap`` (reward units, resolved far below rounding of J).

    Parameters
    ----------
    inner_steps
        Number of gradient steps.
    inner_step_size
        ``alpha`` > 0.
    points_per_decade
        Density of the log-spaced recorded steps; replicates differ in their rate by orders of
        magnitude, and each needs points where its own gap falls.
    point_scale
        Standard deviation of the reward parameters.
    """

    kind: ClassVar[str] = "inner-linear"
    units: ClassVar[Units] = columns(inner="inner_iteration", reward="lower_gap")
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES,)

    inner_steps: PositiveInteger
    inner_step_size: Positive
    points_per_decade: PositiveInteger = 40
    point_scale: Positive = 1.0

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and recorded step."""
        information = ExactInformation(problem)
        control = information.control
        upper = initial_reward(seeds, information.reward_model, self.point_scale)
        reward = information.reward_model.table(upper)
        optimal = control.optimal_log_policy(reward)
        lower = initial_policy(seeds, information.policy_model)
        recorded = recording_grid(self.inner_steps, self.points_per_decade) | {0}
        frames = []
        for step in range(self.inner_steps + 1):
            if step in recorded:
                log_policy = information.policy_model.table(lower)
                gap = control.lower_gap(log_policy, optimal)
                frames.append(
                    pd.DataFrame(
                        {
                            "seed": list(seeds),
                            "inner_iteration": step,
                            "lower_gap": gap.numpy(),
                        }
                    )
                )
                progress(step, self.inner_steps)
            gradient = information.lower_gradient(upper, lower, samples=1)
            lower = lower - self.inner_step_size * gradient
        return pd.concat(frames, ignore_index=True)

    def step_sizes(self) -> StepSizes:
        """Return the inner step: the reward does not move."""
        return StepSizes(inner=self.inner_step_size)


@dataclass(frozen=True)
class InnerSublinear(Measurement):
    """``J* - J(lambda_k)`` along softmax policy gradient with exact gradients and no KL term.

    Source of the statement under test: 2005.06392, Theorem 4. ``J`` is the plain return: neither the
    KL weight nor the reference policy of the problem plays a part. Each seed has its own reward, drawn
    from the reward class and then shifted and scaled to [0, 1], as the theorem assumes; the policy
    starts uniform, and the step is the inverse smoothness (:func:`inverse_smoothness`).

    Rows have columns ``seed, inner_iteration`` (from 1), ``return_gap`` (``J* - J``, in units of the
    scaled reward, a sum of non-negative terms) and ``leading_ratio``, the gap over its leading term
    ``N (A - 1) / (A alpha k)`` (``docs/theory.md`` section 5.8).

    Parameters
    ----------
    inner_steps
        Number of gradient steps.
    points_per_decade
        Density of the log-spaced recorded steps.
    """

    kind: ClassVar[str] = "inner-sublinear"
    units: ClassVar[Units] = columns(
        inner="inner_iteration", reward="return_gap", one="leading_ratio"
    )
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES, STEPS_OF_STATES)

    inner_steps: PositiveInteger
    points_per_decade: PositiveInteger = 8

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and recorded step."""
        reward = _scaled_reward(problem, seeds)
        optimum = hard_optimum(control_of(problem), reward)
        step_size = inverse_smoothness(problem)
        leading = leading_constant(optimum) / step_size
        ascend = ascend_stationary if problem.horizon is None else ascend_episodic
        logits = np.zeros((len(seeds), problem.steps, problem.states, problem.actions))
        logits[:, :, ~problem.present_actions.numpy()] = ABSENT
        kernel = problem.dynamics.dense("many steps of policy gradient").numpy()
        fixed = (kernel, problem.initial.numpy(), reward.numpy())
        frames, done = [], 0
        for step in sorted(recording_grid(self.inner_steps, self.points_per_decade)):
            ascend(*fixed, logits, problem.discount, step_size, step - done)
            done = step
            gap = optimum.gap(torch.log_softmax(torch.from_numpy(logits), dim=-1))
            frames.append(
                pd.DataFrame(
                    {
                        "seed": list(seeds),
                        "inner_iteration": step,
                        "return_gap": gap.numpy(),
                        "leading_ratio": (gap * step / leading).numpy(),
                    }
                )
            )
            progress(step, self.inner_steps)
        return pd.concat(frames, ignore_index=True)

    def relative_cost(self) -> float:
        """Return the order of the steps: a compiled one costs about a microsecond."""
        return self.inner_steps / 1e5


def inverse_smoothness(problem: Problem) -> float:
    """Return the step size: the inverse of a Lipschitz constant of ``∂_lambda J``, rewards in [0, 1].

    Discounted: ``(1 - gamma)³ / 8``, the step of 2005.06392, Theorem 4. Episodic:
    ``1 / (R (H + 1/4))`` with ``R = sum_{h<H} gamma^h`` (``docs/theory.md`` section 5.8).
    """
    if problem.horizon is None:
        return (1 - problem.discount) ** 3 / 8
    largest_return = sum(problem.discount**step for step in range(problem.horizon))
    return 1 / (largest_return * (problem.horizon + 0.25))


def leading_constant(optimum: HardOptimum) -> Float[Tensor, " replicate"]:
    """Return the limit of ``alpha k (J* - J(lambda_k))`` (``docs/theory.md`` section 5.8).

    ``N (A - 1) / A``, where N counts the steps and states that the optimal policy visits; a sum over
    them where states have different numbers of actions. It holds where the optimal action is unique in
    each of them, which random rewards have.
    """
    actions = optimum.action_values.shape[-1]
    greedy = torch.nn.functional.one_hot(optimum.action_values.argmax(-1), actions)
    visits = optimum.control.discounted_occupancy(greedy.to(torch.float64).log()).sum(-1)
    # An entry that no path reaches is 0 up to the rounding of a linear solve.
    reached = visits > 1e-12
    if optimum.control.absent is not None:
        number = (~optimum.control.absent).sum(-1)
        return (reached * ((number - 1) / number).to(torch.float64)).flatten(1).sum(-1)
    visited = reached.flatten(1).sum(-1)
    return visited * (actions - 1) / actions


def _scaled_reward(problem: Problem, seeds: Sequence[int]) -> Float[Tensor, "replicate s a"]:
    """Return the rewards of the seeds, shifted and scaled to [0, 1]."""
    model = problem.reward_model
    reward = model.table(initial_reward(seeds, model, 1.0))
    low, high = reward.amin((1, 2), keepdim=True), reward.amax((1, 2), keepdim=True)
    if not bool((high > low).all()):
        raise InvalidArgumentError(
            "problem",
            "a constant reward",
            "pass a problem whose reward class can tell actions apart",
        )
    return (reward - low) / (high - low)
